"""The handwritten digits (8 x 8) that scikit-learn ships, with elastic warps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from deepnets.tasks.elastic_warps import warp_images
from deepnets.tasks.task import generator
from validation.arguments import Misuse

HELD_OUT = 297
DISPLACEMENT = 0.5           # pixels: standard deviation of an elastic warp
_SPLIT, _BATCH = 11, 12      # first words of the keys: independent streams


@dataclass(frozen=True)
class Digits:
    """The 1797 digits of 8 x 8 pixels that scikit-learn ships; batches are drawn with replacement from 1500 of them.

    Each pixel is centred by its mean over the 1500, and all are divided by one number, so that the mean square of a pixel is 1. The stream
    is endless, but has 1500 images. Elastic warps make every sample new, by a smooth displacement of less than a pixel; they add no
    other handwriting.

    Attributes
    ----------
    elastic : whether every sample of a batch is warped; held-out digits never are.
    raw : whether pixels keep their mean (they are then only divided, so that their mean square is 1).
    """

    elastic: bool = False
    raw: bool = False
    in_shape: ClassVar[tuple[int, ...]] = (64,)
    out_features: ClassVar[int] = 10
    classes: ClassVar[int | None] = 10

    def __post_init__(self) -> None:
        for name in ("elastic", "raw"):
            if not isinstance(getattr(self, name), bool):
                raise Misuse(f"{name} must be True or False, not {getattr(self, name)!r}")

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, 64) and labels (size,), a pure function of the arguments."""
        x, y = _load_and_scale(self.raw)
        source = generator(_BATCH, seed, step)
        chosen = torch.from_numpy(source.integers(0, len(x) - HELD_OUT, size))
        shown = x[chosen]
        return (warp_images(shown.reshape(-1, 1, 8, 8), source, DISPLACEMENT).reshape(-1, 64) if self.elastic else shown), y[chosen]

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the 297 digits that are in no batch."""
        x, y = _load_and_scale(self.raw)
        return x[-HELD_OUT:], y[-HELD_OUT:]

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "digits", "elastic": self.elastic, "raw": self.raw}


def load_in_random_order() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits (1797, 64), pixels from 0 to 16, and their labels, in one fixed random order, the 297 held-out digits last."""
    x, y = _read_digits()
    order = generator(_SPLIT).permutation(len(x))
    return x[order], y[order]


def _read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return all digits and their labels in scikit-learn's order, from the file that it installs: to import it takes a second."""
    found = find_spec("sklearn")
    if found is None:
        raise Misuse("digits() needs scikit-learn, which ships them: pip install 'lazyrich[deep]'")
    for folder in found.submodule_search_locations or ():
        path = Path(folder, "datasets", "data", "digits.csv.gz")
        if path.is_file():
            table = np.loadtxt(path, delimiter=",")
            return table[:, :-1], table[:, -1].astype(int)
    from sklearn.datasets import load_digits  # a version that stores them otherwise

    x, y = load_digits(return_X_y=True)
    return x, y


@lru_cache(maxsize=2)
def _load_and_scale(raw: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all digits in the order of `load_in_random_order`, scaled."""
    x, y = (torch.from_numpy(part) for part in load_in_random_order())
    mean = torch.zeros(64) if raw else x[:-HELD_OUT].mean(0)
    x = x - mean
    return (x / x[:-HELD_OUT].square().mean().sqrt()).float(), y.long()


def digits(elastic: bool = False, raw: bool = False) -> Digits:
    """Return scikit-learn's digits, 64 inputs and 10 classes. `elastic`: every sample is warped; `raw`: pixels keep their mean."""
    return Digits(elastic, raw)
