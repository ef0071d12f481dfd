"""From a network's portrait to the edges that its theory speaks of, each by its own rule, without training; knows no torch.

An edge is read by the excess loss, but the lazy eta_max of cross-entropy by the accuracy: half of the loss is reached there only
after more steps than one has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from deepnets.scaling import Exponents, predict, window
from validation.edges import locate
from validation.fits.law import FitOutcome
from validation.powerlaw import fit

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
    """Return the edges of a portrait as the claims want them read, and the claims with the apex that these edges show.

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
    return edges, closing(claims, apex(edges))


def slug(description: Mapping[str, Any]) -> str:
    """Return a name for files."""
    return "".join(c if c.isalnum() else "-" for c in words(description).replace(" = ", "").lower()).replace("--", "-").strip("-")


def unclaimed(edges: xr.Dataset, claims: Mapping[str, Exponents]) -> list[str]:
    """Return a sentence for each rich power law that can be fitted, but of which the theory claims nothing for this network."""
    said = []
    for name, claim in claims.items():
        stretch = window("rich", claim.apex, claim.unit)
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


def apex(edges: xr.Dataset) -> float:
    """Return the least gamma above 1 from which on no rate trains, infinity if there is none."""
    present = edges["eta"].sel(edge="eta_max").notnull().any("bound")
    others = [d for d in present.dims if d != "gamma"]
    some = (present.mean(others) > 0.5).values                          # of the seeds
    shut = np.flatnonzero(~some & (edges["gamma"].values > 1))
    return float(edges["gamma"].values[shut[0]]) if shut.size else np.inf


def closing(claims: Mapping[str, Exponents], gamma: float) -> dict[str, Exponents]:
    """Return the claims of a triangle that closes at `gamma`."""
    return {name: replace(claim, apex=min(claim.apex, gamma)) for name, claim in claims.items()}
