"""The toys with another start or target: trained as written, predicted by formulas and as models of one's own."""

import numpy as np
import pytest
import sympy

from toymodels import Adam, OneParameter, ToyExperiment, TwoParameter, predict, trajectory
from toymodels.theory import letters
from toymodels.theory.moved_edges import cap_convergence, derive_invariant_of_target
from validation import trace
from validation.arguments import Misuse

LEWKOWYCZ = TwoParameter((1.0, 5e-4), 0.0)      # f = 1 at the start, for gamma = 1e-3


def loop(model, optimizer, gamma, eta, steps, loss="mse"):
    """Return f at every step, in plain numpy with the paper's formulas."""
    theta, y = np.atleast_1d(np.array(model.start, float)), model.target
    m, v, out = np.zeros_like(theta), np.zeros_like(theta), []
    for t in range(1, steps + 2):
        f = float(model.output(*theta, gamma))
        out.append(f)
        slope = f - y if loss == "mse" else 1 / (1 + np.exp(-f)) - 1 / (1 + np.exp(-y))
        g = slope * np.array(model.gradient(*theta, gamma), float)
        if optimizer == "sgd":
            theta = theta - eta * g
        elif optimizer == "signsgd":
            theta = theta - eta * np.sign(g)
        else:
            m, v = 0.5 * m + 0.5 * g, 0.9 * v + 0.1 * g * g
            theta = theta - eta * (m / (1 - 0.5**t)) / (np.sqrt(v / (1 - 0.9**t)) + 0.3 / gamma)
    return np.array(out)


@pytest.mark.parametrize(("model", "optimizer", "loss"), [
    (TwoParameter((0.5, -0.2), 2.0), "sgd", "mse"), (OneParameter(3, 0.5, -0.4), "sgd", "cross_entropy"),
    (TwoParameter((0.5, -0.21), 2.0), "signsgd", "mse"), (TwoParameter((0.5, -0.2), 2.0), Adam(0.5, 0.9, 0.3), "mse")])
def test_a_run_equals_a_plain_loop(model, optimizer, loss):
    gamma, eta, steps = 0.7, 0.02, 60
    run = trajectory(model, loss, optimizer, gamma, eta, steps)
    np.testing.assert_allclose(run["f"], loop(model, optimizer if isinstance(optimizer, str) else "adam", gamma, eta, steps, loss),
                               rtol=1e-11, atol=1e-11)
    first = [run[name].values[0] for name in model.parameters]
    np.testing.assert_allclose(first, np.atleast_1d(model.start), rtol=1e-15)
    assert float(run["excess"][0]) == 1.0


def test_the_invariant_is_an_identity_for_every_target():
    quantity, rest = derive_invariant_of_target()
    assert rest == 0
    s = letters()
    # with y = 0, eta_div K(0) = 4, K = 2 (u1^2 + u2^2)/gamma^2
    (root,) = sympy.solve(quantity.subs(sympy.Symbol("y", real=True), 0), s.eta)
    assert sympy.simplify(root * TwoParameter().kernel(s.u1, s.u2, s.gamma)) == 4


def test_lewkowycz_edges():
    """Target 0 and f = 1 at the start, lazy: 2/lambda_0 and 4/lambda_0."""
    gamma = 1e-3
    first = float(TwoParameter().kernel(1.0, 5e-4, gamma))
    edges = predict(LEWKOWYCZ)
    assert float(edges["eta_crit"](gamma)) * first == pytest.approx(2, rel=1e-5)
    assert float(edges["eta_max"](gamma)) * first == pytest.approx(4, rel=1e-12)
    traced = trace(ToyExperiment(LEWKOWYCZ, steps=20_000, rho=1e-4), [gamma], ["eta_crit", "eta_max", "eta_div"], rtol=1e-4,
                   eta=(1 / first, 8 / first))["eta"].mean("bound").values.ravel()
    np.testing.assert_allclose(traced * first, [2, 4, 4], rtol=1e-3)


@pytest.mark.parametrize(("model", "gamma"), [(TwoParameter((0.5, -0.2), 2.0), 0.3), (OneParameter(2, 3.0), 0.5)])
def test_traced_edges(model, gamma):
    names, edges = ["eta_max", "eta_div"], predict(model)
    predicted = np.array([float(edges[name](gamma)) for name in names])
    traced = trace(ToyExperiment(model, steps=10_000, rho=1e-4), [gamma], names, rtol=1e-4, eta=(predicted[0] / 5, predicted[1] * 3))
    np.testing.assert_allclose(traced["eta"].mean("bound").values.ravel(), predicted, rtol=2e-3)
    least = trace(ToyExperiment(model, steps=1000), [gamma], "eta_min", rtol=1e-4, eta=(predicted[0] / 3000, predicted[0]))
    assert float(least["eta"].mean()) == pytest.approx(float(edges["eta_min"](gamma)), rel=5e-3)


@pytest.mark.parametrize("model", [TwoParameter((0.5, -0.2), 2.0), LEWKOWYCZ, OneParameter(2, 2.0, 0.5), OneParameter(1, 3.0)], ids=repr)
def test_formulas_are_the_numbers(model):
    for name, edge in predict(model).items():
        if hasattr(edge, "expression"):
            number = edge.expression.subs(letters().gamma, sympy.Rational(7, 10))
            assert float(number) == pytest.approx(float(edge(0.7)), rel=1e-12), name
            assert edge.exponent("lazy") == 2


def test_a_start_that_is_too_far_is_reported():
    assert np.isinf(cap_convergence(np.array([1.0]), OneParameter(3, 1.2)))
    assert np.isnan(cap_convergence(np.array([1.0]), OneParameter(3, 9.0)))
    assert np.isnan(predict(OneParameter(3, 9.0))["eta_max"](1.0))


def test_the_papers_start_leaves_descriptions_and_names_as_they_were():
    for model, text in ((OneParameter(3), "OneParameter(depth=3)"), (TwoParameter(), "TwoParameter()")):
        assert repr(model) == text
        assert set(model.describe()) == {"name", "depth"}
        assert type(model)(*([3] if model.depth == 3 else []), start=model.start, target=1.0) == model
    for model in (OneParameter(3, 0.5), OneParameter(1, target=-2.0), TwoParameter((0.5, 1)), LEWKOWYCZ):
        experiment = ToyExperiment(model)
        assert ToyExperiment.of(experiment.describe()) == experiment
        assert eval(repr(model), {"OneParameter": OneParameter, "TwoParameter": TwoParameter}) == model


@pytest.mark.parametrize(("make", "message"), [
    (lambda: OneParameter(2, 0.0), "start must be a point at which the output has a gradient"),
    (lambda: OneParameter(2, float("nan")), "start must be a number"),
    (lambda: OneParameter(2, 1.0, float("inf")), "target must be a number"),
    (lambda: TwoParameter((0, 0)), "start must be a point"), (lambda: TwoParameter((1,)), "start must be two numbers"),
    (lambda: ToyExperiment(OneParameter(1, 2.0)).measure(np.array([1.0]), np.array([0.1])), "start must not be a minimum")])
def test_bad_starts_are_refused(make, message):
    with pytest.raises(Misuse, match=message):
        make()
