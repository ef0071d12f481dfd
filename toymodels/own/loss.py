"""A loss of one's own: its formula in sympy, where it is least, and its curvature there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from toymodels.losses import MSE, CrossEntropy
from validation.arguments import Misuse

if TYPE_CHECKING:
    import sympy

DIGITS = 60
DISTANCES = 10.0 ** np.arange(-6, 6.1, 0.125)       # from the minimum, at which the slope's sign is checked


@dataclass(frozen=True)
class Loss:
    """A loss of one's own, ``l(f; y)``.

    Attributes
    ----------
    formula : l, a sympy expression in `f` and `y`.
    f, y : the sympy symbols of the output and of the target, which is the model's.
    minimum : where l is least, a number or an expression in `y`; None: it is found.

    Raises
    ------
    Misuse : a formula with other symbols, a loss without a minimum, or one that does not fall towards it from both sides.

    Examples
    --------
    >>> import sympy
    >>> f, y = sympy.symbols("f y")
    >>> Loss((f - y)**4, f, y).describe()["formula"]
    '(f - y)**4'
    """

    formula: sympy.Expr
    f: sympy.Symbol
    y: sympy.Symbol
    minimum: sympy.Expr | float | None = None

    name: ClassVar[str] = "own"

    def __post_init__(self) -> None:
        import sympy

        from toymodels.own.expressions import make_symbol, normalise_symbols

        if not isinstance(self.f, sympy.Symbol) or not isinstance(self.y, sympy.Symbol) or self.f.name == self.y.name:
            raise Misuse(f"f and y must be two sympy symbols, not {self.f!r} and {self.y!r}")
        renamed = {self.f: make_symbol("f"), self.y: make_symbol("y")}
        formula = self.formula.xreplace(renamed) if isinstance(self.formula, sympy.Expr) else self.formula
        object.__setattr__(self, "formula", normalise_symbols("expression", formula))
        if {s.name for s in self.formula.free_symbols} - {"f", "y"} or "f" not in {s.name for s in self.formula.free_symbols}:
            raise Misuse(f"expression must be one in f and y alone, not {self.formula}")
        if self.minimum is not None:
            minimum = self.minimum.xreplace(renamed) if isinstance(self.minimum, sympy.Expr) else self.minimum
            object.__setattr__(self, "minimum", normalise_symbols("minimum", minimum))
            if {s.name for s in self.minimum.free_symbols} - {"y"}:      # type: ignore[union-attr]
                raise Misuse(f"minimum must be a number or an expression in y, not {self.minimum}")
        object.__setattr__(self, "f", make_symbol("f"))
        object.__setattr__(self, "y", make_symbol("y"))
        solve_minimum(self, 1.0)

    def describe(self) -> dict[str, Any]:
        """Return the loss as JSON: expressions as text."""
        found = {"name": "own", "formula": str(self.formula)}
        return found if self.minimum is None else found | {"minimum": str(self.minimum)}

    @classmethod
    def of(cls, description: dict[str, Any]) -> Loss:
        """Return the loss of a description, as `describe` returns it; its text is read as data.

        Raises
        ------
        Misuse : it has other entries, or a text that is no such expression.
        """
        from toymodels.own.expressions import make_symbol, read_expression

        if description.keys() - {"minimum"} != {"name", "formula"} or description["name"] != "own":
            raise Misuse(f"description of a loss must have the name 'own', a formula and perhaps a minimum, not {description!r}")
        least = description.get("minimum")
        return cls(read_expression("expression", description["formula"], ["f", "y"]), make_symbol("f"), make_symbol("y"),
                   None if least is None else read_expression("minimum", least, ["y"]))


def as_formula(loss: MSE | CrossEntropy | Loss) -> Loss:
    """Return the loss as a formula in f and y: at y = 1 those of the package are what they always are."""
    return loss if isinstance(loss, Loss) else _write_formula(loss.name)


@cache
def _write_formula(name: str) -> Loss:
    import sympy

    f, y = sympy.symbols("f y", real=True)
    if name == "mse":
        return Loss((f - y) ** 2 / 2, f, y)
    return Loss(sympy.log(1 + sympy.exp(-f)) / (1 + sympy.exp(-y)) + sympy.log(1 + sympy.exp(f)) / (1 + sympy.exp(y)), f, y)


@dataclass(frozen=True)
class Minimum:
    """The minimum of a loss at one target.

    Attributes
    ----------
    f : an expression in y, or a number of many digits (mpmath).
    at_target : whether it is y itself.
    value : f as a number of many digits.
    curvature : l'' there; 0 or infinity where the loss is flatter or steeper than a parabola.
    """

    at_target: bool
    value: Any
    curvature: float


@cache
def solve_minimum(loss: Loss, target: float) -> Minimum:
    """Return where the loss is least for a target.

    Raises
    ------
    Misuse : there is no minimum, or the loss does not fall towards it from both sides.
    """
    import mpmath

    from toymodels.own.differences import differentiate, evaluate_exactly, rewrite_exponentials

    slope_expression = differentiate(rewrite_exponentials(loss.formula), loss.f)
    evaluate = evaluate_exactly((loss.f, loss.y), slope_expression)
    with mpmath.workdps(DIGITS):
        y = mpmath.mpf(target)

        def slope(f: Any) -> Any:
            try:
                value = evaluate(f, y)
            except (ZeroDivisionError, ValueError, OverflowError):
                return mpmath.mpf(0)
            if isinstance(value, mpmath.mpc) and value.imag != 0:
                raise Misuse(f"expression must be real for every output; its slope at f = {float(f):g} is complex")
            return mpmath.re(value)

        if loss.minimum is not None:
            least = _evaluate_minimum(loss, y)
        else:
            least = y if _is_zero(slope, y) else _bracket(slope, y)
        for side in (-1, 1):
            for distance in DISTANCES:
                if slope(least + side * mpmath.mpf(distance) * max(1, abs(least))) * side < 0:
                    raise Misuse(f"expression must fall towards its minimum from both sides; beyond f = "
                                 f"{float(least + side * distance):g} it does not")
        if all(slope(least + side * d) == 0 for side in (-1, 1) for d in (1e-3, 1.0)):
            raise Misuse(f"expression must depend on f around its minimum, f = {float(least):g}")
        return Minimum(bool(least == y), least, _curvature(slope, least))


def _evaluate_minimum(loss: Loss, y: Any) -> Any:
    """Return the minimum that was given with the loss, for a target."""
    import mpmath

    from toymodels.own.differences import evaluate_exactly

    try:
        least = mpmath.mpmathify(evaluate_exactly(loss.y, loss.minimum)(y))
    except (ZeroDivisionError, ValueError, OverflowError):
        least = mpmath.nan
    if isinstance(least, mpmath.mpc) or not mpmath.isfinite(least):
        raise Misuse(f"minimum must be a finite real number for the target y = {float(y):g}; {loss.minimum} is not")
    return least


def _is_zero(slope: Any, y: Any) -> bool:
    """Return whether the loss is least at its target: the slope vanishes there, or changes its sign."""
    step = y * 0 + 10.0**-30
    return bool(abs(slope(y)) < 1e-40 or (slope(y - step) < 0 < slope(y + step))) and bool(slope(y - 1e-3) < 0 or slope(y + 1e-3) > 0)


def _bracket(slope: Any, y: Any) -> Any:
    """Return where the slope changes from negative to positive, by bisection of a wide grid."""
    import mpmath

    grid = sorted({0.0, *(s * d for d in 10.0 ** np.arange(-3, 5.25, 0.25) for s in (-1, 1))})
    signs = [mpmath.sign(slope(y + g)) for g in grid]
    first = next((i for i in range(1, len(grid)) if signs[i - 1] < 0 <= signs[i]), None)
    if first is None:
        raise Misuse("expression must have a minimum; this one has none: it falls or rises throughout")
    low, high = y + mpmath.mpf(grid[first - 1]), y + mpmath.mpf(grid[first])
    for _ in range(230):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return high


def _curvature(slope: Any, least: Any) -> float:
    """Return l'' at the minimum: the limit of the slope over the distance, the larger of the two sides."""
    import mpmath

    ratios = [[abs(slope(least + side * mpmath.mpf(10) ** -k)) * mpmath.mpf(10) ** k for k in (16, 20)] for side in (-1, 1)]
    found = []
    for far, near in ratios:
        growth = mpmath.mpf(1) if near == far else (mpmath.inf if far == 0 else near / far)
        found.append(0.0 if near == 0 or growth < 0.5 else (np.inf if growth > 2 else float(near)))
    return max(found)
