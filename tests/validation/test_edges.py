"""locate(): each edge read off portraits made by hand, and the brackets of one's own data."""

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from validation import Misuse, Outcome, Plane, edges_from_brackets, locate
from validation.portrait import REQUIRED, empty

ETA = 10.0 ** (np.arange(41) / 10)        # 1 to 1e4, ten a decade


def portrait(*lines: str, attrs=None, eta=ETA) -> xr.Dataset:
    """Make a portrait from one line of text a gamma: . untrained, / partial, # converged, C catapulted, ~ oscillating, X diverged."""
    made = empty(Plane(np.arange(1.0, len(lines) + 1), eta[:len(lines[0])]), variables=(*REQUIRED, "rose"))
    for i, line in enumerate(lines):
        for j, mark in enumerate(line):
            outcome, final, tail, peak, rose = {
                ".": (0, 1.0, 1.0, 1.0, False), "/": (1, 0.5, 0.6, 1.0, False), "#": (2, 1e-4, 1e-3, 1.0, False),
                "C": (3, 1e-4, 1e-3, 50.0, False), "~": (4, 0.8, 3.0, 9.0, True), "X": (6, np.inf, np.inf, np.inf, True),
                "e": (1, 1e-3, 0.02, 1.0, False), "l": (4, 1e-3, 5.0, 9.0, True), " ": (-1, np.nan, np.nan, np.nan, False)}[mark]
            for name, value in zip(("outcome", "final_excess", "tail_excess", "peak_excess", "rose"),
                                   (outcome, final, tail, peak, rose), strict=True):
                made[name].values[i, j] = value
    return made.assign_attrs({"rho": 0.01, "steps": 1000, "catapult_peak": 1.0} if attrs is None else attrs)


def indices(edges: xr.Dataset, edge: str, gamma: int = 0) -> tuple:
    """Return the bracket as indices of the rates, None where censored or absent."""
    return tuple(None if np.isnan(x) else int(np.argmin(abs(ETA - x))) for x in edges["eta"].sel(edge=edge).values[gamma])


def test_the_edges_of_a_plain_row():
    edges = locate(portrait("..//e#####~~XX"))
    assert indices(edges, "eta_min") == (3, 4)       # final below rho, although the tail is not
    assert indices(edges, "eta_max") == (9, 10)
    assert indices(edges, "eta_crit") == (9, 10)     # one set and no catapult: the same
    assert indices(edges, "eta_div") == (11, 12)
    assert indices(edges, "eta_settle") == (None, None)
    assert edges["crossings"].sel(edge="eta_max").item() == 1
    assert edges["fringe"].sel(edge="eta_max").item() == 0


def test_a_catapult_ends_the_lowest_set_s_free_part():
    edges = locate(portrait("./####CCCC~XXX"))
    assert indices(edges, "eta_crit") == (5, 6)
    assert indices(edges, "eta_max") == (9, 10)
    networks = locate(portrait("./####CCCC~XXX").assign_attrs(catapult_peak=60.0))
    assert indices(networks, "eta_crit") == (9, 10)


def test_a_catapult_of_cross_entropy_also_needs_its_kernel_to_have_fallen():
    made = portrait("./####CCCC~XXX").assign_attrs(catapult_kernel_ratio=0.9)
    for ratio, crit in ((0.95, (9, 10)), (0.5, (5, 6))):
        made["kernel_ratio"] = (("gamma", "eta"), np.full((1, 14), ratio))
        assert indices(locate(made), "eta_crit") == crit


def test_the_black_triangle_two_sets_with_a_gap():
    edges = locate(portrait("./####~~~~CCCC~XX"))
    assert indices(edges, "eta_crit") == (5, 6)
    assert indices(edges, "eta_settle") == (9, 10)
    assert indices(edges, "eta_max") == (13, 14)
    assert edges["crossings"].sel(edge="eta_max").item() == 2
    assert edges["fringe"].sel(edge="eta_max").item() == pytest.approx(0.8)


def test_a_hairline_gap_is_no_settling_line():
    assert indices(locate(portrait("./####~CCCC~XX")), "eta_settle") == (None, None)
    assert indices(locate(portrait("./####~~CCCC~X")), "eta_settle") == (7, 8)


