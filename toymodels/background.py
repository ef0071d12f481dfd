"""beside(): a piece of work done in a child process while this one does another, where forking is safe; knows no model."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE = 1.0      # seconds an interrupted child has to clear away what it has half written


@contextmanager
def beside(function: Callable[..., Any], *arguments: Any) -> Iterator[Callable[[], Any]]:
    """Start ``function(*arguments)`` in a forked child, and give a function that waits for its result.

    Where forking is not safe (other threads run, no Linux) or brings nothing (one core), the work is done here, when the result
    is asked for. What the function raises is raised there. If the block is left early, the child is interrupted.
    """
    if not _safe():
        yield lambda: function(*arguments)
        return
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    with warnings.catch_warnings():
        # Python 3.12 warns of any thread, also of the sleeping ones of a linear algebra library, which knows of forks
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    theirs.close()

    def result() -> Any:
        try:
            fine, value = ours.recv()
        except EOFError:
            raise RuntimeError(f"the process beside this one ended without a result (exit code {child.exitcode})") from None
        if not fine:
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


def _safe() -> bool:
    """Return whether a fork is safe and worth it: Linux, no other thread of Python's, more than one core."""
    return sys.platform == "linux" and threading.active_count() == 1 and len(os.sched_getaffinity(0)) > 1


def _answer(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Send the function's result, or what it raised, through the pipe."""
    try:
        answer: tuple[bool, Any] = (True, function(*arguments))
    except KeyboardInterrupt:
        return
    except Exception as error:      # it is raised again where the result is waited for
        answer = (False, error)
    pipe.send(answer)
