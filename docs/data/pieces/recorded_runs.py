"""Pieces f and h: spectra (Figures 3, 33 to 35), alignment, stairs and movement (4, 36, 40 to 45) of runs, one part for each seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.cost import Cost, Machine, estimate_products, estimate_training
from deepnets.parts import Part, Piece
from deepnets.phenomena import Snapshot, measures, watch
from pieces.scale import Scale

RATE = 10.0               # eta on the line at gamma = 1: on digits a sixth of the lazy eta_crit, and trained where rich
PER_EIGENVALUE = 6        # Lanczos products for each eigenvalue

Observe = Mapping[str, Callable[[Snapshot], Any]]


def list_curvature(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each of MSE and cross-entropy on an MLP, and a residual network under Depth-muP."""
    K = scale.task.out_features
    mlp = deepnets.MLP(scale.inputs, scale.width, 3, K)
    residual = deepnets.ResidualCNN(scale.shape, scale.channels, out_features=K, blocks=2)
    gamma = np.logspace(-4, 4, scale.gammas_of_curvature)
    observe = {part: partial(measure_top, part=part, count=scale.top) for part in ("hessian", "gauss_newton", "residual")}
    for name, network, loss, figure, words in (("mlp-mse", mlp, "mse", "3, 33", f"MLP of width {scale.width}, L = 3, MSE"),
                                               ("mlp-cross-entropy", mlp, "cross_entropy", "34", "the same with cross-entropy"),
                                               ("residual", residual, "mse", "35", "residual CNN under Depth-muP, MSE")):
        experiment = DeepExperiment(network, scale.task, loss, **scale.training(device))
        yield watch_in_parts(f"f-{name}", figure, f"{words}, {scale.data}", experiment, gamma, follow_optimum(gamma, 3),
                             scale.curvature, observe, scale, 3 * PER_EIGENVALUE * scale.top, {"top": scale.top})


def list_phenomena(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each phenomenon and depth."""
    T, early = scale.steps, tuple(sorted({int(t) for t in np.geomspace(1, scale.steps, 12)} | {0}))
    aligned: Observe = {"alignment": measures.alignment(), "sharpness": measures.sharpness()}

    def mlp(depth: int) -> DeepExperiment:
        network = deepnets.MLP(scale.inputs, scale.wide, depth, scale.task.out_features)
        return DeepExperiment(network, scale.task, **scale.training(device))

    def piece(name: str, figure: str, words: str, experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...],
              observe: Observe, products: int = 0) -> Piece:
        return watch_in_parts(f"h-{name}", figure, words, experiment, gamma, eta, at, observe, scale, products,
                              {"observe": sorted(observe)})

    gamma = np.logspace(-2, 4, 13)
    for depth in (2, 3, 4):
        yield piece(f"alignment-L{depth}", "4, 40, 41", f"MLP of width {scale.wide}, L = {depth}, {scale.data}: alignment, sharpness",
                    mlp(depth), gamma, follow_optimum(gamma, depth), early, aligned, products=8)
    # a full batch of whitened samples: the singular directions are learned one after the other
    yield piece("stairs", "4", "linear network, teacher of four singular values, full batch", DeepExperiment(
        deepnets.MLP(4, min(scale.wide, 256), 3, 4, nonlinearity="linear"), deepnets.tasks.linear(samples=64),
        **scale.training(device, steps=2 * T, batch_size=64)), np.array([1e-1, 1e4]), np.array([1e-2, 1e3]), (0,), aligned)
    gamma = np.tile(np.logspace(-4, 4, 17), 4)         # four rates each; the best of those that train counts
    for depth in (2, 3, 4):
        yield piece(f"movement-L{depth}", "45", f"MLP of width {scale.wide}, L = {depth}, {scale.data}: movement of the weights",
                    mlp(depth), gamma, follow_optimum(gamma, depth) * np.repeat([0.1, 0.3, 1.0, 3.0], 17), (T,),
                    {"moved": measure_movement})


def follow_optimum(gamma: np.ndarray, depth: int) -> np.ndarray:
    """Return ``RATE gamma**2`` where lazy and ``RATE gamma**(2/L)`` where rich."""
    return RATE * gamma ** np.where(gamma < 1, 2.0, 2 / depth)


def measure_movement(snapshot: Snapshot) -> np.ndarray:
    """Return ``|W - W_0|`` of every matrix in three norms, (run, norm, parameter)."""
    return np.asarray(deepnets.weight_movement(snapshot.runs).absolute.transpose("run", "norm", "parameter").values)


def measure_top(snapshot: Snapshot, part: str, count: int) -> np.ndarray:
    """Return the largest eigenvalues in units of u, each with its residual, (run, 2, k)."""
    spectrum = deepnets.spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), snapshot.experiment.loss, count,
                                part, precision="float64", running=snapshot.running)
    return np.stack([spectrum.eigenvalues.values, spectrum.residuals.values], axis=1)


def watch_in_parts(name: str, figure: str, words: str, experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...],
                   observe: Observe, scale: Scale, products: int, more: Mapping[str, Any]) -> Piece:
    """Return a piece of one part for each seed; a snapshot takes `products` Hessian products for each run."""
    def measure(seed: int) -> xr.Dataset:
        samples = experiment.task.batch(seed, 0, scale.probe)
        return watch(experiment, gamma.tolist(), eta.tolist(), at, observe, seed, samples).expand_dims(seed=[seed])

    def cost(on: Machine) -> Cost:
        training = estimate_training(on, experiment, len(gamma))
        return training + estimate_products(on, experiment, len(gamma), products * len(at), scale.probe) if products else training

    description = {"experiment": experiment.describe(), "gamma": gamma.tolist(), "eta": eta.tolist(), "at": at, "seeds": scale.seeds,
                   "probe": scale.probe} | more
    return Piece(name, {"item": name[0], "figure": figure, "what": words}, description,
                 tuple(Part(f"seed{s}", partial(measure, s), cost) for s in range(scale.seeds)))
