"""Fit a power law to the brackets of one edge on a window of gamma."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, choose, positive
from validation.edges import edges_from_brackets
from validation.fitting.bending import Bend, find_bend
from validation.fitting.brackets import Rows, conditions, pair, rows
from validation.fitting.line import feasible_slopes, find_middles, fit_line, fit_straight
from validation.fitting.result import NOTHING, FitOutcome, PowerLawFit, build_undecided_fit, count_points, name_points
from validation.prediction import REGIMES, RHO, STEPS, Prediction

__all__ = ["FitOutcome", "PowerLawFit", "fit", "fit_rows"]

LEAST = 3   # uncensored gammas without which a slope has no interval
LEAST_BENT = 4         # and without which no bend can be seen
SEEN = 0.99            # the level at which a bend is seen
DRIFT = 0.05           # a bend is of no account if the local exponent drifts by less over the window,
DRIFT_OVER_CURVE = 0.02        # or by less than this against a prediction: its own window allows as much
COPIES = 0.02          # of a bracket's width


def fit(edges: xr.Dataset, edge: str, window: tuple[float, float] | None = None, deterministic: bool = False,
        curve: Prediction | None = None, shared: bool = True, logarithm: bool = False) -> PowerLawFit:
    """Fit ``eta = A gamma^b`` to the brackets of one edge.

    Parameters
    ----------
    edges : `eta` over (edge, [seed,] gamma, bound) as from `validation.locate`, `trace` or `edges_from_brackets`; a
        bracket's end is NaN where the grid ended first. Seeds make one row per gamma.
    edge : the edge's name.
    window : (low, high) in gamma; both ends belong to it, and 0 and infinity leave an end open. None: the theory's window if `curve` is
        given and one regime's alone holds four gammas, otherwise all gammas. The data never choose it: of a window chosen for its
        straightness the interval covers too seldom.
    deterministic : whether the data have no scatter; then the interval is the exact range of slopes of the lines through
        all brackets, and the outcome is UNDECIDED if no line passes.
    curve : a predicted edge. The line is then fitted to edge over prediction, where there is one, and the prediction's own slope over
        the same gammas is added: a bend that both share (a window near the crossover) does not widen the interval.
    shared : whether several gammas share something random, such as a network's weights and batches, so that their errors may be
        correlated. False (an own seed at every gamma): they are independent.
    logarithm : fit ``eta = A gamma^b |ln gamma|`` instead; the window must then lie on one side of gamma = 1.

    Returns
    -------
    PowerLawFit : exponent with 95% and 90% intervals; unless `deterministic`, those of `validation.fitting.line`. If the edge bends, so
        that its local exponent moves by more than 0.05 over the window (0.02 against `curve`), the outcome is UNDECIDED, and exponent and
        intervals are those of the straight line.

    Raises
    ------
    Misuse : a dataset that breaks the contract, an unknown edge, a window that is no pair, holds no gamma of the
        dataset or one only; an edge that is censored at every gamma. An edge that is merely absent from the window is
        UNDECIDED.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> gamma = np.logspace(-4, -2, 9)
    >>> eta = np.stack([0.9 * gamma**2, 1.1 * gamma**2], axis=-1)[None]
    >>> edges = xr.Dataset({"eta": (("edge", "gamma", "bound"), eta)},
    ...                    {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]})
    >>> found = fit(edges, "eta_max")
    >>> round(found.exponent, 3), found.interval[0] < 2 < found.interval[1]
    (2.0, True)
    """
    choose("deterministic", deterministic, (False, True))
    choose("shared", shared, (False, True))
    everywhere = rows(edges, edge)
    if curve is not None and not isinstance(curve, Prediction):
        raise Misuse(f"curve must be a Prediction, as from toymodels.predict or deepnets.predict, not {curve!r}")
    if curve is not None and everywhere.axis != "gamma":
        raise Misuse(f"curve must be None for edges over {everywhere.axis}: a Prediction is a function of gamma")
    data = everywhere if window is None else everywhere.between(window)
    if everywhere.x.size and everywhere.x.size == everywhere.offered.size and everywhere.censored.all():
        raise Misuse(f"edges: {edge} is censored at all {count_points(everywhere.offered.size, data.axis)}, so no exponent can be fitted; "
                     f"at least three {name_points(data.axis)} must have both a lower and an upper bound (widen the grid in eta)")
    steps, rho = conditions(edges)
    known: dict[str, Any] = {"edge": str(edge), "logarithm": logarithm, "steps": steps, "rho": rho, "axis": data.axis}
    if data.x.size == 0:
        place = "" if window is None else f" between {data.axis} = {window[0]:g} and {window[1]:g}"
        return build_undecided_fit(f"{edge} is absent at all {count_points(data.offered.size, data.axis)}{place}", **known,
                         window=NOTHING if window is None else pair("window", window))
    if logarithm and data.gamma[0] <= 1 <= data.gamma[-1]:
        raise Misuse(f"window must lie on one side of {data.axis} = 1 with logarithm=True, where ln {data.axis} vanishes; "
                     f"those used go from {data.gamma[0]:g} to {data.gamma[-1]:g}")
    if window is None and curve is not None:
        window = choose_theory_window(curve, data.gamma, steps, rho)
        data = data if window is None else data.between(window)
        window = window and (max(window[0], float(data.gamma[0])), min(window[1], float(data.gamma[-1])))
    low, high = (0.0, np.inf) if window is None else pair("window", window)
    known["window"] = (low or float(data.gamma[0]), high if np.isfinite(high) else float(data.gamma[-1]))
    if curve is None:
        return fit_rows(data, deterministic=deterministic, shared=shared, **known)
    predicted = curve.log10(data.gamma, steps, rho)
    known_at = np.isfinite(predicted)
    if known_at.sum() < 2:
        return build_undecided_fit("nothing is predicted at the gammas of the fit", **known)
    return fit_rows(data.take(known_at), predicted[known_at], deterministic, shared, curve=curve, **known)


def choose_theory_window(curve: Prediction, gamma: np.ndarray, steps: int | None, rho: float | None) -> tuple[float, float] | None:
    """Return the window of the one regime of a prediction that holds four gammas or more; None where none or both do."""
    found = []
    for regime in REGIMES:
        try:
            window = curve.window(regime, STEPS if steps is None else steps, RHO if rho is None else rho)
        except ValueError:
            continue                                                     # no law in this regime
        if window is not None and np.count_nonzero((gamma >= window[0]) & (gamma <= window[1])) >= LEAST_BENT:
            found.append(window)
    return found[0] if len(found) == 1 else None


def fit_rows(data: Rows, predicted: np.ndarray | None = None, deterministic: bool = False, shared: bool = True,
             **known: Any) -> PowerLawFit:
    """Fit a power law to rows, or to their residuals to a curve, whose own slope is then added.

    Parameters
    ----------
    data : the rows.
    predicted : log10 of a predicted edge at their gammas, (n,).
    deterministic, shared : as of `fit`.
    known : further fields of the result (edge, window, logarithm, steps, rho, curve).
    """
    known = {**describe_rows(data), **known, "deterministic": deterministic, "shared": shared}
    two = int((~data.censored).sum())
    if two < LEAST:
        return build_undecided_fit(f"{two} of {count_points(data.x.size, data.axis)} have both a lower and an upper bound; "
                                   f"a slope needs {LEAST}", **known)
    # what a line is fitted to are residuals: to the logarithm, and to the rest of the curve, whose least-squares line is added again
    log = _logarithm(data) if known.get("logarithm") else np.zeros_like(data.x)
    rest = np.zeros_like(data.x) if predicted is None else predicted - log
    own_slope, own_level = fit_straight(data.x, rest)
    straight = data.shift(log + rest)
    lower, upper = straight.lower, straight.upper
    if deterministic:
        least, largest = feasible_slopes(data.x, lower, upper)
        if least > largest:
            what = "the data bend" if predicted is None else "the data bend against the curve"
            return build_undecided_fit(f"no straight line passes through all brackets: {what} or scatter; "
                                       "choose another window, or leave out deterministic", **known,
                             method="feasible slopes")
        slope, centre = 0.5 * (least + largest), float(data.x.mean())
        rest_low, rest_high = lower - slope * (data.x - centre), upper - slope * (data.x - centre)
        level = 0.5 * float(rest_low.max() + rest_high.min())
        intervals, scatter = [(least, largest)] * 2, 0.0
        method = "exact range of the slopes of lines through all brackets"
    else:
        line = fit_line(data.x, lower, upper, seeds=straight.seeds, shared=shared)
        slope, level, centre, scatter = line.slope, line.level, line.centre, line.scatter
        intervals = [line.intervals[0.95], line.intervals[0.90]]
        method = "scatter and correlation along the axis averaged over" if shared else "independent rows, scatter averaged over"
        if shared and data.seeds is None:
            method += "; of one seed, what its rows share shows only as correlation"
        known["copies"] = _are_copies(straight, slope)
        if two >= LEAST_BENT:
            known["bend"] = _find_bend(straight, shared).shift(own_slope)
    interval, interval90 = ((low + own_slope, high + own_slope) for low, high in intervals)
    law = _law(slope + own_slope, level + own_level + own_slope * (centre - float(data.x.mean())), centre, interval, interval90, scatter,
               method, known)
    reason = describe_bend(law, data.gamma[~data.censored])
    return law if not reason else replace(law, outcome=FitOutcome.UNDECIDED, reason=reason)


def describe_bend(law: PowerLawFit, seen: np.ndarray, level: float = SEEN) -> str:
    """Return in words that a law bends over the gammas seen, at a level and by more than is of no account; empty if it does not."""
    bend = law.bend
    if bend is None or bend.level < level or bend.drift <= (DRIFT if law.curve is None else DRIFT_OVER_CURVE):
        return ""
    return (f"the edge bends{'' if law.curve is None else ' against the prediction'}: its local exponent goes from {bend.first:.3g} at "
            f"{law.axis} = {seen[0]:.3g} to {bend.last:.3g} at {seen[-1]:.3g}; give a window that a theory or an earlier measurement names")


def _find_bend(straight: Rows, shared: bool) -> Bend:
    """Return what the two-sided rows tell of a bend."""
    seen = straight.take(~straight.censored)
    return find_bend(seen.x, seen.middle, float(np.sqrt(np.mean(seen.width**2))), shared,
                     None if seen.seeds is None else find_middles(seen.seeds))


def _are_copies(straight: Rows, slope: float) -> bool:
    """Return whether all brackets are one cell, moved along a line of this slope: one measurement, not n."""
    rest = straight.shift(slope * straight.x)
    return not rest.censored.any() and max(np.ptp(rest.lower), np.ptp(rest.upper)) < COPIES * float(np.median(rest.width))


def _law(slope: float, level: float, centre: float, interval: tuple[float, float], interval90: tuple[float, float],
         scatter: float, method: str, known: dict[str, Any]) -> PowerLawFit:
    with np.errstate(over="ignore", under="ignore"):
        prefactor = float(np.float64(10.0) ** (level - slope * centre))
    return PowerLawFit(exponent=slope, interval=interval, interval90=interval90, prefactor=prefactor, scatter=scatter,
                       method=method, outcome=FitOutcome.FITTED, log10_centre=centre, log10_level=level, **known)


def _logarithm(data: Rows) -> np.ndarray:
    """Return log10 |ln gamma|, shape (n,)."""
    return np.log10(np.abs(np.log(data.gamma)))


def describe_rows(data: Rows) -> dict[str, Any]:
    """Return the fields of a fit that describe its rows."""
    with np.errstate(over="ignore"):
        lower, upper = (np.where(np.isfinite(end), 10.0**end, np.nan) for end in (data.lower, data.upper))
    return {"gamma": data.gamma, "lower": lower, "upper": upper, "n": int(data.x.size),
            "n_censored": int(data.censored.sum()), "seed_count": 1 if data.seeds is None else len(data.seeds),
            "window": (float(data.gamma[0]), float(data.gamma[-1]))}


def fit_horizons(edges: xr.Dataset, edge: str, gamma: float, window: tuple[float, float] | None = None) -> PowerLawFit:
    """Fit ``eta = prefactor * T**exponent`` at one gamma, to measure for example eta_min ~ 1/T.

    Parameters
    ----------
    edges : as from `locate` or `trace`, with the dim ``horizon``: an experiment with a sequence of `steps` has it.
    edge : the edge's name.
    gamma : one of the edges' gammas (to 1e-9 of itself).
    window : (low, high) in T, ends included; None: all horizons.

    Returns
    -------
    PowerLawFit : its `axis` is "T"; its `gamma` and `window` are numbers of steps.

    Raises
    ------
    Misuse : edges without horizons, a gamma or an edge that is not among them.
    """
    if "horizon" not in edges.dims:
        raise Misuse(f"edges must have the dim 'horizon' (an experiment with several steps gives it); theirs are {tuple(edges.dims)}")
    choose("edge", edge, edges["edge"].values.tolist())
    gammas = edges["gamma"].values
    at = int(np.argmin(np.abs(gammas / float(positive("gamma", gamma)) - 1)))
    if abs(gammas[at] / gamma - 1) > 1e-9:
        raise Misuse(f"gamma must be one of the edges' {len(gammas)} gammas, not {gamma!r}; the nearest is {float(gammas[at])!r}")
    bracket = edges["eta"].sel(edge=edge).isel(gamma=at)
    steps = edges["horizon"].values.astype(np.float64)
    if "seed" in bracket.dims:
        stacked = bracket.transpose("seed", "horizon", "bound")
        own = edges_from_brackets(np.tile(steps, bracket.sizes["seed"]), stacked.values[..., 0].ravel(), stacked.values[..., 1].ravel(),
                                  edge, np.repeat(bracket["seed"].values, len(steps)), axis="T")
    else:
        values = bracket.transpose("horizon", "bound").values
        own = edges_from_brackets(steps, values[:, 0], values[:, 1], edge, axis="T")
    return fit(own, edge, window=(float(steps[0]), float(steps[-1])) if window is None else window)
