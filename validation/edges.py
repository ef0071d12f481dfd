"""Locate the edges of a portrait, each as a bracket of learning rates per gamma.

A *set* is a contiguous stretch of rates whose tail excess is at most rho, at least `WIDTH` decades wide from its first to its last
point. ``eta_min`` is the least rate whose final excess is at most rho (toys: and that does not oscillate), ``eta_crit`` the top of the
catapult-free part of the lowest set, ``eta_max`` the top of the highest (where the portrait's ``eta_max_of`` says so, of the lowest),
``eta_settle`` the bottom of the highest set, only where a gap of at least `WIDTH`, from its first to its last point, lies below it,
``eta_div`` the least rate that diverged, ``eta_opt`` the rate of least final excess.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, between, choose, numbers, positive
from validation.outcome import Outcome
from validation.portrait import conform, rates

EDGES = ("eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div", "eta_opt")
WIDTH = 0.1                    # decades
NETWORK_CATAPULT = 1.05        # the peak excess of a catapult where a portrait does not say otherwise
_ROUND = 1e-9                  # decades: a width of exactly 0.1 must not fail by rounding


@dataclass(frozen=True)
class Rules:
    """The rules by which edges are located, from the portrait's attributes.

    Attributes
    ----------
    rho : the excess at which a run counts as trained.
    catapult_peak : a converged run whose peak excess lies above this is a catapult ...
    catapult_kernel_ratio : ... if its kernel ratio also ended below this (infinity: no such condition).
    eta_max_of : "highest" or "lowest", the set whose top is eta_max.
    """

    rho: float
    catapult_peak: float = NETWORK_CATAPULT
    catapult_kernel_ratio: float = np.inf
    eta_max_of: str = "highest"

    @classmethod
    def of(cls, attrs: dict[Any, Any], rho: float | None) -> Rules:
        """Return the rules in a portrait's attributes, with another rho if one is given."""
        if rho is None and "rho" not in attrs:
            raise Misuse("rho must be given: the portrait's attributes have none")
        rules = {f.name: attrs[f.name] for f in fields(cls) if f.name in attrs} | {"rho": attrs["rho"] if rho is None else rho}
        for name in rules.keys() - {"eta_max_of"}:
            if not (name == "catapult_kernel_ratio" and isinstance(rules[name], float) and rules[name] == np.inf):
                between(name, rules[name], 0, 1 if name == "rho" else np.inf)
        choose("eta_max_of", rules.get("eta_max_of", "highest"), ("highest", "lowest"))
        return cls(**rules)


@dataclass(frozen=True)
class Row:
    """One gamma's runs, in order of their rates; all (m,)."""

    eta: np.ndarray
    trained: np.ndarray        # tail excess <= rho
    reached: np.ndarray        # final excess <= rho, and not oscillating
    catapulted: np.ndarray
    diverged: np.ndarray
    final: np.ndarray


def rows(portrait: xr.Dataset, rules: Rules) -> list[list[Row]]:
    """Return the runs at each leading index (flattened) and gamma, without those that are unrun or failed."""
    order = portrait["outcome"].dims
    m = portrait.sizes["eta"]
    n = portrait.sizes["gamma"]
    shape = (-1, n, m)

    def values(name: str) -> np.ndarray:
        return portrait[name].transpose(*order).values.reshape(shape)

    outcome, final, tail, peak = (values(v) for v in ("outcome", "final_excess", "tail_excess", "peak_excess"))
    with np.errstate(invalid="ignore"):
        diverged = outcome == Outcome.DIVERGED
        trained = (tail <= rules.rho) & ~diverged
        kernel_fell = values("kernel_ratio") < rules.catapult_kernel_ratio if "kernel_ratio" in portrait else True
        catapulted = trained & (peak > rules.catapult_peak) & kernel_fell
        reached = (final <= rules.rho) & ~diverged
        if "rose" in portrait:
            reached &= ~(values("rose").astype(bool) & (tail > rules.rho))
    ran = (outcome != Outcome.UNRUN) & (outcome != Outcome.FAILED)
    eta = np.broadcast_to(rates(portrait), outcome.shape)
    return [[Row(*(x[s, g][ran[s, g]] for x in (eta, trained, reached, catapulted, diverged, final))) for g in range(n)]
            for s in range(outcome.shape[0])]


