"""The class of a predicted edge: numbers by numpy, its formula, exponents and prefactors by sympy (`catalogue.py` lists the edges)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from toymodels.theory.asymptotics import Branch, Scaling, choose_smallest, derive_scaling
from toymodels.theory.derivation_cache import load_or_derive
from toymodels.theory.printing import as_latex
from toymodels.theory.symbols import letters
from validation.arguments import Misuse, between, choose, positive, whole
from validation.prediction import REGIMES, Prediction, find_family

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class Curve:
    """An edge in sympy.

    Attributes
    ----------
    expression : eta in gamma, T and rho.
    branches : for each regime the curves whose minimum it becomes there.
    values : what the letters f1, f2, h, r0, ... stand for while limits are taken: functions of rho, and numbers of the loss.
    formula : the expression as one would write it, with those letters, or an equation for eta; None: the expression.
    """

    expression: Any
    branches: dict[str, list[Branch]]
    values: dict[Any, Any] = field(default_factory=dict)
    formula: Any = None


@dataclass(frozen=True)
class Closing:
    """The closing point, the gamma at which eta_min meets eta_max by their rich power laws.

    Attributes
    ----------
    compute : T -> gamma, without sympy.
    derive : () -> gamma as sympy in T.
    """

    compute: Callable[[int], float]
    derive: Callable[[], Any]


@dataclass(frozen=True, eq=False)
class Edge(Prediction):
    """One predicted edge ``eta(gamma, T, rho)``, as numbers and as an expression.

    >>> from toymodels import OneParameter
    >>> from toymodels.theory import predict
    >>> edge = predict(OneParameter(5))["eta_max"]
    >>> edge.exponent("lazy"), edge.exponent("rich"), edge.prefactor("rich")
    (2, 2/5, 2/25)

    Attributes
    ----------
    name : "eta_min", "eta_crit", "eta_settle", "eta_max" or "eta_div", as in `validation.locate`.
    label : a short text for legends.
    source : where it comes from.
    numeric : (gamma, steps, rho) -> eta, vectorised over gamma, without sympy.
    derive : () -> Curve, with sympy.
    regimes : where it has a power law: of "lazy", "rich".
    limits : a sentence about where nothing is predicted; empty if there is no such place.
    closing : where the triangle of trainability closes, beyond which no rate trains and nothing is predicted; None if it does not close.
    bound : whether the curve is a lower bound on the edge, and no more.
    holds : (least T, largest rho) at which the curve is compared with measurements. The edges of stability and divergence are limits of
        infinite T and rho -> 0 (at T = 100 the measured eta_div of L = 1 lies 60% higher, at rho = 0.1 the eta_max of L = 12 23%).
    cache_key : names model, loss and optimizer, under which exponents are cached on disk (`derivation_cache.py`); empty: they are not.
    unjudged : the gammas (low, high) between which the measured edge is another one; no window reaches into them.
    depth : L.
    """

    name: str = ""
    label: str = ""
    source: str = ""
    numeric: Callable[[np.ndarray, int, float], np.ndarray] = None  # type: ignore[assignment]
    derive: Callable[[], Curve] = None  # type: ignore[assignment]
    regimes: tuple[str, ...] = REGIMES
    limits: str = ""
    closing: Closing | None = None
    unjudged: tuple[float, float] | None = None
    bound: bool = False
    holds: tuple[int, float] = (1000, 0.02)
    cache_key: str = ""
    depth: int = 0

    def __call__(self, gamma: ArrayLike, steps: int = 1000, rho: float = 0.01) -> np.ndarray:
        """Return the predicted eta.

        Parameters
        ----------
        gamma : richness, any shape, > 0.
        steps : T, the number of steps of training, >= 1.
        rho : the fraction of the excess loss that is left at the edge, in (0, 1).

        Returns
        -------
        eta, float64, shape of `gamma`; NaN beyond the closing point, and where nothing is predicted (see `limits`).

        Raises
        ------
        Misuse : gamma not finite and above zero, steps not whole and at least 1, rho outside (0, 1).
        """
        values, steps, rho = positive("gamma", gamma), whole("steps", steps), between("rho", rho, 0, 1)
        eta = np.asarray(self.numeric(values, steps, rho), dtype=np.float64)
        return eta if self.closing is None else np.where(values <= self.closing.compute(steps), eta, np.nan)

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs, without what sympy has derived: its functions cannot be sent."""
        return {key: value for key, value in self.__dict__.items() if key not in ("curve", "_scalings")}

    @cached_property
    def curve(self) -> Curve:
        """The edge in sympy, derived at the first access."""
        return self.derive()

    @property
    def expression(self) -> sympy.Expr:
        """Eta as a sympy expression in `toymodels.theory.symbols.letters()`: gamma, T, rho."""
        import sympy

        whole = self.curve.expression.subs(self.curve.values)
        if self.closing is None:
            return whole
        return sympy.Piecewise((whole, letters().gamma <= self.closing.derive()), (sympy.nan, True))

    @property
    def formula(self) -> sympy.Expr | sympy.Equality:
        """The expression with the letters kept that stand for functions of rho and numbers of the loss: f1, h_l, r_0, ..."""
        return self.curve.expression if self.curve.formula is None else self.curve.formula

    def scaling(self, regime: str) -> Scaling:
        """Return exponent, power of the logarithm and prefactor in the regime: limits by sympy, in the letters of the formula.

        Raises
        ------
        Misuse : an unknown regime, or one in which this edge is not predicted.
        """
        choose("regime", regime, REGIMES)
        if regime not in self.regimes:
            raise Misuse(f"{self.name} has no power law in the {regime} regime, only in: {', '.join(self.regimes)}"
                         + (f" ({self.limits})" if self.limits else ""))
        if regime not in self._scalings:
            self._scalings[regime] = choose_smallest([derive_scaling(b, regime) for b in self.curve.branches[regime]], regime)
        return self._scalings[regime]

    @cached_property
    def _scalings(self) -> dict[str, Scaling]:
        return {}

    def exponent(self, regime: str) -> sympy.Rational:
        """Return the limit of the local exponent in the regime, an exact sympy Rational."""
        import sympy

        return sympy.Rational(self._exponent_and_logarithm(regime)[0])

    def fraction(self, regime: str) -> Fraction:
        """Return `exponent` as a fraction of Python's, without sympy where it is cached."""
        return Fraction(self._exponent_and_logarithm(regime)[0])

    def family(self, regime: str) -> tuple[int, int] | None:
        """Return k and L where the exponent is 1/L or 2/L by the depth L, else None."""
        return find_family(self.fraction(regime), self.depth) if regime in self.regimes else None

    def _exponent_and_logarithm(self, regime: str) -> tuple[str, bool]:
        """Return the exponent as text, and whether a logarithm multiplies the power."""
        choose("regime", regime, REGIMES)
        if regime not in self.regimes:
            self.scaling(regime)      # raises

        def derive() -> str:
            found = self.scaling(regime)
            return f"{found.exponent} {int(found.log_power != 0)}"

        exponent, logarithm = load_or_derive(self.cache_key and f"{self.cache_key} {self.name} {regime}", derive).split()
        return exponent, logarithm == "1"

    def law(self, regime: str) -> sympy.Expr:
        """Return the power law that the edge becomes in the regime, as sympy in gamma and the letters of the formula."""
        return self.scaling(regime).law(letters().gamma, regime)

    def prefactor(self, regime: str) -> sympy.Expr:
        """Return c of ``eta ~ c gamma**exponent |log gamma|**power`` as a sympy expression in T and rho (`letters()`)."""
        return self.scaling(regime).prefactor.subs(self.curve.values)

    def logarithm(self, regime: str) -> bool:
        """Return whether a power of log gamma multiplies the power law in the regime."""
        return self._exponent_and_logarithm(regime)[1] if regime in self.regimes else super().logarithm(regime)

    def closing_point(self, steps: int = 1000, rho: float = 0.01) -> float:
        """Return the gamma at which eta_min meets eta_max, by their rich power laws; infinity where they never do."""
        steps, rho = whole("steps", steps), between("rho", rho, 0, 1)
        return np.inf if self.closing is None else self.closing.compute(steps)

    def window(self, regime: str, steps: int = 1000, rho: float = 0.01,
               tolerance: float = 0.02) -> tuple[float, float] | None:
        """Return the gammas (low, high) of the regime, where the local exponent is within `tolerance` of its limit.

        A window ends at a third of the closing point at the latest, and does not reach into the `unjudged` gammas.

        Parameters
        ----------
        regime : "lazy" or "rich".
        steps, rho : as in the call.
        tolerance : of the local exponent, > 0.

        Returns
        -------
        (low, high), where an open end is 0 or infinity; None where there is no such stretch: beyond the closing point, in a regime
        without a power law, or where a logarithm drags the exponent along.
        """
        choose("regime", regime, REGIMES)
        steps, rho = whole("steps", steps), between("rho", rho, 0, 1)
        if float(positive("tolerance", tolerance)) and (regime not in self.regimes or self.logarithm(regime)):
            return None
        limit = float(self.fraction(regime))
        toward = 1.0 if regime == "rich" else -1.0

        def depart(decades: np.ndarray) -> np.ndarray:
            return np.abs(self.local_exponent(10.0**decades, steps, rho) - limit)

        # from the regime's end of the axis, or of the prediction, inward: first coarsely, then within the coarse step
        grid = toward * np.linspace(20.0, -20.0, 801)
        departure = depart(grid)
        first = int(np.argmax(np.isfinite(departure)))
        end = toward * np.inf if first == 0 else grid[first]
        grid, inside = grid[first:], departure[first:] <= tolerance
        if not inside[0]:
            return None
        if inside.all():
            edge = 0.0 if regime == "rich" else np.inf
        else:
            last = int(np.argmin(inside)) - 1
            fine = np.linspace(grid[last], grid[last + 1], 51)
            edge = float(10.0 ** fine[max(0, int(np.argmin(depart(fine) <= tolerance)) - 1)])
        low, high = self.unjudged or (np.inf, 0.0)
        if regime == "lazy":
            return float(10.0**end), min(edge, low)
        edge, high = max(edge, high), min(float(10.0**end), self.closing_point(steps, rho) / 3)
        return (edge, high) if edge < high else None

    def latex(self) -> str:
        r"""Return the edge's formula in LaTeX: ``eta_... = ...``, or an equation for it."""
        import sympy

        if isinstance(self.formula, sympy.Equality):
            return as_latex(self.formula)
        return as_latex(sympy.Eq(sympy.Symbol(self.name), self.formula, evaluate=False))
