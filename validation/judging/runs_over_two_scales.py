"""Judge runs that exist over two scales, such as parameters and tokens: the best rate at each pair, both exponents, and claims on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.fitting.brackets import rows
from validation.fitting.two_scales import TwoScaleFit, fit_two_scales
from validation.judging.claims_on_runs import read_claim
from validation.judging.verdict import Verdict, VerdictOutcome, judge
from validation.runs.brackets_of_runs import SAME, optimum_from_runs

MOST_PAIRS = 1000


@dataclass(frozen=True)
class Pair:
    """The runs at one pair of scales: their number, the best rate (NaN where its bracket is open) and its bracket, in units of eta.

    An open end is NaN; `lower` and `upper` are those to which the law is fitted, `wide` is the bracket by the rates themselves.
    """

    x: float
    x2: float
    runs: int
    best: float
    lower: float
    upper: float
    wide: tuple[float, float]


@dataclass(frozen=True, eq=False)
class JudgedPlane:
    """Runs of one group over two scales.

    Attributes
    ----------
    group : the group's name, None where runs have none.
    runs : its runs, as from `validation.read_runs` with x2.
    pairs : the best rate at each pair of scales.
    law : both exponents.
    verdicts : by scale; empty where nothing was claimed.
    notes : sentences on runs that were dropped, and on brackets that are open.
    """

    group: str | None
    runs: xr.Dataset
    pairs: tuple[Pair, ...]
    law: TwoScaleFit
    verdicts: dict[str, Verdict]
    notes: tuple[str, ...]

    @property
    def contradicted(self) -> bool:
        """Whether a verdict is CONTRADICTED."""
        return any(v.outcome is VerdictOutcome.CONTRADICTED for v in self.verdicts.values())


def judge_two_scales(runs: xr.Dataset, claim: Any = None, claim2: Any = None, *, accuracy: bool = False, tolerance: float | None = None,
                     rivals: Iterable[Any] | None = None) -> list[JudgedPlane]:
    """Judge the exponents of the best rate ``eta_opt ~ x^a x2^b`` in each group of runs.

    Parameters
    ----------
    runs : as from ``validation.read_runs(..., x2=...)``.
    claim, claim2 : the exponents a and b, numbers or fractions; None: that one is fitted, and not judged.
    accuracy : whether the losses are accuracies.
    tolerance, rivals : as of `validation.judge_runs`, of both claims.

    Raises
    ------
    Misuse : runs without x2; more than 1000 pairs; those of `validation.optimum_from_runs` and `validation.judge`. A group that cannot be
        judged is left out with a note, where others can.
    """
    if not isinstance(runs, xr.Dataset) or "x2" not in runs:
        raise Misuse("runs must be a Dataset as from validation.read_runs with x2, the column of a second scale")
    names = str(runs.attrs["axis"]), str(runs.attrs["axis2"])
    if rivals is not None and claim is None and claim2 is None:
        raise Misuse("rivals must be None where nothing is claimed")
    claims = {name: read_claim(given, None, None if given is None else rivals, name)
              for name, given in zip(names, (claim, claim2), strict=True)}
    groups = sorted(set(runs["group"].values.tolist())) if "group" in runs else [None]
    found, refused = [], []
    for group in groups:
        part = runs if group is None else runs.isel(run=np.flatnonzero(runs["group"].values == group))
        try:
            found.append(_judge_group(group, part, names, claims, accuracy, tolerance))
        except Misuse as error:
            if group is None:
                raise
            refused.append(f"{group}: {error}")
    if not found:
        raise Misuse(refused[0])
    left_out = tuple(f"{sentence}; this group is left out" for sentence in refused)
    return [replace(found[0], notes=found[0].notes + left_out), *found[1:]]


def _judge_group(group: str | None, runs: xr.Dataset, names: tuple[str, str], claims: dict[str, Any], accuracy: bool,
                 tolerance: float | None) -> JudgedPlane:
    values = np.sort(runs["x2"].values)
    distinct = values[np.diff(values, prepend=0.0) > SAME * values]
    count = np.unique(np.stack([runs["x"].values, runs["x2"].values]), axis=1).shape[1]
    if count > MOST_PAIRS:
        raise Misuse(f"{names[0]} and {names[1]} must have at most {MOST_PAIRS} different pairs, of which there are {count}")
    pairs, notes = [], list(runs.attrs.get("dropped", ()))
    for x2 in distinct:
        part = runs.isel(run=np.flatnonzero(np.abs(runs["x2"].values - x2) <= SAME * x2))
        try:
            best = optimum_from_runs(part, accuracy=accuracy)
        except Misuse as error:
            notes.append(f"at {names[1]} = {x2:g} there is no best rate: {error}")
            continue
        notes += [f"at {names[1]} = {x2:g}, {note.removeprefix('at ')}" for note in best.attrs["notes"]]
        data = rows(best.assign(eta=best["interpolated"]), "eta_opt")
        for x, low, high in zip(data.gamma, data.lower, data.upper, strict=True):
            here = np.abs(part["x"].values - x) <= SAME * x
            wide = best["eta"].sel(edge="eta_opt", gamma=x).values
            lower, upper = (float(10**end) if np.isfinite(end) else np.nan for end in (low, high))
            pairs.append(Pair(float(x), float(x2), int(here.sum()), float(best["best"].sel(gamma=x)), lower, upper,
                              (float(wide[0]), float(wide[1]))))
    x, x2s, low, high = (np.array([getattr(pair, name) for pair in pairs]) for name in ("x", "x2", "lower", "upper"))
    if not pairs:
        raise Misuse(f"runs have a best rate at no pair of {names[0]} and {names[1]}")
    found = fit_two_scales({names[0]: x, names[1]: x2s}, low, high)
    law = replace(found, fits={name: replace(one, edge="eta_opt", point="pair") for name, one in found.fits.items()})
    verdicts = {name: judge(law.fits[name], claim.exponent, tolerance, claim.rivals) for name, claim in claims.items() if claim is not None}
    return JudgedPlane(group, runs, tuple(pairs), law, verdicts, tuple(dict.fromkeys(notes)))
