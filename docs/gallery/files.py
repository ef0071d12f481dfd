"""Datasets as netCDF files of the classic format, which scipy reads and writes; portraits as `validation` keeps them."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

import validation
from validation.storage.atomic import replace_path
from validation.storage.observations import rename_variables


def write(made: xr.Dataset, path: Path) -> None:
    """Write a dataset; the file is there whole, or not at all."""
    if "outcome" in made:
        validation.save_portrait(made, path, overwrite=True)
    else:
        with replace_path(path) as draft:
            made.to_netcdf(draft, engine="scipy")


def read(path: Path) -> xr.Dataset:
    """Return what was written, in memory."""
    made = xr.load_dataset(path, engine="scipy")
    return validation.open_portrait(path) if "outcome" in made else rename_variables(made)
