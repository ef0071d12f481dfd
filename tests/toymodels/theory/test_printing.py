"""Formulas in LaTeX: gamma first, upright names, slanted exponents, one root, constants outside; nothing left in sympy's own habits."""

import pytest
import sympy

from toymodels import TwoParameter
from toymodels.theory.derivation_steps import Step, derive_steps
from toymodels.theory.printing import as_latex
from toymodels.theory.symbols import letters

s = letters()
half = sympy.Rational(1, 2)


@pytest.mark.parametrize(("expression", "latex"), [
    (s.f1 * s.gamma / s.T, r"\frac{\gamma f_{1}}{T}"),
    ((s.gamma + 1) ** sympy.Rational(3, 2), r"(1 + \gamma)^{3/2}"),
    (s.gamma ** sympy.Rational(2, 5) / 25, r"\frac{\gamma^{2/5}}{25}"),
    (sympy.sqrt(s.gamma) * sympy.sqrt(s.f1) / s.T, r"\frac{\sqrt{\gamma f_{1}}}{T}"),
    (sympy.sqrt(10) * sympy.sqrt(s.f1) / (3 * sympy.sqrt(s.T)), r"\sqrt{\frac{10 f_{1}}{9 T}}"),
    (s.gamma * sympy.Abs(sympy.log(s.gamma)), r"\gamma \lvert \log \gamma \rvert"),
    (sympy.sqrt(1 + 4 * s.gamma**2) - 1, r"\sqrt{1 + 4 \gamma^{2}} - 1"),
    (s.gamma**2 * (2 * s.beta + 2), r"2 \gamma^{2} (1 + \beta)"),
    (s.gamma * sympy.Min(s.d1 / 3, s.d2 / 3), r"\frac{\gamma \min(d_{1}, d_{2})}{3}"),
    (sympy.E / (1 + sympy.E) ** 2, "p_{0} p_{1}"),
    (sympy.Piecewise((s.gamma, s.gamma <= half / 100), (sympy.nan, True)), r"\gamma \quad (\gamma \leq 1/200)"),
    (sympy.Eq(sympy.Symbol("eta_max"), s.gamma / s.h, evaluate=False), r"\eta_{\mathrm{max}} = \frac{\gamma}{h_\ell}"),
])
def test_known_formulas(expression, latex):
    assert as_latex(expression) == latex


def test_a_sentence_is_the_same_in_a_terminal_without_its_latex():
    step = Step(r"$\eta_\mathrm{max}$ for $\gamma \to \infty$: $r = -\ell'(f)$.")
    assert step.text() == "eta_max for gamma -> infinity: r = -l'(f)."
    assert Step(r"$\eta\lambda \leq 2\Delta$").text() == "eta lambda <= 2 Delta"
    for step in derive_steps(TwoParameter(), "cross_entropy"):
        assert "\\" not in step.text()
        assert "$" not in step.text()
