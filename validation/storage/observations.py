"""Observables of runs on disk, a netCDF file beside the portrait: published whole, opened only if it is the one wanted; knows no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.experiment import digest
from validation.storage.files import published
from validation.storage.resume import check_experiment

KIND = "observed"      # the attribute that tells these files from others, with the version of their layout
VERSION = 1


def save_observed(observed: xr.Dataset, path: Path) -> Path:
    """Write a file of netCDF's classic format, for which scipy is enough; either all of it appears at `path`, or nothing."""
    plain = observed.assign_attrs({KIND: VERSION})
    encoding: dict[str, dict[str, Any]] = {str(n): {"_FillValue": None} for n in plain.variables if plain[n].dtype.kind == "f"}
    for name in plain.variables:
        if plain[name].dtype.kind in "iub":
            encoding[str(name)] = {"dtype": "int32"}
    with published(path) as draft:
        plain.to_netcdf(draft, engine="scipy", format="NETCDF3_64BIT", encoding=encoding)
    return path


def stored(path: Path) -> dict[str, Any] | None:
    """Return the description of what is at `path`, None where there is nothing; otherwise as `open_observed`."""
    return None if not path.exists() else dict(json.loads(_read(path).attrs["description"]))


def open_observed(path: Path, description: dict[str, Any], overwrite: bool = False) -> xr.Dataset | None:
    """Return what is at `path`, read into memory; None where there is nothing, or something else of ours that may be overwritten.

    Raises
    ------
    Misuse : it is no such file, or damaged, or of another description, with the difference key by key.
    """
    if not path.exists():
        return None
    there = _read(path)
    known, wanted = digest(json.loads(there.attrs["description"])), digest(description)
    if overwrite and known != wanted:
        return None
    try:
        check_experiment(path, {"description": there.attrs["description"], "digest": known},
                         {"description": json.dumps(description), "digest": wanted})
    except Misuse as error:
        raise Misuse(f"{str(error).removesuffix('choose another store')}choose another place with --out, or replace it with "
                     "--overwrite") from error
    return there


def _read(path: Path) -> xr.Dataset:
    try:
        with xr.open_dataset(path, engine="scipy") as opened:
            there = opened.load()
        if int(np.asarray(there.attrs[KIND])) != VERSION or not isinstance(json.loads(there.attrs["description"]), dict):
            raise KeyError(KIND)
    except Exception as error:      # whatever scipy and xarray raise on a file that is none of ours, or broken
        raise Misuse(f"{path} must be free or hold observables, but it cannot be read as such ({type(error).__name__}); "
                     "it is left as it is") from error
    return there
