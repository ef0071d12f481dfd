"""Curves that fall together in tau = t / gamma^a, and slopes of losses over time."""

import numpy as np
import pytest
import xarray as xr

from validation.arguments import Misuse
from validation.fitting.loss_slope import fit_loss_slope
from validation.fitting.time_collapse import fit_collapse

GAMMA = np.logspace(1, 3, 8)
TIME = np.arange(1, 4001.0)


def planted(a, rng=None, noise=0.0, shift=0.0):
    y = 1 / (1 + ((TIME + shift) / (20 * (GAMMA[:, None] / 30) ** a)) ** 1.5)
    return y if rng is None else y + rng.normal(0, noise, y.shape)


@pytest.mark.parametrize("a", [0.0, 0.36, 1.0])
def test_exact_collapse(a):
    found = fit_collapse(planted(a), TIME, GAMMA)
    assert found.outcome == "FITTED"
    assert found.exponent == pytest.approx(a, abs=2e-3)
    assert found.score < 1e-4
    assert found.interval[0] - 2e-3 <= a <= found.interval[1] + 2e-3
    assert f"a = {found.exponent:.3f}" in found.sentence


def test_units_and_containers_do_not_matter():
    here = fit_collapse(planted(0.5), TIME, GAMMA)
    curves = xr.DataArray(planted(0.5).T, dims=("time", "gamma"))
    there = fit_collapse(curves, TIME * 1e-3, xr.DataArray(GAMMA * 1e4, dims="gamma"))
    assert there.exponent == pytest.approx(here.exponent, abs=1e-4)
    own = fit_collapse(planted(0.5), np.tile(TIME, (8, 1)), GAMMA)
    assert own.exponent == pytest.approx(here.exponent, abs=1e-6)


def test_tau_with_eta():
    """A run at eta = c gamma collapses in eta t / gamma: pass eta t as the time."""
    eta = 1e-2 * GAMMA
    y = 1 / (1 + (TIME * eta[:, None] / (3 * GAMMA[:, None])) ** 2)
    assert fit_collapse(y, TIME * eta[:, None], GAMMA).exponent == pytest.approx(1, abs=2e-3)


def test_interval_covers():
    rng, hits = np.random.default_rng(2), []
    for _ in range(40):
        # each gamma's time unit scatters, as over seeds: the curves, not the steps, are what is independent
        unit = 20 * (GAMMA / 30) ** 0.5 * 10 ** rng.normal(0, 0.05, 8)
        y = 1 / (1 + (TIME / unit[:, None]) ** 1.5) + rng.normal(0, 0.01, (8, TIME.size))
        found = fit_collapse(y, TIME, GAMMA)
        hits.append(found.interval[0] <= 0.5 <= found.interval[1])
    assert np.mean(hits) >= 0.87


def test_curves_may_end_and_few_curves_are_undecided():
    y = planted(0.5)
    y[2, 2000:] = np.nan
    y[3] = np.nan
    found = fit_collapse(y, TIME, GAMMA)
    assert found.gamma.size == 7
    assert found.exponent == pytest.approx(0.5, abs=5e-3)
    y[1:6] = np.nan
    found = fit_collapse(y, TIME, GAMMA)
    assert found.outcome == "UNDECIDED"
    assert "takes 4" in found.reason
    flat = fit_collapse(np.ones((8, TIME.size)), TIME, GAMMA)
    assert flat.outcome == "UNDECIDED"


@pytest.mark.parametrize(("call", "says"), [
    (lambda: fit_collapse(planted(0)[:3], TIME, GAMMA), r"curves must have the shape \(gamma, time\)"),
    (lambda: fit_collapse(planted(0), TIME[:5], GAMMA), "time must have the shape"),
    (lambda: fit_collapse(planted(0), TIME[::-1], GAMMA), "time must be finite and increase"),
    (lambda: fit_collapse(planted(0), TIME, GAMMA[::-1]), "gamma must increase"),
    (lambda: fit_collapse(planted(0), TIME, GAMMA, bounds=(1, 0)), "bounds"),
    (lambda: fit_collapse("x", TIME, GAMMA), "numbers"),
])
def test_collapse_misuse(call, says):
    with pytest.raises(Misuse, match=says):
        call()


def noisy(rng, n, correlation_time, noise, exponent=-0.7):
    t = np.arange(n, dtype=float)
    e = rng.normal(0, 1, n)
    if correlation_time:
        from scipy.signal import lfilter

        r = np.exp(-1 / correlation_time)
        e = lfilter([np.sqrt(1 - r * r)], [1, -r], e)
    with np.errstate(divide="ignore"):
        return t, np.where(t > 0, 3 * np.maximum(t, 1) ** exponent * 10 ** (noise * e), 3.0)


@pytest.mark.parametrize("method", ["bins", "bootstrap"])
def test_an_exact_slope_over_time(method):
    t = np.arange(0, 10001.0)
    found = fit_loss_slope(np.where(t > 0, 2 * np.maximum(t, 1) ** -0.5, 2), t, (10, 1e4), method=method)
    assert found.outcome == "FITTED"
    assert found.exponent == pytest.approx(-0.5, abs=1e-3)
    assert found.prefactor == pytest.approx(2, rel=5e-3)
    assert found.window == (10, 1e4)


@pytest.mark.parametrize("method", ["bins", "bootstrap"])
@pytest.mark.parametrize("correlation_time", [0, 30])
def test_slope_intervals_cover(method, correlation_time):
    rng = np.random.default_rng(3)
    hits, widths = [], []
    for _ in range(150):
        t, loss = noisy(rng, 10001, correlation_time, 0.1)
        found = fit_loss_slope(loss, t, (100, 1e4), method=method, draws=500)
        hits.append(found.interval[0] <= -0.7 <= found.interval[1])
        widths.append(found.interval[1] - found.interval[0])
    assert np.mean(hits) >= 0.91
    assert np.median(widths) < 0.3


def test_loss_slopes_that_are_undecided():
    t = np.arange(0, 10001.0)
    loss = (t + 1) ** -0.5
    assert fit_loss_slope(loss, t, (100, 200)).outcome == "UNDECIDED"
    loss[5000:] = np.inf
    found = fit_loss_slope(loss, t, (100, 1e4))
    assert found.outcome == "UNDECIDED"
    assert "diverges at time 5000" in found.reason


@pytest.mark.parametrize(("loss", "time", "window", "says"), [
    ([1, 2, 3], [1, 2], (1, 2), "one length"),
    ([[1, 2, 3]], [[1, 2, 3]], (1, 2), "one dimension"),
    ([1, 2, 3], [1, 3, 2], (1, 2), "increase strictly"),
    ([1, 2, 3], [1, 2, 3], (5, 6), "window must hold at least two times"),
    ([1, 2, 3], [1, 2, 3], (2, 2), "low < high"),
    ([1, np.nan, 3], [1, 2, 3], (1, 3), "NaN"),
    ([1, -1, 3], [1, 2, 3], (1, 3), "above zero"),
    (["a", "b", "c"], [1, 2, 3], (1, 3), "numbers"),
])
def test_loss_slope_misuse(loss, time, window, says):
    with pytest.raises(Misuse, match=says):
        fit_loss_slope(loss, time, window)
