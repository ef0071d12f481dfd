"""The two toy models, with one parameter and with two: output, gradient and kernel, in the paper's letters.

The formulas use + * / ** alone, so that they take floats, arrays, mpmath numbers and sympy symbols: the theory is derived from these
lines, and the kernels are tested against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from toymodels.own.model import Model as OwnModel
from validation.arguments import Misuse, between, refuse_subclass, whole

MOST_DEPTH = 1000       # a step takes L multiplications, and f loses the last log10(L) of its 16 digits


@dataclass(frozen=True)
class OneParameter:
    """A deep linear network of width one with tied weights: ``f(w) = (w**L - 1)/gamma``, ``w = 1`` at the start (eq. 4).

    Its weights are tied, so its gradient is L times that of one of the L weights (the paper's footnote 4).

    Attributes
    ----------
    depth : L, the number of weight matrices, from 1 to `MOST_DEPTH`.
    start : w at the start; the output is not centred anew, so that f is ``(start**L - 1)/gamma`` there.
    target : the output y at which the loss is least.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; a start without a gradient.
    """

    depth: int
    start: float = 1
    target: float = 1

    parameters: ClassVar[tuple[str, ...]] = ("w",)
    name: ClassVar[str] = "one"

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth, most=MOST_DEPTH))
        between("start", self.start, -np.inf, np.inf)
        between("target", self.target, -np.inf, np.inf)
        if not self.is_standard:
            as_formula(self)

    @property
    def is_standard(self) -> bool:
        """Whether start and target are the paper's."""
        return self.start == 1 and self.target == 1

    def __repr__(self) -> str:
        return f"OneParameter(depth={self.depth!r}{_write_arguments(self)})"

    def output(self, w: Any, gamma: Any) -> Any:
        """Return the centred, rescaled output ``f`` at the weight `w` (eq. 4)."""
        return (w**self.depth - 1) / gamma

    def gradient(self, w: Any, gamma: Any) -> tuple[Any]:
        """Return ``df/dw``; the gradient of the loss is ``l'(f)`` times this."""
        return (self.depth * w ** (self.depth - 1) / gamma,)

    def kernel(self, w: Any, gamma: Any) -> Any:
        """Return ``K = (df/dw)**2``."""
        return self.gradient(w, gamma)[0] ** 2

    def describe(self) -> dict[str, Any]:
        """Return the model as JSON."""
        return {"name": "one", "depth": self.depth} | _describe_start(self, 1)


@dataclass(frozen=True)
class TwoParameter:
    """The smallest model with catapults: ``f = 2 u1 u2/gamma``, ``u = (1, 0)`` at the start (Appendix D).

    The update is that of the untied two-layer network, ``u1 <- u1 - eta l'(f) u2/gamma`` and the same with 1 and 2 exchanged:
    half the gradient of ``l(f(u1, u2))``. `OneParameter(2)` has tied weights and a gradient twice as large, so its lazy edge
    is ``gamma**2/2`` where this one's is ``gamma**2``. Both conventions are the paper's.

    Attributes
    ----------
    start : u1 and u2 at the start, not both zero; f is ``2 u1 u2/gamma`` there.
    target : the output y at which the loss is least.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """

    start: tuple[float, float] = (1, 0)
    target: float = 1

    depth: ClassVar[int] = 2
    parameters: ClassVar[tuple[str, ...]] = ("u1", "u2")
    name: ClassVar[str] = "two"

    def __post_init__(self) -> None:
        if not isinstance(self.start, tuple | list) or len(self.start) != 2:
            raise Misuse(f"start must be two numbers, u1 and u2, not {self.start!r}")
        for u in self.start:
            between("start", u, -np.inf, np.inf)
        object.__setattr__(self, "start", tuple(self.start))
        between("target", self.target, -np.inf, np.inf)
        if not self.is_standard:
            as_formula(self)

    @property
    def is_standard(self) -> bool:
        """Whether start and target are the paper's."""
        return self.start == (1, 0) and self.target == 1

    def __repr__(self) -> str:
        return f"TwoParameter({_write_arguments(self).removeprefix(', ')})"

    def output(self, u1: Any, u2: Any, gamma: Any) -> Any:
        """Return the output ``f = 2 u1 u2/gamma``."""
        return 2 * u1 * u2 / gamma

    def gradient(self, u1: Any, u2: Any, gamma: Any) -> tuple[Any, Any]:
        """Return the untied gradient of f, ``(u2/gamma, u1/gamma)``: half of ``(df/du1, df/du2)``."""
        return u2 / gamma, u1 / gamma

    def kernel(self, u1: Any, u2: Any, gamma: Any) -> Any:
        """Return ``K = 2 (u1**2 + u2**2)/gamma**2`` (eq. 21)."""
        return 2 * (u1**2 + u2**2) / gamma**2

    def describe(self) -> dict[str, Any]:
        """Return the model as JSON."""
        return {"name": "two", "depth": 2} | _describe_start(self, (1, 0))


def _write_arguments(model: OneParameter | TwoParameter) -> str:
    """Return the arguments that are not the paper's, as text."""
    moved = _describe_start(model, (1, 0) if isinstance(model, TwoParameter) else 1)
    return "".join(f", {k}={tuple(v) if isinstance(v, list) else v!r}" for k, v in moved.items())


def _describe_start(model: OneParameter | TwoParameter, start: Any) -> dict[str, Any]:
    """Return start and target as JSON, as far as they are not the paper's."""
    begin = [float(u) for u in model.start] if isinstance(model.start, tuple) else float(model.start)
    return ({} if model.start == start else {"start": begin}) | ({} if model.target == 1 else {"target": float(model.target)})


Model = OneParameter | TwoParameter
WAY = "write one's own as toymodels.Model(output, start)"


AnyModel = OneParameter | TwoParameter | OwnModel      # of one output


def as_model(model: Any) -> AnyModel:
    """Return `model` if it is one of the toys or a model of one's own; otherwise raise `Misuse`."""
    if not isinstance(model, AnyModel):
        raise Misuse(f"model must be OneParameter(depth) or TwoParameter(), not {model!r}; {WAY}")
    refuse_subclass("model", model, (OneParameter, TwoParameter, OwnModel), WAY)
    return model


def is_own(model: AnyModel) -> bool:
    """Return whether the model is trained and predicted as one of one's own: so are the toys with another start or target."""
    return isinstance(model, OwnModel) or not model.is_standard


def as_formula(model: AnyModel) -> OwnModel:
    """Return the model as one of one's own, which is trained in the same way by SGD.

    The two parameters are scaled by sqrt(2), which doubles the gradient of the untied update.
    """
    if isinstance(model, OwnModel):
        return model
    import sympy

    w, u1, u2, gamma = sympy.symbols("w u1 u2 gamma", positive=True)
    if isinstance(model, OneParameter):
        return OwnModel(model.output(w, gamma), {w: as_fraction(model.start)}, model.target)
    root = sympy.sqrt(2)
    return OwnModel(u1 * u2 / gamma, {u1: root * as_fraction(model.start[0]), u2: root * as_fraction(model.start[1])}, model.target)


def as_fraction(value: float) -> Any:
    """Return the number as it is written, 0.1 as 1/10."""
    import sympy

    return sympy.Rational(repr(float(value)))


def read_model(description: dict[str, Any]) -> AnyModel:
    """Return the model of a description; KeyError if it is of none, `Misuse` if its numbers are not those of one."""
    kind = description["name"]
    if kind == "own":
        return OwnModel.of(description)
    depth, target = description["depth"], description.get("target", 1)
    if kind == "two" and depth != 2:
        raise Misuse(f"model must be of depth 2 where it is 'two', not of {depth!r}")
    if kind == "two":
        return TwoParameter(description.get("start", (1, 0)), target)
    return {"one": OneParameter}[kind](depth, description.get("start", 1), target)
