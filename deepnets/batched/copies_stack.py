"""Train runs of a network as float64 copies, one after the other: whatever torch trains, with whatever state of its own."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from deepnets.batched.state import Parameters, find_finite
from deepnets.centered.functional import refuse_write, trainable
from deepnets.centered.propagation import LEAST_STEP, as_complex
from deepnets.centered.random_state import save_random_state
from deepnets.centered.widening import WIDE, Widening
from deepnets.losses import Loss
from deepnets.module_state import list_slots
from deepnets.network_factory import copy_module
from deepnets.tasks.task import Inputs

Network = Callable[[Inputs], torch.Tensor]


@dataclass
class Copies:
    """The frozen network and one network for each run, with the buffers and attributes that each has moved itself.

    Attributes
    ----------
    theta_0 : the trainable parameters at initialization, float64, by name.
    frozen : the network at theta_0.
    moved : the P others; their parameters are set before each call.
    drawn : as of `deepnets.centered.widening.Widening`.
    """

    theta_0: Mapping[str, torch.Tensor]
    frozen: nn.Module
    moved: list[nn.Module]
    drawn: torch.dtype

    def __post_init__(self) -> None:
        self.parameters = [trainable(network) for network in self.moved]

    def select_runs(self, indices: torch.Tensor) -> Copies:
        """Return the copies of the runs at these indices, (Q,) whole numbers."""
        return Copies(self.theta_0, self.frozen, [self.moved[i] for i in indices.tolist()], self.drawn)

    def place(self, u: Parameters, gamma: torch.Tensor, i: int) -> nn.Module:
        """Return the network of a run, at ``theta_0 + gamma u``."""
        with torch.no_grad():
            for n, p in self.parameters[i].items():
                torch.add(self.theta_0[n], self._compute_movement(n, u, gamma, i), out=p)
                p.grad = None
        return self.moved[i]

    def _compute_movement(self, n: str, u: Parameters, gamma: torch.Tensor, i: int) -> torch.Tensor:
        return gamma[i].clamp(min=LEAST_STEP) * as_complex(u[n][i], self.theta_0[n])

    @torch.no_grad()
    def check_parameters(self, u: Parameters, gamma: torch.Tensor, i: int) -> None:
        """Raise `Misuse` if the last call has changed a parameter of the network of a run, which would be lost at the next step."""
        for n, p in self.parameters[i].items():
            refuse_write(n, p, self.theta_0[n] + self._compute_movement(n, u, gamma, i))

    def moved_networks(self, module: nn.Module, u: Parameters, gamma: torch.Tensor) -> Iterator[Network]:
        """Yield each run's network as a function of inputs, in evaluation mode."""
        for i, finite in enumerate(_find_finite(u, gamma)):
            yield functools.partial(self.evaluate, self.place(u, gamma, i)) if finite else self._give_nan

    def _give_nan(self, x: Inputs) -> torch.Tensor:
        return torch.full_like(self.evaluate(self.frozen, x), torch.nan)

    def evaluate(self, network: nn.Module, x: Inputs) -> torch.Tensor:
        """Return a network's output in evaluation mode; what training goes on with stays: its state and the random generators'."""
        restore = save_random_state()
        network = copy_module(network).eval()
        try:
            # with a graph: some modules need one, and torch's fused paths without one round differently
            with Widening(self.drawn), torch.enable_grad():
                output: torch.Tensor = network(copy_inputs(x)).detach()
            return output
        finally:
            restore()


