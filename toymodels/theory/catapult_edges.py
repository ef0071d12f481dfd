"""The catapults of two parameters with cross-entropy: where they end (c*), and where they settle in time (eta_settle).

Far from its minimum the loss is straight. In the lazy limit a catapulting run jumps between the two straight sides while |p| and |q|
(p, q = u1 +- u2) drift. Both edges follow from this drift (Appendix D.2 has the phenomenon; the formulas are derived here).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from toymodels.losses import P0, P1, CrossEntropy
from toymodels.theory.losses import solve_excess_root

CURVATURE = float(P0 * P1)     # h_l
SETTLED = 20.0                 # the least eta/gamma**2 of the settling line: nearer to eta_crit = 5 gamma**2 the sets merge
LAZY_END, RICH_START = 0.02, 0.3   # between these the prefactor of the upper edge jumps from c* to 1/h_l: measured, not derived
TAIL = 0.9                     # the fraction of the steps before the tail


@cache
def solve_growth_balance() -> float:
    """Return ``c* = 2.1996...``, the eta/gamma above which a saturated run grows.

    Where f < 0 the slope is -p1 and a step multiplies p by ``1 + a p1`` and q by ``1 - a p1`` (a = eta/gamma); where f > 0 it is
    p0, and the factors are ``1 - a p0`` and ``1 + a p0``. The sign of f is that of |p| - |q|, so both grow alike, which determines
    the fraction theta of time at f < 0; at a = c* the common growth is zero:
    ``theta log|1 + a p1| + (1 - theta) log|1 - a p0| = theta log|1 - a p1| + (1 - theta) log|1 + a p0| = 0``.
    """
    from scipy.optimize import brentq

    def excess_growth(a: float) -> float:
        return float(np.log1p(a * P1) * np.log1p(a * P0) - np.log(abs(1 - a * P0)) * np.log(abs(1 - a * P1)))

    # from below 1/p0, where the factors of p and q may vanish; at small a the product of the two shrinks
    return float(brentq(excess_growth, 1.5, 3.0, xtol=1e-15, rtol=1e-15))


def derive_balance_condition() -> tuple[Any, Any]:
    """Return ``(condition, theta)``: c* is a zero of the first in the letter a; the second is the fraction of time at f < 0.

    Both from eliminating theta between the two equations of `solve_growth_balance`, with the slopes of the loss's own straight sides.
    """
    import sympy

    from toymodels.theory.losses import derive_tail_slopes
    from toymodels.theory.symbols import letters

    a, theta = letters().a, sympy.Symbol("theta")
    down, up = derive_tail_slopes(CrossEntropy())                # -l'(-oo) = p1, l'(oo) = p0
    # solved with letters for the four logarithms, which are substituted last: sympy would try to combine them
    factors = dict(zip(sympy.symbols("A B C D"), (1 + a * down, 1 - a * up, 1 - a * down, 1 + a * up), strict=True))
    p_below, p_above, q_below, q_above = factors
    growth_p, growth_q = theta * p_below + (1 - theta) * p_above, theta * q_below + (1 - theta) * q_above
    (alike,) = sympy.solve(growth_p - growth_q, theta)
    logarithms = {letter: sympy.log(sympy.Abs(factor)) for letter, factor in factors.items()}
    return sympy.factor(growth_p.subs(theta, alike)).subs(logarithms), alike.subs(logarithms)


@cache
def compute_settling_constant(rho: float) -> float:
    """Return the constant of ``G = log(eta/gamma**2)/h_l + const``, about 18.2 at rho = 0.01; NaN where rho is too large for it.

    Over a few steps the kernel is constant: with kappa = eta K the output obeys ``f <- f + kappa r(f)``, whose ergodic
    average ``m(kappa) = <r^2>`` makes the kernel decay as ``d kappa/dt = -(eta/gamma)^2 kappa m(kappa)`` (eq. 22 with
    ``kappa <r^2> = -2 <f r>``, which stationarity of f^2 gives). So ``t = (gamma/eta)^2 Int d log kappa/m`` from
    ``kappa = 2 eta/gamma^2`` at the start, where ``m = h_l = p0 p1``, down to the cycle whose excess is rho, just above 2/h_l.

    Parameters
    ----------
    rho : the excess at the end, in (0, 1).
    """
    start, beyond = sum_chaos()
    end = _solve_cycle_amplitude(rho)
    if not end < start:
        return float("nan")
    return _integrate_along_cycle(end, start) + beyond


def sum_chaos() -> tuple[float, float]:
    """Return the largest amplitude of the stable cycles, and the part of the settling constant from beyond them."""
    start, kappa, above = _integrate_chaos()
    return start, above + float(np.log(2.0) - np.log(kappa)) / CURVATURE


def settling_edge(gamma: np.ndarray, steps: int, rho: float) -> np.ndarray:
    """Return eta_settle: ``gamma sqrt(-W/(2 h_l 0.9 T))`` with ``W = W_-1(-B)``, ``B = 2 h_l 0.9 T gamma^2 exp(-2 h_l const)``.

    The solution of ``0.9 T = (gamma/eta)^2 G``; NaN where it is below ``20 gamma^2`` or above the catapult's end c* gamma.
    """
    from scipy.special import lambertw

    scale = 2 * CURVATURE * TAIL * steps
    b = scale * gamma**2 * np.exp(-2 * CURVATURE * compute_settling_constant(rho))
    with np.errstate(invalid="ignore"):
        w = np.real(lambertw(-np.where(b < np.exp(-1.0), b, np.nan), -1))
        eta = gamma * np.sqrt(-w / scale)
        return np.where((eta > SETTLED * gamma**2) & (eta < solve_growth_balance() * gamma), eta, np.nan)


def upper_edge(gamma: np.ndarray, steps: int, rho: float) -> np.ndarray:
    """Return eta_max of the two-parameter model with cross-entropy: c* gamma when lazy, gamma/h_l when rich, NaN between."""
    return np.where(gamma <= LAZY_END, solve_growth_balance() * gamma, np.where(gamma >= RICH_START, gamma / CURVATURE, np.nan))


def _cycle(delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs at which l' is +delta and -delta, the cycle of ``f <- f + kappa r(f)`` with kappa = (x1 - x2)/delta."""
    return np.log((P1 + delta) / (P0 - delta)), np.log((P1 - delta) / (P0 + delta))


