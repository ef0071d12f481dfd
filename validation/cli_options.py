"""What a command line says of how a plane is swept: who measures, where it is kept, how finely; one record for all commands."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import xarray as xr

from validation.arguments import Misuse, whole
from validation.experiment import digest
from validation.plane import Plane
from validation.storage.files import check_writable
from validation.storage.resume import check_experiment
from validation.storage.zarr_metadata import as_json, read_attrs
from validation.storage.zarr_store import ZarrStore


def _read_whole(kind: Any, tokens: Any) -> int:
    """Return a whole number, and nothing else: the parser's own reading rounds 2.5 to 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"it must be a whole number, not {tokens[0].value!r}") from None


try:
    from cyclopts import Parameter

    Whole = Annotated[int, Parameter(converter=_read_whole)]
except ImportError:      # argparse reads whole numbers as it should
    Whole = int          # type: ignore[misc]


@dataclass(frozen=True)
class SweepOptions:
    """How a plane is swept.

    Parameters
    ----------
    workers
        Processes of this machine that share the tiles out; 1 is this process alone.
    cluster
        A Dask scheduler's address, such as tcp://10.0.0.1:8786, or local for a cluster on this machine.
    refine
        How often the resolution is doubled near the edges, and only there.
    retry_failed
        Measure the tiles again that an earlier sweep gave up.
    overwrite
        Replace a portrait of another experiment or plane that lies in the way.
    """

    workers: Whole | None = None
    cluster: str | None = None
    refine: Whole = 0
    retry_failed: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None:
            whole("workers", self.workers)
            if self.cluster not in (None, "local"):
                raise Misuse(f"workers must be left out where cluster is an address: {self.cluster} has its own")
        if whole("refine", self.refine, 0) > 6:
            raise Misuse(f"refine must be at most 6 (64 times as fine), not {self.refine}")
        if self.cluster is not None and self.cluster != "local" and "://" not in self.cluster:
            raise Misuse(f"cluster must be 'local' or a scheduler's address such as tcp://10.0.0.1:8786, not {self.cluster!r}")

    def executor(self, workers: int = 1) -> Any:
        """Return who measures, as `validation.sweep` takes it; `workers` processes where nothing is said."""
        from validation.executors import dask, processes

        if self.cluster is not None:
            return dask(None if self.cluster == "local" else self.cluster, self.workers)
        count = workers if self.workers is None else self.workers
        return processes(count) if count > 1 else None

    @property
    def elsewhere(self) -> bool:
        """Whether the user asks for other processes than this one."""
        return self.cluster is not None or (self.workers or 1) > 1

    def check(self, experiment: Any, target: Path) -> None:
        """Refuse what cannot be trained, a folder that cannot be written, another experiment's portrait in the way, by its metadata alone.

        What reads more would start zarr's threads; this may come before a fork.
        """
        if self.cluster in (None, "local") and not target.exists():
            experiment.check()
        check_writable(target.parent)
        if target.exists() and not self.overwrite:
            description = experiment.describe()
            with remedied():
                check_experiment(target, read_attrs(target), {"description": json.dumps(description), "digest": digest(description)})

    def run(self, experiment: Any, plane: Plane, target: Path, progress: bool, workers: int = 1,
            attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
        """Sweep into the store `target`, going on with what is there, and return the portrait.

        Parameters
        ----------
        experiment, plane : see `validation.sweep`; the plane is the coarse one of a refined sweep.
        target : the store.
        progress : whether to show it.
        workers : processes, where the user says nothing of them.
        attrs : more of them, for the portrait and its store.

        Raises
        ------
        Misuse : the store is another experiment's, or its plane is not part of this one, and `overwrite` is not given.
        """
        from validation.sweeping.refinement import refined_sweep
        from validation.sweeping.run_sweep import TilesFailed, sweep

        if self.overwrite:
            _clear(target, digest(experiment.describe()), None if self.refine else plane.digest)
        kept = {"store": target, "executor": self.executor(workers), "progress": progress, "retry_failed": self.retry_failed}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TilesFailed)      # the command's last line tells it, with its own remedy
            with remedied():
                portrait = refined_sweep(experiment, plane, self.refine, **kept) if self.refine else sweep(experiment, plane, **kept)
        if attrs and "store_version" in read_attrs(target):
            ZarrStore(target).add(as_json(dict(attrs)))
        return portrait.assign_attrs(attrs or {})


def failed_tiles(portrait: xr.Dataset, target: Path) -> bool:
    """Return whether tiles of a sweep were given up, after saying how many, and how to measure only those again."""
    count = int(portrait.attrs.get("tiles_failed", 0))
    if count:
        print(f"lazyrich: {count} tiles failed; `lazyrich sweep status {target}` tells why, and the same command with --retry-failed "
              "measures them again", file=sys.stderr)
    return bool(count)


def _clear(target: Path, experiment: str, plane: str | None) -> None:
    """Remove a portrait that is another experiment's or plane's; anything that is no portrait is left as it is."""
    if not target.exists():
        return
    stored = read_attrs(target)
    if stored.get("digest") != experiment or (plane is not None and stored.get("plane") != plane):
        shutil.rmtree(target)


@contextmanager
def remedied() -> Iterator[None]:
    """Tell whoever is refused a store what to do about it on a command line."""
    try:
        yield
    except Misuse as error:
        if str(error).endswith("choose another store"):
            raise Misuse(f"{str(error).removesuffix('store')}folder with --out, or replace it with --overwrite") from error
        raise
