"""sweep(): the only loop over the tiles of a plane, whoever measures them and wherever they are kept; knows no model."""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.executors import Workers
from validation.experiment import as_experiment, checked, digest
from validation.plane import Plane
from validation.provenance import provenance
from validation.storage.memory_store import Held
from validation.storage.resume import extended, opened, part
from validation.storage.tiles import Layout, Status
from validation.storage.zarr_metadata import plain
from validation.storage.zarr_store import Growing, Moved
from validation.sweeping.scheduler import Round
from validation.sweeping.worker import seeds_of

TILE = (16, 16)      # of an experiment that does not say what it likes to be asked for at once


class TilesFailed(UserWarning):
    """Some tiles were given up; the rest of the portrait is there."""


def sweep(experiment: Any, plane: Plane, store: str | os.PathLike[str] | None = None, executor: Any = None,
          progress: bool | Callable[..., None] = False, retry_failed: bool = False) -> xr.Dataset:
    """Train an experiment over a plane and return its portrait.

    Parameters
    ----------
    experiment : an `Experiment`; its ``tile`` (rows, columns), if it has one, is the piece asked for at once. One with ``seeds`` that is
        a dataclass, or has ``with_seeds(seeds)``, is asked for one seed at a time.
    plane : which gammas and rates.
    store : a folder that keeps every tile as soon as it is done. Killed at any moment, the same call goes on from there; with a larger
        plane or more seeds it measures what is new. None: kept in memory only, and what the experiment raises is raised.
    executor : who measures: None (this process, one tile after the other), an object with submit() such as those of
        `concurrent.futures`, or a function that makes one, by which a broken one is replaced: see `validation.executors`.
    progress : True for a bar, or lines where there is no terminal; or a function that is called with a `validation.progress.Progress`.
    retry_failed : whether tiles that were given up earlier are measured again.

    Returns
    -------
    Dataset : the portrait; its attributes hold the experiment's description and digest, rho, versions, revision, dtype, device, and
        the tiles' ``failures`` (a JSON list), if any run failed.

    Raises
    ------
    Misuse : an argument that is not allowed, a measurement that breaks the portrait's contract, a store that is another experiment's or
        cannot be written.

    Warns
    -----
    TilesFailed : tiles that raised twice, or that three workers died of, were given up; their outcome is ``failed``.
    TilesDamaged : tiles of the store were altered or cut off; they were measured again.
    """
    return sweep_points(experiment, plane, None, store, executor, progress, retry_failed)


def sweep_points(experiment: Any, plane: Plane, wanted: np.ndarray | None, store: str | os.PathLike[str] | None = None,
                 executor: Any = None, progress: bool | Callable[..., None] = False, retry_failed: bool = False,
                 known: xr.Dataset | None = None) -> xr.Dataset:
    """Sweep some points of a plane as `sweep` does; the others stay unrun.

    Parameters
    ----------
    experiment, plane, store, executor, progress, retry_failed : see `sweep`.
    wanted : bool, of the plane's shape; None: all.
    known : without a store, what has been measured already, on a part of the plane.
    """
    as_experiment(experiment)
    if not isinstance(plane, Plane):
        raise Misuse(f"plane must be a validation.Plane, not {plane!r}")
    if store is not None and executor is None and not Path(store).exists():
        checked(experiment)
    description = experiment.describe()
    attrs = {"description": json.dumps(description, sort_keys=True), "digest": digest(description), "plane": plane.digest} | provenance()
    layout = Layout(plane, getattr(experiment, "tile", TILE), seeds_of(experiment))
    workers, pending = Workers(executor), {}        # type: ignore[var-annotated]
    try:
        with terminable():
            while True:
                if store is None:
                    shelf: Held | Growing = Held(layout, attrs, None if known is None else extended(known, layout))
                else:
                    rules = experiment.rules() if callable(getattr(experiment, "rules", None)) else {}
                    shelf = opened(Path(store), layout, plain(rules | attrs))
                try:
                    Round(experiment, layout, wanted, shelf, workers, pending, retry_failed).measure(progress)
                    return _result(shelf, layout, attrs)
                except Moved:       # another process has given the store a larger plane, or more seeds
                    for future in pending:
                        future.cancel()
                    pending.clear()
    finally:
        workers.close(pending)


def _result(shelf: Held | Growing, layout: Layout, attrs: dict[str, Any]) -> xr.Dataset:
    """Return what was asked for, and warn of the tiles that were given up."""
    if isinstance(shelf, Held):
        return part(shelf.portrait(), layout)
    portrait, damaged = shelf.load()
    if damaged:
        raise Misuse(f"{shelf.path} was damaged while it was swept: {'; '.join(damaged.values())}; the same call measures it again")
    failed = [key for key in shelf.layout if shelf.status(key) == Status.FAILED]
    if failed:
        warnings.warn(f"{len(failed)} of {int(np.prod(shelf.layout.shape))} tiles failed; their tracebacks are told by "
                      f"validation.sweep_status({str(shelf.path)!r}), and sweep(..., retry_failed=True) measures them again",
                      TilesFailed, stacklevel=4)
        portrait.attrs["tiles_failed"] = len(failed)
    return part(portrait, layout).assign_attrs({k: attrs[k] for k in ("description", "digest", "plane")})


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into the KeyboardInterrupt that Ctrl-C gives, so that both end a sweep in the same way."""
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
