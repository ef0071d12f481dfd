"""Points in parameter space, with the batch and the loss whose curvature is measured there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.func import vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.centered.centered import Centered
from deepnets.centered.functional import substitute, trainable
from deepnets.centered.propagation import propagate_pairs, subtract_copies
from deepnets.losses import Loss, as_loss
from validation.arguments import Misuse, choose, numbers

PRECISIONS = ("module", "float64")
Differences = Mapping[str, ArrayLike | torch.Tensor]                       # u, by parameter name
Batch = tuple[ArrayLike | torch.Tensor, ArrayLike | torch.Tensor]         # (x, y)
COUNTED: WeakKeyDictionary[nn.Module, dict[Any, Any]] = WeakKeyDictionary()      # memory of products, by the measured module
TRIED = 16      # samples of a first call, which gives the number of outputs, and with which `Centered` checks itself


@dataclass(frozen=True, eq=False)
class Points:
    """P networks that share theta_0 and a batch, each with its own u and gamma, and the loss of f~ there.

    Attributes
    ----------
    module : holds theta_0, in the precision of the measurement.
    u, drift : by parameter name and by buffer name, (P, *shape).
    gamma : (P,), float64.
    x, y : (batch, ...), the targets as `Loss.target` gives them.
    loss : a `Loss`.
    method : "pairs", or "two_copy" or "float64" as of `Centered`.
    counted : memory of products with the network as counted before, for `Curvature`; None: it is counted each time.
    """

    module: nn.Module
    u: Parameters
    gamma: np.ndarray
    drift: Parameters
    x: torch.Tensor
    y: torch.Tensor
    loss: Loss
    method: str = "pairs"
    counted: dict[Any, Any] | None = field(default=None, repr=False)

    @property
    def coupled(self) -> bool:
        """Whether a sample's output depends on the rest of the batch, which then cannot be evaluated in parts."""
        return any(isinstance(m, nn.modules.batchnorm._BatchNorm) and (m.training or m.running_mean is None) for m in self.module.modules())

    def samples(self, part: slice) -> Points:
        """Return the same points on a part of the batch."""
        return replace(self, x=self.x[part], y=self.y[part])

    def outputs(self, u: Parameters) -> torch.Tensor:
        """Return f~ at other u, (P, batch, ..., K), differentiable in them.

        With pairs, values are propagated and derivatives are those of the network at theta: ``f~ + (f(theta) - f(theta))/gamma``, with a
        difference that is exactly 0. No digit is lost at any gamma, and products cost 0.6 of those through pairs. A network that draws
        random numbers is differentiated through the pairs, as another evaluation would draw other numbers.
        """
        if self.method != "pairs":
            return torch.stack([self._evaluate_copies({n: d[p] for n, d in u.items()}, p) for p in range(len(self.gamma))])
        before = _random_states(self.x)
        with torch.no_grad():
            values = self._each(self._propagate, u)
        if all(map(torch.equal, before, _random_states(self.x))):
            moved = self._each(self._evaluate_theta, u)
            return values + (moved - moved.detach())
        _restore_random_states(self.x, before)
        return self._each(self._propagate, u)

    def _each(self, one: Callable[..., torch.Tensor], u: Parameters) -> torch.Tensor:
        """Return ``one(u, gamma, drift)`` of all points."""
        if len(self.gamma) == 1:
            return one({n: d[0] for n, d in u.items()}, float(self.gamma[0]), {n: e[0] for n, e in self.drift.items()})[None]
        gamma = torch.tensor(self.gamma).to(next(iter(u.values())))
        return vmap(one, randomness="same")(u, gamma, self.drift)

    def _propagate(self, u: Parameters, gamma: Any, drift: Parameters) -> torch.Tensor:
        """Return f~ by pairs."""
        f: torch.Tensor = propagate_pairs(self.module, u, gamma, (self.x,), drift=drift)[0]
        return f

    def _evaluate_theta(self, u: Parameters, gamma: Any, drift: Parameters) -> torch.Tensor:
        """Return ``f(theta_0 + gamma u)/gamma``; gamma is bounded from below against overflow, where second derivatives are negligible."""
        initial = dict(self.module.named_parameters()) | dict(self.module.named_buffers())
        like = next(iter(u.values()))
        gamma = torch.as_tensor(gamma, dtype=like.dtype, device=like.device).clamp_min(torch.finfo(like.dtype).tiny ** 0.5)
        theta = {n: initial[n].detach() + gamma * d for n, d in (u | drift).items()}
        counted = {n: b.clone() for n, b in self.module.named_buffers() if n not in drift}
        with substitute(self.module, theta | counted), sdpa_kernel(SDPBackend.MATH):      # fused attention has no second derivatives
            f: torch.Tensor = self.module(self.x)
        return f / gamma

    def _evaluate_copies(self, u: Parameters, p: int) -> torch.Tensor:
        gamma, drift = float(self.gamma[p]), {n: e[p] for n, e in self.drift.items()}
        return subtract_copies(self.module, u, gamma, (self.x,), drift=drift, dtype=torch.float64 if self.method == "float64" else None)[0]

    def losses(self, f: torch.Tensor) -> torch.Tensor:
        """Return the loss of each point, (P,), from its outputs."""
        return self.loss.value(f, self.y)


