"""Trace edges by scanning and bisection, for an experiment that can be run at any rate.

Runs are added where the definitions of the edges (`validation.edges`) need them, until every bracket is narrow enough. What is
bisected is always the edge as defined, also where new runs move it to another crossing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from validation.arguments import Misuse, axis, between, choose, whole
from validation.edges import EDGES, WIDTH, assemble, bracket, fringe, measure_edge, stretches
from validation.experiment import Experiment, are_of_one_experiment, as_experiment, name_experiment
from validation.outcome import Outcome
from validation.portrait import conform
from validation.traced_runs import Runs

FRINGE = 10          # the grid through a fringe is so many times finer than the scan: bisection alone may miss the first crossing
FURTHEST = 40        # decades from gamma**2 at which the scan ends
ROUNDS = 80          # the most rounds of bisection; a bracket that does not narrow (a plateau of eta_opt) ends earlier


def trace(experiment: Experiment, gamma: ArrayLike, edge: str | Sequence[str], rho: float | None = None, rtol: float = 1e-6,
          eta: tuple[float, float] | None = None, per_decade: int = 20, known: xr.Dataset | None = None) -> xr.Dataset:
    """Return edges as narrow brackets, by scanning each gamma's rates and bisecting what the scan finds.

    Parameters
    ----------
    experiment : an `Experiment`; if it has ``scan_per_decade``, it is never scanned more coarsely than that.
    gamma : (n,), > 0, increasing.
    edge : a name, or several: "eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div", "eta_opt".
    rho : the excess at which a run counts as trained; None: the experiment's own.
    rtol : the relative width to which brackets are narrowed.
    eta : (low, high), the range to scan; None: whole decades outward from gamma**2, downwards until three hold nothing but
        untrained runs, upwards until three hold nothing but diverged runs, or six beyond the catapults hold no trained one.
    per_decade : rates per decade of the scan.
    known : a portrait of the same experiment with the same seeds. Its runs at the gammas that it shares with `gamma` are not trained
        again: the scan leaves out the rates that lie between two of them no further apart than its own rates. Where the portrait is as
        fine as the scan, the bisection starts from the portrait's brackets.

    Returns
    -------
    Dataset : as from `locate`, with the traced edges alone, and ``method`` of the same dims as ``crossings``: 1 where the edge was
        bisected, 2 where it is the first of several crossings (a fringe: eta_div, eta_min): there the grid was refined `FRINGE`
        times first, and what is bisected is the first crossing on that grid; 0 where it is absent. Attribute ``runs`` counts the runs
        that were trained, without those of `known`.

    Raises
    ------
    Misuse : an argument that is not allowed; `known` of another experiment or of other seeds.
    """
    experiment = as_experiment(experiment)
    if not isinstance(edge, str | list | tuple):
        raise Misuse(f"edge must be a name, or several, of {', '.join(EDGES)}, not {edge!r}")
    names = [edge] if isinstance(edge, str) else list(edge)
    for name in names:
        choose("edge", name, EDGES)
    if not names:
        raise Misuse(f"edge must name at least one of {', '.join(EDGES)}")
    between("rtol", rtol, 0, 1)
    if rho is not None:
        between("rho", rho, 0, 1)
    runs = Runs(experiment, axis("gamma", gamma), rho)
    many = max(whole("per_decade", per_decade), experiment.scan_per_decade)
    if eta is None:
        low, high = 0.0, np.inf
    else:
        low, high = axis("eta", eta) if np.size(eta) == 2 else (1.0, 1.0)
        if not low < high:
            raise Misuse(f"eta must be two increasing numbers above zero, the ends of the scan, not {eta!r}")
    if known is not None:
        step = 10 ** (1 / many)
        runs.include(_check_portrait(experiment, known), low / step, high * step)
    experiment.check()
    if eta is None:
        _scan_outward(runs, many)
    else:
        points = np.geomspace(low, high, int(np.ceil(np.log10(high / low) * many)) + 1)
        runs.scan(np.arange(len(runs.gamma)), np.tile(points, (len(runs.gamma), 1)), many)
    sections = whole("experiment.sections", experiment.sections)
    _decide_sets(runs, sections)
    fringed = _refine_fringes(runs, names, many * FRINGE)
    _narrow(runs, names, rtol, sections)
    found = [[[measure_edge(row, name, runs.rules) for row in line] for line in runs.lines] for name in names]
    attrs = dict(runs.attrs) | {"rho": runs.rules.rho, "rtol": rtol, "scan_per_decade": many, "runs": runs.count}
    edges = assemble(found, names, runs.template, attrs)
    how = np.array([[[(2 if (s, g, name) in fringed else 1) for g in range(len(runs.gamma))] for s in range(len(runs.lines))]
                    for name in names], np.int8).reshape(edges["crossings"].shape)
    edges["method"] = (edges["crossings"].dims, np.where(edges["eta"].isnull().all("bound"), 0, how).astype(np.int8), {
        "long_name": "how the edge was found", "flag_values": [0, 1, 2],
        "flag_meanings": "absent bisection grid_refinement_then_bisection"})
    return edges


def _check_portrait(experiment: Experiment, known: xr.Dataset) -> xr.Dataset:
    """Return `known` if it is a portrait of this experiment with the same seeds; otherwise raise `Misuse`."""
    known, description = conform(known), experiment.describe()
    own = name_experiment(description)
    if not are_of_one_experiment(known.attrs, own):
        raise Misuse(f"known must be a portrait of the experiment that is traced, whose digest is {own['digest']!r}, not "
                     f"{known.attrs.get('digest')!r}")
    seeds = description.get("seeds", description.get("seed"))
    if seeds is not None and "seed" in known.coords and not np.array_equal(np.atleast_1d(seeds), np.atleast_1d(known["seed"])):
        raise Misuse(f"known must have the seeds of the experiment, {seeds}, not {known['seed'].values.tolist()}")
    return known


def _scan_outward(runs: Runs, per_decade: int) -> None:
    """Scan whole decades outward from gamma**2, each gamma as far as it needs."""
    offsets = np.arange(per_decade) / per_decade
    low, high = np.zeros(len(runs.gamma), int), np.zeros(len(runs.gamma), int)    # decades [low, high) are scanned
    start = np.log10(runs.gamma) * 2
    if (np.abs(start) > 300).any():
        raise Misuse(f"gamma from {runs.gamma[0]:g} to {runs.gamma[-1]:g} puts gamma**2, where the search for edges begins, out of the "
                     "range of numbers; narrow it, or give eta")

    def scan(which: np.ndarray, decade: np.ndarray) -> None:
        if which.size:
            runs.scan(which, 10.0 ** (start[which, None] + decade[which, None] + offsets), per_decade)

    scan(np.arange(len(runs.gamma)), high)
    high += 1
    more = True
    while more:
        down = np.array([g for g in range(len(low)) if low[g] > -FURTHEST and not _nothing_below(runs, g, start[g] + low[g])], int)
        low[down] -= 1
        scan(down, low)
        up = np.array([g for g in range(len(low)) if high[g] < FURTHEST and not _nothing_above(runs, g, start[g] + high[g])], int)
        scan(up, high)
        high[up] += 1
        more = bool(down.size or up.size)


def _nothing_below(runs: Runs, g: int, low: float) -> bool:
    """Return whether the lowest three decades hold nothing but untrained runs."""
    lowest = runs.eta[g] < 10.0 ** (low + 3) * (1 - 1e-9)
    return bool(runs.eta[g][-1] >= 10.0 ** (low + 2) and (runs.outcome[g][:, lowest] == Outcome.UNTRAINED).all())


def _nothing_above(runs: Runs, g: int, high: float) -> bool:
    """Return whether the highest three decades hold nothing but diverged runs, or the highest six no trained or learning one.

    The latter counts only beyond 1000 gamma and 1000 gamma**2: the catapults of cross-entropy settle again just below eta ~ gamma, which
    in the lazy limit lies any number of decades above eta_crit ~ gamma**2.
    """
    eta, outcome = runs.eta[g], runs.outcome[g]
    if eta[0] < 10.0 ** (high - 3) * (1 + 1e-9) and (outcome[:, eta >= 10.0 ** (high - 3) * (1 - 1e-9)] == Outcome.DIVERGED).all():
        return True
    six = eta >= 10.0 ** (high - 6) * (1 - 1e-9)
    trained = any(line[g].trained[line[g].eta >= 10.0 ** (high - 6) * (1 - 1e-9)].any() for line in runs.lines)
    beyond = 10.0**high > 1000 * max(runs.gamma[g], runs.gamma[g] ** 2)
    return bool(beyond and eta[0] < 10.0 ** (high - 6) * (1 + 1e-9) and not trained
                and not (outcome[:, six] == Outcome.UNTRAINED).any())


def _refine(runs: Runs, wanted: dict[int, list[tuple[float, float]]], sections: int) -> None:
    """Measure `sections` rates inside each of the brackets that are wanted, by gamma."""
    deepest = max((len(b) for b in wanted.values()), default=0)
    inner = np.arange(1, sections + 1) / (sections + 1)
    for depth in range(deepest):
        which = np.array(sorted(g for g, b in wanted.items() if len(b) > depth), int)
        ends = np.log([wanted[g][depth] for g in which])
        runs.add(which, np.exp(ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * inner))


def _decide_sets(runs: Runs, sections: int) -> None:
    """Bisect the ends of every stretch that may or may not be wide enough to be a set."""
    for _ in range(ROUNDS):
        wanted: dict[int, list[tuple[float, float]]] = {}
        for line in runs.lines:
            for g, row in enumerate(line):
                last = row.eta.size - 1
                for a, b in stretches(row.trained):
                    below, above = row.eta[max(a - 1, 0)], row.eta[min(b + 1, last)]
                    if np.log10(row.eta[b] / row.eta[a]) < WIDTH <= np.log10(above / below):
                        wanted.setdefault(g, []).extend(
                            p for p in ((below, row.eta[a]), (row.eta[b], above)) if p[1] > p[0] * (1 + 1e-4))
        wanted = {g: sorted(set(b)) for g, b in wanted.items() if b}
        if not wanted:
            return
        _refine(runs, wanted, sections)


def _refine_fringes(runs: Runs, names: list[str], per_decade: int) -> set[tuple[int, int, str]]:
    """Measure a fine grid through every stretch that an edge crosses more than once; return which (line, gamma, edge) that were."""
    fringed: set[tuple[int, int, str]] = set()
    wanted: dict[int, tuple[float, float]] = {}
    for s, line in enumerate(runs.lines):
        for g, row in enumerate(line):
            for name in names:
                stretch = fringe(row, name)
                if stretch is not None:
                    fringed.add((s, g, name))
                    low, high = wanted.get(g, stretch)
                    wanted[g] = (min(low, stretch[0]), max(high, stretch[1]))
    for g, (low, high) in wanted.items():
        points = np.geomspace(low, high, int(np.ceil(np.log10(high / low) * per_decade)) + 1)
        new = points[~np.isin(points, runs.eta[g])]
        if new.size:
            runs.add(np.array([g]), new[None])
    return fringed


def _narrow(runs: Runs, names: list[str], rtol: float, sections: int) -> None:
    """Narrow the brackets of the named edges until they are no wider than `rtol`, or do not narrow any further."""
    width: dict[tuple[int, int, str], float] = {}
    for _ in range(ROUNDS):
        wanted: dict[int, set[tuple[float, float]]] = {}
        for s, line in enumerate(runs.lines):
            for g, row in enumerate(line):
                for name in names:
                    at = bracket(row, name, runs.rules)
                    if at is None or at[0] < 0 or at[1] >= row.eta.size:
                        continue
                    low, high = float(row.eta[at[0]]), float(row.eta[at[1]])
                    now = np.log(high / low)
                    if now <= np.log1p(rtol) or (name == "eta_opt" and now >= 0.99 * width.get((s, g, name), np.inf)):
                        continue
                    width[s, g, name] = now
                    between_them = row.eta[at[0]:at[1] + 1]
                    wanted.setdefault(g, set()).update(zip(between_them[:-1].tolist(), between_them[1:].tolist(), strict=True))
        if not wanted:
            return
        _refine(runs, {g: sorted(b) for g, b in wanted.items()}, sections)




def nearest_gammas(gamma: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return gammas to trace, with those of a portrait in place of the wanted ones, so that its runs need not be trained again.

    Parameters
    ----------
    gamma : (n,), n >= 2, the wanted ones, equally spaced in log gamma.
    known : (m,), those of the portrait.

    Returns
    -------
    array : (n,), increasing; each the nearest of `known` within the ends of `gamma`, or itself where none is nearer than half a spacing.
    """
    inside = known[(known >= gamma[0] * (1 - 1e-9)) & (known <= gamma[-1] * (1 + 1e-9))]
    if inside.size == 0:
        return gamma
    distance = np.abs(np.log10(gamma[:, None] / inside))
    near = distance.min(axis=1) < 0.499 * np.log10(gamma[-1] / gamma[0]) / (len(gamma) - 1)
    return np.where(near, inside[distance.argmin(axis=1)], gamma)
