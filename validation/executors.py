"""Executors for sweeps: processes of this machine, a Dask cluster or a Slurm queue, behind one interface."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from concurrent import futures
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from typing import Any, Protocol

from validation.arguments import Misuse, whole
from validation.estimates import check_memory
from validation.storage.atomic import expand_home
from validation.sweeping.process_pool import Processes

# what Dask and submitit raise for work that was lost with its worker, by name, so that they need not be imported
LOST = {"KilledWorker", "CommClosedError", "FutureCancelledError", "FuturesCancelledError", "UncompletedJobError", "FailedJobError"}
MOST_WORKERS = 10**6
WORKER = 1e8    # bytes of memory that a worker process takes, at least
POLL = 0.2      # seconds between two checks of jobs that do not notify


class Executor(Protocol):
    """An object with the method submit() of `concurrent.futures.Executor`."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Submit a call; return its future, with done() and result()."""


def processes(workers: int | None = None, gpus: int | None = None) -> Callable[[], Processes]:
    """Return a factory of processes on this machine, each with one thread.

    Parameters
    ----------
    workers : their number; None: one a core, or one a GPU.
    gpus : the number of GPUs, shared out in turn, one to a worker; None: every worker sees them all.

    Raises
    ------
    Misuse : `workers` or `gpus` is no whole number above zero, or so many processes do not fit into memory.
    """
    if gpus is not None:
        check_workers("gpus", gpus)
    count = check_workers("workers", workers) if workers is not None else gpus or count_cores()
    return lambda: Processes(count, gpus)


def dask(address: str | None = None, workers: int | None = None) -> Callable[[], Executor]:
    """Return a factory of an executor on a Dask cluster (extra ``cluster``).

    Parameters
    ----------
    address : of a scheduler, such as "tcp://10.0.0.1:8786"; None: a cluster on this machine, for as long as the sweep lasts.
    workers : of the cluster on this machine; None: one a core.

    Raises
    ------
    Misuse : Dask is not installed, so many workers do not fit into memory, or (from the factory) no scheduler answers at the address.
    """
    if address is not None and workers is not None:
        raise Misuse("workers must be left out where an address is given: that cluster has its own")
    count = check_workers("workers", workers) if workers is not None else count_cores()
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise Misuse("executor dask needs the extra cluster: pip install 'lazyrich[cluster]'") from None

    def connect() -> Executor:
        from validation.sweeping.clusters import DaskCluster

        return DaskCluster(address, count)

    return connect


def slurm(folder: str | os.PathLike[str], tiles_per_job: int = 16, jobs: int = 64, cluster: str = "slurm",
          **parameters: Any) -> Callable[[], Executor]:
    """Return a factory of an executor that submits jobs to a Slurm queue, by `submitit` (extra ``cluster``).

    Parameters
    ----------
    folder : for the jobs' logs and results; on a file system that all machines see.
    tiles_per_job : tiles in one job: a job takes half a second to start, or minutes in the queue.
    jobs : in the queue at once, at most.
    cluster : "slurm", or "local": jobs as processes of this machine.
    parameters : of `submitit.AutoExecutor`, such as ``timeout_min=60, gpus_per_node=1, slurm_partition="gpu"``.

    Raises
    ------
    Misuse : submitit is not installed; (from the factory) there is no Slurm.
    """
    whole("tiles_per_job", tiles_per_job)
    whole("jobs", jobs)
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise Misuse("executor slurm needs the extra cluster: pip install 'lazyrich[cluster]'") from None

    def open_queue() -> Executor:
        from validation.sweeping.clusters import JobQueue

        return JobQueue(expand_home("folder", folder), tiles_per_job, jobs, cluster, parameters)

    return open_queue


