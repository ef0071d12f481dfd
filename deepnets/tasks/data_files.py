"""Find and read data files, verify their checksums and labels, and report missing or damaged ones."""

from __future__ import annotations

import gzip
import hashlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from validation.arguments import Misuse

Location = str | os.PathLike[str] | None      # of a data set: a folder or a file; None: the usual folders


def candidate_folders(dataset: str, path: Location = None, inside: Sequence[str] = ()) -> list[Path]:
    """Return the folders in which a data set may be, the likeliest first.

    Parameters
    ----------
    dataset : the folder's usual name.
    path : the folder given by the user, then the only one; None: ``$LAZYRICH_DATA``, ``./data`` and ``/usr/share/datasets``, and in each of
        them the folder `dataset`.
    inside : subfolders of each that are searched too, as archives and other packages name them.
    """
    if path is not None:
        if not isinstance(path, str | os.PathLike):
            raise Misuse(f"path must be a folder or a file, not {path!r}")
        roots = [Path(path).expanduser()]
    else:
        stored = os.environ.get("LAZYRICH_DATA")
        roots = [folder for root in (*([Path(stored).expanduser()] if stored else []), Path("data"), Path("/usr/share/datasets"))
                 for folder in (root / dataset, root)]
    return [folder for root in roots for folder in (root, *(root / name for name in inside))]


def find_file(dataset: str, names: Sequence[str], folders: Sequence[Path], how: str) -> Path:
    """Return the first existing file with one of `names` in one of `folders`.

    Raises
    ------
    Misuse : there is none; the message lists the folders and `how` to get the data.
    """
    for folder in folders:
        for name in names:
            if (folder / name).is_file():
                return folder / name
    raise missing_file(dataset, " or ".join(names), folders, how)


def missing_file(dataset: str, what: str, folders: Sequence[Path], how: str) -> Misuse:
    """Return the error that `what` is in none of `folders`, with `how` to get it."""
    return Misuse(f"{dataset} needs {what}, not found in {', '.join(map(str, folders))}; {how}")


def read_file(path: Path) -> bytes:
    """Return a file's bytes, a ``.gz`` file decompressed; raise `Misuse` if it cannot be read completely."""
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Misuse(f"{path} is truncated or altered: its {len(raw)} bytes (sha256 {sha256(raw)}) are not a complete gzip file "
                     f"({error})") from None
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror or error}") from None


def sha256(data: bytes) -> str:
    """Return the SHA-256 checksum of bytes, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Return the SHA-256 checksum of a file as stored, without loading it whole."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, data: bytes, expected: str) -> None:
    """Raise `Misuse` with both checksums if that of `data`, the contents of `path`, is not the `expected` one."""
    has = sha256(data)
    if has != expected:
        raise Misuse(f"{path} is truncated or altered: its contents, {len(data)} bytes, have sha256 {has}, and should have {expected}")


def as_labels(labels: np.ndarray, classes: int, where: str) -> np.ndarray:
    """Return labels as int64 if all are whole numbers from 0 to classes - 1; otherwise raise `Misuse` with the first that is not.

    `where` names the file or array in the message.
    """
    if labels.dtype.kind not in "iu":
        raise Misuse(f"labels of {where} must be whole numbers, not {labels.dtype}")
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise Misuse(f"label {int(labels[wrong[0]])} at index {int(wrong[0])} of {where} is not one of the classes 0..{classes - 1}")
    return labels.astype(np.int64)
