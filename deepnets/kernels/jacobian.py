"""Jacobian of a network's outputs in its parameters at theta_0 + gamma u, dense or as products.

The derivative of f~ in u is that of f in theta at ``theta_0 + gamma u``: no difference is taken, and no digit is lost at any gamma.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch.func import jacrev, vjp, vmap

from deepnets.batched.state import Parameters
from deepnets.kernels.moved_networks import Runs
from deepnets.memory import GB, SAFE, free_memory
from validation.arguments import Misuse, choose, whole

METHODS = ("auto", "jacobian", "products")
AMPLE = 1e9       # bytes of derivatives; more at a time is not faster
AT_ONCE = 32      # samples whose derivatives are taken together, and columns of a kernel
APART = {torch.float64: 1e-9, torch.float32: 1e-4}      # relative; samples are independent if an output depends less on the others

Rates = Mapping[str, float] | Any | None


class Tangent:
    """The Jacobian J of one network's outputs on a batch, and the kernel ``K = J r J^T`` with the parameters' rates r."""

    def __init__(self, runs: Runs, p: int, x: torch.Tensor, rates: Rates) -> None:
        self.runs, self.p, self.x = runs, p, runs.as_inputs(x)
        self.theta = runs.theta(p)
        self.rates = as_rates(rates, self.theta)
        with torch.no_grad(), runs.function(p) as f:
            outputs = f(self.theta, self.x)
            if not isinstance(outputs, torch.Tensor) or outputs.ndim == 0 or len(outputs) != len(self.x):
                raise Misuse("network must give one tensor, (n, ..., K), for inputs (n, ...)")
            copies = f(self.theta, self.x[:1].expand_as(self.x))      # the first sample in a batch of its copies
        self.n, self.outputs = len(outputs), outputs[0].numel()
        self.parameters = sum(t.numel() for t in self.theta.values())
        # a normalisation over the batch couples its samples
        self.apart = bool((copies - outputs)[0].norm() <= APART[runs.dtype] * outputs[0].norm())

    def kernel(self, blocks: str | int, method: str) -> np.ndarray:
        """Return K as `ntk` says."""
        if isinstance(blocks, str):
            choose("blocks", blocks, ("full", "trace"))
        elif whole("blocks", blocks, 0) >= self.outputs:
            raise Misuse(f"blocks must be 'full', 'trace' or the number of an output, 0 to {self.outputs - 1}, not {blocks!r}")
        each = [int(blocks)] if not isinstance(blocks, str) else list(range(self.outputs))
        together = self.count_outputs_at_once(len(each), blocks == "full")
        if method == "products" or (method == "auto" and together == 0):
            return self._by_columns(each, blocks == "full")
        if together == 0:
            raise Misuse(f"out of memory: the derivatives of {self.n} samples in {self.parameters} parameters need about "
                         f"{self._bytes(len(each) if blocks == 'full' else 1) / GB:.3g} GB, {self._available() / GB:.3g} GB are free; "
                         "use method='products'")
        if blocks == "full":
            j = self._jacobian(each).flatten(0, 1)
            return as_numpy(j @ j.T).reshape(self.n, self.outputs, self.n, self.outputs)
        k = self.x.new_zeros((self.n, self.n), dtype=self.runs.dtype)
        for i in range(0, len(each), together):
            j = self._jacobian(each[i:i + together]).flatten(1)
            k += j @ j.T
        return as_numpy(k)

    def _bytes(self, outputs: int) -> int:
        """Return the memory of the derivatives of a number of outputs, with temporaries."""
        size = self.n * outputs * self.parameters + min(self.n if self.apart else self.n * outputs, AT_ONCE) * outputs * self.parameters
        return (2 * size + (self.n * self.outputs)**2) * self.runs.dtype.itemsize

    def _available(self) -> int:
        return int(SAFE[self.runs.device.type] * free_memory(str(self.runs.device)))

    def count_outputs_at_once(self, outputs: int, all_at_once: bool) -> int:
        """Return for how many outputs the derivatives fit into free memory: for all or none, if all are needed at once."""
        available = self._available()
        if all_at_once or self._bytes(1) > available:
            return outputs if self._bytes(outputs) <= available else 0
        return next(g for g in range(outputs, 0, -1) if g == 1 or self._bytes(g) <= min(available, AMPLE))

    def _jacobian(self, outputs: list[int]) -> torch.Tensor:
        """Return ``J sqrt(r)`` of these outputs, (n, outputs, parameters)."""
        j = self.x.new_empty((self.n, len(outputs), self.parameters), dtype=self.runs.dtype)
        which = torch.tensor(outputs, device=self.runs.device)
        with self.runs.function(self.p) as f:
            rows = j if self.apart else j.view(-1, self.parameters)
            for part, derivatives in self._differentiate_samples(f, which) if self.apart else self._differentiate_batch(f, which):
                rows[part] = torch.cat([d.flatten(rows.ndim - 1) * self.rates[n]**0.5 for n, d in derivatives.items()], -1)
        return j

    def _differentiate_samples(self, f: Callable[..., torch.Tensor], which: torch.Tensor) -> Iterator[tuple[slice, Parameters]]:
        """Yield parts of the samples with their derivatives, (samples, outputs, *shape): each sample by itself."""
        of_one = vmap(jacrev(lambda t, sample: f(t, sample[None])[0].reshape(-1)[which]), in_dims=(None, 0))
        for part in _slices(self.n):
            yield part, of_one(self.theta, self.x[part])

    def _differentiate_batch(self, f: Callable[..., torch.Tensor], which: torch.Tensor) -> Iterator[tuple[slice, Parameters]]:
        """Yield parts of the rows (sample, output) with their derivatives, (rows, *shape): the whole batch for each row."""
        back = _vector_jacobian(lambda t: f(t, self.x).reshape(self.n, -1)[:, which], self.theta)
        count = self.n * len(which)
        for part in _slices(count):
            unit = torch.eye(count, dtype=self.runs.dtype, device=self.runs.device)[part]
            yield part, vmap(back)(unit.reshape(-1, self.n, len(which)))

    def times(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``K v`` for several v, (m, n, K), as many at once as fit."""
        return torch.cat([self._times(some) for some in v.split(self._count_at_once())])

    def _count_at_once(self) -> int:
        return max(1, min(AT_ONCE, int(self._available() / (8 * self.parameters * self.runs.dtype.itemsize))))

    def _times(self, v: torch.Tensor) -> torch.Tensor:
        found = torch.zeros_like(v)
        parts = _slices(self.n) if self.apart else [slice(0, self.n)]
        with self.runs.function(self.p) as f:
            def of(part: slice) -> Callable[[Parameters], torch.Tensor]:
                return lambda t: f(t, self.x[part]).reshape(-1, self.outputs)

            back: Parameters = {n: t.new_zeros((len(v), *t.shape)) for n, t in self.theta.items()}
            for part in parts:
                for n, d in vmap(_vector_jacobian(of(part), self.theta))(v[:, part]).items():
                    back[n] += d
            back = {n: d * self.rates[n] for n, d in back.items()}
            for part in parts:
                # J^T c is linear in c, and the transpose of its derivative is J; torch's forward derivatives raise warnings
                found[:, part] = vmap(_vector_jacobian(_vector_jacobian(of(part), self.theta), torch.zeros_like(v[0, part])))(back)
        return found

    def _by_columns(self, each: list[int], full: bool) -> np.ndarray:
        """Return K by columns, a few at a time."""
        rows = [(a, i) for a in range(self.n) for i in each]
        kernel = np.zeros((self.n, self.outputs, self.n, self.outputs) if full else (self.n, self.n))
        few = self._count_at_once()
        for start in range(0, len(rows), few):
            some = rows[start:start + few]
            v = self.x.new_zeros((len(some), self.n, self.outputs), dtype=self.runs.dtype)
            for m, (a, i) in enumerate(some):
                v[m, a, i] = 1.0
            for (a, i), column in zip(some, as_numpy(self.times(v)), strict=True):
                if full:
                    kernel[:, :, a, i] = column
                else:
                    kernel[:, a] += column[:, i]
        return kernel


