"""The protocol of an optimizer: the direction of a step, and settings that every optimizer may have."""

from __future__ import annotations

import copy
from typing import Any

import torch

from deepnets.behaviour import make_numbers
from validation.arguments import Misuse, between, choose, whole

DECAY_TO = ("origin", "start")
RESERVED = ("sgd", "signsgd", "momentum", "nesterov", "adam", "adamw", "lion", "muon")      # the theory goes by these names


class Optimizer:
    """The base of optimizers, the package's and one's own. Steps are taken in u, for a stack of P runs at once.

    With ``theta = theta_0 + gamma u`` and g the gradient in u, which is gamma times that in theta, a step of rate eta is
    ``u <- u - eta gamma**-power direction(g)``: `power` is 2 for a direction in proportion to the gradient, and 1 for one without its scale
    (a sign, Adam's quotient), if the step in theta is to have the rate eta at every gamma.

    Every parameter has its own call of `direction`, with its own memory. A subclass is best a frozen dataclass of its numbers, which then
    stand in the descriptions of portraits.

    Attributes
    ----------
    name : in descriptions.
    power : of 1/gamma in the rate in u, 1 or 2.
    memories : tensors of g's shape, zero at first, that carry over to the next step.
    weight_decay : lambda; before each step theta is moved by ``-eta factor lambda (theta - a)``, with the schedule's factor and the same
        eta for all tensors (not N eta), whatever the gradient.
    decay_to : where weight decay leads, a: "origin" (0) or "start" (theta_0).
    clip : the largest norm of a run's gradient in theta, over all parameters; larger ones are scaled down to it, as by
        ``torch.nn.utils.clip_grad_norm_``. None: no clipping.
    """

    name: str
    power: int
    memories: int = 0
    weight_decay: float = 0.0
    decay_to: str = "origin"
    clip: float | None = None

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the step over the rate, of g's shape, and update the memory in place.

        Parameters
        ----------
        g : (P, *shape), the gradient of one parameter in u; the runs must not be mixed.
        memory : `memories` tensors of g's shape.
        step : the number of steps taken before.
        """
        raise NotImplementedError


class AdaptedOptimizer(Optimizer):
    """An object with a method `direction`, and any other attribute of `Optimizer`, made an `Optimizer`."""

    def __init__(self, original: Any) -> None:
        self.original = original
        for name in ("name", "power", "memories", "weight_decay", "decay_to", "clip"):
            if hasattr(original, name):
                setattr(self, name, getattr(original, name))

    def direction(self, g: torch.Tensor, memory: list[torch.Tensor], step: int) -> torch.Tensor:
        """Return the original's direction."""
        direction: torch.Tensor = self.original.direction(g, memory, step)
        return direction


def check_settings(optimizer: Any) -> None:
    """Raise `Misuse` if the weight decay, where it leads or the clipping of an optimizer is not allowed."""
    check_size("weight_decay", optimizer.weight_decay)
    choose("decay_to", optimizer.decay_to, DECAY_TO)
    if optimizer.clip is not None:
        between("clip", optimizer.clip, 0, float("inf"))


def check_rate(name: str, beta: float) -> None:
    """Raise `Misuse` unless ``0 <= beta < 1``."""
    if beta != 0:
        between(name, beta, 0, 1)


def check_size(name: str, value: float) -> None:
    """Raise `Misuse` unless ``0 <= value``, and finite."""
    if value != 0:
        between(name, value, 0, float("inf"))


def describe_settings(optimizer: Any) -> dict[str, Any]:
    """Return weight decay and clipping as JSON, without those that are off."""
    decay = {"weight_decay": optimizer.weight_decay, "decay_to": optimizer.decay_to} if optimizer.weight_decay else {}
    return decay | ({} if optimizer.clip is None else {"clip": optimizer.clip})


def clip_gradient(gradient: dict[str, torch.Tensor], gamma: torch.Tensor, clip: float) -> None:
    """Scale each run's gradient in u so that its norm in theta is at most `clip`, in place.

    Parameters
    ----------
    gradient : by parameter name, (P, *shape).
    gamma : (P,).
    """
    norms = torch.stack([torch.linalg.vector_norm(g.reshape(len(g), -1), dim=1) for g in gradient.values()])
    scale = (clip * gamma / (torch.linalg.vector_norm(norms, dim=0) + 1e-6 * gamma)).clamp(max=1)      # the 1e-6 is torch's
    for g in gradient.values():
        g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)))


