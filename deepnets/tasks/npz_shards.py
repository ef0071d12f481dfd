"""Read images and labels from shards (npz files), one shard at a time, memory-mapped where they are not compressed.

Arrays are verified against the checksums in the npz file. Nothing is unpickled.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from deepnets.tasks.data_files import as_labels, sha256
from deepnets.tasks.image_task import HELD_OUT, choose_held_out
from validation.arguments import Misuse

PIECE = 2**24      # bytes whose checksum is computed at a time
LOCAL_HEADER = 30  # bytes of a zip's local header before name and extra field; their lengths are its last four


@dataclass(frozen=True)
class Member:
    """An array in an npz file, known by its header; the data are not read before `array` is called.

    Attributes
    ----------
    path, key : of the file, and the array's name in it.
    shape, dtype : of the array.
    crc : its CRC-32 according to the zip archive.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    crc: int

    def array(self) -> np.ndarray:
        """Return the array, read-only and verified: memory-mapped if it is not compressed, otherwise in memory."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(f"{self.key}.npy")
                if info.compress_type != zipfile.ZIP_STORED:
                    with archive.open(info) as file:
                        _check_header(file, self)
                        raw = file.read()          # to the end, where zipfile verifies the checksum
                    return np.frombuffer(raw, self.dtype).reshape(self.shape)
            with self.path.open("rb") as file:
                file.seek(info.header_offset + LOCAL_HEADER - 4)
                start = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4)))
                file.seek(start)
                _check_header(file, self)
                data = file.tell()
            _verify(self, start, info.file_size)
            return np.memmap(self.path, self.dtype, "r", data, self.shape)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError) as error:
            if isinstance(error, Misuse):
                raise
            raise Misuse(f"array {self.key!r} of {self.path} is truncated or altered: {error}") from None


@lru_cache(maxsize=64)
def _verify(member: Member, start: int, size: int) -> None:
    """Verify the checksum of a member of `size` bytes from `start`, once in each process."""
    data, crc = np.memmap(member.path, np.uint8, "r", start, (size,)), 0
    for at in range(0, size, PIECE):
        crc = zlib.crc32(data[at:at + PIECE].data, crc)
    if crc != member.crc:
        raise Misuse(f"array {member.key!r} of {member.path} is altered: its CRC-32 is {crc:08x}, and should be {member.crc:08x}")


def open_member(path: Path, key: str) -> Member:
    """Return the array named `key` in the npz file at `path`; its data are not read.

    Raises
    ------
    Misuse : not an npz file (a truncated one has lost its table of contents), no such array, or an array of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                raise Misuse(f"{path} must hold an array {key!r}; it holds {', '.join(map(repr, names)) or 'none'}")
            info = archive.getinfo(f"{key}.npy")
            with archive.open(info) as file:
                shape, dtype = _read_header(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise Misuse(f"{path}, of {path.stat().st_size if path.is_file() else 0} bytes, is truncated or not an npz file: {error}") from None
    except ValueError as error:
        if isinstance(error, Misuse):
            raise
        raise Misuse(f"array {key!r} of {path} is not an npy array: {error}") from None
    if dtype.hasobject:
        raise Misuse(f"array {key!r} of {path} holds Python objects, which are not read: nothing is unpickled")
    return Member(path, key, shape, dtype, info.CRC)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of a npy header, and leave the file at the start of the data."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if fortran and len(shape) > 1:
        raise ValueError("it is stored in Fortran order")
    return shape, dtype


def _check_header(file: IO[bytes], member: Member) -> None:
    """Raise `Misuse` if the header is not the one that the member was opened with."""
    if _read_header(file) != (member.shape, member.dtype):
        raise Misuse(f"array {member.key!r} of {member.path} has changed since it was opened")


@dataclass(frozen=True)
class Shard:
    """An npz file with images and their labels.

    Attributes
    ----------
    x, y : its arrays.
    classes : number of classes.
    sum : the checksum that identifies the data.
    """

    x: Member
    y: Member
    classes: int
    sum: str

    def __len__(self) -> int:
        """Return the number of images."""
        return self.x.shape[0]


def open_shard(path: Path, keys: tuple[str, str], shape: tuple[int, ...], classes: int) -> Shard:
    """Return the shard in a file, identified by the zip archive's checksums; only its headers are read.

    Parameters
    ----------
    path : of the npz file.
    keys : names of the images, bytes (n, *shape), and of the labels, whole numbers (n,).
    shape : of an image.
    classes : number of classes.
    """
    x, y = (open_member(path, key) for key in keys)
    if x.dtype != np.uint8 or x.shape[1:] != shape or len(x.shape) != len(shape) + 1:
        raise Misuse(f"array {x.key!r} of {path} must be uint8 of shape (n, {', '.join(map(str, shape))}), not {x.dtype} of {x.shape}")
    if y.shape != x.shape[:1] or x.shape[0] < 5:
        raise Misuse(f"array {y.key!r} of {path} must have one label for each of {x.shape[0]} images, at least 5, not shape {y.shape}")
    return Shard(x, y, classes, sha256(f"{x.crc:08x} {y.crc:08x} {x.shape} {y.shape}".encode()))


@dataclass(frozen=True, eq=False)
class ShardedSource:
    """A source of images in shards, opened one after the other; 2048 images (at most a fifth) of the last shard are held out.

    Arrays that are not compressed are memory-mapped, so that only the images of a batch are in memory; of compressed ones a whole shard is.

    Attributes
    ----------
    shards : in the order of their names.
    arrange : from the bytes of a shard (n, ...) to (n, C, H, W).
    """

    shards: tuple[Shard, ...]
    arrange: Callable[[np.ndarray], np.ndarray]

    @property
    def content(self) -> str:
        """The checksum of the shards' checksums."""
        return sha256(" ".join(s.sum for s in self.shards).encode())

    @property
    def lengths(self) -> tuple[int, ...]:
        """Training images in each shard."""
        return (*map(len, self.shards[:-1]), len(_split(len(self.shards[-1]))[0]))

    def rows(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return training images (n, C, H, W) and labels (n,) of a shard, at the indices `chosen`."""
        if shard == len(self.shards) - 1:
            chosen = _split(len(self.shards[-1]))[0][chosen]
        return self._read(shard, chosen)

    def held_out(self) -> tuple[np.ndarray, np.ndarray]:
        """Return held-out images and labels."""
        return self._read(len(self.shards) - 1, _split(len(self.shards[-1]))[1])

    def _read(self, shard: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x, y = _load(self.shards[shard])
        return self.arrange(np.asarray(x[chosen])), y[chosen]


@lru_cache(maxsize=1)
def _load(shard: Shard) -> tuple[np.ndarray, np.ndarray]:
    """Return a shard's arrays, verified; the process caches the last one."""
    return shard.x.array(), as_labels(shard.y.array(), shard.classes, f"{shard.y.key!r} of {shard.y.path}")


@lru_cache(maxsize=2)
def _split(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the training images and of the held-out images in the last shard."""
    test = choose_held_out(length, min(HELD_OUT, length // 5))
    return np.setdiff1d(np.arange(length), test), test


def sort_shards(paths: Sequence[Path]) -> list[Path]:
    """Sort files by the numbers in their names."""
    return sorted(paths, key=lambda path: (len(path.name), path.name))
