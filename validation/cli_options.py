"""Options of the command lines for sweeping a plane: executor, refinement, resuming."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse, axis, whole
from validation.executors import check_workers, dask, processes
from validation.experiment import Experiment, name_experiment
from validation.plane import Plane
from validation.printable import print_text
from validation.storage.attributes import as_json
from validation.storage.files import check_writable, refuse_other
from validation.storage.resume import check_experiment
from validation.storage.zarr_metadata import read_attrs
from validation.storage.zarr_store import ZarrStore
from validation.whole_numbers import Whole

SMALLEST, LARGEST = 1e-290, 1e290        # of gamma and eta: figures reach beyond them


def check_range(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    """Return the first and the last value of an axis of the command line, which figures must be able to show; or raise `Misuse`."""
    low, high = axis(name, ends)
    if low < SMALLEST or high > LARGEST:
        raise Misuse(f"{name} must lie between {SMALLEST:g} and {LARGEST:g}, not between {low:g} and {high:g}")
    return float(low), float(high)


@dataclass(frozen=True)
class SweepOptions:
    """How a plane is swept.

    Parameters
    ----------
    workers
        Processes on this machine that measure the tiles; 1 uses this process alone.
    cluster
        The address of a Dask scheduler, such as tcp://10.0.0.1:8786, or local for a cluster on this machine.
    refine
        How many times the resolution is doubled near the edges.
    retry_failed
        Measure the tiles again that failed in an earlier sweep.
    overwrite
        Overwrite an existing portrait of a different experiment or plane.
    """

    workers: Whole | None = None
    cluster: str | None = None
    refine: Whole = 0
    retry_failed: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None:
            check_workers("workers", self.workers)
            if self.cluster not in (None, "local"):
                raise Misuse(f"workers must be left out where cluster is an address: {self.cluster} has its own")
        if whole("refine", self.refine, 0) > 6:
            raise Misuse(f"refine must be at most 6 (64 times as fine), not {self.refine}")
        if self.cluster is not None and self.cluster != "local" and "://" not in self.cluster:
            raise Misuse(f"cluster must be 'local' or a scheduler's address such as tcp://10.0.0.1:8786, not {self.cluster!r}")

    def executor(self, workers: int = 1) -> Callable[[], Any] | None:
        """Return the executor of `validation.sweep`; `workers` is the number of processes if the command line gives none."""
        if self.cluster is not None:
            return dask(None if self.cluster == "local" else self.cluster, self.workers)
        count = workers if self.workers is None else self.workers
        return processes(count) if count > 1 else None

    @property
    def uses_other_processes(self) -> bool:
        """Whether the command line requests processes other than this one."""
        return self.cluster is not None or (self.workers or 1) > 1

    def check(self, experiment: Experiment, target: Path) -> None:
        """Refuse what cannot be trained, a folder that cannot be written, and the portrait of another experiment at `target`.

        Only the store's metadata are read: reading arrays would start zarr's threads, and a fork may follow.
        """
        if self.cluster in (None, "local") and not target.exists():
            experiment.check()
        check_writable(target.parent)
        if target.exists() and self.overwrite:
            refuse_other(target)
        elif target.exists():
            with name_options():
                check_experiment(target, read_attrs(target), name_experiment(experiment.describe()))

    def run(self, experiment: Experiment, plane: Plane, target: Path, progress: bool, workers: int = 1,
            attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
        """Sweep into the store `target`, resuming an earlier sweep, and return the portrait.

        Parameters
        ----------
        experiment, plane : see `validation.sweep`; the plane is the coarse one of a refined sweep.
        target : the store.
        progress : whether to show it.
        workers : the number of processes if the command line gives none.
        attrs : further attributes of the portrait and its store.

        Raises
        ------
        Misuse : the store is another experiment's, or its plane is not part of this one, and `overwrite` is not given.
        """
        from validation.sweeping.refinement import refined_sweep
        from validation.sweeping.run_sweep import TilesFailed, sweep

        how: dict[str, Any] = {"store": target, "executor": self.executor(workers), "progress": progress, "retry_failed": self.retry_failed,
                               "overwrite": self.overwrite}
        with warnings.catch_warnings(), name_options():
            warnings.simplefilter("ignore", TilesFailed)      # reported by `report_failed_tiles`
            portrait = refined_sweep(experiment, plane, self.refine, **how) if self.refine else sweep(experiment, plane, **how)
        add_attrs(target, attrs or {})
        return portrait.assign_attrs(attrs or {})


def add_attrs(target: Path, attrs: Mapping[str, Any]) -> None:
    """Add attributes to a store that a sweep has written; a portrait that was saved whole stays as it is."""
    if attrs and "store_version" in read_attrs(target):
        ZarrStore(target).add(as_json(dict(attrs)))


def report_failed_tiles(portrait: xr.Dataset, target: Path) -> bool:
    """Print how many tiles of a sweep failed, and how to measure them again; return whether any did."""
    count = int(portrait.attrs.get("tiles_failed", 0))
    if count:
        print_text(f"lazyrich: {count} tiles failed; `lazyrich sweep status {target}` prints why, and the same command with "
                   "--retry-failed measures them again", sys.stderr)
    return bool(count)


@contextmanager
def name_options() -> Iterator[None]:
    """Let the error message of a refused store name the options of the command line that help."""
    try:
        yield
    except Misuse as error:
        if str(error).endswith("choose another store"):
            raise Misuse(f"{str(error).removesuffix('store')}folder with --out, or replace it with --overwrite") from error
        raise
