"""The box-counting dimension of the border of a set in the plane.

An edge that is a smooth curve has dimension 1. One that is crossed at every scale (the divergence of deep toys) has more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from validation.arguments import Misuse, whole

FEWEST = 4      # sizes of boxes that a slope needs


def box_counts(inside: Any, coarsest: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return how many boxes a border passes through, for boxes of half the size each time.

    The window is cut into n x n boxes, n = coarsest, 2 coarsest, ... A box counts if its four corners are not all on one side. Only the
    corners are tested, so that the count is as sensitive at every size; this is the uncertainty exponent of McDonald,
    Grebogi, Ott and Yorke (Physica D 17, 125, 1985), whose fraction of uncertain boxes goes as n**(D - 2).

    Parameters
    ----------
    inside : bool, (coarsest 2**k + 1, coarsest 2**k + 1), k >= 3: which points of a square lattice lie inside, the window's rim included.
    coarsest : the least n, at least 1.

    Returns
    -------
    n (k + 1,), and the counts (k + 1,).

    Raises
    ------
    Misuse : an array that is not boolean, or of another shape.
    """
    inside = np.asarray(inside)
    if inside.dtype != bool or inside.ndim != 2 or inside.shape[0] != inside.shape[1]:
        raise Misuse(f"inside must be a square array of bool, not {inside.dtype} of shape {inside.shape}")
    doublings = np.log2((len(inside) - 1) / whole("coarsest", coarsest)) if len(inside) > 1 else -1.0
    if doublings < FEWEST - 1 or doublings != round(doublings):
        raise Misuse(f"inside must have coarsest 2**k + 1 points a side, k at least {FEWEST - 1}; with coarsest = {coarsest} that is "
                     f"{', '.join(str(coarsest * 2**k + 1) for k in (3, 4, 5))}, ..., not {len(inside)}")
    many = coarsest * 2 ** np.arange(round(doublings) + 1)
    return many, np.array([_count_crossed_cells(inside[::step, ::step]) for step in (len(inside) - 1) // many])


def box_dimension(inside: Any, coarsest: int = 16) -> float:
    """Return the dimension D of a border, the slope of log count over log n; NaN if at some size no box meets the border.

    Parameters
    ----------
    inside, coarsest : see `box_counts`.

    Examples
    --------
    >>> x, y = np.meshgrid(np.linspace(0, 1, 257), np.linspace(0, 1, 257))
    >>> round(box_dimension(x**2 + y**2 < 0.7), 1)
    1.0
    """
    many, count = box_counts(inside, coarsest)
    return float(np.polyfit(np.log(many), np.log(count), 1)[0]) if count.all() else float("nan")


def _count_crossed_cells(lattice: np.ndarray) -> int:
    """Return how many cells of a lattice have corners on both sides."""
    corners = lattice[:-1, :-1].astype(np.int8) + lattice[1:, :-1] + lattice[:-1, 1:] + lattice[1:, 1:]
    return int(np.count_nonzero((corners > 0) & (corners < 4)))
