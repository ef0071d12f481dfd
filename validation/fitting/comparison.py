"""Compare two measurements of one edge.

They may come from seeds, widths or optimizers, or from a toy and a network: they need common gammas only.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from validation.arguments import Misuse
from validation.fitting.brackets import SAME, Rows, brackets, rows
from validation.fitting.line import fit_line
from validation.fitting.result import name_points


def compare(edges_a: xr.Dataset, edges_b: xr.Dataset, edge: str) -> xr.Dataset:
    """Return the ratio a over b of one edge, gamma by gamma and altogether.

    Parameters
    ----------
    edges_a, edges_b : as for `validation.fit`; gammas that agree to 1e-9 are compared.
    edge : the edge's name in both.

    Returns
    -------
    xarray.Dataset : over the common gammas at which both have the edge
        `ratio` (the brackets' middles; NaN where one is censored), `ratio_lower`, `ratio_upper` (what the brackets allow,
        widened by the 95% error of the mean over seeds where there are seeds; NaN where censored);
        over (bound): `mean_interval` of `mean_log10_ratio` and `slope_interval` of `slope` (of log10 ratio on log10 gamma),
        both 95%; NaN with fewer than three two-sided ratios. Attrs: edge, n (two-sided ratios).

    Raises
    ------
    Misuse : `validation.fit`'s, and two datasets without a common gamma.
    """
    both = [rows(edges_a, edge), rows(edges_b, edge)]
    if both[0].axis != both[1].axis:
        raise Misuse(f"edges_a and edges_b must be over one axis, not over {both[0].axis} and {both[1].axis}")
    offered = [data.offered for data in both]
    if not _common(*offered)[0].size:
        raise Misuse(f"edges_a and edges_b must share {name_points(both[0].axis)}; they lie between {offered[0][0]:g} and "
                     f"{offered[0][-1]:g}, and between {offered[1][0]:g} and {offered[1][-1]:g}, and none agree")
    i, j = _common(both[0].gamma, both[1].gamma)
    a, b = both[0].take(i), both[1].take(j)
    gamma, x = a.gamma, a.x
    low, high = a.lower - b.upper, a.upper - b.lower                     # (n,)
    spread = np.hypot(_seed_error(edges_a, edge, a), _seed_error(edges_b, edge, b))
    two = np.isfinite(low) & np.isfinite(high)
    middle = np.where(two, a.middle - b.middle, np.nan) if gamma.size else np.empty(0)
    nan = np.full(2, np.nan)
    mean, mean_interval, slope, slope_interval = np.nan, nan, np.nan, nan
    n = int(two.sum())
    if n >= 3:
        mean, mean_interval = _mean(middle[two], low[two], high[two], np.hypot(a.width, b.width)[two])
        line = fit_line(x, low, high, (0.95,))
        slope, slope_interval = line.slope, np.array(line.intervals[0.95])
    ends = [np.where(np.isfinite(e), 10.0 ** np.where(np.isfinite(e), e, 0), np.nan) for e in (low - spread, high + spread)]
    return xr.Dataset(
        {"ratio": ("gamma", 10.0**middle), "ratio_lower": ("gamma", ends[0]), "ratio_upper": ("gamma", ends[1]),
         "mean_log10_ratio": ((), mean), "mean_interval": ("bound", mean_interval),
         "slope": ((), slope), "slope_interval": ("bound", slope_interval)},
        {"gamma": gamma, "bound": ["lower", "upper"]}, {"edge": str(edge), "n": n, "probability": 0.95})


def _common(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the gammas that two increasing axes share."""
    if not (a.size and b.size):
        return np.empty(0, int), np.empty(0, int)
    after = np.clip(np.searchsorted(b, a), 0, b.size - 1)
    before = np.clip(after - 1, 0, None)
    near = np.where(np.abs(b[before] - a) < np.abs(b[after] - a), before, after)
    same = np.abs(b[near] - a) <= SAME * a
    return np.flatnonzero(same), near[same]


def _mean(middle: np.ndarray, low: np.ndarray, high: np.ndarray, cell: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the mean log ratio and its 95% interval: t with s^2 >= the cells' own, and the constants in all brackets.

    On two grids that share their lattice every row has the same error, which does not average out: the second part covers that.
    """
    n = middle.size
    s = float(np.sqrt(max(float(np.var(middle, ddof=1)), float(np.mean(cell**2)) / 12)))
    half = float(stdtrit(n - 1, 0.975)) * s / float(np.sqrt(n))
    mean = float(middle.mean())
    ends = [mean - half, mean + half]
    if low.max() <= high.min():
        ends = [min(ends[0], float(low.max())), max(ends[1], float(high.min()))]
    return mean, np.array(ends)


def _seed_error(edges: xr.Dataset, edge: str, data: Rows) -> np.ndarray:
    """Return the 95% error of the mean over seeds at each row, in decades; the seeds' variance is pooled over gammas."""
    gamma, values = brackets(edges, edge)
    middle = np.log10(values[:, np.isin(gamma, data.gamma)]).mean(axis=-1)      # (seed, n), NaN where censored
    count = np.isfinite(middle).sum(axis=0)
    spare = int(np.maximum(count - 1, 0).sum())
    if spare == 0:
        return np.zeros(data.x.size)
    centre = np.nansum(middle, axis=0) / np.maximum(count, 1)
    variance = float(np.nansum((middle - centre)**2)) / spare
    return float(stdtrit(spare, 0.975)) * np.sqrt(variance / np.maximum(count, 1))
