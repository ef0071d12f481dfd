"""Images: scikit-learn's handwritten digits; knows no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch

from deepnets.tasks.stream import generator
from validation.misuse import Misuse

HELD_OUT = 297
_SPLIT, _BATCH = 11, 12      # first words of the keys: the streams never meet


@dataclass(frozen=True)
class Digits:
    """The 1797 digits of 8 x 8 pixels that scikit-learn ships, batches drawn with replacement from 1500 of them.

    Each pixel is centred by its mean over the 1500, and all are divided by one number, so that the mean square of a pixel is 1.
    The stream is endless, its variety is not: 1500 images.
    """

    in_shape: ClassVar[tuple[int, ...]] = (64,)
    out_features: ClassVar[int] = 10
    classes: ClassVar[int | None] = 10

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, 64) and labels (size,), a pure function of the arguments."""
        x, y = _digits()
        chosen = torch.from_numpy(generator(_BATCH, seed, step).integers(0, len(x) - HELD_OUT, size))
        return x[chosen], y[chosen]

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the 297 digits that no batch holds."""
        x, y = _digits()
        return x[-HELD_OUT:], y[-HELD_OUT:]

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "digits"}


@lru_cache(maxsize=1)
def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return all digits in one fixed random order, those to be held out last."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise Misuse("digits() needs scikit-learn, which ships them: pip install 'lazyrich[deep]'") from None

    x, y = load_digits(return_X_y=True)
    order = generator(_SPLIT).permutation(len(x))
    x, y = torch.from_numpy(x[order]), torch.from_numpy(y[order])
    shown = x[:-HELD_OUT]
    x = (x - shown.mean(0)) / (shown - shown.mean(0)).square().mean().sqrt()
    return x.float(), y.long()


def digits() -> Digits:
    """Return scikit-learn's digits, 64 inputs and 10 classes; no file is needed."""
    return Digits()
