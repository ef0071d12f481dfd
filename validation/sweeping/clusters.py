"""Executors on clusters: Dask's, by `distributed`, and Slurm's, by `submitit`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.interrupts import block_interrupts
from validation.printable import print_text

PATIENCE = 20.0     # seconds for a scheduler to answer
TASK = 0.2          # seconds of work that are worth a Dask task; no more than that is lost with a worker
MOST = 16           # tiles a task
CHECK = 5.0         # seconds between two checks of a cluster's workers
HELD = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "REQUEUE", "RESIZING", "SUSPENDED", "STAGE_OUT", "SIGNALING", "STOPPED", "READY")
ABSENCE = 60.0      # seconds without any worker after which a cluster of this machine is replaced


class DaskTasks:
    """Tasks for a Dask cluster, by its client."""

    apart = True            # Dask runs the tasks of a dead worker again elsewhere, and raises KilledWorker for one that killed several

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checked = -CHECK
        self._threads = 1
        self._tasks: dict[Future[Any], Any] = {}
        self.batch = 1

    @property
    def in_flight(self) -> int:
        """Two tasks a thread: one that runs, one that waits at the worker."""
        self._check_workers()
        return 2 * max(1, self._threads)

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone."""
        self._check_workers()
        return bool(self._client.status != "running")

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Submit a task."""
        task = self._client.submit(function, *arguments, pure=False)
        future = asyncio.run_coroutine_threadsafe(self._fetch(task), self._client.loop.asyncio_loop)
        self._tasks = {f: t for f, t in self._tasks.items() if not f.done()} | {future: task}
        return future

    def find_losses(self, pending: Collection[Any]) -> list[Any]:
        """Return the futures whose tasks nobody runs: the scheduler does not have them, or its workers do not have what it sent them.

        A worker that is killed while it connects, or while a task is on its way, can leave a task that the scheduler takes for
        running, or that waits in a queue without anything that would empty it.
        """
        keys = {self._tasks[f].key: f for f in pending if f in self._tasks}
        try:
            query = asyncio.run_coroutine_threadsafe(self._query(list(keys)), self._client.loop.asyncio_loop)
            states, tasks_at = query.result(timeout=PATIENCE)
        except Exception:       # the cluster is changing, or a worker does not answer: the next query may succeed
            return []
        return [future for key, future in keys.items() if _is_nowhere(key, *states.get(key, ("absent", "")), tasks_at)]

    async def _query(self, keys: list[str]) -> tuple[dict[str, tuple[str, str]], dict[str, list[str]]]:
        """Return where the scheduler takes tasks to be, and what each worker has."""
        states = await self._client.run_on_scheduler(_find_states, keys=keys)
        return states, await self._client.run(_list_tasks, on_error="ignore")

    async def _fetch(self, task: Any) -> Any:
        """Wait for a task and return its result.

        The executor of `distributed` does the same, but where a result is lost with its worker and the second run of the task fails, it
        never completes its future. Here every error becomes the future's.
        """
        return await self._client.gather(task, asynchronous=True)

    def record_time(self, seconds: float, tiles: int) -> None:
        """Take note of how long a task of so many tiles took, submission and result included: short tiles are sent several at once."""
        self.batch = max(1, min(MOST, 2 * self.batch, round(TASK * tiles / max(seconds, 1e-3))))

    def close(self) -> None:
        """Leave the client to its owner."""

    def _check_workers(self) -> None:
        """Count the workers' threads, every `CHECK` seconds."""
        if time.monotonic() - self._checked > CHECK:
            self._checked = time.monotonic()
            with contextlib.suppress(Exception):
                self._threads = sum(self._client.nthreads().values())
                self._replace_missing()

    def _replace_missing(self) -> None:
        """Start workers in the place of missing ones, where that is up to this process."""


def _list_tasks(dask_worker: Any) -> list[str]:
    """Return the keys of the tasks that a worker runs or is to run."""
    if dask_worker.status.name != "running":
        return [dask_worker.status.name]        # it takes no tasks, and is not idle
    return [str(key) for key, task in dask_worker.state.tasks.items() if task.state not in ("memory", "released", "forgotten", "error")]


def _find_states(dask_scheduler: Any, keys: list[str]) -> dict[str, tuple[str, str]]:
    """Return what the scheduler takes the state of tasks to be, and the address of the worker that runs each."""
    tasks = {key: dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks}
    return {key: (task.state, task.processing_on.address if task.processing_on else "") for key, task in tasks.items()}


def _is_nowhere(key: str, state: str, worker: str, tasks_at: dict[str, list[str]]) -> bool:
    """Return whether a task is nowhere: absent, done without an answer, with a worker that does not have it, or queued beside idle ones."""
    if state == "processing":
        return key not in tasks_at.get(worker, [])
    if state in ("queued", "no-worker", "waiting"):
        return any(not tasks for tasks in tasks_at.values())
    return True


