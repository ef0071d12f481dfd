"""The cache: one folder for results that can be computed again, and the one way to load or make an entry of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from validation.arguments import Misuse
from validation.storage.atomic import replace_path

T = TypeVar("T")


def cache_folder() -> Path:
    """Return the folder of every cache: ``$LAZYRICH_CACHE``, else ``$XDG_CACHE_HOME/lazyrich``, else ``~/.cache/lazyrich``.

    Raises
    ------
    RuntimeError : there is no home folder.
    """
    given = os.environ.get("LAZYRICH_CACHE")
    if given:
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lazyrich"


def hash_sources(sources: Iterable[Path], *libraries: str) -> str:
    """Return the SHA-256 of source files, each by its name and content, and of the versions of libraries, for an entry's name."""
    digest = hashlib.sha256("".join(map(version, libraries)).encode())
    for path in sorted(sources):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def load_or_make(name: str, make: Callable[[], T], load: Callable[[Path], T], save: Callable[[T, Path], None]) -> T:
    """Return the cache's entry `name`, or make it and save it.

    An entry appears whole or not at all, whichever process writes it. An entry that cannot be loaded is made again; a folder that cannot
    be written is no error, and the entry is then made in every process.

    Parameters
    ----------
    name : the entry's path below `cache_folder`; it must name all that the result depends on, by a digest where that is long.
    make : () -> the result.
    load : path -> the result; raises OSError or ValueError for a file that is not one.
    save : (result, path) -> None, writes the result to a new file.
    """
    try:
        path = cache_folder() / name
    except RuntimeError:
        return make()
    try:
        return load(path)
    except (OSError, ValueError):
        result = make()
    with contextlib.suppress(Misuse), replace_path(path) as draft:
        save(result, draft)
    return result
