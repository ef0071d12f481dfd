"""Synthetic regression tasks: single-index and multi-index models with Gaussian inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from deepnets.tasks.task import generator
from validation.arguments import Misuse, whole

HELD_OUT = 1024
_DIRECTION, _BATCH, _HELD_OUT = 1, 2, 3      # first words of the keys: independent streams
_DIRECTIONS, _BATCH_OF_MANY, _HELD_OUT_OF_MANY = 4, 5, 6


@dataclass(frozen=True)
class SingleIndex:
    """``y = (w . x)**degree / sqrt((2 degree - 1)!!)``: x standard normal, w a fixed random unit vector, y of unit mean square.

    Attributes
    ----------
    dim : of x.
    degree : >= 1.
    direction : seed of w.
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
        return self._draw(generator(_BATCH, seed, step), size)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 held-out samples."""
        return self._draw(generator(_HELD_OUT), HELD_OUT)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        description = asdict(self)
        del description["in_shape"]
        return {"name": "single_index", **description}

    def _draw(self, source: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        w = generator(_DIRECTION, self.direction).standard_normal(self.dim)
        x = source.standard_normal((size, self.dim), dtype=np.float32)
        y = (x @ (w / np.linalg.norm(w))) ** self.degree / math.sqrt(math.prod(range(1, 2 * self.degree, 2)))
        return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32)[:, None])


def single_index(dim: int, degree: int) -> SingleIndex:
    """Return the task ``y = (w . x)**degree``, scaled to unit mean square; x of `dim` standard normal numbers."""
    return SingleIndex(dim, degree)


@dataclass(frozen=True)
class MultiIndex:
    """``y = sum over terms of prod_i (w_i . x)**p_i``, divided by its root mean square: x standard normal, w_i fixed random orthonormal.

    Attributes
    ----------
    dim : of x.
    terms : for each term the powers (p_1, ..., p_k) of the k directions, whole numbers; k is at most `dim`.
    directions : seed of w.
    """

    dim: int
    terms: tuple[tuple[int, ...], ...]
    directions: int = 0
    out_features: ClassVar[int] = 1
    classes: ClassVar[int | None] = None
    in_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        whole("dim", self.dim)
        whole("directions", self.directions, 0)
        rows = self.terms
        if not isinstance(rows, Sequence) or not rows or not all(isinstance(r, Sequence) and not isinstance(r, str) for r in rows):
            raise Misuse(f"terms must be tuples of powers, such as ((1, 0), (1, 1)), not {rows!r}")
        powers = tuple(tuple(whole("terms", p, 0) for p in row) for row in rows)
        if len({len(row) for row in powers}) != 1 or not 1 <= len(powers[0]) <= self.dim or not any(map(any, powers)):
            raise Misuse(f"terms must be of one length, from 1 to dim={self.dim}, with a power above 0, not {rows!r}")
        object.__setattr__(self, "terms", powers)
        object.__setattr__(self, "in_shape", (self.dim,))

    def mean_square(self) -> int:
        """Return the mean square of the sum of terms, a whole number."""
        return sum(math.prod(_moment(p + q) for p, q in zip(a, b, strict=True)) for a in self.terms for b in self.terms)

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, dim) and y (size, 1), a pure function of the arguments."""
        return self._draw(generator(_BATCH_OF_MANY, seed, step), size)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 held-out samples."""
        return self._draw(generator(_HELD_OUT_OF_MANY), HELD_OUT)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        return {"name": "multi_index", "dim": self.dim, "terms": [list(row) for row in self.terms], "directions": self.directions}

    def _draw(self, source: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        w = np.linalg.qr(generator(_DIRECTIONS, self.directions).standard_normal((self.dim, len(self.terms[0]))))[0]
        x = source.standard_normal((size, self.dim), dtype=np.float32)
        z = x @ w                                                                   # (size, k)
        y = sum((z ** np.array(row)).prod(1) for row in self.terms) / math.sqrt(self.mean_square())
        return torch.from_numpy(x), torch.from_numpy(np.asarray(y, np.float32)[:, None])


def multi_index(dim: int, terms: Sequence[Sequence[int]] = ((1, 0, 0), (1, 1, 0), (1, 1, 1))) -> MultiIndex:
    """Return the task of a polynomial in a few directions, scaled to unit mean square; `terms` are its powers, by default a staircase.

    ``((1, 0, 0), (1, 1, 0), (1, 1, 1))`` is z_1 + z_1 z_2 + z_1 z_2 z_3.
    """
    return MultiIndex(dim, tuple(terms) if isinstance(terms, Sequence) and not isinstance(terms, str) else terms)   # type: ignore[arg-type]


def _moment(power: int) -> int:
    """Return the mean of a power of a standard normal number."""
    return 0 if power % 2 else math.prod(range(1, power, 2))
