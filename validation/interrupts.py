"""Let Ctrl-C end a program at any moment, within two seconds, with exit code 130 and one line, and never reach its worker processes.

A `KeyboardInterrupt` alone does not do: an import, a destructor or a library that catches everything may swallow it, and before the
program's own `try` it ends in a traceback. This module is imported before all else, and imports next to nothing itself.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

INTERRUPTED = 130
PATIENCE = 1.5      # seconds in which an interrupted program may end by itself
_printed: list[str] = []       # the programs that have printed so
_handling: list[str] = []      # the programs whose interrupts are handled here


def handle_interrupts(program: str) -> Callable[[], None]:
    """Let Ctrl-C and SIGTERM raise `KeyboardInterrupt` and, where nothing ends the process in time, end it.

    It is called in the first line of a program, whose imports take a while, and again when the program runs.

    Returns
    -------
    A function that undoes it, for a module that may also be imported.
    """
    _printed.clear()
    _handling.append(program)
    process, hook, unraisable = os.getpid(), sys.excepthook, sys.unraisablehook

    def interrupt(number: int, frame: object) -> None:
        if os.getpid() == process:
            _thread.start_new_thread(end_late, ())       # takes no lock that this thread may hold, as threading does
        raise KeyboardInterrupt

    def end_late() -> None:
        time.sleep(PATIENCE)
        end_program(program, wait=False)

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt) and os.getpid() == process:
            end_program(program)
        hook(kind, error, trace)

    def end_unraisable(ignored: Any) -> None:
        if issubclass(ignored.exc_type, KeyboardInterrupt) and os.getpid() == process:
            end_program(program)
        unraisable(ignored)

    def undo() -> None:
        _handling.clear()
        sys.excepthook, sys.unraisablehook = hook, unraisable
        for number, handler in handlers.items():
            signal.signal(number, handler)

    sys.excepthook, sys.unraisablehook = end, end_unraisable
    try:
        handlers = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:      # in another thread than the main one, which alone is interrupted
        handlers = {}
    return undo


def print_interrupt(program: str) -> None:
    """Print that the program was interrupted."""
    _printed.append(program)
    print(f"{program}: interrupted", file=sys.stderr, flush=True)


def end_program(program: str, wait: bool = True) -> None:
    """End the process at once: a kernel may still be running in another thread, and nothing on disk depends on it.

    Parameters
    ----------
    program : its name, for the message.
    wait : whether to release the semaphores of process pools, or their resource tracker warns of a leak.
    """
    try:
        if not _printed:
            print_interrupt(program)
        if "multiprocessing.process" in sys.modules:
            for child in sys.modules["multiprocessing.process"].active_children():
                child.kill()
        if wait and "multiprocessing.util" in sys.modules:
            sys.modules["multiprocessing.util"]._run_finalizers(0)
    finally:
        os._exit(INTERRUPTED)


def block_interrupts() -> None:
    """Keep Ctrl-C from the processes that this thread will start: they would print a traceback each while they import their modules.

    Their program ends them. Threads and processes inherit what a thread blocks. The main thread is to be interrupted, so not there.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import forkserver
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()        # the thread that starts it lets go of what it blocks
        if not _handling:       # a caller's own processes come from the same server, and inherit what it blocks
            forkserver.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
