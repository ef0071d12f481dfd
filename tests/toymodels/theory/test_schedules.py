"""Edges under a schedule, and heavy ball's with two parameters: predicted against traced."""

import pickle

import numpy as np
import pytest

from toymodels import Factors, HeavyBall, Model, OneParameter, ToyExperiment, TwoParameter, WarmupCosine, predict
from toymodels.theory import heavy_ball, letters
from toymodels.theory.absence import explain_absence
from validation import assess_curves, trace
from validation.arguments import Misuse

STEPS = 1000


def ratio(model, loss, optimizer, schedule, edge, gamma, steps=STEPS, rho=0.01):
    edges = trace(ToyExperiment(model, loss, optimizer, steps, schedule, rho), gamma, edge, rtol=1e-6)
    return edges["eta"].mean("bound").values.ravel() / predict(model, loss, optimizer, schedule)[edge](gamma, steps, rho)


@pytest.mark.parametrize("schedule", [WarmupCosine(), WarmupCosine(0.3), np.linspace(2, 0, STEPS),
                                      np.random.default_rng(0).uniform(size=STEPS)], ids=["5%", "30%", "decay", "random"])
def test_time_is_the_sum_of_the_factors(schedule):
    np.testing.assert_allclose(ratio(TwoParameter(), "cross_entropy", "sgd", schedule, "eta_min", [1e-6, 1.0, 1e4]), 1, atol=0.005)


OTHERS = [(OneParameter(3), "signsgd"), (TwoParameter(), HeavyBall(0.99)), (OneParameter(3), "adam")]


@pytest.mark.parametrize(("model", "optimizer"), OTHERS)
def test_other_optimizers_under_a_schedule(model, optimizer):
    np.testing.assert_allclose(ratio(model, "cross_entropy", optimizer, "warmup_cosine", "eta_min", [1e-6, 1e-4]), 1, atol=1e-3)


def test_a_constant_array_is_the_constant_schedule():
    for model, optimizer in (*OTHERS, (OneParameter(3), "sgd"), (TwoParameter(), "signsgd")):
        edges = [predict(model, "cross_entropy", optimizer, s)["eta_min"](1e-3, 50) for s in ("constant", [1.0] * 50)]
        np.testing.assert_allclose(edges[1], edges[0], rtol=1e-7)


def test_the_judge_takes_the_schedule_from_the_description():
    from toymodels.cli import theory_of

    experiment = ToyExperiment(TwoParameter(), "cross_entropy", steps=STEPS, schedule=np.linspace(2, 0, STEPS))
    title, predictions = theory_of(experiment.describe())
    edges = trace(experiment, np.geomspace(1e-4, 1e3, 6), "eta_min", rtol=1e-3)
    [verdict] = assess_curves(edges, predictions)
    assert verdict.outcome == "SUPPORTED"
    assert list(predictions) == ["eta_min"]
    assert "schedule" in title


def test_the_formula_has_the_sum_in_it():
    edge, s = predict(OneParameter(2), "mse", "sgd", [1.0, 0.5, 0.5])["eta_min"], letters()
    number = edge.expression.subs({s.gamma: 0.7, s.T: 3, s.rho: 0.01})
    assert float(number) == pytest.approx(float(edge(0.7, 3)), rel=1e-12)
    assert "N(T)" in edge.latex()


@pytest.mark.parametrize("options", [{}, {"schedule": "warmup_cosine"}, {"noise": 0.1}, {"optimizer": HeavyBall(0.5)},
                                     {"optimizer": "signsgd", "schedule": "warmup_cosine"}])
def test_an_edge_is_sent_to_another_process(options):
    for loss in ("mse", "cross_entropy"):
        for edge in predict(OneParameter(3), loss, **options).values():
            before = edge.prefactor("lazy")
            again = pickle.loads(pickle.dumps(edge))
            assert again(1e-3, 100) == edge(1e-3, 100)
            assert again.prefactor("lazy") == before


def test_an_own_model_under_a_schedule():
    import sympy

    w, gamma = sympy.symbols("w gamma", positive=True)
    own = predict(Model((w**3 - 1) / gamma, {w: 1}), "mse", "sgd", "warmup_cosine")
    built_in = predict(OneParameter(3), "mse", "sgd", "warmup_cosine")
    np.testing.assert_allclose(own["eta_min"]([1e-3, 10.0]), built_in["eta_min"]([1e-3, 10.0]), rtol=1e-9)
    assert list(own) == ["eta_min"]
    assert own["eta_min"].exponent("rich") == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("factors", [[], [[1.0]], [1.0, -1.0], [0.0, 0.0], [float("nan")], [1.0] * 5])
def test_bad_factors_are_refused(factors):
    with pytest.raises(Misuse, match="schedule must hold"):
        ToyExperiment(OneParameter(1), steps=4, schedule=factors)


def test_factors_are_stored_and_read_back():
    experiment = ToyExperiment(OneParameter(1), steps=(2, 3), schedule=[0.1, 1 / 3, 2])
    assert ToyExperiment.of(experiment.describe()) == experiment
    assert experiment.schedule == Factors((0.1, 1 / 3, 2.0))


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.99])
def test_the_transient_overshoot_ends_the_catapult_free_rates(beta):
    kappa = heavy_ball.solve_overshoot_rate(beta)

    def overshoots(kappa):
        x, before = 1.0, 1.0
        most = 0.0
        for _ in range(2000):
            x, before = (1 + beta - kappa) * x - beta * before, x
            most = max(most, abs(x))
        return most > 1 + 1e-12

    assert overshoots(kappa * (1 + 1e-8))
    assert not any(overshoots(kappa * k) for k in (1 - 1e-8, 0.999, 0.9, 0.5, 0.1))
    if beta == 0.9:
        found = ratio(TwoParameter(), "mse", HeavyBall(beta), "constant", "eta_crit", [1e-5, 1e-3], 3000, 1e-4)
        np.testing.assert_allclose(found, 1, atol=1e-4)


def test_absent_edges_have_a_reason():
    [reason] = explain_absence(OneParameter(3), ToyExperiment(OneParameter(3)).loss, HeavyBall(0.5), WarmupCosine())
    assert reason.startswith("eta_crit, eta_max and eta_div are not predicted under a schedule")
    for model in (OneParameter(2), TwoParameter()):
        for loss in ("mse", "cross_entropy"):
            for optimizer in ("momentum", "adam"):
                experiment = ToyExperiment(model, loss, optimizer)
                absent = {"eta_max"} - set(predict(model, loss, optimizer))
                reasons = " ".join(explain_absence(model, experiment.loss, experiment.optimizer))
                assert all(name in reasons for name in absent)
