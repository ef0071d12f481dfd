"""Bracket the edges and the best rate at each x of runs that exist, by what is certain of them alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.edges import edges_from_brackets
from validation.fitting.best_rate import find_best_rate, measure_noise
from validation.fitting.vertex import Vertex, find_shape_error
from validation.runs.run_status import DIVERGED, FINISHED, STATUSES, UNKNOWN

NOWHERE = (np.nan, np.nan)
SAME = 1e-9      # relative: values of x, and rates, that differ in their last digits are one


def edges_from_runs(runs: xr.Dataset, trained_below: float | None = None, accuracy_above: float | None = None,
                    group: str | None = None) -> xr.Dataset:
    """Return the edges eta_min and eta_max of runs, each as the bracket between rates at which runs are sure to train and not to.

    At each x (and seed) a run that diverged, or that finished untrained above the rate of the least loss, lies above eta_max; one that
    finished untrained below that rate lies below eta_min. eta_max is between the highest rate that trains and the lowest above it that
    does not. Where the two overlap, the bracket reaches across the overlap to the nearest rates beyond it, and a note says so. Unknown
    runs bracket nothing.

    Parameters
    ----------
    runs : as from `validation.read_runs`.
    trained_below : a run is trained if its loss is at most this.
    accuracy_above : the loss of these runs is an accuracy, and a run is trained if it is at least this.
    group : the group to use, where runs have several.

    Returns
    -------
    Dataset : `eta` (edge, [seed,] gamma, bound) as of `validation.locate`, whose coordinate gamma holds x; `overlap` (edge, [seed,]
        gamma), where trained and untrained runs overlap. Attributes: `axis`, and `notes`, a list of sentences.

    Raises
    ------
    Misuse : not runs; no threshold, or two; several groups and none chosen; no run that finished or diverged.

    Examples
    --------
    >>> import validation
    >>> runs = validation.read_runs({"width": [64, 64, 64], "lr": [0.1, 0.2, 0.4], "loss": [0.1, 0.3, np.inf]}, "width", "lr", "loss")
    >>> edges_from_runs(runs, trained_below=0.2)["eta"].sel(edge="eta_max").values.tolist()
    [[0.1, 0.2]]
    """
    if (trained_below is None) == (accuracy_above is None):
        raise Misuse("one of trained_below and accuracy_above must be given")
    threshold = trained_below if accuracy_above is None else accuracy_above
    if isinstance(threshold, bool) or not isinstance(threshold, int | float | np.number) or not np.isfinite(threshold):
        raise Misuse(f"{'trained_below' if accuracy_above is None else 'accuracy_above'} must be a finite number, not {threshold!r}")
    sign = 1.0 if accuracy_above is None else -1.0
    axis, what = runs.attrs.get("axis", "x"), runs.attrs.get("eta_name", "eta")
    keys, found, notes = [], [], []
    for x, seed, part in _split(runs, group, by_seed=True):
        ended = part["status"].values != UNKNOWN
        rate = part["eta"].values[ended]
        diverged = part["status"].values[ended] == DIVERGED
        loss = np.where(diverged, np.inf, sign * part["loss"].values[ended])
        at = f"{axis} = {x:g}" + (f", seed {seed}" if seed is not None else "")
        both = _bracket_edges(rate, loss, diverged, sign * float(threshold))
        keys.append((x, seed))
        found.append(both)
        notes += [f"at {at} runs that train and runs that do not overlap around {edge}: its bracket in {what} reaches across them"
                  for edge, (*_, overlap) in zip(("eta_min", "eta_max"), both, strict=True) if overlap]
        if not (loss <= sign * float(threshold)).any():
            notes.append(f"at {at} no run trains" if ended.any() else f"at {at} every run is unknown")
    return _assemble(runs, keys, np.array(found, dtype=np.float64), ("eta_min", "eta_max"), notes)


def _bracket_edges(rate: np.ndarray, loss: np.ndarray, diverged: np.ndarray,
                   threshold: float) -> tuple[tuple[float, float, bool], tuple[float, float, bool]]:
    """Return (lower, upper, overlap) of eta_min and of eta_max, from runs (run,) of which none is unknown."""
    trained = loss <= threshold
    if not trained.any():                       # if a higher or a lower rate trains, eta_max lies below the rates that diverge
        return (*NOWHERE, False), (np.nan, float(rate[diverged].min()) if diverged.any() else np.nan, False)
    best = rate[np.argmin(loss)]
    too_low = rate[~trained & ~diverged & (rate < best * (1 - SAME))]
    too_high = rate[diverged | (~trained & (rate > best * (1 + SAME)))]
    # eta_min is eta_max with the axis of rates reversed
    least_high, least_low, mixed = _bracket_top(-rate[trained], -too_low)
    low, high, overlap = _bracket_top(rate[trained], too_high)
    return (-least_low, -least_high, mixed), (low, high, overlap)


def _bracket_top(inside: np.ndarray, above: np.ndarray) -> tuple[float, float, bool]:
    """Return the bracket of the top of the rates inside, below those above it; where the two overlap, across the overlap."""
    top, bottom = float(inside.max()), float(above.min()) if above.size else np.nan
    if not bottom <= top:
        return top, bottom, False
    below, beyond = inside[inside < bottom], above[above > top]
    return float(below.max()) if below.size else np.nan, float(beyond.min()) if beyond.size else np.nan, True


def optimum_from_runs(runs: xr.Dataset, group: str | None = None, accuracy: bool = False) -> xr.Dataset:
    """Return the best rate at each x of runs as the edge eta_opt: its bracket by `validation.optimum`, with seeds as replicates.

    Parameters
    ----------
    runs : as from `validation.read_runs`; losses above zero.
    group : the group to use, where runs have several.
    accuracy : whether the losses are accuracies, up to 1 or up to 100: the best rate is then that of the least error. A run without an
        error counts as one with half of the least error of all.

    Returns
    -------
    Dataset : `eta` (edge, gamma, bound) as of `validation.locate`, whose coordinate gamma holds x, with an end NaN where the rates end
        first: the best rate is never extrapolated; `best` (gamma), the rate inside a bracket of two ends;
        `interpolated` (as eta), narrower brackets by a parabola (`validation.fitting.vertex`); `vertex` (gamma), where the parabola has
        its minimum, NaN where the bracket is all that is certain, with `error`, `shape_error`, `step` and `phase` (gamma), which
        `validation.fitting.best_rate_law.fit_best_rates` fits an exponent to. Attributes: `axis`; `notes`, a list of sentences, with the
        rate to add where the best one is the lowest or the highest; `runs_to_add`, (x, rate) of these.

    Raises
    ------
    Misuse : not runs; a loss that is not above zero, an accuracy that is negative or above 100; several groups and none chosen; no run
        that finished or diverged.

    Examples
    --------
    >>> import validation
    >>> runs = validation.read_runs({"width": [64] * 4, "lr": [0.1, 0.2, 0.4, 0.8], "loss": [4, 2, 1, 2]}, "width", "lr", "loss")
    >>> optimum_from_runs(runs)["eta"].values.tolist()
    [[[0.2, 0.8]]]
    """
    axis, what = runs.attrs.get("axis", "x"), runs.attrs.get("eta_name", "eta")
    keys, found, best, notes, more = [], [], [], [], []
    vertices: list[Vertex | None] = []
    tables = [(x, part, *_tabulate(part)) for x, _, part in _split(convert_accuracy(runs) if accuracy else runs, group)]
    noise = measure_noise(np.where(losses > 0, losses, np.nan) for *_, losses in tables)
    for x, part, rates, losses in tables:
        at = f"at {axis} = {x:g}"
        if (losses <= 0).any():
            raise Misuse(f"runs must have losses above zero, but {part['loss'].attrs.get('long_name', 'the loss')} is "
                         f"{losses[losses <= 0][0]:g} {at}")
        keys.append((x, None))
        best.append(np.nan)
        vertices.append(None)
        found.append(((*NOWHERE, False),))
        if not np.isfinite(losses).any():
            notes.append(f"{at} no run finished")
            continue
        try:
            eta, (low, high), vertices[-1] = find_best_rate(rates, losses, noise=noise)
        except Misuse as error:
            notes.append(f"{at} the runs have no best rate: {error}")
            continue
        found[-1] = ((low, high, False),)
        if np.isfinite(low) and np.isfinite(high):
            best[-1] = eta
            continue
        step = float(np.exp(np.median(np.diff(np.log(rates))))) if rates.size > 1 else 2.0
        ends = (["lowest"] if np.isnan(low) else []) + (["highest"] if np.isnan(high) else [])
        with np.errstate(over="ignore", under="ignore"):
            beyond = [float(rates[0] / step if end == "lowest" else rates[-1] * step) for end in ends]
        rates_to_add = [rate for rate in beyond if 0 < rate < np.inf]
        more += [[x, rate] for rate in rates_to_add]
        missing = f"; add {what} = {' and '.join(map(write_rate, rates_to_add))}" if rates_to_add else ""
        notes.append(f"{at} no {' or '.join({'lowest': 'lower', 'highest': 'higher'}[end] for end in ends)} rate is worse than the best"
                     f"{missing}")
    edges = _assemble(runs, keys, np.array(found, dtype=np.float64), ("eta_opt",), notes)
    edges.attrs["runs_to_add"] = more
    shape = find_shape_error(vertex for vertex in vertices if vertex is not None)
    return edges.drop_vars("overlap").assign(
        best=("gamma", np.array(best), {"long_name": f"best {what}"}),
        interpolated=(("edge", "gamma", "bound"), _narrow(edges["eta"].values[0], vertices, shape)[None],
                      {"long_name": f"best {what}, interpolated"}),
        **_describe_vertices(vertices, shape, noise.free > 0, what))


def _narrow(brackets: np.ndarray, vertices: list[Vertex | None], shape: float) -> np.ndarray:
    """Return brackets (gamma, bound) with those of their vertices in their places, where these are narrower."""
    narrowed = brackets.copy()
    for i, vertex in enumerate(vertices):
        if vertex is not None and (ends := 10.0 ** np.array(vertex.bracket(shape)))[1] / ends[0] < brackets[i, 1] / brackets[i, 0]:
            narrowed[i] = ends
    return narrowed


def _describe_vertices(vertices: list[Vertex | None], shape: float, replicated: bool, what: str) -> dict[str, Any]:
    """Return the variables of vertices, in decades; without replicates their error by noise is unknown, and left out."""
    table = np.array([(np.nan,) * 5 if v is None else (10**v.place, v.error if replicated else 0.0, shape * v.step, v.step, v.phase)
                      for v in vertices])
    names = {"vertex": f"minimum of the parabola in {what}", "error": "its standard error by noise, decades",
             "shape_error": "its standard deviation by the curve's shape, decades", "step": "distance of the rates, decades",
             "phase": "its distance from the nearest rate, steps"}
    return {name: ("gamma", column, {"long_name": long_name}) for (name, long_name), column in zip(names.items(), table.T, strict=True)}


def find_runs_at(runs: xr.Dataset, x: float) -> np.ndarray:
    """Return which runs (run,) are at a value of x, to its last digits."""
    return np.abs(runs["x"].values - x) <= SAME * x


def write_rate(rate: float) -> str:
    """Return a rate as text; a power of two below one as "2^-4"."""
    power = round(np.log2(rate))
    return f"2^{power}" if power < 0 and abs(rate / 2.0**power - 1) < SAME else f"{rate:.3g}"


def convert_accuracy(runs: xr.Dataset) -> xr.Dataset:
    """Return runs whose loss is an accuracy with their error in its place."""
    accuracy = runs["loss"].values
    seen = accuracy[np.isfinite(accuracy)]
    if ((seen < 0) | (seen > 100)).any():
        name = runs["loss"].attrs.get("long_name", "loss")
        raise Misuse(f"an accuracy must lie between 0 and 1, or between 0 and 100, but one of {name} is "
                     f"{seen[(seen < 0) | (seen > 100)][0]:g}")
    error = np.where(np.isfinite(accuracy), (1.0 if seen.max(initial=0.0) <= 1 else 100.0) - accuracy, accuracy)
    least = error[np.isfinite(error) & (error > 0)].min(initial=np.inf)
    return runs.assign(loss=("run", np.where(error == 0, 0.5 * least if np.isfinite(least) else 1.0, error), runs["loss"].attrs))


def _tabulate(part: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Return the rates (n,) and the losses (seed, n), NaN where there is no run. A second run of one seed and rate is another seed's."""
    rates, at = np.unique(part["eta"].values, return_inverse=True)
    first = np.cumsum(np.diff(rates, prepend=0.0) > SAME * rates) - 1
    rates, at = rates[np.unique(first, return_index=True)[1]], first[at]
    seeds = part["seed"].values.tolist() if "seed" in part else [""] * part.sizes["run"]
    rows: dict[tuple[str, int], dict[int, float]] = {}
    for seed, i, loss, status in zip(seeds, at.tolist(), part["loss"].values.tolist(), part["status"].values, strict=True):
        if status == UNKNOWN:
            continue
        n = 0
        while i in rows.setdefault((seed, n), {}):
            n += 1
        rows[seed, n][i] = loss
    losses = np.full((max(len(rows), 1), rates.size), np.nan)
    for row, cells in enumerate(rows.values()):
        losses[row, list(cells)] = list(cells.values())
    ran = ~np.isnan(losses).all(axis=0)
    return (rates[ran], losses[:, ran]) if ran.any() else (rates, losses)


