"""Pieces a to e: the time of a plane of 21 x 21 networks in each precision, and portraits around the theory's lines.

A portrait is one file for each network and seed, cut along gamma.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.cost import Cost, Machine, estimate_training
from deepnets.parts import Part, Piece
from deepnets.theory import plain_depth
from deepnets.titles import LOSSES
from pieces.scale import Scale
from validation import Plane, sweep


def list_speed(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield the benchmark as one piece, one part for each precision."""
    from tests.benchmarks.network_plane import precisions, size, timed

    of = size(device, scale.tiny)

    def measure(precision: str) -> xr.Dataset:
        row, _ = timed(of, precision, device)
        return xr.Dataset({name: ("precision", [float(value)]) for name, value in row.items()}, {"precision": [precision]},
                          {"steps": of.steps})

    def cost(precision: str, on: Machine) -> Cost:
        operations = of.floor * (of.total if on.kind == "cuda" else of.steps)
        return Cost(operations, operations / on.rates[precision],
                    5 * of.points**2 * 8 * sum(s.shape[0] * s.shape[1] for s in of.network.scalings()))

    what = f"a plane of {of.points} x {of.points} MLPs of width {of.network.width}, on drawn numbers"
    yield Piece("a-plane", {"item": "a", "figure": "", "what": what},
                {"points": of.points, "network": of.network.describe(), "batch": of.batch, "steps": of.total},
                tuple(Part(name, partial(measure, name), partial(cost, name)) for name in precisions(device)), along="precision")


def list_portraits(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield the portraits, most informative first."""
    K, channels, blocks = scale.task.out_features, scale.channels, scale.blocks
    cnn = deepnets.CNN(scale.shape, channels, out_features=K)
    vit = deepnets.ViT(scale.shape, channels, out_features=K, patch=scale.patch, blocks=blocks, heads=1)
    resnet = deepnets.ResNet(scale.shape, max(4, channels // 4), out_features=K, blocks=scale.stages)
    # item, name, figure, what, network, training, seeds, how many times coarser the plane is, parts of at most 20 s on an H200
    of_mlp = [("b", f"mlp-L{depth}-{loss}", figure, f"MLP of width {scale.width}, L = {depth}, {LOSSES[loss]}",
               deepnets.MLP(scale.inputs, scale.width, depth, K), {"loss": loss}, scale.seeds, 1, parts)
              for depth, loss, figure, parts in ((3, "mse", "1c, 23", 5), (2, "mse", "23", 3), (4, "mse", "23", 8),
                                                 (3, "cross_entropy", "23", 5))]
    of_cnn = f"CNN of {channels} channels"
    cross_entropy = {"loss": "cross_entropy"}
    for item, name, figure, what, network, training, seeds, coarser, parts in (
            *of_mlp[:3],
            ("c", "cnn-cross-entropy", "1d", f"{of_cnn}, cross-entropy; stands in for CIFAR-5M", cnn, cross_entropy, scale.seeds, 2,
             11),
            of_mlp[3],
            ("d", "cnn-warmup-cosine", "10", f"{of_cnn}, MSE, warm-up and cosine decay", cnn, {"schedule": "warmup_cosine"}, 1, 2,
             11),
            ("d", "cnn-adam", "12", f"{of_cnn}, MSE, Adam", cnn, {"optimizer": "adam"}, 1, 2, 11),
            ("e", "vit", "14", f"ViT of {blocks} blocks, cross-entropy; stands in for TinyImageNet", vit, cross_entropy, 1, 4,
             11),
            ("e", "resnet18", "25, 26", f"ResNet, blocks {scale.stages}, cross-entropy; stands in for CIFAR-5M", resnet, cross_entropy,
             1, 4, 11)):       # a row of ResNets takes 33 s
        gamma = np.logspace(-5, 5, 10 * max(1, scale.gammas // coarser) + 1)
        for seed in range(seeds):
            experiment = DeepExperiment(network, scale.task, seeds=(seed,), **scale.training(device, **training))
            plane = Plane.around(follow_middle(experiment, gamma), gamma, scale.decades, max(1, scale.rates // coarser))
            yield Piece(f"{item}-{name}-seed{seed}", {"item": item, "figure": figure, "what": f"{what}, {scale.data}"},
                        {"experiment": experiment.describe(), "plane": plane.digest}, split_plane(experiment, plane, scale.parts or parts),
                        "gamma")


def follow_middle(experiment: DeepExperiment, gamma: np.ndarray) -> np.ndarray:
    """Return the rates between eta_min and eta_max."""
    depth = plain_depth(experiment.network.describe()) or 4
    first_power = experiment.optimizer.name in ("adam", "signsgd")
    lazy = 1.0 if first_power else 1.5 if experiment.loss.name == "cross_entropy" else 2.0
    rich = 1 / depth if first_power else (1 + 2 / depth) / 2
    return gamma ** np.where(gamma < 1, lazy, rich)


def split_plane(experiment: DeepExperiment, plane: Plane, parts: int) -> tuple[Part, ...]:
    """Return the sweep of a plane as parts along gamma."""
    def measure(rows: np.ndarray) -> xr.Dataset:
        return sweep(experiment, Plane(*plane.part(slice(rows[0], rows[-1] + 1), slice(None))))

    def cost(rows: np.ndarray, on: Machine) -> Cost:
        return estimate_training(on, experiment, len(rows) * plane.shape[1])

    return tuple(Part(f"gamma{i}of{parts}", partial(measure, rows), partial(cost, rows))
                 for i, rows in enumerate(np.array_split(np.arange(len(plane.gamma)), parts)))
