"""Piece g: whether sharpness and the best rate are consistent over width and depth (Figures 17 to 22, 25, 26; super-consistency)."""

from __future__ import annotations

import abc  # 6 kB of English and Python, enough text for the tiny scale
from collections.abc import Callable, Iterator
from functools import partial
from pydoc_data import topics  # 0.7 MB of English that every Python ships
from typing import Any

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.phenomena import super_consistency
from deepnets.tasks import Task
from pieces.estimates import Cost, Machine, add_costs, training_cost
from pieces.piece import Part, Piece
from pieces.portraits import image_shape
from pieces.scale import Scale

SEEDS = (0, 1, 2)         # an interval needs three
RATES = 9                 # scanned for the best, about


def consistency(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece of one part for each network and parametrization."""
    task = scale.images()
    data, inputs, K = task.describe()["name"].replace("_", "-"), int(np.prod(task.in_shape)), task.out_features
    shape, channels, blocks = image_shape(task.in_shape), scale.channel_widths, min(2, scale.blocks)
    tiny = scale.name == "tiny"
    text = deepnets.tasks.text(abc.__file__ if tiny else topics.__file__, context=4 if tiny else 64)
    families: tuple[tuple[str, str, str, Task, Callable[..., Any], tuple[int, ...], tuple[str, str]], ...] = (
        ("mlp", "17-22", f"MLP, L = 3, {data}", task, lambda n, p: deepnets.MLP(inputs, n, 3, K, parametrization=p), scale.widths,
         ("mup", "ntk")),
        ("residual-cnn", "super-consistency", f"residual CNN, {data}; stands in for CIFAR", task,
         lambda n, p: deepnets.ResidualCNN(shape, n, out_features=K, blocks=blocks, parametrization=p), channels, ("depth_mup", "ntk")),
        ("vit", "super-consistency", f"ViT, {data}; stands in for CIFAR", task,
         lambda n, p: deepnets.ViT(shape, n, out_features=K, patch=scale.patch, blocks=blocks, heads=2, parametrization=p), channels,
         ("depth_mup", "ntk")),
        ("transformer", "super-consistency", "language model of the bytes of Python's manual; stands in for WikiText", text,
         lambda n, p: deepnets.Transformer(256, text.in_shape[0], n, blocks=blocks, heads=2, parametrization=p), channels,
         ("depth_mup", "ntk")),
        ("residual-mlp", "25, 26", f"residual MLP, {data}", task,
         lambda n, p: deepnets.ResidualMLP(inputs, scale.width, n, K, parametrization=p), scale.depths, ("depth_mup", "mup")))
    for name, figure, words, of, network, sizes, parametrizations in families:
        size, over = ("blocks", "depth") if name == "residual-mlp" else ("width", "width")
        for p in parametrizations:
            yield _piece(f"{name}-{over}-{p.replace('_', '-')}", figure, f"{words}, {p}, over {over}", of,
                         partial(_specify, network, p), sizes, size, scale, device)


def _specify(network: Callable[..., Any], parametrization: str, size: int) -> Any:
    return network(size, parametrization)


def _piece(name: str, figure: str, words: str, task: Task, of_size: Callable[[int], Any], sizes: tuple[int, ...], size: str, scale: Scale,
           device: str) -> Piece:
    loss = "cross_entropy" if task.classes is not None else "mse"
    training: dict[str, Any] = {"loss": loss, "steps": scale.steps, "batch_size": scale.batch, "device": device, "seeds": SEEDS,
                                "compile": scale.compile}
    experiments = [DeepExperiment(of_size(n), task, **training) for n in sizes]
    description = {"experiments": [e.describe() for e in experiments], "size": size, "gamma": 1.0, "scan": scale.scan, "at": scale.at}

    def cost(on: Machine) -> Cost:
        return add_costs(*(training_cost(on, e, RATES + 1, len(SEEDS)) for e in experiments))

    def measure() -> xr.Dataset:
        result = super_consistency(of_size, task, sizes, size, 1.0, scan=scale.scan, at=scale.at, **training)
        verdicts = list(result.verdicts.values())
        return result.curves.assign(
            measured=("verdict", [v.measured for v in verdicts]), interval=(("verdict", "end"), [list(v.interval) for v in verdicts]),
            outcome_of=("verdict", [v.outcome.value for v in verdicts])).assign_coords(verdict=list(result.verdicts)).assign_attrs(
            sentence=result.sentence)

    return Piece("g", f"g-{name}", figure, words, description, (Part("all", measure, cost),))
