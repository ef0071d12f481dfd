"""Piece g: whether sharpness and the best rate are consistent over width and depth (Figures 17 to 22, 25, 26; super-consistency)."""

from __future__ import annotations

import abc  # 6 kB of English and Python, enough text for the tiny scale
from collections.abc import Callable, Iterator
from functools import partial
from pydoc_data import topics  # 0.7 MB of English that every Python ships
from typing import Any

import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.cost import Cost, Machine, estimate_training
from deepnets.parts import Part, Piece
from deepnets.phenomena import super_consistency
from deepnets.tasks import Task
from pieces.scale import Scale

SEEDS = (0, 1, 2)         # an interval needs three
RATES = 9                 # scanned for the best, about


def list_consistency(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece of one part for each network and parametrization."""
    task, shape, channels, blocks = scale.task, scale.shape, scale.channel_widths, min(2, scale.blocks)
    K, images = task.out_features, f"{scale.data}; stands in for CIFAR"
    text = deepnets.tasks.text(abc.__file__ if scale.tiny else topics.__file__, context=4 if scale.tiny else 64)
    # name, figure, what, task, a network of size n in the parametrization p, sizes, parametrizations
    for name, figure, what, of, network, sizes, parametrizations in (
            ("mlp-width", "17-22", f"MLP, L = 3, {scale.data}", task,
             lambda n, p: deepnets.MLP(scale.inputs, n, 3, K, parametrization=p), scale.widths, ("mup", "ntk")),
            ("residual-cnn-width", "super-consistency", f"residual CNN, {images}", task,
             lambda n, p: deepnets.ResidualCNN(shape, n, out_features=K, blocks=blocks, parametrization=p), channels, ("depth_mup", "ntk")),
            ("vit-width", "super-consistency", f"ViT, {images}", task,
             lambda n, p: deepnets.ViT(shape, n, out_features=K, patch=scale.patch, blocks=blocks, heads=2, parametrization=p), channels,
             ("depth_mup", "ntk")),
            ("transformer-width", "super-consistency", "language model of the bytes of Python's manual; stands in for WikiText", text,
             lambda n, p: deepnets.Transformer(256, text.in_shape[0], n, blocks=blocks, heads=2, parametrization=p), channels,
             ("depth_mup", "ntk")),
            ("residual-mlp-depth", "25, 26", f"residual MLP, {scale.data}", task,
             lambda n, p: deepnets.ResidualMLP(scale.inputs, scale.width, n, K, parametrization=p), scale.depths, ("depth_mup", "mup"))):
        for p in parametrizations:
            yield compare_sizes(f"g-{name}-{p.replace('_', '-')}", figure, f"{what}, {p}, over {name.rpartition('-')[2]}", of,
                                partial(network, p=p), sizes, scale, device)


def compare_sizes(name: str, figure: str, what: str, task: Task, build: Callable[[int], Any], sizes: tuple[int, ...], scale: Scale,
                  device: str) -> Piece:
    """Return the piece that compares networks of several sizes at gamma = 1."""
    size = "blocks" if "over depth" in what else "width"
    training = scale.training(device, loss="mse" if task.classes is None else "cross_entropy", seeds=SEEDS)
    experiments = [DeepExperiment(build(n), task, **training) for n in sizes]

    def cost(on: Machine) -> Cost:
        return sum((estimate_training(on, e, RATES + 1, len(SEEDS)) for e in experiments), Cost(0, 0, 0))

    def measure() -> xr.Dataset:
        result = super_consistency(build, task, sizes, size, 1.0, scan=scale.scan, at=scale.at, **training)
        verdicts = list(result.verdicts.values())
        return result.curves.assign(
            measured=("verdict", [v.measured for v in verdicts]), interval=(("verdict", "end"), [list(v.interval) for v in verdicts]),
            outcome_of=("verdict", [v.outcome.value for v in verdicts])).assign_coords(verdict=list(result.verdicts)).assign_attrs(
            sentence=result.sentence)

    description = {"experiments": [e.describe() for e in experiments], "size": size, "gamma": 1.0, "scan": scale.scan, "at": scale.at}
    return Piece(name, {"item": "g", "figure": figure, "what": what}, description, (Part("all", measure, cost),))
