"""The surrogate of the loss: against scikit-learn's Gaussian process, its fidelities, and what diverged runs do."""

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from deepnets.tuning.surrogate import (
    APART,
    COMMON,
    DEPTH,
    DEVIATIONS,
    FAR,
    LENGTHS,
    NOISE,
    SATURATION,
    WIDTH,
    Observation,
    Surrogate,
    expect_valley,
    fit_surrogate,
    matern,
    saturate,
)

VALLEY = -0.4
POINTS = np.random.default_rng(0).uniform(-1, 1, (9, 2))
LOSSES = np.exp(np.random.default_rng(1).uniform(-1, 1, 9))


def observe(full, losses=LOSSES):
    return [Observation(tuple(p), bool(f), float(v)) for p, f, v in zip(POINTS, np.broadcast_to(full, 9), losses, strict=True)]


def make_valley(points):
    """The mean of full runs, in scikit-learn's terms a part of the values."""
    return FAR[1] - DEPTH[1] * np.exp(-((points[:, 1] - VALLEY) / WIDTH) ** 2 / 2)


@pytest.mark.parametrize(("length", "deviation"), [(1.0, 1.0), (0.5, 1.5)])
def test_it_is_the_gaussian_process_of_scikit_learn_where_all_runs_are_full(length, deviation):
    kernel = sum((ConstantKernel((deviation * s)**2) * Matern((length * x, length * y), nu=2.5) for s, x, y in (COMMON, APART)),
                 start=WhiteKernel(NOISE**2 + 1e-9))
    process = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(POINTS, saturate(LOSSES) - make_valley(POINTS))
    at = np.random.default_rng(2).uniform(-2, 2, (30, 2))
    mean, deviations = process.predict(at, return_std=True)
    surrogate = Surrogate(observe(True), VALLEY, length, deviation)
    found = surrogate.predict(at)
    assert found[0] == pytest.approx(make_valley(at) + mean, abs=1e-7)
    assert found[1]**2 == pytest.approx(deviations**2 - NOISE**2 - 1e-9, abs=1e-7)      # scikit-learn's is that of a noisy run
    assert surrogate.log_likelihood == pytest.approx(process.log_marginal_likelihood() + 9 / 2 * np.log(2 * np.pi))


def test_the_most_likely_lengths_and_deviations_are_taken():
    """Values drawn from the process itself, rough or smooth; many points, so that the likelihood decides."""
    points = np.random.default_rng(3).uniform(-2, 2, (150, 2))
    for length, deviation in ((1.0, 1.0), (0.5, 1.5)):
        covariance = sum(matern(points, points, deviation * s, length * x, length * y) for s, x, y in (COMMON, APART))
        drawn = np.random.default_rng(4).multivariate_normal(make_valley(points), covariance + NOISE**2 * np.eye(150), method="eigh")
        observations = [Observation(tuple(p), True, 1.0) for p in points]
        candidates = {}
        for factors in ((a, b) for a in LENGTHS for b in DEVIATIONS):
            kernel = sum((ConstantKernel((factors[1] * s)**2) * Matern((factors[0] * x, factors[0] * y), nu=2.5) for s, x, y in
                          (COMMON, APART)), start=WhiteKernel(NOISE**2 + 1e-9))
            candidates[factors] = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(
                points, drawn - make_valley(points)).log_marginal_likelihood()
        assert max(candidates, key=candidates.get) == (length, deviation)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("deepnets.tuning.surrogate.saturate", lambda losses, values=drawn: values)
            fitted = fit_surrogate(observations, VALLEY)
        assert fitted.common == pytest.approx([deviation * COMMON[0], length * COMMON[1], length * COMMON[2]])


def test_the_expected_improvement_is_an_integral_over_the_prediction():
    surrogate = Surrogate(observe(np.arange(9) % 2 == 0), VALLEY)
    at = np.array([[0.1, 0.2], [1.5, -1.0]])
    least = surrogate.values[surrogate.full].min()
    for mean, deviation, found in zip(*surrogate.predict(at), surrogate.expect_improvement(at), strict=True):
        expected = integrate.quad(lambda v, m=mean, d=deviation: (least - v) * stats.norm.pdf(v, m, d), mean - 9 * deviation, least)[0]
        assert found == pytest.approx(expected, abs=1e-8)


def test_short_runs_inform_of_full_ones_but_less_than_full_runs_do():
    short, full = (Surrogate(observe(f), VALLEY).predict(POINTS) for f in (False, True))
    far = Surrogate(observe(False), VALLEY).predict(POINTS + 100)
    assert np.all(full[1] < short[1])
    assert np.all(short[1] < far[1])
    assert far[0] == pytest.approx(FAR[1])
    assert np.corrcoef(short[0], np.log(LOSSES))[0, 1] > 0.9


def test_losses_saturate_and_diverged_runs_count_as_that():
    assert saturate(np.array([2.0, 2.0 * np.exp(0.01), np.inf, 0.0]))[2:] == pytest.approx([SATURATION, 0])
    assert saturate(np.array([2.0, 2.0 * np.exp(0.01)]))[1] == pytest.approx(0.01, rel=0.01)
    assert saturate(7 * LOSSES) == pytest.approx(saturate(LOSSES))      # the unit of the loss does not count
    assert Surrogate(observe(True, np.full(9, np.inf)), VALLEY).values == pytest.approx(SATURATION)
    assert np.isfinite(Surrogate(observe(True, np.where(np.arange(9) < 4, np.inf, LOSSES)), VALLEY).expect_improvement(POINTS)).all()


def test_the_valley_is_where_it_is_expected_and_its_depth_is_that_of_the_fidelity():
    points = np.array([[0.0, VALLEY], [2.0, VALLEY], [0.0, VALLEY + WIDTH], [0.0, 100.0]])
    for fidelity in (0, 1):
        expected = [FAR[fidelity] - DEPTH[fidelity] * share for share in (1, 1, np.exp(-0.5), 0)]
        assert expect_valley(points, np.full(4, bool(fidelity)), VALLEY) == pytest.approx(expected)


def test_the_covariance_is_a_number_of_closed_form():
    r = np.sqrt(5 * (0.3**2 / 0.8**2 + 0.1**2 / 0.35**2))
    expected = 0.49 * (1 + r + r**2 / 3) * np.exp(-r)
    assert matern(np.zeros((1, 2)), np.array([[0.3, 0.1]]), 0.7, 0.8, 0.35).item() == pytest.approx(expected)