def _solve_cycle_amplitude(rho: float) -> float:
    """Return delta of the cycle whose larger excess is rho: that of its output above 1, where the loss bends less."""
    f = 1 - solve_excess_root(CrossEntropy(), rho, "above")
    return float(CrossEntropy().slope(np.full((), f)))


def _integrate_along_cycle(low: float, high: float) -> float:
    """Return ``Int d log kappa/m`` with ``m = delta^2`` over the cycles from amplitude `low` to `high`."""
    series = 2 / 3 * (P1**-3 + P0**-3) * P0 * P1     # d log kappa/d delta -> series delta: the limit at small delta

    def rate(u: np.ndarray) -> np.ndarray:
        delta = np.exp(u)
        x1, x2 = _cycle(delta)
        bend = 1 / ((P1 + delta) * (P0 - delta)) + 1 / ((P1 - delta) * (P0 + delta))
        return (bend / (x1 - x2) - 1 / delta) / delta

    # below 1e-3 the difference loses its digits and the limit is good to delta^2
    split = min(max(low, 1e-3), high)
    nodes, weights = np.polynomial.legendre.leggauss(40)
    a, b = np.log(split), np.log(high)
    u = 0.5 * (a + b) + 0.5 * (b - a) * nodes
    return float(series * (np.log(split) - np.log(low)) + 0.5 * (b - a) * (weights * rate(u)).sum())


def _exp(x: np.ndarray) -> np.ndarray:
    """Return exp(x) for |x| up to 700 by additions and multiplications alone, whose bits are the same everywhere; error 1e-15."""
    k = np.rint(x * 1.4426950408889634)
    r = (x - k * 0.6931471803691238) - k * 1.9082149292705877e-10      # log(2) in two parts, the first with zeros at its end
    series = np.ones_like(r)
    for n in range(13, 0, -1):
        series = 1 + r * series / n
    return np.ldexp(series, k.astype(np.int64))


