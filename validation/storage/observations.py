"""Save observables of runs as a netCDF file next to the portrait, and open it if its description is the expected one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.experiment import are_of_one_experiment, name_experiment
from validation.storage.netcdf import read_netcdf, write_netcdf
from validation.storage.resume import check_experiment

KIND = "observed"      # the attribute that marks these files; its value is the version of their layout
VERSION = 1
RENAMED = {"at_rest": "zero_output_loss"}      # variables: former name, present name


def save_observables(observed: xr.Dataset, path: Path) -> Path:
    """Write a file of netCDF's classic format, for which scipy is enough, atomically."""
    plain = observed.assign_attrs({KIND: VERSION})
    encoding: dict[str, dict[str, Any]] = {str(n): {"_FillValue": None} for n in plain.variables if plain[n].dtype.kind == "f"}
    for name in plain.variables:
        if plain[name].dtype.kind in "iub":
            encoding[str(name)] = {"dtype": "int32"}
    write_netcdf(plain, path, encoding)
    return path


def read_description(path: Path) -> dict[str, Any] | None:
    """Return the description of the file at `path`; None where there is none.

    Raises
    ------
    Misuse : it is no such file, or damaged.
    """
    return None if not path.exists() else dict(json.loads(_read(path).attrs["description"]))


def open_observables(path: Path, description: dict[str, Any], overwrite: bool = False) -> xr.Dataset | None:
    """Return the file at `path`, in memory; None where there is none, or observables of another description that may be overwritten.

    Raises
    ------
    Misuse : it is no such file, is damaged, or has another description; the message lists the differences key by key.
    """
    if not path.exists():
        return None
    observables = _read(path)
    stored, wanted = name_experiment(json.loads(observables.attrs["description"])), name_experiment(description)
    if overwrite and not are_of_one_experiment(stored, wanted):
        return None
    try:
        check_experiment(path, stored, wanted)
    except Misuse as error:
        raise Misuse(f"{str(error).removesuffix('choose another store')}choose another place with --out, or replace it with "
                     "--overwrite") from error
    return observables


def _read(path: Path) -> xr.Dataset:
    try:
        observables = rename_variables(read_netcdf(path))
        if int(np.asarray(observables.attrs[KIND])) != VERSION or not isinstance(json.loads(observables.attrs["description"]), dict):
            raise KeyError(KIND)
    except Misuse:
        raise
    except Exception as error:      # scipy and xarray raise many types of exceptions on other or broken files
        raise Misuse(f"{path} must be free or hold observables, but it cannot be read as such ({type(error).__name__}); "
                     "it is left as it is") from error
    return observables


def rename_variables(observables: xr.Dataset) -> xr.Dataset:
    """Return the same with variables under their present names, where a file has former ones."""
    return observables.rename({former: present for former, present in RENAMED.items() if former in observables})