def _split(runs: xr.Dataset, group: str | None, by_seed: bool = False) -> Iterator[tuple[float, str | None, xr.Dataset]]:
    """Yield (x, seed, runs) of each x, and, with `by_seed`, of each seed; the seed is None where there is none."""
    if not isinstance(runs, xr.Dataset) or not {"x", "eta", "loss", "status"} <= set(runs.data_vars) or set(runs.dims) != {"run"}:
        raise Misuse("runs must be a Dataset as from validation.read_runs, with x, eta, loss and status over run")
    if other := set(runs["status"].values.tolist()) - set(STATUSES):
        raise Misuse(f"the status of runs must be one of {', '.join(STATUSES)}, not {min(other)!r}")
    if "group" in runs:
        groups = sorted(set(runs["group"].values.tolist()))
        if group is None and len(groups) > 1:
            raise Misuse(f"group must be given, as the runs have several: {', '.join(map(repr, groups))}")
        if group is not None and group not in groups:
            raise Misuse(f"group must be one of {', '.join(map(repr, groups))}, not {group!r}")
        runs = runs.isel(run=np.flatnonzero(runs["group"].values == (groups[0] if group is None else group)))
    elif group is not None:
        raise Misuse(f"group must be None for runs that were read without groups, not {group!r}")
    if not np.isin(runs["status"].values, (FINISHED, DIVERGED)).any():
        raise Misuse(f"runs must have one at least that finished or diverged; all {runs.sizes['run']} are unknown")
    xs = runs["x"].values
    order = np.argsort(xs, kind="stable")
    for at in np.split(order, np.flatnonzero(np.diff(xs[order]) > SAME * xs[order][1:]) + 1):
        part = runs.isel(run=at)
        seeds = part["seed"].values if by_seed and "seed" in part else np.full(at.size, None)
        for seed in dict.fromkeys(seeds.tolist()):
            yield float(part["x"].values[0]), seed, part if seed is None else part.isel(run=np.flatnonzero(seeds == seed))


def _assemble(runs: xr.Dataset, keys: Sequence[tuple[float, str | None]], found: np.ndarray, names: tuple[str, ...],
              notes: list[str]) -> xr.Dataset:
    """Return the edges dataset of brackets found (key, edge, (lower, upper, overlap))."""
    xs = np.array([x for x, _ in keys])
    seeds: Any = None if keys[0][1] is None else [seed for _, seed in keys]
    axis = str(runs.attrs.get("axis", "x"))
    edges = xr.concat([edges_from_brackets(xs, found[:, i, 0], found[:, i, 1], name, seeds, axis) for i, name in enumerate(names)], "edge")
    overlap = np.zeros((len(names), len(set(seeds or [None])), len(set(xs))), bool)
    overlap[:, np.unique(seeds, return_inverse=True)[1] if seeds else 0, np.unique(xs, return_inverse=True)[1]] = found[:, :, 2].T
    edges["overlap"] = ("edge", "seed", "gamma") if seeds else ("edge", "gamma"), overlap if seeds else overlap[:, 0]
    return edges.assign_attrs({name: runs.attrs[name] for name in ("source", "eta_name", "loss_name") if name in runs.attrs}, notes=notes)
