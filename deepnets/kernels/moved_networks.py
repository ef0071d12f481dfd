"""Trained networks that share theta_0, evaluated for kernels and movement: in evaluation mode, in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.centered.centered import Centered
from deepnets.centered.functional import statistics, substitute, trainable
from deepnets.precision import arithmetic
from validation.arguments import Misuse, choose

DTYPES = (torch.float64, torch.float32)


@dataclass(frozen=True, eq=False)
class Runs:
    """P networks ``f~_p = (f(theta_0 + gamma_p u_p) - f(theta_0))/gamma_p`` of one module.

    They are copies in evaluation mode (no dropout, running statistics), as kernels and movement are those of a function of one sample.
    (`spectrum`, for the Hessian of the loss that is trained, leaves the module in its own mode.) Functions that accept a `Centered` also
    accept `Runs`, and return results with a first dimension of runs.

    Attributes
    ----------
    module : holds theta_0.
    u : by the module's parameter names, (P, *shape); parameters that are not named have u = 0.
    gamma : (P,), >= 0; a number serves all.
    running : the running statistics after training; None: those of the module.
    dtype : of the evaluation, torch.float64 or torch.float32; TensorFloat-32 is off.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import torch, deepnets
    >>> module = torch.nn.Linear(3, 1)
    >>> u = {name: torch.ones(2, *p.shape) for name, p in module.named_parameters()}
    >>> deepnets.Runs(module, u, gamma=torch.tensor([1e-6, 1e4])).outputs(torch.ones(5, 3)).shape
    torch.Size([2, 5, 1])
    """

    module: nn.Module
    u: Parameters
    gamma: torch.Tensor
    running: RunningStatistics | None = None
    dtype: torch.dtype = torch.float64

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise Misuse(f"module must be a torch.nn.Module, not {self.module!r}")
        choose("dtype", self.dtype, DTYPES)
        free = trainable(self.module)
        if not free:
            raise Misuse(f"module must have trainable floating-point parameters; {type(self.module).__name__} has none")
        runs = _count_runs(self.u, {n: tuple(p.shape) for n, p in free.items()})
        device = next(iter(free.values())).device
        gamma = torch.as_tensor(self.gamma, dtype=torch.float64, device=device).detach()
        gamma = gamma.expand(runs) if gamma.ndim == 0 else gamma
        if gamma.shape != (runs,) or not bool((torch.isfinite(gamma) & (gamma >= 0)).all()):
            raise Misuse(f"gamma must be finite numbers of at least 0, one for each of the {runs} runs, not {self.gamma!r}")
        moving = RunningStatistics.of_module(self.module, runs) if self.running is None else self.running
        module = copy.deepcopy(self.module).requires_grad_(False).to(self.dtype).eval()
        u = {n: self.u[n].detach().to(device, self.dtype) if n in self.u else p.detach().new_zeros((runs, *p.shape), dtype=self.dtype)
             for n, p in free.items()}
        buffers = dict(module.named_buffers())
        for n in statistics(module):
            buffers[n].copy_(moving.frozen[n])
        drift = {n: d.to(self.dtype) for n, d in moving.drift.items()}
        for name, value in {"module": module, "u": u, "gamma": gamma.to(self.dtype), "running": RunningStatistics({}, drift)}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, network: Centered | Runs, u: Mapping[str, torch.Tensor] | None = None) -> Runs:
        """Return a `Centered`, or it at another u (by the wrapped module's parameter names), as one run; return `Runs` as they are.

        Raises
        ------
        Misuse : another type; u for `Runs`, which have their own.
        """
        if isinstance(network, Runs):
            if u is not None:
                raise Misuse("u is given with a deepnets.Centered; deepnets.Runs hold their own")
            return network
        if not isinstance(network, Centered):
            raise Misuse(f"network must be a deepnets.Centered or deepnets.Runs, not {type(network).__name__}")
        own = network.coordinates()
        module = copy.deepcopy(network.module)
        for n, p in module.named_parameters():
            p.requires_grad_(n in own)
        if u is not None:
            _count_runs({n: d[None] for n, d in u.items() if isinstance(d, torch.Tensor)} if isinstance(u, Mapping) else u,
                     {n: tuple(d.shape) for n, d in own.items()})
        running = RunningStatistics({n: b for n, b in module.named_buffers() if n in statistics(module)},
                          {n: d[None] for n, d in network.drift.named_buffers()})
        placed = {n: d[None] for n, d in (own if u is None else u).items()}
        return cls(module, placed, torch.tensor([network.gamma], dtype=torch.float64), running)

    def __len__(self) -> int:
        return len(self.gamma)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.gamma.device

    def as_inputs(self, x: Any) -> torch.Tensor:
        """Return inputs (n, ...) in the networks' dtype and on their device; `Misuse` unless they are a tensor of at least one sample."""
        if not isinstance(x, torch.Tensor) or x.ndim < 1 or len(x) == 0:
            raise Misuse(f"x must be a tensor of inputs, (n, ...), not {tuple(x.shape) if isinstance(x, torch.Tensor) else x!r}")
        return x.to(self.device, self.dtype if x.is_floating_point() else x.dtype)

    def run(self, p: int) -> tuple[Parameters, float, Parameters]:
        """Return u, gamma and the drift of the running statistics of one run."""
        assert self.running is not None
        drift = self.running.drift
        return {n: d[p] for n, d in self.u.items()}, float(self.gamma[p]), {n: d[p] for n, d in drift.items()}

    def theta(self, p: int) -> Parameters:
        """Return ``theta_0 + gamma u`` of one run, by parameter name."""
        u, gamma, _ = self.run(p)
        initial = dict(self.module.named_parameters())
        return {n: initial[n] + gamma * d for n, d in u.items()}

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return f~ of inputs (n, ...), (P, n, ..., K), by pairs, all runs at once.

        Raises
        ------
        Unsupported : an operation that differences cannot be propagated through, named.
        """
        x = self.as_inputs(x)
        with torch.no_grad(), arithmetic("float32", self.device):
            return VectorisedStack(self.module).outputs(self.u, self.gamma, x, self.running)

    @contextmanager
    def function(self, p: int) -> Iterator[Any]:
        """Yield ``f(parameters, x)``, the uncentred network of one run at any parameters, for derivatives at its `theta`.

        The derivative of f~ in u is that of f in theta: nothing is subtracted, and no digit is lost at any gamma.
        """
        _, gamma, drift = self.run(p)
        initial = dict(self.module.named_buffers())
        buffers = {n: initial[n] + gamma * d for n, d in drift.items()}

        def f(parameters: Mapping[str, Any], x: torch.Tensor) -> torch.Tensor:
            with substitute(self.module, {**parameters, **buffers}):
                outputs: torch.Tensor = self.module(x)
            return outputs

        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)      # fused layers have no derivatives
        try:
            with sdpa_kernel(SDPBackend.MATH), arithmetic("float32", self.device):
                yield f
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def _count_runs(u: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Return the number of runs in u, or raise `Misuse`."""
    if not isinstance(u, Mapping) or not u or not all(isinstance(d, torch.Tensor) for d in u.values()):
        raise Misuse(f"u must be tensors by parameter name, not {type(u).__name__}{'' if u else ', empty'}")
    for n, d in u.items():
        if n not in shapes:
            raise Misuse(f"u must be named by the module's trained parameters ({', '.join(shapes)}), not {n!r}")
        if tuple(d.shape[1:]) != shapes[n] or d.ndim == 0 or len(d) == 0:
            raise Misuse(f"u[{n!r}] must be of shape {shapes[n]} for each run, not {tuple(d.shape[1:])}")
    if len({len(d) for d in u.values()}) > 1:
        raise Misuse(f"u must hold as many runs in every tensor, not {sorted({len(d) for d in u.values()})}")
    return len(next(iter(u.values())))
