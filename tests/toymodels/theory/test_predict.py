"""predict(): the exponents of Table 1 and Appendix F, curves at thirty digits, windows, refusals."""

import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import sympy

from toymodels.models import OneParameter, TwoParameter
from toymodels.theory import PseudoHuber, letters, predict, solve_closing_point
from validation.arguments import Misuse

s = letters()
R = sympy.Rational
COMBINATIONS = [(model, loss, optimizer)
                for model in (OneParameter(1), OneParameter(2), OneParameter(5), TwoParameter())
                for loss in ("mse", "cross_entropy") for optimizer in ("sgd", "signsgd", "momentum", "adam")]


def edges(combinations=COMBINATIONS):
    return [pytest.param(edge, id=f"{model!r}-{loss}-{optimizer}-{name}") for model, loss, optimizer in combinations
            for name, edge in predict(model, loss, optimizer).items()]


@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_table_1(depth, loss):
    found = predict(OneParameter(depth), loss)
    assert [found["eta_min"].exponent(r) for r in ("lazy", "rich")] == [2, 1]
    assert [found["eta_max"].exponent(r) for r in ("lazy", "rich")] == [2, R(2, depth)]
    assert found["eta_min"].logarithm("rich") == (depth == 2)
    assert not found["eta_min"].logarithm("lazy")
    assert all(isinstance(edge.exponent(r), sympy.Rational) for edge in found.values() for r in edge.regimes)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_appendix_f(depth, loss):
    found = predict(OneParameter(depth), loss, "signsgd")
    assert set(found) == {"eta_min", "eta_max"}
    for edge in found.values():
        assert [edge.exponent(r) for r in ("lazy", "rich")] == [1, R(1, depth)]


def test_one_layer_has_no_regimes():
    found = predict(OneParameter(1))
    for edge in found.values():
        assert edge.exponent("lazy") == edge.exponent("rich") == 2


def test_prefactors_of_the_mse():
    found = predict(OneParameter(5))
    assert sympy.simplify(found["eta_min"].prefactor("lazy") + sympy.log(s.rho) / (50 * s.T)) == 0
    assert found["eta_min"].prefactor("rich") == 1 / (15 * s.T)
    assert found["eta_max"].prefactor("lazy") == found["eta_max"].prefactor("rich") == R(2, 25)
    signs = predict(OneParameter(5), optimizer="signsgd")
    assert sympy.simplify(signs["eta_max"].prefactor("rich") - ((1 + (1 + sympy.sqrt(s.rho)))**R(1, 5)
                          - 1).subs(1 + (1 + sympy.sqrt(s.rho)), 1 + sympy.sqrt(s.rho))) == 0


@pytest.mark.parametrize("edge", edges())
def test_numbers_equal_the_expression_at_thirty_digits(edge):
    gamma = [1e-12, 1e-6, 0.25, 1.0, 32.0, 1e6, 1e12]
    if edge.expression.has(sympy.Integral):
        gamma = [0.25]     # test_flow_time has the rest: sympy's own quadrature takes its time
    if edge.expression.has(sympy.cos):
        gamma = [1e-6, 1.0, 1e6]
    values = edge(np.array(gamma), 1000, 0.01)
    for g, value in zip(gamma, values, strict=True):
        exact = edge.expression.subs({s.gamma: sympy.Rational(g), s.T: 1000, s.rho: R(0.01)}).evalf(30, maxn=1000)
        if exact is sympy.nan:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("edge", edges())
