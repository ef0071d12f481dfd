"""Tiles: every point in one tile, every missing point in one piece, planes within planes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from validation import Misuse, Plane
from validation.storage.tiles import Key, Layout, find_absent, find_rectangles, locate_points

PLANES = st.builds(lambda n, m, own: Plane(np.geomspace(1, 3, n), np.geomspace(1, 2, m) * (np.arange(1, n + 1)[:, None] if own else 1.0)),
                   st.integers(1, 9), st.integers(1, 9), st.booleans())


@given(PLANES, st.integers(1, 12), st.integers(1, 12), st.sampled_from([None, (3,), (0, 7)]))
def test_every_point_lies_in_one_tile(plane, rows, columns, seeds):
    layout = Layout(plane, (rows, columns), seeds)
    count = np.zeros((layout.shape[0], *plane.shape), int)
    for key in layout:
        count[(key.seed, *layout.slices(key))] += 1
    assert (count == 1).all()
    assert len(list(layout)) == np.prod(layout.shape)


@given(arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_rectangles_hold_every_missing_point_once(missing):
    count = np.zeros(missing.shape, int)
    found = find_rectangles(missing)
    for rows, columns in found:
        count[rows[:, None], columns] += 1
        assert (np.diff(columns, axis=1) > 0).all()
    np.testing.assert_array_equal(count, missing)
    assert len(found) == len(set(missing.sum(1)) - {0})     # one for each number of points a row


@given(PLANES, st.data())
def test_pieces_have_the_rates_of_their_points(plane, data):
    layout = Layout(plane, (4, 5))
    key = data.draw(st.sampled_from(list(layout)))
    rows, columns = layout.slices(key)
    shape = rows.stop - rows.start, columns.stop - columns.start
    missing = data.draw(arrays(bool, shape))
    for piece in layout.pieces(key, missing):
        gamma, eta = plane.part(rows, columns)
        part = Plane(piece.gamma, piece.eta)         # increasing axes, as measure() needs them
        rates = np.broadcast_to(part.eta, part.shape)
        np.testing.assert_array_equal(part.gamma, gamma[piece.rows])
        np.testing.assert_array_equal(rates, np.broadcast_to(eta, shape)[piece.rows[:, None], piece.columns])


@given(PLANES, st.data())
def test_a_part_of_a_plane_is_found_in_it(plane, data):
    n, m = plane.shape
    rows = np.flatnonzero(data.draw(arrays(bool, n, fill=st.nothing()).filter(np.any)))
    columns = np.flatnonzero(data.draw(arrays(bool, m, fill=st.nothing()).filter(np.any)))
    part = Plane(plane.gamma[rows], plane.eta[columns] if plane.eta.ndim == 1 else plane.eta[np.ix_(rows, columns)])
    assert find_absent(part, plane) is None
    at, along = locate_points(part, plane)
    np.testing.assert_array_equal(at, rows)
    np.testing.assert_array_equal(along, np.broadcast_to(columns, part.shape))
    if len(rows) < n and len(columns) == m:
        lost = find_absent(plane, part)
        assert lost[0] == plane.gamma[np.setdiff1d(np.arange(n), rows)[0]]


def test_points_that_differ_in_the_last_bit_are_distinct():
    plane = Plane([1.0, 2.0], [0.1, 0.2])
    assert find_absent(Plane([2.0], [np.nextafter(0.2, 1)]), plane) == (2.0, np.nextafter(0.2, 1))
    assert find_absent(Plane([3.0], [0.1]), plane) == (3.0, 0.1)
    assert find_absent(Plane([1.0, 2.0], [[0.1, 0.2], [0.1, 0.2]]), plane) is None


def test_tiles_have_names():
    layout = Layout(Plane([1.0, 2.0, 4.0], [0.1, 0.2]), (2, 2), (0, 5))
    assert layout.extent(Key(1, 1, 0)) == "tile 1.1.0 (seed 5, gamma 4 to 4, eta 0.1 to 0.2)"
    with pytest.raises(Misuse, match="tile must be a pair"):
        Layout(layout.plane, 3)
    with pytest.raises(Misuse, match="tile must be a whole number of at least 1, not 0"):
        Layout(layout.plane, (0, 2))
