"""A portrait on disk, as zarr or netCDF: published whole or not at all, opened only if whole; knows no model."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.portrait import VARIABLES, conform
from validation.storage.zarr_metadata import told
from validation.storage.zarr_store import Growing

NETCDF = ".nc"
COMPLETE = "complete"      # an attribute: every chunk was written, so that a missing one is damage and not "unrun"


def save_portrait(portrait: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a portrait as a zarr store that plain `xarray.open_zarr` reads; either all of it appears at `path`, or nothing.

    Parameters
    ----------
    portrait : see `validation.portrait`.
    path : a folder to be; its parent must exist or be creatable. If it ends in ".nc", one netCDF file instead, for which scipy is
        enough: of the classic format, which `xarray.open_dataset` reads.
    overwrite : whether a portrait that is already there is replaced.

    Raises
    ------
    Misuse : something that is not to be replaced lies at `path`, or it cannot be written.
    """
    portrait = conform(portrait)
    target = Path(path)
    if target.exists() and not overwrite:
        raise Misuse(f"path must be free, but {target} exists; give another path, or overwrite=True to replace a portrait")
    if target.exists() and not (_is_netcdf(target) if target.suffix == NETCDF else (target / "zarr.json").is_file()):
        raise Misuse(f"path must be free or a portrait, but {target} is something else; it is left as it is")
    if target.suffix == NETCDF:
        plain = {str(name): {"_FillValue": None} for name in portrait.variables}
        with published(target) as draft:
            portrait.to_netcdf(draft, engine="scipy", format="NETCDF3_64BIT", encoding=plain)
        return target
    with published(target) as draft:
        portrait.attrs = portrait.attrs | {COMPLETE: 1}
        with _quiet():
            portrait.to_zarr(draft, mode="w", consolidated=False, zarr_format=3, encoding=_encoding(portrait),
                             write_empty_chunks=True)
    return target


def open_portrait(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the portrait at `path`, read into memory and checked.

    Raises
    ------
    Misuse : nothing is there, it is no portrait, or it is damaged: in one sentence, which and where.
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
    if "store_version" in told(target):
        portrait, damaged = (store := Growing(target)).load()
        if damaged:
            where = "; ".join(f"{store.layout.extent(key)}: {how}" for key, how in damaged.items())
            raise Misuse(f"the portrait at {target} is damaged: {where}; the sweep that made it, called again, measures this again")
        return conform(portrait)
    try:
        import zarr

        group = zarr.open_group(str(target), mode="r", zarr_format=3)
        if group.attrs.get(COMPLETE):
            for name, array in group.arrays():
                if array.nchunks_initialized < array.nchunks:
                    raise Misuse(f"the portrait at {target} is damaged: {array.nchunks - array.nchunks_initialized} of the "
                                 f"{array.nchunks} chunks of {name} are missing")
        with _quiet(), xr.open_zarr(target, consolidated=False, chunks=None) as opened:
            portrait = opened.load()
    except Misuse:
        raise
    except Exception as error:
        # whatever zarr, its codecs and xarray raise on a broken store means one thing to the reader
        raise Misuse(f"the portrait at {target} cannot be read: {type(error).__name__}: {str(error).splitlines()[0]}") from error
    return conform(portrait)


def check_writable(folder: Path) -> None:
    """Raise `Misuse` if nothing can be written to `folder`, before the work whose results are to go there; it is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misuse(f"cannot write to {folder}: {error.strerror or error}") from error


def _is_netcdf(path: Path) -> bool:
    """Return whether a file begins as those of netCDF's classic format do."""
    with path.open("rb") as file:
        return file.read(3) == b"CDF"


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a draft path beside `target`; what stands there at the end is renamed to `target`, at an error it is removed.

    Raises
    ------
    Misuse : the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise Misuse(f"cannot write to {target.parent}: {error.strerror or error}") from error
    try:
        draft = room / target.name
        try:
            yield draft
            if target.is_dir():
                os.replace(target, room / "former")
            os.replace(draft, target)
        except OSError as error:
            raise Misuse(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _encoding(portrait: xr.Dataset) -> dict[str, dict[str, Any]]:
    """Return codecs with a checksum (a flipped bit would be read silently) and the fill values of the contract."""
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence zarr's notes on parts of its format 3 that are not yet in the specification."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(Zarr|zarr).*")
        yield
