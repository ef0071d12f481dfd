"""Derive the power law of a curve eta(gamma) as gamma -> 0 or infinity: exponent, power of the logarithm, prefactor.

The exponent is the limit, by sympy, of ``d log eta / d log gamma`` of the expression itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from validation.arguments import Misuse


@dataclass(frozen=True)
class Branch:
    """A parametric curve: ``gamma(parameter)``, ``eta(parameter)``, and the limit of the parameter in each regime.

    The parameter of an explicit curve is gamma itself (`explicit_branch`), that of a curve given by its inverse is eta.

    Attributes
    ----------
    parameter : the sympy symbol.
    gamma, eta : expressions in it.
    lazy, rich : the parameter's limits as gamma -> 0 and as gamma -> infinity; None where the branch does not reach.
    """

    parameter: Any
    gamma: Any
    eta: Any
    lazy: Any
    rich: Any

    def local_exponent(self) -> Any:
        """Return ``d log eta / d log gamma`` as sympy, in the parameter."""
        import sympy

        x = self.parameter
        return (sympy.diff(self.eta, x) / self.eta) / (sympy.diff(self.gamma, x) / self.gamma)


def explicit_branch(eta: Any) -> Branch:
    """Return the branch of an expression in gamma that holds in both regimes."""
    import sympy

    from toymodels.theory.symbols import letters

    gamma = letters().gamma
    return Branch(gamma, gamma, eta, sympy.Integer(0), sympy.oo)


@dataclass(frozen=True)
class Scaling:
    """The power law of a curve: ``eta ~ prefactor gamma**exponent |log gamma|**log_power``.

    Attributes
    ----------
    exponent : an exact sympy Rational.
    log_power : an exact sympy Rational, 0 where there is no logarithm.
    prefactor : a sympy expression without gamma.
    """

    exponent: Any
    log_power: Any
    prefactor: Any

    def law(self, gamma: Any, regime: str) -> Any:
        """Return the asymptote at `gamma` as sympy: ``|log gamma|`` in the lazy regime, ``log gamma`` in the rich one."""
        import sympy

        logarithm = sympy.log(gamma)
        return self.prefactor * gamma**self.exponent * (sympy.Abs(logarithm) if regime == "lazy" else logarithm) ** self.log_power


def derive_scaling(branch: Branch, regime: str) -> Scaling:
    """Return the power law of the branch in the regime.

    The local exponent's limit is the exponent a, and the limit of ``eta/gamma**a`` the prefactor. Where that is zero or infinite,
    ``(local exponent - a) log gamma`` tends to the power of a logarithm.

    Raises
    ------
    Misuse : where the branch does not reach the regime, or is no power law with a power of a logarithm.
    """
    import sympy

    if (branch.lazy if regime == "lazy" else branch.rich) is None:
        raise Misuse(f"nothing is predicted in the {regime} regime")
    # constant factors stay out of the limits: sympy may not determine their sign, and the losses share the rest
    constant, varying = branch.eta.as_independent(branch.parameter, as_Add=False)
    found = _scaling(Branch(branch.parameter, branch.gamma, varying, branch.lazy, branch.rich), regime)
    return Scaling(found.exponent, found.log_power, constant * sympy.factor(found.prefactor))


@cache
def _scaling(branch: Branch, regime: str) -> Scaling:
    """Return `derive_scaling` of a branch without constant factors."""
    import sympy

    x, end = branch.parameter, branch.lazy if regime == "lazy" else branch.rich
    local = branch.local_exponent()
    exponent = sympy.simplify(sympy.limit(local, x, end))
    if not exponent.is_Rational:
        raise Misuse(f"{branch.eta} is no power law in the {regime} regime: its local exponent tends to {exponent}")
    rest = sympy.powsimp(branch.eta / branch.gamma**exponent)
    prefactor = sympy.limit(rest, x, end)
    if prefactor.is_finite is not False and prefactor != 0:
        return Scaling(exponent, sympy.Integer(0), sympy.simplify(sympy.factor(prefactor, deep=True)))
    # the rest has no finite limit: it is a power of the logarithm
    log_gamma = sympy.expand_log(sympy.log(branch.gamma))
    log_power = sympy.simplify(sympy.limit(sympy.simplify(local - exponent) * log_gamma, x, end))
    size = log_gamma if regime == "rich" else -log_gamma
    return Scaling(exponent, log_power, sympy.simplify(sympy.limit(rest / size**log_power, x, end)))


def choose_smallest(candidates: list[Scaling], regime: str) -> Scaling:
    """Return the smallest of several power laws in the regime; of equal powers, with the minimum of their prefactors."""
    import sympy

    sign = 1 if regime == "lazy" else -1
    first = max(sign * s.exponent for s in candidates)
    tied = [s for s in candidates if sign * s.exponent == first]
    return Scaling(tied[0].exponent, tied[0].log_power, sympy.Min(*(s.prefactor for s in tied)))


def solve_crossing(lower: Scaling, upper: Scaling) -> Any:
    """Return the gamma at which two rich power laws meet, ``lower = upper``, as sympy; infinity where they never do.

    That of ``eta_min`` and ``eta_max`` is the closing point of the triangle of trainability.
    """
    import sympy

    if lower.exponent <= upper.exponent or lower.log_power != 0 or upper.log_power != 0:
        return sympy.oo
    power = 1 / (lower.exponent - upper.exponent)
    return sympy.Pow(sympy.simplify(upper.prefactor / lower.prefactor), power, evaluate=False)      # one power, not one of each factor
