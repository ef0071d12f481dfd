"""The sizes of the campaign: full, for a GPU, and tiny, which runs every piece on two cores in minutes."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import torch

from deepnets import tasks
from deepnets.tasks import Task


@dataclass(frozen=True)
class Scale:
    """Sizes of networks, planes and trainings; the defaults are those for a GPU.

    Attributes
    ----------
    task, data : the images that every network but the Transformer learns, and their name.
    tiny : whether the benchmark's plane and the text are small ones.
    width, channels, wide : of MLPs, of convolutions and attention, and of the MLPs whose alignment and movement are measured.
    batch, steps, seeds, compile : of trainings.
    gammas, rates, decades, parts : of a plane, points per decade of gamma and of eta, decades of eta on each side of the theory's line,
        and parts into which the plane is cut; None: parts of at most 20 s on an H200, or of one gamma.
    curvature, gammas_of_curvature, top, probe : steps of the spectra, number of gammas, of eigenvalues and of samples.
    widths, channel_widths, depths, scan, at : whose consistency is compared, rates scanned for the best, and steps of the snapshots;
        None: the defaults of `super_consistency`.
    blocks, patch, stages : of the ViT, and of the ResNet's four stages.
    """

    task: Task
    data: str = "fashion-mnist"
    tiny: bool = False
    width: int = 512
    channels: int = 32
    wide: int = 1024
    batch: int = 256
    steps: int = 1000
    seeds: int = 3
    compile: bool | str = "auto"
    gammas: int = 4
    rates: int = 10
    decades: float = 3
    parts: int | None = None
    curvature: tuple[int, ...] = (0, 10, 30, 100, 300, 1000)
    gammas_of_curvature: int = 17
    top: int = 20
    probe: int = 256
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    channel_widths: tuple[int, ...] = (8, 16, 32, 64)
    depths: tuple[int, ...] = (2, 4, 8, 16)
    scan: tuple[float, ...] | None = None
    at: tuple[int, ...] | None = None
    blocks: int = 3
    patch: int = 4
    stages: tuple[int, int, int, int] = (2, 2, 2, 2)

    @property
    def inputs(self) -> int:
        return prod(self.task.in_shape)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: channels, height, width."""
        return self.task.in_shape if len(self.task.in_shape) == 3 else (1, *2 * (isqrt(self.inputs),))      # type: ignore[return-value]

    def training(self, device: str, **more: Any) -> dict[str, Any]:
        """Return the arguments of a `DeepExperiment` that all trainings share, and `more`."""
        return {"steps": self.steps, "batch_size": self.batch, "device": device, "compile": self.compile} | more


def choose_scale(name: str, path: str | None = None, shapes: bool = False) -> Scale:
    """Return the sizes "full", with Fashion-MNIST in the usual places or at a path, or "tiny", with scikit-learn's digits.

    With `shapes`, black images stand in for Fashion-MNIST, for estimates where the files are missing.
    """
    if name == "tiny":
        # more than 1000 parameters, so that curvature is measured by Lanczos' method and not by a matrix, which takes longer
        return Scale(tasks.digits(), "digits", tiny=True, width=16, channels=12, wide=16, batch=8, steps=6, seeds=2, compile=False,
                     gammas=1, rates=1, decades=1, parts=2, curvature=(6,), gammas_of_curvature=3, top=1, probe=16,
                     widths=(16, 18, 20, 24), channel_widths=(10, 12, 14, 16), depths=(1, 2, 3, 4), scan=(0.01, 0.1, 1.0, 10.0, 100.0),
                     at=(6,), blocks=1, stages=(1, 1, 1, 1))
    black = [(torch.zeros(10_000, 1, 28, 28), torch.arange(10_000) % 10)]
    return Scale(tasks.from_loader(black, black) if shapes else tasks.fashion_mnist(path))
