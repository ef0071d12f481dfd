"""Passes over the numbers of matrices: units, residuals, masks and the steps of optimizers, vector by vector."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from deepnets.fused.vectors import (
    ADDRESS,
    I32,
    I64,
    NUMBER,
    VECTOR,
    WHOLE,
    V,
    call,
    call_own,
    constant,
    fma,
    load,
    locate,
    pick,
    splat,
    whole,
)

ZERO = constant(0)
# rational functions in x**2, highest coefficient first: the numerators over x, and the denominators
TANH_ABOVE = (-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
              6.37261928875436e-04, 4.89352455891786e-03)
TANH_BELOW = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
ERF_ABOVE = (-2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
             -2.95459980854025e-03, -1.60960333262415e-02)
ERF_BELOW = (-1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03, -1.42647390514189e-02)
GAUSS = tuple(((1 + sign * root) / 2, weight / 2) for root, weight in ((0.33998104358485626, 0.6521451548625461),
                                                                      (0.8611363115940526, 0.34785484513745385)) for sign in (-1, 1))


def _make_pass(count: int, scalars: int, expression: Callable[[Any, list[Any], list[Any]], dict[int, Any]]) -> Any:
    """Return a pass over the vectors of `count` matrices, rows x columns each, columns padded up to whole vectors.

    It stores what ``expression(builder, loaded vectors, scalars)`` gives: new vectors by the index of their matrix.
    """
    def write(B: Any, *arguments: Any) -> None:
        addresses, leads, (rows, columns) = arguments[:count], arguments[count:2 * count], arguments[2 * count:2 * count + 2]
        scale = [splat(B, s) for s in arguments[2 * count + 2:]]
        vectors = B.ashr(B.add(columns, I64(V - 1)), I64(4))
        # rows that lie one behind the other are one long row
        dense = functools.reduce(B.and_, [B.icmp_signed("==", lead, B.shl(vectors, I64(4))) for lead in leads])
        vectors, rows = B.select(dense, B.mul(rows, vectors), vectors), B.select(dense, I64(1), rows)
        with cgutils.for_range(B, rows) as r, cgutils.for_range(B, vectors) as v:
            at = [B.add(B.mul(r.index, lead), B.shl(v.index, I64(4))) for lead in leads]
            loaded = [load(B, address, i) for address, i in zip(addresses, at, strict=True)]
            for n, value in expression(B, loaded, scale).items():
                B.store(value, locate(B, addresses[n], at[n]), align=4)

    @intrinsic
    def run_pass(typing: Any, addresses: Any, leads: Any, rows: Any, columns: Any, numbers: Any) -> Any:
        def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
            addresses, leads, rows, columns, numbers = arguments
            flat = [B.extract_value(several, n) for several in (addresses, leads) for n in range(count)] + [rows, columns]
            call_own(expression.__name__, flat + [B.extract_value(numbers, n) for n in range(scalars)], B, write)
            return context.get_dummy_value()
        several = types.UniTuple(ADDRESS, count)
        return types.void(several, several, ADDRESS, ADDRESS, types.UniTuple(NUMBER, scalars)), generate
    return run_pass


def _rectify_pair(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(d, z_0, _), (gamma, 1/gamma, m) -> ReLU's difference, _, m times its moved value.

    As `deepnets.centered.rules_nn.relu`: on, d + min(r, 0); off, -max(r, 0), with r = z_0/gamma; that is the larger of the two.
    """
    d, z = p[:2]
    gamma, inverse, m = s
    r = B.fmul(z, inverse)
    below = B.fadd(d, pick(B, r, "<", ZERO, r, ZERO))
    floor = B.fsub(ZERO, pick(B, r, ">", ZERO, r, ZERO))
    off = B.fcmp_ordered("<=", below, floor)      # what is not a number stays on, and so stays
    return {0: B.select(off, floor, below), 2: B.select(off, ZERO, B.fmul(m, fma(B, gamma, d, z)))}


