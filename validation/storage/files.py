"""Save a portrait as zarr or netCDF, and open it, checked for damage."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.portrait import VARIABLES, conform
from validation.storage.atomic import replace_path
from validation.storage.zarr_metadata import read_attrs, silence_zarr
from validation.storage.zarr_store import ZarrStore

NETCDF = ".nc"
COMPLETE = "complete"      # an attribute: every chunk was written, so that a missing one is damage, not "unrun"


def save_portrait(portrait: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a portrait as a zarr store, readable by plain `xarray.open_zarr`, atomically.

    Parameters
    ----------
    portrait : see `validation.portrait`.
    path : the folder to create, with its parents. If it ends in ".nc", one netCDF file instead, of the classic format, which
        needs scipy alone and which `xarray.open_dataset` reads.
    overwrite : whether an existing portrait is replaced.

    Raises
    ------
    Misuse : something exists at `path` that may not be replaced, or it cannot be written.
    """
    portrait = conform(portrait)
    target = Path(path)
    if target.exists() and not overwrite:
        raise Misuse(f"path must be free, but {target} exists; give another path, or overwrite=True to replace a portrait")
    if target.exists() and not (_is_netcdf(target) if target.suffix == NETCDF else (target / "zarr.json").is_file()):
        raise Misuse(f"path must be free or a portrait, but {target} is something else; it is left as it is")
    if target.suffix == NETCDF:
        plain = {str(name): {"_FillValue": None} for name in portrait.variables}
        with replace_path(target) as draft:
            portrait.to_netcdf(draft, engine="scipy", format="NETCDF3_64BIT", encoding=plain)
        return target
    with replace_path(target) as draft:
        portrait.attrs = portrait.attrs | {COMPLETE: 1}
        with silence_zarr():
            portrait.to_zarr(draft, mode="w", consolidated=False, zarr_format=3, encoding=_encoding(portrait),
                             write_empty_chunks=True)
    return target


def open_portrait(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the portrait at `path`, in memory, checked for damage.

    Raises
    ------
    Misuse : there is none, or it is damaged; the message names the damage and its place.
    """
    target = Path(path)
    if not target.exists():
        raise Misuse(f"path must be a portrait, but there is nothing at {target}")
    if target.is_file() and _is_netcdf(target):
        try:
            with xr.open_dataset(target, engine="scipy") as opened:
                return conform(opened.load())
        except Misuse:
            raise
        except Exception as error:
            raise Misuse(f"the portrait at {target} cannot be read: {type(error).__name__}: {str(error).splitlines()[0]}") from error
    if not (target / "zarr.json").is_file():
        raise Misuse(f"path must be a portrait (a zarr folder or a netCDF file, as `save_portrait` writes it), but {target} is none")
    if "store_version" in read_attrs(target):
        portrait, damaged = (store := ZarrStore(target)).load()
        if damaged:
            where = "; ".join(f"{store.layout.extent(key)}: {how}" for key, how in damaged.items())
            raise Misuse(f"the portrait at {target} is damaged: {where}; the same sweep, called again, measures this part again")
        return conform(portrait)
    try:
        import zarr

        group = zarr.open_group(str(target), mode="r", zarr_format=3)
        if group.attrs.get(COMPLETE):
            for name, array in group.arrays():
                if array.nchunks_initialized < array.nchunks:
                    raise Misuse(f"the portrait at {target} is damaged: {array.nchunks - array.nchunks_initialized} of the "
                                 f"{array.nchunks} chunks of {name} are missing")
        with silence_zarr(), xr.open_zarr(target, consolidated=False, chunks=None) as opened:
            portrait = opened.load()
    except Misuse:
        raise
    except Exception as error:
        # zarr, its codecs and xarray raise many types of exceptions on a broken store
        raise Misuse(f"the portrait at {target} cannot be read: {type(error).__name__}: {str(error).splitlines()[0]}") from error
    return conform(portrait)


def check_writable(folder: Path) -> None:
    """Create `folder` if need be, and raise `Misuse` if nothing can be written to it: a check before long work."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misuse(f"cannot write to {folder}: {error.strerror or error}") from error


def _is_netcdf(path: Path) -> bool:
    """Return whether a file begins with the mark of netCDF's classic format."""
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


def _encoding(portrait: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return codecs with a checksum, without which a flipped bit would be read silently, and the fill values of the contract."""
    from zarr.codecs import ZstdCodec

    codec = {"compressors": (ZstdCodec(level=1, checksum=True),)}
    encoding: dict[str, dict[str, Any]] = {}
    for name, variable in portrait.variables.items():
        encoding[str(name)] = dict(codec)
        if name in VARIABLES:
            encoding[str(name)]["fill_value"] = json.loads(json.dumps(VARIABLES[str(name)][1], allow_nan=True))
        if name in portrait.data_vars and variable.dtype.kind == "f":
            encoding[str(name)]["_FillValue"] = None
    return encoding
