"""Exponents of traced edges against the theory, and the two-parameter divergence to six digits."""

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter
from toymodels.theory import predict
from validation import Plane, assess, fit, judge, locate, trace

PER_DECADE = 6


def measured(model, loss, optimizer, edge, regime, steps=1000):
    """Return the fitted and the predicted slope over the same gammas, on the theory's own window."""
    prediction = predict(model, loss, optimizer)[edge]
    low, high = prediction.window(regime, steps, 0.01)
    low, high = max(low, 1e-6), min(high, 1e6)
    gamma = np.geomspace(low, high, max(5, int(np.log10(high / low) * PER_DECADE)))
    law = fit(trace(ToyExperiment(model, loss, optimizer, steps), gamma, edge), edge, window=(low, high))
    return law, judge(law, prediction)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("depth", [2, 3, 4, 5, 6])
@pytest.mark.parametrize(("edge", "regime"), [("eta_max", "lazy"), ("eta_max", "rich"), ("eta_min", "lazy")])
def test_sgd_exponents(loss, depth, edge, regime):
    law, verdict = measured(OneParameter(depth), loss, "sgd", edge, regime)
    assert law.exponent == pytest.approx(verdict.claimed, abs=0.003)
    assert verdict.claimed == pytest.approx(2 if regime == "lazy" else 2 / depth, abs=0.02)
    assert verdict.outcome == "SUPPORTED"


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_eta_min_is_linear_in_the_rich_regime(depth):
    law, verdict = measured(OneParameter(depth), "mse", "sgd", "eta_min", "rich")
    assert law.exponent == pytest.approx(verdict.claimed, abs=0.003)
    assert law.exponent == pytest.approx(1, abs=0.02)


def test_eta_min_at_two_layers_has_a_logarithm():
    prediction = predict(OneParameter(2))["eta_min"]
    assert prediction.logarithm("rich")
    assert prediction.window("rich") is None
    gamma = np.geomspace(1e3, 1e5, 9)
    law = fit(trace(ToyExperiment(OneParameter(2)), gamma, "eta_min"), "eta_min", window=(1e3, 1e5))
    assert law.exponent == pytest.approx(1.09, abs=0.005)
    assert judge(law, prediction).outcome == "SUPPORTED"
    assert judge(law, 1).outcome != "SUPPORTED"


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("depth", [2, 3, 5])
@pytest.mark.parametrize(("edge", "regime"), [("eta_max", "lazy"), ("eta_max", "rich"), ("eta_min", "lazy"), ("eta_min", "rich")])
def test_signsgd_exponents(loss, depth, edge, regime):
    law, verdict = measured(OneParameter(depth), loss, "signsgd", edge, regime)
    assert law.exponent == pytest.approx(verdict.claimed, abs=0.01)
    assert verdict.claimed == pytest.approx(1 if regime == "lazy" else 1 / depth, abs=0.02)


def test_two_parameter_mse_diverges_where_the_invariant_says():
    gamma = np.geomspace(1e-6, 1e6, 25)
    edges = trace(ToyExperiment(TwoParameter(), steps=10_000), gamma, "eta_div", rtol=1e-8)
    exact = 4 * gamma**2 / (1 + np.sqrt(1 + 4 * gamma**2))      # sqrt(1 + 4 gamma^2) - 1, without its cancellation
    np.testing.assert_allclose(edges["eta"].sel(bound="upper").values[0], exact, rtol=1e-6)
    np.testing.assert_allclose(predict(TwoParameter())["eta_div"](gamma), exact, rtol=1e-12)


def test_a_planted_wrong_exponent_is_contradicted():
    law, _ = measured(OneParameter(5), "mse", "sgd", "eta_max", "rich")
    assert judge(law, 0.5).outcome == "CONTRADICTED"
    assert judge(law, 2 / 3).outcome == "CONTRADICTED"


def test_the_edges_of_a_grid_support_the_theory_too():
    experiment = ToyExperiment(OneParameter(5), "mse")
    plane = Plane.log((1e-5, 1e5), (1e-15, 1e2), per_decade=(10, 20), stagger=True)
    found = assess(locate(experiment.measure(plane.gamma, plane.eta)), predict(experiment.model))
    assert {(a.edge, a.regime) for a in found} == {(e, r) for e in ("eta_min", "eta_max") for r in ("lazy", "rich")}
    assert all(a.verdict.outcome == "SUPPORTED" for a in found)


def test_the_end_of_the_catapults_is_found_however_far_it_is():
    """Between eta_crit ~ gamma^2 and eta_settle nothing trains for twelve decades at gamma = 1e-12."""
    gamma = np.array([1e-12, 1e-9, 1e-6])
    predicted = predict(TwoParameter(), "cross_entropy")
    edges = trace(ToyExperiment(TwoParameter(), "cross_entropy", steps=3000), gamma, ["eta_settle", "eta_max"])
    for name in ("eta_settle", "eta_max"):
        np.testing.assert_allclose(edges["eta"].sel(edge=name, bound="upper"), predicted[name](gamma, 3000), rtol=0.01)
    one = trace(ToyExperiment(OneParameter(2), "cross_entropy"), gamma, "eta_div")
    np.testing.assert_allclose(one["eta"].sel(edge="eta_div", bound="upper"), predict(OneParameter(2), "cross_entropy")["eta_div"](gamma),
                               rtol=0.06)