def stretches(good: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and the last index of every contiguous stretch of true values."""
    change = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(change[::2], change[1::2], strict=True)]


def sets(row: Row) -> list[tuple[int, int]]:
    """Return the stretches of trained runs that are wide enough to be sets, lowest first."""
    return [(a, b) for a, b in stretches(row.trained) if np.log10(row.eta[b] / row.eta[a]) >= WIDTH - _ROUND]


def bracket(row: Row, edge: str, rules: Rules) -> tuple[int, int] | None:
    """Return the indices (below, above) between which the edge lies, None where it does not exist.

    An index of -1, or equal to the row's length, lies beyond the grid: the edge is censored there.
    """
    if row.eta.size == 0:
        return None
    if edge in ("eta_min", "eta_div"):
        hits = np.flatnonzero(row.reached if edge == "eta_min" else row.diverged)
        return (int(hits[0]) - 1, int(hits[0])) if hits.size else None
    if edge == "eta_opt":
        final = np.where(np.isfinite(row.final), row.final, np.inf)
        best = np.flatnonzero(final == final.min())
        return (int(best[0]) - 1, int(best[-1]) + 1) if np.isfinite(final.min()) else None
    found = sets(row)
    if not found:
        return None
    if edge == "eta_max":
        top = found[0 if rules.eta_max_of == "lowest" else -1][1]
        return top, top + 1
    if edge == "eta_crit":
        first, last = found[0]
        hits = np.flatnonzero(row.catapulted[first:last + 1])
        if hits.size == 0:
            return last, last + 1
        return (first + int(hits[0]) - 1, first + int(hits[0])) if hits[0] > 0 else None
    if len(found) < 2:
        return None
    above, below = found[-1][0], found[-2][1]
    gap = np.log10(row.eta[above - 1] / row.eta[below + 1])
    return (above - 1, above) if gap >= WIDTH - _ROUND else None


def crossings(row: Row, edge: str) -> tuple[int, float]:
    """Return how often the row crosses from one side of the edge to the other, and the decades between the first and the last time.

    One crossing is a clean edge; many are a fringe, or periodic windows.
    """
    at = _find_crossings(row, edge)
    if at.size == 0:
        return 0, 0.0
    return int(at.size), float(np.log10(row.eta[at[-1] + 1] / row.eta[at[0] + 1]))


def fringe(row: Row, edge: str) -> tuple[float, float] | None:
    """Return the rates (low, high) to scan more finely, for an edge defined as a first crossing that is crossed again; else None.

    They reach from the last crossing to as far below the first one as the fringe is wide, where a finer grid may find an earlier one.

    eta_min and eta_div are the *first* of their crossings, which a coarse grid can miss. The edges of sets are not: a set is
    contiguous at the resolution of the scan, and a finer grid finds gaps in it that the definition does not count.
    """
    if edge not in ("eta_min", "eta_div"):
        return None
    at = _find_crossings(row, edge)
    if at.size < 2:
        return None
    first, last = row.eta[at[0]], row.eta[at[-1] + 1]
    return float(first * min(first / last, 10**-WIDTH)), float(last)


def _find_crossings(row: Row, edge: str) -> np.ndarray:
    """Return the indices after which the row crosses to the far side of the edge."""
    side = {"eta_min": row.reached, "eta_settle": row.trained, "eta_div": row.diverged,
            "eta_max": ~row.trained, "eta_crit": ~row.trained | row.catapulted}.get(edge)
    if side is None or side.size < 2:
        return np.empty(0, int)
    if edge == "eta_min" and (found := sets(row)):
        side = side[:found[0][1] + 1]      # crossings above the lowest set belong to the fringe of another edge
    return np.flatnonzero(~side[:-1] & side[1:])


def assemble(found: list[list[list[tuple[float, float, int, float]]]], names: list[str], portrait: xr.Dataset,
             attrs: dict[str, Any]) -> xr.Dataset:
    """Return the edges dataset from (lower, upper, crossings, fringe) by edge, leading index and gamma."""
    leading = [d for d in portrait["outcome"].dims if d not in ("gamma", "eta")]
    shape = [len(names), *(portrait.sizes[d] for d in leading), portrait.sizes["gamma"]]
    table = np.array(found, dtype=np.float64).reshape(*shape, 4)
    dims = ("edge", *leading, "gamma")
    coords = {"edge": names, "bound": ["lower", "upper"], **{d: portrait[d] for d in (*leading, "gamma")}}
    return xr.Dataset({
        "eta": ((*dims, "bound"), table[..., :2], {"long_name": "learning rate at the edge", "units": "1",
                                                   "comment": "one end NaN: censored, as the rates end first; both NaN: no such edge"}),
        "crossings": (dims, table[..., 2].astype(np.int32), {"long_name": "times the edge is crossed", "units": "1"}),
        "fringe": (dims, table[..., 3], {"long_name": "distance of the first and the last crossing", "units": "decades"}),
    }, coords=coords, attrs=attrs)


def measure_edge(row: Row, edge: str, rules: Rules) -> tuple[float, float, int, float]:
    """Return one edge of one row as (lower, upper, crossings, fringe), NaN where censored or absent."""
    at = bracket(row, edge, rules)
    if at is None:
        return np.nan, np.nan, 0, 0.0
    lower = row.eta[at[0]] if at[0] >= 0 else np.nan
    upper = row.eta[at[1]] if at[1] < row.eta.size else np.nan
    return float(lower), float(upper), *crossings(row, edge)


def locate(portrait: xr.Dataset, rho: float | None = None, criterion: str = "excess", threshold: float = 0.8) -> xr.Dataset:
    """Return the edges of a portrait, each as the bracket of neighbouring rates between which it lies.

    Parameters
    ----------
    portrait : dims (..., gamma, eta), see `validation.portrait`.
    rho : the excess at which a run counts as trained; None: the portrait's own.
    criterion : "excess", or "accuracy": then a run is trained if its `final_accuracy` is at least `threshold`, and eta_max is
        the only edge (the argmax of a centred output has no scale, so that accuracy does not determine eta_min).
    threshold : in (0, 1).

    Returns
    -------
    Dataset : `eta` (edge, ..., gamma, bound), bound = lower, upper, NaN where censored at the rim, both NaN where there is no such
        edge; `crossings` and `fringe` (decades) over the same dims without bound.

    Raises
    ------
    Misuse : a dataset that breaks the contract; a rho, criterion or threshold that is not allowed.
    """
    portrait = conform(portrait)
    _check_variables(portrait)
    choose("criterion", criterion, ("excess", "accuracy"))
    # the criterion accuracy needs no rho: the excesses are replaced by 0 and infinity
    rules = Rules.of(portrait.attrs, 0.5 if criterion == "accuracy" and rho is None else rho)
    names = list(EDGES)
    if criterion == "accuracy":
        between("threshold", threshold, 0, 1)
        if "final_accuracy" not in portrait:
            raise Misuse("criterion 'accuracy' needs the variable 'final_accuracy', which the portrait does not have")
        failed = ~(portrait["final_accuracy"] >= threshold) | ~np.isfinite(portrait["final_excess"])
        portrait = portrait.assign(tail_excess=xr.where(failed, np.inf, 0.0).transpose(*portrait["outcome"].dims))
        names = ["eta_max"]
    found = [[[measure_edge(row, edge, rules) for row in line] for line in rows(portrait, rules)] for edge in names]
    attrs = {k: v for k, v in portrait.attrs.items()} | {"rho": rules.rho, "criterion": criterion, "method": "grid"}
    return assemble(found, names, portrait, attrs)


def _check_variables(portrait: xr.Dataset) -> None:
    """Raise `Misuse` if a dim has a name that edges need, or a variable that edges are read from is not over the dims of the outcome."""
    dims = portrait["outcome"].dims
    if reserved := [d for d in ("edge", "bound") if d in dims]:
        raise Misuse(f"portrait's dims must not have the name {reserved[0]!r}, which is that of a dim of edges; they are {dims}")
    if blank := [d for d in dims if not portrait.sizes[d]]:
        raise Misuse(f"portrait's dim {blank[0]!r} must have at least one entry; it is empty")
    for name in ("kernel_ratio", "rose", "final_accuracy"):
        if name not in portrait:
            continue
        if set(portrait[name].dims) != set(dims):
            raise Misuse(f"portrait's {name} must have dims {dims}, not {portrait[name].dims}")
        if portrait[name].dtype.kind not in "biuf":
            raise Misuse(f"portrait's {name} must hold numbers, not {portrait[name].dtype}")


def edges_from_brackets(gamma: Any, lower: Any, upper: Any, edge: str = "eta_max", seed: Any = None,
                        axis: str = "gamma") -> xr.Dataset:
    """Return measurements of an edge from elsewhere as a dataset that `fit` takes.

    Parameters
    ----------
    gamma : (n,), > 0; may repeat at different seeds.
    lower, upper : (n,), the rates between which the edge lies; NaN: unbounded on this side.
    edge : the edge's name.
    seed : (n,) or None.
    axis : what `gamma` holds, if not gamma: "T", "width", "eta/gamma", ... Sentences about the fit say it.

    Raises
    ------
    Misuse : arrays of different lengths, a lower rate above its upper one, rates not above zero, a repeated (seed, gamma).
    """
    g = np.atleast_1d(positive("gamma", gamma))
    low, high = (np.atleast_1d(numbers(name, x)) for name, x in (("lower", lower), ("upper", upper)))
    s = None if seed is None else np.atleast_1d(np.asarray(seed))
    for name, x in (("gamma", g), ("lower", low), ("upper", high), ("seed", s)):
        if x is not None and (x.ndim != 1 or len(x) != len(g) or len(x) == 0):
            raise Misuse(f"{name} must have one dimension and the length of gamma ({len(g)}, at least 1), not shape {x.shape}")
    for name, x in (("lower", low), ("upper", high)):
        positive(name, x[~np.isnan(x)])
    if (low > high).any():
        i = int(np.flatnonzero(low > high)[0])
        raise Misuse(f"lower must not exceed upper, but at index {i} it is {float(low[i])!r} and {float(high[i])!r}")
    if not isinstance(edge, str) or not edge:
        raise Misuse(f"edge must be a name, not {edge!r}")
    if not isinstance(axis, str) or not axis:
        raise Misuse(f"axis must be a name, not {axis!r}")
    gammas, at = np.unique(g, return_inverse=True)
    first = np.cumsum(np.diff(gammas, prepend=0.0) > 1e-9 * gammas) - 1       # gammas that differ in their last digits are one
    gammas, at = gammas[np.unique(first, return_index=True)[1]], first[at]
    if s is not None and s.dtype.kind not in "iufU":
        raise Misuse(f"seed must be numbers or names, one for each row, not {seed!r}")
    seeds, of = (np.array([0]), np.zeros(len(g), int)) if s is None else np.unique(s, return_inverse=True)
    pairs = set(zip(of.tolist(), at.tolist(), strict=True))
    if len(pairs) < len(g):
        raise Misuse("gamma must not repeat, unless at different seeds; "
                     f"{len(g) - len(pairs)} of {len(g)} rows repeat another's gamma" + ("" if s is None else " and seed"))
    eta = np.full((1, len(seeds), len(gammas), 2), np.nan)
    eta[0, of, at, 0], eta[0, of, at, 1] = low, high
    dims: tuple[str, ...] = ("edge", "seed", "gamma", "bound")
    coords: dict[str, Any] = {"edge": [edge], "seed": seeds, "gamma": gammas, "bound": ["lower", "upper"]}
    edges = xr.Dataset({"eta": (dims, eta, {"long_name": "learning rate at the edge", "units": "1"})}, coords=coords)
    edges.attrs = {} if axis == "gamma" else {"axis": axis}
    return edges.isel(seed=0, drop=True) if s is None else edges