def as_rates(rates: Rates, names: Mapping[str, Any]) -> dict[str, float]:
    """Return each parameter's weight in the kernel, by name; otherwise raise `Misuse`."""
    if rates is None:
        return dict.fromkeys(names, 1.0)
    given = {s.name: s.sgd for s in rates.scalings()} if hasattr(rates, "scalings") and not isinstance(rates, type) else rates
    if not isinstance(given, Mapping) or set(given) != set(names):
        raise Misuse(f"rates must be given by name for each of {', '.join(names)}, or by the network's specification, not {rates!r}")
    for n, r in given.items():
        if isinstance(r, bool) or not isinstance(r, int | float | np.number) or not 0 <= r < np.inf:
            raise Misuse(f"rates[{n!r}] must be a finite number of at least 0, not {r!r}")
    return {n: float(r) for n, r in given.items()}


def _vector_jacobian(f: Callable[[Any], Any], at: Any) -> Callable[[Any], Any]:
    """Return ``c -> J^T c``, J the derivative of f there."""
    return lambda c: vjp(f, at)[1](c)[0]      # type: ignore[misc]


def _slices(n: int) -> list[slice]:
    return [slice(start, min(start + AT_ONCE, n)) for start in range(0, n, AT_ONCE)]


def as_numpy(t: torch.Tensor) -> np.ndarray:
    """Return a tensor as a float64 array."""
    return t.detach().double().cpu().numpy()
