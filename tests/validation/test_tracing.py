"""trace(): bisection against edges that are known in closed form, of experiments that need no training."""

import re

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter
from validation import Misuse, Outcome, Plane, locate, trace
from validation.portrait import REQUIRED, empty


class Known:
    """Trained between gamma**2/100 and top(gamma), untrained below, diverged above; counts what it is asked for."""

    def __init__(self, top, holes=(), slits=(), steps=1000):
        self.top, self.holes, self.slits, self.asked, self.steps = top, holes, slits, 0, steps

    def describe(self):
        return {"witness": "known"}

    def measure(self, gamma, eta):
        plane = Plane(gamma, eta)
        made = empty(plane, variables=REQUIRED)
        self.asked += plane.shape[0] * plane.shape[1]
        for i, g in enumerate(gamma):
            x = plane.eta[i] if plane.eta.ndim == 2 else plane.eta
            low, high = g**2 / 100, self.top(g)
            code = np.where(x < low, Outcome.UNTRAINED, np.where(x < high, Outcome.CONVERGED, Outcome.DIVERGED))
            for a, b in self.holes:
                code = np.where((x >= a * g**2) & (x < b * g**2), Outcome.OSCILLATING, code)
            for a, b in self.slits:
                code = np.where((x >= a * g**2) & (x < b * g**2), Outcome.DIVERGED, code)
            excess = np.select([code == Outcome.UNTRAINED, code == Outcome.CONVERGED, code == Outcome.OSCILLATING], [1.0, 0.0, 5.0],
                               np.inf)
            made["outcome"].values[i] = code
            for name in ("final_excess", "tail_excess", "peak_excess"):
                made[name].values[i] = excess
        return made.assign_attrs(rho=0.01, steps=self.steps)


GAMMA = np.geomspace(1e-6, 1e6, 7)


def test_edges_are_found_wherever_they_are_and_narrowed():
    experiment = Known(lambda g: 3 * g**1.9 if g > 1 else 3 * g**2)
    edges = trace(experiment, GAMMA, ["eta_min", "eta_max", "eta_div"], rtol=1e-9)
    lower, upper = edges["eta"].sel(bound="lower"), edges["eta"].sel(bound="upper")
    assert (upper / lower - 1).max() <= 1.001e-9
    top = np.array([experiment.top(g) for g in GAMMA])
    for name, true in (("eta_min", GAMMA**2 / 100), ("eta_max", top), ("eta_div", top)):
        assert (lower.sel(edge=name) <= true * (1 + 1e-12)).all()
        assert (upper.sel(edge=name) >= true * (1 - 1e-12)).all()
    assert edges.attrs["runs"] == experiment.asked
    assert (edges["crossings"] == 1).all()


def test_a_set_counts_by_the_width_between_its_bisected_ends():
    wide, narrow = 10**0.101, 10**0.099
    for width, found in ((wide, True), (narrow, False)):
        # trained up to g**2/2, then a hole, then a last stretch of the given width, the scan's spacing being half of that
        experiment = Known(lambda g, w=width: 2 * w * g**2, holes=[(0.5, 2.0)])
        edges = trace(experiment, GAMMA, ["eta_max", "eta_settle"])
        upper = edges["eta"].sel(edge="eta_max", bound="upper").values
        np.testing.assert_allclose(upper, (2 * width if found else 0.5) * GAMMA**2, rtol=1e-5)
        settle = edges["eta"].sel(edge="eta_settle", bound="upper").values
        assert np.isfinite(settle).all() == found


def test_a_gap_of_five_decades_is_crossed():
    experiment = Known(lambda g: 1e7 * g**2, holes=[(0.5, 5e4)])
    edges = trace(experiment, GAMMA, ["eta_settle", "eta_crit"])
    np.testing.assert_allclose(edges["eta"].sel(edge="eta_settle", bound="upper"), 5e4 * GAMMA**2, rtol=1e-5)
    np.testing.assert_allclose(edges["eta"].sel(edge="eta_crit", bound="upper"), 0.5 * GAMMA**2, rtol=1e-5)


def test_a_given_range_is_the_range_and_its_rim_censors():
    experiment = Known(lambda g: g**2)
    edges = trace(experiment, [1.0], ["eta_min", "eta_max"], eta=(0.1, 10.0))
    low = edges["eta"].sel(edge="eta_min").values[0]
    assert np.isnan(low[0])
    assert low[1] == pytest.approx(0.1)
    assert edges["eta"].sel(edge="eta_max", bound="upper").item() == pytest.approx(1.0, rel=1e-5)


