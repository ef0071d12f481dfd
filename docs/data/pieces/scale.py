"""The sizes at which the campaign is run: full, for a GPU, and tiny, which shows on two cores in two minutes that all of it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepnets import tasks
from deepnets.tasks import Task


@dataclass(frozen=True)
class Scale:
    """Sizes of networks, planes and trainings; `images` makes the images that all networks but the Transformer see.

    Attributes
    ----------
    width, channels : of MLPs, and of convolutions and attention.
    batch, steps, seeds : of trainings.
    gammas, rates : a decade of the plane; `decades` of rates to each side of the line that the theory tells.
    curvature : steps after which Hessians are looked at, `top` eigenvalues on `probe` samples.
    gammas_of_curvature : how many, 1e-4 to 1e4.
    widths, channel_widths, depths : whose consistency is looked at, after `looks` steps; `scan` are the rates among which the best is
        looked for. None: the usual.
    wide : of the MLPs whose alignment and movement are.
    blocks, patch, stages : of the ViT, and of the ResNet's four stages.
    compile : as of `DeepExperiment`.
    """

    name: str
    images: Callable[[], Task]
    width: int
    channels: int
    batch: int
    steps: int
    seeds: int
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
    looks: tuple[int, ...] | None
    wide: int
    blocks: int
    patch: int
    stages: tuple[int, int, int, int]
    compile: bool | str


def full(path: str | None) -> Scale:
    """Return the sizes for a GPU: Fashion-MNIST, in the usual places or at a path."""
    return Scale("full", lambda: tasks.fashion_mnist(path), width=512, channels=32, batch=256, steps=1000, seeds=3, gammas=4, rates=10,
                 decades=3, parts=4, curvature=(0, 10, 30, 100, 300, 1000), gammas_of_curvature=17, top=20, probe=256,
                 widths=(64, 128, 256, 512, 1024), channel_widths=(8, 16, 32, 64), depths=(2, 4, 8, 16), scan=None, looks=None,
                 wide=1024, blocks=3, patch=4, stages=(2, 2, 2, 2), compile="auto")


def tiny(path: str | None) -> Scale:
    """Return the sizes that show that all of it works; digits of scikit-learn, whatever the path."""
    return Scale("tiny", tasks.digits, width=8, channels=4, batch=8, steps=6, seeds=2, gammas=1, rates=1, decades=1, parts=2,
                 curvature=(6,), gammas_of_curvature=3, top=1, probe=16, widths=(4, 6, 8, 12), channel_widths=(2, 4, 6, 8),
                 depths=(1, 2, 3, 4), scan=(0.01, 0.1, 1.0, 10.0, 100.0), looks=(6,), wide=8, blocks=1, patch=4, stages=(1, 1, 1, 1),
                 compile=False)


SCALES: dict[str, Callable[[str | None], Scale]] = {"full": full, "tiny": tiny}
