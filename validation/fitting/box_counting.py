"""The box-counting dimension of the border of a set on a line or in the plane.

In the plane, an edge that is a smooth curve has dimension 1; one that is crossed at every scale (the divergence of deep toys) has more.
On a line, finitely many borders have dimension 0; borders between which there are always more have up to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from validation.arguments import Misuse, whole

FEWEST = 4      # sizes of boxes that a slope needs


@dataclass(frozen=True)
class DimensionFit:
    """A box-counting dimension.

    Attributes
    ----------
    dimension : slope of log count over log n; NaN where at some size no box meets the border.
    interval : (low, high), 95%.
    scales : (least, largest) n used, in boxes a side.
    """

    dimension: float
    interval: tuple[float, float]
    scales: tuple[int, int]

    @property
    def sentence(self) -> str:
        """The dimension in one line."""
        first, last = self.scales
        if np.isnan(self.dimension):
            return f"no dimension: at some size from 1/{first} to 1/{last} of the side no box meets the border"
        low, high = self.interval
        return f"dimension {self.dimension:.3f}, {low:.3f} to {high:.3f} (95%), boxes of 1/{first} to 1/{last} of the side"


def _as_array(marked: Any) -> np.ndarray:
    """Return an array; `Misuse` if the rows have different lengths."""
    try:
        return np.asarray(marked)
    except ValueError:
        raise Misuse("marked must be a line or a square of bool, whose rows have one length") from None


def box_counts(marked: Any, coarsest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return how many boxes a border passes through, for boxes of half the size each time.

    A line is cut into n intervals, a square into n x n boxes, n = coarsest, 2 coarsest, ... A box counts if its corners (an interval, if
    its ends) are not all on one side. Only the corners are tested, so that the count is as sensitive at every size; this is the
    uncertainty exponent of McDonald, Grebogi, Ott and Yorke (Physica D 17, 125, 1985), whose fraction of uncertain boxes goes as
    n**(D - d) in d dimensions.

    Parameters
    ----------
    marked : bool, (coarsest 2**k + 1,) or the same on both sides of a square, k >= 3: which points of a lattice lie inside, its rims
        included.
    coarsest : the least n, at least 1.

    Returns
    -------
    n (k + 1,), and the counts (k + 1,).

    Raises
    ------
    Misuse : an array that is not boolean, or of another shape.

    Examples
    --------
    >>> box_counts(np.linspace(0, 1, 17) > 0.3)[1]
    array([1, 1, 1, 1, 1])
    """
    marked = _as_array(marked)
    if marked.dtype != bool or marked.ndim not in (1, 2) or len(set(marked.shape)) != 1:
        raise Misuse(f"marked must be a line or a square array of bool, not {marked.dtype} of shape {marked.shape}")
    doublings = np.log2((len(marked) - 1) / whole("coarsest", coarsest)) if len(marked) > 1 else -1.0
    if doublings < FEWEST - 1 or doublings != round(doublings):
        raise Misuse(f"marked must have coarsest 2**k + 1 points a side, k at least {FEWEST - 1}; with coarsest = {coarsest} that is "
                     f"{', '.join(str(coarsest * 2**k + 1) for k in (3, 4, 5))}, ..., not {len(marked)}")
    many = coarsest * 2 ** np.arange(round(doublings) + 1)
    every = [(slice(None, None, step),) * marked.ndim for step in (len(marked) - 1) // many]
    return many, np.array([_count_crossed_cells(marked[part]) for part in every])


def box_dimension(marked: Any, coarsest: int | None = None) -> DimensionFit:
    """Return the dimension D of a border, the slope of log count over log n.

    The interval is that of the slopes between neighbouring sizes, weighted as the regression weights them: Student's, times
    ``sqrt((1 + r)/(1 - r))`` for the correlation r of neighbouring slopes, and wider on both sides by as much as the
    slope of the finer half differs from that of the coarser half: a dimension that still drifts with size may drift on.

    Parameters
    ----------
    marked : see `box_counts`.
    coarsest : the least n. None: a dimension is a limit of small boxes, so that the finer half of the sizes counts, n >= sqrt(largest n)
        (at least four sizes); coarser ones in which every box meets the border are left out.

    Examples
    --------
    >>> x, y = np.meshgrid(np.linspace(0, 1, 257), np.linspace(0, 1, 257))
    >>> found = box_dimension(x**2 + y**2 < 0.7)
    >>> round(found.dimension, 1), found.interval[0] < 1 < found.interval[1], found.scales
    (1.0, True, (16, 256))
    """
    marked = _as_array(marked)
    many, count = box_counts(marked, 1 if coarsest is None else coarsest)
    if coarsest is None:
        fine = (many >= np.sqrt(many[-1])) & (np.cumsum(count < many**marked.ndim) > 0)
        first = min(int(np.argmax(fine)) if fine.any() else many.size, many.size - FEWEST)
        many, count = many[first:], count[first:]
    scales = int(many[0]), int(many[-1])
    if not count.all():
        return DimensionFit(float("nan"), (float("nan"), float("nan")), scales)
    slopes = np.diff(np.log2(count))
    k = np.arange(1, slopes.size + 1)
    weight = k * (slopes.size + 1 - k.astype(float))
    weight /= weight.sum()
    dimension = float(weight @ slopes)
    rest = slopes - dimension
    r = float(rest[1:] @ rest[:-1]) / max(float(rest @ rest), 1e-300)
    r = float(np.clip(r + (1 + 4 * r) / slopes.size, -0.25, 0.8))                  # its bias beside a fitted mean (Kendall 1954)
    error = float(np.sqrt(rest @ rest / (slopes.size - 1) * (weight @ weight) * (1 + r) / (1 - r)))
    half = slopes.size // 2
    drift = abs(float(slopes[-half:].mean() - slopes[:half].mean()))
    width = float(stdtrit(slopes.size - 1, 0.975)) * error + drift
    return DimensionFit(dimension, (max(dimension - width, 0.0), min(dimension + width, float(marked.ndim))), scales)


def _count_crossed_cells(lattice: np.ndarray) -> int:
    """Return how many cells of a lattice have corners on both sides."""
    if lattice.ndim == 1:
        return int(np.count_nonzero(lattice[1:] != lattice[:-1]))
    corners = lattice[:-1, :-1].astype(np.int8) + lattice[1:, :-1] + lattice[:-1, 1:] + lattice[1:, 1:]
    return int(np.count_nonzero((corners > 0) & (corners < 4)))
