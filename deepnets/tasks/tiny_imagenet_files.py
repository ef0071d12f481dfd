"""TinyImageNet from its official folder of JPEG files, decoded as they are shown; knows no network."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepnets.tasks.data_files import found, missing, places, sha256
from deepnets.tasks.image_task import Images, chosen_few, images
from validation.arguments import Misuse

CLASSES, SIDE = 200, 64
HOW = ("download and unpack tiny-imagenet-200.zip from cs231n.stanford.edu and give the folder: tiny_imagenet('tiny-imagenet-200')")


def tiny_imagenet(path: Any = None, augment: bool = False) -> Images:
    """Return TinyImageNet: 100000 colour images (3, 64, 64) of 200 kinds of things; held out are 2048 of its 10000 validation images.

    Each JPEG is decoded when it is first shown, and kept by the process as 12 kB; the data are named by the lists of classes and of labels,
    and by every image's name and size.

    Parameters
    ----------
    path : the folder of ``wnids.txt``, ``train`` and ``val``; None: the usual places.
    augment : whether shown images are moved by up to 4 pixels and mirrored at random.

    Raises
    ------
    Misuse : a file that is missing or, when it is its turn, no JPEG of 64 x 64 pixels; Pillow that is not installed.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise Misuse("tiny_imagenet() needs Pillow to decode its images: pip install pillow") from None
    listed = found("tiny_imagenet", ["wnids.txt"], places("tiny-imagenet-200", path, ["tiny-imagenet-200"]), HOW)
    return images("tiny_imagenet", _read, str(listed.parent), len(listed.read_text(encoding="utf-8").split()), augment)


@dataclass(frozen=True, eq=False)
class Decoded:
    """Images by the files that hold them; those once decoded are kept.

    Attributes
    ----------
    shown, held : files.
    labels, held_labels : (n,), int64.
    pixels, ready : (n, 3, 64, 64) bytes, and which of them have been decoded.
    """

    content: str
    shown: list[str]
    labels: np.ndarray
    held: list[str]
    held_labels: np.ndarray
    pixels: np.ndarray
    ready: np.ndarray

    @property
    def lengths(self) -> tuple[int, ...]:
        """The one shard's."""
        return (len(self.shown),)

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels."""
        for i in chosen[~self.ready[chosen]]:
            self.pixels[i] = _decoded(self.shown[i])
            self.ready[i] = True
        return self.pixels[chosen], self.labels[chosen]

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return images and labels that are never shown."""
        few = chosen_few(len(self.held))
        return np.stack([_decoded(self.held[i]) for i in few]), self.held_labels[few]


def _decoded(path: str) -> np.ndarray:
    """Return an image's bytes, (3, 64, 64); a grey one has three equal channels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise Misuse(f"{path}, of {os.path.getsize(path)} bytes, is truncated or no image: {error}") from None
    if pixels.shape != (SIDE, SIDE, 3):
        raise Misuse(f"{path} must be of {SIDE} x {SIDE} pixels, not {pixels.shape[1]} x {pixels.shape[0]}")
    return pixels.transpose(2, 0, 1)


def _read(root: str) -> Decoded:
    folder = Path(root)
    kinds = (folder / "wnids.txt").read_text(encoding="utf-8").split()
    told = found("tiny_imagenet", ["val_annotations.txt"], [folder / "val"], HOW).read_text(encoding="utf-8")
    shown, labels, sizes = [], [], []
    for label, kind in enumerate(kinds):
        there = _listed(folder / "train" / kind / "images")
        shown += [path for path, _ in there]
        sizes += [f"{os.path.basename(path)} {size}" for path, size in there]
        labels += [label] * len(there)
    there = _listed(folder / "val" / "images")
    sizes += [f"{os.path.basename(path)} {size}" for path, size in there]
    held = [path for path, _ in there]
    kind_of = dict(line.split("\t")[:2] for line in told.splitlines() if "\t" in line)
    if absent := kind_of.keys() - {os.path.basename(path) for path in held}:
        raise missing("tiny_imagenet", min(absent), [folder / "val" / "images"], HOW)
    held_labels = [_kind(kinds, kind_of, os.path.basename(path), folder) for path in held]
    return Decoded(sha256("\n".join([*kinds, told, *sizes]).encode()), shown, np.array(labels), held, np.array(held_labels),
                   np.empty((len(shown), 3, SIDE, SIDE), np.uint8), np.zeros(len(shown), bool))


def _listed(folder: Path) -> list[tuple[str, int]]:
    """Return the JPEG files of a folder, in order, with their sizes."""
    there = []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            there = sorted((e.path, e.stat().st_size) for e in entries if e.name.lower().endswith((".jpeg", ".jpg")))
    if not there:
        raise missing("tiny_imagenet", "images (*.JPEG)", [folder], HOW)
    return there


def _kind(kinds: list[str], kind_of: dict[str, str], name: str, folder: Path) -> int:
    """Return the label of a validation image."""
    if kind_of.get(name) not in kinds:
        raise Misuse(f"{folder / 'val' / 'val_annotations.txt'} tells the class {kind_of.get(name)!r} of {name}, which is none of the "
                     f"{len(kinds)} of wnids.txt")
    return kinds.index(kind_of[name])
