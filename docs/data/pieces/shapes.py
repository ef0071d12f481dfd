"""A task of Fashion-MNIST's shape without its pictures: what estimates need where the files are not at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Shapes:
    """Black pictures 28 x 28 of ten classes."""

    in_shape: tuple[int, ...] = (1, 28, 28)
    out_features: int = 10
    classes: int = 10

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return pictures and labels."""
        return torch.zeros(size, *self.in_shape), torch.zeros(size, dtype=torch.int64)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 10000 of them."""
        return self.batch(0, 0, 10_000)

    def describe(self) -> dict[str, Any]:
        """Return the name of what it has the shape of."""
        return {"name": "fashion_mnist"}