def point_from_network(centered: Centered, u: Differences | None, batch: Batch | None, loss: str | Loss, precision: str) -> Points:
    """Return the point at which a `Centered` is, or at `u`; the network is copied, with its running statistics.

    Raises
    ------
    Misuse : an argument that is not allowed.
    Unsupported : if the `Centered` has method "pairs": an operation that differences cannot be propagated through.
    """
    if not isinstance(centered, Centered):
        raise Misuse(f"centered must be a deepnets.Centered, not {type(centered).__name__}")
    loss = as_loss(loss)
    choose("precision", precision, PRECISIONS)
    twin = copy.deepcopy(centered)
    if precision == "float64":
        twin.double()
    own = {n: d.detach() for n, d in twin.coordinates().items()}
    drift = {n: e.detach().clone()[None] for n, e in twin.drift.named_buffers()}
    like = next(iter(own.values()))
    placed = _as_parameters(own if u is None else u, {n: tuple(d.shape) for n, d in own.items()}, like)
    x, y = _as_batch(batch, like)
    with torch.no_grad(), torch.random.fork_rng([like.device.index] if like.is_cuda else []):
        outputs = _check_outputs(twin(x[:TRIED]))
    return Points(twin.module, {n: d[None] for n, d in placed.items()}, np.array([twin.gamma]), drift, x,
                  _as_target(loss, y, outputs, like), loss, twin.chosen)


def points_from_stack(module: nn.Module, u: Differences, gamma: ArrayLike | torch.Tensor, batch: Batch, loss: str | Loss, precision: str,
             running: RunningStatistics | None = None) -> Points:
    """Return P points of one module, u by parameter name, (P, *shape), and gamma (P,), all by pairs.

    Raises
    ------
    Misuse : an argument that is not allowed.
    Unsupported : an operation that differences cannot be propagated through.
    """
    if not isinstance(module, nn.Module):
        raise Misuse(f"module must be a torch.nn.Module, not {module!r}")
    loss = as_loss(loss)
    choose("precision", precision, PRECISIONS)
    gammas = np.atleast_1d(numbers("gamma", gamma.cpu() if isinstance(gamma, torch.Tensor) else gamma))
    if gammas.ndim != 1 or not (np.isfinite(gammas) & (gammas >= 0)).all() or gammas.size == 0:
        raise Misuse(f"gamma must be finite numbers (P,) of at least 0, not {gamma!r}")
    free = trainable(module)
    if not free:
        raise Misuse(f"module must have trainable floating-point parameters; {type(module).__name__} has none")
    shapes = {n: (len(gammas), *p.shape) for n, p in free.items()}
    counted = COUNTED.setdefault(module, {})
    module = copy.deepcopy(module)
    if precision == "float64":
        module.double()
    module.requires_grad_(False)
    like = next(p for n, p in module.named_parameters() if n in free)
    running = running or RunningStatistics.of_module(module, len(gammas))
    frozen, drift = ({n: e.to(like) if e.is_floating_point() else e for n, e in part.items()} for part in (running.frozen, running.drift))
    with torch.no_grad(), substitute(module, frozen):
        module = copy.deepcopy(module)
    placed = _as_parameters(u, shapes, like)
    x, y = _as_batch(batch, like)
    with torch.no_grad(), torch.random.fork_rng([like.device.index] if like.is_cuda else []):
        first = {n: d[0] for n, d in placed.items()}
        outputs = propagate_pairs(module, first, float(gammas[0]), (x[:TRIED],), drift={n: e[0] for n, e in drift.items()})[0]
    outputs = _check_outputs(outputs)
    return Points(module, placed, gammas, drift, x, _as_target(loss, y, outputs, like), loss, counted=counted)


