"""Read TinyImageNet from its official folder of JPEG files; each is decoded at its first use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepnets.tasks.data_files import Location, candidate_folders, find_file, missing_file, sha256
from deepnets.tasks.image_task import Images, choose_held_out, make_image_task
from validation.arguments import Misuse

CLASSES, SIDE = 200, 64
HOW = ("download and unpack tiny-imagenet-200.zip from cs231n.stanford.edu and give the folder: tiny_imagenet('tiny-imagenet-200')")


def tiny_imagenet(path: Location = None, augment: bool = False) -> Images:
    """Return TinyImageNet: 100000 colour images (3, 64, 64) in 200 classes; 2048 of its 10000 validation images are held out.

    Each JPEG is decoded at its first use, and cached as 12 kB. The lists of classes and labels, and every image's name and size, identify
    the data.

    Parameters
    ----------
    path : the folder of ``wnids.txt``, ``train`` and ``val``; None: the usual folders.
    augment : whether training images are shifted by up to 4 pixels and mirrored at random.

    Raises
    ------
    Misuse : a missing file, or Pillow is not installed; in a batch, a file that is not a JPEG of 64 x 64 pixels.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise Misuse("tiny_imagenet() needs Pillow to decode its images: pip install pillow") from None
    classes = find_file("tiny_imagenet", ["wnids.txt"], candidate_folders("tiny-imagenet-200", path, ["tiny-imagenet-200"]), HOW)
    return make_image_task("tiny_imagenet", _read, str(classes.parent), len(classes.read_text(encoding="utf-8").split()), augment)


@dataclass(frozen=True, eq=False)
class JpegSource:
    """A source of images in JPEG files, with a cache of those decoded before.

    Attributes
    ----------
    content : the checksum that identifies the data.
    training, test : paths of the training files and of the held-out files.
    labels, test_labels : (n,), int64.
    pixels, ready : bytes (n, 3, 64, 64) of the training images, and whether each has been decoded.
    """

    content: str
    training: list[str]
    labels: np.ndarray
    test: list[str]
    test_labels: np.ndarray
    pixels: np.ndarray
    ready: np.ndarray

    @property
    def lengths(self) -> tuple[int, ...]:
        """Training images in the only shard."""
        return (len(self.training),)

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return training images and labels at the indices `chosen`."""
        for i in chosen[~self.ready[chosen]]:
            self.pixels[i] = _decode(self.training[i])
            self.ready[i] = True
        return self.pixels[chosen], self.labels[chosen]

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return held-out images and labels."""
        few = choose_held_out(len(self.test))
        return np.stack([_decode(self.test[i]) for i in few]), self.test_labels[few]


def _decode(path: str) -> np.ndarray:
    """Return an image's bytes, (3, 64, 64); a grey image has three equal channels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise Misuse(f"{path}, of {os.path.getsize(path)} bytes, is truncated or not an image: {error}") from None
    if pixels.shape != (SIDE, SIDE, 3):
        raise Misuse(f"{path} must have {SIDE} x {SIDE} pixels, not {pixels.shape[1]} x {pixels.shape[0]}")
    return pixels.transpose(2, 0, 1)


def _read(root: str) -> JpegSource:
    folder = Path(root)
    kinds = (folder / "wnids.txt").read_text(encoding="utf-8").split()
    annotations = find_file("tiny_imagenet", ["val_annotations.txt"], [folder / "val"], HOW).read_text(encoding="utf-8")
    training, labels, sizes = [], [], []
    for label, kind in enumerate(kinds):
        files = _list_jpegs(folder / "train" / kind / "images")
        training += [path for path, _ in files]
        sizes += [f"{os.path.basename(path)} {size}" for path, size in files]
        labels += [label] * len(files)
    files = _list_jpegs(folder / "val" / "images")
    sizes += [f"{os.path.basename(path)} {size}" for path, size in files]
    test = [path for path, _ in files]
    kind_of = dict(line.split("\t")[:2] for line in annotations.splitlines() if "\t" in line)
    if absent := kind_of.keys() - {os.path.basename(path) for path in test}:
        raise missing_file("tiny_imagenet", min(absent), [folder / "val" / "images"], HOW)
    test_labels = [_find_label(kinds, kind_of, os.path.basename(path), folder) for path in test]
    return JpegSource(sha256("\n".join([*kinds, annotations, *sizes]).encode()), training, np.array(labels), test, np.array(test_labels),
                   np.empty((len(training), 3, SIDE, SIDE), np.uint8), np.zeros(len(training), bool))


def _list_jpegs(folder: Path) -> list[tuple[str, int]]:
    """Return paths and sizes (bytes) of the JPEG files in a folder, sorted."""
    files = []
    if folder.is_dir():
        with os.scandir(folder) as entries:
            files = sorted((e.path, e.stat().st_size) for e in entries if e.name.lower().endswith((".jpeg", ".jpg")))
    if not files:
        raise missing_file("tiny_imagenet", "images (*.JPEG)", [folder], HOW)
    return files


def _find_label(kinds: list[str], kind_of: dict[str, str], name: str, folder: Path) -> int:
    """Return the label of a validation image."""
    if kind_of.get(name) not in kinds:
        raise Misuse(f"{folder / 'val' / 'val_annotations.txt'} gives {name} the class {kind_of.get(name)!r}, which is not one of the "
                     f"{len(kinds)} in wnids.txt")
    return kinds.index(kind_of[name])
