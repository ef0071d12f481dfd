"""Edges of networks traced where their theory claims exponents: a few gammas a decade, scanned and bisected; knows no torch.

A grid's cells are as wide as what is asked of an exponent; a traced bracket is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from deepnets.reading import THRESHOLD, apex, by_accuracy, closing, read
from deepnets.scaling import Exponents, window
from validation.prediction import REGIMES
from validation.trace import trace

PER_DECADE = 4          # gammas a decade, and rates a decade of the scan
RTOL = 0.02             # of the brackets: 0.01 decade, less than one seed's scatter
BEYOND = 0.75           # decades that the scan reaches beyond where the portrait shows the edges
SECTIONS = 3            # rates inside a bracket at once: runs trained together cost less
LEAST = 4               # gammas, below which nothing can be fitted


@dataclass(frozen=True)
class Regime:
    """What is traced together: edges by name, over gammas (n,), scanned over rates from eta[0] to eta[1]; accuracy: by which one."""

    edges: tuple[str, ...]
    gamma: np.ndarray
    eta: tuple[float, float]
    accuracy: float | None = None

    def runs(self, seeds: int) -> int:
        """Return about how many runs it takes: those of the scan, and those inside each edge's bracket."""
        scan = int(np.ceil(np.log10(self.eta[1] / self.eta[0]) * PER_DECADE)) + 1
        rounds = int(np.ceil(np.log(np.log(10) / PER_DECADE / RTOL) / np.log(SECTIONS + 1)))
        return len(self.gamma) * seeds * (scan + rounds * SECTIONS * len(self.edges))


def plan(portrait: xr.Dataset, claims: Mapping[str, Exponents]) -> list[Regime]:
    """Return what to trace: each regime's edges, where the portrait shows them; also the rich ones of which nothing is claimed."""
    edges, claims = read(portrait, claims)
    gammas, wanted = portrait["gamma"].values, []
    for regime in REGIMES:
        names = [n for n in claims if regime == "lazy" or n != "eta_crit"]
        stretch = window(regime, claims["eta_max"].apex, claims["eta_max"].unit)
        if stretch is None:
            continue
        low, high = max(stretch[0], gammas[0]), min(stretch[1], gammas[-1])
        count = int(np.floor(np.log10(high / low) * PER_DECADE + 1e-9)) + 1 if high > low else 0
        if count < LEAST:
            continue
        near = edges.sel(gamma=(edges["gamma"] >= low / 2) & (edges["gamma"] <= high * 2))
        groups: list[tuple[list[str], float | None]] = [(names, None)]
        if regime == "lazy" and by_accuracy(claims):
            groups = [([n for n in names if n != "eta_max"], None), (["eta_max"], float(portrait.attrs.get("accuracy", THRESHOLD)))]
        for group, accuracy in groups:
            ends = near["eta"].sel(edge=group).values
            if np.isfinite(ends).any():
                scan = float(np.nanmin(ends) / 10**BEYOND), float(np.nanmax(ends) * 10**BEYOND)
                wanted.append(Regime(tuple(group), np.geomspace(low, high, count), scan, accuracy))
    return wanted


def traced(experiment: Any, regimes: Sequence[Regime], claims: Mapping[str, Exponents],
           advance: Callable[..., None] = lambda amount=1: None) -> tuple[xr.Dataset, dict[str, Exponents]]:
    """Return the traced edges, and the claims with the apex that these show.

    Parameters
    ----------
    experiment : a `DeepExperiment`.
    regimes : as from `plan`, at least one.
    claims : as from `predict`.
    advance : called with the number of runs after each batch of them.
    """
    names = list(dict.fromkeys(e for r in regimes for e in r.edges))
    parts = [trace(_Watched(experiment, r.accuracy, advance), r.gamma, list(r.edges), rtol=RTOL, eta=r.eta, per_decade=PER_DECADE)
             for r in regimes]
    blank = {"eta": np.nan, "crossings": 0, "fringe": 0.0, "method": 0}
    by_gamma: dict[float, xr.Dataset] = {}
    for part in parts:
        whole = part.reindex(edge=names, fill_value=blank)
        first = float(part["gamma"].values[0])
        if first in by_gamma:         # the same gammas, other edges
            here = by_gamma[first]
            whole = xr.concat([(part if n in part["edge"].values else here).sel(edge=[n]) for n in names if
                               n in part["edge"].values or n in here["edge"].values], "edge").reindex(edge=names, fill_value=blank)
        by_gamma[first] = whole
    edges = xr.concat([by_gamma[g] for g in sorted(by_gamma)], "gamma", combine_attrs="override")
    edges.attrs["runs"] = sum(int(p.attrs["runs"]) for p in parts)
    return edges, closing(claims, apex(edges) if "eta_max" in names else np.inf)


class _Watched:
    """An experiment whose runs are counted, asked for several rates inside a bracket at once, and judged by accuracy if wanted."""

    sections = SECTIONS

    def __init__(self, experiment: Any, accuracy: float | None, advance: Callable[..., None]) -> None:
        self.experiment, self.accuracy, self.advance = experiment, accuracy, advance

    def describe(self) -> dict[str, Any]:
        """Return the experiment's description."""
        return self.experiment.describe()

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Return the experiment's portrait; by accuracy, with a tail excess of 0 where a run reached it, else infinity."""
        portrait = self.experiment.measure(gamma, eta)
        self.advance(portrait["outcome"].size)
        if self.accuracy is None:
            return portrait
        failed = ~(portrait["final_accuracy"] >= self.accuracy) | ~np.isfinite(portrait["final_excess"])
        return portrait.assign(tail_excess=xr.where(failed, np.inf, 0.0).transpose(*portrait["outcome"].dims))
