"""Propagate differences from the start through an expression: f(theta) - f(start) as a formula without cancellation.

As the networks' centred pairs do, each operation maps the pair (value at the start, difference) of its arguments to that of its result:
``a b - a0 b0 = a0 db + da b``, ``e^a - e^a0 = e^a0 expm1(da)``, and so on. What has no rule is subtracted as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mpmath
import sympy

HALF = sympy.Rational(1, 2)


class expm1(sympy.Function):
    """``e**x - 1``."""

    nargs = 1


class log1p(sympy.Function):
    """``log(1 + x)``."""

    nargs = 1


class sigmoid(sympy.Function):
    """``1/(1 + e**-x)``."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        """Return the derivative, without cancellation."""
        return sigmoid(self.args[0]) * sigmoid(-self.args[0])


class softplus(sympy.Function):
    """``log(1 + e**x)``."""

    nargs = 1

    def fdiff(self, argindex: int = 1) -> Any:
        """Return the derivative."""
        return sigmoid(self.args[0])


HUGE = 1000      # bits of an argument beyond which mpmath would spend minutes on the digits of its exponential or sine


def _guard(function: Callable[[Any], Any], low: Any, high: Any) -> Callable[[Any], Any]:
    """Return the function of real numbers with its limits, or NaN where it has none, for arguments beyond all floats."""
    def evaluate(x: Any) -> Any:
        x = mpmath.mpmathify(x)
        if isinstance(x, mpmath.mpc) or mpmath.mag(x) < HUGE or not mpmath.isfinite(x):
            return function(x)
        return mpmath.mpf(high if x > 0 else low)

    return evaluate


_exp = _guard(mpmath.exp, 0, "inf")
MPMATH = {"exp": _exp, "sinh": _guard(mpmath.sinh, "-inf", "inf"), "cosh": _guard(mpmath.cosh, "inf", "inf"),
          "sin": _guard(mpmath.sin, "nan", "nan"), "cos": _guard(mpmath.cos, "nan", "nan"), "expm1": _guard(mpmath.expm1, -1, "inf"),
          "log1p": lambda x: mpmath.log1p(x), "sigmoid": lambda x: 1 / (1 + _exp(-x)), "softplus": lambda x: mpmath.log1p(_exp(x))}


def evaluate_exactly(arguments: Any, expressions: Any) -> Callable[..., Any]:
    """Return a function of mpmath's numbers, in mpmath's precision."""
    return sympy.lambdify(arguments, expressions, modules=[MPMATH, "mpmath"])      # type: ignore[no-any-return]


def rewrite_exponentials(expression: Any) -> Any:
    """Return the expression with sums of exponentials as sigmoid and softplus, which do not overflow, and extremes as cases."""
    if not expression.args:
        return expression
    e = expression.func(*map(rewrite_exponentials, expression.args))
    if isinstance(e, sympy.log):
        inner = e.args[0]
        if isinstance(inner, sympy.cosh):
            return softplus(2 * inner.args[0]) - inner.args[0] - sympy.log(2)
        exponents = _exponents(inner)
        return e if exponents is None else _log_sum(exponents)
    if isinstance(e, sympy.Pow) and e.exp.is_Integer and e.exp < 0:
        exponents = _exponents(e.base)
        if exponents is not None:
            first = exponents[0]
            return rewrite_exponentials((sympy.exp(-first) * sigmoid(first - _log_sum(exponents[1:]))) ** -e.exp)
    if isinstance(e, sympy.Mul):
        return _merge_sigmoids(e)
    if isinstance(e, sympy.Max | sympy.Min):
        first, *rest = e.args
        other = rest[0] if len(rest) == 1 else rewrite_exponentials(e.func(*rest))
        return sympy.Piecewise((first, first >= other if isinstance(e, sympy.Max) else first <= other), (other, True))
    return e


def _exponents(e: Any) -> list[Any] | None:
    """Return u_i if the expression is a sum of several ``e**u_i`` with positive factors, else None."""
    if not isinstance(e, sympy.Add) or not any(isinstance(f, sympy.exp) for t in e.args for f in sympy.Mul.make_args(t)):
        return None
    found = []
    for term in e.args:
        factors = sympy.Mul.make_args(term)
        numbers = [f for f in factors if not isinstance(f, sympy.exp)]
        if not all(f.is_number and f.is_positive for f in numbers):
            return None
        found.append(sum((f.args[0] for f in factors if isinstance(f, sympy.exp)), sympy.log(sympy.Mul(*numbers))))
    return sorted(found, key=lambda u: (u.is_number, sympy.default_sort_key(u)))


def _log_sum(exponents: list[Any]) -> Any:
    """Return ``log(e**u_1 + e**u_2 + ...)``."""
    first, *rest = exponents
    return first + softplus(_log_sum(rest) - first) if rest else first


def _merge_sigmoids(product: Any) -> Any:
    """Return the product with ``e**-x sigmoid(x)`` as sigmoid(-x)."""
    factors = list(product.args)
    for s in [f for f in factors if isinstance(f, sigmoid)]:
        for x in [f for f in factors if isinstance(f, sympy.exp)]:
            if sympy.expand(x.args[0] + s.args[0]) == 0:
                factors.remove(s)
                factors.remove(x)
                factors.append(sigmoid(-s.args[0]))
                break
    return sympy.Mul(*factors)


def differentiate(expression: Any, symbol: Any) -> Any:
    """Return the derivative; at a kink, that of sign(0) = 0."""
    found = sympy.diff(expression, symbol)
    found = found.replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
    if found.has(sympy.tanh):      # 1 - tanh^2 without cancellation
        u = sympy.Wild("u")
        found = found.replace(1 - sympy.tanh(u) ** 2, 4 * sigmoid(2 * u) * sigmoid(-2 * u))
    return _merge_products(found)


def _merge_products(e: Any) -> Any:
    if not e.args:
        return e
    e = e.func(*map(_merge_products, e.args))
    return _merge_sigmoids(e) if isinstance(e, sympy.Mul) else e


class Differences:
    """The differences of expressions in parameters that start at given values.

    Parameters
    ----------
    start : parameter -> its value at the start.
    moved : parameter -> its value, the start plus the symbol of its difference.
    fixed : name of a constant -> number; a value at the start is zero if it is so at these and at several gammas.
    """

    def __init__(self, start: Mapping[Any, Any], moved: Mapping[Any, Any], fixed: Mapping[str, Any] | None = None) -> None:
        self.start, self.moved = dict(start), dict(moved)
        self.fixed = {sympy.Symbol(k, real=True): v for k, v in (fixed or {}).items()}
        self._found: dict[Any, Any] = {}

    def at_start(self, e: Any) -> Any:
        """Return the value at the start: 0 where it is."""
        value = e.xreplace(self.start)
        return sympy.Integer(0) if self._vanishes(value) else value

    def value(self, e: Any) -> Any:
        """Return the value in the differences of the parameters; the difference itself where the start's value is 0."""
        return self.difference(e) if e.has(*self.start) and self.at_start(e) == 0 else e.xreplace(self.moved)

    def difference(self, e: Any) -> Any:
        """Return the value less that at the start."""
        if e not in self._found:
            self._found[e] = self._propagate(e) if e.has(*self.start) else sympy.Integer(0)
        return self._found[e]

    def _propagate(self, e: Any) -> Any:
        if e in self.start:
            return sympy.expand(self.moved[e] - self.start[e])
        if isinstance(e, sympy.Add):
            return sympy.Add(*map(self.difference, e.args))
        if isinstance(e, sympy.Mul):
            fixed, varying = e.as_independent(*self.start, as_Add=False)
            if any(self.at_start(a) == 0 for a in sympy.Mul.make_args(varying)):
                return fixed * sympy.Mul(*map(self.value, sympy.Mul.make_args(varying)))
            first, *rest = sympy.Mul.make_args(varying)
            if not rest:
                return fixed * self.difference(first)
            other = sympy.Mul(*rest)
            return fixed * (self.at_start(first) * self.difference(other) + self.difference(first) * self.value(other))
        if isinstance(e, sympy.Pow) and e.exp.is_Rational:
            return self._power(e.base, e.exp)
        if isinstance(e, sympy.Pow) and not e.exp.has(*self.start):
            return self._real_power(e.base, e.exp)
        if isinstance(e, sympy.Piecewise):
            return self._cases(e)
        rule = RULES.get(type(e))
        if rule is None:
            return e.xreplace(self.moved) - self.at_start(e)
        a = e.args[0]
        return rule(self.at_start(a), self.difference(a), self.value(a))

    def _power(self, base: Any, power: Any) -> Any:
        a0, a, da = self.at_start(base), self.value(base), self.difference(base)
        if power < 0:
            return -self.difference(base**-power) / (a**-power * a0**-power)
        if power.is_Integer:
            return da * _quotient(a0, a, int(power))
        if power.q == 2:
            roots = sympy.sqrt(a0), sympy.sqrt(a)
            return da / (roots[0] + roots[1]) * _quotient(*roots, int(power.p))
        return self._real_power(base, power)

    def _real_power(self, base: Any, power: Any) -> Any:
        a0, a, da = self.at_start(base), self.value(base), self.difference(base)
        return a**power if a0 == 0 else a0**power * expm1(power * log1p(da / a0))

    def _cases(self, e: Any) -> Any:
        """Return the difference of a piecewise expression: that of the case of the start, which the others follow."""
        first = next((value for value, condition in e.args if self._holds(condition)), None)
        if first is None:
            return e.xreplace(self.moved) - self.at_start(e)
        begin = self.at_start(first)
        return sympy.Piecewise(*((self.difference(value) + (0 if value == first else self.at_start(value) - begin),
                                  condition.xreplace(self.moved)) for value, condition in e.args))

    def _holds(self, condition: Any) -> bool:
        begin = condition.xreplace(self.start)
        if isinstance(begin, sympy.logic.boolalg.BooleanAtom):
            return bool(begin)
        return bool(begin.subs(self.fixed).subs({s: 1 for s in begin.free_symbols}))

    def _vanishes(self, value: Any) -> bool:
        if value.is_number and not value.free_symbols:
            return bool(value == 0 or (not value.is_Rational and abs(value.evalf(40, maxn=200)) < 1e-35))
        symbols = sorted(value.free_symbols, key=str)
        if value.is_Symbol or value.is_Pow or len(symbols) > 1 + len(self.fixed):
            return False
        evaluate = evaluate_exactly(symbols, value)
        with mpmath.workdps(60):
            try:
                return all(abs(evaluate(*(self.fixed.get(s, mpmath.mpf(g)) for s in symbols))) < 1e-45 for g in ("0.013", "0.7", "12.3"))
            except (ZeroDivisionError, ValueError, OverflowError, TypeError):
                return False


