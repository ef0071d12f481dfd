"""Pieces b to e: portraits around the theory's lines, one file for each network and seed, cut along gamma."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.theory import plain_depth
from deepnets.titles import LOSSES
from pieces.estimates import Cost, Machine, training_cost
from pieces.piece import Part, Piece
from pieces.scale import Scale
from validation import Plane, sweep


def portraits(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield the portraits, most informative first."""
    task = scale.images()
    K, inputs, shape = task.out_features, int(np.prod(task.in_shape)), image_shape(task.in_shape)
    data = task.describe()["name"].replace("_", "-")

    def network(item: str, name: str, figure: str, what: str, net: Any, seeds: int = scale.seeds, coarser: int = 1,
                **training: Any) -> Iterator[Piece]:
        fields = {"steps": scale.steps, "batch_size": scale.batch, "device": device, "compile": scale.compile} | training
        for seed in range(seeds):
            experiment = DeepExperiment(net, task, seeds=(seed,), **fields)
            yield _piece(item, f"{item}-{name}-seed{seed}", figure, f"{what}, {data}", experiment, scale, coarser)

    def mlp(depth: int, loss: str, figure: str) -> Iterator[Piece]:
        yield from network("b", f"mlp-L{depth}-{loss}", figure, f"MLP of width {scale.width}, L = {depth}, {LOSSES[loss]}",
                           deepnets.MLP(inputs, scale.width, depth, K), loss=loss)

    def cnn(item: str, name: str, figure: str, words: str, **training: Any) -> Iterator[Piece]:
        yield from network(item, f"cnn-{name}", figure, f"CNN of {scale.channels} channels, {words}",
                           deepnets.CNN(shape, scale.channels, out_features=K), **{"seeds": 1, "coarser": 2} | training)

    yield from mlp(3, "mse", "1c, 23")
    yield from mlp(2, "mse", "23")
    yield from mlp(4, "mse", "23")
    yield from cnn("c", "cross-entropy", "1d", "cross-entropy; stands in for CIFAR-5M", loss="cross_entropy", seeds=scale.seeds)
    yield from mlp(3, "cross_entropy", "23")
    yield from cnn("d", "warmup-cosine", "10", "MSE, warm-up and cosine decay", schedule="warmup_cosine")
    yield from cnn("d", "adam", "12", "MSE, Adam", optimizer="adam")
    small: dict[str, Any] = {"seeds": 1, "coarser": 4, "loss": "cross_entropy"}
    vit = deepnets.ViT(shape, scale.channels, out_features=K, patch=scale.patch, blocks=scale.blocks, heads=1)
    yield from network("e", "vit", "14", f"ViT of {scale.blocks} blocks, cross-entropy; stands in for TinyImageNet", vit, **small)
    resnet = deepnets.ResNet(shape, max(4, scale.channels // 4), out_features=K, blocks=scale.stages)
    yield from network("e", "resnet18", "25, 26", f"ResNet, blocks {scale.stages}, cross-entropy; stands in for CIFAR-5M", resnet, **small)


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return a sample's shape as (channels, height, width)."""
    return shape if len(shape) == 3 else (1, *shape[-2:]) if len(shape) == 2 else (1, *2 * (int(np.sqrt(shape[0])),))  # type: ignore


def _piece(item: str, name: str, figure: str, what: str, experiment: DeepExperiment, scale: Scale, coarser: int) -> Piece:
    gamma = np.logspace(-5, 5, 10 * max(1, scale.gammas // coarser) + 1)
    plane = Plane.around(_middle(experiment), gamma, scale.decades, max(1, scale.rates // coarser))
    cut = np.array_split(np.arange(len(gamma)), scale.parts)
    parts = tuple(Part(f"gamma{i}of{len(cut)}", partial(_sweep, experiment, plane, rows), partial(_cost, experiment, plane, len(rows)))
                  for i, rows in enumerate(cut))
    return Piece(item, name, figure, what, {"experiment": experiment.describe(), "plane": plane.digest}, parts, along="gamma")


def _middle(experiment: DeepExperiment) -> Callable[[np.ndarray], np.ndarray]:
    """Return the line between eta_min and eta_max."""
    depth = plain_depth(experiment.network.describe()) or 4
    first_power = experiment.optimizer.name in ("adam", "signsgd")
    lazy = 1.0 if first_power else 1.5 if experiment.loss.name == "cross_entropy" else 2.0
    rich = 1 / depth if first_power else (1 + 2 / depth) / 2
    return lambda gamma: gamma ** np.where(gamma < 1, lazy, rich)


def _sweep(experiment: DeepExperiment, plane: Plane, rows: np.ndarray) -> xr.Dataset:
    return sweep(experiment, Plane(*plane.part(slice(rows[0], rows[-1] + 1), slice(None))))


def _cost(experiment: DeepExperiment, plane: Plane, rows: int, on: Machine) -> Cost:
    return training_cost(on, experiment, rows * plane.shape[1])
