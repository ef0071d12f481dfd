"""Losses that end on a floor: the law with a floor covers, no line is fitted to a bend, and no claim fails for want of a floor."""

import os

import numpy as np
import pytest
from scipy.optimize import curve_fit
from scipy.signal import lfilter

from validation import Misuse, fit_loss_slope, judge
from validation.fitting.loss_floor import _quadrature

T = np.arange(1.0, 10001)
PATIENT = pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="minutes; LAZYRICH_PATIENT=1 runs it")


def noisy(rng, floor, b, size, time):
    """E is a share of the power law's fall over all steps; noise of log loss, an AR(1) process."""
    r, loss = np.exp(-1 / time), T**-b
    noise = lfilter([1], [1, -r], np.concatenate([[rng.normal()], np.sqrt(1 - r**2) * rng.normal(size=T.size - 1)]))
    return (loss + floor * (1 - loss[-1])) * np.exp(size * noise)


def test_the_quadrature_is_a_sum_over_steps():
    for count in (1, 5, 8, 9, 40, 3000):
        at, weights = _quadrature(count)
        steps = np.arange(count)
        assert weights @ np.log(1 + at / count) == pytest.approx(np.log(1 + steps / count).mean(), rel=1e-9)
        assert weights @ (at / count) ** 13 == pytest.approx(((steps / count) ** 13).mean(), rel=1e-9)


@pytest.mark.parametrize(("floor", "b"), [(0.02, 0.5), (0.0, 0.5), (0.3, 1.5), (1e-3, 0.2)])
def test_a_law_without_noise_is_found_as_it_is(floor, b):
    law = fit_loss_slope(floor + 3 * T**-b, T, (10, 1e4), floor=True)
    assert law.exponent == pytest.approx(-b, abs=1e-3)
    assert law.floor == pytest.approx(floor, rel=1e-3, abs=1e-5)
    assert law.interval[0] <= law.exponent <= law.interval[1]
    assert law.interval90[0] >= law.interval[0]
    assert law.floor_interval[0] <= law.floor <= law.floor_interval[1]
    np.testing.assert_allclose(law([20.0, 1e6]), floor + 3 * np.array([20.0, 1e6]) ** -b, rtol=1e-3)
    assert "above a floor of" in law.sentence


def test_independent_steps_give_the_interval_of_plain_least_squares():
    rng = np.random.default_rng(5)
    y = np.log(0.05 + T[99:] ** -0.7) + rng.normal(0, 0.02, T[99:].size)
    p, cov = curve_fit(lambda t, a, b, c: np.log(np.exp(a) * t**-b + np.exp(c)), T[99:], y, (0, 0.7, -3))
    law = fit_loss_slope(np.exp(y), T[99:], (100, 1e4), floor=True)
    assert law.exponent == pytest.approx(-p[1], abs=0.5 * np.sqrt(cov[1, 1]))
    assert law.floor == pytest.approx(np.exp(p[2]), rel=0.5 * np.sqrt(cov[2, 2]))
    assert 0.8 < np.ptp(law.interval) / (3.92 * np.sqrt(cov[1, 1])) < 1.6


@pytest.mark.parametrize("method", ["bins", "bootstrap"])
def test_a_floor_that_was_not_subtracted_bends(method):
    for size in (0.0, 0.01, 0.05):
        law = fit_loss_slope(noisy(np.random.default_rng(1), 0.02, 0.5, size, 3), T, (100, 1e4), method=method)
        assert law.outcome == "UNDECIDED"
        assert "the curve bends: its local exponent goes from -0.4" in law.reason
        assert "with a floor E = 0.0" in law.reason
        low, high = law.floor_law.interval()
        assert low <= -0.5 <= high
        assert judge(law, -0.5).outcome == judge(law, -0.3).outcome == "UNDECIDED"


def test_a_fall_that_gets_faster_is_not_explained_by_a_floor():
    law = fit_loss_slope(np.exp(-T / 5000) * T**-0.3, T, (100, 1e4))
    assert law.outcome == "UNDECIDED"
    assert "which no floor explains" in law.reason
    assert fit_loss_slope(T**-0.5 * np.exp(1e-7 * T), T, (100, 1e4)).outcome == "FITTED"      # a drift of 0.001 is no reason


def test_a_floor_that_is_not_seen_spares_the_claim():
    """At this noise the bend is hardly seen: where a line is fitted it excludes -1/2, and only the law with a floor allows it."""
    spared = 0
    for seed in range(12):
        law = fit_loss_slope(noisy(np.random.default_rng(seed), 0.02, 0.5, 0.1, 100), T, (300, 1e4))
        verdict = judge(law, -0.5)
        assert verdict.outcome != "CONTRADICTED"
        spared += "with a floor the exponent is" in verdict.sentence
    assert spared > 0
    law = fit_loss_slope(noisy(np.random.default_rng(0), 0.0, 0.5, 0.01, 3), T, (100, 1e4))
    assert judge(law, -0.9).outcome == "CONTRADICTED"       # a floor makes b larger, not as large as that


@pytest.mark.parametrize(("floor", "b", "size", "time"), [(0.02, 0.5, 0.03, 30), (0.1, 1.2, 0.1, 3), (0.0, 0.8, 0.1, 10)])
def test_the_law_with_a_floor_covers(floor, b, size, time):
    rng, draws = np.random.default_rng(17), 40
    hits = sum(law.interval[0] <= -b <= law.interval[1] for law in
               (fit_loss_slope(noisy(rng, floor, b, size, time), T, (50, 1e4), floor=True) for _ in range(draws)))
    assert hits >= 34          # of 40 at 95%: fewer in one case of 700


@PATIENT
def test_power_laws_are_seldom_found_to_bend():
    rng = np.random.default_rng(3)
    bent = [fit_loss_slope(noisy(rng, 0, rng.uniform(0.2, 1.5), 10 ** rng.uniform(-3, -1), 10 ** rng.uniform(0, 2)), T,
                           (10 ** rng.uniform(0, 2.5), 1e4)).outcome == "UNDECIDED" for _ in range(300)]
    assert np.mean(bent) <= 0.03


def test_misuse_and_too_few_bins():
    with pytest.raises(Misuse, match="method must be"):
        fit_loss_slope(T**-0.5, T, (10, 1e4), method="bootstrap", floor=True)
    assert "5 bins of a fifth of a decade; a floor takes 6" in fit_loss_slope(T**-0.5, T, (1000, 1e4), floor=True).reason
    assert fit_loss_slope(T**-0.5, T, (1000, 1e4)).floor_law is None


@pytest.mark.parametrize("power", [0.3, 0.0])
def test_a_loss_that_does_not_fall_has_no_law_with_a_floor(power):
    t = np.arange(1.0, 2001)
    found = fit_loss_slope(t**power, t, (10, 2000), floor=True)
    assert found.outcome == "UNDECIDED"
    assert "does not fall" in found.reason
    assert fit_loss_slope(t**power, t, (10, 2000)).exponent == pytest.approx(power, abs=1e-9)