def test_one_isolated_trained_pixel_is_no_set():
    edges = locate(portrait("./####~~~#~~XX"))
    assert indices(edges, "eta_max") == (5, 6)
    assert edges["crossings"].sel(edge="eta_max").item() == 2
    two = locate(portrait("./####~~~##~~X"))
    assert indices(two, "eta_max") == (10, 11)       # two points, 0.1 decade: a set


def test_signsgd_s_maximum_is_the_top_of_the_lowest_set():
    assert indices(locate(portrait("./###~~##~~##~").assign_attrs(eta_max_of="lowest")), "eta_max") == (4, 5)


def test_an_oscillating_pixel_of_small_final_excess_is_no_minimum():
    assert indices(locate(portrait("..l.l/e###~~XX")), "eta_min") == (5, 6)


def test_what_lies_beyond_the_rim_is_censored():
    edges = locate(portrait("########", "......##"))
    assert indices(edges, "eta_min", 0) == (None, 0)
    assert indices(edges, "eta_max", 0) == (7, None)
    assert indices(edges, "eta_max", 1) == (7, None)
    assert indices(edges, "eta_div", 1) == (None, None)


def test_what_is_unrun_is_left_out():
    assert indices(locate(portrait("./ ### #~~ XX")), "eta_max") == (7, 8)


def test_another_rho_is_read_from_the_excesses():
    made = portrait("./e####~XX")
    assert indices(locate(made), "eta_max") == (6, 7)
    edges = locate(made, rho=0.03)
    assert edges.attrs["rho"] == 0.03
    assert edges["crossings"].sel(edge="eta_max").item() == 1
    assert indices(locate(made, rho=0.7), "eta_min") == (0, 1)


def test_eta_opt_is_the_least_final_excess_with_its_neighbours():
    made = portrait("./#####~XX")
    made["final_excess"].values[0, 4] = 1e-9
    assert indices(locate(made), "eta_opt") == (3, 5)


def test_accuracy_gives_eta_max_alone():
    made = portrait("./#####~XX")
    made["final_accuracy"] = (("gamma", "eta"), np.array([[0.1, 0.2, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 0.99]]))
    edges = locate(made, criterion="accuracy")
    assert edges["edge"].values.tolist() == ["eta_max"]
    assert indices(edges, "eta_max") == (7, 8)           # accurate, but not finite, above
    assert indices(locate(made, criterion="accuracy", threshold=0.4), "eta_max") == (7, 8)
    with pytest.raises(Misuse, match="needs the variable 'final_accuracy'"):
        locate(portrait("./##~X"), criterion="accuracy")


def test_seeds_and_one_axis_per_gamma():
    a, b = portrait("./####~X", "..####~X"), portrait("./###~~X", "./####~X")
    both = xr.concat([a, b], xr.DataArray([0, 1], dims="seed", name="seed")).assign_attrs(a.attrs)
    edges = locate(both)
    assert edges["eta"].dims == ("edge", "seed", "gamma", "bound")
    np.testing.assert_array_equal(edges["eta"].sel(seed=1), locate(b)["eta"])
    own = a.assign_coords(eta=np.arange(8)).assign(eta_value=(("gamma", "eta"), np.stack([ETA[:8], 3 * ETA[:8]])))
    np.testing.assert_allclose(locate(own)["eta"].values[:, 1], 3 * locate(a)["eta"].values[:, 1])


@given(st.text("./#Ce~lX ", min_size=12, max_size=12), st.floats(-20, 20))
def test_a_change_of_units_moves_every_edge_alike(line, log):
    plain, moved = portrait(line), portrait(line).assign_coords(eta=ETA[:12] * 10.0**log)
    np.testing.assert_allclose(locate(moved)["eta"] / 10.0**log, locate(plain)["eta"], rtol=1e-9)


