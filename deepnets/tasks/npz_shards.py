"""Images of which only one shard at a time is open: npz files of bytes and labels; knows no dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from deepnets.tasks.data_files import labelled, sha256
from deepnets.tasks.image_task import HELD_OUT, chosen_few
from deepnets.tasks.npz_members import Member, member
from validation.arguments import Misuse


@dataclass(frozen=True)
class Shard:
    """An npz file with images and their labels.

    Attributes
    ----------
    x, y : its arrays.
    classes : of the labels.
    sum : the checksum by which the data are named.
    """

    x: Member
    y: Member
    classes: int
    sum: str

    def __len__(self) -> int:
        """Return the number of images."""
        return self.x.shape[0]


def shard(path: Path, keys: tuple[str, str], shape: tuple[int, ...], classes: int) -> Shard:
    """Return the shard in `path`, named by the zip's own sums of its arrays; only its headers are read.

    Parameters
    ----------
    keys : of images, bytes (n, *shape), and of labels, whole numbers (n,).
    """
    x, y = (member(path, key) for key in keys)
    if x.dtype != np.uint8 or x.shape[1:] != shape or len(x.shape) != len(shape) + 1:
        raise Misuse(f"array {x.key!r} of {path} must be uint8 of shape (n, {', '.join(map(str, shape))}), not {x.dtype} of {x.shape}")
    if y.shape != x.shape[:1] or x.shape[0] < 5:
        raise Misuse(f"array {y.key!r} of {path} must have one label for each of {x.shape[0]} images, at least 5, not shape {y.shape}")
    return Shard(x, y, classes, sha256(f"{x.crc:08x} {y.crc:08x} {x.shape} {y.shape}".encode()))


@dataclass(frozen=True, eq=False)
class Sharded:
    """A source of images whose shards are opened one after the other; held out are 2048 (at most a fifth) of the last.

    Arrays that lie uncompressed are mapped, so that no more than the images shown are in memory; compressed ones are, a shard at a time.

    Attributes
    ----------
    shards : in the order of their names.
    arranged : bytes of a shard (n, ...) -> (n, C, H, W).
    """

    shards: tuple[Shard, ...]
    arranged: Callable[[np.ndarray], np.ndarray]

    @property
    def content(self) -> str:
        """The checksum of the shards' checksums."""
        return sha256(" ".join(s.sum for s in self.shards).encode())

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of each shard that may be shown."""
        return (*map(len, self.shards[:-1]), len(_split(len(self.shards[-1]))[0]))

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images (n, C, H, W) and labels."""
        if shard == len(self.shards) - 1:
            chosen = _split(len(self.shards[-1]))[0][chosen]
        return self._taken(shard, chosen)

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels that are never shown."""
        return self._taken(len(self.shards) - 1, _split(len(self.shards[-1]))[1])

    def _taken(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = _opened(self.shards[shard])
        return self.arranged(np.asarray(x[chosen])), y[chosen]


@lru_cache(maxsize=1)
def _opened(shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """Return a shard's arrays, verified; the process keeps the last alone."""
    return shard.x.array(), labelled(shard.y.array(), shard.classes, f"{shard.y.key!r} of {shard.y.path}")


@lru_cache(maxsize=2)
def _split(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the last shard that may be shown, and those held out."""
    held = chosen_few(length, min(HELD_OUT, length // 5))
    return np.setdiff1d(np.arange(length), held), held


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Return files in the order of the numbers in their names."""
    return sorted(paths, key=lambda path: (len(path.name), path.name))
