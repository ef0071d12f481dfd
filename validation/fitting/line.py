"""Fit a line to brackets: its slope, level and scatter, and the slope's intervals.

An interval is a hull. (i) What the middles tell when neither the scatter nor its correlation along the axis is known
(`validation.fitting.error_model`). (ii) The slopes of all lines through all brackets, if there are any: on a lattice a cell's
error drifts along the axis like a slope, and if nothing scatters the truth is among them. (iii) From four seeds on, Student's
interval over the seeds' own slopes, which assumes nothing of what is common along the axis. A one-sided row enters as the working
response that has its likelihood's score and information at the likeliest line (Green, J. R. Stat. Soc. B 46, 149, 1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr, stdtrit

from validation.fitting.error_model import average_over_errors
from validation.fitting.likelihood import LOG_ROOT_2PI, Brackets

LEAST_SCATTER = 0.05   # of the median bracket's width, for the likeliest line
SEVERAL = 4            # seeds, from which their own slopes count as well
UNEQUAL = 1.0          # of the median width: brackets that differ by more are weighted


@dataclass(frozen=True)
class LineFit:
    """A line through brackets: slope, level at `centre`, scatter (decades), and intervals of the slope by level."""

    slope: float
    level: float
    centre: float
    scatter: float
    intervals: dict[float, tuple[float, float]]


def fit_line(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, levels: tuple[float, ...] = (0.90, 0.95),
             seeds: np.ndarray | None = None, shared: bool = True) -> LineFit:
    """Fit a line to brackets, at least three of them two-sided, and return it with intervals of the slope.

    Parameters
    ----------
    x, lower, upper : shape (n,), in decades, x increasing; infinite ends are censored.
    levels : the intervals' levels.
    seeds : shape (S, n, 2), each seed's brackets, as of `validation.fitting.brackets.Rows`; None: one seed.
    shared : whether the rows' errors may be correlated along x.

    Returns
    -------
    LineFit : its slope is the least-squares one of the middles, with censored rows the likeliest one.
    """
    two = np.isfinite(lower) & np.isfinite(upper)
    width = (upper - lower)[two]
    cell = float(np.sqrt(np.median(width**2)))
    least, largest = feasible_slopes(x, lower, upper)
    middles = None if seeds is None else find_middles(seeds)
    if two.all() and (middles is None or np.isfinite(middles).all()):
        middle, weight = 0.5 * (lower + upper), None
        scatter = 0.0
        for _ in range(3):
            # The middles' mean error is none, on any lattice, over the phases of the edge.
            each = 1 / (scatter**2 + width**2 / 12)
            centre = float(each @ x / each.sum())
            slope = float(each * (x - centre) @ middle / (each * (x - centre) @ (x - centre)))
            level = float(each @ middle / each.sum())
            share = each / each.max()
            squares = float(share @ (middle - level - slope * (x - centre))**2) / max(float(share.sum()) - 2, 1.0)
            scatter = 0.0 if least <= largest else float(np.sqrt(max(0.0, squares - cell * cell / 12)))
        if np.ptp(width) > UNEQUAL * np.median(width):       # a wide bracket says little
            weight = np.minimum(each / np.median(each), 1.0)
    else:
        rows = np.stack([lower, upper], axis=-1)[None] if seeds is None else seeds
        centre, slope, level, scatter, middle, weight = _fit_likeliest(x, rows)
    columns = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    known, = average_over_errors(x, middle, cell, columns, np.array([[0.0, 1.0]]), shared, weight, middles)
    intervals = {}
    for each_level in levels:
        ends = list(known.interval(each_level)) + ([least, largest] if least <= largest else [])
        if seeds is not None and len(seeds) >= SEVERAL:
            ends += _interval_over_seeds(x, seeds, each_level)
        intervals[each_level] = min(*ends, slope), max(*ends, slope)
    return LineFit(slope, level, centre, scatter, intervals)


def fit_straight(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return the slope of the least-squares line through (x, y), and its level at the mean of x."""
    centred = x - x.mean()
    return float(centred @ y / (centred @ centred)), float(y.mean())


def find_middles(seeds: np.ndarray) -> np.ndarray:
    """Return the middles of each seed's brackets, (S, n), NaN in the rows that are not two-sided in every seed."""
    middles = seeds.mean(axis=-1)
    return np.where(np.isfinite(seeds).all(axis=(0, 2)), middles, np.nan)


