"""Tasks of images with classes that come from files: bytes in memory or on disk, scaled as they are shown; knows no format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch

from deepnets.tasks.augmentation import cropped_and_flipped
from deepnets.tasks.sampling import dealt
from deepnets.tasks.task import generator
from validation.arguments import Misuse

HELD_OUT = 2048          # at most: evaluation stays cheap
LOOKED_AT = 8192         # shown images, at most, that the scale is taken from
_SCALE, _HELD_OUT, _AUGMENT = 31, 32, 33      # first words of the keys: the streams never meet


class Source(Protocol):
    """Images as bytes (n, C, H, W), with labels."""

    @property
    def content(self) -> str:
        """A checksum that names the data wherever the files lie."""
        ...

    @property
    def lengths(self) -> tuple[int, ...]:
        """Images of each shard that may be shown."""
        ...

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels of a shard."""
        ...

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels that are never shown."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Images and labels to be shown, and those to be held out; all are in memory."""

    content: str
    shown: tuple[np.ndarray, np.ndarray]
    held: tuple[np.ndarray, np.ndarray]

    @property
    def lengths(self) -> tuple[int, ...]:
        """The one shard's."""
        return (len(self.shown[1]),)

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels."""
        return self.shown[0][chosen], self.shown[1][chosen]

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return at most 2048 of those held out."""
        few = chosen_few(len(self.held[1]))
        return self.held[0][few], self.held[1][few]


@dataclass(frozen=True)
class Scale:
    """What is subtracted from the bytes, and what they are divided by."""

    mean: torch.Tensor      # (C, H, W)
    unit: float

    def __call__(self, pixels: np.ndarray) -> torch.Tensor:
        """Return bytes (n, C, H, W) as centred float32 numbers of unit mean square."""
        return (torch.from_numpy(pixels).float() - self.mean) / self.unit


def scale_of(pixels: np.ndarray) -> Scale:
    """Return the scale by which these images have mean 0 at every pixel, and mean square 1 over all of them.

    The sums are of whole numbers: the scale is the same to the last bit on every machine.
    """
    mean = pixels.sum(0, dtype=np.int64) / len(pixels)
    square = np.square(pixels, dtype=np.uint16).sum(0, dtype=np.int64) / len(pixels)
    return Scale(torch.from_numpy(mean.astype(np.float32)), math.sqrt((square - mean**2).mean()) or 1.0)


def chosen_few(n: int, most: int = HELD_OUT) -> np.ndarray:
    """Return indices of at most `most` out of n, always the same."""
    return np.sort(generator(_HELD_OUT, n).permutation(n)[:most])


@dataclass(frozen=True)
class Images:
    """Images from files, each shown once before any is shown again, in an order that the seed tells.

    Each pixel is centred by its mean over (at most 8192 of) the shown images, and all are divided by one number, so that the mean square
    of a pixel is 1. Tasks are equal if the data are, wherever they lie.

    Attributes
    ----------
    name : of the dataset.
    read : path -> `Source`; a function of a module, so that the task can be pickled. What it read is kept by the process, not the task.
    path : what `read` is given.
    content : the checksum of the data.
    in_shape : (C, H, W).
    classes : how many.
    augment : whether shown images are moved and mirrored at random; what is held out never is.
    """

    name: str
    read: Callable[[str], Source] = field(repr=False, compare=False)
    path: str = field(compare=False)
    content: str
    in_shape: tuple[int, ...]
    classes: int
    augment: bool = False

    @property
    def out_features(self) -> int:
        """As many as there are classes."""
        return self.classes

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, C, H, W) and labels (size,), a pure function of the arguments."""
        source, scale = self._opened()
        pieces = [source.rows(shard, chosen) for shard, chosen in dealt(seed, step, size, source.lengths)]
        pixels, labels = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        x = scale(pixels)
        return (cropped_and_flipped(x, generator(_AUGMENT, seed, step)) if self.augment else x), torch.from_numpy(labels)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return at most 2048 images, and their labels, that no batch holds."""
        self._opened()
        return _held_out(self.read, self.path)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": self.name, "content": self.content, "augment": self.augment}

    def _opened(self) -> tuple[Source, Scale]:
        source, scale = opened(self.read, self.path)
        if source.content != self.content:
            raise Misuse(f"{self.name} at {self.path} is not what this task was made of: its checksum is {source.content}, "
                         f"not {self.content}")
        return source, scale


@lru_cache(maxsize=2)
def opened(read: Callable[[str], Source], path: str) -> tuple[Source, Scale]:
    """Return the source and its scale; this process keeps the last two."""
    source = read(path)
    n = source.lengths[0]
    pixels, _ = source.rows(0, np.sort(generator(_SCALE, n).permutation(n)[:LOOKED_AT]))
    return source, scale_of(pixels)


@lru_cache(maxsize=2)
def _held_out(read: Callable[[str], Source], path: str) -> tuple[torch.Tensor, torch.Tensor]:
    source, scale = opened(read, path)
    pixels, labels = source.held_out()
    return scale(pixels), torch.from_numpy(labels)


def images(name: str, read: Callable[[str], Source], path: str, classes: int, augment: bool = False) -> Images:
    """Return the task of what `read` finds at `path`; it is read at once, so that what is wrong with the files is told here."""
    if not isinstance(augment, bool):
        raise Misuse(f"augment must be True or False, not {augment!r}")
    source, scale = opened(read, path)
    return Images(name, read, path, source.content, tuple(scale.mean.shape), classes, augment)
