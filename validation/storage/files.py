"""Save a portrait as zarr or netCDF, and open it, checked for damage."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.portrait import VARIABLES, conform
from validation.storage.atomic import expand_home, lock, make_folder, recover, replace_path, resolve_target, staging_folder
from validation.storage.attributes import DIGEST, add_digest, are_ours, check_attrs
from validation.storage.netcdf import is_netcdf, read_netcdf, write_netcdf
from validation.storage.overwriting import restore
from validation.storage.zarr_metadata import ARRAYS, find_foreign, find_missing, read_attrs, refuse_without_assertions, silence_zarr
from validation.storage.zarr_store import ZarrStore, has_runs

NETCDF = ".nc"
METADATA = ("zarr.json", ".zgroup", ".zarray")      # of stores of zarr's third format and of its second
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
    target = resolve_target("path", path)
    refuse_inside_store("path", target.parent)
    if target.exists() and not overwrite:
        raise Misuse(f"path must be free, but {target} exists; give another path, or overwrite=True to replace a portrait")
    if target.exists():
        refuse_other(target)
    if target.suffix == NETCDF:
        plain = {str(name): {"_FillValue": None} for name in portrait.variables}
        with _refuse_types(target):
            write_netcdf(portrait.assign_attrs(add_digest(portrait.attrs)), target, plain)
        return target
    refuse_without_assertions(target)
    portrait.attrs = add_digest(portrait.attrs | {COMPLETE: 1, ARRAYS: sorted(map(str, portrait.variables))})
    try:
        make_folder(target.parent)
    except OSError as error:
        raise Misuse(f"cannot write to {target.parent}: {error.strerror or error}") from error
    with _refuse_types(target), lock(target), replace_path(target, staging_folder(target)) as draft, silence_zarr():
        portrait.to_zarr(draft, mode="w", consolidated=False, zarr_format=3, encoding=_encoding(portrait), write_empty_chunks=True)
    return target


@contextlib.contextmanager
def _refuse_types(target: Path) -> Iterator[None]:
    """Raise `Misuse` where xarray refuses a variable's type or attributes, which depend on the format."""
    try:
        yield
    except Misuse:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:
        raise Misuse(f"portrait cannot be written to {target}: {_first_line(error)}") from error


def refuse_other(target: Path) -> None:
    """Raise `Misuse` if what is at `target` is no portrait of an experiment, so that it must not be overwritten."""
    try:
        if target.is_file() and is_netcdf(target):
            attrs = read_netcdf(target).attrs
        else:
            attrs = read_attrs(target)
    except Exception:       # scipy and xarray raise many types of exceptions on other or broken files
        attrs = {}
    if not are_ours(attrs):
        raise Misuse(f"path must be free or a portrait, but {target} is something else; it is left as it is, for it has no "
                     "description of an experiment with its digest")
    if target.is_dir() and (others := [path.name for path in find_foreign(target, attrs) if not path.name.startswith(".")]):
        raise Misuse(f"path must be free or a portrait and nothing else, but {target} also holds {', '.join(others[:3])}"
                     f"{', ...' if len(others) > 3 else ''}, which would be removed; move it away")


def refuse_inside_store(name: str, folder: Path) -> None:
    """Raise `Misuse` if a folder is a zarr store, or lies in one: what is written there would be taken for a part of it."""
    try:
        real = folder.resolve()       # of a link, the place to which it points; without ".."
    except (OSError, RuntimeError):
        real = folder.absolute()
    for place in (real, *real.parents):
        try:
            inside = any((place / metadata).exists() for metadata in METADATA)
        except OSError:
            inside = False
        if inside:
            raise Misuse(f"{name} must be outside of stores, but {place} is one; nothing is written there")


def open_portrait(path: str | os.PathLike[str]) -> xr.Dataset:
    """Return the portrait at `path`, in memory, checked for damage.

    Raises
    ------
    Misuse : there is none, or it is damaged; the message names the damage and its place.
    """
    target = resolve_target("path", path)
    if not target.exists():
        with contextlib.suppress(OSError, Misuse), lock(target):       # between two renames, or renamed away by a sweep that was killed
            recover(target, staging_folder(target))
            restore(target, has_runs)
    if not target.exists():
        raise Misuse(f"path must be a portrait, but there is nothing at {target}")
    if target.is_file() and is_netcdf(target):
        try:
            portrait = read_netcdf(target)
            portrait.attrs = check_attrs(target, portrait.attrs)
            return conform(portrait)
        except Misuse:
            raise
        except Exception as error:
            raise Misuse(f"the portrait at {target} cannot be read: {type(error).__name__}: {_first_line(error)}") from error
    if not (target / "zarr.json").is_file():
        raise Misuse(f"path must be a portrait (a zarr folder or a netCDF file, as `save_portrait` writes it), but {target} is none")
    refuse_without_assertions(target)
    attrs = read_attrs(target)
    if "store_version" in attrs:
        portrait, damaged = (store := ZarrStore(target)).load()
        if damaged:
            where = "; ".join(f"{store.layout.extent(key)}: {how}" for key, how in damaged.items())
            raise Misuse(f"the portrait at {target} is damaged: {where}; the same sweep, called again, measures this part again")
        return conform(portrait)
    try:
        import zarr

        if missing := find_missing(target, attrs):
            raise Misuse(f"the portrait at {target} is damaged: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, or "
                         "without metadata (zarr.json)")
        group = zarr.open_group(str(target), mode="r", zarr_format=3)
        if group.attrs.get(COMPLETE):
            with silence_zarr():
                arrays = list(group.arrays())
            for name, array in arrays:
                if array.nchunks_initialized < array.nchunks:
                    raise Misuse(f"the portrait at {target} is damaged: {array.nchunks - array.nchunks_initialized} of the "
                                 f"{array.nchunks} chunks of {name} are missing")
        with silence_zarr(), xr.open_zarr(target, consolidated=False, chunks=None) as opened:
            portrait = opened.load()
        for name in (DIGEST, ARRAYS):
            portrait.attrs.pop(name, None)
    except Misuse:
        raise
    except Exception as error:
        # zarr, its codecs and xarray raise many types of exceptions on a broken store
        raise Misuse(f"the portrait at {target} cannot be read: {type(error).__name__}: {_first_line(error)}") from error
    return conform(portrait)


def check_writable(folder: Path) -> Path:
    """Create `folder` if need be, and raise `Misuse` if nothing can be written to it: a check before long work. Return it."""
    folder = expand_home("out", folder)
    refuse_inside_store("out", folder)
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misuse(f"cannot write to {folder}: {error.strerror or error}") from error
    return folder


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


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
