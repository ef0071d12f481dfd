"""The dimension of a border, compared with curves and fractals whose dimension is known."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation import Misuse, box_counts, box_dimension

N = 1024
X, Y = np.meshgrid(np.linspace(0, 1, N + 1), np.linspace(0, 1, N + 1), indexing="ij")


@given(angle=st.floats(0, 2 * np.pi), offset=st.floats(-0.2, 0.2))
@settings(max_examples=20, deadline=None)
def test_a_straight_border_has_dimension_one(angle, offset):
    found = box_dimension(np.cos(angle) * (X - 0.5) + np.sin(angle) * (Y - 0.5) > offset)
    assert found.dimension == pytest.approx(1, abs=0.03)
    assert found.interval[0] <= 1.001
    assert found.interval[1] >= 0.999
    assert found.scales == (32, 1024)


def test_a_curved_border_has_dimension_one():
    found = box_dimension((X - 0.4) ** 2 + (Y - 0.5) ** 2 < 0.11, 16)
    assert found.dimension == pytest.approx(1, abs=0.03)
    assert found.scales == (16, 1024)
    assert found.interval[0] < 1 < found.interval[1]


@pytest.mark.parametrize("hurst", [0.3, 0.5, 0.8])
def test_the_graph_of_weierstrass_function(hurst):
    """Its dimension is 2 - H: by boxes Kaplan, Mallet-Paret and Yorke 1984, for random phases Hunt, Proc. AMS 126, 791, 1998."""
    phase = np.random.default_rng(1).uniform(0, 2 * np.pi, 40)
    x = np.linspace(0, 1, N + 1)
    w = sum(1.7 ** (-hurst * k) * np.cos(2 * np.pi * 1.7**k * x + phase[k]) for k in range(40))
    inside = Y * np.ptp(w) * 1.2 + w.min() - 0.1 * np.ptp(w) < w[:, None]
    assert box_dimension(inside, 64).dimension == pytest.approx(2 - hurst, abs=0.1)


def test_stripes_over_cantors_set():
    """Borders at x in the middle-third set, whose gaps are alternately in and out: 1 + log 2/log 3."""
    at, level = np.linspace(0, 1, 4097) * (1 - 1e-12), np.zeros(4097)
    for k in range(1, 40):
        at = 3 * at
        in_gap = (at >= 1) & (at <= 2) & (level == 0)
        level[in_gap] = k
        at = at - np.floor(at)
    inside = np.broadcast_to((level % 2 == 1)[:, None], (4097, 4097))
    assert box_dimension(inside, 16).dimension == pytest.approx(1 + np.log(2) / np.log(3), abs=0.03)


def test_noise_fills_the_plane():
    assert box_dimension(np.random.default_rng(0).random((513, 513)) < 0.5).dimension == pytest.approx(2, abs=0.02)


def test_a_diagonal_is_counted_by_hand():
    many, count = box_counts(X > Y, 8)
    assert many.tolist() == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert (count == 2 * many - 1).all()     # the n boxes on the diagonal, and the n - 1 that touch it with a corner from inside


def test_no_border_has_no_dimension():
    found = box_dimension(np.zeros((129, 129), bool))
    assert np.isnan([found.dimension, *found.interval]).all()
    assert "no box meets the border" in found.sentence
    assert box_counts(np.zeros((129, 129), bool), 16)[1].tolist() == [0, 0, 0, 0]


def cantor_line(ratio, points):
    """A line whose borders are those of the gaps of a set of intervals that keep both ends, of this length: log 2/-log ratio."""
    at, level = np.linspace(0, 1, points) * (1 - 1e-12), np.zeros(points, int)
    for k in range(1, 40):
        left, right = at < ratio, at > 1 - ratio
        level[~left & ~right & (level == 0)] = k
        at = np.where(left, at / ratio, np.where(right, (at - 1 + ratio) / ratio, at))
    return level % 2 == 1


def test_intervals_cover_on_lines_and_in_squares():
    """Known dimensions: Cantor's sets, stripes over them, the zeros of a random walk (1/2), its graph (3/2), finitely many points."""
    rng, hits, widths = np.random.default_rng(8), [], []
    for _ in range(12):
        ratio, n = rng.uniform(0.2, 0.45), 2**13 + 1
        dimension = np.log(2) / -np.log(ratio)
        line = cantor_line(ratio, n)
        walk = np.cumsum(rng.standard_normal(n))
        walk -= np.linspace(0, 1, n) * walk[-1]
        graph = walk[::16]
        few = np.searchsorted(np.sort(rng.uniform(0, 1, 20)), np.linspace(0, 1, n)) % 2 == 1
        for marked, known in ((line, dimension), (np.broadcast_to(line[::8, None], (1025, 1025)), 1 + dimension), (walk > 0, 0.5), (few, 0),
                              (np.linspace(-0.1, 1.1, 513) * np.ptp(graph) + graph.min() < graph[:, None], 1.5)):
            found = box_dimension(marked)
            hits.append(found.interval[0] <= known <= found.interval[1])
            widths.append(np.ptp(found.interval))
    assert np.median(widths) < 0.5
    assert np.mean(hits) >= 0.88          # of 60 at 95%: fewer in one case of 90


