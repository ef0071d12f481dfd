"""Predicted edges against traced ones, at a few gammas; `toymodels.edge_accuracy` has them all."""

import mpmath
import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter
from toymodels.edge_accuracy import Line, compare_all, list_lines
from toymodels.edge_accuracy import trace_over_prediction as ratio
from toymodels.losses import as_loss
from toymodels.optimizers import HeavyBall
from toymodels.theory import catapult_edges, heavy_ball, predict
from toymodels.theory.losses import solve_excess_root
from validation import assess, assess_curves, trace


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(1), OneParameter(2), OneParameter(6), TwoParameter()], ids=repr)
def test_eta_min(model, loss):
    np.testing.assert_allclose(ratio(model, loss, "sgd", "eta_min", [1e-6, 1.0, 1e4], 1_000, 0.01), 1, atol=0.005)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_eta_max_of_one_parameter(depth, loss):
    np.testing.assert_allclose(ratio(OneParameter(depth), loss, "sgd", "eta_max", [1e-6, 1.0, 1e4], 10_000, 1e-4), 1, atol=0.003)


def test_two_parameters_mse():
    two = TwoParameter()
    np.testing.assert_allclose(ratio(two, "mse", "sgd", "eta_div", [1e-6, 0.5, 1e6], 10_000, 1e-4), 1, atol=1e-5)
    np.testing.assert_allclose(ratio(two, "mse", "sgd", "eta_max", [1e-3, 0.5, 1e6], 10_000, 1e-4), 1, atol=1e-3)
    np.testing.assert_allclose(ratio(two, "mse", "sgd", "eta_crit", [1e-6, 0.03, 30.0, 1e6], 10_000, 1e-4), 1, atol=2e-3)
    # in between gradient flow's minimum is not the one that is reached: a finding
    np.testing.assert_allclose(ratio(two, "mse", "sgd", "eta_crit", [1.0], 10_000, 1e-4), 1.41, atol=0.01)


def test_two_parameters_cross_entropy():
    two = TwoParameter()
    np.testing.assert_allclose(ratio(two, "cross_entropy", "sgd", "eta_max", [1e-5, 1e-3], 30_000, 0.01), 1, atol=0.01)
    np.testing.assert_allclose(ratio(two, "cross_entropy", "sgd", "eta_max", [1.0, 1e3], 10_000, 1e-4), 1, atol=0.003)
    for rho in (0.1, 0.01, 1e-4):
        np.testing.assert_allclose(ratio(two, "cross_entropy", "sgd", "eta_settle", [1e-5, 1e-4], 10_000, rho), 1, atol=0.01)


def test_the_catapult_ends_at_the_growth_balance_the_nearer_the_longer():
    gamma, edges = [1e-5], []
    for steps in (1_000, 30_000):
        experiment = ToyExperiment(TwoParameter(), "cross_entropy", steps=steps)
        found = trace(experiment, gamma, "eta_div", rtol=1e-4, eta=(1e-5, 1e-4), per_decade=100)
        edges.append(float(found["eta"].mean() / 1e-5) - catapult_edges.solve_growth_balance())
    assert edges[0] > 10 * edges[1] > 0


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(3), TwoParameter()], ids=repr)
def test_signsgd(model, loss):
    gamma = [1e-6, 1.0, 1e6]
    np.testing.assert_allclose(ratio(model, loss, "signsgd", "eta_min", gamma, 1_000, 0.01), 1, atol=1e-5)
    above = ratio(model, loss, "signsgd", "eta_max", gamma, 1_000, 0.01)
    assert (above >= 1).all()     # a bound: below it every run ends inside rho
    assert (above < 1.25).all()


@pytest.mark.parametrize("beta", [0.5, 0.9])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_heavy_ball_where_gamma_is_small(depth, beta):
    for edge in ("eta_min", "eta_max"):
        np.testing.assert_allclose(ratio(OneParameter(depth), "mse", HeavyBall(beta), edge, [1e-6, 0.02], 10_000, 1e-4), 1, atol=0.005)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(2), TwoParameter()], ids=repr)
@pytest.mark.parametrize(("beta", "steps"), [(0.9, 100), (0.99, 300), (0.99, 1000), (0.999, 1000)])
def test_heavy_ball_of_a_lazy_model_at_any_time(beta, steps, model, loss):
    """Also where momentum's memory 1/(1 - beta) is as long as the run, which then swings through the minimum."""
    np.testing.assert_allclose(ratio(model, loss, HeavyBall(beta), "eta_min", [1e-6, 1e-3], steps, 0.01), 1, atol=1e-3)