class CopiesStack:
    """Runs of any module that torch trains, in a loop: ``(f(theta_0 + gamma u) - f(theta_0))/gamma`` in float64, gradients by autograd.

    The frozen network is evaluated once for each batch. All networks draw the same random numbers (dropout). Below gamma = 1e-8 the step
    stays at 1e-8, as in `deepnets.centered.propagation.subtract_copies`.

    Parameters
    ----------
    module : holds theta_0, in the mode (training or evaluation) in which it is to be trained; it is copied.
    centred : False: the outputs are f/gamma.
    drawn : the dtype in which random numbers are drawn, that of the module as it is trained otherwise.
    """

    draws = True

    def __init__(self, module: nn.Module, centred: bool = True, drawn: torch.dtype = torch.float64) -> None:
        self.module, self.centred, self.drawn = widen(module), centred, drawn
        self.theta_0 = {n: p.detach().clone() for n, p in trainable(self.module).items()}

    def start(self, runs: int) -> Copies:
        """Return the state at initialization."""
        frozen, *moved = (copy_module(self.module) for _ in range(runs + 1))
        return Copies(self.theta_0, frozen, moved, self.drawn)

    def outputs(self, u: Parameters, gamma: torch.Tensor, x: Inputs, running: Any = None) -> torch.Tensor:
        """Return the outputs in evaluation mode, (P, batch, ..., K)."""
        copies = self.start(len(gamma)) if running is None else running
        f_0 = copies.evaluate(copies.frozen, x)
        networks = copies.moved_networks(self.module, u, gamma)
        return torch.stack([self._scale(network(x), f_0, g) for network, g in zip(networks, gamma, strict=True)])

    def gradients(self, u: Parameters, gamma: torch.Tensor, x: Inputs, y: torch.Tensor, loss: Loss,
                  running: Any = None) -> tuple[torch.Tensor, Parameters]:
        """Return the loss of each run, (P,), and its gradient in u; the networks move their own state."""
        copies = self.start(len(gamma)) if running is None else running
        values, gradient = [], {n: torch.zeros_like(d) for n, d in u.items()}
        restore, seed = save_random_state(), torch.initial_seed()
        _seed_others(seed)
        with Widening(self.drawn), torch.enable_grad():
            f_0 = copies.frozen(copy_inputs(x)).detach()
        for i, (g, finite) in enumerate(zip(gamma, _find_finite(u, gamma), strict=True)):
            if not finite:      # a module may raise on such parameters
                values.append(gamma.new_full((), torch.nan))
                _fill_row(gradient, i)
                continue
            network = copies.place(u, gamma, i)
            restore()
            _seed_others(seed)
            with Widening(self.drawn), torch.enable_grad():
                f = network(copy_inputs(x))
            output = self._scale(f.detach(), f_0, g)
            values.append(loss.value(output, y))
            if y.is_meta or bool(torch.isfinite(values[-1])):
                if not y.is_meta:
                    copies.check_parameters(u, gamma, i)
                if f.requires_grad:
                    # of a backward of the module's own that is not linear, only the loss's true gradient in f(theta) will do
                    slope, scale = _scale_slope(loss.slope(output, y), g, f.dtype)
                    with Widening(self.drawn):      # what a checkpoint computes again
                        f.backward(slope)
                    _collect(copies.parameters[i], gradient, i, scale)
            else:      # diverged; what is not finite stays so
                _fill_row(gradient, i)
        restore()
        return torch.stack(values), gradient

    def _scale(self, f: torch.Tensor, f_0: torch.Tensor, gamma: torch.Tensor) -> torch.Tensor:
        if not self.centred and gamma >= LEAST_STEP:
            return f / gamma
        centred = (f - f_0) / gamma.clamp(min=LEAST_STEP)
        return centred if self.centred else centred + f_0 / gamma


def _find_finite(u: Parameters, gamma: torch.Tensor) -> list[bool]:
    """Return which runs have parameters that have not diverged; all, of tensors without data."""
    if gamma.is_meta:
        return [True] * len(gamma)
    found: list[bool] = find_finite(u, gamma).tolist()
    return found


def _scale_slope(slope: torch.Tensor, gamma: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, float]:
    """Return the loss's derivative in f(theta), and the factor from the gradient in theta to that in u."""
    if not slope.is_meta:
        scaled = (slope / gamma).to(dtype)
        if bool(torch.isfinite(scaled).all()):
            return scaled, float(gamma)
    # narrow outputs cannot hold it
    return slope.to(dtype), 1.0


def _fill_row(gradient: Parameters, i: int) -> None:
    for d in gradient.values():
        d[i] = torch.nan


def copy_inputs(x: Inputs) -> Any:
    """Return a copy of inputs, which a module may write into."""
    return tree_map(torch.clone, x)


def _seed_others(seed: int) -> None:
    """Make what modules draw by Python's and numpy's generators depend on the seed of torch's alone."""
    random.seed(seed)
    np.random.seed(seed % 2**32)      # noqa: NPY002


def widen(module: nn.Module) -> nn.Module:
    """Return a copy of a module in float64 (complex128), with the tensors among its attributes."""
    module = copy_module(module)
    module._apply(_widen_tensor)
    wide: dict[int, tuple[torch.Tensor, Any]] = {}      # what is held twice stays one tensor, and a container stays itself
    for holder, key in list_slots(module):
        x = holder[key]
        if isinstance(x, tuple) and any(_widen_tensor(t) is not t for t in tree_leaves(x)):
            holder[key] = tree_map(_widen_tensor, x)
        elif isinstance(x, torch.Tensor) and not isinstance(x, nn.Parameter):
            holder[key] = wide.setdefault(id(x), (x, _widen_tensor(x)))[1]
    return module


def _widen_tensor(x: Any) -> Any:
    return x.to(WIDE[x.dtype]) if isinstance(x, torch.Tensor) and x.dtype in WIDE else x


def _collect(parameters: Mapping[str, torch.Tensor], gradient: Parameters, i: int, scale: float) -> None:
    """Move the parameters' gradients, times `scale`, to row i; a complex one is its real and imaginary part."""
    for n, p in parameters.items():
        if p.grad is not None:
            g = p.grad.to_dense() if p.grad.is_sparse else p.grad
            gradient[n][i] = (torch.view_as_real(g) if g.is_complex() else g) * scale
            p.grad = None
