"""Find out whether an edge bends on a window: whether its local exponent changes along the axis.

A quadratic and a cubic in log gamma are fitted as a line is, with the scatter and its correlation averaged over: neighbours that scatter
together are no bend.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from validation.fitting.error_model import average_over_errors

CUBIC = 6      # rows that a cubic takes
ENDS = 0.80    # level of the local exponents' intervals


@dataclass(frozen=True)
class Bend:
    """What the rows tell of a bend.

    Attributes
    ----------
    level : the highest level at which the interval of the quadratic or of the cubic coefficient leaves out zero.
    first, last : the local exponent at the window's ends, of the cubic where that is the surer one.
    drift : the greatest less the least local exponent on the window.
    ends : 80% intervals of the quadratic's local exponent at the window's ends.
    """

    level: float
    first: float
    last: float
    drift: float
    ends: tuple[tuple[float, float], tuple[float, float]]

    def shift(self, slope: float) -> Bend:
        """Return the same with `slope` added to every local exponent."""
        (a, b), (c, d) = self.ends
        return Bend(self.level, self.first + slope, self.last + slope, self.drift, ((a + slope, b + slope), (c + slope, d + slope)))


def find_bend(x: np.ndarray, middle: np.ndarray, cell: float, shared: bool = True, seeds: np.ndarray | None = None) -> Bend:
    """Return what rows tell of a bend.

    Parameters
    ----------
    x : shape (n,), increasing, n at least 4.
    middle : shape (n,), the brackets' middles in decades, means over seeds.
    cell : the brackets' width in decades, root mean square.
    shared : whether the rows' errors may be correlated along x.
    seeds : as of `validation.fitting.error_model.average_over_errors`.
    """
    half = 0.5 * float(x[-1] - x[0])
    t = (x - x[0]) / half - 1                                           # in [-1, 1]
    powers = np.stack([np.ones_like(t), t, 1.5 * t**2 - 0.5, 2.5 * t**3 - 1.5 * t], axis=1)
    # the slope of P2 is 3 t
    second, first, last = average_over_errors(
        x, middle, cell, powers[:, :3], np.array([[0, 0, 1.0], [0, 1 / half, -3 / half], [0, 1 / half, 3 / half]]), shared, seeds=seeds)
    level, degree = second.excludes_zero_at(), 2
    if x.size >= CUBIC:
        third, = average_over_errors(x, middle, cell, powers, np.array([[0, 0, 0, 1.0]]), shared, seeds=seeds)
        if third.excludes_zero_at() > level:
            level, degree = third.excludes_zero_at(), 3
    local = np.polyval(np.polyder(np.polyfit(t, middle, degree)), np.linspace(-1, 1, 41)) / half
    return Bend(level, float(local[0]), float(local[-1]), float(np.ptp(local)), (first.interval(ENDS), last.interval(ENDS)))
