"""Files of data: where they are looked for, their checksums, and what is said of those missing or spoilt; knows no format."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from validation.arguments import Misuse


def places(dataset: str, path: Any = None, inside: Sequence[str] = ()) -> list[Path]:
    """Return the folders to look in, the likeliest first.

    Parameters
    ----------
    dataset : the folder's usual name.
    path : the folder given by the user, which is then the only one; None: ``$LAZYRICH_DATA``, ``./data`` and ``/usr/share/datasets``,
        themselves and their folder `dataset`.
    inside : folders that others pack the files into, looked for within each.
    """
    if path is not None:
        if not isinstance(path, str | os.PathLike):
            raise Misuse(f"path must be a folder or a file, not {path!r}")
        roots = [Path(path).expanduser()]
    else:
        told = os.environ.get("LAZYRICH_DATA")
        roots = [folder for root in (*([Path(told).expanduser()] if told else []), Path("data"), Path("/usr/share/datasets"))
                 for folder in (root / dataset, root)]
    return [folder for root in roots for folder in (root, *(root / name for name in inside))]


def found(dataset: str, names: Sequence[str], folders: Sequence[Path], how: str) -> Path:
    """Return the first file of any of `names` in any of `folders`, or raise `Misuse`: where it was looked for, `how` to get it."""
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise missing(dataset, " or ".join(names), folders, how)


def missing(dataset: str, what: str, folders: Sequence[Path], how: str) -> Misuse:
    """Return what is raised where `what` is in none of `folders`."""
    return Misuse(f"{dataset} needs {what}, not found in {', '.join(map(str, folders))}; {how}")


def contents(path: Path) -> bytes:
    """Return a file's bytes, those of a ``.gz`` decompressed; `Misuse` where it cannot be read to its end."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Misuse(f"{path} is truncated or altered: its {len(raw)} bytes (sha256 {sha256(raw)}) are no whole gzip file "
                     f"({error})") from None
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror or error}") from None


def sha256(data: bytes) -> str:
    """Return the checksum of bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the checksum of a file as it lies, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verified(path: Path, data: bytes, expected: str) -> bytes:
    """Return `data`, the contents of `path`, if its checksum is the `expected` one; otherwise raise `Misuse` with both."""
    has = sha256(data)
    if has != expected:
        raise Misuse(f"{path} is truncated or altered: its contents, {len(data)} bytes, have sha256 {has}, and should have {expected}")
    return data


def labelled(labels: np.ndarray, classes: int, where: Any) -> np.ndarray:
    """Return labels as int64 if all are whole numbers of 0..classes - 1; otherwise raise `Misuse` with the first that is not."""
    if labels.dtype.kind not in "iu":
        raise Misuse(f"labels of {where} must be whole numbers, not {labels.dtype}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise Misuse(f"label {int(labels[wrong[0]])} at index {int(wrong[0])} of {where} is none of the classes 0..{classes - 1}")
    return labels.astype(np.int64)