@given(st.text("./#Ce~lX", min_size=12, max_size=12))
def test_brackets_are_neighbours(line):
    edges = locate(portrait(line)).drop_sel(edge="eta_opt")
    ratio = (edges["eta"].sel(bound="upper") / edges["eta"].sel(bound="lower")).values
    assert np.isclose(ratio[np.isfinite(ratio)], 10**0.1).all()


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p.drop_vars("outcome"), "portrait must have the variable 'outcome'"),
    (lambda p: p.rename(eta="rate"), "portrait must have the dim 'eta'"),
    (lambda p: p.drop_vars("gamma"), "portrait must have the coordinate 'gamma'"),
    (lambda p: p.isel(eta=slice(None, None, -1)), "portrait's eta must increase strictly"),
    (lambda p: p.assign(outcome=p["outcome"] + 50), "portrait's outcome holds"),
    (lambda p: p.assign(steps=p["steps"].isel(gamma=0)), "portrait's steps must have dims"),
    (lambda p: p.assign_attrs(rho=None), "rho must be a number"),
    (lambda p: p.assign(tail_excess=p["tail_excess"] * np.nan), "portrait's tail_excess must be a number wherever the outcome is"),
    (lambda p: p.assign_attrs(eta_max_of="top"), "eta_max_of must be one of 'highest', 'lowest'"),
    (lambda p: p.to_dataarray(), "portrait must be an xarray.Dataset"),
])
def test_a_broken_portrait_is_refused(change, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        locate(change(portrait("./##~X")))


@pytest.mark.parametrize(("change", "words"), [
    (lambda p: p.expand_dims(edge=2), "must not have the name 'edge'"),
    (lambda p: p.expand_dims(bound=["a"]), "must not have the name 'bound'"),
    (lambda p: p.expand_dims(horizon=1).isel(horizon=slice(0)), "dim 'horizon' must have at least one entry"),
    (lambda p: p.assign(rose=p["rose"].isel(eta=0)), "portrait's rose must have dims"),
    (lambda p: p.assign(kernel_ratio=1.0), "portrait's kernel_ratio must have dims"),
    (lambda p: p.assign(kernel_ratio=p["final_excess"].expand_dims(other=2)), "portrait's kernel_ratio must have dims"),
    (lambda p: p.assign(kernel_ratio=p["final_excess"].astype(str)), "portrait's kernel_ratio must hold numbers, not <U"),
    (lambda p: p.assign(final_accuracy=p["final_excess"].isel(gamma=0)), "portrait's final_accuracy must have dims"),
    (lambda p: p.assign_attrs(rho=10**400), "rho must be a number between 0 and 1"),
    (lambda p: p.assign_attrs(catapult_peak=10**400), "catapult_peak must be a number"),
])
def test_what_edges_cannot_be_read_from_is_refused(change, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        locate(change(portrait("..//####XX")))


def test_a_portrait_without_rho_needs_one():
    made = portrait("./##~X", attrs={})
    with pytest.raises(Misuse, match="rho must be given"):
        locate(made)
    assert indices(locate(made, rho=0.01), "eta_max") == (3, 4)
    with pytest.raises(Misuse, match="criterion must be one of"):
        locate(made, rho=0.01, criterion="loss")


def test_own_brackets_become_edges():
    edges = edges_from_brackets([1.0, 10.0, 1.0], [1.0, np.nan, 2.0], [2.0, 5.0, np.nan], "eta_min", seed=[0, 0, 1])
    assert edges["eta"].dims == ("edge", "seed", "gamma", "bound")
    np.testing.assert_array_equal(edges["eta"].sel(edge="eta_min", seed=0, gamma=10.0), [np.nan, 5.0])
    assert edges["eta"].sel(seed=1, gamma=10.0).isnull().all()
    assert edges_from_brackets([1.0], [1.0], [2.0])["eta"].dims == ("edge", "gamma", "bound")


@pytest.mark.parametrize(("arguments", "words"), [
    (([1.0, 1.0], [1.0, 2.0], [2.0, 3.0]), "gamma must not repeat"),
    (([1.0], [3.0], [2.0]), "lower must not exceed upper"),
    (([1.0], [1.0, 2.0], [2.0, 3.0]), "lower must have one dimension and the length of gamma"),
    (([-1.0], [1.0], [2.0]), "gamma must be finite and above zero"),
    (([1.0], [0.0], [2.0]), "lower must be finite and above zero"),
    (([1.0], ["a"], [2.0]), "lower must be numbers"),
    (([], [], []), "gamma must have one dimension and the length of gamma"),
])
def test_bad_brackets_are_refused(arguments, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        edges_from_brackets(*arguments)


def test_the_outcomes_are_the_contract_s():
    assert [(o.label, int(o)) for o in Outcome] == [
        ("unrun", -1), ("untrained", 0), ("partial", 1), ("converged", 2), ("catapulted", 3), ("oscillating", 4), ("stuck", 5),
        ("diverged", 6), ("dead", 7), ("failed", 8)]
    assert all(o.sentence for o in Outcome)
