"""The runs of a trace: for each gamma a row of rates that grows as more of them are measured or taken from a portrait."""

from __future__ import annotations

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.edges import Row, Rules, rows
from validation.experiment import Experiment
from validation.outcome import Outcome
from validation.portrait import conform_answer, rates

SAME = 1e-12         # relative distance below which two gammas are one
_ROUND = 1e-9        # relative: rates that were computed in different ways


class Runs:
    """All runs so far: for every gamma a growing portrait of one row."""

    def __init__(self, experiment: Experiment, gamma: np.ndarray, rho: float | None) -> None:
        self.experiment, self.gamma, self.rho = experiment, gamma, rho
        self.lines: list[list[Row]] = []       # by leading index (seed, horizon) and gamma
        self.eta: list[np.ndarray] = [np.empty(0) for _ in gamma]
        self.outcome: list[np.ndarray] = []
        self.count = 0

    def add(self, which: np.ndarray, eta: np.ndarray) -> None:
        """Measure `eta` (k, m), increasing along m, at the gammas of the indices `which` (k,), increasing."""
        portrait = conform_answer(self.experiment.measure(self.gamma[which], eta), self.gamma[which], eta)
        self.count += eta.size * int(np.prod([portrait.sizes[d] for d in portrait["outcome"].dims[:-2]]) or 1)
        self._insert(which, eta, portrait, np.ones(eta.shape, bool))

    def scan(self, which: np.ndarray, eta: np.ndarray, per_decade: int) -> None:
        """Measure the rates `eta` (k, m) at the gammas of the indices `which`, except those between runs as close as the scan's."""
        new = {int(g): points[~_lie_between(self.eta[g], points, per_decade)] for g, points in zip(which, eta, strict=True)}
        for size in sorted({len(points) for points in new.values()} - {0}):
            together = [g for g in sorted(new) if len(new[g]) == size]
            self.add(np.array(together), np.stack([new[g] for g in together]))

    def include(self, known: xr.Dataset, low: float, high: float) -> None:
        """Take the runs between the rates `low` and `high` from a portrait, at the gammas that it holds."""
        which, rows_of_known = np.nonzero(np.isclose(known["gamma"].values, self.gamma[:, None], rtol=SAME, atol=0))
        if which.size == 0:
            return
        known = known.isel(gamma=rows_of_known)
        eta, outcome = rates(known), known["outcome"]
        ran = ((outcome != Outcome.UNRUN) & (outcome != Outcome.FAILED)).all(outcome.dims[:-2]).values & (eta >= low) & (eta <= high)
        self._insert(which, eta, known.assign(outcome=outcome.where(ran, int(Outcome.UNRUN))), ran)

    def _insert(self, which: np.ndarray, eta: np.ndarray, portrait: xr.Dataset, ran: np.ndarray) -> None:
        """Add the runs of a portrait at the gammas of the indices `which` (k,): those of the rates `eta` (k, m) where `ran` (k, m)."""
        leading = portrait["outcome"].dims[:-2]
        if not self.lines:
            self.attrs = dict(portrait.attrs)
            self.rules = Rules.of(self.attrs, self.rho)
            self.template = xr.Dataset(
                {"outcome": ((*leading, "gamma", "eta"), np.empty((*(portrait.sizes[d] for d in leading), len(self.gamma), 0)))},
                coords={**{d: portrait[d] for d in leading}, "gamma": self.gamma})
            count = int(np.prod([portrait.sizes[d] for d in leading])) if leading else 1
            none = Row(*(np.empty(0, t) for t in (float, bool, bool, bool, bool, float)))
            self.lines = [[none for _ in self.gamma] for _ in range(count)]
            self.outcome = [np.empty((count, 0), np.int8) for _ in self.gamma]
        former = {d: self.template[d].values.tolist() for d in self.template["outcome"].dims[:-2]}
        if (now := {d: portrait[d].values.tolist() for d in leading}) != former:
            raise Misuse(f"all runs must have the same dims and coordinates before gamma and eta: {former}, not {now}")
        codes = portrait["outcome"].values.reshape(len(self.lines), len(which), -1)
        for s, line in enumerate(rows(portrait, self.rules)):
            for g, new in zip(which, line, strict=True):
                self.lines[s][g] = _merge(self.lines[s][g], new)
        for k, g in enumerate(which):
            order = np.argsort(both := np.concatenate([self.eta[g], eta[k, ran[k]]]))
            self.eta[g] = both[order]
            self.outcome[g] = np.concatenate([self.outcome[g], codes[:, k, ran[k]]], axis=1)[:, order]


def _lie_between(known: np.ndarray, points: np.ndarray, per_decade: int) -> np.ndarray:
    """Return which of the rates `points` are in `known`, or between two rates of it no further apart than 1/per_decade; both increase."""
    if known.size == 0:
        return np.zeros(points.shape, bool)
    at = np.searchsorted(known, points * (1 - _ROUND))
    below, above = np.concatenate([[0.0], known])[at], np.concatenate([known, [np.inf]])[at]
    with np.errstate(divide="ignore"):
        return (above <= points * (1 + _ROUND)) | (np.log10(above / below) <= (1 + _ROUND) / per_decade)


def _merge(a: Row, b: Row) -> Row:
    """Return two rows of one gamma as one, in order of the rates."""
    order = np.argsort(np.concatenate([a.eta, b.eta]), kind="stable")
    return Row(*(np.concatenate([getattr(a, f), getattr(b, f)])[order] for f in a.__dataclass_fields__))