class DaskCluster(DaskTasks):
    """A running Dask cluster, or one of processes on this machine for as long as it is used.

    Parameters
    ----------
    address : of a scheduler; None: a cluster on this machine.
    workers : the number of its processes.

    Raises
    ------
    Misuse : no scheduler answers at the address.
    """

    def __init__(self, address: str | None, workers: int) -> None:
        from distributed import Client, LocalCluster

        self._cluster, self._workers, self._populated = None, workers, time.monotonic()
        if address is None:
            # the dashboard would need a port of its own, and bokeh
            thread = ThreadPoolExecutor(1, initializer=block_interrupts)
            starting = thread.submit(LocalCluster, n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                                     silence_logs=logging.CRITICAL)
            thread.shutdown(wait=False)
            try:
                self._cluster = starting.result()
            except BaseException:       # interrupted: nobody waits for it
                starting.add_done_callback(lambda future: future.result().close())
                raise
        else:
            print_text(f"connecting to {address} (for at most {PATIENCE:g} s)", sys.stderr, flush=True)
        try:
            super().__init__(Client(self._cluster or address, timeout=PATIENCE, set_as_default=False))
        except (OSError, ValueError) as error:
            raise Misuse(f"address must be that of a running Dask scheduler, such as tcp://10.0.0.1:8786, not {address!r}: "
                         f"{error}") from error

    @property
    def lost(self) -> bool:
        """Whether the scheduler is gone, or a cluster of this machine has been without workers for `ABSENCE` seconds."""
        return super().lost or (self._cluster is not None and time.monotonic() - self._populated > ABSENCE)

    def close(self) -> None:
        """Leave the cluster; end one of this machine."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=5)

    def _replace_missing(self) -> None:
        if self._threads > 0:
            self._populated = time.monotonic()
        if self._cluster is not None and self._threads < self._workers:
            # a local cluster drops a worker for good if its restart takes longer than 15 s; this starts another one in its place
            self._cluster.scale(self._workers)


class JobQueue:
    """A queue of jobs, each of several tiles.

    Parameters
    ----------
    folder : for logs and results.
    batch : tiles a job.
    in_flight : jobs in the queue at once, at most.
    cluster : "slurm" or "local".
    parameters : of `submitit.AutoExecutor`.

    Raises
    ------
    Misuse : the queue does not exist, or has no such parameter.
    """

    apart = True

    def __init__(self, folder: Path, batch: int, in_flight: int, cluster: str, parameters: dict[str, Any]) -> None:
        import submitit

        self.batch, self.in_flight = batch, in_flight
        try:
            self._engine = submitit.AutoExecutor(folder, cluster=cluster)
            self._engine.update_parameters(**parameters)
        except (RuntimeError, NameError, ValueError, TypeError, OSError) as error:
            raise Misuse(f"slurm: {error}") from error
        self._jobs: list[Job] = []

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Job:
        """Submit a job."""
        submitted = self._engine.submit(function, *arguments)
        if self._engine.cluster == "local":
            submitted._results_timeout_s = 0    # files on a local disk are visible at once
        job = Job(submitted)
        self._jobs = [j for j in self._jobs if not j.done()] + [job]
        return job

    def find_losses(self, pending: Collection[Any]) -> list[Any]:
        """Return the jobs that are not done and that the queue does not have, neither running nor waiting."""
        return [job for job in pending if isinstance(job, Job) and not job.done() and not job.is_in_queue()]

    def close(self) -> None:
        """Cancel the jobs that are not done."""
        for job in self._jobs:
            if not job.done():
                with contextlib.suppress(Exception):
                    job.cancel()


class Job:
    """A job of submitit, whose outcome is read once: for a lost job each reading waits 15 s for its file, and so would the sweep."""

    def __init__(self, job: Any) -> None:
        self._job = job
        self.done: Callable[[], bool] = job.done

    def is_in_queue(self) -> bool:
        """Return whether the queue has it; a queue that does not answer may."""
        try:
            state = str(self._job.watcher.get_state(self._job.job_id, mode="force")).upper()
        except Exception:
            return True
        return state.startswith(HELD)

    def cancel(self) -> None:
        """Cancel it."""
        self._job.cancel()

    def exception(self) -> Exception | None:
        """Return the exception it raised, or the one with which it was lost; None if it succeeded."""
        return self._outcome[1]

    def result(self) -> Any:
        """Return its value, or raise its exception."""
        value, error = self._outcome
        if error is not None:
            raise error
        return value

    @cached_property
    def _outcome(self) -> tuple[Any, Exception | None]:
        try:
            return self._job.result(), None
        except Exception as error:
            return None, error
