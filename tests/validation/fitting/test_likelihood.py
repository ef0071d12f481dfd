"""The greatest likelihood against an optimizer without derivatives."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr

from validation.fitting.likelihood import Brackets


def likelihood(x, low, high, slope, intercept, sigma):
    """Return the sum of log[Phi(high) - Phi(low)] of the residuals, with the tail on the left."""
    a, b = (low - intercept - slope * x) / sigma, (high - intercept - slope * x) / sigma
    a, b = np.where(a + b > 0, -b, a), np.where(a + b > 0, -a, b)
    return np.sum(log_ndtr(b) + np.log1p(-np.exp(np.minimum(log_ndtr(a) - log_ndtr(b), -1e-15))))


def greatest(x, low, high, least):
    """Return the greatest likelihood by Nelder and Mead; sigma >= least."""
    middle = np.where(np.isfinite(low) & np.isfinite(high), low + high, 2 * np.where(np.isfinite(low), low, high)) / 2
    guess = np.polyfit(x, middle, 1)[0]
    results = []
    for sigma in (least, 0.1, 1.0):
        start = [np.mean(middle - guess * x), np.log(sigma), guess]
        found = minimize(lambda p: -likelihood(x, low, high, p[2], p[0], max(np.exp(p[1]), least)), start,
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
def test_the_climb_ends_at_the_greatest_likelihood(data):
    x, low, high = data
    two = np.isfinite(low) & np.isfinite(high)
    least = 0.05 * np.median((high - low)[two])
    brackets = Brackets(low, high, most=1 / least)
    for start in (np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.5 / least, 1 / least])):
        value, theta = brackets.climb(np.stack([np.ones_like(x), x]), start)
        assert value == pytest.approx(greatest(x, low, high, least), abs=1e-5)
        assert 0 < theta[2] <= brackets.most


def test_a_step_that_would_leave_the_bound_goes_along_it():
    """The likeliest intercept at the least scatter, from a start at that bound where the gradient in tau points inwards."""
    x, low, high = np.linspace(-1, 1, 7), np.r_[0.0, [1] * 6] - 1, np.r_[1.0, [2] * 6] - 1
    for slope in np.linspace(-1, 1, 21):
        brackets = Brackets(low - slope * x, high - slope * x, most=6.5)
        starts = [np.array([0.8, 6.5]), np.array([-3.0, 6.5]), np.array([0.0, 1.0])]
        values = [brackets.climb(np.ones((1, 7)), start)[0] for start in starts]
        assert np.ptp(values) < 1e-6
