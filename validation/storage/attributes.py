"""The attributes of a portrait on disk: whose they are, and whether they are as they were written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.experiment import digest, read_description

DIGEST = "attrs_digest"     # the attribute with the digest of the others; older portraits have none


def as_json(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes with arrays and numpy numbers as lists and numbers."""
    def convert(value: Any) -> Any:
        return value.tolist() if isinstance(value, np.ndarray | np.generic) else value

    return {str(k): convert(v) for k, v in attrs.items()}


def add_digest(attrs: Mapping[Any, Any]) -> dict[str, Any]:
    """Return attributes with their digest among them.

    Raises
    ------
    Misuse : they are no JSON, or the description is not that of the experiment's digest.
    """
    attrs = {k: v for k, v in attrs.items() if k != DIGEST}
    check_description("portrait", attrs)
    try:
        return attrs | {DIGEST: _hash(attrs)}
    except (TypeError, ValueError, RecursionError) as error:
        raise Misuse(f"portrait's attributes must be JSON (texts, numbers, lists), but: {error}") from None


def check_attrs(path: Path, attrs: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes read from `path` without their digest.

    Raises
    ------
    Misuse : they were altered after they were written.
    """
    attrs, stored = {k: v for k, v in attrs.items() if k != DIGEST}, attrs.get(DIGEST)
    check_description(f"the portrait at {path}", attrs)
    if stored is not None and stored != (now := _hash(attrs)):
        raise Misuse(f"the portrait at {path} was altered after it was written: its attributes (rho, steps and others) have the digest "
                     f"{now}, and {DIGEST} is {stored!r}; restore them, or measure it again")
    return attrs


def check_description(what: str, attrs: Mapping[str, Any]) -> None:
    """Raise `Misuse` if the description and the digest among the attributes are of two experiments."""
    description, stored = read_description(attrs), attrs.get("digest")
    if description is not None and isinstance(stored, str) and stored != (now := digest(description)):
        raise Misuse(f"{what} has a description and a digest that are of two experiments: the description's digest is {now!r}, and "
                     f"digest is {stored!r}; one of them was altered")


def are_ours(attrs: Mapping[str, Any]) -> bool:
    """Return whether attributes are those of a portrait that a sweep has made: a description with its digest."""
    description = read_description(attrs)
    return description is not None and attrs.get("digest") == digest(description)


def _hash(attrs: Mapping[str, Any]) -> str:
    content = {k: v for k, v in as_json(attrs).items() if k != "coordinates"}       # which xarray writes
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
