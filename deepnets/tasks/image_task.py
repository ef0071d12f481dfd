"""Classification tasks of images from files: batches, scaling to unit mean square, augmentation by crops, flips and warps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from deepnets.tasks.elastic_warps import warp_images
from deepnets.tasks.sampling import select_samples
from deepnets.tasks.task import generator
from validation.arguments import Misuse

HELD_OUT = 2048          # held-out images, at most: evaluation stays cheap
SCALED_ON = 8192         # training images, at most, that determine the scale
PADDING = 4              # pixels that augmentation moves an image by, at most
DISPLACEMENT = 1.0       # pixels: standard deviation of an elastic warp
LATTICE = 5              # points at which it is drawn, along each axis
_SCALE, _HELD_OUT, _AUGMENT, _ELASTIC = 31, 32, 33, 34      # first words of the keys: independent streams


class Source(Protocol):
    """Images as bytes (n, C, H, W), in shards, with labels."""

    @property
    def content(self) -> str:
        """A checksum that identifies the data, wherever the files are."""
        ...

    @property
    def lengths(self) -> tuple[int, ...]:
        """Training images in each shard."""
        ...

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return training images (n, C, H, W) and labels (n,) of a shard, at the indices `chosen` (n,)."""
        ...

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return held-out images and labels."""
        ...


@dataclass(frozen=True, eq=False)
class InMemorySource:
    """A source in memory: images (n, C, H, W) and labels (n,), for training (`training`) and held out (`test`)."""

    content: str
    training: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Training images in the only shard."""
        return (len(self.training[1]),)

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return training images and labels at the indices `chosen`."""
        return self.training[0][chosen], self.training[1][chosen]

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return at most 2048 held-out images and their labels."""
        few = choose_held_out(len(self.test[1]))
        return self.test[0][few], self.test[1][few]


@dataclass(frozen=True)
class Scale:
    """Scaling of images: subtract `mean`, divide by `unit`."""

    mean: torch.Tensor      # (C, H, W)
    unit: float

    def __call__(self, pixels: np.ndarray) -> torch.Tensor:
        """Return bytes (n, C, H, W) as float32, centred and of unit mean square."""
        return (torch.from_numpy(pixels).float() - self.mean) / self.unit


def fit_scale(pixels: np.ndarray) -> Scale:
    """Return the scale that gives these images, bytes (n, C, H, W), mean 0 at every pixel and mean square 1 over all pixels.

    The sums are of whole numbers, so that the scale is the same to the last bit on every machine.
    """
    mean = pixels.sum(0, dtype=np.int64) / len(pixels)
    square = np.square(pixels, dtype=np.uint16).sum(0, dtype=np.int64) / len(pixels)
    return Scale(torch.from_numpy(mean.astype(np.float32)), math.sqrt((square - mean**2).mean()) or 1.0)


def choose_held_out(n: int, most: int = HELD_OUT) -> np.ndarray:
    """Return the sorted indices of at most `most` of n images, always the same ones."""
    return np.sort(generator(_HELD_OUT, n).permutation(n)[:most])


@dataclass(frozen=True)
class Images:
    """Images from files; each epoch uses every image once, in an order that depends on the seed.

    Each pixel is centred by its mean over (at most 8192 of) the training images, and all are divided by one number, so that the mean square
    of a pixel is 1. Tasks are equal if their data are, wherever the files are.

    Attributes
    ----------
    name : of the dataset.
    read : path -> `Source`; a function at module level, so that the task can be pickled. The process caches the source, not the task.
    path : the argument of `read`.
    content : the checksum of the data.
    in_shape : (C, H, W).
    classes : their number.
    augment : whether training images are shifted and mirrored at random; held-out images never are.
    elastic : whether training images are warped at random; held-out images never are.
    """

    name: str
    read: Callable[[str], Source] = field(repr=False, compare=False)
    path: str = field(compare=False)
    content: str
    in_shape: tuple[int, ...]
    classes: int
    augment: bool = False
    elastic: bool = False

    @property
    def out_features(self) -> int:
        """The number of classes."""
        return self.classes

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, C, H, W) and labels (size,), a pure function of the arguments."""
        source, scale = self._load()
        pieces = [source.rows(shard, chosen) for shard, chosen in select_samples(seed, step, size, source.lengths)]
        pixels, labels = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        x = scale(pixels)
        if self.augment:
            x = crop_and_flip(x, generator(_AUGMENT, seed, step))
        if self.elastic:
            x = warp_images(x, generator(_ELASTIC, seed, step), DISPLACEMENT, LATTICE)
        return x, torch.from_numpy(labels)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return at most 2048 images, and their labels, that are in no batch."""
        self._load()
        return _load_held_out(self.read, self.path)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": self.name, "content": self.content, "augment": self.augment} | ({"elastic": True} if self.elastic else {})

    def _load(self) -> tuple[Source, Scale]:
        source, scale = load_source(self.read, self.path)
        if source.content != self.content:
            raise Misuse(f"{self.name} at {self.path} has changed since this task was made: its checksum is {source.content}, "
                         f"not {self.content}")
        return source, scale


@lru_cache(maxsize=2)
def load_source(read: Callable[[str], Source], path: str) -> tuple[Source, Scale]:
    """Return the source and its scale; the process caches the last two."""
    source = read(path)
    n = source.lengths[0]
    pixels, _ = source.rows(0, np.sort(generator(_SCALE, n).permutation(n)[:SCALED_ON]))
    return source, fit_scale(pixels)


@lru_cache(maxsize=2)
def _load_held_out(read: Callable[[str], Source], path: str) -> tuple[torch.Tensor, torch.Tensor]:
    source, scale = load_source(read, path)
    pixels, labels = source.held_out()
    return scale(pixels), torch.from_numpy(labels)


def make_image_task(name: str, read: Callable[[str], Source], path: str, classes: int, augment: bool = False,
                    elastic: bool = False) -> Images:
    """Return the task of the images that `read` finds at `path`; they are read at once, so that errors in the files are raised here.

    Parameters
    ----------
    name : of the data set, as in descriptions.
    read : path -> `Source`, a function at module level.
    path : of the files.
    classes : their number.
    augment : whether training images are shifted and mirrored at random.
    elastic : whether training images, which must be square, are warped at random.
    """
    for word, given in (("augment", augment), ("elastic", elastic)):
        if not isinstance(given, bool):
            raise Misuse(f"{word} must be True or False, not {given!r}")
    source, scale = load_source(read, path)
    return Images(name, read, path, source.content, tuple(scale.mean.shape), classes, augment, elastic)


def crop_and_flip(x: torch.Tensor, source: np.random.Generator) -> torch.Tensor:
    """Return images (n, C, H, W), each shifted by up to 4 pixels along both axes and mirrored left to right with probability 1/2.

    Images are padded with 0, the mean of centred images, which lowers the mean square accordingly. The random numbers come from `source`,
    whatever the device of x.
    """
    n, channels, height, width = x.shape
    down, right = (torch.from_numpy(source.integers(0, 2 * PADDING + 1, (n, 1))) for _ in range(2))
    mirrored = torch.from_numpy(source.integers(0, 2, (n, 1)) == 1)
    rows, columns = torch.arange(height) + down, torch.arange(width) + right                    # (n, H), (n, W)
    columns = torch.where(mirrored, columns.flip(1), columns)
    at = (rows[:, :, None] * (width + 2 * PADDING) + columns[:, None, :]).reshape(n, 1, -1).to(x.device)
    return F.pad(x, (PADDING,) * 4).flatten(2).gather(2, at.expand(-1, channels, -1)).reshape(x.shape)
