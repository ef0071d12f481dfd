"""Spectra of Hessians over gamma and in time (Figures 3 and 33 to 35)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import deepnets
from deepnets import DeepExperiment
from deepnets.phenomena import Snapshot
from pieces.piece import Piece
from pieces.portraits import image
from pieces.scale import Scale
from pieces.watched import RATE, optimal_line, over_seeds

PER_EIGENVALUE = 6        # products that Lanczos takes for each


def curvature(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each of MSE and cross-entropy on an MLP, and a residual network under Depth-muP."""
    task = scale.images()
    data, inputs, K = task.describe()["name"].replace("_", "-"), int(np.prod(task.in_shape)), task.out_features
    mlp = deepnets.MLP(inputs, scale.width, 3, K)
    residual = deepnets.ResidualCNN(image(task.in_shape), scale.channels, out_features=K, blocks=2)
    gamma = np.logspace(-4, 4, scale.gammas_of_curvature)
    observe = {part: _top(part, scale.top) for part in ("hessian", "gauss_newton", "residual")}
    for name, network, loss, figure, words in (("mlp-mse", mlp, "mse", "3, 33", f"MLP of width {scale.width}, L = 3, MSE"),
                                               ("mlp-cross-entropy", mlp, "cross_entropy", "34", "the same with cross-entropy"),
                                               ("residual", residual, "mse", "35", "residual CNN under Depth-muP, MSE")):
        experiment = DeepExperiment(network, task, loss, steps=scale.steps, batch_size=scale.batch, device=device,
                                    compile=scale.compile)
        eta = optimal_line(gamma, 3, RATE)
        description = {"experiment": experiment.describe(), "gamma": gamma.tolist(), "eta": eta.tolist(), "at": scale.curvature,
                       "top": scale.top, "probe": scale.probe, "seeds": scale.seeds}
        parts = over_seeds(experiment, gamma.tolist(), eta.tolist(), scale.curvature, observe, scale.seeds, scale.probe,
                           3 * PER_EIGENVALUE * scale.top)
        yield Piece("f", f"f-{name}", figure, f"{words}, {data}", description, parts)


def _top(part: str, count: int) -> Callable[[Snapshot], Any]:
    """Return what measures the largest eigenvalues in units of u, and beside each its residual, (P, 2, k)."""
    def measure(snapshot: Snapshot) -> np.ndarray:
        found = deepnets.spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), snapshot.experiment.loss, count,
                                 part, precision="float64", running=snapshot.running)
        return np.stack([found.eigenvalues.values, found.residuals.values], axis=1)

    return measure
