"""Print sympy's expressions as a theorist writes them, in LaTeX and as one line of text."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

FIRST = ("gamma", "eta", "a")      # letters that come first in a product, in this order
# parentheses around what is no taller than a line need not be stretched; sympy puts those of a function into braces
PARENTHESES = re.compile(r"(?P<brace>\{)?\\left\((?P<inside>(?:(?!\\left|\\right|\\frac|\\sqrt|\\int).)*?) ?\\right\)(?(brace)\})")
# what follows a logarithm without parentheses, and would be read as part of its argument
FOLLOWED = re.compile(r"\\log (\\(?!lvert)[a-zA-Z]+|\w) (?=[a-zA-Z]|\\(?!rvert|right|quad|log|,|\\))")
SPELLINGS = {"h_l": r"h_\ell", "l": r"\ell", "dw/dtau": r"\frac{dw}{d\tau}",
             "l'(f)": r"\ell'(f)", "l''(f)": r"\ell''(f)"}


def as_text(expression: Any) -> str:
    """Return a sympy expression or equation on one line, as sympy prints it."""
    import sympy

    return f"{expression.lhs} = {expression.rhs}" if isinstance(expression, sympy.Equality) else str(expression)


def as_latex(expression: Any) -> str:
    r"""Return a sympy expression or equation in LaTeX.

    Beyond sympy's own printer: sums start with a number or a positive term, products with gamma and eta; indices of several letters are
    upright; exponents are slanted fractions, and roots other than square roots are powers; square roots are merged; constants stand before
    integrals, minima and sums; 1/(1 + e), a number of the cross-entropy, is p_0, and e/(1 + e) is p_1; pieces of a piecewise expression in
    which nothing is predicted are left out.

    Examples
    --------
    >>> import sympy
    >>> gamma = sympy.Symbol("gamma", positive=True)
    >>> print(as_latex((1 + gamma) ** sympy.Rational(-2, 5) * sympy.log(gamma)))
    \frac{\log \gamma}{(1 + \gamma)^{2/5}}
    """
    import sympy

    tidy = _tidy(expression)
    order = {symbol: sympy.Symbol(f"{FIRST.index(symbol.name)}{symbol.name}", positive=True)
             for symbol in tidy.free_symbols if symbol.name in FIRST}
    text = str(_printer().doprint(tidy.xreplace(order))).replace(r"\int\limits", r"\int")
    for _ in range(3):      # nested ones from the inside
        text = PARENTHESES.sub(r"(\g<inside>)", text)
    return FOLLOWED.sub(r"\\log(\1) ", text)


def _tidy(expression: Any) -> Any:
    """Return the expression with constants taken out of integrals, minima and sums, and the cross-entropy's numbers by their letters."""
    import sympy

    if isinstance(expression, sympy.Equality):
        return sympy.Eq(*map(_tidy, expression.args), evaluate=False)
    if isinstance(expression, sympy.Piecewise):
        return sympy.Piecewise(*((_tidy(value), condition) for value, condition in expression.args), evaluate=False)
    expression = _name_probabilities(sympy.sympify(expression))
    # the d1 of SignSGD is below 1
    expression = expression.replace(lambda x: isinstance(x, sympy.Abs) and str(x) == "Abs(d1 - 2)", lambda x: -x.args[0])
    expression = expression.replace(sympy.Integral, _integral).replace(sympy.Min, _minimum)
    return expression if expression.has(sympy.Integral, sympy.LambertW) else sympy.factor_terms(expression, sign=False)


def _name_probabilities(expression: Any) -> Any:
    """Return the expression with p_0 for 1/(1 + e) and p_1 for e/(1 + e)."""
    import sympy

    p0, p1 = sympy.symbols("p_0 p_1", positive=True)
    if not expression.has(1 + sympy.E):
        return expression
    expression = expression.subs(1 - 1 / (1 + sympy.E), p1).subs(1 / (1 + sympy.E), p0).subs(sympy.E * p0, p1)
    if expression.has(sympy.E * p0) or any(sympy.E in a.args for a in expression.atoms(sympy.Add)):
        expression = sympy.expand(expression).subs(sympy.E * p0, p1)
    return expression


def _integral(integrand: Any, *limits: Any) -> Any:
    """Return the integral with what does not depend on its variable before it."""
    import sympy

    constant, rest = sympy.factor_terms(integrand).as_independent(limits[0][0], as_Add=False)
    return constant * sympy.Integral(rest, *limits)


def _minimum(*arguments: Any) -> Any:
    """Return the minimum with the number common to all its arguments before it."""
    import sympy

    common = abs(sympy.gcd_list([sympy.factor_terms(a).as_coeff_Mul()[0] for a in arguments]))
    return common * sympy.Min(*(sympy.factor_terms(a / common) for a in arguments))


