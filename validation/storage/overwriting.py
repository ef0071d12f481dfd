"""Overwrite a portrait by a sweep: the former one is renamed away, and removed when the first tile of the new one is written."""

from __future__ import annotations

import contextlib
import os
import shutil
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
    recover(path, staging)
    if not former.exists() or (path.exists() and has_runs(path)):
        return False
    _remove(path, staging)
    os.replace(former, path)
    recover(path, staging)
    return True


def discard(path: Path) -> None:
    """Remove the portrait that was renamed away, if there is one; to be called under `lock`. What cannot be removed is left."""
    with contextlib.suppress(OSError):
        _remove(former_path(path), staging_folder(path))
        recover(path, staging_folder(path))


def _remove(what: Path, staging: Path) -> None:
    """Move a folder into the staging folder, from where `recover` removes it: under its own name, a half removed one may be restored."""
    if what.exists():
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        os.replace(what, staging / "replaced")
