"""Arrays of npz files, mapped where they lie uncompressed, verified against the sums within; knows no dataset. Nothing is unpickled."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from validation.arguments import Misuse

PIECE = 2**24      # bytes summed at a time
LOCAL_HEADER = 30  # bytes of a zip's local header before name and extra field; their lengths are its last four


@dataclass(frozen=True)
class Member:
    """An array of an npz file: where it lies and what it is, read without reading it.

    Attributes
    ----------
    crc : the zip's own CRC-32 of the member.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype
    crc: int

    def array(self) -> np.ndarray:
        """Return the array, read-only and verified: mapped from the file if it is not compressed there, otherwise in memory."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                info = archive.getinfo(f"{self.key}.npy")
                if info.compress_type != zipfile.ZIP_STORED:
                    with archive.open(info) as file:
                        _shape_and_dtype(file, self)
                        raw = file.read()          # to its end, where zipfile compares the sums
                    return np.frombuffer(raw, self.dtype).reshape(self.shape)
            with self.path.open("rb") as file:
                file.seek(info.header_offset + LOCAL_HEADER - 4)
                start = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4)))
                file.seek(start)
                _shape_and_dtype(file, self)
                data = file.tell()
            _verified(self, start, info.file_size)
            return np.memmap(self.path, self.dtype, "r", data, self.shape)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError) as error:
            if isinstance(error, Misuse):
                raise
            raise Misuse(f"array {self.key!r} of {self.path} is truncated or altered: {error}") from None


@lru_cache(maxsize=64)
def _verified(member: Member, start: int, size: int) -> None:
    """Compare a member of `size` bytes from `start` with its sum, once a process."""
    data, crc = np.memmap(member.path, np.uint8, "r", start, (size,)), 0
    for at in range(0, size, PIECE):
        crc = zlib.crc32(data[at:at + PIECE].data, crc)
    if crc != member.crc:
        raise Misuse(f"array {member.key!r} of {member.path} is altered: its CRC-32 is {crc:08x}, and should be {member.crc:08x}")


def member(path: Path, key: str) -> Member:
    """Return what the npz file at `path` holds under `key`.

    Raises
    ------
    Misuse : no npz file (a truncated one has lost its table of contents), no such array, or an array of Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if key not in names:
                raise Misuse(f"{path} must hold an array {key!r}; it holds {', '.join(map(repr, names)) or 'none'}")
            info = archive.getinfo(f"{key}.npy")
            with archive.open(info) as file:
                shape, dtype = _header(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise Misuse(f"{path}, of {path.stat().st_size if path.is_file() else 0} bytes, is truncated or no npz file: {error}") from None
    except ValueError as error:
        if isinstance(error, Misuse):
            raise
        raise Misuse(f"array {key!r} of {path} is no npy array: {error}") from None
    if dtype.hasobject:
        raise Misuse(f"array {key!r} of {path} holds Python objects, which are not read: nothing is unpickled")
    return Member(path, key, shape, dtype, info.CRC)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype that a npy header tells, and leave the file where the data begin."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if fortran and len(shape) > 1:
        raise ValueError("its last index does not run fastest")
    return shape, dtype


def _shape_and_dtype(file: IO[bytes], member: Member) -> None:
    if _header(file) != (member.shape, member.dtype):
        raise Misuse(f"array {member.key!r} of {member.path} has changed since it was first looked at")
