"""Run a function in a forked child process while this one does other work."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

PARENT_DEATH_SIGNAL = 1      # of prctl(2)
PATIENCE = 1.0      # seconds in which an interrupted child may remove half-written files


@contextmanager
def run_in_child(function: Callable[..., Any], *arguments: Any) -> Iterator[Callable[[], Any]]:
    """Start ``function(*arguments)`` in a forked child, and yield a function that waits for its result.

    Where forking is unsafe (other threads run, not Linux) or useless (one core), the function runs in this process, when the result is
    requested. An exception in the child is raised by the yielded function. If the block is left early, the child is interrupted.
    """
    if not _can_fork():
        yield lambda: function(*arguments)
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_send_result, args=(theirs, function, arguments), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of any thread, also of the idle ones of a linear algebra library, which survives a fork
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()

    def result() -> Any:
        try:
            succeeded, value = ours.recv()
        except EOFError:
            raise RuntimeError(f"the child process ended without a result (exit code {child.exitcode})") from None
        if not succeeded:
            raise value
        return value

    try:
        yield result
    finally:
        if child.is_alive():
            child.join(0.05)
        if child.is_alive() and child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
            child.join(PATIENCE)
            child.kill()
        child.join()
        ours.close()


def _can_fork() -> bool:
    """Return whether a fork is safe and worth it: Linux, no other thread of Python's, more than one core."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


def _send_result(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Send the function's result, or the exception it raised, through the pipe."""
    _die_with_parent()
    try:
        result: tuple[bool, Any] = (True, function(*arguments))
    except KeyboardInterrupt:
        return
    except Exception as error:      # raised again where the parent waits for the result
        result = (False, error)
    pipe.send(result)


def _die_with_parent() -> None:
    """Let the kernel of the operating system kill this process when its parent ends, however it ends; nothing on disk depends on it."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() == 1:       # it has ended already
        os._exit(1)
