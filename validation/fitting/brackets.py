"""Read the rows of a regression from an edge dataset: log10 gamma, and a bracket of log10 eta for each gamma.

An edge is measured as a bracket per gamma. A row holds ``lower <= log10 eta <= upper``, where an infinite end means that the grid
ended first (censored). Several seeds make one row: pooled as if they were independent gammas, they give intervals that cover only
64-78%.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, axis
from validation.fitting.result import name_points

NARROWEST = 1e-12   # decades; an edge given exactly (lower == upper) is given to float64's precision at best
SAME = 1e-9         # relative; a window's end that is a gamma belongs to the window, whatever its last digits


@dataclass(frozen=True)
class Rows:
    """The brackets of one edge in a window, without the gammas at which the edge is absent.

    Attributes
    ----------
    gamma : shape (n,), increasing.
    x, lower, upper : shape (n,), log10 of gamma and of the bracket's ends; an end is infinite where censored.
    offered : the window's gammas, those without the edge included; increasing.
    axis : what takes the place of gamma, as in `PowerLawFit`.
    seeds : shape (S, n, 2), each seed's brackets in decades: an end is infinite where censored, both are NaN where the edge is absent; None
        if there is one seed.
    """

    gamma: np.ndarray
    x: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    offered: np.ndarray
    axis: str = "gamma"
    seeds: np.ndarray | None = None

    @property
    def censored(self) -> np.ndarray:
        """Which rows have one end only, shape (n,)."""
        return ~(np.isfinite(self.lower) & np.isfinite(self.upper))

    @property
    def middle(self) -> np.ndarray:
        """The brackets' middles in decades, infinite where censored, shape (n,)."""
        return 0.5 * self.lower + 0.5 * self.upper

    @property
    def width(self) -> np.ndarray:
        """The brackets' widths in decades, infinite where censored, shape (n,)."""
        return self.upper - self.lower

    def take(self, which: Any) -> Rows:
        """Return the rows that a mask, a slice or indices select."""
        return replace(self, gamma=self.gamma[which], x=self.x[which], lower=self.lower[which], upper=self.upper[which],
                       seeds=None if self.seeds is None else self.seeds[:, which])

    def shift(self, decades: np.ndarray) -> Rows:
        """Return the same rows with `decades` (shape (n,)) subtracted: residuals to a curve."""
        return replace(self, lower=self.lower - decades, upper=self.upper - decades,
                       seeds=None if self.seeds is None else self.seeds - decades[:, None])

    def between(self, window: Any) -> Rows:
        """Return the rows in a window (low, high), its ends included.

        Raises
        ------
        Misuse : `pair`'s, or a window that holds no gamma of the dataset, or one only.
        """
        low, high = pair("window", window)

        def inside(gamma: np.ndarray) -> np.ndarray:
            return (gamma >= low * (1 - SAME)) & (gamma <= high * (1 + SAME))

        offered = self.offered[inside(self.offered)]
        if offered.size < 2:
            raise Misuse(f"window must hold at least two {name_points(self.axis)} of the dataset; ({low:g}, {high:g}) holds "
                         f"{'one' if offered.size else 'none'} of its {self.offered.size}, "
                         f"which lie between {self.offered[0]:g} and {self.offered[-1]:g}")
        return replace(self.take(inside(self.gamma)), offered=offered)


def pair(name: str, value: Any) -> tuple[float, float]:
    """Return a window as (low, high); the open ends 0 and infinity are allowed.

    Raises
    ------
    Misuse : not a pair of numbers with 0 <= low < high.
    """
    try:
        low, high = (float(v) for v in value)
    except (TypeError, ValueError):
        raise Misuse(f"{name} must be a pair of numbers (low, high), not {value!r}") from None
    if not 0 <= low < high:
        raise Misuse(f"{name} must be a pair of numbers with 0 <= low < high, not ({low:g}, {high:g})")
    return low, high