def _random_states(x: torch.Tensor) -> list[torch.Tensor]:
    """Return the states of the random generators that a network on x's device draws from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(x.device)] if x.is_cuda else [])]


def _restore_random_states(x: torch.Tensor, states: list[torch.Tensor]) -> None:
    """Restore the states of `_random_states`."""
    torch.set_rng_state(states[0])
    if x.is_cuda:
        torch.cuda.set_rng_state(states[1], x.device)


def _as_parameters(u: Any, shapes: Mapping[str, tuple[int, ...]], like: torch.Tensor) -> Parameters:
    """Return u as tensors of the measurement, in the order of `shapes`."""
    if not isinstance(u, Mapping) or set(u) != set(shapes):
        names = sorted(map(str, u)) if isinstance(u, Mapping) else repr(u)
        raise Misuse(f"u must be a dict of the trainable parameters {sorted(shapes)}, not of {names}")
    parameters: Parameters = {}
    for n, shape in shapes.items():
        value = torch.as_tensor(u[n]).detach().to(like)
        if tuple(value.shape) != shape:
            raise Misuse(f"u[{n!r}] must have shape {shape}, not {tuple(value.shape)}")
        if not torch.isfinite(value).all():
            raise Misuse(f"u[{n!r}] must be finite: the curvature of a diverged network is undefined")
        parameters[n] = value
    return parameters


def _as_batch(batch: Any, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets on the device of `like`; floating inputs get its dtype."""
    if not isinstance(batch, Iterable) or isinstance(batch, torch.Tensor | str) or len(batch := tuple(batch)) != 2:
        raise Misuse(f"batch must be a pair (x, y) of inputs and targets, not {type(batch).__name__}")
    x, y = (torch.as_tensor(v).to(like.device) for v in batch)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise Misuse(f"batch must hold as many targets as inputs, at least one; x has shape {tuple(x.shape)}, y {tuple(y.shape)}")
    return (x.to(like.dtype) if x.is_floating_point() else x), y


def _check_outputs(f: Any) -> torch.Tensor:
    if not isinstance(f, torch.Tensor) or f.ndim < 2:
        raise Misuse(f"module must give one tensor (batch, ..., outputs), not {tuple(f.shape) if isinstance(f, torch.Tensor) else type(f)}")
    return f


def _as_target(loss: Loss, y: torch.Tensor, f: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the targets as the loss takes them; f (some samples, ..., K) gives the number of outputs."""
    K, shape = f.shape[-1], (len(y), *f.shape[1:])
    if y.is_floating_point() and tuple(y.shape) != shape:
        raise Misuse(f"batch's targets must have the shape of the outputs, {shape}, or be class indices {shape[:-1]}, not {tuple(y.shape)}")
    if not y.is_floating_point():
        if tuple(y.shape) != shape[:-1]:
            raise Misuse(f"batch's class indices must have shape {shape[:-1]}, not {tuple(y.shape)}")
        if not 0 <= int(y.min()) <= int(y.max()) < K:
            raise Misuse(f"batch's class indices must be 0 to {K - 1}, but run from {int(y.min())} to {int(y.max())}")
        y = y.long()
    return loss.target(y, K, like.dtype)
