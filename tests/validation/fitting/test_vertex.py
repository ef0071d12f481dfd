"""The vertex of a parabola between the points of a grid: where it is, its error by noise and by the curve's shape."""

import numpy as np
import pytest

from validation.fitting.vertex import find_shape_error, locate_vertex

CURVES = {"exponentials": lambda u: np.exp(1.2 * u) - 1.2 * u - 1, "corner": lambda u: np.where(u < 0, -u, 3 * u),
          "quartic": lambda u: u**4, "parabola": lambda u: u**2}


def locate(curve, phase, step=0.7, noise=0.0, rng=None):
    x = step * np.arange(-6, 7) + phase
    y = curve(x) + (0.0 if rng is None else rng.normal(0, noise, x.size))
    best = int(np.argmin(y))
    return locate_vertex(x, y, np.full(x.size, noise), best, np.arange(best - 1, best + 2))


@pytest.mark.parametrize("name", CURVES)
def test_up_to_a_bias_the_vertex_is_off_by_less_than_is_allowed(name):
    """Over all places of the minimum between two points; what the coarser grids differ by allows less than a quarter, and still enough."""
    found = [locate(CURVES[name], phase) for phase in np.linspace(-0.35, 0.35, 41)]
    places = np.array([place for place, _ in found])
    off = np.abs(places - 0.5 * (places.min() + places.max())).max() / 0.7
    shape = find_shape_error(vertex for _, vertex in found)
    assert places.std() < 0.102 * 0.7
    assert places.std() / 0.7 <= 1.05 * shape + 1e-12                   # the corner passes it by a twenty-fifth
    assert off <= np.sqrt(3) * shape + 1e-12
    for place, vertex in found:
        low, high = vertex.bracket(shape)
        assert low - 1e-12 <= place <= high + 1e-12
        assert 0.5 * (high - low) <= np.sqrt(3) * 0.1 * 0.7 + 1e-12


def test_the_standard_error_is_that_of_repeated_noise():
    rng = np.random.default_rng(0)
    found = [locate(lambda u: u**2, 0.1, noise=0.01, rng=rng) for _ in range(400)]
    assert np.std([place for place, _ in found]) == pytest.approx(np.mean([vertex.error for _, vertex in found]), rel=0.1)


def test_a_curve_that_is_not_surely_curved_has_no_vertex():
    x = np.arange(5.0)
    assert locate_vertex(x, -(x - 2.0) ** 2, np.zeros(5), 2, np.arange(1, 4)) == (2.0, None)
    assert locate_vertex(x, (x - 2.0) ** 2, np.full(5, 3.0), 2, np.arange(1, 4))[1] is None
    assert locate_vertex(x, (x - 2.0) ** 2, np.zeros(5), 2, np.array([2, 3])) == (2.0, None)
    assert locate_vertex(x, (x - 2.0) ** 2, np.full(5, np.inf), 2, np.arange(5)) == (2.0, None)


def test_without_several_coarser_grids_a_tenth_is_allowed():
    _, vertex = locate(CURVES["parabola"], 0.2)
    assert find_shape_error([vertex, vertex]) == 0.1
    low, high = vertex.bracket(0.1)
    assert high - low == pytest.approx(2 * np.sqrt(3) * 0.1 * 0.7)