def _quotient(a0: Any, a: Any, n: int) -> Any:
    """Return ``(a**n - a0**n)/(a - a0)``, by Horner's scheme."""
    if n > 12:
        half = n // 2
        return _quotient(a0, a, half) * a ** (n - half) + a0**half * _quotient(a0, a, n - half)
    total = sympy.Integer(1)
    for i in range(1, n):
        total = total * a + a0**i
    return total


def _softplus(a0: Any, da: Any, a: Any) -> Any:
    return sympy.Piecewise((da + log1p(sigmoid(-a0) * expm1(-da)), da > 0), (log1p(sigmoid(a0) * expm1(da)), True))


def _absolute(a0: Any, da: Any, a: Any) -> Any:
    if a0 == 0:
        return sympy.Abs(a)
    sign = sympy.Piecewise((1, a0 > 0), (-1, True)) if not a0.is_number else sympy.sign(a0)
    return sympy.Piecewise((sign * da, sign * a >= 0), (-sign * (a + a0), True))


RULES: dict[type, Callable[[Any, Any, Any], Any]] = {
    sympy.exp: lambda a0, da, a: sympy.exp(a0) * expm1(da),
    sympy.log: lambda a0, da, a: log1p(da / a0),
    sympy.sin: lambda a0, da, a: 2 * sympy.cos(a0 + da / 2) * sympy.sin(da / 2),
    sympy.cos: lambda a0, da, a: -2 * sympy.sin(a0 + da / 2) * sympy.sin(da / 2),
    sympy.sinh: lambda a0, da, a: 2 * sympy.cosh(a0 + da / 2) * sympy.sinh(da / 2),
    sympy.cosh: lambda a0, da, a: 2 * sympy.sinh(a0 + da / 2) * sympy.sinh(da / 2),
    sympy.tanh: lambda a0, da, a: sympy.tanh(da) * (1 - sympy.tanh(a) * sympy.tanh(a0)),
    sigmoid: lambda a0, da, a: sigmoid(-a0) * (sigmoid(a0) * expm1(da) / (1 + sigmoid(a0) * expm1(da))),
    softplus: _softplus,
    sympy.Abs: _absolute,
}
