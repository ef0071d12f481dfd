"""Tasks that are generated: the single-index model; endless, and needing no file."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from deepnets.tasks.stream import generator
from validation.misuse import whole

HELD_OUT = 1024
_DIRECTION, _BATCH, _HELD_OUT = 1, 2, 3      # first words of the keys: the streams never meet


@dataclass(frozen=True)
class SingleIndex:
    """``y = (w . x)**degree / sqrt((2 degree - 1)!!)``: x standard normal, w a fixed random unit vector, y of unit mean square.

    Attributes
    ----------
    dim : of x.
    degree : >= 1.
    direction : the seed of w.
    """

    dim: int
    degree: int
    direction: int = 0
    out_features: ClassVar[int] = 1
    classes: ClassVar[int | None] = None
    in_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        whole("dim", self.dim)
        whole("degree", self.degree)
        whole("direction", self.direction, 0)
        object.__setattr__(self, "in_shape", (self.dim,))

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, dim) and y (size, 1), a pure function of the arguments."""
        return self._drawn(generator(_BATCH, seed, step), size)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 further samples."""
        return self._drawn(generator(_HELD_OUT), HELD_OUT)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        told = asdict(self)
        del told["in_shape"]
        return {"name": "single_index", **told}

    def _drawn(self, source: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        w = generator(_DIRECTION, self.direction).standard_normal(self.dim)
        x = source.standard_normal((size, self.dim), dtype=np.float32)
        y = (x @ (w / np.linalg.norm(w))) ** self.degree / math.sqrt(math.prod(range(1, 2 * self.degree, 2)))
        return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32)[:, None])


def single_index(dim: int, degree: int) -> SingleIndex:
    """Return the task ``y = (w . x)**degree``, scaled to unit mean square; x of `dim` standard normal numbers."""
    return SingleIndex(dim, degree)
