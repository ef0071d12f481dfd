"""Atomic writes and the lock: a file or folder appears whole or not at all, and one process at a time changes a store.

Everything is written to a temporary neighbour first and then renamed. A reader sees the old content or the new, never a part.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from validation.arguments import Misuse

DRAFT = ".partial"
STALE = 3600.0      # seconds after which nobody writes a draft any more
DRAFT_NAME, FORMER_NAME = "draft", "former"     # in a staging folder: what is written, and what it replaces
STAGING = ".staging"
LONGEST = 230       # bytes of a name; the names of drafts are longer


def expand_home(name: str, path: str | os.PathLike[str]) -> Path:
    """Return a path with its "~" or "~user" replaced by that home.

    Raises
    ------
    Misuse : there is no such home; the message has `name`.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise Misuse(f"{name} cannot be reached: {error}: {str(path)[:80]!r}") from None


def resolve_target(name: str, path: str | bytes | os.PathLike[str]) -> Path:
    """Return the place of a file or folder that may be written; of a symbolic link, the place to which it points.

    Raises
    ------
    Misuse : it cannot be one: it is empty, names no entry of a folder, is too long, or links to itself; the message has `name`.
    """
    try:
        target = expand_home(name, os.fsdecode(path))
        if "\0" in str(target) or not path or target.name in ("", ".."):
            raise Misuse(f"{name} must be the path of a file or folder, not {path!r}")
        if len(os.fsencode(target.name)) > LONGEST:
            raise Misuse(f"{name} must have a name of at most {LONGEST} bytes, not the {len(os.fsencode(target.name))} of "
                         f"{target.name[:20]!r}...")
        target.exists()
        return target.resolve() if target.is_symlink() else target
    except TypeError:
        raise Misuse(f"{name} must be the path of a file or folder, not {path!r}") from None
    except (OSError, RuntimeError) as error:        # pathlib raises RuntimeError for a link to itself
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise Misuse(f"{name} cannot be reached: {text}: {str(path)[:80]!r}") from None


def make_folder(folder: Path) -> None:
    """Create a folder with its parents.

    Raises
    ------
    OSError : it cannot be created.
    """
    missing = [folder]      # os.makedirs calls itself for every parent
    while not missing[-1].exists():
        missing.append(missing[-1].parent)
    for one in reversed(missing[:-1]):
        one.mkdir(exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(folder))


def write_bytes(path: str | os.PathLike[str], data: bytes, sync: bool = False) -> None:
    """Write a file atomically; its folder is created if need be.

    Parameters
    ----------
    path, data : the file and its content.
    sync : whether the content is on the disk before the file gets its name, so that a power cut leaves the old content or the new.

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
            if sync:
                os.fsync(handle)
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
    written = Path(path)
    _clear_stale(written.parent, f".{glob.escape(written.name)}.{'[0-9a-f]' * 32}{DRAFT}")
    return written


def _clear_stale(folder: Path, pattern: str) -> None:
    """Remove the drafts that processes which were killed have left of a file."""
    with contextlib.suppress(OSError):
        for draft in folder.glob(pattern):
            if time.time() - draft.stat().st_mtime > STALE:
                shutil.rmtree(draft) if draft.is_dir() else draft.unlink()


@contextlib.contextmanager
def replace_path(target: Path, staging: Path | None = None, former: Path | None = None) -> Iterator[Path]:
    """Yield the path of a draft; rename the file or folder that was written there to `target`, in the place of an existing one.

    Parameters
    ----------
    target : its folder is created if need be.
    staging : the folder of the draft, from which `recover` restores what a killed process left; used under `lock`, and needed where the
        target is a folder, which two renames replace. None: a folder of its own, next to the target.
    former : where the replaced folder is kept; None: it is removed.

    Raises
    ------
    Misuse : it cannot be written; what was at `target` is untouched.
    """
    try:
        make_folder(target.parent)
        if staging is None:
            own = f".{target.name[:64]}."
            _clear_stale(target.parent, f"{glob.escape(own)}????????{STAGING}")
            staging = Path(tempfile.mkdtemp(suffix=STAGING, prefix=own, dir=target.parent))
        else:
            recover(target, staging)
            staging.mkdir()
    except OSError as error:
        raise Misuse(f"cannot write to {target.parent}: {error.strerror or error}") from error
    try:
        yield staging / DRAFT_NAME
        _sync_files(staging / DRAFT_NAME)
        if target.is_dir():
            os.replace(target, former or staging / FORMER_NAME)
        os.replace(staging / DRAFT_NAME, target)
        _sync(target.parent)
    except OSError as error:
        raise Misuse(f"cannot write {target}: {error.strerror or error}; what was there is untouched") from error
    finally:
        with contextlib.suppress(OSError):      # the next one to open the target tries again
            recover(target, staging)


def recover(target: Path, staging: Path) -> None:
    """Restore the target of a replacement that ended between its two renames, and remove the staging folder.

    Raises
    ------
    OSError : it cannot be restored; the staging folder is left as it is.
    """
    if not staging.exists():
        return
    former = staging / FORMER_NAME
    if os.path.lexists(former) and not os.path.lexists(target):
        os.replace(former, target)
    elif os.path.lexists(former):       # under another name a half removed one is never restored
        os.replace(former, staging / "replaced")
    shutil.rmtree(staging, ignore_errors=True)


def staging_folder(path: Path) -> Path:
    """Return the folder in which a store is written before it replaces the one at `path`."""
    return path.with_name(f".{path.name}.growing")


def _sync_files(path: Path) -> None:
    """Write a file, or all files of a folder, to the disk."""
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            _sync(file)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):      # a file system that cannot
            os.fsync(handle)
    finally:
        os.close(handle)


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
