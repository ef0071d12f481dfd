"""What is known of a slope against textbooks, and against the joint density integrated on a grid."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import linregress, multivariate_normal
from scipy.stats import t as student

from validation.fitting.error_model import PRIOR, RHO, Mixture, average_over_errors

SLOPE = np.array([[0.0, 1.0]])


def line(x):
    return np.stack([np.ones_like(x), x - x.mean()], axis=1)


@pytest.mark.parametrize("n", [3, 4, 6, 12, 30])
def test_independent_points_give_students_interval(n):
    rng = np.random.default_rng(n)
    x = np.sort(rng.uniform(0, 2, n))
    y = 0.5 * x + 0.1 * rng.standard_normal(n)
    book = linregress(x, y)
    known, = average_over_errors(x, y, 0.0, line(x), SLOPE, shared=False)
    for level in (0.5, 0.9, 0.95, 0.99):
        half = student.ppf(0.5 + level / 2, n - 2) * book.stderr
        assert known.interval(level) == pytest.approx((book.slope - half, book.slope + half), abs=(0.01 if n == 3 else 1e-3) * half)


@pytest.mark.parametrize("cell", [0.0, 0.4])
def test_the_average_is_that_of_the_joint_density(cell):
    """Slopes, levels, variances and correlations on a grid, with the density written out; no formula is shared."""
    rng = np.random.default_rng(3)
    x = np.arange(6.0)
    y = 0.3 * x + 0.1 * rng.standard_normal(6).cumsum()
    known, = average_over_errors(x, y, cell, line(x), SLOPE)
    slopes, levels = np.linspace(-1.5, 2.1, 361), np.linspace(-8, 9, 171)
    b, a = np.meshgrid(slopes, levels, indexing="ij")
    rest = y - a[..., None] - b[..., None] * (x - x.mean())
    v = np.geomspace(max(cell**2 / 12, 1e-4), 30, 60)
    density = np.zeros(b.shape)
    for rho, prior in zip(RHO, PRIOR, strict=True):
        correlation = rho ** np.abs(np.subtract.outer(x, x)) if rho else np.eye(6)
        for each in v:
            density += prior * multivariate_normal(np.zeros(6), each * correlation).pdf(rest)
    total = density.sum(axis=1).cumsum()
    for q in (0.05, 0.25, 0.5, 0.75, 0.95):
        assert known.quantile(q) == pytest.approx(np.interp(q, total / total[-1], slopes + 0.005), abs=0.012)


def test_correlated_errors_widen_the_interval():
    """Errors that wander along the axis: the independent interval is too narrow, and the data say so."""
    rng = np.random.default_rng(0)
    x = np.linspace(0, 4, 25)
    ratios = []
    for _ in range(20):
        e = rng.standard_normal(25)
        for i in range(1, 25):
            e[i] = 0.8 * e[i - 1] + 0.6 * e[i]
        both = [np.ptp(average_over_errors(x, e, 0.0, line(x), SLOPE, shared)[0].interval(0.95)) for shared in (True, False)]
        ratios.append(both[0] / both[1])
    assert np.median(ratios) > 2


def test_seeds_narrow_it_by_their_number_and_what_they_share_does_not():
    rng = np.random.default_rng(1)
    x = np.linspace(0, 2, 12)
    own, common = [], []
    for _ in range(20):
        seeds = 0.1 * rng.standard_normal((6, 12))
        one, = average_over_errors(x, seeds[0], 0.0, line(x), SLOPE)
        six, = average_over_errors(x, seeds.mean(axis=0), 0.0, line(x), SLOPE, seeds=seeds)
        own.append(np.ptp(six.interval(0.95)) / np.ptp(one.interval(0.95)))
        shared = seeds + 0.2 * rng.standard_normal(12)
        six, = average_over_errors(x, shared.mean(axis=0), 0.0, line(x), SLOPE, seeds=shared)
        common.append(np.ptp(six.interval(0.95)) / np.ptp(one.interval(0.95)))
    assert np.median(own) < 0.5 < 1 < np.median(common)


def test_identical_seeds_say_nothing_of_the_correlation():
    """All seeds in the same cells: their common error is the cell's, however many they are."""
    x = np.linspace(0, 2, 9)
    y = np.floor((2 / 3 * x + 0.03) / 0.1) * 0.1 + 0.05
    widths = [np.ptp(average_over_errors(x, y, 0.1, line(x), SLOPE, seeds=None if n == 1 else np.tile(y, (n, 1)))[0].interval(0.95))
              for n in (1, 2, 5)]
    assert max(widths) < 2 * min(widths)
    assert min(widths) > 0.03


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(-3, 3), st.floats(-5, 5), st.floats(0.01, 100))
def test_an_interval_moves_and_scales_with_the_data(seed, slope, level, factor):
    rng = np.random.default_rng(seed)
    x = np.linspace(0, 3, 8)
    y = rng.standard_normal(8)
    low, high = average_over_errors(x, y, 0.3, line(x), SLOPE)[0].interval(0.9)
    moved = average_over_errors(x * 7 + 1, factor * (y + level + slope * x), 0.3 * factor, line(x * 7 + 1), SLOPE)[0].interval(0.9)
    assert moved == pytest.approx((factor * (low + slope) / 7, factor * (high + slope) / 7), rel=1e-4, abs=1e-5 * factor)


def test_quantiles_of_a_mixture():
    mixture = Mixture(np.array([0.7, 0.3]), np.array([0.0, 10.0]), np.array([1.0, 0.1]))
    assert mixture.below(5.0) == pytest.approx(0.7)
    for q in (1e-4, 0.3, 0.699, 0.701, 0.9999):
        assert mixture.below(mixture.quantile(q)) == pytest.approx(q, abs=1e-5)
    assert Mixture(np.ones(1), np.array([2.0]), np.ones(1)).excludes_zero_at() == pytest.approx(0.9545, abs=1e-4)
