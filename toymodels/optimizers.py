"""The optimizers of the toy models: frozen dataclasses of their hyperparameters (`kernels.py` has the updates)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from validation.arguments import Misuse, between


@dataclass(frozen=True)
class SGD:
    """``theta <- theta - eta g``."""

    name: ClassVar[str] = "sgd"


@dataclass(frozen=True)
class SignSGD:
    """``theta <- theta - eta sign(g)``, ``sign(0) = 0`` (eq. 23)."""

    name: ClassVar[str] = "signsgd"


@dataclass(frozen=True)
class HeavyBall:
    """``m <- beta m + g``, ``theta <- theta - eta m``, m = 0 at the start (no dampening).

    Attributes
    ----------
    beta : 0 <= beta < 1.
    """

    beta: float = 0.9
    name: ClassVar[str] = "momentum"

    def __post_init__(self) -> None:
        if self.beta != 0:
            between("beta", self.beta, 0, 1)


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction (Kingma & Ba 2014), ``theta <- theta - eta m^/(sqrt(v^) + epsilon/gamma)``.

    Attributes
    ----------
    beta1, beta2 : decay rates of the first and second moment, in (0, 1).
    epsilon : in units of 1/gamma, the scale of the gradients of an output over gamma, for models of one's own too; a fixed 1e-8 would
        exceed the gradients at gamma >= 1e4 and change the optimizer. 0/0 counts as 0.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    name: ClassVar[str] = "adam"

    def __post_init__(self) -> None:
        between("beta1", self.beta1, 0, 1)
        between("beta2", self.beta2, 0, 1)
        if self.epsilon != 0:
            between("epsilon", self.epsilon, 0, float("inf"))


OPTIMIZERS = {"sgd": SGD, "signsgd": SignSGD, "momentum": HeavyBall, "adam": Adam}
Optimizer = SGD | SignSGD | HeavyBall | Adam


def as_optimizer(optimizer: str | Optimizer) -> Optimizer:
    """Return the optimizer of that name with its default hyperparameters, or `optimizer` itself; otherwise raise `Misuse`."""
    if isinstance(optimizer, SGD | SignSGD | HeavyBall | Adam):
        return optimizer
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        default: Optimizer = OPTIMIZERS[optimizer]()  # type: ignore[assignment]
        return default
    raise Misuse(f"optimizer must be one of {', '.join(map(repr, OPTIMIZERS))}, or a toymodels optimizer, not {optimizer!r}")


def describe(optimizer: Optimizer) -> dict[str, Any]:
    """Return the optimizer as JSON: its name and its hyperparameters."""
    return {"name": optimizer.name, **asdict(optimizer)}
