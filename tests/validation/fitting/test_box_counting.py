"""The dimension of a border, compared with curves and fractals whose dimension is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.arguments import Misuse
from validation.fitting.box_counting import box_counts, box_dimension

N = 1024
X, Y = np.meshgrid(np.linspace(0, 1, N + 1), np.linspace(0, 1, N + 1), indexing="ij")


@given(angle=st.floats(0, 2 * np.pi), offset=st.floats(-0.2, 0.2))
@settings(max_examples=20, deadline=None)
def test_a_straight_border_has_dimension_one(angle, offset):
    assert box_dimension(np.cos(angle) * (X - 0.5) + np.sin(angle) * (Y - 0.5) > offset) == pytest.approx(1, abs=0.03)


def test_a_curved_border_has_dimension_one():
    assert box_dimension((X - 0.4) ** 2 + (Y - 0.5) ** 2 < 0.11) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.8])
def test_the_graph_of_weierstrass_function(hurst):
    """Its dimension is 2 - H: by boxes Kaplan, Mallet-Paret and Yorke 1984, for random phases Hunt, Proc. AMS 126, 791, 1998."""
    phase = np.random.default_rng(1).uniform(0, 2 * np.pi, 40)
    x = np.linspace(0, 1, N + 1)
    w = sum(1.7 ** (-hurst * k) * np.cos(2 * np.pi * 1.7**k * x + phase[k]) for k in range(40))
    inside = Y * np.ptp(w) * 1.2 + w.min() - 0.1 * np.ptp(w) < w[:, None]
    assert box_dimension(inside, 64) == pytest.approx(2 - hurst, abs=0.1)


def test_stripes_over_cantors_set():
    """Borders at x in the middle-third set, whose gaps are alternately in and out: 1 + log 2/log 3."""
    at, level = np.linspace(0, 1, 4097) * (1 - 1e-12), np.zeros(4097)
    for k in range(1, 40):
        at = 3 * at
        in_gap = (at >= 1) & (at <= 2) & (level == 0)
        level[in_gap] = k
        at = at - np.floor(at)
    inside = np.broadcast_to((level % 2 == 1)[:, None], (4097, 4097))
    assert box_dimension(inside) == pytest.approx(1 + np.log(2) / np.log(3), abs=0.03)


def test_noise_fills_the_plane():
    assert box_dimension(np.random.default_rng(0).random((513, 513)) < 0.5) == pytest.approx(2, abs=0.02)


def test_a_diagonal_is_counted_by_hand():
    many, count = box_counts(X > Y, 8)
    assert many.tolist() == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert (count == 2 * many - 1).all()     # the n boxes on the diagonal, and the n - 1 that touch it with a corner from inside


def test_no_border_has_no_dimension():
    assert np.isnan(box_dimension(np.zeros((129, 129), bool)))
    assert box_counts(np.zeros((129, 129), bool))[1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("inside", "coarsest", "says"), [
    (np.zeros((129, 129)), 16, "bool"), (np.zeros((129, 65), bool), 16, "shape (129, 65)"), (np.zeros((128, 128), bool), 16, "129"),
    (np.zeros((65, 65), bool), 16, "k at least 3"), (np.zeros((129, 129), bool), 0, "coarsest"), (np.zeros((1, 1), bool), 16, "not 1"),
    (np.zeros(129, bool), 16, "square"),
])
def test_misuse(inside, coarsest, says):
    with pytest.raises(Misuse, match=says.replace("(", r"\(").replace(")", r"\)")):
        box_counts(inside, coarsest)
