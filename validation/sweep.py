"""sweep(): the only loop over the tiles of a plane; knows no model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.experiment import as_experiment, digest
from validation.misuse import Misuse
from validation.plane import Plane
from validation.portrait import VARIABLES, attributes, conform, coordinates
from validation.progress import bar
from validation.provenance import provenance
from validation.store import save_portrait

TILE = (16, 16)      # of an experiment that does not say what it likes to be asked for at once


def sweep(experiment: Any, plane: Plane, store: str | os.PathLike[str] | None = None, executor: Executor | None = None,
          progress: bool = False) -> xr.Dataset:
    """Train an experiment over a plane and return its portrait.

    Parameters
    ----------
    experiment : an `Experiment`; its ``tile`` (rows, columns), if it has one, is the piece asked for at once.
    plane : which gammas and rates.
    store : where to save the portrait, as `save_portrait` does; the place must be free.
    executor : a `concurrent.futures` executor that the tiles are handed to; None: one after the other, here.
    progress : whether to show a progress bar.

    Returns
    -------
    Dataset : the portrait; its attributes hold the experiment's description and digest, rho, versions, revision, dtype, device, and
        the tiles' ``failures`` (a JSON list), if any run failed.

    Raises
    ------
    Misuse : an argument that is not allowed, or a measurement that breaks the portrait's contract.
    """
    as_experiment(experiment)
    if not isinstance(plane, Plane):
        raise Misuse(f"plane must be a validation.Plane, not {plane!r}")
    if executor is not None and not hasattr(executor, "submit"):
        raise Misuse(f"executor must have submit(), as those of concurrent.futures have, not {executor!r}")
    if store is not None and Path(store).exists():
        raise Misuse(f"store must be free, but {Path(store)} exists")
    description = experiment.describe()
    stamp = {"description": json.dumps(description, sort_keys=True), "digest": digest(description), "plane": plane.digest} | provenance()
    tiles = list(plane.tiles(*getattr(experiment, "tile", TILE)))
    portrait: xr.Dataset | None = None
    failures: list[Any] = []
    with bar(len(tiles), "sweeping", "tiles", progress) as advance:
        for (rows, columns), measured in _measured(experiment, plane, tiles, executor):
            tile = conform(measured)
            if portrait is None:
                portrait = unrun(plane, tile).assign_attrs(tile.attrs | stamp)
            for name in portrait.data_vars:
                if name != "eta_value":
                    portrait[name].values[..., rows, columns] = tile[name].values
            failures += json.loads(tile.attrs.get("failures", "[]"))
            advance()
    assert portrait is not None     # a plane is never empty
    if failures:
        portrait.attrs["failures"] = json.dumps(failures)
    if store is not None:
        save_portrait(portrait, store)
    return portrait


def _measured(experiment: Any, plane: Plane, tiles: list[tuple[slice, slice]],
              executor: Executor | None) -> Iterator[tuple[tuple[slice, slice], xr.Dataset]]:
    """Yield every tile with its measurement, in the order in which they are done."""
    if executor is None:
        for tile in tiles:
            yield tile, experiment.measure(*plane.part(*tile))
        return
    pending = {executor.submit(experiment.measure, *plane.part(*tile)): tile for tile in tiles}
    try:
        for future in as_completed(pending):
            yield pending[future], future.result()
    finally:
        for future in pending:
            future.cancel()


def unrun(plane: Plane, tile: xr.Dataset) -> xr.Dataset:
    """Return an unrun portrait of the plane, with the variables and the other dims of a tile."""
    data = {}
    for name, variable in tile.data_vars.items():
        if name == "eta_value":
            continue
        if variable.dims[-2:] != ("gamma", "eta"):
            raise Misuse(f"measure() must return variables with dims (..., gamma, eta), but {name} has {variable.dims}")
        shape = (*variable.shape[:-2], *plane.shape)
        known = VARIABLES.get(str(name))
        blank = known[1] if known else (np.nan if variable.dtype.kind == "f" else 0)
        data[name] = (variable.dims, np.full(shape, blank, variable.dtype), attributes(str(name)) if known else variable.attrs)
    others = {d: tile[d] for d in tile.dims if d not in ("gamma", "eta")}
    return xr.Dataset(data, coords={**others, **coordinates(plane)})
