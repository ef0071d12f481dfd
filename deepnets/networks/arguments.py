"""Check arguments that several network specifications share: flags, image shapes, odd kernel sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from validation.arguments import Misuse, whole


def flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False; otherwise raise `Misuse`."""
    if not isinstance(value, bool):
        raise Misuse(f"{name} must be True or False, not {value!r}")
    return value


def image_shape(name: str, value: object) -> tuple[int, int, int]:
    """Return (channels, height, width) as a tuple of whole numbers >= 1; otherwise raise `Misuse`."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 3:
        raise Misuse(f"{name} must be (channels, height, width), not {value!r}")
    channels, height, width = (whole(name, n) for n in value)
    return channels, height, width


def odd(name: str, value: Any) -> int:
    """Return `value` if it is an odd whole number >= 1; otherwise raise `Misuse`."""
    if whole(name, value) % 2 == 0:
        raise Misuse(f"{name} must be odd, not {value!r}")
    return int(value)
