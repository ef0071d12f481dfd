"""Atomic writes and the lock: a file or folder appears whole or not at all, and one process at a time changes a store.

Everything is written to a temporary neighbour first and then renamed. A reader sees the old content or the new, never a part.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from validation.arguments import Misuse

DRAFT = ".partial"


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file atomically; its folder is created if need be.

    Raises
    ------
    OSError : the file cannot be written; what was at `path` is untouched.
    """
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{uuid.uuid4().hex}{DRAFT}")
    try:
        try:
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        # unbuffered, which saves system calls: a sweep writes ten files a tile
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view):]
        finally:
            os.close(handle)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise


def publish(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file atomically, as `write_bytes` does, and return its path.

    Raises
    ------
    Misuse : the file cannot be written; what was at `path` is untouched.
    """
    try:
        write_bytes(path, content)
    except OSError as error:
        raise Misuse(f"{path} cannot be written: {error.strerror}") from None
    return Path(path)


@contextlib.contextmanager
def replace_path(target: Path, staging: Path | None = None) -> Iterator[Path]:
    """Yield the path of a draft; rename the file or folder that was written there to `target`, in the place of an existing one.

    Parameters
    ----------
    target : its folder is created if need be.
    staging : the folder of the draft, from which `recover` restores what a killed process left; used under `lock`. None: a folder of
        its own, next to the target.

    Raises
    ------
    Misuse : it cannot be written; what was at `target` is untouched.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if staging is None:
            staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        else:
            recover(target, staging)
            staging.mkdir()
    except OSError as error:
        raise Misuse(f"cannot write to {target.parent}: {error.strerror or error}") from error
    try:
        yield staging / target.name
        if target.is_dir():
            os.replace(target, staging / "former")
        os.replace(staging / target.name, target)
    except OSError as error:
        raise Misuse(f"cannot write {target}: {error.strerror or error}; what was there is untouched") from error
    finally:
        recover(target, staging)


def recover(target: Path, staging: Path) -> None:
    """Restore the target of a replacement that ended between its two renames, and remove the staging folder."""
    if not staging.exists():
        return
    if not target.exists() and (staging / "former").exists():
        os.replace(staging / "former", target)
    shutil.rmtree(staging, ignore_errors=True)


def clear_drafts(folder: Path) -> None:
    """Remove the drafts of processes that were killed while they wrote into a folder; to be called under `lock`."""
    for draft in folder.rglob(f".*{DRAFT}"):
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Let one process at a time change what is at a path. The system frees the lock of a process that dies.

    The lock is on the folder around the path: the path itself is replaced when a store grows, and a lock file would be left behind. On
    a file system without locks nothing is locked; only one process should write there.
    """
    try:
        import fcntl
    except ImportError:         # not a Unix
        yield
        return
    handle = -1
    with contextlib.suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY)
    try:
        if handle >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle >= 0:
            os.close(handle)
