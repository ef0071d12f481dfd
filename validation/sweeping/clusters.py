"""Clusters that measure tiles: Dask's by `distributed`, Slurm's by `submitit`; knows no model."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from validation.arguments import Misuse

PATIENCE = 20.0     # seconds for a scheduler to answer
BRISK = 0.2         # seconds from hand to hand that are worth a message of Dask's; what is lost with a worker is no more than that
MOST = 16           # tiles a piece of work
COUNTED = 5.0       # seconds for which the number of workers is taken to stay


class DaskCluster:
    """A Dask cluster, given or made here.

    Parameters
    ----------
    address : of its scheduler; None: a cluster of so many processes on this machine.
    workers : their number.

    Raises
    ------
    Misuse : nobody answers at the address.
    """

    apart = True            # Dask hands the tiles of a dead worker to others; KilledWorker says that one tile killed several

    def __init__(self, address: str | None, workers: int) -> None:
        from distributed import Client, LocalCluster

        self._cluster = None
        if address is None:
            # the dashboard would want a port of its own, and bokeh
            self._cluster = LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None,
                                         silence_logs=logging.CRITICAL)
        try:
            self._client = Client(self._cluster or address, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise Misuse(f"address must be that of a running Dask scheduler, such as tcp://10.0.0.1:8786, not {address!r}: "
                         f"{error}") from error
        self._engine = self._client.get_executor(pure=False)
        self._counted = (0.0, 2)
        self.batch = 1

    @property
    def in_flight(self) -> int:
        """Two tiles a thread: one that is measured, one that waits at the worker."""
        if time.monotonic() - self._counted[0] > COUNTED:
            with contextlib.suppress(Exception):
                self._counted = time.monotonic(), 2 * max(1, sum(self._client.nthreads().values()))
        return self._counted[1]

    @property
    def lost(self) -> bool:
        """Whether the scheduler itself is gone."""
        return bool(self._client.status != "running")

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Hand over a piece of work."""
        return self._engine.submit(function, *arguments)

    def heed(self, seconds: float, tiles: int) -> None:
        """Hear how long a piece of work of so many tiles took, from hand to hand: short tiles go several at once."""
        self.batch = max(1, min(MOST, 2 * self.batch, round(BRISK * tiles / max(seconds, 1e-3))))

    def close(self) -> None:
        """Leave the cluster; end one that was made here."""
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=5)


class JobQueue:
    """A queue of jobs, each of several tiles.

    Parameters
    ----------
    folder : for logs and results.
    batch : tiles a job.
    in_flight : jobs in the queue at once.
    cluster : "slurm" or "local".
    parameters : of `submitit.AutoExecutor`.

    Raises
    ------
    Misuse : there is no such queue, or it has no such parameter.
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
        """Hand over a job."""
        made = self._engine.submit(function, *arguments)
        if self._engine.cluster == "local":
            made._results_timeout_s = 0         # a disk of this machine shows what was written at once
        job = Job(made)
        self._jobs = [j for j in self._jobs if not j.done()] + [job]
        return job

    def close(self) -> None:
        """Call off the jobs that are not done."""
        for job in self._jobs:
            if not job.done():
                with contextlib.suppress(Exception):
                    job.cancel()


class Job:
    """A job of submitit's, asked for its outcome once: each time it waits 15 s for the file of one that was lost, and the sweep with it."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def done(self) -> bool:
        """Return whether it has ended, in whatever way."""
        return bool(self._job.done())

    def cancel(self) -> None:
        """Call it off."""
        self._job.cancel()

    def exception(self) -> Exception | None:
        """Return what it raised, or how it was lost; None where it did its work."""
        return self._outcome[1]

    def result(self) -> Any:
        """Return its value, or raise what `exception` returns."""
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
