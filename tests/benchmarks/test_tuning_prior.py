"""What the surrogate of `deepnets.tune` expects is what makes the known planes most likely."""

import numpy as np
import pytest
from scipy import stats

from deepnets.tuning.surrogate import VALLEY, matern
from tests.benchmarks.tuning_prior import Sample, collect_constants, compute_loss, draw_samples
from tests.benchmarks.tuning_regret import KNOWN_CASES, read_planes


@pytest.fixture(scope="module")
def samples():
    return draw_samples(read_planes(KNOWN_CASES))


def test_a_constant_that_is_a_fifth_larger_or_smaller_makes_the_planes_less_likely(samples):
    stored = collect_constants()
    least, linear = compute_loss(stored, samples), 7      # from there on they are logarithms
    for i in range(len(stored)):
        for factor in (0.8, 1.25):
            changed = stored.copy()
            changed[i] = stored[i] * factor if i < linear else stored[i] + np.log(factor)
            assert compute_loss(changed, samples) > least


def test_the_likelihood_is_that_of_a_normal_distribution():
    points = np.random.default_rng(0).uniform(-1, 1, (3, 2))
    sample = Sample(2, points, np.random.default_rng(1).normal(1, 0.2, 6))
    constants = collect_constants()
    far, depth, width = constants[0:2], constants[2:4], constants[6]
    common, apart, noise = np.exp(constants[7:10]), np.exp(constants[10:13]), np.exp(constants[13])
    mean = [far[f] - depth[f] * np.exp(-((y - VALLEY[2]) / width) ** 2 / 2) for f in (1, 0) for y in points[:, 1]]
    twice = np.vstack([points, points])
    full = np.repeat([1.0, 0.0], 3)
    covariance = matern(twice, twice, *common) + np.outer(full, full) * matern(twice, twice, *apart) + (noise**2 + 1e-8) * np.eye(6)
    expected = -stats.multivariate_normal(mean, covariance).logpdf(sample.excess) - 3 * np.log(2 * np.pi)
    assert compute_loss(constants, [sample]) == pytest.approx(expected / 6)
