"""CIFAR-10 from its binary files, and CIFAR-5M from its npz files; knows no network."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np

from deepnets.tasks.data_files import found, labelled, missing, places, sha256
from deepnets.tasks.image_task import Images, InMemory, images
from deepnets.tasks.npz_shards import Sharded, in_order, shard
from validation.arguments import Misuse

CLASSES, SHAPE = 10, (3, 32, 32)
SHOWN, HELD = [f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin"
RECORD = 1 + 3 * 32 * 32     # bytes: the label, then red, green, blue
RECORDS = 10_000             # in each file
CIFAR10_HOW = ("download cifar-10-binary.tar.gz from www.cs.toronto.edu/~kriz/cifar.html and give it, or the folder of its six .bin files: "
               "cifar10('path')")
CIFAR5M_HOW = ("download cifar5m-part0.npz to cifar5m-part5.npz, or some of them, as github.com/preetum/cifar5m tells, and give their "
               "folder: cifar5m('folder')")
PICKLED = "is CIFAR-10's python version, which is pickled, and nothing is unpickled here"


def cifar10(path: Any = None, augment: bool = False) -> Images:
    """Return CIFAR-10: 50000 colour images (3, 32, 32) of 10 kinds of things; held out are 2048 of its 10000 test images.

    Parameters
    ----------
    path : ``cifar-10-binary.tar.gz``, or the folder of its files; None: the usual places. The files' sizes are verified.
    augment : whether shown images are moved by up to 4 pixels and mirrored at random.

    Raises
    ------
    Misuse : a file that is missing or truncated, or the pickled version.
    """
    folders = places("cifar-10", path, ["cifar-10-batches-bin"])
    if folders[0].is_file():
        return images("cifar10", _cifar10_archive, str(folders[0]), CLASSES, augment)
    for folder in folders:
        if (folder / SHOWN[0]).is_file():
            return images("cifar10", _cifar10_folder, str(folder), CLASSES, augment)
        if (folder / "cifar-10-binary.tar.gz").is_file():
            return images("cifar10", _cifar10_archive, str(folder / "cifar-10-binary.tar.gz"), CLASSES, augment)
    for folder in folders:
        for pickled in ("data_batch_1", "cifar-10-batches-py", "cifar-10-python.tar.gz"):
            if (folder / pickled).exists():
                raise Misuse(f"{folder / pickled} {PICKLED}; {CIFAR10_HOW}")
    raise missing("cifar10", SHOWN[0], folders, CIFAR10_HOW)


def cifar5m(path: Any = None, augment: bool = False) -> Images:
    """Return CIFAR-5M: colour images (3, 32, 32) like CIFAR-10's, drawn by a diffusion model, streamed a file at a time.

    Parameters
    ----------
    path : the folder of ``cifar5m-part0.npz`` and so on; None: the usual places. There may be fewer than six; 2048 images of the last are
        held out. The data are named by the sums that the npz files hold themselves; each array is compared with its own at its first use.
    augment : as of `cifar10`.

    Raises
    ------
    Misuse : no file, or one that is truncated, altered, or holds something else.
    """
    folders = places("cifar5m", path)
    for folder in folders:
        if any(folder.glob("cifar5m-part*.npz")):
            return images("cifar5m", _cifar5m, str(folder), CLASSES, augment)
    raise missing("cifar5m", "cifar5m-part0.npz", folders, CIFAR5M_HOW)


def _cifar5m(folder: str) -> Sharded:
    paths = in_order(list(Path(folder).glob("cifar5m-part*.npz")))
    return Sharded(tuple(shard(p, ("X", "Y"), (32, 32, 3), CLASSES) for p in paths), channels_first)


def channels_first(x: np.ndarray) -> np.ndarray:
    """Return images (n, C, H, W) of (n, H, W, C)."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def _cifar10_folder(folder: str) -> InMemory:
    return _cifar10({name: found("cifar10", [name], [Path(folder)], CIFAR10_HOW).read_bytes() for name in (*SHOWN, HELD)}, folder)


def _cifar10_archive(path: str) -> InMemory:
    files = {}
    try:
        with tarfile.open(path) as archive:
            for entry in archive:
                name = entry.name.rpartition("/")[2]
                if name in (*SHOWN, HELD) and (file := archive.extractfile(entry)) is not None:
                    files[name] = file.read()
                elif name == "data_batch_1":
                    raise Misuse(f"{path} {PICKLED}; {CIFAR10_HOW}")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Misuse(f"{path} is truncated or no tar archive: {error}") from None
    for name in (*SHOWN, HELD):
        if name not in files:
            raise Misuse(f"cifar10 needs {name}, which {path} does not hold; {CIFAR10_HOW}")
    return _cifar10(files, path)


def _cifar10(files: dict[str, bytes], where: str) -> InMemory:
    parts = {}
    for name, data in files.items():
        if len(data) != RECORD * RECORDS:
            raise Misuse(f"{name} of {where} is {'truncated' if len(data) < RECORD * RECORDS else 'too long'}: it has {len(data)} bytes "
                         f"(sha256 {sha256(data)}), and should have {RECORD * RECORDS}")
        table = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
        parts[name] = table[:, 1:].reshape(-1, *SHAPE), labelled(table[:, 0], CLASSES, f"{name} of {where}")
    shown = tuple(np.concatenate([parts[name][i] for name in SHOWN]) for i in range(2))
    content = sha256(" ".join(sha256(files[name]) for name in (*SHOWN, HELD)).encode())
    return InMemory(content, shown, parts[HELD])      # type: ignore[arg-type]
