"""Catapults, silent alignment, stairs and the movement of weights, at large width (Figures 4, 36 and 40 to 45)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import deepnets
from deepnets import DeepExperiment
from deepnets.phenomena import Snapshot, measures
from pieces.piece import Piece
from pieces.scale import Scale
from pieces.watched import RATE, optimal_line, over_seeds


def phenomena(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each phenomenon and depth."""
    task = scale.images()
    data, inputs, K = task.describe()["name"].replace("_", "-"), int(np.prod(task.in_shape)), task.out_features
    T, early = scale.steps, tuple(sorted({int(t) for t in np.geomspace(1, scale.steps, 12)} | {0}))
    aligned = {"alignment": measures.alignment(), "sharpness": measures.sharpness()}
    wide = {"steps": T, "batch_size": scale.batch, "device": device, "compile": scale.compile}

    def piece(name: str, figure: str, words: str, experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...],
              observe: Any, products: int = 0) -> Piece:
        description = {"experiment": experiment.describe(), "gamma": gamma.tolist(), "eta": eta.tolist(), "at": at,
                       "observe": sorted(observe), "seeds": scale.seeds, "probe": scale.probe}
        return Piece("h", f"h-{name}", figure, words, description,
                     over_seeds(experiment, gamma.tolist(), eta.tolist(), at, observe, scale.seeds, scale.probe, products))

    for depth in (2, 3, 4):
        network, gamma = deepnets.MLP(inputs, scale.wide, depth, K), np.logspace(-2, 4, 13)
        yield piece(f"alignment-L{depth}", "4, 40, 41", f"MLP of width {scale.wide}, L = {depth}, {data}: alignment, sharpness",
                    DeepExperiment(network, task, **wide), gamma, optimal_line(gamma, depth, RATE), early, aligned, products=8)
    # a full batch of whitened samples: the singular directions are learnt one after the other
    yield piece("stairs", "4", "linear network, teacher of four singular values, full batch", DeepExperiment(
        deepnets.MLP(4, min(scale.wide, 256), 3, 4, nonlinearity="linear"), deepnets.tasks.linear(samples=64),
        **wide | {"steps": 2 * T, "batch_size": 64}), np.array([1e-1, 1e4]), np.array([1e-2, 1e3]), (0,), aligned)
    for depth in (2, 3, 4):
        gamma = np.tile(np.logspace(-4, 4, 17), 4)         # four rates each: of those that train the best counts
        eta = optimal_line(gamma, depth, RATE) * np.repeat([0.1, 0.3, 1.0, 3.0], 17)
        yield piece(f"movement-L{depth}", "45", f"MLP of width {scale.wide}, L = {depth}, {data}: movement of the weights",
                    DeepExperiment(deepnets.MLP(inputs, scale.wide, depth, K), task, **wide), gamma, eta, (T,), {"moved": _moved})


def _moved(snapshot: Snapshot) -> np.ndarray:
    """Return ``|W - W_0|`` of every matrix in three norms, (run, norm, parameter)."""
    return np.asarray(deepnets.weight_movement(snapshot.runs).absolute.transpose("run", "norm", "parameter").values)
