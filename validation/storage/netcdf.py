"""Write and read files of netCDF's classic format, each with a checksum of all its bytes.

The checksum is an attribute, so that every other program reads the file. It is computed with zeros in its own place.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.storage.atomic import replace_path

CHECKSUM = "checksum"
ZEROS = b"0" * 64
# an attribute in the file: its name, padded to four bytes, the number of the type "text", the length 64, the text
NAME = CHECKSUM.encode()
VALUE = re.compile(rb"\x00\x00\x00\x40([0-9a-f]{64})")


def write_netcdf(data: xr.Dataset, path: Path, encoding: Mapping[str, Mapping[str, Any]] | None = None) -> None:
    """Write a dataset as a netCDF file, the whole file or none, in the place of an existing one.

    Raises
    ------
    Misuse : it cannot be written; what was at `path` is untouched.
    """
    with replace_path(path) as draft:
        data.assign_attrs({CHECKSUM: ZEROS.decode()}).to_netcdf(draft, engine="scipy", format="NETCDF3_64BIT", encoding=encoding or {})
        content = draft.read_bytes()
        place = _find_checksum(content)
        assert place is not None
        with draft.open("r+b") as file:
            file.seek(place)
            file.write(_hash(content, place))


def read_netcdf(path: Path) -> xr.Dataset:
    """Return what `write_netcdf` wrote, in memory. A file without a checksum, as older versions wrote it, is not checked.

    Raises
    ------
    Misuse : bytes of the file were altered.
    Exception : it cannot be read; scipy and xarray raise many types of exceptions on other or broken files.
    """
    content = path.read_bytes()
    place = _find_checksum(content)
    if place is not None and content[place:place + 64] != _hash(content, place):
        raise Misuse(f"the file {path} is damaged: its bytes do not have the checksum that was stored with them")
    with xr.open_dataset(io.BytesIO(content), engine="scipy") as opened:
        data = opened.load()
    data.attrs.pop(CHECKSUM, None)
    return data


def is_netcdf(path: Path) -> bool:
    """Return whether a file begins with the mark of netCDF's classic format.

    Raises
    ------
    Misuse : it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(3) == b"CDF"
    except OSError as error:
        raise Misuse(f"{path} cannot be read: {error.strerror or error}") from error


def _find_checksum(content: bytes) -> int | None:
    """Return the place of the checksum in a file, 0 where its attribute is damaged; None where there is no such attribute."""
    name = content.find(NAME + b"\x00\x00\x00\x02\x00\x00\x00\x40")
    value = VALUE.search(content)
    if value is not None:
        return value.start(1)
    return None if name < 0 else 0


def _hash(content: bytes, place: int) -> bytes:
    return hashlib.sha256(content[:place] + ZEROS + content[place + 64:]).hexdigest().encode()
