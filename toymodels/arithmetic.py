"""Scalar functions that LLVM can vectorise: fma, exp, expm1 and sigmoid, compiled by numba.

A call of ``math.exp`` prevents the vectorisation of its loop, and the SVML library does not load from the wheels. So exp is a polynomial
times a power of two that is set bit by bit (relative error below 1e-15). fma is explicit and fastmath is off: non-finite numbers are
kept, and scalar and vector code give the same bits.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def _bits(typing_context: Any, x: Any) -> Any:
    """Return the 64 bits of a float as an integer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _float(typing_context: Any, x: Any) -> Any:
    """Return the float whose bits are this integer."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.int64), generate


@intrinsic
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return ``a*b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double = ir.DoubleType()
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(double, [double] * 3), "llvm.fma.f64")
        return builder.call(function, args)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def copysign(typing_context: Any, size: Any, sign: Any) -> Any:
    """Return the first number's size with the sign of the second."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        double = ir.DoubleType()
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(double, [double] * 2), "llvm.copysign.f64")
        return builder.call(function, args)

    return types.float64(types.float64, types.float64), generate


# e^r on |r| <= log(2)/2: the minimax polynomial of degree 10, constant term first.
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10 = (
    1.0, 1.0000000000000067, 0.5000000000000006, 0.16666666666554314, 0.041666666666573066, 0.008333333385699212,
    0.001388888893251478, 0.00019841170230570286, 2.480150431378554e-05, 2.764019739169484e-06, 2.7626371065696354e-07)
_SHIFT = 6755399441055744.0            # 1.5 * 2**52: adding it rounds to an integer, in the low bits
_LOG2E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 0.6931471805599453, 2.3190468138462996e-17


@njit(forceinline=True)
def _reduce(x):
    """Return n, in the low bits of a float, and r of ``e**x = 2**n e**r`` with |r| <= log(2)/2; x is clamped to [-708, 709]."""
    x = -708.0 if x < -708.0 else x
    x = 709.0 if x > 709.0 else x
    shifted = fma(x, _LOG2E, _SHIFT)
    n = shifted - _SHIFT
    return shifted, fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))


@njit(forceinline=True)
def exp(x):
    """Return ``e**x``, clamped to the normal range (x in [-708, 709]); NaN passes through."""
    shifted, r = _reduce(x)
    r2 = r * r
    a = fma(fma(_C3, r, _C2), r2, fma(_C1, r, _C0))
    b = fma(fma(_C7, r, _C6), r2, fma(_C5, r, _C4))
    c = fma(_C10, r2, fma(_C9, r, _C8))
    p = fma(fma(c, r2 * r2, b), r2 * r2, a)
    return _float(_bits(p) + (_bits(shifted) << 52))


_D = tuple(1.0 / math.factorial(n) for n in range(14))
_D2, _D3, _D4, _D5, _D6, _D7, _D8, _D9, _D10, _D11, _D12, _D13 = _D[2:]


@njit(forceinline=True)
def expm1(x):
    """Return ``e**x - 1`` to full relative accuracy at small x, clamped to x in [-708, 709]; NaN passes through."""
    shifted, r = _reduce(x)
    r2 = r * r
    r4 = r2 * r2
    a = fma(fma(_D5, r, _D4), r2, fma(_D3, r, _D2))
    b = fma(fma(_D9, r, _D8), r2, fma(_D7, r, _D6))
    c = fma(fma(_D13, r, _D12), r2, fma(_D11, r, _D10))
    p = fma(r2, fma(fma(c, r4, b), r4, a), r)          # e^r - 1
    # half of 2^n, which overflows at n = 1024
    half = _float(_bits(0.5) + (_bits(shifted) << 52))
    return 2.0 * fma(half, p, half - 0.5)


@njit(forceinline=True)
def sigmoid(x):
    """Return ``1/(1 + e**-x)``."""
    return 1.0 / (1.0 + exp(-x))