@pytest.mark.parametrize(("steps", "rho", "beta"), [(5000, 0.9985, 0.99), (1000, 0.9, 0.999), (20_000, 0.5, 0.9), (3000, 1e-4, 0.95)])
def test_heavy_balls_least_rate_solves_the_recursion_in_forty_digits(steps, rho, beta):
    rate = heavy_ball.solve_rate(steps, rho, as_loss("mse"), beta)
    with mpmath.workdps(40):
        kappa, memory = mpmath.mpf(rate), mpmath.mpf(beta)
        step = mpmath.matrix([[1 + memory - kappa, -memory], [1, 0]])
        excess = sum((step**steps)[0, :]) ** 2
        assert abs(excess - rho) < 1e-8 * (1 - rho)      # 1 - rho is nearly proportional to kappa where x has hardly moved


def test_the_judge_supports_heavy_balls_edge_where_its_memory_is_a_tenth_of_the_time():
    model, optimizer = OneParameter(2), HeavyBall(0.99)
    prediction = predict(model, "mse", optimizer)
    edges = trace(ToyExperiment(model, "mse", optimizer), np.geomspace(1e-6, 10, 15), "eta_min", rtol=1e-4)
    (exponent,) = assess(edges, prediction)
    (curve,) = assess_curves(edges, prediction)
    assert exponent.verdict.outcome == curve.outcome == "SUPPORTED"
    assert curve.sentence.startswith("eta_min, gamma 1e-06 to 3.16 (covers 14 of 15 gammas with an edge)")      # at 10 the lag is too long


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_heavy_ball_beyond_the_lazy_limit_to_first_order_in_its_memory(loss):
    departures = []
    for steps in (100, 1000):
        departure = ratio(OneParameter(2), loss, HeavyBall(0.9), "eta_min", [1.0, 1e4], steps, 0.01) - 1
        assert np.isnan(departure[1]) == (steps == 100)      # the lag is beyond a tenth of T
        assert np.nanmax(np.abs(departure)) < 0.06
        departures.append(abs(departure[0]))
    assert departures[1] < departures[0] / 30      # ten times longer: of second order


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("beta", "steps"), [(0.0, 1), (0.0, 50), (0.9, 7), (0.99, 300)])
def test_the_least_rate_of_the_linear_problem_by_a_plain_loop(beta, steps, loss):
    loss = as_loss(loss)
    target = solve_excess_root(loss, 0.01)

    def reaches(kappa):
        delta, m = 1.0, 0.0
        for _ in range(steps):
            m = beta * m - float(loss.slope(np.float64(1 - delta)))
            delta -= kappa * m
            if delta <= target:
                return True
        return False

    kappa = heavy_ball.solve_rate(steps, 0.01, loss, beta)
    assert reaches(kappa * (1 + 1e-8))
    assert not any(reaches(kappa * x) for x in (1 - 1e-8, 0.99, 0.7, 0.4, 0.1))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(1), OneParameter(5), TwoParameter()], ids=repr)
def test_adam_where_gamma_is_small(model, loss):
    for steps, rho in ((300, 0.05), (2_000, 0.01)):
        np.testing.assert_allclose(ratio(model, loss, "adam", "eta_min", [1e-6, 5e-3], steps, rho), 1, atol=0.01)


def test_divergence_of_two_layers():
    np.testing.assert_allclose(ratio(OneParameter(2), "mse", "sgd", "eta_div", [1e-6, 1.0, 1e6], 10_000, 1e-4), 1, atol=1e-4)
    np.testing.assert_allclose(ratio(OneParameter(2), "cross_entropy", "sgd", "eta_div", [1e-4, 0.1], 10_000, 1e-4), 1, atol=0.01)


def test_the_table_reports_a_row_out_of_tolerance(monkeypatch):
    """The page of the theory is not built if a row departs by more than its tolerance; a finding has none."""
    found = [Line(OneParameter(2), "mse", "sgd", "eta_max", (1e-3, 1e-2), 1_000, 1e-4, tolerance) for tolerance in (0.003, 1e-9, None)]
    monkeypatch.setattr("toymodels.edge_accuracy.list_lines", lambda: found)
    with pytest.raises(ArithmeticError, match="1 rows are out of tolerance") as failed:
        compare_all()
    rows = [row for row in str(failed.value).splitlines() if row.startswith("| OneParameter")]
    assert [row.split("|")[-3:-1] for row in rows] == [[" 0.003 ", " yes "], [" 1e-09 ", " **no** "], [" finding ", "  "]]
    found.pop(1)
    assert compare_all().endswith("0 rows are out of tolerance.")


def test_every_edge_of_the_theory_is_in_the_table():
    assert {line.edge for line in list_lines()} == {"eta_min", "eta_max", "eta_crit", "eta_settle", "eta_div"}
