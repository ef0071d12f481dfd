"""MNIST-1M: the format of its files, written and read here; the images are drawn elsewhere.

A folder holds ``mnist1m-00000.npz`` and so on, each with ``x``, uint8 (n, 28, 28), and ``y``, uint8 (n,), 0..9, not compressed (so that
they are mapped, not read), and ``mnist1m.json``: ``{"format": "mnist1m", "version": 1, "origin": {...}, "shards": [{"file", "samples",
"sha256"}, ...]}``. The index is written last, and makes the folder readable. Samples lie in random order, the classes mixed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepnets.tasks.data_files import found, labelled, places, sha256_of_file
from deepnets.tasks.image_task import Images, images
from deepnets.tasks.npz_shards import Shard, Sharded, in_order, shard
from validation.arguments import Misuse, whole

INDEX, CLASSES, SIDE = "mnist1m.json", 10, 28
HOW = "give the folder that holds its shards: mnist_1m('folder')"


def shard_path(folder: Any, number: int) -> Path:
    """Return where a shard lies."""
    return Path(folder) / f"mnist1m-{whole('number', number, 0):05d}.npz"


def write_shard(folder: Any, number: int, x: np.ndarray, y: np.ndarray) -> Path:
    """Write one shard and return its path; it appears whole or not at all.

    Parameters
    ----------
    number : of the shard, >= 0.
    x : uint8 (n, 28, 28).
    y : whole numbers (n,), 0..9.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.dtype != np.uint8 or x.shape[1:] != (SIDE, SIDE) or y.shape != x.shape[:1] or len(x) == 0:
        raise Misuse(f"x must be uint8 (n, {SIDE}, {SIDE}) and y (n,), n at least 1, not {x.dtype} {x.shape} and {y.dtype} {y.shape}")
    y = labelled(y, CLASSES, "y").astype(np.uint8)
    path = shard_path(folder, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, x=x, y=y)
    return partial.replace(path)


def write_index(folder: Any, origin: Mapping[str, Any]) -> Path:
    """Write the index of all shards in the folder, with their checksums, and return its path.

    Parameters
    ----------
    origin : how the images were drawn, as JSON.
    """
    paths = in_order(list(Path(folder).glob("mnist1m-*.npz")))
    if not paths:
        raise Misuse(f"folder must hold shards, mnist1m-00000.npz and so on; {folder} has none")
    told = {"format": "mnist1m", "version": 1, "origin": dict(origin),
            "shards": [{"file": p.name, "samples": len(_shard(p)), "sha256": sha256_of_file(p)} for p in paths]}
    path = Path(folder) / INDEX
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return partial.replace(path)


def mnist_1m(path: Any = None) -> Images:
    """Return MNIST-1M: generated digits (1, 28, 28), streamed a shard at a time; 2048 of the last shard are held out.

    Parameters
    ----------
    path : the folder of ``mnist1m.json`` and its shards; None: the usual places. Every shard is compared with its checksum once.

    Raises
    ------
    Misuse : a file that is missing, or whose checksum is not the index's.
    """
    index = found("mnist_1m", [INDEX], places("mnist-1m", path), HOW)
    return images("mnist_1m", _read, str(index.parent), CLASSES)


def _read(folder: str) -> Sharded:
    index = Path(folder) / INDEX
    try:
        told = json.loads(index.read_bytes())
        if (told["format"], told["version"]) != ("mnist1m", 1):
            raise Misuse(f"{index} must be of format 'mnist1m', version 1, not {told['format']!r}, version {told['version']!r}")
        rows = [(str(row["file"]), int(row["samples"]), str(row["sha256"])) for row in told["shards"]]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, Misuse):
            raise
        raise Misuse(f"{index} is no index of shards: {error!r}") from None
    shards = []
    for name, samples, expected in rows:
        path = found("mnist_1m", [os.path.basename(name)], [index.parent], HOW)
        if (has := sha256_of_file(path)) != expected:
            raise Misuse(f"{path} is truncated or altered: its sha256 is {has}, and should be {expected}")
        made = _shard(path)
        if len(made) != samples:
            raise Misuse(f"{path} holds {len(made)} samples, and {index} tells {samples}")
        shards.append(Shard(made.x, made.y, CLASSES, expected))
    if not shards:
        raise Misuse(f"{index} tells of no shards")
    return Sharded(tuple(shards), _one_channel)


def _shard(path: Path) -> Shard:
    return shard(path, ("x", "y"), (SIDE, SIDE), CLASSES)


def _one_channel(x: np.ndarray) -> np.ndarray:
    return x[:, None]
