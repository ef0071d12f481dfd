"""Locate the minimum of a curve between the points of a grid by a parabola, and say by how much the vertex may be off.

The vertex has a bias, which is the same at all sizes if the curve is, and moves no exponent; an error by noise; and an error that depends
on where the minimum lies between two points, the same at every size. For a sharp corner with sides of slopes 1 and 3, a quartic, and
exponentials, this one has a standard deviation of a tenth of a step or less: that much is allowed for it. A table of several sizes shows
how large it is: every second point is another grid, of twice the step, and the others are a third one. The root mean square of what their
vertices differ by is four times the deviation for curves without a scale of their own, such as a corner or a quartic, and more for smooth
ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

SHAPE = 0.1        # of a step, standard deviation by which a vertex may be off by the curve's shape alone
COARSER = 4.0      # times the same deviation, by which the two grids of every second point differ
FINEST = 0.01      # of a step, to which a vertex is read at best
CURVED = 3.0       # standard errors, by which a parabola is surely curved
SEVERAL = 3        # vertices from which the difference of two coarser grids is taken


@dataclass(frozen=True)
class Vertex:
    """The vertex of a parabola, all in decades.

    Attributes
    ----------
    place, error : the vertex and its standard error by noise.
    step : the mean distance of the points in its window.
    phase : where it lies between two points, in steps from the best one.
    halving : the difference of the vertices on the two grids of every second point; NaN where one has no minimum inside.
    """

    place: float
    error: float
    step: float
    phase: float
    halving: float = float("nan")

    def bracket(self, shape: float) -> tuple[float, float]:
        """Return the ends between which the minimum lies, up to the bias; `shape`, in steps, is what `find_shape_error` returns."""
        # over a bracket +- sqrt(3) s an error that is uniform has the deviation s
        off = float(np.sqrt(3) * np.hypot(shape * self.step, self.error))
        return self.place - off, self.place + off


def locate_vertex(x: np.ndarray, mean: np.ndarray, noise: np.ndarray, best: int, near: np.ndarray) -> tuple[float, Vertex | None]:
    """Return the minimum by a parabola through the points `near` the best, and its `Vertex`; None where it is not surely curved.

    Parameters
    ----------
    x, mean, noise : (n,), a grid in decades, the curve and its standard error.
    best : index of the least.
    near : indices of the points in the window.
    """
    if near.size < 3:
        return float(x[best]), None
    at = x[near] - x[best]
    to_curve = np.linalg.pinv(np.vander(at, 3))                         # (3, near)
    c2, c1, _ = to_curve @ mean[near]
    if c2 <= 0:
        return float(x[best]), None
    off = -c1 / (2 * c2)
    place = float(np.clip(x[best] + off, x[near[0]], x[near[-1]]))
    if not np.isfinite(noise[near]).all():
        return place, None
    cov = (to_curve * noise[near]**2) @ to_curve.T
    if c2 <= CURVED * np.sqrt(cov[0, 0]):
        return place, None
    by = np.array([-off / c2, -1 / (2 * c2)])                            # derivatives of the vertex by c2 and c1
    error = float(np.sqrt(by @ cov[:2, :2] @ by))
    step = float(np.mean(np.diff(at)))
    return place, Vertex(place, error, step, (place - float(x[best])) / step, _halve_grid(x, mean))


def _halve_grid(x: np.ndarray, mean: np.ndarray) -> float:
    """Return the difference of the vertices through the least three of every second point, NaN where one lies at the rim."""
    places = []
    for first in (0, 1):
        grid, curve = x[first::2], mean[first::2]
        i = int(np.argmin(curve))
        if not 0 < i < grid.size - 1 or not np.isfinite(curve[i - 1:i + 2]).all():
            return np.nan
        c2, c1, _ = np.polyfit(grid[i - 1:i + 2] - grid[i], curve[i - 1:i + 2], 2)
        places.append(grid[i] - c1 / (2 * c2) if c2 > 0 else np.nan)
    return float(places[1] - places[0])


def find_shape_error(vertices: Iterable[Vertex]) -> float:
    """Return the deviation by which vertices are off by the curve's shape, in steps: from the coarser grids, and a tenth at most."""
    seen = np.array([vertex.halving / vertex.step for vertex in vertices if np.isfinite(vertex.halving)])
    return min(SHAPE, float(np.sqrt(np.mean(seen**2))) / COARSER) if seen.size >= SEVERAL else SHAPE
