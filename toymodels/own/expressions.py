"""Write sympy expressions as text and read them again: text from files is data, so that only listed names and small numbers are read."""

from __future__ import annotations

import ast
import keyword
import unicodedata
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import sympy

from validation.arguments import Misuse

LONGEST = 4000      # characters of an expression
MOST_BITS = 4096    # of a power of numbers
HIGHEST = 1000      # numerator and denominator of an exponent
MOST_OPERATIONS = 500       # more take minutes to compile
MOST_NESTED = 10    # functions within each other: sympy's time doubles with each one
FUNCTIONS: dict[str, Any] = {f.__name__: f for f in (sympy.exp, sympy.log, sympy.Abs, sympy.sign, sympy.sin, sympy.cos, sympy.tanh,
                                                     sympy.sinh, sympy.cosh, sympy.atan, sympy.erf, sympy.Max, sympy.Min,
                                                     sympy.Piecewise)} | {"sqrt": sympy.sqrt}
CONSTANTS = {"pi": sympy.pi, "E": sympy.E}
COMPARISONS: dict[type, Any] = {ast.Lt: sympy.Lt, ast.LtE: sympy.Le, ast.Gt: sympy.Gt, ast.GtE: sympy.Ge}
OPERATIONS: dict[type, Any] = {ast.Add: lambda a, b: a + b, ast.Sub: lambda a, b: a - b, ast.Mult: lambda a, b: a * b,
                               ast.Div: lambda a, b: a / b, ast.BitAnd: sympy.And, ast.BitOr: sympy.Or}


def make_symbol(name: str) -> sympy.Symbol:
    """Return the symbol of that name with the assumptions of this package: gamma is positive, every other one real."""
    return sympy.Symbol(name, positive=True) if name == "gamma" else sympy.Symbol(name, real=True)


def is_name(text: str) -> bool:
    """Return whether a symbol of that name can be written as text and read again: Python's parser changes some letters."""
    return text.isidentifier() and not keyword.iskeyword(text) and unicodedata.normalize("NFKC", text) == text


def normalise_symbols(name: str, value: Any) -> sympy.Expr:
    """Return what was given as the argument `name` as an expression that its own text gives back.

    Symbols get the assumptions of `make_symbol`, and decimal numbers become fractions.

    Raises
    ------
    Misuse : not an expression, a symbol whose name is no identifier, a function that is not in `FUNCTIONS`, cases without a last one that
        always holds, or too large an expression.
    """
    if isinstance(value, bool) or not isinstance(value, sympy.Expr | Real):
        raise Misuse(f"{name} must be a sympy expression or a number, not {value!r}")
    if not isinstance(value, sympy.Expr):
        value = int(value) if isinstance(value, Integral) else float(value)
    expression = sympy.sympify(value)
    check_size(name, expression)
    for symbol in expression.free_symbols:
        if not is_name(symbol.name) or symbol.name in FUNCTIONS or symbol.name in CONSTANTS:
            raise Misuse(f"{name} must have symbols whose names are Python's and not those of functions, not {symbol.name!r}")
    expression = expression.xreplace({s: make_symbol(s.name) for s in expression.free_symbols})
    expression = expression.xreplace({x: sympy.Rational(repr(float(x))) for x in expression.atoms(sympy.Float)})
    for _ in range(3):      # sympy may order an expression anew when it is rebuilt
        again = read_expression(name, str(expression), [s.name for s in expression.free_symbols])
        if again == expression:
            return expression
        expression = again
    return expression


def check_size(name: str, expression: Any) -> None:
    """Raise `Misuse` for an expression that would take minutes to derive and compile, or whose last case does not always hold."""
    level, nested = {expression}, -1
    while level and nested <= MOST_NESTED:
        level = set().union(*map(_list_functions, level))
        nested += 1
    if nested > MOST_NESTED:
        raise Misuse(f"{name} must have at most {MOST_NESTED} functions within each other")
    if (count := sympy.count_ops(expression)) > MOST_OPERATIONS:
        raise Misuse(f"{name} must have at most {MOST_OPERATIONS} operations, not {count}")
    if any(cases.args[-1][1] != sympy.true for cases in expression.atoms(sympy.Piecewise)):
        raise Misuse(f"{name} must end its cases (Piecewise) with one that always holds, (value, True)")


def _list_functions(expression: Any) -> set[Any]:
    """Return the arguments of the outermost functions in an expression."""
    found, seen, left = set(), set(), [expression]
    while left:
        e = left.pop()
        if isinstance(e, sympy.Function) or (isinstance(e, sympy.Pow) and not e.exp.is_Integer):
            found.update(e.args)
        elif e not in seen:
            seen.add(e)
            left.extend(e.args)
    return found


def read_expression(name: str, text: str, symbols: list[str]) -> sympy.Expr:
    """Return the expression of a text in which nothing but these symbols, `FUNCTIONS`, `CONSTANTS` and numbers may stand.

    Raises
    ------
    Misuse : the text is something else, or too long.
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise Misuse(f"{name} must be an expression of at most {LONGEST} characters, not {text!r}")
    try:
        expression = _read(ast.parse(text, mode="eval").body, {s: make_symbol(s) for s in symbols} | CONSTANTS)
        check_size(name, expression)
        return expression
    except OverflowError:
        raise Misuse(f"{name} must have exponents of at most {HIGHEST}, and powers of numbers of at most {MOST_BITS} bits; it is "
                     f"{text!r}") from None
    except Misuse:
        raise
    except (SyntaxError, ValueError, TypeError, LookupError, RecursionError, MemoryError, ZeroDivisionError, AttributeError) as error:
        allowed = ", ".join([*symbols, *FUNCTIONS, *CONSTANTS])
        raise Misuse(f"{name} must consist of numbers, + - * / **, comparisons and {allowed}; it is {text!r}") from error


def _read(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Return the expression of a node of Python's syntax tree; ValueError or LookupError for any other node."""
    match node:
        case ast.Constant(value=bool(value)):
            return sympy.true if value else sympy.false
        case ast.Constant(value=int(value)) if value.bit_length() <= MOST_BITS:
            return sympy.Integer(value)
        case ast.Constant(value=float(value)):
            return sympy.Rational(repr(value))
        case ast.Name(id=identifier):
            return names[identifier]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_read(operand, names)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _raise_power(_read(left, names), _read(right, names))
        case ast.BinOp(left=left, op=operation, right=right):
            return OPERATIONS[type(operation)](_read(left, names), _read(right, names))
        case ast.Compare(left=left, ops=[operation], comparators=[right]):
            return COMPARISONS[type(operation)](_read(left, names), _read(right, names))
        case ast.Tuple(elts=elements):
            return tuple(_read(e, names) for e in elements)
        case ast.Call(func=ast.Name(id=identifier), args=arguments, keywords=[]):
            return FUNCTIONS[identifier](*(_read(a, names) for a in arguments))
    raise ValueError(type(node).__name__)


def _raise_power(base: Any, exponent: Any) -> Any:
    """Return the power; OverflowError where it is a number of too many digits, or its exponent is not small."""
    if exponent.is_Rational and max(abs(exponent.p), exponent.q) > HIGHEST:
        raise OverflowError("an exponent")
    if base.is_Rational and exponent.is_Rational and abs(exponent) * max(base.p.bit_length(), base.q.bit_length()) > MOST_BITS:
        raise OverflowError("a number")
    return base**exponent
