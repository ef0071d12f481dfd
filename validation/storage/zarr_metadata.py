"""The metadata and coordinates of a store that is to grow, and how one store takes another's place; knows no model."""

from __future__ import annotations

import json
import os
import shutil
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.portrait import blank
from validation.storage.chunks import CODECS, put
from validation.storage.tiles import Layout

VERSION = 1
LEDGER = "tiles"            # the group that holds the tiles' status, and the notes on those that failed


def build(root: Path, template: xr.Dataset, layout: Layout, attrs: dict[str, Any]) -> None:
    """Write a store of which nothing has been measured: everything but the chunks of its variables."""
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec

    codec = (ZstdCodec(**CODECS),)      # type: ignore[arg-type]
    attrs = {k: v for k, v in attrs.items() if k != "coordinates"}      # xarray's own note, which it makes anew
    coords = template.coords.to_dataset().assign_attrs(
        attrs | {"store_version": VERSION, "tile": list(layout.tile), "seeds_apart": int(layout.seeds is not None)})
    with quiet():
        coords.to_zarr(root, mode="w", consolidated=False, zarr_format=3, write_empty_chunks=True,
                       encoding={str(n): {"compressors": codec} for n in coords.variables})
        group = zarr.open_group(str(root), mode="r+", zarr_format=3)
        for name, variable in template.data_vars.items():
            chunk = [1 if d == "seed" and layout.seeds is not None else n for d, n in variable.sizes.items()][:-2] + list(layout.tile)
            group.create_array(str(name), shape=variable.shape, dtype=variable.dtype, chunks=tuple(max(1, c) for c in chunk),
                               fill_value=blank(str(name), variable.dtype), dimension_names=[str(d) for d in variable.dims],
                               attributes=plain(variable.attrs), compressors=codec)
        # a name of its own, by which a process sees that another has replaced the store it writes to
        ledger = group.create_group(LEDGER, attributes={"generation": uuid.uuid4().hex})
        ledger.create_array("status", shape=layout.shape, dtype="int8", chunks=(1, 1, 1), fill_value=0, serializer=BytesCodec(),
                            compressors=None, dimension_names=["seed", "row", "column"],
                            attributes={"flag_values": [0, 1, 2, 3], "flag_meanings": "todo done failed sparse"})
        ledger.create_group("failures")


def plain(attrs: dict[Any, Any]) -> dict[str, Any]:
    """Return attributes as JSON holds them."""
    def bare(value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    return {str(k): bare(v) for k, v in attrs.items()}


def told(root: Path) -> dict[str, Any]:
    """Return the attributes of the store at `root`.

    Raises
    ------
    Misuse : its metadata cannot be read.
    """
    try:
        attrs = json.loads((root / "zarr.json").read_text())["attributes"]
        return dict(attrs)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misuse(f"{root} is no portrait, or a damaged one, and is left as it is ({type(error).__name__}: {error})") from error


def retell(root: Path, attrs: dict[str, Any]) -> None:
    """Replace the attributes of the store at `root`."""
    metadata = json.loads((root / "zarr.json").read_text())
    metadata["attributes"] = plain(attrs)
    put(root / "zarr.json", json.dumps(metadata, indent=2).encode())


@contextmanager
def taking_the_place_of(root: Path) -> Iterator[Path]:
    """Give a draft path; what stands there at the end is renamed to `root`. To be used while the store is locked."""
    room = _room(root)
    room.mkdir(parents=True)
    try:
        draft = room / "draft"
        yield draft
        if root.exists():
            os.replace(root, room / "former")
        os.replace(draft, root)
    finally:
        recover(root)


def recover(root: Path) -> None:
    """Put back the store whose replacement was killed between two renames, and clear away what it left."""
    room = _room(root)
    if not room.exists():
        return
    if not root.exists() and (room / "former").exists():
        os.replace(room / "former", root)
    shutil.rmtree(room, ignore_errors=True)


def _room(root: Path) -> Path:
    return root.with_name(f".{root.name}.growing")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence zarr's notes on parts of its format 3 that are not yet in the specification."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(Zarr|zarr).*")
        yield
