"""trace(): edges by scanning and bisection, for an experiment that can be asked at will; knows no model.

The rows of runs grow where the edges' own rules (edges.py) ask for more, until every bracket is as narrow as wanted: what is
bisected is always the edge as it is defined, also where its definition moves to another crossing once more runs are in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, axis, between, choose, whole
from validation.edges import EDGES, WIDTH, Row, Rules, assemble, bracket, fringe, rows, stretches, tell
from validation.experiment import as_experiment
from validation.outcome import Outcome
from validation.portrait import conform

FRINGE = 10          # times as fine as the scan is the grid through a fringe, where bisection alone finds some crossing, not the first
FURTHEST = 40        # decades from gamma**2: a scan that has found nothing there finds nothing
ROUNDS = 80          # of narrowing; a bracket that does not narrow (a plateau of eta_opt) stops by itself


def trace(experiment: Any, gamma: Any, edge: str | list[str] | tuple[str, ...], rho: float | None = None, rtol: float = 1e-6,
          eta: tuple[float, float] | None = None, per_decade: int = 20) -> xr.Dataset:
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
    per_decade : rates a decade of the scan.

    Returns
    -------
    Dataset : as from `locate`, with the traced edges alone, and ``method`` of the same dims as ``crossings``: 1 where the edge was
        bisected, 2 where it is the first of several crossings (a fringe: eta_div, eta_min): there the grid was refined `FRINGE`
        times first, and what is bisected is the first crossing on that grid; 0 where it is absent. Attribute ``runs`` counts the runs.

    Raises
    ------
    Misuse : an argument that is not allowed.
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
    runs = _Runs(experiment, axis("gamma", gamma), rho)
    many = max(whole("per_decade", per_decade), experiment.scan_per_decade)
    if eta is None:
        _scan_outward(runs, many)
    else:
        low, high = axis("eta", eta) if np.size(eta) == 2 else (1.0, 1.0)
        if not low < high:
            raise Misuse(f"eta must be two increasing numbers above zero, the ends of the scan, not {eta!r}")
        points = np.geomspace(low, high, int(np.ceil(np.log10(high / low) * many)) + 1)
        runs.add(np.arange(len(runs.gamma)), np.tile(points, (len(runs.gamma), 1)))
    sections = whole("experiment.sections", experiment.sections)
    _decide_sets(runs, sections)
    fringed = _refine_fringes(runs, names, many * FRINGE)
    _narrow(runs, names, rtol, sections)
    found = [[[tell(row, name, runs.rules) for row in line] for line in runs.known] for name in names]
    attrs = dict(runs.attrs) | {"rho": runs.rules.rho, "rtol": rtol, "scan_per_decade": many, "runs": runs.count}
    edges = assemble(found, names, runs.template, attrs)
    how = np.array([[[(2 if (s, g, name) in fringed else 1) for g in range(len(runs.gamma))] for s in range(len(runs.known))]
                    for name in names], np.int8).reshape(edges["crossings"].shape)
    edges["method"] = (edges["crossings"].dims, np.where(edges["eta"].isnull().all("bound"), 0, how).astype(np.int8), {
        "long_name": "how the edge was found", "flag_values": [0, 1, 2],
        "flag_meanings": "absent bisection grid_refinement_then_bisection"})
    return edges


class _Runs:
    """All runs so far: for every gamma a growing portrait of one row."""

    def __init__(self, experiment: Any, gamma: np.ndarray, rho: float | None) -> None:
        self.experiment, self.gamma, self.rho = experiment, gamma, rho
        self.parts: list[list[xr.Dataset]] = [[] for _ in gamma]
        self.known: list[list[Row]] = []       # by leading index and gamma
        self.eta: list[np.ndarray] = [np.empty(0) for _ in gamma]
        self.outcome: list[np.ndarray] = []
        self.count = 0

    def add(self, which: np.ndarray, eta: np.ndarray) -> None:
        """Measure `eta` (k, m), increasing along m, at the gammas of the indices `which` (k,), increasing."""
        portrait = conform(self.experiment.measure(self.gamma[which], eta))
        self.count += eta.size * int(np.prod([portrait.sizes[d] for d in portrait["outcome"].dims[:-2]]) or 1)
        if not self.known:
            self.attrs = dict(portrait.attrs)
            self.rules = Rules.of(self.attrs, self.rho)
            leading = portrait["outcome"].dims[:-2]
            self.template = xr.Dataset(
                {"outcome": ((*leading, "gamma", "eta"), np.empty((*(portrait.sizes[d] for d in leading), len(self.gamma), 0)))},
                coords={**{d: portrait[d] for d in leading}, "gamma": self.gamma})
            lines = int(np.prod([portrait.sizes[d] for d in leading])) if leading else 1
            none = Row(*(np.empty(0, t) for t in (float, bool, bool, bool, bool, float)))
            self.known = [[none for _ in self.gamma] for _ in range(lines)]
            self.outcome = [np.empty((lines, 0), np.int8) for _ in self.gamma]
        codes = portrait["outcome"].values.reshape(len(self.known), len(which), -1)
        for s, line in enumerate(rows(portrait, self.rules)):
            for g, new in zip(which, line, strict=True):
                self.known[s][g] = _merge(self.known[s][g], new)
        for k, g in enumerate(which):
            order = np.argsort(both := np.concatenate([self.eta[g], eta[k]]))
            self.eta[g] = both[order]
            self.outcome[g] = np.concatenate([self.outcome[g], codes[:, k]], axis=1)[:, order]


def _merge(a: Row, b: Row) -> Row:
    """Return two rows of one gamma as one, in order of the rates."""
    order = np.argsort(np.concatenate([a.eta, b.eta]), kind="stable")
    return Row(*(np.concatenate([getattr(a, f), getattr(b, f)])[order] for f in a.__dataclass_fields__))


def _scan_outward(runs: _Runs, per_decade: int) -> None:
    """Scan whole decades outward from gamma**2, each gamma as far as it needs."""
    offsets = np.arange(per_decade) / per_decade
    low, high = np.zeros(len(runs.gamma), int), np.zeros(len(runs.gamma), int)    # decades [low, high) are scanned
    start = np.log10(runs.gamma) * 2

    def scan(which: np.ndarray, decade: np.ndarray) -> None:
        if which.size:
            runs.add(which, 10.0 ** (start[which, None] + decade[which, None] + offsets))

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


def _nothing_below(runs: _Runs, g: int, low: float) -> bool:
    """Return whether the lowest three decades hold nothing but untrained runs."""
    lowest = runs.eta[g] < 10.0 ** (low + 3) * (1 - 1e-9)
    return bool(runs.eta[g][-1] >= 10.0 ** (low + 2) and (runs.outcome[g][:, lowest] == Outcome.UNTRAINED).all())


def _nothing_above(runs: _Runs, g: int, high: float) -> bool:
    """Return whether the highest three decades hold nothing but diverged runs, or the highest six no trained or learning one.

    The latter counts only beyond 1000 gamma and 1000 gamma**2: the catapults of cross-entropy settle again just below eta ~ gamma, which
    in the lazy limit lies any number of decades above eta_crit ~ gamma**2.
    """
    eta, outcome = runs.eta[g], runs.outcome[g]
    if eta[0] < 10.0 ** (high - 3) * (1 + 1e-9) and (outcome[:, eta >= 10.0 ** (high - 3) * (1 - 1e-9)] == Outcome.DIVERGED).all():
        return True
    six = eta >= 10.0 ** (high - 6) * (1 - 1e-9)
    trained = any(line[g].trained[line[g].eta >= 10.0 ** (high - 6) * (1 - 1e-9)].any() for line in runs.known)
    beyond = 10.0**high > 1000 * max(runs.gamma[g], runs.gamma[g] ** 2)
    return bool(beyond and eta[0] < 10.0 ** (high - 6) * (1 + 1e-9) and not trained
                and not (outcome[:, six] == Outcome.UNTRAINED).any())


def _refine(runs: _Runs, wanted: dict[int, list[tuple[float, float]]], sections: int) -> None:
    """Measure `sections` rates inside each of the brackets that are wanted, by gamma."""
    deepest = max((len(b) for b in wanted.values()), default=0)
    inner = np.arange(1, sections + 1) / (sections + 1)
    for depth in range(deepest):
        which = np.array(sorted(g for g, b in wanted.items() if len(b) > depth), int)
        ends = np.log([wanted[g][depth] for g in which])
        runs.add(which, np.exp(ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * inner))


def _decide_sets(runs: _Runs, sections: int) -> None:
    """Bisect the ends of every stretch that may or may not be wide enough to be a set."""
    for _ in range(ROUNDS):
        wanted: dict[int, list[tuple[float, float]]] = {}
        for line in runs.known:
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


def _refine_fringes(runs: _Runs, names: list[str], per_decade: int) -> set[tuple[int, int, str]]:
    """Measure a fine grid through every stretch that an edge crosses more than once; return which (line, gamma, edge) that were."""
    fringed: set[tuple[int, int, str]] = set()
    wanted: dict[int, tuple[float, float]] = {}
    for s, line in enumerate(runs.known):
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


def _narrow(runs: _Runs, names: list[str], rtol: float, sections: int) -> None:
    """Narrow the brackets of the named edges until they are no wider than `rtol`, or do not narrow any further."""
    width: dict[tuple[int, int, str], float] = {}
    for _ in range(ROUNDS):
        wanted: dict[int, set[tuple[float, float]]] = {}
        for s, line in enumerate(runs.known):
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


