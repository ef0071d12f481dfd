"""Whether sharpness and the best eta stay over width and depth (Figures 17 to 22, 25 and 26; super-consistency)."""

from __future__ import annotations

import abc  # 6 kB of English and Python, which will do for a tiny scale
from collections.abc import Callable, Iterator
from functools import partial
from pydoc_data import topics  # 0.7 MB of English that comes with every Python
from typing import Any

import numpy as np
import xarray as xr

import deepnets
from deepnets import DeepExperiment
from deepnets.phenomena import super_consistency
from deepnets.tasks import Task
from pieces import estimates
from pieces.piece import Cost, Part, Piece
from pieces.portraits import image
from pieces.scale import Scale

SEEDS = (0, 1, 2)         # an interval wants three
RATES = 9                 # about how many are scanned for the best


def consistency(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield one piece for each network and parametrization, one part each."""
    task = scale.images()
    data, inputs, K = task.describe()["name"].replace("_", "-"), int(np.prod(task.in_shape)), task.out_features
    shape = image(task.in_shape)
    channels, blocks = scale.channel_widths, min(2, scale.blocks)
    text = deepnets.tasks.text(abc.__file__ if scale.name == "tiny" else topics.__file__, context=4 if scale.name == "tiny" else 64)
    families: tuple[tuple[str, str, str, Task, Callable[[int, str], Any], tuple[int, ...], tuple[str, ...]], ...] = (
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
    )
    for name, figure, words, of, network, sizes, parametrizations in families:
        for parametrization in parametrizations:
            yield _piece(f"{name}-width-{parametrization.replace('_', '-')}", figure, f"{words}, {parametrization}, over width", of,
                         partial(_of_size, network, parametrization), sizes, "width", scale, device)
    for parametrization in ("depth_mup", "mup"):
        yield _piece(f"residual-mlp-depth-{parametrization.replace('_', '-')}", "25, 26",
                     f"residual MLP, {data}, {parametrization}, over depth", task,
                     partial(_of_depth, inputs, scale.width, K, parametrization), scale.depths, "blocks", scale, device)


def _of_size(network: Callable[[int, str], Any], parametrization: str, size: int) -> Any:
    return network(size, parametrization)


def _of_depth(inputs: int, width: int, K: int, parametrization: str, blocks: int) -> Any:
    return deepnets.ResidualMLP(inputs, width, blocks, K, parametrization=parametrization)


def _piece(name: str, figure: str, words: str, task: Task, of_size: Callable[[int], Any], sizes: tuple[int, ...], size: str, scale: Scale,
           device: str) -> Piece:
    loss = "cross_entropy" if task.classes is not None else "mse"
    training: dict[str, Any] = {"loss": loss, "steps": scale.steps, "batch_size": scale.batch, "device": device, "seeds": SEEDS,
                                "compile": scale.compile}
    experiments = [DeepExperiment(of_size(n), task, **training) for n in sizes]
    description = {"experiments": [e.describe() for e in experiments], "size": size, "gamma": 1.0, "scan": scale.scan, "at": scale.looks}

    def cost(on: estimates.Machine) -> Cost:
        return estimates.together(*(estimates.training(on, e, RATES + 1, len(SEEDS)) for e in experiments))

    part = Part("all", partial(_measured, of_size, task, sizes, size, scale, training), cost)
    return Piece("g", f"g-{name}", figure, words, description, (part,))


def _measured(of_size: Callable[[int], Any], task: Task, sizes: tuple[int, ...], size: str,
              scale: Scale, training: dict[str, Any]) -> xr.Dataset:
    found = super_consistency(of_size, task, sizes, size, 1.0, scan=scale.scan, at=scale.looks, **training)
    verdicts = found.verdicts
    told = {"verdict": list(verdicts), "measured": ("verdict", [v.measured for v in verdicts.values()]),
            "interval": (("verdict", "end"), [list(v.interval) for v in verdicts.values()]),
            "outcome_of": ("verdict", [v.outcome.value for v in verdicts.values()])}
    return found.curves.assign({k: v for k, v in told.items() if k != "verdict"}).assign_coords(verdict=told["verdict"]).assign_attrs(
        sentence=found.sentence)
