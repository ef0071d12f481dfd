"""Who measures the tiles: this process, others of this machine, a Dask cluster, a Slurm queue, all behind one face; knows no model.

The engines are `concurrent.futures`, `distributed` and `submitit`. The face is `Workers`: submit, finished, renew, close.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from validation.arguments import Misuse, whole
from validation.sweeping.process_pool import Processes

# what the engines raise for work that was lost with its worker, by name: they are not imported to be told apart
LOST = {"KilledWorker", "CommClosedError", "FutureCancelledError", "FuturesCancelledError", "UncompletedJobError", "FailedJobError"}
POLL = 0.2      # seconds between looks at jobs that do not tell when they are done


def processes(workers: int | None = None, gpus: int | None = None) -> Callable[[], Processes]:
    """Return a factory of processes on this machine, each with one thread.

    Parameters
    ----------
    workers : how many; None: one a core, or one a GPU.
    gpus : how many GPUs to share out, in turn, one to a worker; None: the workers see them all.

    Raises
    ------
    Misuse : a number that is not whole and above zero.
    """
    if gpus is not None:
        whole("gpus", gpus)
    count = whole("workers", workers) if workers is not None else gpus or cores()
    return lambda: Processes(count, gpus)


def dask(address: str | None = None, workers: int | None = None) -> Callable[[], Any]:
    """Return a factory of an executor on a Dask cluster (extra ``cluster``).

    Parameters
    ----------
    address : of a scheduler, such as "tcp://10.0.0.1:8786"; None: a cluster on this machine, for as long as the sweep lasts.
    workers : of the cluster on this machine; None: one a core.

    Raises
    ------
    Misuse : Dask is not installed, or (from the factory) nobody answers at the address.
    """
    if address is not None and workers is not None:
        raise Misuse("workers must be left out where an address is given: that cluster has its own")
    count = whole("workers", workers) if workers is not None else cores()
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise Misuse("executor dask needs the extra cluster: pip install 'lazyrich[cluster]'") from None

    def connected() -> Any:
        from validation.sweeping.clusters import DaskCluster

        return DaskCluster(address, count)

    return connected


def slurm(folder: str | os.PathLike[str], tiles_per_job: int = 16, jobs: int = 64, cluster: str = "slurm",
          **parameters: Any) -> Callable[[], Any]:
    """Return a factory of an executor whose jobs a Slurm queue runs, by `submitit` (extra ``cluster``).

    Parameters
    ----------
    folder : for the jobs' logs and results; on a file system that all machines see.
    tiles_per_job : tiles handed over as one job: a job takes half a second to start, or minutes in the queue.
    jobs : in the queue at once, at most.
    cluster : "slurm", or "local": processes of this machine in the same manner.
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

    def queue() -> Any:
        from validation.sweeping.clusters import JobQueue

        return JobQueue(Path(folder), tiles_per_job, jobs, cluster, parameters)

    return queue


class Workers:
    """The one face of all executors.

    Parameters
    ----------
    executor : None (this process), an object with submit(), or a factory of one, by which a broken executor is replaced.

    Raises
    ------
    Misuse : neither of them.
    """

    def __init__(self, executor: Any) -> None:
        factory = executor if callable(executor) and not hasattr(executor, "submit") else None
        if executor is not None and factory is None and not hasattr(executor, "submit"):
            raise Misuse(f"executor must have submit(), as those of concurrent.futures have, or be a function that makes one, "
                         f"not {executor!r}")
        self._factory = factory
        self._executor: Any = Here() if executor is None else factory() if factory is not None else executor
        self._own = executor is None or factory is not None
        if not hasattr(self._executor, "submit"):
            raise Misuse(f"executor must be a function that makes an object with submit(), but it made {self._executor!r}")

    @property
    def here(self) -> bool:
        """Whether the work stays in this process."""
        return isinstance(self._executor, Here | ThreadPoolExecutor)

    @property
    def in_flight(self) -> int:
        """How many pieces of work to hand over at once, at most."""
        if hasattr(self._executor, "in_flight"):
            return int(self._executor.in_flight)
        if hasattr(self._executor, "_client"):                  # distributed's ClientExecutor
            return 2 * max(1, sum(self._executor._client.nthreads().values()))
        return 2 * (getattr(self._executor, "_max_workers", None) or os.cpu_count() or 1)

    @property
    def batch(self) -> int:
        """How many tiles make a piece of work."""
        return int(getattr(self._executor, "batch", 1))

    def heed(self, seconds: float, tiles: int) -> None:
        """Tell the executor how long a piece of work of so many tiles took, from hand to hand."""
        if hasattr(self._executor, "heed"):
            self._executor.heed(seconds, tiles)

    @property
    def apart(self) -> bool:
        """Whether a worker that dies takes only its own piece of work with it."""
        return bool(getattr(self._executor, "apart", hasattr(self._executor, "_client")))

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Hand over a piece of work; return its future, with done() and result()."""
        try:
            return self._executor.submit(function, *arguments)
        except BrokenExecutor as error:         # it broke between two pieces of work
            future: Future[Any] = Future()
            future.set_exception(error)
            return future

    def finished(self, pending: Collection[Any], patience: float) -> list[Any]:
        """Return those futures that are done, waiting for the first for at most `patience` seconds."""
        ready = [f for f in pending if f.done()]
        if ready or not pending:
            return ready
        if all(isinstance(f, Future) for f in pending):
            return list(wait(pending, timeout=patience, return_when=FIRST_COMPLETED).done)
        time.sleep(min(patience, POLL))
        return [f for f in pending if f.done()]

    def renew(self) -> bool:
        """Replace an executor that broke; return whether that could be done, or need not be."""
        if self.apart and not getattr(self._executor, "lost", False):
            return True
        if self._factory is None:
            return False
        self.close([])
        self._executor = self._factory()
        return True

    def close(self, pending: Iterable[Any]) -> None:
        """Call off what is pending, and end the workers that were made for the sweep, without waiting for their work."""
        for future in pending:
            with contextlib.suppress(Exception):
                future.cancel()
        if not self._own:
            return
        if hasattr(self._executor, "close"):
            self._executor.close()
        else:
            self._executor.shutdown(wait=False, cancel_futures=True)


class Here:
    """Work done by this process, when it is submitted."""

    in_flight, apart = 1, True

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do it."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """There is nobody to be sent home."""


def lost(error: BaseException) -> bool:
    """Return whether an error says that a worker was lost, and not that its work went wrong."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ in LOST


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
