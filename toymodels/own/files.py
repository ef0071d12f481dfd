"""Load a model or a loss of one's own from a Python file that the user names: FILE.py:NAME."""

from __future__ import annotations

from typing import Any

from validation.own_files import load_object


def load_own(argument: str, text: str, kind: type) -> Any:
    """Return the object NAME of FILE.py, as of `validation.own_files.load_object`; `kind` is a class of this package."""
    return load_object(argument, text, kind, f"a toymodels.{kind.__name__}")
