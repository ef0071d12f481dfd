"""Print the predicted edges of the toys in JavaScript, from the theory's own expressions in sympy.

`python -m toymodels.explorer.formulas` writes `source/edges.js`, which the page draws its edges from. Differences of near numbers are
rewritten; integrals are left to the quadrature of `source/integrals.js`, and so are the numbers that the theory finds by simulation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toymodels.losses import LOSSES, CrossEntropy
from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.theory import catapult_edges, predict
from toymodels.theory.flow import derive_kernel_along_flow, derive_time
from toymodels.theory.losses import derive_curvature_at_minimum, derive_slope
from toymodels.theory.symbols import letters

SOURCE = Path(__file__).parent / "source"
DEPTHS = range(1, 13)
OPTIMIZERS = ("sgd", "signsgd", "momentum")
# letters, and functions of T and rho, by their names in the page
NAMES = {"gamma": "g", "h_l": "s.h", "r_0": "s.r0", "S_0": "s.S0()", "kappa": "s.overshoot()", "Delta": "x",
         **{name: f"s.{name}" for name in ("T", "rho", "f1", "f2", "d1", "d2", "beta", "sigma")}}
HEAD = '''\
// The predicted edges and their exponents, printed from the theory by `python -m toymodels.explorer.formulas`. Do not edit.
// Of each edge: eta as a function of gamma and of the numbers s of T, rho, the loss and the optimizer; its exponents; its closing point.

import { invert, lambertW, computeEdges, computeExponents } from "./integrals.js";

const {E, asinh, cbrt, exp, expm1, log, log1p, min, pow, sqrt} = Math;

export const edges = (view, gammas) => computeEdges(TOY_EDGES, LOSS_FUNCTIONS, SETTLING, view, gammas);
export const exponents = view => computeExponents(TOY_EDGES, LOSS_FUNCTIONS, SETTLING, view);
'''


def print_edges() -> str:
    """Return the module `source/edges.js`."""
    models: list[Model] = [*map(OneParameter, DEPTHS), TwoParameter()]
    losses = "\n".join(f"  {name}: {print_loss(loss)}," for name, loss in LOSSES.items())
    toys = "\n".join(line for model in models for line in list_lines(model))
    return (f"{HEAD}\nconst LOSS_FUNCTIONS = {{\n{losses}\n}};\n\nconst SETTLING = {print_settling()};\n\n"
            f"const TOY_EDGES = {{\n{toys}\n}};\n")


def list_lines(model: Model) -> Iterator[str]:
    """Yield the lines of one model: its kernel along gradient flow, and the edges of each loss and optimizer."""
    s, name = letters(), f"{model.name} {model.depth}"
    yield f'  "{name}": {{kernel: (g, f) => {print_expression(derive_kernel_along_flow(model, s.f), {"f": "f"})}}},'
    for loss in LOSSES.values():
        for optimizer in OPTIMIZERS:
            found = predict(model, loss, optimizer)
            yield f'  "{name} {loss.name} {optimizer}": {{'
            yield from (f"    {edge.name}: {print_edge(edge, model, loss)}," for edge in found.values())
            yield "  },"
        noisy = predict(model, loss, "sgd", noise=0.5)
        if "eta_max" in noisy:
            yield f'  "{name} {loss.name} noise": {{eta_max: {print_noisy(model, loss)}}},'


def print_edge(edge: Any, model: Model, loss: Any) -> str:
    """Return an edge as an object: its curve, its exponents, and where it closes."""
    exponents = ", ".join(f'{r}: "{edge.fraction(r)}"' for r in edge.regimes if not edge.logarithm(r))
    parts = [f"eta: (g, s) => {_print_curve(edge.curve, model, loss)}", f"exponents: {{{exponents}}}"]
    if edge.closing is not None:
        from toymodels.theory.catalogue import solve_closing_point

        parts.append(f"closing: s => {print_expression(solve_closing_point(model, loss, numbers=False))}")
    if edge.unjudged is not None:
        parts.append(f"unjudged: {list(edge.unjudged)}")
    return f"{{{', '.join(parts)}}}"


def print_noisy(model: Model, loss: Any) -> str:
    """Return eta_max of runs with label noise as an object; it has no closing point."""
    import sympy

    from toymodels.theory.noise_edges import derive_noise_edge

    edge = predict(model, loss)["eta_max"]
    share = derive_noise_edge().subs({sympy.Symbol("M", positive=True): 1, sympy.Symbol("rho", positive=True): letters().rho}) / 2
    exponents = ", ".join(f'{r}: "{edge.fraction(r)}"' for r in edge.regimes)
    return f"{{eta: (g, s) => {print_expression(edge.curve.expression * share)}, exponents: {{{exponents}}}}}"


def _print_curve(curve: Any, model: Model, loss: Any) -> str:
    """Return eta of a curve; where it is the root of a cubic, by inverting gamma(eta) of each of its branches."""
    import sympy

    if curve.expression.has(sympy.acos):
        branches = next(iter(curve.branches.values()))
        roots = [f"invert(e => {print_expression(b.gamma, {str(b.parameter): 'e'})}, g)" for b in branches]
        return f"min({', '.join(roots)})" if len(roots) > 1 else roots[0]
    return print_expression(_name_flow(curve.expression, derive_time(model, loss)))


def _name_flow(expression: Any, time: Any) -> Any:
    """Return the expression with the function S(gamma) for gradient flow's time, where that is no elementary function."""
    import sympy

    if not time.has(sympy.Integral, sympy.hyper):
        return expression
    name = sympy.Function("S")(letters().gamma)
    if isinstance(expression, sympy.Piecewise):
        return sympy.Piecewise(*((_name_flow(value, time), where) for value, where in expression.args), evaluate=False)
    return expression / time * name if expression.has(sympy.Integral, sympy.hyper) else expression


