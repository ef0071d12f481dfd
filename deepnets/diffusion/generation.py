"""Making MNIST-1M: what is trained and drawn in one folder, what it needs, and a sheet of samples; puts the rooms together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets.diffusion.sampling import Drawing, check, write
from deepnets.diffusion.training import Shown, Training, train
from deepnets.diffusion.training_images import Originals
from deepnets.memory import GB, Living, room
from deepnets.tasks.mnist1m_files import CLASSES, SIDE, shard_path
from deepnets.tasks.npz_shards import open_member
from validation.arguments import Misuse

STATE = "denoiser.pt"
IMAGE = SIDE**2 + 1         # bytes of an image and its label in a file


def origin(originals: Originals, training: Training, drawing: Drawing) -> dict[str, Any]:
    """Return how images are made, as JSON: the index tells it of them."""
    side = originals.side
    told = {} if side == SIDE else {"upsampled": f"drawn with {side} x {side} pixels, interpolated to {SIDE} x {SIDE}"}
    return {"what": f"images of a diffusion model of {originals.name}", **told, "originals": originals.describe(),
            "training": {"steps": training.steps, **training.describe()}, "drawing": drawing.describe()}


def make(originals: Originals, folder: Path, count: int, training: Training, drawing: Drawing, device: str = "cpu",
         shown: Shown = False) -> Path:
    """Train a denoiser on the originals, draw `count` images of it into `folder`, and return the path of the index.

    Both go on from where they were interrupted.

    Parameters
    ----------
    originals, folder, count, training, drawing, device : see `train` and `deepnets.diffusion.sampling.write`.
    shown : how progress is, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : something of another making lies in the folder, or memory or disk will not do.
    """
    told = origin(originals, training, drawing)
    check(folder, count, drawing, told)
    refuse_too_much(folder, count, training, drawing, originals.side, device)
    folder.mkdir(parents=True, exist_ok=True)
    return write(train(originals, training, folder / STATE, device, shown), folder, count, drawing, told, shown)


def needs(training: Training, drawing: Drawing, side: int) -> tuple[int, int, int]:
    """Return the denoiser's parameters, and the bytes that training and drawing take at their peaks, gone through without numbers."""
    denoiser = training.denoiser(side).to("meta")
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


def refuse_too_much(folder: Path, count: int, training: Training, drawing: Drawing, side: int, device: str) -> None:
    """Raise `Misuse` if the memory of the device or the disk will not do."""
    _, learning, drawn = needs(training, drawing, side)
    usable = room(device)
    for what, need, name in (("training", learning, "batch_size"), ("drawing", drawn, "at_once")):
        if need > usable:
            raise Misuse(f"out of memory: {what} needs about {need / GB:.3g} GB, and {usable / GB:.3g} GB are free: a smaller width or "
                         f"{name} needs less")
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    bytes_free = shutil.disk_usage(there).free + sum(p.stat().st_size for p in folder.glob("mnist1m-*.npz"))
    if count * IMAGE > bytes_free:
        raise Misuse(f"count must be smaller: {count} images take {count * IMAGE / GB:.3g} GB, and {bytes_free / GB:.3g} GB are free "
                     f"at {there}")


def sheet(folder: Path, rows: int = 10) -> np.ndarray:
    """Return images (rows, 10, 28, 28), bytes, of the first file of a folder, one column a class; fewer rows where it holds no more."""
    x, y = (open_member(shard_path(folder, 0), key).array() for key in ("x", "y"))
    found = [np.flatnonzero(y == label)[:rows] for label in range(CLASSES)]
    rows = min(map(len, found))
    return np.stack([x[chosen[:rows]] for chosen in found], 1)
