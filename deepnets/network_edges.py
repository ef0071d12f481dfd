"""From a network's portrait to the edges that its theory speaks of, each by its own rule, without training; knows no torch.

An edge is read by the excess loss, but the lazy eta_max of cross-entropy by the accuracy: half of the loss is reached there only
after more steps than one has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from deepnets.theory import Exponents, predict, window
from validation.edges import locate
from validation.fitting.powerlaw import fit
from validation.fitting.result import FitOutcome
from validation.prediction import REGIMES
from validation.tracing import trace

THRESHOLD = 0.8         # the accuracy at which a run counts as trained, where nothing else is told
FEWEST = 4              # gammas of a fit
TOLERANCE = 0.1         # of the exponents of networks: the seeds alone move them by 0.05
LOSSES = {"mse": "MSE", "cross_entropy": "cross-entropy"}
OPTIMIZERS = {"sgd": "SGD", "signsgd": "SignSGD", "momentum": "heavy ball", "adam": "Adam"}
KINDS = {"mlp": "MLP", "cnn": "CNN", "resnet": "ResNet", "residual_mlp": "residual MLP", "residual_cnn": "residual CNN", "vit": "ViT",
         "transformer": "Transformer"}


def theory_of(description: Mapping[str, Any]) -> tuple[str, dict[str, Exponents]]:
    """Return the title and the claimed exponents of the experiment that a portrait describes."""
    network, optimizer = description["network"], description["optimizer"]["name"]
    return words(description), predict(network, description["loss"], optimizer)


def words(description: Mapping[str, Any]) -> str:
    """Return the experiment as a heading."""
    network, steps = description["network"], description["steps"]
    kind = KINDS.get(network["name"], network["name"])
    layers = network.get("depth") or network.get("convolutions", 0) + network.get("dense", 0)
    parts = [f"{kind}, L = {layers}" if layers else kind, description["task"]["name"].replace("_", " "), LOSSES[description["loss"]],
             OPTIMIZERS[description["optimizer"]["name"]]]
    parts += [] if description["schedule"]["name"] == "constant" else ["warm-up and cosine"]
    return ", ".join([*parts, f"T = {steps[-1] if isinstance(steps, list) else steps}"])


def read(portrait: xr.Dataset, claims: Mapping[str, Exponents], rho: float | None = None) -> tuple[xr.Dataset, dict[str, Exponents]]:
    """Return the edges of a portrait as the claims want them read, and the claims with the closing point that these edges show.

    Parameters
    ----------
    portrait : of a `DeepExperiment`; its attribute ``accuracy``, if it has one, is the accuracy of a trained run.
    claims : as from `predict`.
    rho : the excess at which a run counts as trained; None: the portrait's own.
    """
    edges = locate(portrait, rho=rho)
    if by_accuracy(claims) and "final_accuracy" in portrait:
        accurate = locate(portrait, rho, "accuracy", float(portrait.attrs.get("accuracy", THRESHOLD)))
        edges = lazy_from(edges, accurate, "eta_max", claims["eta_max"].unit)
    return edges, closing(claims, measure_closing_point(edges))


def slug(description: Mapping[str, Any]) -> str:
    """Return a name for files."""
    return "".join(c if c.isalnum() else "-" for c in words(description).replace(" = ", "").lower()).replace("--", "-").strip("-")


def unclaimed(edges: xr.Dataset, claims: Mapping[str, Exponents]) -> list[str]:
    """Return a sentence for each rich power law that can be fitted, but of which the theory claims nothing for this network."""
    said = []
    for name, claim in claims.items():
        stretch = window("rich", claim.closing_gamma, claim.unit)
        gammas = edges["gamma"].values
        if claim.rich is not None or name == "eta_crit" or stretch is None:
            continue
        inside = (gammas >= stretch[0]) & (gammas <= stretch[1])
        if np.count_nonzero(inside & edges["eta"].sel(edge=name).notnull().any([d for d in edges["eta"].dims if d not in
                                                                                ("edge", "gamma")]).values) < FEWEST:
            continue
        law = fit(edges, name, window=stretch)
        if law.outcome is FitOutcome.FITTED:
            power = 2 if "eta_min" in claims else 1
            as_depth = f"; read as {power}/L, that is L = {power / law.exponent:.3g}" if name == "eta_max" and law.exponent > 0 else ""
            said.append(f"{law.sentence}: nothing is claimed of this network's rich {name}{as_depth}")
    return said


def by_accuracy(claims: Mapping[str, Exponents]) -> bool:
    """Return whether the lazy eta_max is read by the accuracy."""
    return "eta_max" in claims and claims["eta_max"].lazy_criterion == "accuracy"


def lazy_from(edges: xr.Dataset, others: xr.Dataset, edge: str, unit: float = 1.0) -> xr.Dataset:
    """Return `edges` with one edge's brackets below gamma = `unit` taken from `others`, of the same gammas."""
    made = edges.copy(deep=True)
    lazy = made["gamma"] < unit
    for name in ("eta", "crossings", "fringe"):
        here, there = (d[name].sel(edge=edge) for d in (edges, others))
        made[name].loc[{"edge": edge}] = xr.where(lazy, there, here).transpose(*here.dims)
    return made


def measure_closing_point(edges: xr.Dataset) -> float:
    """Return the least gamma above 1 from which on no rate trains, infinity if there is none."""
    present = edges["eta"].sel(edge="eta_max").notnull().any("bound")
    others = [d for d in present.dims if d != "gamma"]
    some = (present.mean(others) > 0.5).values                          # of the seeds
    shut = np.flatnonzero(~some & (edges["gamma"].values > 1))
    return float(edges["gamma"].values[shut[0]]) if shut.size else np.inf


def closing(claims: Mapping[str, Exponents], gamma: float) -> dict[str, Exponents]:
    """Return the claims of a triangle that closes at `gamma`."""
    return {name: replace(claim, closing_gamma=min(claim.closing_gamma, gamma)) for name, claim in claims.items()}


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
        stretch = window(regime, claims["eta_max"].closing_gamma, claims["eta_max"].unit)
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
    """Return the traced edges, and the claims with the closing point that these show.

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
    return edges, closing(claims, measure_closing_point(edges) if "eta_max" in names else np.inf)


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
