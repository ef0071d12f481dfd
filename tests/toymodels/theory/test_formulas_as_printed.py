"""Each printed formula is LaTeX that matplotlib can set, and has the value of its sympy expression, read by a parser of its own."""

import re
from functools import cache

import mpmath
import pytest
import sympy
from matplotlib.mathtext import MathTextParser
from sympy.core.function import AppliedUndef

from tests.toymodels.theory.latex_reader import LatexReader
from toymodels import OneParameter, TwoParameter, predict
from toymodels.theory.derivation_steps import derive_steps
from toymodels.theory.misprints import list_errata
from toymodels.theory.printing import as_latex

P0 = 1 / (1 + mpmath.e)
NUMBERS = {"gamma": .31, "eta": .17, "a": 2.17, "T": 40, "rho": .01, "w": 1.3, "t": .021, "beta": .83, "f": .37, "f1": .71,
           "d1": .23, "d2": .29, "h_l": .193, "r_0": .229, "S_0": 2.3, "l''(f)": .83, "l'(f)": .47}
STAND_INS = ("r", "C", "kappa", "Delta")       # functions that have a name only
READ_AS = {"r": "r", "C": "C", "kappa": r"\kappa", "Delta": r"\Delta"}


def stand_in(*arguments):
    return 30 + sum((i + 1) * x for i, x in enumerate(arguments))


def number_of(symbol):
    return mpmath.mpf(NUMBERS.get(symbol.name, .5 + .01 * len(symbol.name)))


def make_reader(expression):
    names = {re.sub(r"[{}\s]|\\mathrm", "", as_latex(x)): number_of(x) for x in (expression.free_symbols | expression.atoms(sympy.Symbol))}
    names |= {"p_0": P0, "p_1": 1 - P0, "c^*": mpmath.mpf("2.199612220069253"), r"dw/d\tau": number_of(sympy.Symbol("dw/dtau"))}
    slopes = {r"\ell'": lambda f: NUMBERS["l'(f)"], r"\ell''": lambda f: NUMBERS["l''(f)"]}
    return LatexReader(names | {"f": NUMBERS["f"]}, dict.fromkeys(READ_AS.values(), stand_in) | slopes)


def evaluate(expression):
    expression = expression.replace(lambda x: (isinstance(x, AppliedUndef) or type(x).__name__ in STAND_INS) and x.args,
                                    lambda x: stand_in(*x.args))
    return complex(sympy.N(expression.subs({x: sympy.Float(number_of(x), 20) for x in expression.free_symbols}), 15))


def compare(latex, expression):
    """Compare a printed formula with its expression; of an equation both sides, of a piecewise one its first piece."""
    sides = expression.args if isinstance(expression, sympy.Rel) else [expression]
    sides = [side.args[0][0] if isinstance(side, sympy.Piecewise) else side for side in sides]
    latex = re.sub(r"\\begin\{cases\}(.*?) & .*", r"\1", latex)
    read = make_reader(expression).read(latex)[-len(sides):]
    assert [complex(x) for x in read] == pytest.approx([evaluate(side) for side in sides], rel=1e-9), latex


@cache
def find_parser():
    return MathTextParser("path").parse


def render(formula):
    r"""Set a formula with matplotlib, which has neither cases nor \lvert."""
    lines = re.sub(r"\\(begin|end)\{cases\}", "", formula).replace("&", "").replace(r"\lvert", "|").replace(r"\rvert", "|")
    for line in lines.split(r"\\"):
        find_parser()(re.sub(r"\\(le|ge)\b", r"\\\1q", f"${line}$"))


@pytest.mark.parametrize(("model", "loss", "optimizer"), [
    (OneParameter(2), "mse", "sgd"), (OneParameter(2), "cross_entropy", "sgd"), (OneParameter(2), "mse", "momentum"),
    (OneParameter(5), "cross_entropy", "signsgd"), (OneParameter(3), "mse", "adam"), (TwoParameter(), "mse", "sgd"),
    (TwoParameter(), "cross_entropy", "sgd"), (TwoParameter(), "cross_entropy", "signsgd")], ids=str)
def test_every_formula_reads_as_its_expression(model, loss, optimizer):
    edges, steps = predict(model, loss, optimizer).values(), derive_steps(model, loss, optimizer)
    formulas = {edge.latex(): edge.formula for edge in edges}
    formulas |= {as_latex(step.equation): step.equation for step in steps if step.equation is not None}
    for text, expression in formulas.items():
        compare(text.partition(" = ")[2] if not isinstance(expression, sympy.Rel) and " = " in text else text, expression)
        assert not re.search(r"\d\.\d|nan|NaN|sqrt\[", text), text
        words = re.sub(r"\\mathrm\{\w+\}|\\operatorname\{\w+\}|\\(begin|end)\{cases\}|\\[a-zA-Z]+", " ", text)
        assert not re.search(r"[a-zA-Z]{3,}", words), text      # no name in italics; "df" is one
    for text in {*formulas, *(inline for step in steps for inline in re.findall(r"\$([^$]*)\$", step.sentence))}:
        render(text)


def test_every_formula_of_the_errata_is_set():
    for item in list_errata():
        for formula in re.findall(r"\$([^$]*)\$", f"{item.where} {item.printed} {item.true} {item.why}"):
            render(formula)


@pytest.mark.parametrize("wrong", [r"\frac{\gamma f_{1}}{4}", r"\gamma \log \gamma f_{1}", r"\gamma f_{1}^2"])
def test_a_wrong_or_ambiguous_formula_is_seen(wrong):
    gamma, f1 = sympy.symbols("gamma f1", positive=True)
    compare(r"\frac{\gamma f_{1}}{2}", gamma * f1 / 2)
    with pytest.raises((AssertionError, ValueError)):
        compare(wrong, gamma * f1 / 2)
