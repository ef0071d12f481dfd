"""Create a portrait's zarr store without its chunks, and read and write its attributes."""

from __future__ import annotations

import json
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.portrait import fill_value
from validation.storage.atomic import DRAFT, write_bytes
from validation.storage.attributes import add_digest, as_json, check_attrs
from validation.storage.chunks import CODECS
from validation.storage.tiles import Layout

VERSION = 1
ARRAYS = "stored_arrays"    # the attribute with the names of all arrays; older portraits have none
LEDGER = "tiles"            # the group of the tiles' statuses, and of notes on failed runs and tiles


def refuse_without_assertions(root: Path) -> None:
    """Raise `Misuse` under ``python -O``: zarr's assertions do a part of its work, and it fails on every store."""
    if not __debug__:
        raise Misuse(f"{root} is a zarr store, and zarr cannot be used under python -O or PYTHONOPTIMIZE: start python without it")


def create_store(root: Path, template: xr.Dataset, layout: Layout, attrs: dict[str, Any]) -> None:
    """Write a store in which nothing has been measured: metadata and coordinates, but no chunk of a variable."""
    refuse_without_assertions(root)
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec

    codec = (ZstdCodec(**CODECS),)      # type: ignore[arg-type]
    attrs = {k: v for k, v in attrs.items() if k != "coordinates"}      # xarray writes it itself
    coords = template.coords.to_dataset()
    coords.attrs = add_digest(as_json(attrs) | {"store_version": VERSION, "tile": list(layout.tile),
                                                "seeds_apart": int(layout.seeds is not None), ARRAYS: sorted(map(str, template.variables))})
    with silence_zarr():
        coords.to_zarr(root, mode="w", consolidated=False, zarr_format=3, write_empty_chunks=True,
                       encoding={str(n): {"compressors": codec} for n in coords.variables})
        group = zarr.open_group(str(root), mode="r+", zarr_format=3)
        for name, variable in template.data_vars.items():
            if variable.dtype.itemsize > 8:
                raise Misuse(f"{name} must hold numbers of at most 8 bytes to be stored, not {variable.dtype}")
            chunk = [1 if d == "seed" and layout.seeds is not None else n for d, n in variable.sizes.items()][:-2] + list(layout.tile)
            group.create_array(str(name), shape=variable.shape, dtype=variable.dtype, chunks=tuple(max(1, c) for c in chunk),
                               fill_value=fill_value(str(name), variable.dtype), dimension_names=[str(d) for d in variable.dims],
                               attributes=as_json(variable.attrs), compressors=codec)
        # a unique mark, by which a process detects that another has replaced the store it writes to
        ledger = group.create_group(LEDGER, attributes={"generation": uuid.uuid4().hex})
        ledger.create_array("status", shape=layout.shape, dtype="int8", chunks=(1, 1, 1), fill_value=0, serializer=BytesCodec(),
                            compressors=None, dimension_names=["seed", "row", "column"],
                            attributes={"flag_values": [0, 1, 2, 3], "flag_meanings": "todo done failed sparse"})
        ledger.create_group("failures")


def read_attrs(root: Path) -> dict[str, Any]:
    """Return the attributes of the store or portrait at `root`.

    Raises
    ------
    Misuse : its metadata cannot be read, or its attributes were altered.
    """
    try:
        attrs = dict(json.loads((root / "zarr.json").read_text())["attributes"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Misuse(f"{root} is no portrait, or a damaged one; it is left as it is ({type(error).__name__}: {error})") from error
    return check_attrs(root, attrs)


def write_attrs(root: Path, attrs: dict[str, Any]) -> None:
    """Replace the attributes of the store at `root`."""
    metadata = json.loads((root / "zarr.json").read_text())
    metadata["attributes"] = add_digest(as_json(attrs))
    write_bytes(root / "zarr.json", json.dumps(metadata, indent=2).encode(), sync=True)


def find_missing(root: Path, attrs: dict[str, Any]) -> list[str]:
    """Return the names of arrays that were written and have no metadata; of older portraits, those of which other files remain."""
    names = attrs.get(ARRAYS)
    if not isinstance(names, list):
        names = [folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted(str(name) for name in names if not (root / str(name) / "zarr.json").is_file())


def find_foreign(root: Path, attrs: dict[str, Any]) -> list[Path]:
    """Return the files and folders in that of a portrait which are no part of it; of older portraits, the files."""
    names = attrs.get(ARRAYS)
    own = ("zarr.json", LEDGER, *(names if isinstance(names, list) else ()))
    return [path for path in sorted(root.iterdir()) if path.name not in own and not path.name.endswith(DRAFT)
            and not (path / "zarr.json").is_file() and not (names is None and path.is_dir())]


def copy_foreign(source: Path, target: Path) -> None:
    """Copy what somebody has put into the folder of a portrait into that of the store which replaces it.

    Raises
    ------
    OSError : it cannot be copied.
    """
    for path in find_foreign(source, read_attrs(source)):
        if path.is_dir() and not path.is_symlink():
            shutil.copytree(path, target / path.name, symlinks=True)
        elif path.is_file() or path.is_symlink():
            shutil.copy2(path, target / path.name, follow_symlinks=False)


@contextmanager
def silence_zarr() -> Iterator[None]:
    """Suppress zarr's warnings about parts of its format 3 that are not yet in the specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(Zarr|zarr).*")
        yield