def _fit_likeliest(x: np.ndarray, seeds: np.ndarray) -> tuple[float, float, float, float, np.ndarray, np.ndarray]:
    """Return the likeliest line through brackets of which some are one-sided, and for each gamma a point with a weight that stands for it.

    Parameters
    ----------
    x : shape (n,).
    seeds : shape (S, n, 2), in decades; infinite ends are censored, NaN rows absent.

    Returns
    -------
    tuple of the centre, the slope, the level there, the scatter, the points (n,) and their weights (n,): 1 if as many seeds as usual
        are two-sided.
    """
    present = ~np.isnan(seeds).any(axis=-1)                              # (S, n)
    place = np.broadcast_to(x, present.shape)[present]                   # (r,)
    lower, upper = seeds[present].T
    two = np.isfinite(lower) & np.isfinite(upper)
    centre = float(place[two].mean())
    dx = place - centre
    middle, width = 0.5 * (lower + upper)[two], (upper - lower)[two]
    base = float(middle.mean())
    guess, _, s = least_squares(dx[two], middle, width, 0.95)
    # in these units the scatter is about 1, whether the brackets are cells of half a decade or bisected to 1e-9
    spread, cell = float(np.sqrt(np.mean(dx[two]**2))), float(np.median(width)) / s
    low, high = ((end - base - guess * dx) / s for end in (lower, upper))
    brackets = Brackets(low, high, most=1 / (LEAST_SCATTER * cell))
    _, theta = brackets.climb(np.stack([np.ones_like(dx), dx / spread]), np.array([0.0, 0.0, 1.0]))
    scatter = 0.0 if theta[2] >= brackets.most * (1 - 1e-9) else float(s / theta[2])
    slope, level = guess + float(theta[1] / theta[2]) * s / spread, base + float(theta[0] / theta[2]) * s
    line = level + slope * dx
    points, weight = np.where(two, 0.5 * (lower + upper), line), np.ones_like(dx)
    sigma = float(np.hypot(scatter, cell * s / np.sqrt(12)))            # a one-sided row's end is as uncertain as a cell
    above = np.isfinite(lower[~two])
    side = np.where(above, 1.0, -1.0)
    z = side * (np.where(above, lower[~two], upper[~two]) - line[~two]) / sigma          # such a row says: standard normal above z
    ratio = np.exp(-0.5 * z * z - LOG_ROOT_2PI - log_ndtr(-z))
    weight[~two] = np.maximum(ratio * (ratio - z), 1e-12)
    points[~two] += side * sigma * ratio / weight[~two]
    total, mean = np.zeros(present.shape), np.zeros(present.shape)
    total[present], mean[present] = weight, weight * points
    usual = float(np.median(present.sum(axis=0)))
    return centre, slope, level, scatter, mean.sum(axis=0) / total.sum(axis=0), total.sum(axis=0) / usual


def _interval_over_seeds(x: np.ndarray, seeds: np.ndarray, level: float) -> list[float]:
    """Return Student's interval of the mean of the own slopes of the seeds with most of the rows; empty if those are too few."""
    own = np.array([fit_straight(x[seen], seed[seen].mean(axis=-1))[0] for seed in seeds
                    if (seen := np.isfinite(seed).all(axis=-1)).sum() >= max(3, x.size / 2)])
    if own.size < SEVERAL:
        return []
    half = float(stdtrit(len(own) - 1, 0.5 + 0.5 * level)) * float(own.std(ddof=1)) / float(np.sqrt(len(own)))
    return [float(own.mean()) - half, float(own.mean()) + half]


def feasible_slopes(x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[float, float]:
    """Return the least and the largest slope of a line through all brackets; the least is the larger if there is none.

    At slope b a line passes if every ``l_i - b x_i <= u_j - b x_j``: the pairs decide, and no program need be solved.
    """
    i, j = np.triu_indices(x.size, 1)
    run = x[j] - x[i]
    least = np.max((lower[j] - upper[i]) / run, initial=-np.inf)
    return float(least), float(np.min((upper[j] - lower[i]) / run, initial=np.inf))


def least_squares(x: np.ndarray, middle: np.ndarray, width: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return slope, the half-width of its interval at `level`, and s: OLS on the middles, but s^2 >= mean h^2/12."""
    dx = x - x.mean()
    slope = float(dx @ middle / (dx @ dx))
    rest = middle - middle.mean() - slope * dx
    s = float(np.sqrt(max(rest @ rest / (x.size - 2), np.mean(width**2) / 12)))
    return slope, float(stdtrit(x.size - 2, 0.5 + level / 2)) * s / float(np.sqrt(dx @ dx)), s
