"""A lock beside a store, for the moments in which it is changed; knows nothing of what is stored."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process at a time in, of those that name the same path; the system frees the lock of a process that dies.

    The folder around the path is what is locked: the path itself is replaced when a store grows, and a file made for the purpose would
    lie about afterwards. On a file system without locks there is none, and one process at a time should write.
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