def brackets(edges: xr.Dataset, edge: str) -> tuple[np.ndarray, np.ndarray]:
    """Return gamma, shape (n,), and the brackets of one edge, shape (seed, n, 2), in units of eta, NaN where censored.

    Raises
    ------
    Misuse : the dataset breaks the contract of `validation.locate`, or has no such edge; the message says which part.
    """
    if not isinstance(edges, xr.Dataset):
        raise Misuse(f"edges must be an xarray.Dataset, as from validation.locate, not {type(edges).__name__}")
    if "eta" not in edges.data_vars:
        raise Misuse("edges must hold a variable eta over (edge, gamma, bound); "
                     f"it holds {sorted(map(str, edges.data_vars))}")
    eta = edges["eta"]
    if set(eta.dims) not in ({"edge", "gamma", "bound"}, {"edge", "seed", "gamma", "bound"}):
        raise Misuse(f"edges: the variable eta must have the dimensions (edge, [seed,] gamma, bound), not {eta.dims}")
    for name in ("edge", "gamma", "bound"):
        if name not in eta.coords:
            raise Misuse(f"edges: the dimension {name} of eta must have a coordinate of the same name")
    if sorted(map(str, eta["bound"].values)) != ["lower", "upper"]:
        raise Misuse(f"edges: the coordinate bound must be ['lower', 'upper'], not {eta['bound'].values.tolist()}")
    names = [str(n) for n in eta["edge"].values]
    if names.count(str(edge)) != 1:
        raise Misuse(f"edge must be one of {', '.join(map(repr, names))}, not {edge!r}")
    gamma = axis("edges: the coordinate gamma", eta["gamma"].values)
    chosen = eta.isel(edge=names.index(str(edge))).sel(bound=["lower", "upper"])
    if "seed" not in chosen.dims:
        chosen = chosen.expand_dims("seed")
    values = np.asarray(chosen.transpose("seed", "gamma", "bound").values)
    if values.dtype.kind not in "iuf":
        raise Misuse(f"edges: the variable eta must be numbers, not {values.dtype}")
    values = values.astype(np.float64)
    known = ~np.isnan(values)
    if not (np.isfinite(values) & (values > 0))[known].all():
        bad = values[known & ~(np.isfinite(values) & (values > 0))][0]
        raise Misuse(f"edges: the variable eta must be finite and above zero, or NaN where censored, not {bad:g}")
    with np.errstate(invalid="ignore"):
        crossed = values[..., 0] > values[..., 1]
    if crossed.any():
        _, g = np.argwhere(crossed)[0]
        raise Misuse(f"edges: eta must have lower <= upper, but at {measured_axis(edges)} = {gamma[g]:g} the bracket of {edge} is "
                     f"({values[crossed][0][0]:g}, {values[crossed][0][1]:g})")
    return gamma, values


def measured_axis(edges: xr.Dataset) -> str:
    """Return what the coordinate gamma of edges holds: their attribute axis, "gamma" without one."""
    return str(edges.attrs.get("axis", "gamma"))


def conditions(edges: xr.Dataset) -> tuple[int | None, float | None]:
    """Return the horizon T and the threshold rho at which edges were measured; None if the dataset does not give exactly one.

    Raises
    ------
    Misuse : the attribute ``steps`` is no whole number above zero, and no list of them.
    """
    if "steps" in edges.attrs:
        given = np.asarray(edges.attrs["steps"])
        if given.dtype.kind not in "iuf" or not (np.isfinite(given) & (given >= 1) & (given % 1 == 0)).all():
            raise Misuse(f"the attribute steps must be a whole number of at least 1, or a list of them, not {edges.attrs['steps']!r}")

    def one(*places: Any) -> Any:
        values = [np.asarray(place) for place in places if place is not None]
        single = [v.reshape(-1)[0] for v in values if v.size == 1 and v.dtype.kind in "iuf"]
        return single[0] if single else None

    steps = one(edges.coords.get("horizon"), edges.attrs.get("steps"))
    rho = one(edges.attrs.get("rho"))
    return None if steps is None else int(steps), None if rho is None else float(rho)


def rows(edges: xr.Dataset, edge: str) -> Rows:
    """Return one row per gamma.

    Seeds: at a gamma where every seed has both ends, the row brackets the mean of the seeds' log10 edges; where a seed
    is censored, their median, which a few censored seeds do not move. A seed without the edge is left out.

    Raises
    ------
    Misuse : `brackets`'.
    """
    offered, values = brackets(edges, edge)
    log = np.log10(values)                                               # (seed, n, 2)
    present = ~np.isnan(log).all(axis=-1)                                # (seed, n)
    log[..., 0][np.isnan(log[..., 0]) & present] = -np.inf
    log[..., 1][np.isnan(log[..., 1]) & present] = np.inf
    found = present.any(axis=0)
    log, present, gamma = log[:, found], present[:, found], offered[found]
    # sorted, so that the sums and hence the exponent do not depend on the order of the seeds
    seeds = np.where(present[..., None], log, np.nan)[present.any(axis=1)]
    seeds = seeds[np.lexsort(seeds.reshape(len(seeds), -1).T[::-1])] if gamma.size else seeds
    log = np.sort(np.where(present[..., None], log, np.nan), axis=0)     # NaN last
    count = present.sum(axis=0)
    whole = (np.isfinite(log) | np.isnan(log)).all(axis=(0, 2))
    ends = np.empty((gamma.size, 2))
    if whole.any():
        ends[whole] = np.nansum(log[:, whole], axis=0) / count[whole, None]
    for i in np.flatnonzero(~whole):
        middle = log[[(count[i] - 1) // 2, count[i] // 2], i]            # (2, 2); the median, of infinities too
        ends[i] = np.where(middle[0] == middle[1], middle[0], 0.5 * middle[0] + 0.5 * middle[1])
    known = np.isfinite(ends).any(axis=1)     # a median may be infinite on both sides
    ends, gamma, seeds = ends[known], gamma[known], seeds[:, known]
    lower, upper = ends[:, 0], ends[:, 1]
    spare = np.where(np.isfinite(upper - lower), np.maximum(0, NARROWEST - (upper - lower)) / 2, 0.0)
    return Rows(gamma, np.log10(gamma), lower - spare, upper + spare, offered, measured_axis(edges),
                seeds if len(seeds) > 1 else None)
