"""Load an object of the user's from a Python file that the command line names: FILE.py:NAME."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.storage.atomic import expand_home


def load_object(argument: str, text: str, kind: type = object, kind_name: str = "an object") -> Any:
    """Return the object NAME of FILE.py, for text such as "models.py:attention"; the file is run.

    Parameters
    ----------
    argument : its name, for messages.
    text : the file, a colon, and the name.
    kind : what the object must be an instance of.
    kind_name : of that kind, for messages.

    Raises
    ------
    Misuse : no such file or name, an error in the file, or an object that is not of the kind.
    """
    file, _, name = text.rpartition(":")
    path = expand_home(argument, Path(file))
    if not file or not path.is_file():
        raise Misuse(f"{argument} must name a Python file and an object in it, as in mine.py:model; there is no file {file or text!r}")
    spec = importlib.util.spec_from_file_location(f"_lazyrich_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise Misuse(f"{argument} must name a Python file, FILE.py:NAME, not {text!r}")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = getattr(module, name, None)
        shown = "not there" if found is None else None if isinstance(found, kind) else repr(found)
    except (Misuse, KeyboardInterrupt):
        raise
    except BaseException as error:      # the file may call sys.exit(), and its objects may do anything
        raise Misuse(f"{argument} {text!r}: the file fails with {type(error).__name__}: {error}") from error
    if shown is not None:
        raise Misuse(f"{argument} must name {kind_name} in the file; {name!r} in {file} is {shown}")
    return found
