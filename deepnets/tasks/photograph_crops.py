"""Crops of the ten colour photographs that scikit-image and scikit-learn ship: colour images without a download.

They are not like CIFAR: the classes are ten photographs, which differ in colour and texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch

from deepnets.tasks.data_files import sha256
from deepnets.tasks.image_task import SCALED_ON, Scale, crop_and_flip, fit_scale
from deepnets.tasks.task import generator
from validation.arguments import Misuse

PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "flower", "hubble_deep_field", "immunohistochemistry", "motorcycle", "retina",
               "rocket")
SIDE, HELD_OUT = 32, 1024
STRIP = 5                # the rightmost fifth of every photograph is held out
_BATCH, _SCALE, _HELD_OUT, _AUGMENT = 51, 52, 53, 54      # first words of the keys: independent streams


@dataclass(frozen=True)
class Photographs:
    """Crops of 32 x 32 pixels at random positions in ten photographs; the class is the photograph.

    Training crops lie in the left four fifths of a photograph, held-out crops in the rest. They are scaled as `Images`: centred at every
    pixel, of unit mean square. The stream is endless, but of ten photographs.

    Attributes
    ----------
    content : the checksum of the decoded photographs.
    augment : whether training crops are shifted and mirrored at random.
    """

    content: str
    augment: bool = False
    in_shape: ClassVar[tuple[int, ...]] = (3, SIDE, SIDE)
    out_features: ClassVar[int] = len(PHOTOGRAPHS)
    classes: ClassVar[int | None] = len(PHOTOGRAPHS)

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, 3, 32, 32) and labels (size,), a pure function of the arguments."""
        pixels, labels = draw_crops(self._load(), generator(_BATCH, seed, step), size, held_out=False)
        x = _scale()(pixels)
        return (crop_and_flip(x, generator(_AUGMENT, seed, step)) if self.augment else x), torch.from_numpy(labels)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 crops from the held-out fifth of the photographs."""
        pixels, labels = draw_crops(self._load(), generator(_HELD_OUT), HELD_OUT, held_out=True)
        return _scale()(pixels), torch.from_numpy(labels)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "photographs", "content": self.content, "augment": self.augment}

    def _load(self) -> tuple[np.ndarray, ...]:
        if (has := _content()) != self.content:
            raise Misuse(f"the photographs have changed since this task was made: their checksum is {has}, not {self.content}")
        return _read()


def photographs(augment: bool = False) -> Photographs:
    """Return crops (3, 32, 32) of the ten colour photographs that scikit-image and scikit-learn ship, labelled by photograph.

    Raises
    ------
    Misuse : scikit-image, scikit-learn or Pillow is not installed.
    """
    if not isinstance(augment, bool):
        raise Misuse(f"augment must be True or False, not {augment!r}")
    return Photographs(_content(), augment)


def draw_crops(pictures: tuple[np.ndarray, ...], source: np.random.Generator, size: int, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw `size` random crops, bytes (size, 3, 32, 32), and the indices (size,) of the pictures, bytes (H, W, 3), that they are from."""
    labels = source.integers(0, len(pictures), size)
    positions = source.random((size, 2))
    crops = np.empty((size, 3, SIDE, SIDE), np.uint8)
    for crop, label, (down, right) in zip(crops, labels, positions, strict=True):
        picture = pictures[label]
        edge = picture.shape[1] - picture.shape[1] // STRIP
        part = picture[:, edge:] if held_out else picture[:, :edge]
        row, column = (int(u * (n - SIDE + 1)) for u, n in zip((down, right), part.shape, strict=False))
        crop[:] = part[row:row + SIDE, column:column + SIDE].transpose(2, 0, 1)
    return crops, labels


@lru_cache(maxsize=1)
def _read() -> tuple[np.ndarray, ...]:
    try:
        import skimage.data
        from sklearn.datasets import load_sample_image
        shipped = {"china": load_sample_image("china.jpg"), "flower": load_sample_image("flower.jpg"),
                   "motorcycle": skimage.data.stereo_motorcycle()[0]}
        return tuple(np.asarray(shipped[name] if name in shipped else getattr(skimage.data, name)()) for name in PHOTOGRAPHS)
    except ImportError as error:
        raise Misuse(f"photographs() needs scikit-image, scikit-learn and Pillow, which ship and decode them ({error}): "
                     "pip install scikit-image scikit-learn pillow") from None


@lru_cache(maxsize=1)
def _content() -> str:
    return sha256(" ".join(f"{p.shape} {sha256(p.tobytes())}" for p in _read()).encode())


@lru_cache(maxsize=1)
def _scale() -> Scale:
    return fit_scale(draw_crops(_read(), generator(_SCALE), SCALED_ON, held_out=False)[0])
