"""Write expressions as the source of Python functions that numba vectorises and numpy runs as they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath
import sympy

from toymodels.own.differences import evaluate_exactly

DIGITS = 50


class Hoist:
    """The parts of expressions that do not depend on the state, each replaced by the symbol of a constant.

    Attributes
    ----------
    constants : expression -> its symbol, in the order in which they were found.
    """

    def __init__(self, varying: Iterable[Any]) -> None:
        self.varying = tuple(varying)
        self.constants: dict[Any, Any] = {}

    def replace(self, e: Any) -> Any:
        """Return the expression with constants for all of its parts that do not depend on the state."""
        if isinstance(e, sympy.Rational | sympy.logic.boolalg.BooleanAtom) or e in self.varying:
            return e
        if not e.has(*self.varying):
            return self._name(e)
        if isinstance(e, sympy.Add | sympy.Mul):
            fixed, rest = e.as_independent(*self.varying, as_Add=isinstance(e, sympy.Add))
            parts = [self.replace(a) for a in e.func.make_args(rest)]
            return e.func(*parts) if fixed == e.identity else e.func(self.replace(fixed), *parts)
        if isinstance(e, sympy.Pow) and e.exp.is_Rational:
            return self.replace(e.base) ** e.exp
        if isinstance(e, sympy.Piecewise):
            return sympy.Piecewise(*((self.replace(value), self.replace(condition)) for value, condition in e.args))
        return e.func(*map(self.replace, e.args))

    def _name(self, e: Any) -> Any:
        if e not in self.constants:
            self.constants[e] = sympy.Symbol(f"k{len(self.constants)}", real=True)
        return self.constants[e]

    def numbers(self, fixed: dict[Any, Any]) -> dict[Any, float]:
        """Return symbol -> value of the constants, which depend on the `fixed` symbols alone."""
        if not self.constants:
            return {}
        with mpmath.workdps(DIGITS):
            values = evaluate_exactly(tuple(fixed), list(self.constants))(*fixed.values())
            return {s: float(v) for s, v in zip(self.constants.values(), values, strict=True)}


def write_function(name: str, arguments: str, expressions: list[Any], first: Iterable[str] = (),
                   numbers: dict[Any, float] | None = None) -> str:
    """Return the source of a function that returns the expressions, as a tuple where there are several.

    Parameters
    ----------
    name, arguments : of the function.
    expressions : in sympy; common parts are computed once.
    first : lines at its beginning.
    numbers : symbol -> its value, written into the source.
    """
    shared, results = sympy.cse(expressions, symbols=sympy.numbered_symbols("t", real=True), order="none")
    writer = _Writer(numbers or {})
    lines = [*first]
    for symbol, value in shared:
        text = writer.write(value)
        lines += [*writer.take_lines(), f"{symbol.name} = {text}"]
    texts = [writer.write(e) for e in results]
    lines += [*writer.take_lines(), f"return {', '.join(texts)}"]
    return "".join([f"def {name}({arguments}):\n", *(f"    {line}\n" for line in lines)])


class _Writer:
    """Expressions as Python: powers as products, quotients as one division, cases as `where`."""

    def __init__(self, numbers: dict[Any, float]) -> None:
        self.numbers, self.lines, self.count = numbers, [], 0       # type: ignore[var-annotated]

    def take_lines(self) -> list[str]:
        """Return the lines that must stand before the expression."""
        lines, self.lines = self.lines, []
        return lines

    def write(self, e: Any) -> str:
        """Return the expression's source."""
        if e.is_Symbol:
            return repr(self.numbers[e]) if e in self.numbers else e.name
        if e.is_Rational:
            return repr(float(e))
        if isinstance(e, sympy.Add):
            return f"({' + '.join(map(self.write, e.args))})"
        if isinstance(e, sympy.Mul):
            below = [a for a in e.args if isinstance(a, sympy.Pow) and a.exp.is_Rational and a.exp < 0]
            above = [self.write(a) for a in e.args if a not in below]
            top = " * ".join(above or ["1.0"])
            return f"({top} / ({' * '.join(self.write(a.base ** -a.exp) for a in below)}))" if below else f"({top})"
        if isinstance(e, sympy.Pow):
            return self._write_power(e)
        if isinstance(e, sympy.Piecewise):
            *cases, last = e.args
            text = self.write(last[0]) if last[1] == sympy.true else f"where({self.write(last[1])}, {self.write(last[0])}, nan)"
            for value, condition in reversed(cases):
                text = f"where({self.write(condition)}, {self.write(value)}, {text})"
            return text
        if isinstance(e, sympy.core.relational.Relational):
            return f"({self.write(e.lhs)} {e.rel_op} {self.write(e.rhs)})"
        if isinstance(e, sympy.And | sympy.Or):
            return "(" + (" & " if isinstance(e, sympy.And) else " | ").join(map(self.write, e.args)) + ")"
        if isinstance(e, sympy.Not):
            return f"({self.write(e.args[0])} == (0.0 != 0.0))"
        if isinstance(e, sympy.ITE):
            first, then, other = e.args
            return self.write(sympy.Or(sympy.And(first, then), sympy.And(sympy.Not(first), other)))
        if isinstance(e, sympy.logic.boolalg.BooleanAtom):
            return f"({'0.0 == 0.0' if e else '0.0 != 0.0'})"
        if isinstance(e, sympy.Heaviside):
            return f"where({self.write(e.args[0])} > 0.0, 1.0, 0.0)"
        return f"{type(e).__name__.lower()}({', '.join(map(self.write, e.args))})"

    def _write_power(self, e: Any) -> str:
        if e.exp.is_Rational and e.exp < 0:
            return f"(1.0 / {self.write(e.base ** -e.exp)})"
        if e.exp == sympy.Rational(1, 2):
            return f"sqrt({self.write(e.base)})"
        if e.exp.is_Integer or (e.exp.is_Rational and e.exp.q == 2):
            root = e.base if e.exp.is_Integer else sympy.sqrt(e.base)
            return self._multiply(self._variable(self.write(root)), int(e.exp.p))
        return f"({self.write(e.base)} ** {self.write(e.exp)})"

    def _variable(self, text: str) -> str:
        if text.isidentifier():
            return text
        self.count += 1
        self.lines.append(f"p{self.count} = {text}")
        return f"p{self.count}"

    def _multiply(self, x: str, n: int) -> str:
        if n <= 3:
            return f"({' * '.join([x] * n)})"
        half = self._variable(self._multiply(x, n // 2))
        return f"({half} * {half}{f' * {x}' if n % 2 else ''})"