@cache
def _printer() -> Any:
    """Return the printer; a function, so that sympy is imported when it is first needed."""
    import sympy
    from sympy.printing.latex import LatexPrinter

    half = sympy.Rational(1, 2)

    class Printer(LatexPrinter):
        """Sympy's printer with the habits that `as_latex` lists. The method names are sympy's."""

        def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
            name = expr.name.lstrip("0123456789")
            if name in SPELLINGS:
                return SPELLINGS[name]
            stem, _, index = name.partition("_")
            if len(index) > 1:
                return rf"{super()._print_Symbol(sympy.Symbol(stem))}_{{\mathrm{{{index}}}}}"
            return str(super()._print_Symbol(sympy.Symbol(name)))

        def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
            terms = sorted(super()._as_ordered_terms(expr, order=order), key=lambda term: not term.is_number)
            first = next((i for i, term in enumerate(terms) if not term.could_extract_minus_sign()), 0)
            return [terms[first], *terms[:first], *terms[first + 1:]]

        def _print_Mul(self, expr: Any) -> str:
            integrals = [a for a in expr.args if isinstance(a, sympy.Integral)]
            if integrals and len(expr.args) > 1:
                return f"{self._print(expr / integrals[0])} {self._print(integrals[0])}"
            roots = [a for a in expr.args if isinstance(a, sympy.Pow) and abs(a.exp) == half]
            if len(roots) > 1:
                outside = sympy.Mul(*(a for a in expr.args if a not in roots))
                inside = sympy.Mul(*(a**2 for a in roots))
                if any(a.is_number for a in roots):       # sqrt(2)/2 goes into the root, a rational number alone stays outside
                    coefficient, outside = outside.as_coeff_Mul()
                    inside, sign = inside * coefficient**2, sympy.sign(coefficient)
                    outside = outside * sign
                return self._with_root(outside, inside)
            return str(super()._print_Mul(expr))

        def _with_root(self, outside: Any, inside: Any) -> str:
            """Return ``outside sqrt(inside)``, the root in the numerator where `outside` is a fraction."""
            root = rf"\sqrt{{{self._print(inside)}}}"
            if outside == 1:
                return root
            numerator, denominator = sympy.fraction(outside)
            before = "" if numerator == 1 else f"{self._print(numerator)} "
            if denominator == 1:
                return f"{before}{root}"
            return rf"\frac{{{before}{root}}}{{{self._print(denominator)}}}"

        def _print_Pow(self, expr: Any) -> str:
            if expr.exp.is_Rational and expr.exp.q > 1 and abs(expr.exp) != half and not expr.base.is_Function:
                return rf"{self.parenthesize_super(self.parenthesize(expr.base, 60))}^{{{expr.exp.p}/{expr.exp.q}}}"
            return str(super()._print_Pow(expr))

        def _print_log(self, expr: Any, exp: Any = None) -> str:
            name, argument = r"\log" if exp is None else rf"\log^{{{exp}}}", self._print(expr.args[0])
            return f"{name} {argument}" if isinstance(expr.args[0], sympy.Symbol | sympy.Abs) else rf"{name}\left({argument}\right)"

        def _print_hyper(self, expr: Any, exp: Any = None) -> str:
            above, below = (", ".join(f"{a.p}/{a.q}" if a.is_Rational and a.q > 1 else self._print(a)
                                      for a in sorted(p, key=lambda a: (not a.is_Integer, sympy.default_sort_key(a))))
                            for p in (expr.ap, expr.bq))
            return rf"{{}}_{{{len(expr.ap)}}}F_{{{len(expr.bq)}}}\left({above}; {below}; {self._print(expr.argument)}\right)"

        def _print_Abs(self, expr: Any, exp: Any = None) -> str:
            text = rf"\lvert {self._print(expr.args[0])} \rvert"
            return text if exp is None else rf"{text}^{{{exp}}}"

        def _print_Piecewise(self, expr: Any) -> str:
            fraction = re.compile(r"\\frac\{(\d+)\}\{(\d+)\}")
            pieces = [(self._print(value), fraction.sub(r"\1/\2", self._print(condition)))
                      for value, condition in expr.args if value is not sympy.nan]
            if len(pieces) == 1:
                return rf"{pieces[0][0]} \quad ({pieces[0][1]})"
            lines = r" \\ ".join(f"{value} & ({condition})" for value, condition in pieces)
            return rf"\begin{{cases}} {lines} \end{{cases}}"

    return Printer({"inv_trig_style": "full"})
