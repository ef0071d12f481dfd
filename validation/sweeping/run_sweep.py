"""Sweep an experiment over a plane, tile by tile, in memory or into a store, with any executor."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, whole
from validation.executors import Executor, Workers
from validation.experiment import Experiment, as_experiment, name_experiment, read_rules
from validation.plane import Plane
from validation.portrait import VARIABLES
from validation.progress import Progress
from validation.provenance import collect_provenance
from validation.storage.atomic import lock, resolve_target
from validation.storage.attributes import as_json
from validation.storage.memory_store import MemoryStore
from validation.storage.overwriting import restore
from validation.storage.resume import extend, open_store, select_points
from validation.storage.tiles import Layout, Status
from validation.storage.zarr_store import StoreReplaced, ZarrStore, has_runs
from validation.sweeping.scheduler import Round
from validation.user_warnings import warn_user


class TilesFailed(UserWarning):
    """Some tiles failed; the rest of the portrait is measured."""


def sweep(experiment: Experiment, plane: Plane, store: str | os.PathLike[str] | None = None,
          executor: Executor | Callable[[], Executor] | None = None, progress: bool | Callable[[Progress], None] = False,
          retry_failed: bool = False, points: np.ndarray | None = None, known: xr.Dataset | None = None,
          overwrite: bool = False) -> xr.Dataset:
    """Train an experiment over a plane and return its portrait.

    Parameters
    ----------
    experiment : an `Experiment`, or an object with its methods `describe` and `measure`. It is measured tile by tile and, if it has
        ``seeds``, one seed at a time.
    plane : which gammas and rates.
    store : a folder to which every tile is written as soon as it is measured. Safe to interrupt: the same call resumes, and with a
        larger plane or more seeds it measures what is new. None: in memory only, and an exception of the experiment is raised.
    executor : None (this process, one tile after the other), an object with submit() such as those of `concurrent.futures`, or a
        function that returns one, by which a broken one is replaced: see `validation.executors`.
    progress : True for a bar, or lines where there is no terminal; or a function that is called with a `validation.progress.Progress`.
    retry_failed : whether tiles that failed earlier are measured again.
    points : bool, of the plane's shape: the points to be measured, the others stay unrun; None: all.
    known : without a store, a portrait of what has been measured, on a part of the plane.
    overwrite : whether a portrait of another experiment or plane in `store` is replaced. It is renamed, and removed when the first
        tile is written; it is put back if the sweep ends before.

    Returns
    -------
    Dataset : the portrait; its attributes hold the experiment's description and digest, rho, versions, revision, dtype, device, and
        the tiles' ``failures`` (a JSON list), if any run failed.

    Raises
    ------
    Misuse : an argument is not allowed, a measurement is no portrait, or the store is another experiment's or cannot be written.

    Warns
    -----
    TilesFailed : tiles raised twice, or three workers died of them; their outcome is ``failed``.
    TilesDamaged : tiles of the store were damaged; they were measured again.
    """
    experiment = as_experiment(experiment)
    if not isinstance(plane, Plane):
        raise Misuse(f"plane must be a validation.Plane, not {plane!r}")
    layout = Layout(plane, experiment.tile, _check_seeds(experiment.seeds))
    variables = _check_variables(experiment.variables)
    target_path = None if store is None else resolve_target("store", store)
    workers, pending = Workers(executor), {}        # type: ignore[var-annotated]
    # an existing store is opened first: where it is complete, nothing is trained
    unchecked = workers.here
    if unchecked and (target_path is None or not target_path.exists()):
        experiment.check()
        unchecked = False
    attrs = name_experiment(experiment.describe()) | {"plane": plane.digest} | collect_provenance()
    opened = False
    try:
        with terminable() as repeat_interrupt:
            while True:
                if target_path is None:
                    target: MemoryStore | ZarrStore = MemoryStore(layout, attrs, None if known is None else extend(known, layout))
                else:
                    target = open_store(target_path, layout, as_json(read_rules(experiment) | attrs), overwrite and not opened, variables)
                    opened = True
                try:
                    lacking = Round(experiment, layout, points, target, workers, pending, retry_failed, unchecked)
                    lacking.measure(progress, repeat_interrupt)
                    return _finish(target, layout, attrs)
                except StoreReplaced:       # by another process, with a larger plane or more seeds
                    for future in pending:
                        future.cancel()
                    pending.clear()
    except BaseException:
        if opened and overwrite and target_path is not None:
            with lock(target_path):
                restore(target_path, has_runs)
        raise
    finally:
        workers.close(pending)


def _check_seeds(seeds: Any) -> tuple[int, ...] | None:
    """Return the seeds of an experiment that are measured one at a time."""
    if seeds is None:
        return None
    try:
        found = tuple(whole("seeds", s, least=0) for s in seeds)
    except TypeError:
        found = ()
    if not found or len(set(found)) < len(found):
        raise Misuse(f"experiment's seeds must be one or more different whole numbers, not {seeds!r}")
    return found


def _check_variables(variables: Any) -> tuple[str, ...]:
    """Return the variables with which a store is created, beside the required ones."""
    names = (variables,) if isinstance(variables, str) else variables
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name in VARIABLES for name in names):
        raise Misuse(f"experiment's variables must be names of {', '.join(VARIABLES)}, not {variables!r}")
    return tuple(names)


def _finish(store: MemoryStore | ZarrStore, layout: Layout, attrs: dict[str, Any]) -> xr.Dataset:
    """Return what was requested, and warn of failed tiles."""
    if isinstance(store, MemoryStore):
        return select_points(store.portrait(), layout)
    portrait, damaged = store.load()
    if damaged:
        raise Misuse(f"{store.path} was damaged while it was swept: {'; '.join(damaged.values())}; the same call measures it again")
    failed = [key for key in store.layout if store.status(key) == Status.FAILED]
    if failed:
        warn_user(f"{len(failed)} of {int(np.prod(store.layout.shape))} tiles failed; validation.sweep_status({str(store.path)!r}) "
                      "lists their tracebacks, and sweep(..., retry_failed=True) measures them again", TilesFailed)
        portrait.attrs["tiles_failed"] = len(failed)
    return select_points(portrait, layout).assign_attrs({k: attrs[k] for k in ("description", "digest", "plane")})


@contextmanager
def terminable() -> Iterator[Callable[[], None]]:
    """Turn SIGTERM into the KeyboardInterrupt that Ctrl-C gives, so that both end a sweep in the same way.

    Yields
    ------
    A function that raises it once more if one has come: a destructor or a library may have swallowed it.
    """
    came = False

    def interrupt(number: int, frame: Any) -> None:
        nonlocal came
        came = True
        former = before[signal.Signals(number)]
        if callable(former):
            former(number, frame)
        raise KeyboardInterrupt

    def repeat_interrupt() -> None:
        if came:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield repeat_interrupt
        return
    # where Ctrl-C is ignored, it stays so
    handled = [n for n in (signal.SIGINT, signal.SIGTERM) if n == signal.SIGTERM or callable(signal.getsignal(n))]
    before = {number: signal.getsignal(number) for number in handled}
    try:
        for number in handled:
            signal.signal(number, interrupt)
        yield repeat_interrupt
    finally:
        for number, former in before.items():
            signal.signal(number, former)
