"""How an edge moves with the training time: eta over T at one gamma, fitted as a power law like any other; knows no model."""

from __future__ import annotations

import numpy as np
import xarray as xr

from validation.edges import edges_from_brackets
from validation.misuse import Misuse, choose, positive
from validation.powerlaw import PowerLawFit, fit


def fit_horizons(edges: xr.Dataset, edge: str, gamma: float, window: tuple[float, float] | None = None) -> PowerLawFit:
    """Fit ``eta = prefactor * T**exponent`` at one gamma, so that eta_min ~ 1/T is measured and not assumed.

    Parameters
    ----------
    edges : as from `locate` or `trace`, with the dim ``horizon``: an experiment with a sequence of `steps` has it.
    edge : which one.
    gamma : one of the edges' gammas (to 1e-9 of itself).
    window : (low, high) in T, ends included; None: all horizons.

    Returns
    -------
    PowerLawFit : its `gamma` and `window` are numbers of steps.

    Raises
    ------
    Misuse : edges without horizons, a gamma or an edge that is not among them.
    """
    if "horizon" not in edges.dims:
        raise Misuse(f"edges must have the dim 'horizon' (an experiment with several steps gives it); theirs are {tuple(edges.dims)}")
    choose("edge", edge, edges["edge"].values.tolist())
    gammas = edges["gamma"].values
    at = int(np.argmin(np.abs(gammas / float(positive("gamma", gamma)) - 1)))
    if abs(gammas[at] / gamma - 1) > 1e-9:
        raise Misuse(f"gamma must be one of the edges' {len(gammas)} gammas, not {gamma!r}; the nearest is {float(gammas[at])!r}")
    bracket = edges["eta"].sel(edge=edge).isel(gamma=at)
    steps = edges["horizon"].values.astype(np.float64)
    if "seed" in bracket.dims:
        stacked = bracket.transpose("seed", "horizon", "bound")
        own = edges_from_brackets(np.tile(steps, bracket.sizes["seed"]), stacked.values[..., 0].ravel(), stacked.values[..., 1].ravel(),
                                  edge, np.repeat(bracket["seed"].values, len(steps)))
    else:
        values = bracket.transpose("horizon", "bound").values
        own = edges_from_brackets(steps, values[:, 0], values[:, 1], edge)
    return fit(own, edge, window=(float(steps[0]), float(steps[-1])) if window is None else window)