class Workers:
    """The interface of a sweep to its executor.

    Parameters
    ----------
    executor : None (this process), an object with submit(), or a factory of one, by which a broken executor is replaced.

    Raises
    ------
    Misuse : `executor` is none of these.
    """

    def __init__(self, executor: Executor | Callable[[], Executor] | None) -> None:
        factory = executor if callable(executor) and not hasattr(executor, "submit") else None
        if executor is not None and factory is None and not hasattr(executor, "submit"):
            raise Misuse(f"executor must have submit(), as those of concurrent.futures have, or be a function that returns one, "
                         f"not {executor!r}")
        self._factory = factory
        self._executor: Any = InProcess() if executor is None else _adapt(factory() if factory is not None else executor)
        self._own = executor is None or factory is not None

    @property
    def local(self) -> bool:
        """Whether the work is done in this process."""
        return isinstance(self._executor, InProcess | ThreadPoolExecutor)

    @property
    def here(self) -> bool:
        """Whether the work is done on this machine, by threads or processes that do not inherit this process's memory by a fork."""
        return isinstance(self._executor, InProcess | ThreadPoolExecutor | Processes)

    @property
    def in_flight(self) -> int:
        """The largest number of pieces of work that are submitted at once."""
        if hasattr(self._executor, "in_flight"):
            return int(self._executor.in_flight)
        return 2 * (getattr(self._executor, "_max_workers", None) or os.cpu_count() or 1)

    @property
    def batch(self) -> int:
        """The number of tiles in a piece of work."""
        return int(getattr(self._executor, "batch", 1))

    def record_time(self, seconds: float, tiles: int) -> None:
        """Pass on how long a piece of work of so many tiles took, submission and result included."""
        if hasattr(self._executor, "record_time"):
            self._executor.record_time(seconds, tiles)

    @property
    def apart(self) -> bool:
        """Whether a worker that dies takes only its own piece of work with it."""
        return bool(getattr(self._executor, "apart", False))

    @property
    def lost(self) -> bool:
        """Whether the executor as a whole has ended, so that its pending work never finishes."""
        return bool(getattr(self._executor, "lost", False))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Submit a piece of work; return its future, with done() and result()."""
        try:
            return self._executor.submit(function, *arguments)
        except RuntimeError as error:         # it broke between two pieces of work (a BrokenExecutor), or was shut down
            future: Future[Any] = Future()
            future.set_exception(error if isinstance(error, BrokenExecutor) else BrokenExecutor(str(error)))
            return future

    def wait(self, pending: Collection[Any], patience: float) -> list[Any]:
        """Return the futures that are done, after waiting for the first one for at most `patience` seconds."""
        ready = [f for f in pending if f.done()]
        if ready or not pending:
            return ready
        if all(isinstance(f, Future) for f in pending):
            return list(futures.wait(pending, timeout=patience, return_when=futures.FIRST_COMPLETED).done)
        time.sleep(min(patience, POLL))
        return [f for f in pending if f.done()]

    def find_losses(self, pending: Collection[Any]) -> list[Any]:
        """Return the futures that the executor no longer holds, so that they never end; none where it cannot be queried."""
        if not hasattr(self._executor, "find_losses"):
            return []
        return list(self._executor.find_losses(pending))

    def renew(self) -> bool:
        """Replace an executor that broke; return False if it cannot be replaced."""
        if self.apart and not self.lost:
            return True
        if self._factory is None:
            return False
        self.close([])
        self._executor = _adapt(self._factory())
        return True

    def close(self, pending: Iterable[Any]) -> None:
        """Cancel what is pending, and end the workers that were started for the sweep, without waiting for their work."""
        for future in pending:
            with contextlib.suppress(Exception):
                future.cancel()
        if not self._own:
            return
        if hasattr(self._executor, "close"):
            self._executor.close()
        else:
            self._executor.shutdown(wait=False, cancel_futures=True)


class InProcess:
    """An executor that does the work in this process, when it is submitted."""

    in_flight, apart = 1, True

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do a piece of work; return its future, which is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Do nothing: there are no workers to end."""


def _adapt(executor: Any) -> Any:
    """Return an object with submit(); in the place of Dask's own executor, which can lose a task, one that cannot."""
    if not hasattr(executor, "submit"):
        raise Misuse(f"executor must be a function that returns an object with submit(), but it returned {executor!r}")
    if type(executor).__name__ == "ClientExecutor":
        from validation.sweeping.clusters import DaskTasks

        return DaskTasks(executor._client)
    return executor


def is_worker_loss(error: BaseException) -> bool:
    """Return whether an error means that a worker was lost, and not that its work failed."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ in LOST


def check_workers(name: str, count: Any) -> int:
    """Return a number of worker processes on this machine, or raise `Misuse` if it is no whole number above zero or memory is too small."""
    number = whole(name, count, most=MOST_WORKERS)
    check_memory(name, number, WORKER * number)
    return number


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
