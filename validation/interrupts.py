"""Let Ctrl-C end a program at any moment with exit code 130 and one line, and never reach its worker processes.

It is imported before all else, and imports next to nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType

INTERRUPTED = 130


def end_when_interrupted(program: str) -> Callable[[], None]:
    """Let an interrupt that nothing handles end the process: for the first line of a program, whose imports take a while.

    Returns
    -------
    A function that undoes it, for a module that may also be imported.
    """
    before = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print(f"{program}: interrupted", file=sys.stderr, flush=True)
            os._exit(INTERRUPTED)
        before(kind, error, trace)

    sys.excepthook = end
    return lambda: setattr(sys, "excepthook", before)


def block_interrupts() -> None:
    """Keep Ctrl-C from the processes that this thread will start: they would print a traceback each while they import their modules.

    Their program ends them. Threads and processes inherit what a thread blocks. The main thread is to be interrupted, so not there.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing.resource_tracker import ensure_running

        ensure_running()        # the thread that starts it lets go of what it blocks
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
