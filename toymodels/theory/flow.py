"""Derive gradient flow in sympy: the time to learn as an integral over f, its limits, the escape from the saddle.

`flow_time.py` evaluates the same integrals.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import OneParameter, TwoParameter
from toymodels.theory.asymptotics import Branch
from toymodels.theory.landscape import derive_kernel_two, output_one
from toymodels.theory.losses import derive_slope, residual_at_start
from toymodels.theory.symbols import letters


def derive_kernel_along_flow(model: Any, f: Any) -> Any:
    """Return K as a function of the output along gradient flow's path, as sympy.

    One parameter: ``(L/gamma)**2 (1 + gamma f)**(2 - 2/L)``, for w is a function of f; two: `landscape.derive_kernel_two`.
    """
    import sympy

    if isinstance(model, TwoParameter):
        return derive_kernel_two(f)
    s = letters()
    depth = model if not isinstance(model, OneParameter) else model.depth
    speed = sympy.diff(output_one(depth, s.w, s.gamma), s.w)
    weight = (1 + s.gamma * f) ** (1 / sympy.sympify(depth))          # w**L = 1 + gamma f
    return sympy.powsimp(sympy.powdenest((speed**2).subs(s.w, weight), force=True))


def derive_time_integral(model: Any, loss: Any = None) -> Any:
    """Return ``S = eta T = Int_0^f1 df/(K(f) r(f))`` as a sympy Integral; for ``df/dt = eta K r``.

    ``r = -l'(f)``, or left as r where `loss` is None.
    """
    import sympy

    s = letters()
    x = sympy.Symbol("f", nonnegative=True)
    residual = sympy.Function("r")(x) if loss is None else -derive_slope(loss, x)
    return sympy.Integral(1 / (derive_kernel_along_flow(model, x) * residual), (x, 0, s.f1))


@cache
def derive_time(model: Any, loss: Any) -> Any:
    """Return S as a sympy expression in gamma and f1: closed for MSE, the integral for every other loss."""
    import sympy

    s = letters()
    if not isinstance(loss, MSE):
        return derive_time_integral(model, loss)
    gamma, f1 = s.gamma, s.f1
    if isinstance(model, TwoParameter):
        c = sympy.sqrt(1 + gamma**2)
        end = c * sympy.sqrt(1 + gamma**2 * f1**2) + 1 + gamma**2 * f1
        return gamma**2 / (2 * c) * sympy.log(end / ((1 - f1) * (1 + c)))
    depth = model.depth
    if depth == 1:
        return -(gamma**2) * sympy.log(1 - f1)
    if depth == 2:
        return gamma**2 / (4 * (1 + gamma)) * sympy.log((1 + gamma * f1) / (1 - f1))

    def antiderivative(z: Any) -> Any:
        """Return the integral over x of ``x**(1-L)/(1 - x**L)``, at ``x**L = z``."""
        c = sympy.Rational(2, depth)
        hyper = sympy.hyper((1, c), (1 + c,), z)
        return z ** (c - 1) / (2 - depth) + z**c / 2 * hyper

    scale = gamma**2 / (depth * (1 + gamma) ** (2 - sympy.Rational(2, depth)))
    return scale * (antiderivative((1 + gamma * f1) / (1 + gamma)) - antiderivative(1 / (1 + gamma)))


@cache
def derive_time_limits(model: Any, loss: Any) -> tuple[Branch, Branch]:
    """Return the branches (lazy, rich) that S tends to.

    Lazy: the kernel is ``K(0)`` throughout, and the limit commutes with the integral. Rich: with ``g = gamma f`` most of the time passes
    at g of order one, where the residual is still ``r(0)``, and the limit commutes again: ``S -> (1/r0)`` times the integral of
    ``1/(gamma K)`` over g from 0 to ``gamma f1``, which converges for L >= 3 and leaves a logarithm for L = 2. At L = 1 the kernel is
    constant and the first form is exact.
    """
    import sympy

    s = letters()
    gamma, f1 = s.gamma, s.f1
    x = sympy.Symbol("f", nonnegative=True)
    kernel = derive_kernel_along_flow(model, x)
    lazy_kernel = kernel.subs(x, 0)
    lazy = Branch(gamma, gamma, (derive_linear_time(loss) if isinstance(loss, MSE) else s.S0) / lazy_kernel, sympy.Integer(0), None)
    if sympy.diff(kernel, x) == 0:
        return lazy, Branch(gamma, gamma, lazy.eta, None, sympy.oo)
    residual = residual_at_start(loss) if isinstance(loss, MSE) else s.r0
    g = sympy.Symbol("g", nonnegative=True)
    integrand = 1 / (gamma * kernel.subs(x, g / gamma))      # a power of gamma times a function of g
    if isinstance(model, OneParameter):
        # sympy needs assumptions to integrate (1 + g)^(2/L - 2); in v = 1 + g it is a plain power
        v = sympy.Symbol("v", positive=True)
        integral = sympy.integrate(sympy.expand_power_base(integrand.subs(g, v - 1)), (v, 1, 1 + gamma * f1))
    else:
        integral = sympy.integrate(integrand, (g, 0, gamma * f1))
    return lazy, Branch(gamma, gamma, sympy.factor_terms(integral / residual), None, sympy.oo)


@cache
def derive_linear_time(loss: Any) -> Any:
    """Return ``Int_0^f1 df/r(f)``, the time in units of 1/K when the kernel is constant, closed where sympy has it."""
    import sympy

    s = letters()
    x = sympy.Symbol("f", nonnegative=True)
    residual = -derive_slope(loss, x)
    if isinstance(loss, MSE):
        return -sympy.log(1 - s.f1)
    if isinstance(loss, CrossEntropy):
        # rational in y = e^f: 1/(y r) = (1/p1) [1/y + 1/(p1 - p0 y)]
        y = sympy.Symbol("y", positive=True)
        p0 = 1 / (1 + sympy.E)
        p1 = 1 - p0
        rest = sympy.cancel(sympy.together(1 / residual.subs(x, sympy.log(y)) / y - (1 / y + 1 / (p1 - p0 * y)) / p1))
        if rest != 0:
            raise ArithmeticError("the partial fractions of the cross-entropy's residual are wrong")
        return (s.f1 - sympy.log((p1 - p0 * sympy.exp(s.f1)) / (p1 - p0)) / p0) / p1
    return sympy.Integral(1 / residual, (x, 0, s.f1))


def derive_escape(depth: Any) -> Any:
    """Return w(t) while the residual still has its initial value 1: the corrected equation 8, as sympy in a and t, with w(0) = 1.

    ``w' = eta (L/gamma) w**(L-1)``: ``exp(L a t)`` for L = 2, ``(1 - L(L-2) a t)**(-1/(L-2))`` for L >= 3, ``a = eta/gamma``.
    """
    import sympy

    s = letters()
    time = sympy.integrate(s.x ** (1 - sympy.sympify(depth)), (s.x, 1, s.w)) / depth        # a t as a function of w
    if depth == 2:
        (w,) = sympy.solve(sympy.Eq(time, s.a * s.t), s.w)
        return w
    # linear in this power of w, whose many roots sympy would otherwise find and check one by one
    power, small = sympy.Rational(2 - depth), sympy.Symbol("p", positive=True)
    (solution,) = sympy.solve(sympy.Eq(time.subs(s.w, small ** (1 / power)), s.a * s.t), small)
    return sympy.expand(solution) ** (1 / power)


def derive_silent_period(depth: int) -> Any:
    """Return ``tau = eta t/gamma`` at which the weight of equation 8 has escaped, as sympy: ``1/(L(L-2))`` for L >= 3.

    So the silent alignment lasts t = gamma/(eta L (L-2)) steps, proportional to gamma, with any loss whose initial residual is 1. For
    L = 2 the escape is exponential, and takes ``log(gamma)/4`` until ``w**2 = 1 + gamma``.
    """
    import sympy

    s = letters()
    if depth == 2:
        return sympy.expand_log(sympy.log(sympy.sqrt(s.gamma)) / 2, force=True)
    return sympy.integrate(s.x ** (1 - sympy.Integer(depth)), (s.x, 1, sympy.oo)) / depth


def derive_collapse(depth: Any, loss: Any) -> Any:
    """Return ``dw/dtau`` at ``tau = eta t/gamma`` in the limit of large gamma at fixed w, as sympy: without gamma.

    ``dw/dt = -eta l'(f) df/dw``, df/dw is 1/gamma times a function of w, and f -> 0; so early trajectories collapse onto one curve in tau.
    """
    import sympy

    s = letters()
    f = output_one(depth, s.w, s.gamma)
    return sympy.simplify(sympy.limit(-derive_slope(loss, f) * sympy.diff(f, s.w) * s.gamma, s.gamma, sympy.oo))
