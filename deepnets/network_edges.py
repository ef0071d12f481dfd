"""Edges of trainability from a network's portrait, each by its own criterion, and traced where a power law can be fitted.

A run counts as trained by its excess loss. The lazy eta_max of cross-entropy is the exception: it is read by the accuracy, because
half of the loss is reached there only after more steps than one can afford.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from deepnets.theory import Exponents, window
from validation.edges import locate
from validation.experiment import Experiment
from validation.fitting.powerlaw import fit
from validation.fitting.result import FitOutcome
from validation.portrait import rates
from validation.prediction import REGIMES
from validation.tracing import nearest_gammas, trace

THRESHOLD = 0.8         # the held-out accuracy of a trained run, unless the portrait gives another
FEWEST = 4              # gammas, below which nothing is fitted
PER_DECADE = 4          # gammas a decade, and rates a decade of the scan
RTOL = 0.02             # of the brackets: 0.01 decade, less than one seed's scatter
BEYOND = 0.75           # decades that the scan extends beyond the edges of the portrait
SECTIONS = 3            # rates inside a bracket at once: runs trained together cost less


def read_edges(portrait: xr.Dataset, predictions: Mapping[str, Exponents], rho: float | None = None) -> xr.Dataset:
    """Return the edges of a portrait, each by the criterion of its prediction.

    Parameters
    ----------
    portrait : of a `DeepExperiment`; its attribute ``accuracy``, if it has one, is the held-out accuracy of a trained run.
    predictions : as from `predict`.
    rho : the excess at which a run counts as trained; None: the portrait's own.
    """
    edges = locate(portrait, rho=rho)
    if uses_accuracy(predictions) and "final_accuracy" in portrait:
        by_accuracy = locate(portrait, rho, "accuracy", portrait.attrs.get("accuracy", THRESHOLD))
        edges = replace_lazy(edges, by_accuracy, "eta_max", predictions["eta_max"].unit)
    return edges


def uses_accuracy(predictions: Mapping[str, Exponents]) -> bool:
    """Return whether the lazy eta_max is read by the accuracy."""
    return "eta_max" in predictions and predictions["eta_max"].lazy_criterion == "accuracy"


def replace_lazy(edges: xr.Dataset, others: xr.Dataset, edge: str, unit: float = 1.0) -> xr.Dataset:
    """Return `edges` with one edge's brackets below gamma = `unit` taken from `others`, of the same gammas."""
    result = edges.copy(deep=True)
    lazy = result["gamma"] < unit
    for name in ("eta", "crossings", "fringe"):
        own, other = (d[name].sel(edge=edge) for d in (edges, others))
        result[name].loc[{"edge": edge}] = xr.where(lazy, other, own).transpose(*own.dims)
    return result


def measure_closing_point(edges: xr.Dataset) -> float:
    """Return the least gamma above 1 from which on no rate trains, infinity if there is none."""
    present = edges["eta"].sel(edge="eta_max").notnull().any("bound")
    others = [d for d in present.dims if d != "gamma"]
    some = (present.mean(others) > 0.5).values                          # of the seeds
    shut = np.flatnonzero(~some & (edges["gamma"].values > 1))
    return float(edges["gamma"].values[shut[0]]) if shut.size else np.inf


def close_triangle(predictions: Mapping[str, Exponents], edges: xr.Dataset) -> dict[str, Exponents]:
    """Return the predictions for a triangle of trainability that closes where these edges close, if they do."""
    gamma = measure_closing_point(edges) if "eta_max" in edges["edge"].values else np.inf
    return {name: replace(p, closing_gamma=min(p.closing_gamma, gamma)) for name, p in predictions.items()}


def describe_further_laws(edges: xr.Dataset, predictions: Mapping[str, Exponents]) -> list[str]:
    """Return a sentence for each rich power law that can be fitted although the theory predicts none for this network."""
    sentences = []
    for name, prediction in predictions.items():
        stretch = window("rich", prediction.closing_gamma, prediction.unit)
        gammas = edges["gamma"].values
        if prediction.rich is not None or name == "eta_crit" or stretch is None:
            continue
        inside = (gammas >= stretch[0]) & (gammas <= stretch[1])
        if np.count_nonzero(inside & edges["eta"].sel(edge=name).notnull().any([d for d in edges["eta"].dims if d not in
                                                                                ("edge", "gamma")]).values) < FEWEST:
            continue
        law = fit(edges, name, window=stretch)
        if law.outcome is FitOutcome.FITTED:
            power = 2 if "eta_min" in predictions else 1
            as_depth = f"; read as {power}/L, that is L = {power / law.exponent:.3g}" if name == "eta_max" and law.exponent > 0 else ""
            sentences.append(f"{law.sentence}: the theory predicts no exponent for this network's rich {name}{as_depth}")
    return sentences


@dataclass(frozen=True)
class TracePlan:
    """Edges of one regime that are traced together.

    Attributes
    ----------
    edges : their names.
    gamma : (n,).
    eta : the first and the last rate of the scan.
    accuracy : the held-out accuracy of a trained run; None: the excess decides.
    """

    edges: tuple[str, ...]
    gamma: np.ndarray
    eta: tuple[float, float]
    accuracy: float | None = None

    def count_runs(self, seeds: int, known: xr.Dataset) -> int:
        """Return about how many runs must be trained: those of the scan that `known` does not replace, and those inside each bracket."""
        scan = int(np.ceil(np.log10(self.eta[1] / self.eta[0]) * PER_DECADE)) + 1
        rounds = int(np.ceil(np.log(np.log(10) / PER_DECADE / RTOL) / np.log(SECTIONS + 1)))
        scanned = np.setdiff1d(self.gamma, known["gamma"].values) if _largest_step(known) <= 1 / PER_DECADE else self.gamma
        return seeds * (len(scanned) * scan + len(self.gamma) * rounds * SECTIONS * len(self.edges))


