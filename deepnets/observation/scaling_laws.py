"""How observables scale with gamma, predicted and fitted: curvature along the best rates, and the weights' movement; trains nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from deepnets.theory import predict, window
from validation.edges import edges_from_brackets
from validation.fitting.powerlaw import fit
from validation.fitting.result import PowerLawFit
from validation.prediction import REGIMES

FEWEST = 4      # gammas in a window, below which nothing is fitted
Laws = dict[str, list[tuple[float, float, float]]]      # observable: (exponent, low, high) of each regime


def laws(description: Mapping[str, Any]) -> Laws:
    """Return the exponents of gamma that the theory claims for observables of a network so described, with their windows.

    The largest eigenvalue in theta is ``gamma**-2`` times the tangent kernel's, which stays, in the lazy regime, and near ``2/(N eta)`` on
    the line of the best rates in the rich one: ``gamma**(-2/L)``. Weights move by ``gamma`` and by ``gamma**(1/L)`` (section 3.3, Appendix
    S). Rich laws are those of plain networks of L weight matrices. Of SignSGD and Adam nothing is claimed of the curvature.
    """
    optimizer = description["optimizer"]["name"]
    claims = predict(description["network"], description["loss"], optimizer)
    edge, signs = claims["eta_max"], optimizer in ("signsgd", "adam")
    told: Laws = {"hessian": [], "weights": []}
    for regime in REGIMES:
        stretch = window(regime, edge.closing_gamma, edge.unit)
        if stretch is None or (regime == "rich" and edge.rich is None):
            continue
        over_depth = float(edge.rich or 0) / (1 if signs else 2)                   # 1/L
        told["weights"].append((1.0 if regime == "lazy" else over_depth, *stretch))
        if not signs:
            told["hessian"].append((-2.0 if regime == "lazy" else -2 * over_depth, *stretch))
    return told


def in_theta(observed: xr.Dataset, name: str = "hessian") -> xr.DataArray:
    """Return curvature in units of theta: that in u over gamma^2."""
    return (observed[name] / observed["gamma"] ** 2).assign_attrs(units="loss per theta^2")


def fits(observed: xr.Dataset, told: Laws) -> list[PowerLawFit]:
    """Return the power laws of the largest eigenvalue in theta, and of ``|theta - theta_0|``, after the last step, over the seeds.

    Parameters
    ----------
    observed : as from `deepnets.observe`.
    told : as from `laws`; its windows are fitted, where they hold four gammas.
    """
    last, made = observed.isel(step=-1), []
    curves: dict[str, tuple[str, xr.DataArray]] = {}
    if "hessian" in observed:
        curves["hessian"] = "largest eigenvalue in theta", in_theta(last).isel(eigenvalue=0)
    if "weights" in observed:
        squares = last["weights"].sel(norm="frobenius") ** 2
        curves["weights"] = "movement of the weights", squares.sum("parameter", skipna=False) ** 0.5
    for name, (words, values) in curves.items():
        value = values.transpose("seed", "run").values
        good = np.isfinite(value) & (value > 0)
        seed, run = np.nonzero(good)
        gamma = observed["gamma"].values[run]
        for _, low, high in told[name]:
            inside = (gamma >= low) & (gamma <= high)
            if len(np.unique(gamma[inside])) >= FEWEST:
                exact = value[good][inside]
                made.append(fit(edges_from_brackets(gamma[inside], exact, exact, words, seed[inside]), words, window=(low, high)))
    return made
