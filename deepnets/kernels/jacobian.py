"""The derivative of a moved network's outputs in its parameters, whole or as products with it; knows no eigenvalue.

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
AMPLE = 1e9       # bytes of derivatives; more at a time are no faster
AT_ONCE = 32      # samples whose derivatives are taken together, and columns of a kernel
APART = {torch.float64: 1e-9, torch.float32: 1e-4}      # how far a sample's output may depend on the others, to be its own

Rates = Mapping[str, float] | Any | None


class Tangent:
    """The derivative J of one moved network's outputs on a batch in its parameters, weighted: ``K = J r J^T``."""

    def __init__(self, runs: Runs, p: int, x: torch.Tensor, rates: Rates) -> None:
        self.runs, self.p, self.x = runs, p, runs.as_inputs(x)
        self.theta = runs.theta(p)
        self.rates = as_rates(rates, self.theta)
        with torch.no_grad(), runs.function(p) as f:
            made = f(self.theta, self.x)
            if not isinstance(made, torch.Tensor) or made.ndim == 0 or len(made) != len(self.x):
                raise Misuse("network must give one tensor, (n, ..., K), for inputs (n, ...)")
            among = f(self.theta, self.x[:1].expand_as(self.x))      # the first sample among copies of itself
        self.n, self.outputs = len(made), made[0].numel()
        self.parameters = sum(t.numel() for t in self.theta.values())
        # a normalisation over the batch couples its samples
        self.apart = bool((among - made)[0].norm() <= APART[runs.dtype] * made[0].norm())

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
                         f"{self._bytes(len(each) if blocks == 'full' else 1) / GB:.3g} GB, {self._available() / GB:.3g} GB are free: "
                         "method='products' needs none of it")
        if blocks == "full":
            j = self._jacobian(each).flatten(0, 1)
            return as_numpy(j @ j.T).reshape(self.n, self.outputs, self.n, self.outputs)
        k = self.x.new_zeros((self.n, self.n), dtype=self.runs.dtype)
        for i in range(0, len(each), together):
            j = self._jacobian(each[i:i + together]).flatten(1)
            k += j @ j.T
        return as_numpy(k)

    def _bytes(self, outputs: int) -> int:
        """Return what the derivatives of so many outputs take, with the pieces they are made in."""
        size = self.n * outputs * self.parameters + min(self.n if self.apart else self.n * outputs, AT_ONCE) * outputs * self.parameters
        return (2 * size + (self.n * self.outputs)**2) * self.runs.dtype.itemsize

    def _available(self) -> int:
        return int(SAFE[self.runs.device.type] * free_memory(str(self.runs.device)))

    def count_outputs_at_once(self, outputs: int, all_at_once: bool) -> int:
        """Return of how many outputs the derivatives fit into what is free: all of them or none, if they are wanted at once."""
        room = self._available()
        if all_at_once or self._bytes(1) > room:
            return outputs if self._bytes(outputs) <= room else 0
        return next(g for g in range(outputs, 0, -1) if g == 1 or self._bytes(g) <= min(room, AMPLE))

    def _jacobian(self, outputs: list[int]) -> torch.Tensor:
        """Return ``J sqrt(r)`` of these outputs, (n, outputs, parameters)."""
        j = self.x.new_empty((self.n, len(outputs), self.parameters), dtype=self.runs.dtype)
        which = torch.tensor(outputs, device=self.runs.device)
        with self.runs.function(self.p) as f:
            rows = j if self.apart else j.view(-1, self.parameters)
            for part, made in self._differentiate_samples(f, which) if self.apart else self._differentiate_batch(f, which):
                rows[part] = torch.cat([d.flatten(rows.ndim - 1) * self.rates[n]**0.5 for n, d in made.items()], -1)
        return j

    def _differentiate_samples(self, f: Callable[..., torch.Tensor], which: torch.Tensor) -> Iterator[tuple[slice, Parameters]]:
        """Yield parts of the samples with the derivatives, (samples, outputs, *shape): each sample by itself."""
        of_one = vmap(jacrev(lambda t, sample: f(t, sample[None])[0].reshape(-1)[which]), in_dims=(None, 0))
        for part in _slices(self.n):
            yield part, of_one(self.theta, self.x[part])

    def _differentiate_batch(self, f: Callable[..., torch.Tensor], which: torch.Tensor) -> Iterator[tuple[slice, Parameters]]:
        """Yield parts of the rows (sample, output) with the derivatives, (rows, *shape): the whole batch for each row."""
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
                # J^T c is linear in c, and its own derivative, pulled back, is J: torch scripts forward derivatives, and warns of it
                found[:, part] = vmap(_vector_jacobian(_vector_jacobian(of(part), self.theta), torch.zeros_like(v[0, part])))(back)
        return found

    def _by_columns(self, each: list[int], full: bool) -> np.ndarray:
        """Return K from its columns, a few at a time."""
        rows = [(a, i) for a in range(self.n) for i in each]
        made = np.zeros((self.n, self.outputs, self.n, self.outputs) if full else (self.n, self.n))
        few = self._count_at_once()
        for start in range(0, len(rows), few):
            some = rows[start:start + few]
            v = self.x.new_zeros((len(some), self.n, self.outputs), dtype=self.runs.dtype)
            for m, (a, i) in enumerate(some):
                v[m, a, i] = 1.0
            for (a, i), column in zip(some, as_numpy(self.times(v)), strict=True):
                if full:
                    made[:, :, a, i] = column
                else:
                    made[:, a] += column[:, i]
        return made


def as_rates(rates: Rates, names: Mapping[str, Any]) -> dict[str, float]:
    """Return each parameter's weight in the kernel, by name; otherwise raise `Misuse`."""
    if rates is None:
        return dict.fromkeys(names, 1.0)
    told = {s.name: s.sgd for s in rates.scalings()} if hasattr(rates, "scalings") and not isinstance(rates, type) else rates
    if not isinstance(told, Mapping) or set(told) != set(names):
        raise Misuse(f"rates must be given by name for each of {', '.join(names)}, or by the network's specification, not {rates!r}")
    for n, r in told.items():
        if isinstance(r, bool) or not isinstance(r, int | float | np.number) or not 0 <= r < np.inf:
            raise Misuse(f"rates[{n!r}] must be a finite number of at least 0, not {r!r}")
    return {n: float(r) for n, r in told.items()}


def _vector_jacobian(f: Callable[[Any], Any], at: Any) -> Callable[[Any], Any]:
    """Return ``c -> J^T c``, J the derivative of f there."""
    return lambda c: vjp(f, at)[1](c)[0]      # type: ignore[misc]


def _slices(n: int) -> list[slice]:
    return [slice(start, min(start + AT_ONCE, n)) for start in range(0, n, AT_ONCE)]


def as_numpy(t: torch.Tensor) -> np.ndarray:
    """Return a tensor as a float64 array."""
    return t.detach().double().cpu().numpy()
