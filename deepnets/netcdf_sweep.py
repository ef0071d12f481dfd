"""Sweep a plane in blocks of gammas into one netCDF file that is rewritten after each block; needs neither zarr nor Dask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from validation.arguments import Misuse
from validation.experiment import are_of_one_experiment, name_experiment
from validation.plane import Plane
from validation.progress import bar
from validation.storage.files import open_portrait, save_portrait
from validation.sweeping.run_sweep import sweep

if TYPE_CHECKING:
    from deepnets.experiment import DeepExperiment


def open_earlier(target: Path, experiment: DeepExperiment, plane: Plane, overwrite: bool = False) -> xr.Dataset | None:
    """Return the portrait of the plane's first gammas that an earlier sweep has written, None if there is none.

    Raises
    ------
    Misuse : the file is no portrait; or it is a portrait of another experiment or plane, and `overwrite` is not given.
    """
    if not target.exists():
        return None
    stored = open_portrait(target)
    same = are_of_one_experiment(stored.attrs, name_experiment(experiment.describe()))
    same = same and stored.attrs.get("plane") == _first_gammas(plane, stored.sizes["gamma"]).digest
    if same and stored["seed"].values.tolist() == list(experiment.seeds):
        return stored
    if overwrite:
        return None
    raise Misuse(f"out already holds another portrait, {target}; choose another place with --out, or replace it with --overwrite")


def sweep_into_netcdf(experiment: DeepExperiment, plane: Plane, target: Path, before: xr.Dataset | None, attrs: Mapping[str, Any],
                      executor: Callable[[], Any] | None = None, progress: bool = False) -> xr.Dataset:
    """Sweep what `before` lacks of a plane, block by block, and return the portrait; the file is always a portrait of whole gammas.

    Parameters
    ----------
    experiment, plane : see `validation.sweep`.
    target : the netCDF file.
    before : as from `open_earlier`.
    attrs : further attributes of the portrait.
    executor : None, or a factory of an executor with ``close()``, see `validation.executors`.
    progress : whether to show it.
    """
    portrait, rows, total = before, experiment.tile[0], len(plane.gamma)
    start = 0 if before is None else before.sizes["gamma"]
    with bar(total, "sweeping", "gammas", progress, start) as advance, (nullcontext() if executor is None or start == total
                                                                        else closing(executor())) as workers:
        for first in range(start, total, rows):
            last = min(first + rows, total)
            block = sweep(experiment, Plane(*plane.part(slice(first, last), slice(None))), executor=workers).assign_attrs(attrs)
            portrait = block if portrait is None else xr.concat([portrait, block], "gamma", combine_attrs="override",
                                                                data_vars="minimal")
            portrait.attrs |= {name: block.attrs[name] for name in ("description", "digest")}
            portrait.attrs["plane"] = _first_gammas(plane, last).digest
            save_portrait(portrait, target, overwrite=True)
            advance(last - first)
    assert portrait is not None
    return portrait


def _first_gammas(plane: Plane, count: int) -> Plane:
    """Return the part of a plane that holds its first gammas, all of its own where there are fewer."""
    return Plane(*plane.part(slice(0, count), slice(None)))
