"""The unrun portrait that has the variables and dims of a measured tile; touches no disk, knows no model."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from validation.misuse import Misuse
from validation.plane import Plane
from validation.portrait import VARIABLES, attributes, coordinates


def blank(name: str, dtype: np.dtype) -> Any:
    """Return what a variable holds where nothing has been run."""
    if name in VARIABLES:
        return VARIABLES[name][1]
    return np.nan if dtype.kind == "f" else 0


def unrun(plane: Plane, tile: xr.Dataset, seeds: tuple[int, ...] | None = None) -> xr.Dataset:
    """Return an unrun portrait of the plane, with the variables and the other dims of a tile.

    Parameters
    ----------
    plane : the grid.
    tile : a portrait of some of it, for one of `seeds`.
    seeds : the coordinate ``seed``; None: the tile's own, if it has one.

    Raises
    ------
    Misuse : a variable without the plane's dims, one that holds no numbers, or none of its own for each seed.
    """
    others = {str(d): tile[d] for d in tile.dims if d not in ("gamma", "eta")}
    if seeds is not None:
        if "seed" not in tile["outcome"].dims:
            raise Misuse("measure() of an experiment with seeds must return a portrait with the dim 'seed', but outcome has "
                         f"{tile['outcome'].dims}")
        others["seed"] = xr.DataArray(list(seeds), dims="seed", attrs=tile["seed"].attrs)
    data = {}
    for name, variable in tile.data_vars.items():
        if name == "eta_value":
            continue
        if variable.dims[-2:] != ("gamma", "eta"):
            raise Misuse(f"measure() must return variables with dims (..., gamma, eta), but {name} has {variable.dims}")
        if variable.dtype.kind not in "biuf":
            raise Misuse(f"measure() must return numbers, but {name} holds {variable.dtype}")
        if seeds is not None and "seed" not in variable.dims:
            raise Misuse(f"measure() of an experiment with seeds must return variables with the dim 'seed', but {name} has {variable.dims}")
        shape = (*(others[str(d)].size for d in variable.dims[:-2]), *plane.shape)
        attrs = attributes(str(name)) if name in VARIABLES else variable.attrs
        data[name] = (variable.dims, np.full(shape, blank(str(name), variable.dtype), variable.dtype), attrs)
    return xr.Dataset(data, coords={**others, **coordinates(plane)})
