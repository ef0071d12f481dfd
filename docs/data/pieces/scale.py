"""The sizes of the campaign: full, for a GPU, and tiny, which runs every piece on two cores in two minutes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from deepnets import tasks
from deepnets.tasks import Task


@dataclass(frozen=True)
class Scale:
    """Sizes of networks, planes and trainings.

    Attributes
    ----------
    images : builds the task of images, which every network but the Transformer learns.
    width, channels, wide : of MLPs, of convolutions and attention, and of the MLPs whose alignment and movement are measured.
    batch, steps, seeds, compile : of trainings.
    gammas, rates, decades, parts : of a plane, points per decade of gamma and of eta, decades of eta on each side of the theory's line,
        and parts into which the plane is cut.
    curvature, gammas_of_curvature, top, probe : steps of the spectra, number of gammas, of eigenvalues and of samples.
    widths, channel_widths, depths, scan, at : whose consistency is compared, rates scanned for the best, and steps of the snapshots;
        None: the defaults of `super_consistency`.
    blocks, patch, stages : of the ViT, and of the ResNet's four stages.
    """

    name: str
    images: Callable[[], Task]
    width: int
    channels: int
    wide: int
    batch: int
    steps: int
    seeds: int
    compile: bool | str
    gammas: int
    rates: int
    decades: float
    parts: int
    curvature: tuple[int, ...]
    gammas_of_curvature: int
    top: int
    probe: int
    widths: tuple[int, ...]
    channel_widths: tuple[int, ...]
    depths: tuple[int, ...]
    scan: tuple[float, ...] | None
    at: tuple[int, ...] | None
    blocks: int
    patch: int
    stages: tuple[int, int, int, int]


def full(path: str | None) -> Scale:
    """Return the sizes for a GPU, with Fashion-MNIST in the usual places or at a path."""
    return Scale("full", lambda: tasks.fashion_mnist(path), width=512, channels=32, wide=1024, batch=256, steps=1000, seeds=3,
                 compile="auto", gammas=4, rates=10, decades=3, parts=4, curvature=(0, 10, 30, 100, 300, 1000), gammas_of_curvature=17,
                 top=20, probe=256, widths=(64, 128, 256, 512, 1024), channel_widths=(8, 16, 32, 64), depths=(2, 4, 8, 16), scan=None,
                 at=None, blocks=3, patch=4, stages=(2, 2, 2, 2))


def tiny(path: str | None) -> Scale:
    """Return the sizes of a quick run of every piece, on scikit-learn's digits; the path is ignored."""
    return Scale("tiny", tasks.digits, width=8, channels=4, wide=8, batch=8, steps=6, seeds=2, compile=False, gammas=1, rates=1, decades=1,
                 parts=2, curvature=(6,), gammas_of_curvature=3, top=1, probe=16, widths=(4, 6, 8, 12), channel_widths=(2, 4, 6, 8),
                 depths=(1, 2, 3, 4), scan=(0.01, 0.1, 1.0, 10.0, 100.0), at=(6,), blocks=1, patch=4, stages=(1, 1, 1, 1))


SCALES: dict[str, Callable[[str | None], Scale]] = {"full": full, "tiny": tiny}


@dataclass(frozen=True)
class Shapes:
    """A task of black images in Fashion-MNIST's shape, for estimates where the files are missing."""

    in_shape: ClassVar[tuple[int, ...]] = (1, 28, 28)
    out_features: ClassVar[int] = 10
    classes: ClassVar[int] = 10

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(size, *self.in_shape), torch.zeros(size, dtype=torch.int64)

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.batch(0, 0, 10_000)

    def describe(self) -> dict[str, Any]:
        return {"name": "fashion_mnist"}
