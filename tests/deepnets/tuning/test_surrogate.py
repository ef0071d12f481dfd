"""The surrogate of the loss: against scikit-learn's Gaussian process, its fidelities, and what diverged runs do."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from deepnets.tuning.surrogate import APART, COMMON, FAR, NOISE, SATURATION, Observation, Surrogate, matern, saturate

POINTS = np.random.default_rng(0).uniform(-1, 1, (9, 2))
LOSSES = np.exp(np.random.default_rng(1).uniform(-1, 1, 9))


def observe(full, losses=LOSSES):
    return [Observation(tuple(p), bool(f), float(v)) for p, f, v in zip(POINTS, np.broadcast_to(full, 9), losses, strict=True)]


def test_it_is_the_gaussian_process_of_scikit_learn_where_all_runs_are_full():
    kernel = sum((ConstantKernel(d**2) * Matern((x, y), nu=2.5) for d, x, y in (COMMON, APART)), start=WhiteKernel(NOISE**2 + 1e-9))
    process = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(POINTS, saturate(LOSSES) - FAR)
    at = np.random.default_rng(2).uniform(-2, 2, (30, 2))
    mean, deviation = process.predict(at, return_std=True)
    found = Surrogate(observe(True)).predict(at)
    assert found[0] == pytest.approx(FAR + mean, abs=1e-7)
    assert found[1]**2 == pytest.approx(deviation**2 - NOISE**2 - 1e-9, abs=1e-7)      # scikit-learn's is that of a noisy run


def test_the_expected_improvement_is_an_integral_over_the_prediction():
    surrogate = Surrogate(observe(np.arange(9) % 2 == 0))
    at = np.array([[0.1, 0.2], [1.5, -1.0]])
    least = surrogate.values[surrogate.full].min()
    for mean, deviation, found in zip(*surrogate.predict(at), surrogate.expect_improvement(at), strict=True):
        expected = integrate.quad(lambda v, m=mean, d=deviation: (least - v) * stats.norm.pdf(v, m, d), mean - 9 * deviation, least)[0]
        assert found == pytest.approx(expected, abs=1e-8)


def test_short_runs_inform_of_full_ones_but_less_than_full_runs_do():
    short, full = (Surrogate(observe(f)).predict(POINTS) for f in (False, True))
    far = Surrogate(observe(False)).predict(POINTS + 100)
    assert np.all(full[1] < short[1])
    assert np.all(short[1] < far[1])
    assert far[0] == pytest.approx(FAR)
    assert np.corrcoef(short[0], np.log(LOSSES))[0, 1] > 0.9


def test_losses_saturate_and_diverged_runs_count_as_that():
    assert saturate(np.array([2.0, 2.0 * np.exp(0.01), np.inf, 0.0]))[2:] == pytest.approx([SATURATION, 0])
    assert saturate(np.array([2.0, 2.0 * np.exp(0.01)]))[1] == pytest.approx(0.01, rel=0.01)
    assert saturate(7 * LOSSES) == pytest.approx(saturate(LOSSES))      # the unit of the loss does not count
    assert Surrogate(observe(True, np.full(9, np.inf))).values == pytest.approx(SATURATION)
    assert np.isfinite(Surrogate(observe(True, np.where(np.arange(9) < 4, np.inf, LOSSES))).expect_improvement(POINTS)).all()


def test_the_covariance_is_a_number_of_closed_form():
    r = np.sqrt(5 * (0.3**2 / 0.8**2 + 0.1**2 / 0.35**2))
    expected = 0.49 * (1 + r + r**2 / 3) * np.exp(-r)
    assert matern(np.zeros((1, 2)), np.array([[0.3, 0.1]]), 0.7, 0.8, 0.35).item() == pytest.approx(expected)