def print_loss(loss: Any) -> str:
    """Return the residual ``r = -l'(1 - x)`` as a function of x = 1 - f, and h = l''(1), as an object."""
    import sympy

    x, m = letters().Delta, sympy.Symbol("m", real=True)
    # a rational function of m = e^-x - 1, which keeps its digits as x -> 0
    rational = sympy.together((-derive_slope(loss, 1 - x)).rewrite(sympy.exp).subs(x, -sympy.log(1 + m)))
    residual = -derive_slope(loss, 1 - x) if loss.name == "mse" else sympy.factor(sympy.simplify(rational))
    text = print_expression(residual, {"m": "expm1(-x)"})
    return f"{{residual: x => {text}, curvature: {print_expression(derive_curvature_at_minimum(loss))}}}"


def print_settling() -> str:
    """Return what the settling line's constant consists of: where the cycles begin, the rest, and d C/d log(amplitude) of the cycles."""
    import sympy

    x, y = sympy.Symbol("x", positive=True), sympy.Symbol("y", positive=True)
    slope = sympy.cancel(derive_slope(CrossEntropy(), sympy.log(y)))
    up, down = (sympy.log(sympy.solve(slope - side * x, y)[0]) for side in (1, -1))
    gap = up - down                               # kappa = gap/x is that of the cycle whose slopes are x and -x
    rate = sympy.diff(sympy.log(gap / x), x) / x
    delta, beyond = catapult_edges.sum_chaos()
    small = float((sympy.diff(gap, x, 3) / (3 * sympy.diff(gap, x))).subs(x, 0))      # the rate as x -> 0, for the gap is odd
    end = float(catapult_edges.solve_growth_balance())
    return (f"{{start: {delta:.12g}, beyond: {beyond:.12g}, end: {end:.15g}, small: {small:.15g},\n"
            f"  rate: x => {print_expression(rate, {'x': 'x'})}}}")


def print_expression(expression: Any, names: dict[str, str] | None = None) -> str:
    """Return a sympy expression in JavaScript, with the letters' names in the page."""
    import sympy

    text = str(_printer(NAMES | (names or {})).doprint(_avoid_cancellation(sympy.sympify(expression))))
    return " ".join(text.split()).replace("Math.", "")


def _avoid_cancellation(expression: Any) -> Any:
    """Return the expression with differences of near powers as products.

    ``sqrt(A) - sqrt(B) = (A - B)/(sqrt(A) + sqrt(B))`` and ``A^q - B^q = B^q expm1(q log1p((A - B)/B))``, with A - B factored.
    """
    import sympy

    def rewrite(total: Any) -> Any:
        single = sympy.expand(total)
        if not single.is_Add:
            return single
        left, right = sorted(total.args, key=lambda term: term.could_extract_minus_sign())
        right = -right
        q = next(t.exp for t in (left, right) if t.is_Pow and t.exp.is_Rational and not t.exp.is_Integer)
        a, b = (t.base if t.is_Pow and t.exp == q else t ** (1 / q) for t in (left, right))
        gap = sympy.factor(a - b)
        if q == sympy.Rational(1, 2):
            return gap / (left + right)
        return right * sympy.Function("expm1")(q * sympy.Function("log1p")(gap / b))

    def cancels(e: Any) -> bool:
        return (e.is_Add and len(e.args) == 2 and sum(t.could_extract_minus_sign() for t in e.args) == 1
                and (not sympy.expand(e).is_Add
                     or any(t.is_Pow and t.exp.is_Rational and not t.exp.is_Integer for u in e.args for t in (u, -u))))

    return expression.replace(cancels, rewrite)


def _printer(names: dict[str, str]) -> Any:
    """Return a printer that spells the letters so; a function, so that sympy is imported when it is first needed."""
    from sympy.printing.jscode import JavascriptCodePrinter

    class Printer(JavascriptCodePrinter):
        """Sympy's printer of JavaScript, with the theory's own functions. The method names are sympy's."""

        def _print_Symbol(self, expr: Any) -> str:
            return names[expr.name]

        def _print_LambertW(self, expr: Any) -> str:
            return f"lambertW({self._print(expr.args[0])})"

        def _print_NaN(self, expr: Any) -> str:
            return "NaN"

        def _print_GrowthBalance(self, expr: Any) -> str:
            return "s.c"

        def _print_kappa(self, expr: Any) -> str:
            return "s.kappa()"

        def _print_C(self, expr: Any) -> str:
            return "s.C()"

    return Printer({"user_functions": {"expm1": "Math.expm1", "log1p": "Math.log1p", "S": "s.S"}})


if __name__ == "__main__":
    (SOURCE / "edges.js").write_text(print_edges(), encoding="utf-8")
