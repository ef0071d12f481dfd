"""Pieces f and h: spectra (Figures 3, 33 to 35), alignment, stairs and movement (4, 36, 40 to 45) of runs, one part for each seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.phenomena import Snapshot, measures, watch
from pieces.estimates import Cost, Machine, add_costs, products_cost, training_cost
from pieces.piece import Part, Piece
from pieces.portraits import image_shape
from pieces.scale import Scale

RATE = 10.0               # eta on the line at gamma = 1: on digits a sixth of the lazy eta_crit, and trained where rich
PER_EIGENVALUE = 6        # Lanczos products for each eigenvalue


def curvature(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each of MSE and cross-entropy on an MLP, and a residual network under Depth-muP."""
    task, data, inputs, K = _describe_task(scale)
    mlp = deepnets.MLP(inputs, scale.width, 3, K)
    residual = deepnets.ResidualCNN(image_shape(task.in_shape), scale.channels, out_features=K, blocks=2)
    gamma = np.logspace(-4, 4, scale.gammas_of_curvature)
    observe = {part: _measure_top(part, scale.top) for part in ("hessian", "gauss_newton", "residual")}
    for name, network, loss, figure, words in (("mlp-mse", mlp, "mse", "3, 33", f"MLP of width {scale.width}, L = 3, MSE"),
                                               ("mlp-cross-entropy", mlp, "cross_entropy", "34", "the same with cross-entropy"),
                                               ("residual", residual, "mse", "35", "residual CNN under Depth-muP, MSE")):
        experiment = DeepExperiment(network, task, loss, steps=scale.steps, batch_size=scale.batch, device=device,
                                    compile=scale.compile)
        eta = optimal_line(gamma, 3)
        description = {"experiment": experiment.describe(), "gamma": gamma.tolist(), "eta": eta.tolist(), "at": scale.curvature,
                       "top": scale.top, "probe": scale.probe, "seeds": scale.seeds}
        yield Piece("f", f"f-{name}", figure, f"{words}, {data}", description,
                    _parts(experiment, gamma, eta, scale.curvature, observe, scale, 3 * PER_EIGENVALUE * scale.top))


def phenomena(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each phenomenon and depth."""
    task, data, inputs, K = _describe_task(scale)
    T, early = scale.steps, tuple(sorted({int(t) for t in np.geomspace(1, scale.steps, 12)} | {0}))
    aligned = {"alignment": measures.alignment(), "sharpness": measures.sharpness()}
    training = {"steps": T, "batch_size": scale.batch, "device": device, "compile": scale.compile}

    def piece(name: str, figure: str, words: str, experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...],
              observe: Any, products: int = 0) -> Piece:
        description = {"experiment": experiment.describe(), "gamma": gamma.tolist(), "eta": eta.tolist(), "at": at,
                       "observe": sorted(observe), "seeds": scale.seeds, "probe": scale.probe}
        return Piece("h", f"h-{name}", figure, words, description, _parts(experiment, gamma, eta, at, observe, scale, products))

    for depth in (2, 3, 4):
        network, gamma = deepnets.MLP(inputs, scale.wide, depth, K), np.logspace(-2, 4, 13)
        yield piece(f"alignment-L{depth}", "4, 40, 41", f"MLP of width {scale.wide}, L = {depth}, {data}: alignment, sharpness",
                    DeepExperiment(network, task, **training), gamma, optimal_line(gamma, depth), early, aligned, products=8)
    # a full batch of whitened samples: the singular directions are learned one after the other
    yield piece("stairs", "4", "linear network, teacher of four singular values, full batch", DeepExperiment(
        deepnets.MLP(4, min(scale.wide, 256), 3, 4, nonlinearity="linear"), deepnets.tasks.linear(samples=64),
        **training | {"steps": 2 * T, "batch_size": 64}), np.array([1e-1, 1e4]), np.array([1e-2, 1e3]), (0,), aligned)
    for depth in (2, 3, 4):
        gamma = np.tile(np.logspace(-4, 4, 17), 4)         # four rates each; the best of those that train counts
        eta = optimal_line(gamma, depth) * np.repeat([0.1, 0.3, 1.0, 3.0], 17)
        yield piece(f"movement-L{depth}", "45", f"MLP of width {scale.wide}, L = {depth}, {data}: movement of the weights",
                    DeepExperiment(deepnets.MLP(inputs, scale.wide, depth, K), task, **training), gamma, eta, (T,),
                    {"moved": measure_movement})


def optimal_line(gamma: np.ndarray, depth: int) -> np.ndarray:
    """Return ``RATE gamma**2`` where lazy and ``RATE gamma**(2/L)`` where rich."""
    return RATE * gamma ** np.where(gamma < 1, 2.0, 2 / depth)


def measure_movement(snapshot: Snapshot) -> np.ndarray:
    """Return ``|W - W_0|`` of every matrix in three norms, (run, norm, parameter)."""
    return np.asarray(deepnets.weight_movement(snapshot.runs).absolute.transpose("run", "norm", "parameter").values)


def _describe_task(scale: Scale) -> tuple[Any, str, int, int]:
    """Return the task of images, its name, its number of inputs and of classes."""
    task = scale.images()
    return task, task.describe()["name"].replace("_", "-"), int(np.prod(task.in_shape)), task.out_features


def _measure_top(part: str, count: int) -> Callable[[Snapshot], Any]:
    """Return a function that measures the largest eigenvalues in units of u, each with its residual, (run, 2, k)."""
    def measure(snapshot: Snapshot) -> np.ndarray:
        spectrum = deepnets.spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), snapshot.experiment.loss, count,
                                    part, precision="float64", running=snapshot.running)
        return np.stack([spectrum.eigenvalues.values, spectrum.residuals.values], axis=1)

    return measure


def _parts(experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...],
           observe: Mapping[str, Callable[[Snapshot], Any]], scale: Scale, products: int) -> tuple[Part, ...]:
    """Return one part for each seed; a snapshot takes `products` Hessian products for each run."""
    def measure(seed: int) -> xr.Dataset:
        samples = experiment.task.batch(seed, 0, scale.probe)
        return watch(experiment, gamma.tolist(), eta.tolist(), at, observe, seed, samples).expand_dims(seed=[seed])

    def cost(on: Machine) -> Cost:
        costs = [training_cost(on, experiment, len(gamma))]
        if products:
            costs.append(products_cost(on, experiment, len(gamma), products * len(at), scale.probe))
        return add_costs(*costs)

    return tuple(Part(f"seed{seed}", partial(measure, seed), cost) for seed in range(scale.seeds))
