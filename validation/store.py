"""A portrait on disk, as zarr: published whole or not at all, opened only if whole; knows no model."""

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

from validation.misuse import Misuse
from validation.portrait import VARIABLES, conform

COMPLETE = "complete"      # an attribute: every chunk was written, so that a missing one is damage and not "unrun"


def save_portrait(portrait: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a portrait as a zarr store that plain `xarray.open_zarr` reads; either all of it appears at `path`, or nothing.

    Parameters
    ----------
    portrait : see `validation.portrait`.
    path : a folder to be; its parent must exist or be creatable.
    overwrite : whether a portrait that is already there is replaced.

    Raises
    ------
    Misuse : something that is not to be replaced lies at `path`, or it cannot be written.
    """
    portrait = conform(portrait)
    target = Path(path)
    if target.exists() and not overwrite:
        raise Misuse(f"path must be free, but {target} exists; give another path, or overwrite=True to replace a portrait")
    if target.exists() and not (target / "zarr.json").is_file():
        raise Misuse(f"path must be free or a portrait, but {target} is something else; it is left as it is")
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
    if not (target / "zarr.json").is_file():
        raise Misuse(f"path must be a portrait (a zarr folder, as `save_portrait` writes it), but {target} is none")
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


def identity(path: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the digests of experiment and plane of the portrait at `path`, read from its metadata alone; empty if it has none.

    Raises
    ------
    Misuse : what is there is no portrait, or its metadata cannot be read.
    """
    target = Path(path)
    try:
        told = json.loads((target / "zarr.json").read_text())["attributes"]
        return str(told.get("digest", "")), str(told.get("plane", ""))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misuse(f"{target} is no portrait, or a damaged one, and is left as it is ({type(error).__name__}: {error})") from error


def check_writable(folder: Path) -> None:
    """Raise `Misuse` if nothing can be written to `folder`, before the work whose results are to go there; it is made if need be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise Misuse(f"cannot write to {folder}: {error.strerror or error}") from error


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
