"""Processes of this machine that measure tiles: one pool for each, so that one that dies takes nothing with it but its own tile."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


class Processes:
    """So many processes; a piece of work is handed to an idle one.

    Parameters
    ----------
    count : of processes.
    gpus : how many GPUs are shared out among them; None: they see them all.
    """

    apart = True

    def __init__(self, count: int, gpus: int | None = None) -> None:
        self.in_flight = count
        self._context = _context()
        self._devices = [None if gpus is None else str(i % gpus) for i in range(count)]
        self._pools: list[ProcessPoolExecutor | None] = [None] * count
        self._work: list[Future[Any] | None] = [None] * count

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Hand over a piece of work; a process that has died is replaced first."""
        slot = next((i for i, work in enumerate(self._work) if work is None or work.done()), 0)
        for _ in range(2):
            if self._pools[slot] is None:
                self._pools[slot] = ProcessPoolExecutor(1, self._context, _begin, (self._devices[slot],))
            try:
                future = self._pools[slot].submit(function, *arguments)     # type: ignore[union-attr]
                break
            except BrokenExecutor:
                self._discard(slot)
        else:
            raise BrokenExecutor("a process died as soon as it was started")
        self._work[slot] = future
        return future

    def close(self) -> None:
        """End the processes at once."""
        for slot in range(len(self._pools)):
            self._discard(slot)

    def _discard(self, slot: int) -> None:
        pool, self._pools[slot] = self._pools[slot], None
        if pool is None:
            return
        children, manager = list((pool._processes or {}).values()), getattr(pool, "_executor_manager_thread", None)
        pool.shutdown(wait=False, cancel_futures=True)
        for child in children:
            child.terminate()
        for child in children:
            child.join(5)
        if manager is not None:
            manager.join(2)     # it holds the pool's semaphores


def _context() -> Any:
    """Return the way to start processes: from a clean server, which is quick and has no threads that a fork would lose."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["validation.sweeping.worker", "validation.sweeping.process_pool"])
    return context


def _begin(device: str | None) -> None:
    """Begin a worker: one thread, one GPU, deaf to Ctrl-C (which the main process hears), gone when the main process is."""
    for name in THREADS:
        os.environ[name] = "1"
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(sentinel: int) -> None:
    """End with the main process: killed, it cannot tell its workers to go."""
    wait([sentinel])
    os._exit(1)
