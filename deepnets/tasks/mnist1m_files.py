"""Read and write MNIST-1M, a data set of generated digits in shards.

A folder holds ``mnist1m-00000.npz`` and so on, each with ``x``, uint8 (n, 28, 28), and ``y``, uint8 (n,), 0..9, not compressed (so that
they can be memory-mapped), and ``mnist1m.json``: ``{"format": "mnist1m", "version": 1, "origin": {...}, "shards": [{"file", "samples",
"sha256"}, ...]}``. The index is written last; a folder without it is not read. Samples are in random order, with the classes mixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepnets.tasks.data_files import Location, as_labels, candidate_folders, find_file, sha256_of_file
from deepnets.tasks.image_task import Images, make_image_task
from deepnets.tasks.npz_shards import Shard, ShardedSource, open_shard, sort_shards
from validation.arguments import Misuse, whole
from validation.storage.atomic import publish, replace_path

INDEX, CLASSES, SIDE = "mnist1m.json", 10, 28
HOW = "give the folder of its shards: mnist_1m('folder')"


def shard_path(folder: str | os.PathLike[str], number: int) -> Path:
    """Return the path of the shard of this number."""
    return Path(folder) / f"mnist1m-{whole('number', number, 0):05d}.npz"


def write_shard(folder: str | os.PathLike[str], number: int, x: np.ndarray, y: np.ndarray) -> Path:
    """Write one shard atomically, and return its path.

    Parameters
    ----------
    folder : is made if it does not exist.
    number : of the shard, >= 0.
    x : uint8 (n, 28, 28).
    y : whole numbers (n,), 0..9.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype != np.uint8 or x.shape[1:] != (SIDE, SIDE) or y.shape != x.shape[:1] or len(x) == 0:
        raise Misuse(f"x must be uint8 (n, {SIDE}, {SIDE}) and y (n,), n at least 1, not {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    y = as_labels(y, CLASSES, "y").astype(np.uint8)
    path = shard_path(folder, number)
    with replace_path(path) as draft, draft.open("wb") as file:        # a path without the ending would get it
        np.savez(file, x=x, y=y)
    return path


def write_index(folder: str | os.PathLike[str], origin: Mapping[str, Any]) -> Path:
    """Write the index of all shards in the folder, with their checksums, and return its path.

    Parameters
    ----------
    folder : of the shards.
    origin : how the images were generated, as JSON.
    """
    paths = sort_shards(list(Path(folder).glob("mnist1m-*.npz")))
    if not paths:
        raise Misuse(f"folder must hold shards, mnist1m-00000.npz and so on; {folder} has none")
    index = {"format": "mnist1m", "version": 1, "origin": dict(origin),
             "shards": [{"file": p.name, "samples": len(_open_shard(p)), "sha256": sha256_of_file(p)} for p in paths]}
    return publish(Path(folder) / INDEX, (json.dumps(index, indent=1) + "\n").encode())


def mnist_1m(path: Location = None) -> Images:
    """Return MNIST-1M: generated digits (1, 28, 28), read a shard at a time; 2048 of the last shard are held out.

    Parameters
    ----------
    path : the folder of ``mnist1m.json`` and its shards; None: the usual folders. The checksum of every shard is verified once.

    Raises
    ------
    Misuse : a file that is missing, or whose checksum is not the index's.
    """
    index = find_file("mnist_1m", [INDEX], candidate_folders("mnist-1m", path), HOW)
    return make_image_task("mnist_1m", _read, str(index.parent), CLASSES)


def _read(folder: str) -> ShardedSource:
    index = Path(folder) / INDEX
    try:
        entries = json.loads(index.read_bytes())
        if (entries["format"], entries["version"]) != ("mnist1m", 1):
            raise Misuse(f"{index} must be of format 'mnist1m', version 1, not {entries['format']!r}, version {entries['version']!r}")
        rows = [(str(row["file"]), int(row["samples"]), str(row["sha256"])) for row in entries["shards"]]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, Misuse):
            raise
        raise Misuse(f"{index} is not an index of shards: {error!r}") from None
    shards = []
    for name, samples, expected in rows:
        path = find_file("mnist_1m", [os.path.basename(name)], [index.parent], HOW)
        if (has := sha256_of_file(path)) != expected:
            raise Misuse(f"{path} is truncated or altered: its sha256 is {has}, and should be {expected}")
        shard = _open_shard(path)
        if len(shard) != samples:
            raise Misuse(f"{path} holds {len(shard)} samples, but {samples} according to {index}")
        shards.append(Shard(shard.x, shard.y, CLASSES, expected))
    if not shards:
        raise Misuse(f"{index} lists no shards")
    return ShardedSource(tuple(shards), _as_one_channel)


def _open_shard(path: Path) -> Shard:
    return open_shard(path, ("x", "y"), (SIDE, SIDE), CLASSES)


def _as_one_channel(x: np.ndarray) -> np.ndarray:
    return x[:, None]
