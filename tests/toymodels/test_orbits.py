"""Attractors of the toys against the closed forms of the cubic map, against a plain loop, and under what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

import toymodels
import validation
from toymodels import HeavyBall, Model, OneParameter, TwoParameter, orbit
from toymodels.orbit_diagram import draw_orbits
from toymodels.period_changes import find_period_changes
from validation import Misuse
from validation.plotting.cycles import CLASSES

GAMMAS = (1e-3, 1e-1, 1.0, 10.0, 1e3)


def rate(a, gamma):
    """eta at ``a = 2 eta (1 + gamma)/gamma**2``, for L = 2 and MSE."""
    return a * gamma**2 / (2 * (1 + gamma))


def cubic(x, a):
    """The update of ``x = w/sqrt(1 + gamma)``."""
    return (1 + a) * x - a * x**3


# the cascade of the cubic map

@pytest.mark.parametrize("gamma", GAMMAS)
def test_periods_double_where_those_of_the_cubic_map_do(gamma):
    found = find_period_changes(OneParameter(2), gamma=gamma, longest=32)
    a = found.eta.values / rate(1, gamma)
    assert a[:3] == pytest.approx([1, np.sqrt(5) - 1, 1.2880318], abs=1e-7)
    assert a[3] == pytest.approx(1.2992, abs=1e-4)
    assert float(found.accumulation) / rate(1, gamma) == pytest.approx(1.3023, abs=1e-4)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_exponent_at_the_edge_of_divergence_is_that_of_the_third_chebyshev_polynomial(gamma):
    found = orbit(OneParameter(2), gamma=gamma, eta=rate(2 - 1e-12, gamma))
    assert float(found.lyapunov) == pytest.approx(np.log(3), rel=0.01)
    assert int(found.period) == 0
    assert int(orbit(OneParameter(2), gamma=gamma, eta=rate(2.001, gamma)).period) == -1


@pytest.mark.parametrize("gamma", [1e-3, 1.0, 1e3])
def test_bands_and_mirrored_attractors_merge_where_critical_orbits_say(gamma):
    def third(a):      # two bands become one where the critical point reaches the minimum in three steps
        x = np.sqrt((1 + a) / (3 * a))
        for _ in range(3):
            x = cubic(x, a)
        return x - 1

    merge = brentq(third, 1.33, 1.39)

    def measure(a):
        return orbit(OneParameter(2), gamma=gamma, eta=rate(a, gamma), length=400_000, points=400_000)

    for a, bands in ((merge - 1e-4, 2), (merge + 1e-4, 1)):
        assert int(measure(a).bands) == bands
    for a, sign in ((3 * np.sqrt(3) / 2 - 1 - 1e-4, 1), (3 * np.sqrt(3) / 2 - 1 + 1e-4, -1)):      # w = 0 is reached
        assert np.sign(measure(a).w.min()) == sign


# any model

def follow(model, loss, gamma, eta, steps):
    """The states after every step, of a plain loop in Python."""
    residual = {"mse": lambda f: f - 1, "cross_entropy": lambda f: 1 / (1 + np.exp(-f)) - 1 / (1 + np.exp(-1.0))}[loss]
    state, states = np.atleast_1d(np.array(model.start, float)), []
    for _ in range(steps):
        slope = residual(model.output(*state, gamma))
        state = state - eta * slope * np.array(model.gradient(*state, gamma))
        states.append(state)
    return np.array(states)


@pytest.mark.parametrize(("model", "loss", "gamma", "eta", "period"), [
    (OneParameter(3), "mse", 1.0, 0.09, 2), (OneParameter(3), "mse", 1.0, 0.112, 4), (OneParameter(2), "cross_entropy", 1.0, 1.4, 2),
    (TwoParameter(), "mse", 1.0, 1.15, 2), (OneParameter(2), "mse", 1.0, 0.2, 1)])
def test_a_period_is_that_of_a_plain_loop(model, loss, gamma, eta, period):
    states = follow(model, loss, gamma, eta, 4000)
    back = np.abs(states[-1 - np.arange(1, 9)] - states[-1]).max(1) / np.abs(states[-1]).max()
    assert 1 + np.argmax(back < 1e-9) == period
    found = orbit(model, loss, "sgd", gamma, eta)
    assert int(found.period) == int(found.bands) == period
    points = np.stack([found[name].values[-period:] for name in model.parameters], -1)
    assert np.sort(points, 0) == pytest.approx(np.sort(states[-period:], 0), rel=1e-8)
    assert np.isnan(found.attractor.values[:-period]).all()
    assert np.sort(found.attractor.values[-period:]) == pytest.approx(np.sort(model.output(*states[-period:].T, gamma)), rel=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.floats(-2, 2), st.floats(0.05, 0.95).filter(lambda share: abs(share - 0.5) > 1e-4))
def test_at_the_minimum_the_exponent_is_that_of_the_linear_map(log_gamma, share):
    gamma = 10**log_gamma
    found = orbit(OneParameter(3), gamma=gamma, eta=share * toymodels.predict(OneParameter(3))["eta_max"](np.array([gamma]))[0],
                  settle=4000, length=128)
    assert int(found.period) == 1
    assert float(found.lyapunov) == pytest.approx(np.log(abs(1 - 2 * share)), abs=2e-3)


def test_a_model_of_ones_own_is_followed_like_the_built_in_one():
    import sympy

    w, gamma = sympy.symbols("w gamma", positive=True)
    own, eta = Model(output=(w**3 - 1) / gamma, start={w: 1}), np.linspace(0.07, 0.13, 13)
    found, built_in = (orbit(m, "mse", "sgd", 1.0, eta, 2000, 500) for m in (own, OneParameter(3)))
    calm = built_in.period.values > 0
    assert 3 < calm.sum() < 13
    np.testing.assert_array_equal(found.period.values[calm], built_in.period.values[calm])
    np.testing.assert_allclose(found.attractor.values[calm], built_in.attractor.values[calm], rtol=1e-6)
    np.testing.assert_allclose(found.w.values[calm], built_in.w.values[calm], rtol=1e-6)
    assert find_period_changes(own, longest=8).eta.values == pytest.approx(find_period_changes(OneParameter(3), longest=8).eta.values)


def test_heavy_ball_loses_the_minimum_at_one_plus_beta_of_the_rate():
    plain, heavy = (find_period_changes(OneParameter(2), "mse", optimizer, 1.0, 4).eta.values for optimizer in ("sgd", HeavyBall(0.3)))
    assert heavy[0] == pytest.approx(1.3 * plain[0])
    for a, period in ((0.99 * heavy[0], 1), (1.01 * heavy[0], 2), (0.99 * heavy[1], 2), (1.01 * heavy[1], 4)):
        assert int(orbit(OneParameter(2), "mse", HeavyBall(0.3), 1.0, a, 50_000).period) == period
    assert np.isnan(find_period_changes(OneParameter(2), "mse", "momentum").eta.values[1:]).all()      # runs escape


def test_a_plane_is_its_points():
    gamma, eta = np.array([0.1, 1.0, 10.0]), np.geomspace(1e-3, 10, 40)
    plane = orbit(OneParameter(2), "mse", "sgd", gamma, eta, 500, 200, 4)
    assert plane.period.dims == ("gamma", "eta")
    for i, j in ((0, 5), (1, 27), (2, 38)):
        alone = orbit(OneParameter(2), "mse", "sgd", gamma[i], eta[j], 500, 200, 4)
        assert (int(alone.period), int(alone.bands)) == (int(plane.period[i, j]), int(plane.bands[i, j]))
        np.testing.assert_array_equal(alone.attractor, plane.attractor[i, j])
        np.testing.assert_array_equal(alone.lyapunov, plane.lyapunov[i, j])


def test_a_run_that_drifts_is_neither_chaotic_nor_settled():
    assert int(orbit(OneParameter(3), gamma=1e3, eta=1e-4, settle=200, length=200).period) == -2
    # far below eta_min a step is nothing beside the weights, and yet the run has gone a millionth of its way
    eta = np.geomspace(1e-14, 1e-7, 15)
    for model, optimizer in ((OneParameter(2), "momentum"), (TwoParameter(), "sgd")):
        assert (orbit(model, "mse", optimizer, 1.0, eta, 1000, 256, 0).period == -2).all()


# pictures and refusals

def test_periods_and_exponents_are_drawn_over_the_plane():
    plane = orbit(OneParameter(2), "mse", "sgd", np.geomspace(0.1, 10, 12), np.geomspace(1e-3, 30, 60), 300, 128, 0)
    ax = validation.plot_portrait(plane, variable="period")
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "diverged"
    assert labels[-1] == "period 1"
    assert len(labels) <= len(CLASSES)
    assert validation.plot_portrait(plane, variable="lyapunov").collections[0].get_clim() == (-1, 1)


def test_an_orbit_diagram_has_all_points_and_the_changes():
    orbits = orbit(OneParameter(2), "mse", "sgd", 1.0, np.linspace(0.2, 0.52, 30), 500, 128, 32)
    figure = draw_orbits(orbits, find_period_changes(OneParameter(2), longest=4), "w", 0.25)
    upper, lower = figure.axes
    assert len(upper.lines[0].get_xdata()) == np.isfinite(orbits.w.values).sum()
    assert [t.get_text() for t in upper.texts] == ["2", "4"]
    assert lower.get_xlim() == pytest.approx((0.8, 2.08))
    with pytest.raises(Misuse, match="over \\(eta, point\\)"):
        draw_orbits(orbits.isel(eta=0))
    for wrong, words in (({"unit": 0}, "unit must be"), ({"width": -1}, "width must be"), ({"changes": orbits}, "changes must be")):
        with pytest.raises(Misuse, match=words):
            draw_orbits(orbits, **wrong)
    with pytest.raises(Misuse, match="at least two rates"):
        draw_orbits(orbits.isel(eta=[0]))


@pytest.mark.parametrize(("arguments", "words"), [
    ({"optimizer": "adam"}, "optimizer must be 'sgd', 'momentum' or a HeavyBall for an orbit, not 'adam'"),
    ({"gamma": -1}, "gamma must be"),
    ({"eta": [2, 1]}, "eta"), ({"length": 100}, "length must be at least 128"), ({"points": 200, "length": 128}, "points must be"),
    ({"settle": 0}, "settle must be"), ({"settle": 10**30}, "settle must be"),
    ({"points": 10**9, "length": 10**9}, "points must fit into memory")])
def test_misuse_is_refused(arguments, words):
    with pytest.raises(Misuse, match=words):
        orbit(**{"model": OneParameter(2)} | arguments)


@pytest.mark.parametrize(("arguments", "words"), [
    ({"model": TwoParameter()}, "model must have one parameter, not 2"), ({"longest": 3}, "longest must be a power of 2"),
    ({"optimizer": "signsgd"}, "optimizer must be"), ({"gamma": [1, 2]}, "gamma must be one number"),
    ({"gamma": 1e-300}, "gamma must be one at which the stability of the minimum is predicted")])
def test_what_has_no_cascade_is_refused(arguments, words):
    with pytest.raises(Misuse, match=words):
        find_period_changes(**{"model": OneParameter(2)} | arguments)
