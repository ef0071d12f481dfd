"""Overwrite a portrait by a sweep: the former one is renamed away, and removed when the first tile of the new one is written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from validation.storage.atomic import recover, staging_folder


def former_path(path: Path) -> Path:
    """Return where the portrait lies that the store at `path` overwrites, until that has a tile."""
    return path.with_name(f".{path.name}.former")


def restore(path: Path, has_runs: Callable[[Path], bool]) -> bool:
    """Put a portrait that was renamed away back if nothing has been measured in its place; to be called under `lock`.

    Parameters
    ----------
    path : where it was.
    has_runs : path -> whether anything has been measured in the store there.

    Returns
    -------
    bool : whether it was put back.
    """
    former, staging = former_path(path), staging_folder(path)
    if not former.exists() or (path.exists() and has_runs(path)):
        return False
    recover(path, staging)
    if path.exists():
        staging.mkdir()
        os.replace(path, staging / "replaced")
    os.replace(former, path)
    recover(path, staging)
    return True