@cache
def _integrate_chaos() -> tuple[float, float, float]:
    """Return ``(delta, kappa, Int_kappa^oo (1/m - 1/h_l) d log kappa)``, from where the cycle loses stability upwards.

    The average m comes from running the map, 512 kernels side by side; good to 0.1% of the settling time. It is the same number on
    every machine: the last bits of numpy's exp and log are not, and 4000 chaotic steps make them the fourth digit of the average.
    So what these functions return is rounded before the map runs, and the map's own exponential is `_exp`.
    """
    from scipy.optimize import brentq

    def multiplier(delta: float) -> float:
        x1, x2 = _cycle(np.full((), delta))
        bends = [s * (1 - s) for s in (P1 + delta, P1 - delta)]
        kappa = float((x1 - x2) / delta)
        return float((1 - kappa * bends[0]) * (1 - kappa * bends[1])) + 1

    delta = float(brentq(multiplier, 1e-3, P0 * (1 - 1e-9)))
    x1, x2 = _cycle(np.full((), delta))
    low, slope = round(float(np.log((x1 - x2) / delta)), 10), round(float(P1), 14)
    edges = np.linspace(low, low + round(np.log(300.0), 10), 513)
    kappa = _exp(0.5 * (edges[1:] + edges[:-1]))
    f, total, burn, steps = np.linspace(-1.0, 0.9, 512), np.zeros(512), 200, 4000
    for t in range(burn + steps):
        residual = slope - 1 / (1 + _exp(-np.clip(f, -700.0, 700.0)))
        if t >= burn:
            total += residual * residual
        f = f + kappa * residual
    return delta, float(np.exp(low)), float((steps / total - 1 / CURVATURE).sum() * (edges[1] - edges[0]))


def derive_settling_branch() -> Any:
    """Return the settling line as a `Branch`, by the parameter x = -W of `settling_edge`: ``B = x exp(-x)``.

    The constant of G is the function ``C(rho)``.
    """
    import sympy

    from toymodels.theory.asymptotics import Branch
    from toymodels.theory.landscape import curvature_letter
    from toymodels.theory.symbols import letters

    s = letters()
    h = curvature_letter(CrossEntropy())
    scale = 2 * h * sympy.nsimplify(TAIL) * s.T
    gamma = sympy.sqrt(s.x * sympy.exp(-s.x) / scale) * sympy.exp(h * _settling_constant())
    return Branch(s.x, gamma, gamma * sympy.sqrt(s.x / scale), sympy.oo, None)


def derive_settling_edge() -> Any:
    """Return the settling line in gamma, T and rho, with the branch -1 of Lambert's W."""
    import sympy

    from toymodels.theory.landscape import curvature_letter
    from toymodels.theory.symbols import letters

    s = letters()
    h = curvature_letter(CrossEntropy())
    scale = 2 * h * sympy.nsimplify(TAIL) * s.T
    eta = s.gamma * sympy.sqrt(-sympy.LambertW(-scale * s.gamma**2 * sympy.exp(-2 * h * _settling_constant()), -1) / scale)
    # eta > 20 gamma^2 and eta < c* gamma, solved for gamma: sympy takes the real branch of Lambert's W for a complex number
    time, least, end = sympy.nsimplify(TAIL) * s.T, sympy.nsimplify(SETTLED), growth_balance_number()
    high = sympy.sqrt((sympy.log(least) / h + _settling_constant()) / time) / least
    low = end * sympy.exp(-h * (time * end**2 - _settling_constant()))
    return sympy.Piecewise((eta, sympy.And(s.gamma < high, s.gamma > low)), (sympy.nan, True))


@cache
def growth_balance_number() -> Any:
    """Return c* as a sympy number, like pi: it prints as ``c_star`` and evaluates to any number of digits."""
    import mpmath
    import sympy

    from toymodels.theory.symbols import letters

    condition = sympy.lambdify(letters().a, derive_balance_condition()[0], "mpmath")

    class GrowthBalance(sympy.NumberSymbol):
        is_real = True
        is_positive = True
        is_number = True
        __slots__ = ()

        def _as_mpf_val(self, prec: int) -> Any:
            with mpmath.workprec(prec + 10):
                return mpmath.mpf(mpmath.findroot(condition, mpmath.mpf(2.2)))._mpf_

        def approximation_interval(self, number_cls: Any) -> Any:
            return (sympy.Integer(2), sympy.Integer(3)) if issubclass(number_cls, sympy.Integer) else None

        def _latex(self, printer: Any) -> str:
            return "{c^*}"

        def _sympystr(self, printer: Any) -> str:
            return "c_star"

    return GrowthBalance()


def _settling_constant() -> Any:
    """Return the constant of G as a sympy function of rho."""
    from toymodels.theory.symbols import letters, make_numeric_function

    return make_numeric_function("C", "C", compute_settling_constant)(letters().rho)