def decay_weights(d: torch.Tensor, theta_0: torch.Tensor, gamma: torch.Tensor, amount: torch.Tensor, decay_to: str) -> None:
    """Move ``theta_0 + gamma d`` by ``-amount (theta - a)``, in place.

    Parameters
    ----------
    d : (P, *shape), one parameter's difference in u.
    theta_0 : its value at initialization, of its shape.
    gamma, amount : (P,).
    decay_to : "origin" (a = 0) or "start" (a = theta_0).
    """
    ones = [1] * (d.ndim - 1)
    d.mul_((1 - amount).reshape(-1, *ones))
    if decay_to == "origin":
        d.addcmul_(theta_0, (amount / gamma).reshape(-1, *ones), value=-1)


def try_directions(optimizer: Any, kind: str = "") -> list[torch.Tensor]:
    """Return three directions of a vector and of a matrix of two runs, for fixed gradients, the second run's a thousandth.

    Raises
    ------
    Misuse : `direction` fails, returns something else than a tensor like g, or mixes the runs.
    """
    found = []
    try:
        optimizer = copy.deepcopy(optimizer)      # it may keep numbers of its own
    except Exception as error:
        raise Misuse(f"optimizer {kind} must be one that copy.deepcopy can copy, but gave {type(error).__name__}: {error}") from error
    for shape in ((2, 5), (2, 4, 3)):
        memories = [torch.zeros(shape, dtype=torch.float64) for _ in range(optimizer.memories)]
        alone = [m[:1].clone() for m in memories]
        for step in range(3):
            g = make_numbers(shape, step) * torch.tensor([1.0, 1e-3], dtype=torch.float64).reshape(-1, *[1] * (len(shape) - 1))
            try:
                with torch.no_grad():
                    moved, single = optimizer.direction(g.clone(), memories, step), optimizer.direction(g[:1].clone(), alone, step)
            except Exception as error:
                raise Misuse(f"optimizer {kind} must give a direction for g of shape {shape}, but raised "
                             f"{type(error).__name__}: {error}") from error
            if not isinstance(moved, torch.Tensor) or moved.shape != g.shape:
                got = f"a tensor of shape {tuple(moved.shape)}" if isinstance(moved, torch.Tensor) else f"a {type(moved).__name__}"
                raise Misuse(f"optimizer {kind} must give a direction of g's shape {shape}, not {got}")
            if not torch.allclose(moved[:1], single, rtol=1e-9, atol=0, equal_nan=True):
                raise Misuse(f"optimizer {kind} must treat each run (the first dimension of g) by itself, but the "
                             "direction of one run depends on the others")
            found.append(moved.clone())
    return found


def check_own(optimizer: Any) -> Any:
    """Return a user's optimizer, if it has what `Optimizer` documents; otherwise raise `Misuse`."""
    kind = type(optimizer.original if isinstance(optimizer, AdaptedOptimizer) else optimizer).__name__
    if not isinstance(getattr(optimizer, "name", None), str):
        raise Misuse(f"optimizer {kind} must have a name, a str, not {getattr(optimizer, 'name', None)!r}")
    if optimizer.name in RESERVED:
        raise Misuse(f"optimizer {kind} must have a name of its own, not {optimizer.name!r}, that of one of the package's")
    choose(f"power of the optimizer {kind}", getattr(optimizer, "power", None), (1, 2))
    whole(f"memories of the optimizer {kind}", optimizer.memories, 0)
    check_settings(optimizer)
    try_directions(optimizer, kind)
    _check_power(optimizer, kind)
    return optimizer


def _check_power(optimizer: Any, kind: str) -> None:
    """Raise `Misuse` if the first direction grows as the gradient and the power is 1, or does not change with it and the power is 2."""
    small, large = (_first_direction(optimizer, scale).abs().sum() for scale in (1.0, 1e3))
    if optimizer.power == 1 and torch.isclose(large, 1e3 * small, rtol=1e-6):
        raise Misuse(f"power of the optimizer {kind} must be 2: its direction grows in proportion to the gradient, and with power 1 the "
                     "step in theta would be gamma eta times it")
    if optimizer.power == 2 and torch.isclose(large, small, rtol=1e-6):
        raise Misuse(f"power of the optimizer {kind} must be 1: its direction does not change with the gradient's size, and with power 2 "
                     "the step in theta would be eta/gamma times it")


def _first_direction(optimizer: Any, scale: float) -> torch.Tensor:
    """Return the first direction of a fixed matrix of one run, times `scale`."""
    memory = [torch.zeros(1, 4, 3, dtype=torch.float64) for _ in range(optimizer.memories)]
    with torch.no_grad():
        direction: torch.Tensor = copy.deepcopy(optimizer).direction(scale * make_numbers((1, 4, 3), 0), memory, 0)
    return direction
