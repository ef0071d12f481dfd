"""The likelihood's profile against an optimizer without derivatives."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr, stdtrit

from validation.fitting.likelihood import LEAST_SCATTER, Brackets, fit_line


def likelihood(x, low, high, slope, intercept, sigma):
    """Return the sum of log[Phi(high) - Phi(low)] of the residuals, with the tail on the left."""
    a, b = (low - intercept - slope * x) / sigma, (high - intercept - slope * x) / sigma
    a, b = np.where(a + b > 0, -b, a), np.where(a + b > 0, -a, b)
    return np.sum(log_ndtr(b) + np.log1p(-np.exp(np.minimum(log_ndtr(a) - log_ndtr(b), -1e-15))))


def greatest(x, low, high, least, slope=None):
    """Return the greatest likelihood by Nelder and Mead, for a given slope or for any; sigma >= least."""
    middle = np.where(np.isfinite(low) & np.isfinite(high), low + high, 2 * np.where(np.isfinite(low), low, high)) / 2
    guess = np.polyfit(x, middle, 1)[0] if slope is None else slope
    results = []
    for sigma in (least, 0.1, 1.0):
        start = [np.mean(middle - guess * x), np.log(sigma)] + ([guess] if slope is None else [])
        found = minimize(lambda p: -likelihood(x, low, high, p[2] if slope is None else slope, p[0], max(np.exp(p[1]), least)), start,
                         method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000})
        results.append(-found.fun)
    return max(results)


def cells(seed):
    """Return an edge on a grid: scatter from none to a cell, cells of 0.05 to 1 decades, some rows censored."""
    rng = np.random.default_rng(seed)
    n, cell, scatter = rng.integers(5, 15), rng.choice([0.05, 0.2, 1.0]), rng.choice([0, 0.05, 0.3])
    x = np.linspace(0, 2, n)
    low = np.floor((0.66 * x + rng.normal(0, scatter, n) + rng.uniform(0, cell)) / cell) * cell
    high = low + cell
    if seed % 3 == 0:
        low[0] = -np.inf
    return x, low, high


# the second is one step up a lattice of wide cells: along it the likeliest scatter lies at its bound over a wide range of slopes
@pytest.mark.parametrize("data", [*map(cells, range(8)), (np.linspace(0, 1, 7), np.r_[0.0, [1] * 6], np.r_[1.0, [2] * 6])])
def test_the_ends_of_the_interval_are_where_the_profile_has_fallen_by_its_cut(data):
    x, low, high = data
    two = np.isfinite(low) & np.isfinite(high)
    line = fit_line(x, low, high, (0.95,))
    t = stdtrit(two.sum() - 2, 0.975)
    cut = x.size * np.log1p(t * t / (two.sum() - 2))
    reached = []
    for floor in LEAST_SCATTER:
        least = floor * np.median((high - low)[two])
        top = greatest(x, low, high, least)
        reached.append([2 * (top - greatest(x, low, high, least, end)) / cut for end in line.intervals[0.95]])
    # the hull of the two: on each side the profile of one is at its cut, and that of neither has passed it inside
    lowest = np.min(reached, axis=0)
    assert np.all(lowest >= 0.97), reached
    feasible = max((low[j] - high[i]) / (x[j] - x[i]) for j in range(x.size) for i in range(j)), min(
        (high[j] - low[i]) / (x[j] - x[i]) for j in range(x.size) for i in range(j))
    for side in (0, 1):
        at_feasible = feasible[0] < feasible[1] and line.intervals[0.95][side] == pytest.approx(feasible[side], abs=1e-9)
        assert lowest[side] <= 1.03 or at_feasible, reached


def test_a_step_that_would_leave_the_bound_goes_along_it():
    """The likeliest intercept at the least scatter, from a start at that bound where the gradient in tau points inwards."""
    x, low, high = np.linspace(-1, 1, 7), np.r_[0.0, [1] * 6] - 1, np.r_[1.0, [2] * 6] - 1
    brackets = Brackets(low, high, most=6.5)
    for slope in np.linspace(-1, 1, 21):
        starts = [np.array([0.8, 6.5]), np.array([-3.0, 6.5]), np.array([0.0, 1.0])]
        values = [brackets.climb(np.ones((1, 7)), start, shift=slope * x)[0] for start in starts]
        assert np.ptp(values) < 1e-6
