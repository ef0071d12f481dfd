"""The paper's letters as sympy symbols, and sympy functions for the functions of rho that have no closed form.

Importing sympy takes half a second, which a simulation need not wait for; so `letters` makes the symbols at its first call.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any


@cache
def letters() -> SimpleNamespace:
    """Return the letters as sympy symbols: gamma, eta, L, T, rho, w, f, u1, u2, Delta, a, s, t, tau, beta, f1, f2, ...

    Real letters are declared positive wherever they are, so that powers combine: gamma, eta, L, T, rho, f1 (the output at
    which the excess has come down to rho), f2 (the output above 1 at which the excess is rho again), d1 = 1 - f1, d2 = f2 - 1,
    a = eta/gamma; h = l''(1), r0 = -l'(0) and S0 = Int_0^f1 df/r(f) stand for numbers of the loss where it is not MSE.
    """
    import sympy

    positive = "gamma eta T rho w a s t tau beta f1 f2 d1 d2 x"
    names = {name: sympy.Symbol(name, positive=True) for name in positive.split()}
    names |= {"h": sympy.Symbol("h_l", positive=True), "r0": sympy.Symbol("r_0", positive=True),
              "S0": sympy.Symbol("S_0", positive=True)}
    names["L"] = sympy.Symbol("L", positive=True, integer=True)
    names |= {name: sympy.Symbol(name, real=True) for name in ("f", "u1", "u2", "Delta", "p", "q", "g")}
    return SimpleNamespace(**names)


@cache
def make_step_function(name: str, latex: str, evaluate: Any) -> Any:
    """Return a sympy function of T of that name, evaluated by `evaluate`, int -> float; the same object for the same arguments."""
    import sympy

    def _eval_evalf(self: Any, prec: int) -> Any:
        steps = self.args[0].evalf()
        return sympy.Float(evaluate(int(steps))) if steps.is_Float and steps > 0 and float(steps).is_integer() else None

    def _latex(self: Any, printer: Any, **_: Any) -> str:
        return rf"{latex}\left({printer._print(self.args[0])}\right)"

    return type(name, (sympy.Function,), {
        "_eval_evalf": _eval_evalf, "_latex": _latex, "is_positive": True, "is_real": True, "is_finite": True, "nargs": (1,),
    })


@cache
def make_numeric_function(name: str, latex: str, evaluate: Any) -> Any:
    """Return a sympy function of rho (or of T and rho) of that name, evaluated by `evaluate`, floats -> float.

    Parameters
    ----------
    name : its printed name.
    latex : its name in LaTeX.
    evaluate : the function; it must be the same object in every call for the sympy functions to be equal.
    """
    import sympy

    def _eval_evalf(self: Any, prec: int) -> Any:
        *steps, rho = (x.evalf() for x in self.args)
        if not all(x.is_Float for x in (*steps, rho)):
            return None
        # sympy also tries random numbers, to see whether an expression is constant
        allowed = 0 < float(rho) < 1 and all(float(x).is_integer() for x in steps)
        return sympy.Float(evaluate(*(int(x) for x in steps), float(rho))) if allowed else None

    def _latex(self: Any, printer: Any, **_: Any) -> str:
        return rf"{latex}\left({', '.join(map(printer._print, self.args))}\right)"

    return type(name, (sympy.Function,), {
        "_eval_evalf": _eval_evalf, "_latex": _latex, "is_positive": True, "is_real": True, "is_finite": True, "nargs": (1, 2),
    })
