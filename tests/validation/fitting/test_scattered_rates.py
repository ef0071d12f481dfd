"""Best rates in bins of x: a planted law is found whatever the curve's own shape, and none where there is nothing to find."""

import numpy as np
import pytest

from validation.fitting.scattered_rates import find_binned_rates, split_evenly

SHAPES = {"parabola": lambda u: u**2, "exponential": lambda u: np.exp(u) - u - 1, "corner": lambda u: np.where(u < 0, -0.5 * u, 1.5 * u)}


def search(shape, exponent=-0.5, runs=400, noise=0.01, tilt=0.0, seed=0):
    rng = np.random.default_rng(seed)
    x, rate = rng.uniform(2, 4, runs), rng.uniform(-3, 1, runs)
    best = -1 + exponent * (x - 3)
    return x, rate, SHAPES[shape](rate - best) + tilt * x + rng.normal(0, noise, runs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("exponent", [-0.7, 0.0, 0.4])
def test_a_planted_law_is_found(shape, exponent):
    x, rate, loss = search(shape, exponent, tilt=-0.3)
    found = find_binned_rates(x, rate, loss, split_evenly(x, 6))
    assert found.exponent == pytest.approx(exponent, abs=0.05)
    slope = np.polyfit(found.centre, found.place, 1)[0]
    assert slope == pytest.approx(found.exponent, abs=0.01)
    if shape == "parabola":
        assert found.place == pytest.approx(-1 + exponent * (found.centre - 3), abs=4 * found.error.max())


def test_the_errors_are_those_of_repeated_noise():
    places, errors = [], []
    for seed in range(40):
        x, rate, loss = search("parabola", noise=0.1, seed=seed)
        found = find_binned_rates(x, rate, loss, split_evenly(x, 5))
        off = found.place - (-1 - 0.5 * (found.centre - 3))
        places.append(off - off.mean())
        errors.append(found.error)
    assert np.std(places) == pytest.approx(np.mean(errors), rel=0.15)


def test_nothing_is_found_in_noise_or_on_one_side():
    rng = np.random.default_rng(0)
    x, rate, _ = search("parabola")
    of = split_evenly(x, 5)
    for loss in (rng.normal(size=x.size), 0.3 * rate + rng.normal(0, 0.01, x.size), np.zeros(x.size)):
        found = find_binned_rates(x, rate, loss, of)
        assert np.isnan(found.exponent)
        assert np.isnan(found.place).all()
        assert np.isfinite(found.centre).all()


def test_bins_have_equal_counts_in_the_order_of_x():
    x = np.array([5.0, 1, 3, 3, 2, 4, 0])
    of = split_evenly(x, 3)
    assert sorted(np.bincount(of).tolist()) == [2, 2, 3]
    assert (np.diff(of[np.argsort(x, kind="stable")]) >= 0).all()