def test_a_line_is_counted_by_its_changes():
    marked = np.zeros(17, bool)
    marked[[3, 4, 9]] = True
    assert box_counts(marked)[1].tolist() == [0, 0, 2, 2, 4]
    assert box_counts(marked[:9])[1].tolist() == [0, 2, 2, 2]      # the rim belongs to it
    assert box_dimension(np.linspace(0, 1, 257) > 0.3).dimension == 0


def test_rates_that_diverge_have_the_published_sign_changes():
    """L = x^2 (1 + 0.2 cos(2 pi x/0.1)) from x = 1, 1000 steps, diverged beyond 1e8: published counts of changes at 2^k rates."""
    rates, x = np.linspace(0, 1.5, 2**9 + 1), np.ones(2**9 + 1)
    gone = np.zeros(rates.size, bool)
    for _ in range(1000):
        a = 2 * np.pi * x / 0.1
        moved = x - rates * (2 * x * (1 + 0.2 * np.cos(a)) - x * x * 0.2 * np.sin(a) * 2 * np.pi / 0.1)
        x = np.where(gone, x, moved)
        gone |= x**2 * (1 + 0.2 * np.cos(2 * np.pi * x / 0.1)) > 1e8
    assert box_counts(gone)[1].tolist() == [1, 1, 1, 1, 3, 5, 7, 13, 21, 27]
    found = box_dimension(gone)
    assert 0 < found.interval[0] < found.dimension < found.interval[1] <= 1


@pytest.mark.parametrize(("inside", "coarsest", "says"), [
    (np.zeros((129, 129)), 16, "bool"), (np.zeros((129, 65), bool), 16, "shape (129, 65)"), (np.zeros((128, 128), bool), 16, "129"),
    (np.zeros((65, 65), bool), 16, "k at least 3"), (np.zeros((129, 129), bool), 0, "coarsest"), (np.zeros((1, 1), bool), 16, "not 1"),
    (np.zeros((9, 9, 9), bool), 1, "a line or a square"), (np.zeros(128, bool), 16, "129"),
])
def test_misuse(inside, coarsest, says):
    with pytest.raises(Misuse, match=says.replace("(", r"\(").replace(")", r"\)")):
        box_counts(inside, coarsest)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="a thousand million steps; LAZYRICH_PATIENT=1 runs them")
def test_rates_that_diverge_have_the_published_dimension():
    """The slope between 2^10 and 2^20 rates (Liu, arXiv 2406.13971): 0.845."""
    from math import cos, pi, sin

    from numba import njit, prange

    @njit(parallel=True)
    def diverge(rates):
        gone = np.zeros(rates.size, np.bool_)
        for i in prange(rates.size):
            x = 1.0
            for _ in range(1000):
                a = 2 * pi * x / 0.1
                x -= rates[i] * (2 * x * (1 + 0.2 * cos(a)) - x * x * 0.2 * sin(a) * 2 * pi / 0.1)
                if x * x * (1 + 0.2 * cos(2 * pi * x / 0.1)) > 1e8:
                    gone[i] = True
                    break
        return gone

    found = box_dimension(diverge(np.linspace(0, 1.5, 2**20 + 1)), 2**10)
    assert found.scales == (2**10, 2**20)
    assert found.interval[0] < 0.845 < found.interval[1]
