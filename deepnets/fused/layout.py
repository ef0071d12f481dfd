"""Where the kernels keep the parameters of a run: weights (in, out), rows padded to whole vectors, a bias as one more row.

A bias meets a column of ones behind the padded inputs. Leading dimensions are no powers of two, whose rows share a part of the cache.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from deepnets.batched.state import Parameters
from deepnets.fused import kernels
from deepnets.fused.stream import BLOCK
from deepnets.fused.units import UNITS, has_slopes
from deepnets.fused.vectors import V
from deepnets.networks.mlp import StackOfLayers


def allocate(*shape: int) -> np.ndarray:
    """Return zeros, float32, that begin at a whole cache line."""
    size = int(np.prod(shape))
    raw = np.zeros(size + V, np.float32)
    start = -raw.ctypes.data // 4 % V
    return raw[start:start + size].reshape(shape)


def pad(n: int) -> int:
    """Return a number of numbers, padded to whole vectors."""
    return -(-n // V) * V


def separate(n: int) -> int:
    """Return a leading dimension for rows of so many whole vectors: no power of two, whose rows share a part of the cache."""
    return n + V * (n > 2 * V and n // V % 2 == 0)


def pad_targets(y: np.ndarray, lead: int) -> np.ndarray:
    """Return targets (T, B, K), padded."""
    padded = allocate(*y.shape[:2], lead)
    padded[..., :y.shape[2]] = y
    return padded


class Layout:
    """The places of an MLP's parameters and activations, and theta_0 in its place.

    Attributes
    ----------
    sizes : units of each layer, inputs first.
    names : of the weight tensors, without ``.weight``.
    shape : (L, 6): inputs without the bias, rows of u, outputs padded, leading dimension, first number of the weights, and of the
        activations of one sample.
    unit : its code, as of `deepnets.fused.units.UNITS`.
    m : (L,), the multipliers.
    theta_0 : (size,), all but the first layer's weights times their multiplier.
    """

    kernels: Any = kernels

    def __init__(self, module: StackOfLayers) -> None:
        layers = list(module.layers)
        weights = [layer.weight.detach().numpy() for layer in layers]      # type: ignore[union-attr, operator]
        self.sizes = [weights[0].shape[1], *(w.shape[0] for w in weights)]
        self.biased = layers[0].bias is not None
        self.unit = UNITS[module.nonlinearity]
        self.m = np.array([layer.multiplier for layer in layers], np.float32)
        self.names = [f"layers.{l}" for l in range(len(layers))]
        padded = [pad(n) for n in self.sizes]
        self.lead = [p + V if self.biased else separate(p) for p in padded]
        self.ones = padded                                              # the column of ones of each layer's inputs
        rows, weight, activation = [], 0, 0
        for l, n in enumerate(self.sizes[:-1]):
            k = padded[l] + 1 if self.biased else n
            rows.append((n, k, padded[l + 1], self.lead[l + 1], weight, activation))
            weight += (padded[l] + self.biased) * self.lead[l + 1]
            activation += self.lead[l + 1]
        self.shape, self.activations = np.array(rows), activation
        self.theta_0 = allocate(weight)
        for l, w in enumerate(weights):
            place = self._view(self.theta_0[None], l)[0]
            place[:self.sizes[l], :self.sizes[l + 1]] = w.T * (self.m[l] if l else 1)
            if self.biased:
                place[-1, :self.sizes[l + 1]] = layers[l].bias.detach().numpy()      # type: ignore[union-attr, operator]

    def _view(self, flat: np.ndarray, l: int) -> np.ndarray:
        """Return the padded matrices of layer l, (P, rows, leading dimension), of parameters (P, size)."""
        ld, first = self.shape[l, 3], self.shape[l, 4]
        n = self.ones[l] + self.biased
        return flat[:, first:first + n * ld].reshape(len(flat), n, ld)

    def read(self, u: np.ndarray) -> Parameters:
        """Return the parameters (P, size) as tensors by name, as stacks have them."""
        found: Parameters = {}
        for l, (n, out) in enumerate(pairwise(self.sizes)):
            place = self._view(u, l)
            found[f"layers.{l}.weight"] = torch.from_numpy(place[:, :n, :out].transpose(0, 2, 1).copy())
            if self.biased:
                found[f"layers.{l}.bias"] = torch.from_numpy(place[:, -1, :out].copy())
        return found

    @property
    def layer(self) -> int:
        """The numbers of the largest layer's weights, or of their transposed copy."""
        return max(max((self.ones[l] + 1) * self.lead[l + 1], self.ones[l + 1] * self.lead[l]) for l in range(len(self.shape)))

    def count_scratch(self, batch: int) -> int:
        """Return the numbers of one thread's scratch: activations, differences, sums, weights in use, their gradient, slopes of units."""
        return (2 + has_slopes(self.unit)) * batch * self.activations + self.lead[-1] + 2 * self.layer

    def make_scratch(self, batch: int) -> np.ndarray:
        """Return one thread's scratch, with the columns of ones."""
        scratch = allocate(self.count_scratch(batch))
        if self.biased:
            for l in range(len(self.shape) - 1):
                first, ld = batch * self.shape[l, 5], self.lead[l + 1]
                scratch[first:first + batch * ld].reshape(batch, ld)[:, self.ones[l + 1]] = 1
        return scratch

    def pad_inputs(self, x: np.ndarray) -> np.ndarray:
        """Return inputs (T, B, D) times the first multiplier, padded, with the column of ones."""
        padded = allocate(*x.shape[:2], self.lead[0])
        np.multiply(x, self.m[0], out=padded[..., :x.shape[2]])
        if self.biased:
            padded[..., self.ones[0]] = 1
        return padded

    def pad_targets(self, y: np.ndarray) -> np.ndarray:
        """Return targets (T, B, K), padded."""
        return pad_targets(y, self.lead[-1])

    def tables(self, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Return what the kernels take of a layout, the same for all batches."""
        return self.shape, self.m, self.theta_0, self.layer

    def count_steps(self, batch: int) -> int:
        """Return how many steps' values at theta_0 are in memory at once."""
        return BLOCK

    def count_operations(self, batch: int) -> tuple[int, int]:
        """Return the operations of a step of one run, and of the values at theta_0, which all runs share."""
        each = [2 * batch * k * out for _, k, out, *_ in self.shape.tolist()]
        # values by two products, slopes and the gradient by one each; the first layer has one and one
        return sum(n * (4 if l else 2) for l, n in enumerate(each)), sum(each[:-1])
