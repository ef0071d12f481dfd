"""Regression on points with known errors and on brackets: against other libraries, closed forms, and the likelihood itself."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import linregress, norm
from scipy.stats import t as student

from validation.fitting.best_rate_law import relate_phases
from validation.fitting.known_errors import Estimate, PointsAndBrackets

SLOPE = np.array([[0.0, 1.0]])


def line(x):
    return np.stack([np.ones_like(x), x - x.mean()], axis=1)


def points(x, y, error=0.0, grid=None):
    open_end = np.full(x.size, np.inf)
    return PointsAndBrackets(x, y, np.broadcast_to(error, x.shape).astype(float), -open_end, open_end,
                             np.zeros((x.size,) * 2) if grid is None else grid)


def test_points_of_unknown_error_have_the_interval_of_least_squares():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 2, 7))
    y = 1 - 0.5 * x + rng.normal(0, 0.1, 7)
    known = linregress(x, y)
    _, scatter, [slope] = points(x, y, 1e-6).estimate(line(x), SLOPE)
    assert slope.value == pytest.approx(known.slope)
    assert slope.half_width(0.95) == pytest.approx(student.ppf(0.975, 5) * known.stderr, rel=1e-5)
    rest = y - known.intercept - known.slope * x
    assert scatter == pytest.approx(np.sqrt(rest @ rest / 5), rel=1e-4)


def test_the_scatter_is_what_the_errors_leave():
    """Equal errors s: the scatter is sqrt(mean square - s^2), or none; the interval is least squares' whatever s is."""
    x = np.arange(6.0)
    y = np.array([0.1, -0.1, 0.1, -0.1, 0.1, -0.1])
    rest = y - np.polyval(np.polyfit(x, y, 1), x)
    mean2 = rest @ rest / 4
    for s in (0.02, 0.05, 0.2):
        _, scatter, [slope] = points(x, y, s).estimate(line(x), SLOPE)
        assert scatter == pytest.approx(np.sqrt(max(mean2 - s**2, 0)), abs=1e-5)
        assert slope.by_scatter == pytest.approx(linregress(x, y).stderr, rel=1e-4)


def test_intervals_cover_whether_errors_or_scatter_dominate():
    rng = np.random.default_rng(1)
    x, hits = np.arange(6.0), []
    for _ in range(600):
        error = 0.1 * 10 ** rng.uniform(-0.5, 0.5, 6)
        y = 0.3 * x + rng.normal(0, error) + rng.normal(0, rng.choice([0.0, 0.03, 0.3]), 6)
        low, high = points(x, y, error).estimate(line(x), SLOPE)[2][0].interval(0.95)
        hits.append(low <= 0.3 <= high)
    assert 0.93 <= np.mean(hits) <= 0.98


def test_what_the_grid_causes_cancels_at_one_phase_and_drifts_with_it():
    x, y = np.arange(5.0), np.array([0.0, 0.01, -0.01, 0.01, 0.0])
    alike = relate_phases(np.full(5, 0.2), np.full(5, 0.05))
    assert points(x, y, 1e-6, alike).estimate(line(x), SLOPE)[2][0].by_grid == pytest.approx(0, abs=1e-9)
    phase = 0.05 * x                                                     # a fifth of a step over all: about linear in x
    drifting = points(x, y, 1e-6, relate_phases(phase, np.full(5, 0.05))).estimate(line(x), SLOPE)[2][0].by_grid
    assert drifting == pytest.approx(0.05 * 2 * np.pi * 0.05, rel=0.1)
    assert not relate_phases(np.array([np.nan, 0.1]), np.array([np.nan, 1.0]))[0].any()


def test_brackets_enter_by_their_likelihood():
    """Against a general optimizer of the same likelihood, at the scatter that the points show."""
    x = np.arange(7.0)
    place = np.array([0.1, np.nan, -0.1, 0.12, np.nan, np.nan, -0.05])
    lower = np.array([-np.inf, 0.2, -np.inf, -np.inf, -0.6, -np.inf, -np.inf])
    upper = np.array([np.inf, 0.5, np.inf, np.inf, -0.2, -0.1, np.inf])
    rows = PointsAndBrackets(x, place, np.full(7, 0.05), lower, upper, np.zeros((7, 7)))
    coefficients, scatter, [slope] = rows.estimate(line(x), SLOPE)
    sd = np.hypot(scatter, 0.05)

    def loss(c):
        curve = line(x) @ c
        seen = np.isfinite(place)
        inside = norm.logcdf((upper - curve) / sd)[~seen]
        both = norm.cdf((upper - curve) / sd) - norm.cdf((lower - curve) / sd)
        return -norm.logpdf(place[seen], curve[seen], sd).sum() - np.where(np.isfinite(lower[~seen]), np.log(both[~seen]), inside).sum()

    found = minimize(loss, coefficients, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    assert coefficients == pytest.approx(found.x, abs=1e-5)
    alone = points(x[np.isfinite(place)], place[np.isfinite(place)], 0.05)
    assert slope.value < alone.estimate(line(alone.x), SLOPE)[2][0].value      # the bracket at the top left and that at the right turn it


def test_a_wide_bracket_reports_nothing_and_a_distant_one_does_not_break_the_climb():
    x, y = np.arange(6.0), np.array([0.0, 0.1, -0.1, 0.0, 0.1, np.nan])
    for low, high in ((-50.0, 50.0), (-np.inf, 60.0)):
        rows = PointsAndBrackets(x, y, np.full(6, 0.1), np.r_[np.zeros(5), low], np.r_[np.zeros(5), high], np.zeros((6, 6)))
        slope = rows.estimate(line(x), SLOPE)[2][0]
        assert slope.value == pytest.approx(np.polyfit(x[:5], y[:5], 1)[0], abs=1e-6)
    far = PointsAndBrackets(x, y, np.full(6, 0.01), np.r_[np.zeros(5), 40.0], np.r_[np.zeros(5), np.inf], np.zeros((6, 6)))
    assert np.isfinite(far.estimate(line(x), SLOPE)[2][0].half_width(0.95))


def test_the_level_that_excludes_zero_is_that_whose_interval_ends_there():
    estimate = Estimate(0.3, 0.05, 0.05, 4)
    level = estimate.excludes_zero_at()
    assert estimate.interval(level)[0] == pytest.approx(0, abs=1e-9)
    assert Estimate(1.0, 0.0, 0.0, 3).excludes_zero_at() == pytest.approx(1, abs=1e-8)
    assert Estimate(0.0, 0.1, 0.0, 3).excludes_zero_at() == pytest.approx(0, abs=1e-6)
