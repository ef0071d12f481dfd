"""trace(): bisection against edges that are known in closed form, of experiments that need no training."""

import re

import numpy as np
import pytest
import xarray as xr

from toymodels import OneParameter, ToyExperiment, TwoParameter
from validation import Misuse, Outcome, Plane, locate, sweep, trace
from validation.experiment import digest
from validation.portrait import REQUIRED, empty
from validation.tracing import nearest_gammas


class Known:
    """Trained between gamma**2/100 and top(gamma), untrained below, diverged above; counts its runs."""

    def __init__(self, top, holes=(), slits=(), steps=1000):
        self.top, self.holes, self.slits, self.count, self.steps = top, holes, slits, 0, steps

    def describe(self):
        return {"witness": "known"}

    def measure(self, gamma, eta):
        plane = Plane(gamma, eta)
        made = empty(plane, variables=REQUIRED)
        self.count += plane.shape[0] * plane.shape[1]
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
    assert edges.attrs["runs"] == experiment.count
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
    assert experiment.count < 0.1 * len(GAMMA) * 8 / np.log10(1 + 1e-3)
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


def portrait_of(experiment, gamma=GAMMA, per_decade=20, eta=(1e-18, 1e18)):
    return sweep(experiment, Plane(gamma, Plane.log((1, 10), eta, per_decade).eta))


def test_runs_of_a_known_portrait_are_not_trained_again():
    experiment, names = Known(lambda g: 3 * g**1.9 if g > 1 else 3 * g**2), ["eta_min", "eta_max", "eta_div"]
    known = portrait_of(experiment)
    experiment.count = 0
    alone = trace(experiment, GAMMA, names, rtol=1e-9)
    before, experiment.count = experiment.count, 0
    edges = trace(experiment, GAMMA, names, rtol=1e-9, known=known)
    assert edges.attrs["runs"] == experiment.count < 0.5 * before
    # three edges, two of them in the same place, bisected from a twentieth of a decade down to 1e-9
    assert experiment.count <= len(GAMMA) * 2 * np.ceil(np.log2(np.log(10) / 20 / 1e-9))
    assert (edges["eta"].sel(bound="upper") / edges["eta"].sel(bound="lower") - 1).max() <= 1.001e-9
    top = np.array([experiment.top(g) for g in GAMMA])
    for name, true in (("eta_min", GAMMA**2 / 100), ("eta_max", top), ("eta_div", top)):
        np.testing.assert_allclose(edges["eta"].sel(edge=name), np.stack([true, true], axis=-1), rtol=1.001e-9)
    xr.testing.assert_equal(edges["crossings"], alone["crossings"])


def test_gammas_that_the_known_portrait_lacks_are_traced_as_without_it():
    experiment = Known(lambda g: 3 * g**2)
    alone = trace(experiment, GAMMA, ["eta_min", "eta_max"])
    known = portrait_of(experiment, GAMMA[::2])
    edges = trace(experiment, GAMMA, ["eta_min", "eta_max"], known=known)
    xr.testing.assert_identical(edges["eta"].isel(gamma=slice(1, None, 2)), alone["eta"].isel(gamma=slice(1, None, 2)))
    np.testing.assert_allclose(edges["eta"], alone["eta"], rtol=1e-6)
    none = trace(experiment, GAMMA, ["eta_min", "eta_max"], known=portrait_of(experiment, GAMMA * 2))
    xr.testing.assert_identical(none, alone)


def test_what_a_known_portrait_has_not_run_or_resolves_too_coarsely_is_scanned():
    # a set of a fifth of a decade, which lies between the rates of a portrait of two a decade
    experiment = Known(lambda g: 40 * g**2, holes=[(0.5, 25.0)])
    coarse = portrait_of(experiment, per_decade=2)
    edges = trace(experiment, GAMMA, ["eta_max", "eta_settle"], known=coarse)
    np.testing.assert_allclose(edges["eta"].sel(edge="eta_max", bound="upper"), 40 * GAMMA**2, rtol=1e-5)
    np.testing.assert_allclose(edges["eta"].sel(edge="eta_settle", bound="upper"), 25 * GAMMA**2, rtol=1e-5)
    fine = portrait_of(experiment)
    trained = fine["outcome"] == Outcome.CONVERGED
    unknown = fine.assign(outcome=fine["outcome"].where(~trained, int(Outcome.UNRUN)))
    edges = trace(experiment, GAMMA, "eta_max", known=unknown)
    np.testing.assert_allclose(edges["eta"].sel(bound="upper")[0], 40 * GAMMA**2, rtol=1e-5)


