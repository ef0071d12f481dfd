"""Tasks of the zoo: the digits of scikit-learn as vectors, images, sequences and tokens, with classes or numbers as targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch

CLASSES = 4           # digits 0 to 3
LEVELS = 6            # tokens: grey levels
HELD_OUT = 8          # samples
SHOWN = 10            # samples that batches are drawn from: so few that thirty steps train


@lru_cache
def load_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the digits 0 to 3, (n, 8, 8) with mean square 1, and their classes."""
    from sklearn.datasets import load_digits

    x, y = load_digits(n_class=CLASSES, return_X_y=True)
    x = x - x.mean(0)
    return torch.from_numpy((x / np.sqrt((x**2).mean())).astype(np.float32)).reshape(-1, 8, 8), torch.from_numpy(y)


def tokens(x: torch.Tensor) -> torch.Tensor:
    """Return twelve pixels of a digit as grey levels, (n, 12)."""
    return ((x[:, 2:6, 2:5].flatten(1).clamp(-1.2, 1.2) + 1.2) / 2.4 * (LEVELS - 1)).round().long()


@dataclass(frozen=True)
class Samples:
    """A task of `deepnets`; batches are drawn from ten samples, without replacement.

    Attributes
    ----------
    name : of the kind.
    shape : digits (n, 8, 8) -> inputs.
    target : inputs, digits and classes -> targets.
    out_features, classes : as of `deepnets.tasks.Task`.
    """

    name: str
    shape: Callable[[torch.Tensor], torch.Tensor]
    target: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
    out_features: int
    classes: int | None

    @cached_property
    def all(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets of every digit."""
        digits, labels = load_digits()
        x = self.shape(digits)
        return x, self.target(x, digits, labels)

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.all[0].shape[1:])

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets."""
        x, y = self.all
        chosen = torch.from_numpy(np.random.default_rng((seed, step)).permutation(SHOWN)[:size] + HELD_OUT)
        return x[chosen], y[chosen]

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first digits."""
        x, y = self.all
        return x[:HELD_OUT], y[:HELD_OUT]

    def describe(self) -> dict[str, Any]:
        """Return the name."""
        return {"name": f"zoo {self.name}"}


def _label(x: torch.Tensor, digits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return labels


SAMPLES = {s.name: s for s in (
    Samples("vectors", lambda d: d[:, 1:7, 2:6].flatten(1), _label, CLASSES, CLASSES),                        # (n, 24)
    Samples("images", lambda d: d[:, None], _label, CLASSES, CLASSES),                                        # (n, 1, 8, 8)
    Samples("sequences", lambda d: d, _label, CLASSES, CLASSES),                                              # (n, 8, 8)
    Samples("tokens", tokens, _label, CLASSES, CLASSES),                                                      # (n, 12)
    Samples("next tokens", lambda d: tokens(d)[:, :-1], lambda x, d, y: tokens(d)[:, 1:], LEVELS, LEVELS),    # (n, 11)
    Samples("numbers", lambda d: d[:, 1:7, 2:6].flatten(1), lambda x, d, y: torch.stack([d[:, 2, 3], d[:, 4, 4]], 1), 2, None),
    Samples("pictures", lambda d: d[:, None] * torch.linspace(0, 1, 8), lambda x, d, y: d.flatten(1), 64, None),   # to be restored
)}
