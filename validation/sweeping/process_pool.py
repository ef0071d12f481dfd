"""A pool of processes on this machine, each with a pipe of its own, so that one that dies takes only its own tile with it.

`concurrent.futures` fails all pending work when a process dies. Pools whose processes share one channel (`multiprocessing.Pool`, pebble)
block or break when a process is killed while it holds the channel's lock.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from typing import Any

from validation.interrupts import block_interrupts

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "NUMBA_NUM_THREADS")


class Processes:
    """A fixed number of processes; each piece of work goes to an idle one, and one that has died is replaced.

    Parameters
    ----------
    count : the number of processes.
    gpus : the number of GPUs, shared out in turn, one to a process; None: every process sees them all.
    """

    apart = True

    def __init__(self, count: int, gpus: int | None = None) -> None:
        self.in_flight = count
        context = _start_method()
        self._workers = [_Worker(context, None if gpus is None else str(i % gpus)) for i in range(count)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(count, initializer=block_interrupts)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Submit a piece of work; its future raises `BrokenExecutor` if the process dies of it."""
        return self._threads.submit(self._run, function, arguments)

    def close(self) -> None:
        """Kill the processes."""
        for worker in self._workers:
            worker.kill()
        self._threads.shutdown(cancel_futures=True)

    def _run(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        worker = self._idle.get()
        try:
            return worker.call(function, arguments)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process, started when it is first needed and again after it has died."""

    def __init__(self, context: Any, device: str | None) -> None:
        self._context, self._device = context, device
        self._process: Any = None
        self._pipe: Connection
        self._closed = False
        self._starting = threading.Lock()

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        """Run a function in the process; return its value or raise its exception."""
        with self._starting:
            if self._closed:
                raise BrokenExecutor("the pool is closed")
            if self._process is None or not self._process.is_alive():
                self._start()
        work = pickle.dumps((function, arguments))
        try:
            self._pipe.send_bytes(work)
            wait([self._pipe, self._process.sentinel])
            if not self._pipe.poll():
                raise EOFError
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError):
            self._process.kill()
            self._process.join()
            raise BrokenExecutor(f"a process died, with exit code {self._process.exitcode}") from None
        succeeded, value = pickle.loads(answer)
        if succeeded:
            return value
        raise value

    def _start(self) -> None:
        self._pipe, end = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(end, self._device))
        try:
            process.start()
        except (EOFError, OSError) as error:
            raise BrokenExecutor(f"a process could not be started: {error}") from error
        finally:
            end.close()
        self._process = process

    def kill(self) -> None:
        """End the process, whatever it does, for good."""
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.join()


def _start_method() -> Any:
    """Return the context that starts processes from a clean server, which is fast and has no threads that a fork would lose."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["validation.sweeping.worker", "validation.sweeping.process_pool"])
    return context


def _serve(pipe: Connection, device: str | None) -> None:
    """Run what comes through the pipe, until the other end is closed."""
    _prepare(device)
    while True:
        try:
            work = pipe.recv_bytes()
        except EOFError:
            return
        try:
            function, arguments = pickle.loads(work)
            answer = pickle.dumps((True, function(*arguments)))
        except Exception as error:
            answer = _pack_error(error)
        pipe.send_bytes(answer)


def _pack_error(error: Exception) -> bytes:
    """Return an exception as bytes, with its traceback as a note; one that cannot be pickled as a RuntimeError."""
    text = "".join(traceback.format_exception(error))
    error.add_note(f"in a worker process:\n{text}")
    try:
        answer = pickle.dumps((False, error))
        pickle.loads(answer)
    except Exception:
        answer = pickle.dumps((False, RuntimeError(text)))
    return answer


def _prepare(device: str | None) -> None:
    """Give the process one thread and its GPU, let it ignore Ctrl-C, which the main process handles, and end with the main process."""
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
        threading.Thread(target=_exit_with, args=(parent.sentinel,), daemon=True).start()


def _exit_with(sentinel: int) -> None:
    """End this process when the main process ends, which cannot stop its workers when it is killed."""
    wait([sentinel])
    os._exit(1)