def test_numbers_tend_to_the_asymptote(edge):
    for regime in edge.regimes:
        steps, rho = 1000 if regime == "lazy" else 10_000, 0.01
        gamma = 1e-14 if regime == "lazy" else min(1e14, edge.closing_point(steps, rho) / 10)
        law = edge.law(regime).subs(edge.curve.values).subs({s.gamma: sympy.Rational(gamma), s.T: steps, s.rho: R(rho)})
        # a logarithm comes with a constant beside it; under momentum a rich edge still has its lag
        lagging = regime == "rich" and edge.expression.has(s.T) and "momentum" in edge.cache_key
        near = 0.7 if edge.logarithm(regime) else 0.02 if lagging else 2e-3
        assert float(edge(gamma, steps, rho)) == pytest.approx(float(law.evalf()), rel=near)
        assert float(edge.local_exponent(gamma, steps, rho)) == pytest.approx(float(edge.exponent(regime)),
                                                                             abs=0.04 if edge.logarithm(regime) else 2e-3)


@pytest.mark.parametrize("edge", edges())
def test_every_edge_has_names_latex_and_windows(edge):
    assert edge.name.startswith("eta_")
    assert edge.label
    assert edge.source
    assert rf"\eta_{{\mathrm{{{edge.name.partition('_')[2]}}}}}" in edge.latex()
    for regime in ("lazy", "rich"):
        window = edge.window(regime)
        if regime not in edge.regimes or edge.logarithm(regime):
            assert window is None
        elif window is not None:
            low, high = window
            assert low < high
            inside = np.geomspace(max(low, 1e-15), min(high, 1e15), 50)
            assert (np.abs(edge.local_exponent(inside) - float(edge.exponent(regime))) < 0.0205).all()


def test_window_ends_at_a_third_of_the_closing_point():
    edge = predict(OneParameter(5))["eta_max"]
    low, high = edge.window("rich", steps=1000)
    assert high == pytest.approx((2 * 1000 * 3 / 5) ** (5 / 3) / 3, rel=1e-12)
    assert edge.window("rich", steps=100000)[1] > high
    assert edge.window("rich", steps=5) is None
    assert edge.window("rich", tolerance=0.001)[0] > low
    assert edge.window("lazy", tolerance=0.001)[1] < edge.window("lazy")[1]


def test_no_window_of_eta_crit_reaches_where_it_is_gradient_flows_alone():
    for loss in ("mse", "cross_entropy"):
        edge = predict(TwoParameter(), loss)["eta_crit"]
        assert edge.window("lazy") == (0.0, 0.03)
        assert edge.window("rich") == (30.0, np.inf)
        assert edge.window("lazy", tolerance=1e-5)[1] < 0.03


@pytest.mark.parametrize("depth", [3, 4, 6])
def test_the_closing_point_is_where_the_edges_meet(depth):
    expression = solve_closing_point(OneParameter(depth), "mse")
    assert sympy.simplify(expression - (2 * s.T * R(depth - 2, depth)) ** R(depth, depth - 2)) == 0
    steps = 10**7
    gamma = float(expression.subs(s.T, steps))
    found = predict(OneParameter(depth))
    assert float(found["eta_min"](gamma, steps) / found["eta_max"](gamma, steps)) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy", PseudoHuber(0.5)], ids=str)
@pytest.mark.parametrize(("depth", "steps"), [(3, 1000), (5, 1000), (12, 30_000)])
def test_nothing_is_predicted_beyond_the_closing_point(depth, steps, loss):
    closing = float(solve_closing_point(OneParameter(depth), loss).subs(s.T, steps))
    found = predict(OneParameter(depth), loss)
    for edge in (found["eta_min"], found["eta_max"]):
        assert edge.closing_point(steps) == pytest.approx(closing, rel=1e-12)
        before, beyond = edge(closing * np.array([1 - 1e-9, 1 + 1e-9]), steps)
        assert np.isfinite(before)
        assert np.isnan(beyond)
        assert edge.window("rich", steps)[1] == pytest.approx(closing / 3, rel=1e-12)
    # the two curves end where they meet
    low, high = (found[name](closing * (1 - 1e-9), steps) for name in ("eta_min", "eta_max"))
    assert low / high == pytest.approx(1, abs=0.02)


def test_no_closing_point_without_a_triangle():
    for model in (OneParameter(1), OneParameter(2), TwoParameter()):
        assert solve_closing_point(model, "mse") == sympy.oo
        assert np.isfinite(predict(model)["eta_min"](1e15, 1000))
    assert predict(OneParameter(4), optimizer="signsgd")["eta_max"].closing_point(1000) == np.inf


