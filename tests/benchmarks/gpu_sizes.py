"""The sizes of the first run on a GPU: full, and tiny for its rehearsal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepnets import CNN, MLP, ResidualCNN, ResidualMLP, ResNet, Transformer, ViT, tasks


@dataclass(frozen=True)
class Sizes:
    """What is trained, and how large.

    Attributes
    ----------
    width, batch, steps : of the planes of MLPs.
    points : of the benchmark's plane, along each axis.
    timed : steps of a timed training.
    small : steps of the small networks that are compared with a CPU.
    product, copied : rows of a timed product of square matrices; numbers of a timed copy.
    runs, channels : of the timed convolutions.
    channels_of_vit, blocks_of_vit, patch, stages : of the timed ViT, and of the timed ResNet, which has as many channels;
        without blocks or stages they are left out, and without both a residual MLP of that width is timed.
    kinds : of small networks that are trained; None: all.
    blocks : parts into which each plane is cut; gammas a decade, rates a decade, decades of gamma on each side and of rates.
    depths : of the planes, in this order.
    seeds : of the planes.
    """

    width: int = 512
    batch: int = 256
    steps: int = 1000
    points: int = 21
    timed: int = 100
    small: int = 30
    product: int = 8192
    copied: int = 2**28
    runs: int = 64
    channels: int = 32
    channels_of_vit: int = 32
    blocks_of_vit: int = 3
    patch: int = 2
    stages: tuple[int, ...] = (2, 2, 2, 2)
    kinds: tuple[str, ...] | None = None
    blocks: int = 16
    gammas: int = 4
    rates: int = 10
    decades: tuple[float, float] = (5, 3)
    depths: tuple[int, ...] = (3, 2, 4)
    seeds: tuple[int, ...] = (0, 1, 2)


FULL = Sizes()
TINY = Sizes(width=8, batch=4, steps=2, points=2, timed=1, small=2, product=8, copied=64, runs=2, channels=2, channels_of_vit=2,
             blocks_of_vit=0, patch=4, stages=(), kinds=("mlp", "residual-mlp"), blocks=2, gammas=1, rates=1, decades=(1, 1),
             depths=(2,), seeds=(0,))
SHAPE = (1, 8, 8)


def list_small_networks() -> dict[str, Any]:
    """Return a small network of each kind, by name."""
    return {"mlp": MLP(64, 8, 3, 10), "mlp-tanh": MLP(64, 8, 2, 10, nonlinearity="tanh"), "cnn": CNN(SHAPE, 4, out_features=10),
            "residual-mlp": ResidualMLP(64, 8, 1, 10), "residual-cnn": ResidualCNN(SHAPE, 2, out_features=10, blocks=1),
            "vit": ViT(SHAPE, 4, out_features=10, patch=4, blocks=1, heads=2), "resnet": ResNet(SHAPE, 2, out_features=10, blocks=(1, 1)),
            "transformer": Transformer(256, 4, 4, blocks=1, heads=2)}


def choose_task(network: Any) -> Any:
    """Return the task of a small network: digits, or text."""
    import abc

    return tasks.text(abc.__file__, context=4) if isinstance(network, Transformer) else tasks.digits()