def _keep_pair(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(d, z_0, _), (gamma, 1/gamma, m) -> d, _, m times the moved value, of a linear unit."""
    return {2: B.fmul(s[2], fma(B, s[0], p[0], p[1]))}


def _rectify(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, z), (m,) -> m ReLU(z)."""
    return {0: B.fmul(s[0], pick(B, p[1], "<=", ZERO, ZERO, p[1]))}


def _scale(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, z), (m,) -> m z."""
    return {0: B.fmul(s[0], p[1])}


def _mask(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(slope, activation) -> the slope where the activation is not 0."""
    return {0: pick(B, p[1], "==", ZERO, ZERO, p[0])}


def _exponentiate(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(x,), x <= 0 -> e**x, to 1e-7; below -87 as at -87."""
    return {0: _exp(B, p[0])}


def _exp(B: Any, x: Any) -> Any:
    """Return e**x of x <= 0, to 1e-7; below -87 as at -87."""
    x = pick(B, x, "<", constant(-87), constant(-87), x)
    n = call(B, "rint", B.fmul(x, constant(1.44269504)))
    r = fma(B, n, constant(2.12194440e-4), fma(B, n, constant(-0.693359375), x))
    e = constant(1.9875691500e-4)
    for c in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5, 1, 1):
        e = fma(B, e, r, constant(c))
    finite = pick(B, n, "ord", n, n, ZERO)
    power = B.shl(B.add(B.fptosi(finite, WHOLE), whole(127)), ir.Constant(WHOLE, [I32(23)] * V))
    return B.fmul(e, B.bitcast(power, VECTOR))


def _evaluate(B: Any, x: Any, coefficients: Sequence[float]) -> Any:
    """Return a polynomial, its highest coefficient first."""
    value = constant(coefficients[0])
    for c in coefficients[1:]:
        value = fma(B, value, x, constant(c))
    return value


def _divide_odd(B: Any, x: Any, limit: float, above: Sequence[float], below: Sequence[float]) -> Any:
    """Return x times the quotient of two polynomials in x**2, beyond the limit as at it."""
    x = pick(B, x, ">", constant(limit), constant(limit), pick(B, x, "<", constant(-limit), constant(-limit), x))
    square = B.fmul(x, x)
    return B.fdiv(B.fmul(x, _evaluate(B, square, above)), _evaluate(B, square, below))


def _tanh(B: Any, x: Any) -> Any:
    """Return tanh(x), to a few units of the last digit also where x is small; the rational function is Eigen's."""
    return _divide_odd(B, x, 7.90531110763549805, TANH_ABOVE, TANH_BELOW)


def _cumulate(B: Any, x: Any) -> Any:
    """Return the normal distribution function, to 2e-7; the rational function of erf is Eigen's."""
    return fma(B, constant(0.5), _divide_odd(B, B.fmul(x, constant(0.5**0.5)), 4.0, ERF_ABOVE, ERF_BELOW), constant(0.5))


def _density(B: Any, x: Any) -> Any:
    """Return the normal density."""
    return B.fmul(constant((2 * math.pi) ** -0.5), _exp(B, B.fmul(constant(-0.5), B.fmul(x, x))))


def _bend_pair(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(d, z_0, _, _), (gamma, 1/gamma, m) -> tanh's difference, _, m times its moved value, its slope there.

    ``tanh(a) - tanh(b) = tanh(a - b) (1 - tanh(a) tanh(b))`` has no cancellation where a - b is small.
    """
    d, z = p[:2]
    gamma, inverse, m = s
    moved, change = _tanh(B, fma(B, gamma, d, z)), B.fmul(gamma, d)
    small = pick(B, call(B, "fabs", change), "<", constant(4e-4), d, B.fmul(_tanh(B, change), inverse))
    rest = fma(B, B.fsub(ZERO, moved), _tanh(B, z), constant(1))
    return {0: B.fmul(small, rest), 2: B.fmul(m, moved), 3: fma(B, B.fsub(ZERO, moved), moved, constant(1))}


def _bend(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, z), (m,) -> m tanh(z)."""
    return {0: B.fmul(s[0], _tanh(B, p[1]))}


def _gate_pair(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(d, z_0, _, _), (gamma, 1/gamma, m) -> GELU's difference, _, m times its moved value, its slope there.

    ``a P(a) - b P(b) = (a - b) P(a) + b (P(a) - P(b))``, P the normal distribution function. Where ``|a - b| < 1`` the last difference is
    the integral of the density, by four nodes of Gauss and Legendre (error below 1e-7).
    """
    d, z = p[:2]
    gamma, inverse, m = s
    change, moved = B.fmul(gamma, d), fma(B, gamma, d, z)
    share = _cumulate(B, moved)
    mean = ZERO
    for node, weight in GAUSS:
        mean = fma(B, constant(weight), _density(B, fma(B, constant(node), change, z)), mean)
    far = B.fmul(B.fsub(share, _cumulate(B, z)), inverse)
    between = pick(B, call(B, "fabs", change), "<", constant(1), B.fmul(d, mean), far)
    return {0: fma(B, d, share, B.fmul(z, between)), 2: B.fmul(m, B.fmul(moved, share)), 3: fma(B, moved, _density(B, moved), share)}


def _gate(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, z), (m,) -> m GELU(z)."""
    return {0: B.fmul(s[0], B.fmul(p[1], _cumulate(B, p[1])))}


def _scale_by(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, x, y), (c,) -> c x y."""
    return {0: B.fmul(s[0], B.fmul(p[1], p[2]))}


def _combine(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, w_0, u), (c,) -> w_0 + c u."""
    return {0: fma(B, s[0], p[2], p[1])}


def _decay(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, w_0), (keep, c) -> keep u - c w_0."""
    return {0: B.fsub(B.fmul(p[0], s[0]), B.fmul(s[1], p[1]))}


def _sign(B: Any, x: Any) -> Any:
    """Return the sign; of 0 it is 0, and what is not a number stays."""
    return pick(B, x, ">", ZERO, constant(1), pick(B, x, "<", ZERO, constant(-1), B.fmul(x, ZERO)))


def _step(B: Any, u: Any, rate: Any, direction: Any) -> Any:
    return B.fsub(u, B.fmul(rate, direction))


def _step_sign(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, g), (rate,)."""
    return {0: _step(B, p[0], s[0], _sign(B, p[1]))}


def _step_momentum(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, g, m), (rate, beta): ``m <- beta m + g``."""
    m = fma(B, s[1], p[2], p[1])
    return {0: _step(B, p[0], s[0], m), 2: m}


def _step_nesterov(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, g, m), (rate, beta): along ``g + beta m``."""
    m = fma(B, s[1], p[2], p[1])
    return {0: _step(B, p[0], s[0], fma(B, s[1], m, p[1])), 2: m}


def _step_adam(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, g, first, second), (rate, 1 - beta1, beta2, 1 - beta2, 1/(1 - beta1**t), 1/(1 - beta2**t), epsilon)."""
    u, g, first, second = p
    rate, new1, old2, new2, correct1, correct2, epsilon = s
    first = fma(B, new1, B.fsub(g, first), first)
    second = fma(B, B.fmul(new2, g), g, B.fmul(old2, second))
    root = B.fadd(call(B, "sqrt", B.fmul(second, correct2)), epsilon)
    # 0/0, with epsilon 0, counts as 0
    quotient = pick(B, root, "==", ZERO, ZERO, B.fdiv(B.fmul(first, correct1), root))
    return {0: _step(B, u, rate, quotient), 2: first, 3: second}


def _step_lion(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(u, g, m), (rate, 1 - beta1, 1 - beta2)."""
    u, g, m = p
    change = B.fsub(g, m)
    return {0: _step(B, u, s[0], _sign(B, fma(B, s[1], change, m))), 2: fma(B, s[2], change, m)}


def _copy(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, x), (_,) -> x."""
    return {0: p[1]}


def _clear(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_,), (_,) -> 0, whatever was there."""
    return {0: ZERO}


def _add(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(y, x), (_,) -> y + x."""
    return {0: B.fadd(p[0], p[1])}


def _average(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, a, b, c, d), (1/4,) -> their mean."""
    return {0: B.fmul(s[0], B.fadd(B.fadd(p[1], p[2]), B.fadd(p[3], p[4])))}


def _scale_on(B: Any, p: list[Any], s: list[Any]) -> dict[int, Any]:
    """(_, slope, activation), (c,) -> c times the slope where the activation is not 0."""
    return {0: pick(B, p[2], "==", ZERO, ZERO, B.fmul(s[0], p[1]))}


bend_pairs, gate_pairs = _make_pass(4, 3, _bend_pair), _make_pass(4, 3, _gate_pair)
bend, gate, scale_by = _make_pass(2, 1, _bend), _make_pass(2, 1, _gate), _make_pass(3, 1, _scale_by)
rectify_pairs, keep_pairs = _make_pass(3, 3, _rectify_pair), _make_pass(3, 3, _keep_pair)
rectify, scale, mask = _make_pass(2, 1, _rectify), _make_pass(2, 1, _scale), _make_pass(2, 1, _mask)
exponentiate, combine, decay = _make_pass(1, 1, _exponentiate), _make_pass(3, 1, _combine), _make_pass(2, 2, _decay)
step_sign, step_momentum, step_nesterov = _make_pass(2, 1, _step_sign), _make_pass(3, 2, _step_momentum), _make_pass(3, 2, _step_nesterov)
copy, clear, add_to = _make_pass(2, 1, _copy), _make_pass(1, 1, _clear), _make_pass(2, 1, _add)
average_four, scale_on = _make_pass(5, 1, _average), _make_pass(3, 1, _scale_on)
step_adam, step_lion = _make_pass(4, 7, _step_adam), _make_pass(3, 3, _step_lion)


def _write_residuals(B: Any, f: Any, y: Any, sums: Any, ld: Any, rows: Any, by: Any) -> None:
    by = splat(B, by)
    total = cgutils.alloca_once(B, VECTOR)
    with cgutils.for_range_slice(B, I64(0), ld, I64(V), inc=True) as (column, _):
        B.store(ZERO, total)
        with cgutils.for_range(B, rows) as r:
            at = B.add(B.mul(r.index, ld), column)
            residual = B.fsub(load(B, f, at), load(B, y, at))
            B.store(B.fmul(residual, by), locate(B, f, at), align=4)
            B.store(fma(B, residual, residual, B.load(total)), total)
        B.store(B.load(total), locate(B, sums, column), align=4)


@intrinsic
def subtract(typing: Any, f: Any, y: Any, sums: Any, ld: Any, rows: Any, by: Any) -> Any:
    """``f <- by (f - y)``, of rows x ld numbers, and the sums of (f - y)**2 over rows."""
    def generate(context: Any, B: Any, signature: Any, arguments: Any) -> Any:
        call_own("subtract", arguments, B, _write_residuals)
        return context.get_dummy_value()
    return types.void(*[ADDRESS] * 5, NUMBER), generate