def test_a_given_range_holds_for_a_known_portrait():
    experiment = Known(lambda g: g**2)
    known = portrait_of(experiment, np.array([1.0]))
    edges = trace(experiment, [1.0], ["eta_min", "eta_max"], eta=(0.1, 10.0), known=known)
    assert np.isnan(edges["eta"].sel(edge="eta_min", bound="lower"))
    assert edges["eta"].sel(edge="eta_min", bound="upper").item() == pytest.approx(0.1, rel=0.13)
    assert edges["eta"].sel(edge="eta_max", bound="upper").item() == pytest.approx(1.0, rel=1e-5)
    assert edges.attrs["runs"] <= 2 + np.ceil(np.log2(np.log(10) / 20 / 1e-6))


@pytest.mark.parametrize("depth", [2, 3])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_toys_edges_are_the_same_with_a_known_portrait(loss, depth):
    experiment, names = ToyExperiment(OneParameter(depth), loss), ["eta_min", "eta_max"]
    gamma = np.geomspace(1e-3, 1e3, 7)
    known = portrait_of(experiment, gamma, eta=(1e-12, 1e5))
    alone, edges = trace(experiment, gamma, names), trace(experiment, gamma, names, known=known)
    single = (alone["crossings"] == 1) & (edges["crossings"] == 1)
    assert single.mean() > 0.7
    difference = np.log(edges["eta"].mean("bound") / alone["eta"].mean("bound"))
    assert abs(difference.where(single)).max() <= 1e-6
    assert edges.attrs["runs"] < 0.55 * alone.attrs["runs"]


def test_seeds_and_experiment_of_a_known_portrait_must_be_the_traced_ones():
    class Seeded(Known):
        def __init__(self, seeds):
            super().__init__(lambda g: g**2)
            self.seeds = seeds

        def describe(self):
            return {"witness": "seeded", "seeds": list(self.seeds)}

        def measure(self, gamma, eta):
            return super().measure(gamma, eta).expand_dims(seed=list(self.seeds))

    known = Seeded([0, 1])
    portrait = known.measure(GAMMA, np.geomspace(1e-18, 1e18, 721)).assign_attrs(digest=digest(known.describe()), rho=0.01)
    assert trace(Seeded([0, 1]), GAMMA, "eta_max", known=portrait)["eta"].sizes["seed"] == 2
    with pytest.raises(Misuse, match=re.escape("known must have the seeds of the experiment, [0, 2], not [0, 1]")):
        trace(Seeded([0, 2]), GAMMA, "eta_max", known=portrait)
    other = Known(lambda g: g)
    with pytest.raises(Misuse, match=rf"{digest(other.describe())}.*{portrait.attrs['digest']}"):
        trace(other, GAMMA, "eta_max", known=portrait)
    with pytest.raises(Misuse, match=r"portrait must be an xarray\.Dataset"):
        trace(other, GAMMA, "eta_max", known=3)


def test_gammas_move_to_those_of_a_portrait_that_are_near():
    gamma = np.geomspace(1.1, 1100, 13)
    known = Plane.log((1e-5, 1e5), (1, 10), 4).gamma
    near = nearest_gammas(gamma, known)
    assert np.isin(near, known).sum() == 12
    assert (np.diff(near) > 0).all()
    assert near[0] >= gamma[0]
    assert near[-1] <= gamma[-1]
    np.testing.assert_array_equal(nearest_gammas(gamma, np.array([1e-3, 1e4])), gamma)
    assert np.isin(nearest_gammas(np.geomspace(1, 1000, 13), known), known).all()
