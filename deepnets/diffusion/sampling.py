"""Drawing images of a trained denoiser, shard by shard into a folder, going on with what is there; knows no training data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepnets.diffusion.denoiser import Denoiser
from deepnets.diffusion.noise import denoised, guided
from deepnets.diffusion.training import Shown, difference
from deepnets.diffusion.training_images import BLACK, WHITE, as_bytes
from deepnets.precision import arithmetic
from deepnets.tasks.mnist1m_files import CLASSES, INDEX, SIDE, shard_path, write_index, write_shard
from deepnets.tasks.npz_shards import open_member
from deepnets.tasks.task import generator, place_like
from validation.arguments import Misuse, numbers, whole
from validation.progress import bar
from validation.storage.atomic import publish

FEWEST = 5                          # images of a file that `deepnets.tasks.mnist_1m` reads
RECORD = "mnist1m-origin.json"      # how the shards of a folder are drawn, written before the first of them
_LABELS, _NOISE = 62, 63            # first words of the keys: the streams never meet


@dataclass(frozen=True)
class Drawing:
    """How images are drawn.

    Attributes
    ----------
    steps : of DDIM.
    guidance : >= 0, as of `deepnets.diffusion.noise.guided`.
    seed : of classes and noise.
    shard : images of a file; what is interrupted begins its file again.
    at_once : images in memory. Others give the same images up to rounding.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """

    steps: int = 25
    guidance: float = 0.0
    seed: int = 0
    shard: int = 10_000
    at_once: int = 1000

    def __post_init__(self) -> None:
        for name in ("steps", "shard", "at_once"):
            whole(name, getattr(self, name))
        whole("seed", self.seed, 0)
        if not (numbers("guidance", self.guidance).ndim == 0 and 0 <= self.guidance < np.inf):
            raise Misuse(f"guidance must be a number of at least 0, not {self.guidance!r}")

    def describe(self) -> dict[str, Any]:
        """Return the drawing as JSON, without what changes nothing but rounding."""
        return {name: value for name, value in asdict(self).items() if name != "at_once"}


def draw(denoiser: Denoiser, labels: np.ndarray, drawing: Drawing, source: np.random.Generator | None = None, side: int = SIDE,
         advance: Callable[..., Any] | None = None) -> np.ndarray:
    """Return images, bytes (n, side, side), of the classes asked for.

    Parameters
    ----------
    denoiser : trained, on any device.
    labels : classes (n,).
    drawing : how.
    source : of the noise, which is drawn for one image after the other; None: by the drawing's seed.
    side : pixels of a row; where the denoiser's images have others, they are interpolated.
    advance : called with the number of images drawn since the last call.
    """
    source = source or generator(_NOISE, drawing.seed)
    like, own = next(denoiser.parameters()), denoiser.side
    parts = []
    with torch.no_grad(), arithmetic("tf32", like.device):
        for start in range(0, len(labels), drawing.at_once):
            some = torch.from_numpy(np.ascontiguousarray(labels[start:start + drawing.at_once], dtype=np.int64))
            z = place_like(torch.from_numpy(source.standard_normal((len(some), 1, own, own), "float32")), like)
            velocity = guided(denoiser, place_like(some, like), denoiser.classes, float(drawing.guidance))
            parts.append(as_bytes(denoised(velocity, z, drawing.steps, (BLACK, WHITE)), side))
            if advance is not None:
                advance(len(some))
    return np.concatenate(parts)


def write(denoiser: Denoiser, folder: Path, count: int, drawing: Drawing, origin: Mapping[str, Any],
          shown: Shown = False) -> Path:
    """Draw `count` images into shards of `deepnets.tasks.mnist1m_files`, then their index, and return its path; shards there are kept.

    A shard is a function of the denoiser, the drawing and its number. A folder may be given more images later.

    Parameters
    ----------
    denoiser, folder, count, drawing : what is drawn, and where to.
    origin : how the denoiser came about and how it is drawn of, as JSON: it is told in the index, and may not change.
    shown : how progress is, as of `validation.progress.bar`.

    Raises
    ------
    Misuse : as of `check`.
    """
    check(folder, count, drawing, origin)
    publish(folder / RECORD, (json.dumps(origin, indent=1) + "\n").encode())
    left = [(number, n) for number, n in _shards(count, drawing.shard) if _images(folder, number) != n]
    if left:
        (folder / INDEX).unlink(missing_ok=True)        # a folder without one is not read: what it told of is about to change
    with bar(count, "drawing", "images", shown, count - sum(n for _, n in left)) as advance:
        for number, n in left:
            labels = generator(_LABELS, drawing.seed, number).permutation(np.arange(n) % CLASSES)
            write_shard(folder, number, draw(denoiser, labels, drawing, generator(_NOISE, drawing.seed, number), SIDE, advance), labels)
    return write_index(folder, origin)


def check(folder: Path, count: int, drawing: Drawing, origin: Mapping[str, Any]) -> None:
    """Raise `Misuse` if what lies in the folder was drawn otherwise, or is more than asked for, or the last file would be too small."""
    last = whole("count", count, FEWEST) % drawing.shard
    if 0 < last < FEWEST or drawing.shard < FEWEST:
        raise Misuse(f"count must leave at least {FEWEST} images for the last file, not {count} in files of {drawing.shard}")
    there = list(folder.glob("mnist1m-*.npz"))
    if not there:
        return
    try:
        stored = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        raise Misuse(f"{folder} holds shards, and no readable {RECORD} that tells how they were drawn; choose another folder") from None
    if other := difference(json.loads(json.dumps(origin)), stored):
        raise Misuse(f"{folder} holds shards that were drawn otherwise: {other}; choose another folder")
    wanted = {shard_path(folder, number): n for number, n in _shards(count, drawing.shard)}
    if any(open_member(path, "x").shape[0] > wanted.get(path, 0) for path in there):
        raise Misuse(f"count must be at least what {folder} holds already, not {count}; choose another folder")


def _shards(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the number of each shard, and the images in it: the last may be smaller."""
    for number, start in enumerate(range(0, count, size)):
        yield number, min(size, count - start)


def _images(folder: Path, number: int) -> int:
    """Return the number of images in a shard; 0 where there is none."""
    path = shard_path(folder, number)
    return open_member(path, "x").shape[0] if path.exists() else 0
