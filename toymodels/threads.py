"""Run compiled loops in threads: they release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_in_threads(call: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> None:
    """Call a function with each task's arguments, on all cores; an error or an interrupt ends it without what has not begun."""
    pool = ThreadPoolExecutor(min(len(tasks), count_cores()))
    try:
        for future in [pool.submit(call, *task) for task in tasks]:
            future.result()
    except BaseException:        # nobody waits for a long run that was interrupted
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
