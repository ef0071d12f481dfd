"""Scaling of observables with gamma, predicted and fitted: curvature at the best rates, and the movement of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from deepnets.theory import predict, window
from validation.edges import edges_from_brackets
from validation.fitting.powerlaw import fit
from validation.fitting.result import PowerLawFit
from validation.prediction import REGIMES

if TYPE_CHECKING:
    from deepnets.experiment import DeepExperiment

FEWEST = 4      # gammas in a window to be fitted
Laws = dict[str, list[tuple[float, float, float]]]      # observable: (exponent, low, high) of each regime


def predict_laws(experiment: DeepExperiment) -> Laws:
    """Return the predicted exponents of gamma of a network's observables, with their windows.

    The largest eigenvalue in theta is ``gamma**-2`` times the tangent kernel's, which stays, in the lazy regime, and near ``2/(N eta)`` on
    the line of the best rates in the rich one: ``gamma**(-2/L)``. Weights move by ``gamma`` and by ``gamma**(1/L)`` (section 3.3, Appendix
    S). Rich laws hold for plain networks of L weight matrices. For SignSGD and Adam nothing is predicted for the curvature, and nothing at
    all for losses and optimizers that the theory does not cover.
    """
    predictions = predict(experiment.network, experiment.loss, experiment.optimizer)
    laws: Laws = {"hessian": [], "weights": []}
    if not predictions:
        return laws
    edge, sign_based = predictions["eta_max"], experiment.optimizer.name in ("signsgd", "adam")
    for regime in REGIMES:
        stretch = window(regime, edge.closing_gamma, edge.unit)
        if stretch is None or (regime == "rich" and edge.rich is None):
            continue
        over_depth = float(edge.rich or 0) / (1 if sign_based else 2)                   # 1/L
        laws["weights"].append((1.0 if regime == "lazy" else over_depth, *stretch))
        if not sign_based:
            laws["hessian"].append((-2.0 if regime == "lazy" else -2 * over_depth, *stretch))
    return laws


def in_theta(observed: xr.Dataset, name: str = "hessian") -> xr.DataArray:
    """Return curvature in units of theta: that in u over gamma^2."""
    return (observed[name] / observed["gamma"] ** 2).assign_attrs(units="loss per theta^2")


def fit_laws(observed: xr.Dataset, laws: Laws) -> list[PowerLawFit]:
    """Return the power laws of the largest eigenvalue in theta, and of ``|theta - theta_0|``, after the last step, over the seeds.

    Parameters
    ----------
    observed : as from `deepnets.observe`.
    laws : as from `predict_laws`; a window is fitted if it holds at least four gammas.
    """
    last, fits = observed.isel(step=-1), []
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
        for _, low, high in laws[name]:
            inside = (gamma >= low) & (gamma <= high)
            if len(np.unique(gamma[inside])) >= FEWEST:
                exact = value[good][inside]
                fits.append(fit(edges_from_brackets(gamma[inside], exact, exact, words, seed[inside]), words, window=(low, high)))
    return fits
