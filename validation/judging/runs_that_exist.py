"""Judge runs that exist: bracket their best and highest rates over x, fit the exponents, judge a claim, and name the runs to add."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, between, choose
from validation.fitting.best_rate_law import BEND_LEVEL, fit_best_rates
from validation.fitting.brackets import pair, rows
from validation.fitting.powerlaw import FitOutcome, describe_bend, fit
from validation.fitting.result import PowerLawFit, build_undecided_fit, name_points
from validation.judging.claims_on_runs import JUDGED, Claim, read_claim
from validation.judging.verdict import LEAST_GAMMAS, Verdict, VerdictOutcome, judge
from validation.runs.binned_runs import BINS, LEAST_PER_BIN, choose_bins, detect_scattered_x, optimum_in_bins
from validation.runs.brackets_of_runs import SAME, edges_from_runs, find_runs_at, optimum_from_runs, write_rate
from validation.runs.run_status import UNKNOWN

LARGEST = 1e100          # of x and rates
MOST_SIZES = 300         # different x, with several runs each
MOST_GROUPS = 50
MOST_SUGGESTED = 6       # runs to add


@dataclass(frozen=True, eq=False)
class JudgedRuns:
    """Runs of one group with their edges, exponents and verdicts.

    Attributes
    ----------
    group : the group's name, None where runs have none.
    runs : its runs, as from `validation.read_runs`.
    edges : by edge ("eta_opt", "eta_min", "eta_max"), a dataset as from `validation.optimum_from_runs` or `validation.edges_from_runs`.
    fits : by edge, the power law over x.
    verdicts : by edge; empty where nothing was claimed.
    notes : sentences on runs that were dropped, on overlaps, on rates that end first.
    next_runs : what to run next, the most useful first.
    trained : which runs count as trained, (run,); None where no threshold was given.
    binned : the runs moved to the centres of bins of x, to which the edges belong; None where x has few values.
    """

    group: str | None
    runs: xr.Dataset
    edges: dict[str, xr.Dataset]
    fits: dict[str, PowerLawFit]
    verdicts: dict[str, Verdict]
    notes: tuple[str, ...]
    next_runs: tuple[str, ...]
    trained: np.ndarray | None = None
    binned: xr.Dataset | None = None

    @property
    def contradicted(self) -> bool:
        """Whether a verdict is CONTRADICTED."""
        return any(v.outcome is VerdictOutcome.CONTRADICTED for v in self.verdicts.values())


def judge_runs(runs: xr.Dataset, claim: Any = None, theory: str | None = None, *, trained_below: float | None = None,
               accuracy_above: float | None = None, tolerance: float | None = None, rivals: Iterable[Any] | None = None,
               window: tuple[float, float] | None = None, shared: bool | None = None,
               bins: int | None = None) -> list[JudgedRuns]:
    """Judge the exponent of the best rate over x, and with a threshold that of the highest rate that trains, in each group of runs.

    Parameters
    ----------
    runs : as from `validation.read_runs`.
    claim : the exponent b of eta ~ x^b, a number or a fraction; None: exponents are fitted, and nothing is judged.
    theory : in place of a claim: "mup" (0) or "sp" (-1, the standard parametrization) over a width; "gamma-lazy" (2) or "gamma-rich:L"
        (2/L) over gamma, of SGD.
    trained_below : a run is trained if its loss is at most this; edges are then bracketed, and eta_max is judged too.
    accuracy_above : the loss is an accuracy, and a run is trained if it is at least this.
    tolerance : of `validation.judge`.
    rivals : exponents from which the claim has to be separated. None: of gamma those of other depths, otherwise 0 and the multiples of 1/2
        next to the claim.
    window : (low, high) in x; None: all.
    shared : of `validation.fit`: whether runs at several x share something random, as one network's weights at several gamma, so that their
        errors may be correlated. None: over gamma alone. If not, intervals are narrower, and those of the best rate are of
        `validation.fitting.best_rate_law`.
    bins : in how many bins of x, with equal counts, the best rate is read (`validation.fitting.scattered_rates`), where x lies on a
        continuous scale; the edges of the rates that train are then not bracketed. None: as `validation.runs.binned_runs.choose_bins`.

    Returns
    -------
    list : one `JudgedRuns` for each group, in the order of their names.

    Raises
    ------
    Misuse : those of `validation.optimum_from_runs`, `validation.edges_from_runs` and `validation.judge`; a claim and a theory; more than
        300 different x or 50 groups; x and rates beyond 1e-100 to 1e100. A group that cannot be judged is left out with a note, where
        others can.

    Examples
    --------
    >>> import numpy as np, validation
    >>> width, lr = (a.ravel() for a in np.meshgrid([64, 128, 256, 512, 1024], 2.0 ** np.arange(-14, 0), indexing="ij"))
    >>> runs = validation.read_runs({"width": width, "lr": lr, "loss": 1 + np.log2(lr * width / 2) ** 2}, "width", "lr", "loss")
    >>> [found] = validation.judge_runs(runs, claim=-1)
    >>> round(found.fits["eta_opt"].exponent, 3), str(found.verdicts["eta_opt"].outcome)
    (-1.0, 'SUPPORTED')
    """
    if not isinstance(runs, xr.Dataset) or "run" not in runs.dims:
        raise Misuse("runs must be a Dataset as from validation.read_runs, with x, eta, loss and status over run")
    if trained_below is not None and accuracy_above is not None:
        raise Misuse("trained_below must be None where accuracy_above is given")
    if tolerance is not None:
        between("tolerance", tolerance, 0, np.inf)
    axis = str(runs.attrs.get("axis", "x"))
    for name, what in (("x", axis), ("eta", str(runs.attrs.get("eta_name", "eta")))):
        values = runs[name].values
        if (odd := values[~((values >= 1 / LARGEST) & (values <= LARGEST))]).size:
            raise Misuse(f"{what} must lie between {1 / LARGEST:g} and {LARGEST:g} to be judged, not at {odd[0]:g}")
    read = read_claim(claim, theory, rivals, axis)
    window = None if window is None else pair("window", window)
    shared = axis == "gamma" if shared is None else bool(choose("shared", shared, (False, True)))
    groups = sorted(set(runs["group"].values.tolist())) if "group" in runs else [None]
    if len(groups) > MOST_GROUPS:
        raise Misuse(f"groups must be at most {MOST_GROUPS}, not {len(groups)}: {groups[0]}, {groups[1]}, ...")
    found, refused = [], []
    for group in groups:
        part = runs if group is None else runs.isel(run=np.flatnonzero(runs["group"].values == group))
        binned = edges = None
        try:
            number = choose_bins(part, bins)
            if number is not None:
                best, binned = optimum_in_bins(part, number, accuracy_above is not None)
            elif (count := np.unique(part["x"].values).size) > MOST_SIZES:
                raise Misuse(f"{axis} must have at most {MOST_SIZES} different values, of which it has {count}; give a number of bins")
            else:
                best = optimum_from_runs(part, accuracy=accuracy_above is not None)
                if detect_scattered_x(part):                                   # of a few runs, each with its own x, nothing else is of use
                    best.attrs.update(runs_to_add=[], notes=[
                        f"{axis} has {np.unique(part['x'].values).size} values with one or two rates each, and too few finished runs for "
                        f"bins: {BINS[0]} bins take {BINS[0] * LEAST_PER_BIN}"])
                edges = None if trained_below is None and accuracy_above is None else edges_from_runs(part, trained_below, accuracy_above)
        except Misuse as error:
            if group is None:
                raise
            refused.append(f"{group}: {error}")
            continue
        trained = None
        if trained_below is not None or accuracy_above is not None:
            loss = part["loss"].values
            trained = np.isfinite(loss) & (loss <= trained_below if accuracy_above is None else loss >= accuracy_above)
        found.append(_judge_group(group, part, best, edges, read, tolerance, window, shared, trained, binned))
    if not found:
        raise Misuse(refused[0])
    left_out = tuple(f"{sentence}; this group is left out" for sentence in refused)
    return [replace(found[0], notes=found[0].notes + left_out), *found[1:]]


def _judge_group(group: str | None, runs: xr.Dataset, best: xr.Dataset, edges: xr.Dataset | None, claim: Claim | None,
                 tolerance: float | None, window: tuple[float, float] | None, shared: bool, trained: np.ndarray | None,
                 binned: xr.Dataset | None) -> JudgedRuns:
    by_edge = {"eta_opt": best} | ({} if edges is None else {name: edges for name in ("eta_max", "eta_min")})
    fits = {name: _fit(dataset, name, window, shared and binned is None) for name, dataset in by_edge.items()}
    if binned is not None:
        fits = {name: replace(law, point="bin") for name, law in fits.items()}
    verdicts = {} if claim is None else {
        name: judge(fits[name], claim.exponent, tolerance, claim.rivals) for name in JUDGED if name in fits}
    # the rates to add stand in what to run next
    notes = [*runs.attrs.get("dropped", ()), *(note for note in best.attrs["notes"] if "; add " not in note),
             *(() if edges is None else edges.attrs["notes"])]
    if binned is not None and trained is not None:
        notes.append("in bins the best rate alone is judged, not the highest that trains")
    return JudgedRuns(group, runs, by_edge, fits, verdicts, tuple(dict.fromkeys(notes)),
                      () if binned is not None else tuple(_suggest_runs(runs, best, verdicts.get("eta_opt")))[:MOST_SUGGESTED],
                      trained, binned)


def _fit(edges: xr.Dataset, name: str, window: tuple[float, float] | None, shared: bool) -> PowerLawFit:
    """Return the fit of an edge, without an exponent where every bracket is open on one side: that is data, not misuse."""
    if name == "eta_opt":
        if not shared and (law := fit_best_rates(edges, window)) is not None:
            return law
        edges = edges.assign(eta=edges["interpolated"])
    data = rows(edges, name)
    if window is not None:
        data = data.between(window)
    if data.x.size and not data.censored.all():
        law = fit(edges, name, window, shared=shared)
        bends = "" if shared or law.outcome is not FitOutcome.FITTED else describe_bend(law, data.gamma[~data.censored], BEND_LEVEL)
        return law if not bends else replace(law, outcome=FitOutcome.UNDECIDED, reason=bends)
    several = name_points(data.axis)
    reason = f"the rates end before {name} at all {several}" if data.x.size else f"{name} is bracketed at none of the {several}"
    ends = (float(data.offered[0]), float(data.offered[-1]))
    return build_undecided_fit(reason, edge=name, axis=data.axis, window=window or ends)


def _suggest_runs(runs: xr.Dataset, best: xr.Dataset, verdict: Verdict | None) -> Iterator[str]:
    """Yield what to run next, the most useful first: open brackets, lost runs beside the best, more x, finer rates at the ends."""
    axis, what = str(runs.attrs.get("axis", "x")), str(runs.attrs.get("eta_name", "eta"))
    at = f"at {axis} = "
    more = best.attrs["runs_to_add"]
    for x in dict.fromkeys(x for x, _ in more):
        beyond = [rate for other, rate in more if other == x]
        highest = runs["eta"].values[find_runs_at(runs, x)].max()
        sides = _join(["higher" if rate > highest else "lower" for rate in beyond])
        yield f"add {what} = {_join(list(map(write_rate, beyond)))} {at}{x:g}: no {sides} rate is worse than the best"
    data = rows(best, "eta_opt")
    for x, low, high in zip(data.gamma, 10**data.lower, 10**data.upper, strict=True):
        lost = (runs["status"].values == UNKNOWN) & find_runs_at(runs, x)
        rate = np.unique(runs["eta"].values[lost])
        if (inside := rate[(rate > low * (1 - SAME)) & (rate < high * (1 + SAME))]).size:
            yield f"run {what} = {_join(list(map(write_rate, inside)))} {at}{x:g} again, of which nothing is known"
    if best.sizes["gamma"] < LEAST_GAMMAS:
        count = LEAST_GAMMAS - best.sizes["gamma"]
        yield f"add {count} {axis if count == 1 else name_points(axis)}: a verdict needs {LEAST_GAMMAS}"
    if not more and (verdict is None or verdict.outcome is VerdictOutcome.UNDECIDED):
        for i in dict.fromkeys((0, data.x.size - 1)):
            if data.x.size and not data.censored[i]:
                x, rates = data.gamma[i], _halve(runs, data.gamma[i], float(best["best"].sel(gamma=data.gamma[i])))
                yield (f"add {what} = {_join(list(map(write_rate, rates)))} {at}{x:g}: the brackets at both ends of {axis} decide the "
                       "exponent most")


def _halve(runs: xr.Dataset, x: float, best: float) -> np.ndarray:
    """Return the two rates nearest to the best one that lie halfway, in logarithms, between rates at x."""
    rate = np.unique(runs["eta"].values[find_runs_at(runs, x)])
    between = np.sqrt(rate[1:] * rate[:-1])
    return np.sort(between[np.argsort(np.abs(np.log(between / best)), kind="stable")[:2]])


def _join(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
