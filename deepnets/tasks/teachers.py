"""Synthetic regression tasks with a teacher: a deep ReLU network, or a linear map with given singular values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch

from deepnets.tasks.sampling import select_samples
from deepnets.tasks.task import generator
from validation.arguments import Misuse, positive, whole

HELD_OUT = 1024
SCALED_ON = 16384        # samples that determine a teacher's mean square
_WEIGHTS, _SCALE, _BATCH, _HELD_OUT = 71, 72, 73, 74      # first words of the keys: independent streams
_SINGULAR, _WHITE, _LINEAR_BATCH, _LINEAR_HELD_OUT = 75, 76, 77, 78


@dataclass(frozen=True)
class Teacher:
    """``y = W_L relu(... relu(W_1 x))``, divided by its root mean square: x standard normal, W fixed normal numbers.

    Attributes
    ----------
    dim : of x.
    width : of the teacher's hidden layers.
    depth : >= 2, the number of its weight matrices.
    out_features : numbers in y.
    teacher : seed of its weights.
    """

    dim: int
    width: int
    depth: int
    out_features: int = 1
    teacher: int = 0
    classes: ClassVar[int | None] = None
    in_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("width", 1), ("depth", 2), ("out_features", 1), ("teacher", 0)):
            whole(name, getattr(self, name), least)
        object.__setattr__(self, "in_shape", (self.dim,))
        _draw_weights(self)

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, dim) and y (size, out_features), a pure function of the arguments."""
        return self._draw(generator(_BATCH, seed, step), size)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 held-out samples."""
        return self._draw(generator(_HELD_OUT), HELD_OUT)

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        description = asdict(self)
        del description["in_shape"]
        return {"name": "teacher", **description}

    def _draw(self, source: np.random.Generator, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = source.standard_normal((size, self.dim), dtype=np.float32)
        return torch.from_numpy(x), torch.from_numpy(_apply(_draw_weights(self), x).astype(np.float32))


def teacher(dim: int, width: int = 8, depth: int = 3, out_features: int = 1) -> Teacher:
    """Return the task of a random ReLU network without biases, scaled to unit mean square; x of `dim` standard normal numbers."""
    return Teacher(dim, width, depth, out_features)


@lru_cache(maxsize=4)
def _draw_weights(task: Teacher) -> tuple[np.ndarray, ...]:
    """Return the teacher's matrices, (fan_out, fan_in), the last scaled so that the targets have unit mean square."""
    source = generator(_WEIGHTS, task.teacher)
    sizes = [task.dim, *[task.width] * (task.depth - 1), task.out_features]
    *inner, last = (source.standard_normal((n, m)) * math.sqrt(2 / m) for m, n in pairwise(sizes))
    x = generator(_SCALE, task.dim).standard_normal((SCALED_ON, task.dim))
    square = np.square(_apply((*inner, last), x)).mean()
    if square == 0:
        raise Misuse("teacher must have outputs other than 0; with "
                     f"width={task.width}, depth={task.depth}, teacher={task.teacher} every unit is off")
    return (*inner, last / math.sqrt(square))


def _apply(weights: tuple[np.ndarray, ...], x: np.ndarray) -> np.ndarray:
    """Return the teacher's outputs, float64 (n, out_features)."""
    for w in weights[:-1]:
        x = np.maximum(x @ w.T, 0)
    return x @ weights[-1].T


@dataclass(frozen=True)
class Linear:
    """``y = A x`` with white x; A has given singular values and fixed random singular vectors.

    With `samples` None, x are standard normal, new in every sample. Otherwise there are that many x, whose mean of x x^T is the identity
    up to rounding; a batch of that size holds each of them once (full batches, with sharp stairs in the loss).

    Attributes
    ----------
    singular_values : > 0, of A; not scaled: the mean square of y is the sum of their squares over `out_features`.
    dim, out_features : of x and y, at least as many as there are singular values.
    samples : the number of x, at least `dim`; None: endless.
    directions : seed of the singular vectors and of the samples.
    """

    singular_values: tuple[float, ...]
    dim: int
    out_features: int
    samples: int | None = None
    directions: int = 0
    classes: ClassVar[int | None] = None
    in_shape: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        values = positive("singular_values", self.singular_values)
        if values.ndim != 1 or not len(values):
            raise Misuse(f"singular_values must be one or more numbers, not {self.singular_values!r}")
        object.__setattr__(self, "singular_values", tuple(values.tolist()))
        whole("dim", self.dim, len(values))
        whole("out_features", self.out_features, len(values))
        if self.samples is not None:
            whole("samples", self.samples, self.dim)
        whole("directions", self.directions, 0)
        object.__setattr__(self, "in_shape", (self.dim,))

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, dim) and y (size, out_features), a pure function of the arguments."""
        if self.samples is None:
            x = generator(_LINEAR_BATCH, seed, step).standard_normal((size, self.dim))
        else:
            x = np.concatenate([_draw_white(self.samples, self.dim, self.directions)[chosen] for _, chosen in
                                select_samples(seed, step, size, (self.samples,))])
        return self._with_targets(x)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return 1024 held-out samples, x standard normal."""
        return self._with_targets(generator(_LINEAR_HELD_OUT).standard_normal((HELD_OUT, self.dim)))

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON."""
        description = asdict(self)
        del description["in_shape"]
        return {"name": "linear", **description, "singular_values": list(self.singular_values)}

    def matrix(self) -> np.ndarray:
        """Return A, (out_features, dim)."""
        source = generator(_SINGULAR, self.directions)
        left, right = (np.linalg.qr(source.standard_normal((n, len(self.singular_values))))[0] for n in (self.out_features, self.dim))
        return (left * self.singular_values) @ right.T

    def _with_targets(self, x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy((x @ self.matrix().T).astype(np.float32))


def linear(singular_values: Sequence[float] = (1.0, 0.4, 0.16, 0.064), dim: int | None = None, out_features: int | None = None,
           samples: int | None = None) -> Linear:
    """Return the task of a linear teacher; `dim` and `out_features` are by default the number of singular values.

    With `samples` and batches of that size, a linear student learns the singular directions one after the other, in stairs.
    """
    count = len(positive("singular_values", singular_values).reshape(-1))
    return Linear(singular_values,      # type: ignore[arg-type]
                  count if dim is None else dim, count if out_features is None else out_features, samples)


@lru_cache(maxsize=4)
def _draw_white(samples: int, dim: int, directions: int) -> np.ndarray:
    """Draw x (samples, dim) whose mean of x x^T is the identity."""
    return np.linalg.qr(generator(_WHITE, directions).standard_normal((samples, dim)))[0] * math.sqrt(samples)