def plan_tracing(edges: xr.Dataset, predictions: Mapping[str, Exponents], accuracy: float = THRESHOLD) -> list[TracePlan]:
    """Return what to trace: each regime's edges where a portrait shows them, also the rich ones without a predicted exponent.

    Parameters
    ----------
    edges : of the portrait, as from `read_edges`.
    predictions : as from `predict`.
    accuracy : of a trained run, where the lazy eta_max is read by it.
    """
    if not predictions:      # no law has a window
        return []
    predictions = close_triangle(predictions, edges)
    gammas, plans = edges["gamma"].values, []
    for regime in REGIMES:
        names = [n for n in predictions if regime == "lazy" or n != "eta_crit"]
        stretch = window(regime, predictions["eta_max"].closing_gamma, predictions["eta_max"].unit)
        if stretch is None:
            continue
        low, high = max(stretch[0], gammas[0]), min(stretch[1], gammas[-1])
        count = int(np.floor(np.log10(high / low) * PER_DECADE + 1e-9)) + 1 if high > low else 0
        if count < FEWEST:
            continue
        near = edges.sel(gamma=(edges["gamma"] >= low / 2) & (edges["gamma"] <= high * 2))
        groups: list[tuple[list[str], float | None]] = [(names, None)]
        if regime == "lazy" and uses_accuracy(predictions):
            groups = [([n for n in names if n != "eta_max"], None), (["eta_max"], accuracy)]
        for group, criterion in groups:
            ends = near["eta"].sel(edge=group).values
            if np.isfinite(ends).any():
                scan = float(np.nanmin(ends) / 10**BEYOND), float(np.nanmax(ends) * 10**BEYOND)
                plans.append(TracePlan(tuple(group), nearest_gammas(np.geomspace(low, high, count), gammas), scan, criterion))
    return plans


def _largest_step(portrait: xr.Dataset) -> float:
    """Return the largest distance in decades between neighbouring rates of a portrait, rounded to 1e-9."""
    eta = np.log10(rates(portrait))
    return round(float(np.diff(eta, axis=-1).max()), 9) if eta.shape[-1] > 1 else np.inf


def trace_edges(experiment: Experiment, plans: Sequence[TracePlan], known: xr.Dataset,
                advance: Callable[..., None] = lambda amount=1: None) -> xr.Dataset:
    """Return the traced edges; their attribute ``runs`` counts the runs.

    Parameters
    ----------
    experiment : a `DeepExperiment`.
    plans : as from `plan_tracing`, at least one.
    known : the experiment's portrait, whose runs are not trained again.
    advance : called with the number of runs after each batch of them.
    """
    names = list(dict.fromkeys(edge for plan in plans for edge in plan.edges))
    parts = [trace(_CountedExperiment(experiment, plan.accuracy, advance), plan.gamma, list(plan.edges), rtol=RTOL, eta=plan.eta,
                   per_decade=PER_DECADE, known=_judge_by_accuracy(known, plan.accuracy)) for plan in plans]
    blank = {"eta": np.nan, "crossings": 0, "fringe": 0.0, "method": 0}
    by_gamma: dict[float, xr.Dataset] = {}
    for part in parts:
        whole = part.reindex(edge=names, fill_value=blank)
        first = float(part["gamma"].values[0])
        if first in by_gamma:         # the same gammas, other edges
            before = by_gamma[first]
            whole = xr.concat([(part if n in part["edge"].values else before).sel(edge=[n]) for n in names if
                               n in part["edge"].values or n in before["edge"].values], "edge").reindex(edge=names, fill_value=blank)
        by_gamma[first] = whole
    edges = xr.concat([by_gamma[g] for g in sorted(by_gamma)], "gamma", combine_attrs="override")
    edges.attrs["runs"] = sum(int(p.attrs["runs"]) for p in parts)
    return edges


class _CountedExperiment(Experiment):
    """An experiment whose runs are counted, and judged by the accuracy if one is given; it takes several rates inside a bracket at once."""

    sections = SECTIONS

    def __init__(self, experiment: Experiment, accuracy: float | None, advance: Callable[..., None]) -> None:
        self.experiment, self.accuracy, self.advance = experiment, accuracy, advance

    def describe(self) -> dict[str, Any]:
        """Return the experiment's description."""
        return self.experiment.describe()

    def measure(self, gamma: np.ndarray, eta: np.ndarray) -> xr.Dataset:
        """Return the experiment's portrait, judged by the accuracy if there is one."""
        portrait = self.experiment.measure(gamma, eta)
        self.advance(portrait["outcome"].size)
        return _judge_by_accuracy(portrait, self.accuracy)


def _judge_by_accuracy(portrait: xr.Dataset, accuracy: float | None) -> xr.Dataset:
    """Return the portrait; given an accuracy, with a tail excess of 0 where a run reached it, else infinity."""
    if accuracy is None:
        return portrait
    untrained = ~(portrait["final_accuracy"] >= accuracy) | ~np.isfinite(portrait["final_excess"])
    return portrait.assign(tail_excess=xr.where(untrained, np.inf, 0.0).transpose(*portrait["outcome"].dims))
