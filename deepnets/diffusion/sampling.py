"""Draw images from a trained denoiser, shard by shard, resuming a folder that is not complete."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.noise import guide, remove_noise
from deepnets.diffusion.training import ProgressDisplay, describe_difference
from deepnets.diffusion.training_images import BLACK, WHITE, as_bytes
from deepnets.precision import arithmetic
from deepnets.run_arguments import MOST_SEED
from deepnets.tasks.mnist1m_files import CLASSES, INDEX, SIDE, shard_path, write_index, write_shard
from deepnets.tasks.npz_shards import open_member
from deepnets.tasks.task import generator, place_like
from validation.arguments import Misuse, numbers, whole
from validation.estimates import MOST_STEPS
from validation.progress import bar
from validation.storage.atomic import publish

FEWEST = 5                          # images in a file, at least, for `deepnets.tasks.mnist_1m`
RECORD = "mnist1m-origin.json"      # how the shards are drawn, written before the first of them
_LABELS, _NOISE = 62, 63            # first words of the keys: independent streams


@dataclass(frozen=True)
class Drawing:
    """How images are drawn.

    Attributes
    ----------
    steps : of DDIM, for each image.
    guidance : >= 0, as of `deepnets.diffusion.noise.guide`.
    seed : of classes and noise.
    shard : images in a file; a file that was interrupted is drawn again.
    at_once : images drawn together; it changes images by rounding alone.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it.
    """

    steps: int = 25
    guidance: float = 0.0
    seed: int = 0
    shard: int = 10_000
    at_once: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "shard", "at_once"):
            whole(name, getattr(self, name), most=MOST_STEPS)
        whole("seed", self.seed, 0, MOST_SEED)
        if not (numbers("guidance", self.guidance).ndim == 0 and 0 <= self.guidance < np.inf):
            raise Misuse(f"guidance must be a number of at least 0, not {self.guidance!r}")

    def describe(self) -> dict[str, Any]:
        """Return the settings as JSON, without `at_once`, which changes images by rounding alone."""
        return {name: value for name, value in asdict(self).items() if name != "at_once"}


def draw_images(denoiser: Denoiser, labels: np.ndarray, drawing: Drawing, source: np.random.Generator | None = None, side: int = SIDE,
                advance: Callable[[int], None] | None = None) -> np.ndarray:
    """Return images of the given classes, bytes (n, side, side).

    Parameters
    ----------
    denoiser : trained, on any device.
    labels : classes (n,).
    drawing : settings.
    source : of the noise, drawn image by image; None: a generator of the drawing's seed.
    side : pixels in a row; the denoiser's images are interpolated to it.
    advance : called with the number of images drawn since the last call.
    """
    source = source or generator(_NOISE, drawing.seed)
    like, own = next(denoiser.parameters()), denoiser.side
    parts = []
    with torch.no_grad(), arithmetic("tf32", like.device):
        for start in range(0, len(labels), drawing.at_once):
            some = torch.from_numpy(np.ascontiguousarray(labels[start:start + drawing.at_once], dtype=np.int64))
            z = place_like(torch.from_numpy(source.standard_normal((len(some), 1, own, own), "float32")), like)
            velocity = guide(denoiser, place_like(some, like), denoiser.classes, float(drawing.guidance))
            parts.append(as_bytes(remove_noise(velocity, z, drawing.steps, (BLACK, WHITE)), side))
            if advance is not None:
                advance(len(some))
    return np.concatenate(parts)


def write_shards(denoiser: Denoiser, folder: Path, count: int, drawing: Drawing, origin: Mapping[str, Any],
                 progress: ProgressDisplay = False) -> Path:
    """Draw `count` images into shards as in `deepnets.tasks.mnist1m_files`, write their index, and return its path.

    Existing shards stay. A shard is a function of the denoiser, the drawing and its number, so that more images may be drawn later.

    Parameters
    ----------
    denoiser, drawing : the trained denoiser and the settings.
    folder, count : of the shards, and the number of images in all.
    origin : how the denoiser was trained and images are drawn, as JSON for the index; it may not change.
    progress : how progress is displayed, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : as of `check_folder`.
    """
    check_folder(folder, count, drawing, origin)
    publish(folder / RECORD, (json.dumps(origin, indent=1) + "\n").encode())
    left = [(number, n) for number, n in _plan_shards(count, drawing.shard) if _count_images(folder, number) != n]
    if left:
        (folder / INDEX).unlink(missing_ok=True)        # a folder without an index is not read: its shards are about to change
    with bar(count, "drawing", "images", progress, count - sum(n for _, n in left)) as advance:
        for number, n in left:
            labels = generator(_LABELS, drawing.seed, number).permutation(np.arange(n) % CLASSES)
            images = draw_images(denoiser, labels, drawing, generator(_NOISE, drawing.seed, number), SIDE, advance)
            write_shard(folder, number, images, labels)
    return write_index(folder, origin)


def check_folder(folder: Path, count: int, drawing: Drawing, origin: Mapping[str, Any]) -> None:
    """Raise `Misuse` if the folder has other shards or more than `count` images, or if the last file would be too small."""
    last = whole("count", count, FEWEST) % drawing.shard
    if 0 < last < FEWEST or drawing.shard < FEWEST:
        raise Misuse(f"count must leave at least {FEWEST} images for the last file, not {count} in files of {drawing.shard}")
    shards = list(folder.glob("mnist1m-*.npz"))
    if not shards:
        return
    try:
        stored = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        raise Misuse(f"{folder} holds shards, but no readable {RECORD} on how they were drawn; choose another folder") from None
    if other := describe_difference(json.loads(json.dumps(origin)), stored):
        raise Misuse(f"{folder} holds shards that were drawn otherwise: {other}; choose another folder")
    wanted = {shard_path(folder, number): n for number, n in _plan_shards(count, drawing.shard)}
    if any(open_member(path, "x").shape[0] > wanted.get(path, 0) for path in shards):
        raise Misuse(f"count must be at least what {folder} holds already, not {count}; choose another folder")


def _plan_shards(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the number of each shard and of its images; the last shard may be smaller."""
    for number, start in enumerate(range(0, count, size)):
        yield number, min(size, count - start)


def _count_images(folder: Path, number: int) -> int:
    """Return the number of images in a shard; 0 if it does not exist."""
    path = shard_path(folder, number)
    return open_member(path, "x").shape[0] if path.exists() else 0
