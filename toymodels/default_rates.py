"""Find the rates between which a toy's edges lie, from the theory, and from a coarse simulation where it is silent."""

from __future__ import annotations

import numpy as np

from toymodels.simulate import ToyExperiment

COARSE = 4      # gammas, and rates a decade, of the coarse simulation


def find_rates(experiment: ToyExperiment, low: float, high: float) -> np.ndarray:
    """Return the rates of all edges at some gammas from `low` to `high`, in any order; empty where no run trains.

    Edges are traced coarsely where, at one of the ends, no lower or no upper edge is predicted.
    """
    from toymodels.theory import predict
    from validation.tracing import trace

    gammas = np.geomspace(low, high, 64)
    edges = predict(experiment.model, experiment.loss, experiment.optimizer, experiment.schedule, experiment.noise, experiment.batch)
    with np.errstate(all="ignore"):
        # also beyond the closing point, where nothing is predicted
        curves = {name: edge.numeric(gammas, experiment.horizons[-1], experiment.rho) for name, edge in edges.items()}
    upper = [curves[name] for name in ("eta_max", "eta_div") if name in curves]
    known = "eta_min" in curves and upper and all(np.isfinite(curves["eta_min"][end]) and np.isfinite([c[end] for c in upper]).any()
                                                  for end in (0, -1))
    found = [c[np.isfinite(c)] for c in curves.values()]
    if not known:
        traced = trace(experiment, np.geomspace(low, high, COARSE), ["eta_min", "eta_max", "eta_div"], rtol=0.5, per_decade=COARSE)
        rates = traced["eta"].values
        found.append(rates[np.isfinite(rates)])
    return np.concatenate(found)