def test_an_experiment_where_nothing_trains_has_no_edges():
    edges = trace(Known(lambda g: g**2 / 1e3), [1.0], ["eta_min", "eta_max", "eta_div"])
    assert edges["eta"].sel(edge=["eta_min", "eta_max"]).isnull().all()
    # what is below g**2/100 is untrained by construction, and all above has diverged
    assert edges["eta"].sel(edge="eta_div", bound="lower").item() == pytest.approx(0.01, rel=1e-5)


def test_bisection_costs_a_tenth_of_the_grid_that_gives_the_same():
    experiment = Known(lambda g: 3 * g**2)
    edges = trace(experiment, GAMMA, "eta_max", per_decade=10, rtol=1e-3)
    assert experiment.asked < 0.1 * len(GAMMA) * 8 / np.log10(1 + 1e-3)
    assert edges["edge"].values.tolist() == ["eta_max"]


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_traced_and_located_edges_agree(loss):
    experiment = ToyExperiment(OneParameter(3), loss)
    gamma = np.geomspace(1e-3, 1e3, 7)
    traced = trace(experiment, gamma, ["eta_min", "eta_crit", "eta_max"])
    grid = locate(experiment.measure(gamma, np.geomspace(1e-12, 1e3, 400)))
    inside = traced["eta"].sel(bound="upper"), grid["eta"].sel(edge=traced["edge"])
    assert (inside[1].sel(bound="lower") <= inside[0] * (1 + 1e-5)).all()
    assert (inside[1].sel(bound="upper") >= inside[0] * (1 - 1e-5)).all()


def test_horizons_are_traced_each():
    gamma = np.array([1e-2, 1e2])
    both = trace(ToyExperiment(TwoParameter(), steps=(300, 1000)), gamma, ["eta_min", "eta_max"])
    assert both["eta"].dims == ("edge", "horizon", "gamma", "bound")
    one = trace(ToyExperiment(TwoParameter(), steps=300), gamma, ["eta_min", "eta_max"])
    np.testing.assert_allclose(both["eta"].sel(horizon=300), one["eta"], rtol=2e-6)


@pytest.mark.parametrize(("more", "words"), [
    ({"edge": "eta_top"}, "edge must be one of"),
    ({"edge": []}, "edge must name at least one"),
    ({"edge": None}, "edge must be a name, or several"),
    ({"gamma": [2.0, 1.0]}, "gamma must increase strictly"),
    ({"rtol": 0.0}, "rtol must be a number between 0 and 1"),
    ({"rho": -1.0}, "rho must be a number"),
    ({"eta": (1.0, 0.1)}, "eta must increase strictly"),
    ({"per_decade": 0}, "per_decade must be a whole number"),
    ({"experiment": object()}, "experiment must have describe() and measure(gamma, eta)"),
    ({"experiment": ToyExperiment}, "experiment must have describe() and measure(gamma, eta)"),
])
def test_misuse_is_refused(more, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        trace(**({"experiment": Known(lambda g: g), "gamma": [1.0], "edge": "eta_max"} | more))


def test_a_fringe_is_gridded_before_it_is_bisected_and_says_so():
    # bounded up to 10 gamma^2, but for twelve slits above 3 gamma^2 in which it diverges, some finer than a scan at 20 a decade
    slits = [(3 * 10 ** (0.04 * k), 3 * 10 ** (0.04 * k + 0.008)) for k in range(12)]
    experiment = Known(lambda g: 10 * g**2, slits=slits)
    edges = trace(experiment, GAMMA, ["eta_div", "eta_min"], per_decade=20)
    assert (edges["method"].sel(edge="eta_min") == 1).all()
    assert (edges["method"].sel(edge="eta_div") == 2).all()
    assert (edges["crossings"].sel(edge="eta_div") >= 5).all()
    first = edges["eta"].sel(edge="eta_div", bound="upper") / GAMMA**2
    assert (abs(first / 3 - 1) < 1e-4).all()           # the first slit, which the scan alone misses at some gammas
    absent = trace(Known(lambda g: g**2 / 1e3), [1.0], ["eta_max"])
    assert absent["method"].item() == 0
