"""The IDX format of MNIST's files: bytes in an array, with a header that tells its shape; knows no dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from validation.misuse import Misuse

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
