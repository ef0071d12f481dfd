"""Plane: axes, lattice, stagger, tiles, refinement, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from validation import Misuse, Plane, edges_from_brackets


def test_log_includes_its_ends_and_hits_powers_of_ten_exactly():
    plane = Plane.log((1e-3, 1e2), (1e-6, 1e1), per_decade=(4, 8))
    assert plane.shape == (21, 57)
    assert plane.gamma[0] == 1e-3
    assert plane.gamma[-1] == 1e2
    assert plane.eta[-1] == 1e1
    np.testing.assert_allclose(np.diff(np.log10(plane.gamma)), 1 / 4, rtol=1e-12)


@given(st.integers(-8, 0), st.integers(1, 6), st.integers(1, 5), st.sampled_from([1, 3, 8, 20]))
def test_a_larger_plane_contains_the_smaller_to_the_last_bit(start, length, more, per_decade):
    small = Plane.log((10.0**start, 10.0 ** (start + length)), per_decade=per_decade).gamma
    large = Plane.log((10.0 ** (start - more), 10.0 ** (start + length + more)), per_decade=per_decade).gamma
    assert set(small[1:-1].tolist()) <= set(large.tolist())
    np.testing.assert_allclose(small[[0, -1]], [10.0**start, 10.0 ** (start + length)], rtol=1e-15)


def test_a_range_off_the_lattice_still_includes_its_ends():
    plane = Plane.log((2e-3, 5e2), (1e-2, 1e1), per_decade=3)
    assert plane.gamma[0] == 2e-3
    assert plane.gamma[-1] == 5e2
    assert np.ptp(np.diff(np.log(plane.gamma))) < 1e-12
    assert np.diff(np.log10(plane.gamma)).max() <= 1 / 3


def test_stagger_shifts_each_axis_by_the_golden_fraction_of_a_cell():
    plane = Plane.log((1e-2, 1e2), (1e-4, 1.0), per_decade=5, stagger=True)
    assert plane.eta.shape == plane.shape
    shift = np.log10(plane.eta[:, 0] / 1e-4) * 5
    np.testing.assert_allclose(shift, (0.618 * np.arange(plane.shape[0])) % 1, atol=1e-9)


def test_around_follows_a_curve():
    gamma = np.array([0.1, 1.0, 10.0])
    plane = Plane.around(lambda g: g**2, gamma, decades=1, per_decade=20)
    assert plane.shape == (3, 41)
    np.testing.assert_allclose(plane.eta[:, 20], gamma**2)
    np.testing.assert_allclose(plane.eta[:, -1] / plane.eta[:, 0], 100)


def test_refine_narrows_around_an_edge_and_leaves_out_what_is_censored():
    gamma = np.array([1.0, 2.0, 3.0, 4.0])
    edges = edges_from_brackets(gamma, [1.0, np.nan, 3.0, 4.0], [2.0, 4.0, 6.0, np.nan], "eta_max")
    plane = Plane.refine(Plane.log(), edges, "eta_max", per_decade=100)
    np.testing.assert_array_equal(plane.gamma, [1.0, 3.0])
    assert (plane.eta[:, 0] < [1.0, 3.0]).all()
    assert (plane.eta[:, -1] > [2.0, 6.0]).all()


def test_tiles_cover_the_plane_once():
    plane = Plane.log((1e-2, 1e2), (1e-3, 1.0), per_decade=(3, 7), stagger=True)
    seen = np.zeros(plane.shape, int)
    for rows, columns in plane.tiles(4, 5):
        seen[rows, columns] += 1
        gamma, eta = plane.part(rows, columns)
        assert eta.shape == (len(gamma), columns.stop - columns.start)
    assert (seen == 1).all()


def test_a_plane_cannot_be_changed_behind_its_back():
    gamma = np.array([1.0, 2.0])
    plane = Plane(gamma, gamma)
    gamma[0] = 7.0
    assert plane.gamma[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        plane.gamma[0] = 7.0


@pytest.mark.parametrize(("gamma", "eta", "words"), [
    ([2.0, 1.0], [1.0], "gamma must increase strictly, but 1.0 follows 2.0"),
    ([1.0, 1.0], [1.0], "gamma must increase strictly"),
    ([-1.0, 1.0], [1.0], "gamma must be finite and above zero"),
    ([0.0, 1.0], [1.0], "gamma must be finite and above zero"),
    ([np.nan, 1.0], [1.0], "gamma must be finite and above zero"),
    ([1.0, np.inf], [1.0], "gamma must be finite and above zero"),
    ([], [1.0], "gamma must hold at least one value"),
    ([1.0], [], "eta must hold at least one value"),
    (1.0, [1.0], "gamma must have one dimension"),
    (["a"], [1.0], "gamma must be numbers"),
    ([True], [1.0], "gamma must be numbers"),
    ([1.0, 2.0], [[1.0, 2.0]], "eta must hold one axis per gamma: 2 rows, not 1"),
    ([1.0, 2.0], [[1.0, 2.0], [2.0, 1.0]], "eta must increase strictly"),
])
def test_bad_axes_are_refused(gamma, eta, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        Plane(gamma, eta)


@pytest.mark.parametrize(("more", "words"), [
    ({"gamma": (1.0, 0.1)}, "gamma must increase strictly"),
    ({"gamma": 1.0}, "gamma must be two increasing numbers above zero"),
    ({"eta": (0.0, 1.0)}, "eta must be finite and above zero"),
    ({"per_decade": 0}, "per_decade must be a whole number of at least 1"),
    ({"per_decade": (1, 2, 3)}, "per_decade must be a whole number or two of them"),
])
def test_bad_logarithmic_planes_are_refused(more, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        Plane.log(**more)