def test_a_loss_of_ones_own_goes_in_by_its_formula():
    loss = PseudoHuber(0.5)
    found = predict(OneParameter(5), loss)
    assert [found["eta_min"].exponent(r) for r in ("lazy", "rich")] == [2, 1]
    assert [found["eta_max"].exponent(r) for r in ("lazy", "rich")] == [2, R(2, 5)]
    # residual at the start f = 0: (1/width^2) width^2/sqrt(1 + 1/width^2) = 1/sqrt(5)
    assert found["eta_min"].prefactor("rich").equals(sympy.sqrt(5) / (15 * s.T))
    assert predict(OneParameter(2), loss)["eta_div"].prefactor("lazy") == 2      # gamma/l'(oo), l'(oo) = width
    assert set(predict(TwoParameter(), loss)) == {"eta_min", "eta_crit"}
    assert set(predict(TwoParameter(), loss, "signsgd")) == {"eta_min", "eta_max"}


def test_a_loss_without_a_quadratic_minimum_is_refused():
    class Quartic:
        name = "quartic"

        def expression(self, f):
            return (f - 1) ** 4

    with pytest.raises(Misuse, match="quadratic minimum"):
        predict(OneParameter(3), Quartic())["eta_max"](1.0)


def test_refusals_are_one_sentence():
    edge = predict(OneParameter(5))["eta_max"]
    for call in (lambda: edge(0.0), lambda: edge(-1.0), lambda: edge([1.0, np.nan]), lambda: edge(1.0, steps=0),
                 lambda: edge(1.0, steps=2.5), lambda: edge(1.0, rho=0.0), lambda: edge(1.0, rho=1.0),
                 lambda: edge.exponent("ultra-rich"), lambda: edge.window("x"), lambda: edge.prefactor(None),
                 lambda: edge.window("lazy", steps=-1), lambda: edge.window("lazy", tolerance=0.0),
                 lambda: predict(OneParameter(2), "cross_entropy")["eta_div"].exponent("rich"),
                 lambda: predict("one"), lambda: predict(OneParameter(2), "hinge"),
                 lambda: predict(OneParameter(2), "mse", "lion")):
        with pytest.raises(Misuse) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_shapes_follow_gamma():
    for edge in predict(OneParameter(3), "cross_entropy").values():
        assert edge(1.0).shape == ()
        assert edge(np.ones((2, 3))).shape == (2, 3)


def test_512_gammas_take_milliseconds():
    gamma = np.logspace(-6, 6, 512)
    for model, loss, optimizer in COMBINATIONS:
        for edge in predict(model, loss, optimizer).values():
            edge(gamma)
            taken = []
            for _ in range(3):
                start = time.process_time()
                edge(gamma)
                taken.append(time.process_time() - start)
            assert min(taken) < 0.05, edge.name


def test_numbers_need_no_sympy():
    code = ("import sys, toymodels.theory as t; from toymodels.models import OneParameter, TwoParameter\n"
            "for m in (OneParameter(2), OneParameter(5), TwoParameter()):\n"
            "    for loss in ('mse', 'cross_entropy'):\n"
            "        for o in ('sgd', 'signsgd'):\n"
            "            [e(1.0) for e in t.predict(m, loss, o).values()]\n"
            "assert 'sympy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "signsgd", "adam"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_predictions_reach_other_processes(loss, optimizer):
    """`lazyrich toy` trains one of two losses in a child process, which sends its results."""
    for model in (OneParameter(5), TwoParameter()):
        for edge in predict(model, loss, optimizer).values():
            sent = pickle.loads(pickle.dumps(edge))
            np.testing.assert_array_equal(sent(np.array([1e-3, 1e-2])), edge(np.array([1e-3, 1e-2])))
            assert sent.closing_point(1000) == edge.closing_point(1000)
