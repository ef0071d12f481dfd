"""The two toy models, with one parameter and with two: output, gradient and kernel, in the paper's letters.

The formulas use + * / ** alone, so that they take floats, arrays, mpmath numbers and sympy symbols: the theory is derived from these
lines, and the kernels are tested against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from toymodels.own.model import Model as OwnModel
from validation.arguments import Misuse, refuse_subclass, whole

MOST_DEPTH = 1000       # a step takes L multiplications, and f loses the last log10(L) of its 16 digits


@dataclass(frozen=True)
class OneParameter:
    """A deep linear network of width one with tied weights: ``f(w) = (w**L - 1)/gamma``, ``w = 1`` at the start (eq. 4).

    Its weights are tied, so its gradient is L times that of one of the L weights (the paper's footnote 4).

    Attributes
    ----------
    depth : L, the number of weight matrices, from 1 to `MOST_DEPTH`.
    """

    depth: int

    parameters: ClassVar[tuple[str, ...]] = ("w",)
    start: ClassVar[tuple[int, ...]] = (1,)
    name: ClassVar[str] = "one"

    def __post_init__(self) -> None:
        object.__setattr__(self, "depth", whole("depth", self.depth, most=MOST_DEPTH))

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
        return {"name": "one", "depth": self.depth}


@dataclass(frozen=True)
class TwoParameter:
    """The smallest model with catapults: ``f = 2 u1 u2/gamma``, ``u = (1, 0)`` at the start (Appendix D).

    The update is that of the untied two-layer network, ``u1 <- u1 - eta l'(f) u2/gamma`` and the same with 1 and 2 exchanged:
    half the gradient of ``l(f(u1, u2))``. `OneParameter(2)` has tied weights and a gradient twice as large, so its lazy edge
    is ``gamma**2/2`` where this one's is ``gamma**2``. Both conventions are the paper's.
    """

    depth: ClassVar[int] = 2
    parameters: ClassVar[tuple[str, ...]] = ("u1", "u2")
    start: ClassVar[tuple[int, ...]] = (1, 0)
    name: ClassVar[str] = "two"

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
        return {"name": "two", "depth": 2}


Model = OneParameter | TwoParameter
WAY = "write one's own as toymodels.Model(output, start)"


AnyModel = OneParameter | TwoParameter | OwnModel


def as_model(model: Any) -> AnyModel:
    """Return `model` if it is one of the toys or a model of one's own; otherwise raise `Misuse`."""
    if not isinstance(model, AnyModel):
        raise Misuse(f"model must be OneParameter(depth) or TwoParameter(), not {model!r}; {WAY}")
    refuse_subclass("model", model, (OneParameter, TwoParameter, OwnModel), WAY)
    return model


def as_formula(model: AnyModel) -> OwnModel:
    """Return the model as one of one's own, which is trained in the same way by SGD.

    The two parameters are scaled by sqrt(2), which doubles the gradient of the untied update.
    """
    if isinstance(model, OwnModel):
        return model
    import sympy

    w, u1, u2, gamma = sympy.symbols("w u1 u2 gamma", positive=True)
    if isinstance(model, OneParameter):
        return OwnModel(model.output(w, gamma), {w: 1})
    return OwnModel(u1 * u2 / gamma, {u1: sympy.sqrt(2), u2: 0})


def read_model(description: dict[str, Any]) -> AnyModel:
    """Return the model of a description; KeyError if it is of none, `Misuse` if its numbers are not those of one."""
    kind = description["name"]
    if kind == "own":
        return OwnModel.of(description)
    depth = description["depth"]
    if kind == "two" and depth != 2:
        raise Misuse(f"model must be of depth 2 where it is 'two', not of {depth!r}")
    return TwoParameter() if kind == "two" else {"one": OneParameter}[kind](depth)
