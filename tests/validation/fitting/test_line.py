"""Lines through rows of seeds that are incomplete, and through brackets of unequal width."""

import numpy as np
import pytest

from validation import edges_from_brackets, fit

X = np.linspace(0, 2, 9)


def interval(x, y, seed=None, half=0.01, **how):
    found = fit(edges_from_brackets(10**x, 10 ** (y - half), 10 ** (y + half), "eta_max", seed), "eta_max", **how)
    return found.interval


def scattered(rng, seeds, scatter=0.03):
    return np.concatenate([0.5 * X + rng.normal(0, scatter, X.size) for _ in range(seeds)])


@pytest.mark.parametrize("shared", [True, False])
def test_a_seed_of_its_own_at_every_gamma_is_one_row_each(shared):
    y = scattered(np.random.default_rng(0), 1)
    assert interval(X, y, np.arange(9), shared=shared) == pytest.approx(interval(X, y, shared=shared), rel=0.02)
    assert interval(X, y, np.arange(9) % 3) == pytest.approx(interval(X, y), rel=0.02)


def test_a_seed_with_one_row_hardly_widens_the_interval():
    y = scattered(np.random.default_rng(1), 3)
    x, seed = np.tile(X, 3), np.repeat(np.arange(3), 9)
    three = interval(x, y, seed)
    more = interval(np.append(x, X[4]), np.append(y, 0.5 * X[4]), np.append(seed, 3))
    assert np.ptp(more) < 1.5 * np.ptp(three)


def test_a_seed_that_is_absent_everywhere_is_no_seed():
    y = scattered(np.random.default_rng(2), 1)
    edges = edges_from_brackets(10**X, 10 ** (y - 0.01), 10 ** (y + 0.01), "eta_max", np.zeros(9, int))
    absent = edges.assign_coords(seed=[1]).copy(deep=True)
    absent["eta"].values[:] = np.nan
    import xarray as xr

    both = xr.concat([edges.assign_coords(seed=[0]), absent], "seed")
    assert fit(both, "eta_max").interval == pytest.approx(interval(X, y), rel=0.02)


def test_rows_missing_at_random_cover_and_are_no_wider_than_one_whole_seed():
    rng, hits, wide, single = np.random.default_rng(3), 0, [], []
    for _ in range(40):
        y, x, seed = scattered(rng, 4), np.tile(X, 4), np.repeat(np.arange(4), 9)
        kept = rng.random(36) > 0.3
        low, high = interval(x[kept], y[kept], seed[kept])
        hits += low <= 0.5 <= high
        wide.append(high - low)
        single.append(np.ptp(interval(X, y[:9])))
    assert hits >= 36
    assert np.median(wide) < np.median(single)


def test_seeds_whose_slopes_differ_count_as_seeds_though_one_row_is_missing():
    rng, hits = np.random.default_rng(4), 0
    for _ in range(60):
        slopes = rng.normal(0.5, 0.05, 6)
        y = np.concatenate([b * X + rng.normal(0, 0.02, 9) for b in slopes])
        kept = np.arange(54) != rng.integers(54)
        low, high = interval(np.tile(X, 6)[kept], y[kept], np.repeat(np.arange(6), 9)[kept])
        hits += low <= 0.5 <= high
    assert hits >= 53      # 92% less two Monte Carlo errors is 51


def test_gammas_that_differ_in_their_last_digits_are_one():
    y = scattered(np.random.default_rng(5), 2)
    seed = np.repeat([0, 1], 9)
    near = np.concatenate([10**X, np.exp(np.linspace(0, np.log(100), 9))])
    edges = edges_from_brackets(near, 10 ** (y - 0.01), 10 ** (y + 0.01), "eta_max", seed)
    assert edges.sizes["gamma"] == 9
    assert fit(edges, "eta_max").interval == pytest.approx(interval(np.tile(X, 2), y, seed), rel=1e-6)


def test_a_wide_bracket_says_as_little_as_a_censored_one():
    y = 0.5 * X
    half = np.full(9, 0.01)
    exact = interval(X, y, half=half)
    half[4] = 1.0
    assert np.ptp(interval(X, y, half=half)) < 2 * np.ptp(exact)
