"""Generate MNIST-1M in one folder: train, draw, estimate the memory, and load a sheet of samples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.diffusion.sampling import Drawing, check_folder, write_shards
from deepnets.diffusion.training import ProgressDisplay, Training, train
from deepnets.diffusion.training_images import TrainingImages
from deepnets.memory import GB, Living, usable_memory
from deepnets.tasks.mnist1m_files import CLASSES, SIDE, shard_path
from deepnets.tasks.npz_shards import open_member
from validation.arguments import Misuse
from validation.estimates import check_memory

STATE = "denoiser.pt"
ANGLE = 48                  # bytes of a drawing step, whose angles are listed
IMAGE = SIDE**2 + 1         # bytes of an image and its label


def describe_origin(images: TrainingImages, training: Training, drawing: Drawing) -> dict[str, Any]:
    """Return how the generated images are made, as JSON for the index."""
    side = images.side
    upsampling = {} if side == SIDE else {"upsampled": f"drawn with {side} x {side} pixels, interpolated to {SIDE} x {SIDE}"}
    return {"what": f"images of a diffusion model of {images.name}", **upsampling, "originals": images.describe(),
            "training": {"steps": training.steps, **training.describe()}, "drawing": drawing.describe()}


def generate(images: TrainingImages, folder: Path, count: int, training: Training, drawing: Drawing, device: str = "cpu",
             progress: ProgressDisplay = False) -> Path:
    """Train a denoiser on the images, draw `count` new ones into `folder`, and return the path of the index.

    Safe to interrupt: the same call resumes training and drawing.

    Parameters
    ----------
    images, folder, count, training, drawing, device : as of `train` and `deepnets.diffusion.sampling.write_shards`.
    progress : how progress is displayed, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : the folder holds files of other images or settings, or there is not enough memory or disk space.
    """
    origin = describe_origin(images, training, drawing)
    check_folder(folder, count, drawing, origin)
    check_resources(folder, count, training, drawing, images.side, device)
    folder.mkdir(parents=True, exist_ok=True)
    return write_shards(train(images, training, folder / STATE, device, progress), folder, count, drawing, origin, progress)


def estimate_needs(training: Training, drawing: Drawing, side: int) -> tuple[int, int, int]:
    """Return the number of parameters, and the peak memory of training and of drawing in bytes, from a run without data."""
    with torch.device("meta"):
        denoiser = training.build_denoiser(side)
    parameters = sum(p.numel() for p in denoiser.parameters())
    peaks = []
    for n, learnt in ((training.batch_size, True), (drawing.at_once, False)):
        x, phi = torch.empty(n, 1, side, side, device="meta"), torch.empty(n, device="meta")
        y = torch.empty(n, dtype=torch.int64, device="meta")
        with torch.set_grad_enabled(learnt), Living("meta") as living:
            v = denoiser(x, phi, y)
            if learnt:
                nn.functional.mse_loss(v, x).backward()
        peaks.append(living.most + 4 * parameters * (4 if learnt else 1) + 4 * x.nbytes)      # 4: weights, mean, Adam's two; z, x, e, v
    return parameters, peaks[0], peaks[1]


def estimate_time(training: Training, drawing: Drawing, side: int, device: str) -> tuple[float, float]:
    """Return about how many seconds the training takes on a device, and the drawing of one image, from operations counted without data."""
    from torch.utils.flop_counter import FlopCounterMode

    from deepnets.cost import find_machine

    n = 8
    with torch.device("meta"):
        denoiser = training.build_denoiser(side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        denoiser(torch.empty(n, 1, side, side, device="meta"), torch.empty(n, device="meta"),
                 torch.empty(n, dtype=torch.int64, device="meta"))
    image = counter.get_total_flops() / n / find_machine(device).rates["tf32"]
    return 3 * image * training.batch_size * training.steps, image * drawing.steps * (2 if drawing.guidance else 1)


def check_resources(folder: Path, count: int, training: Training, drawing: Drawing, side: int, device: str) -> None:
    """Raise `Misuse` if there is not enough memory on the device or space on the disk."""
    check_memory("drawing_steps", drawing.steps, ANGLE * drawing.steps)
    _, learning, drawn = estimate_needs(training, drawing, side)
    usable = usable_memory(device)
    for what, need, name in (("training", learning, "batch_size"), ("drawing", drawn, "at_once")):
        if need > usable:
            raise Misuse(f"out of memory: {what} needs about {need / GB:.3g} GB, and {usable / GB:.3g} GB are free: a smaller width or "
                         f"{name} needs less")
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    bytes_free = shutil.disk_usage(existing).free + sum(p.stat().st_size for p in folder.glob("mnist1m-*.npz"))
    if count * IMAGE > bytes_free:
        raise Misuse(f"count must be smaller: {count} images take {count * IMAGE / GB:.3g} GB, and {bytes_free / GB:.3g} GB are free "
                     f"at {existing}")


def load_sheet(folder: Path, rows: int = 10) -> np.ndarray:
    """Return images of a folder's first file, bytes (rows, 10, 28, 28), one class in each column; fewer rows if there are no more."""
    x, y = (open_member(shard_path(folder, 0), key).array() for key in ("x", "y"))
    found = [np.flatnonzero(y == label)[:rows] for label in range(CLASSES)]
    rows = min(map(len, found))
    return np.stack([x[chosen[:rows]] for chosen in found], 1)
