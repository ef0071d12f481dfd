"""Cache derived exponents on disk, so that a second process needs no sympy.

Importing sympy and deriving a portrait's exponents takes a second, and the results change only with the theory's source. Each is one
small file of the cache folder (`validation.storage.cache`), below a digest of that source and of sympy's version.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from validation.storage.cache import hash_sources, load_or_make

_LOADED: dict[str, str] = {}       # key -> result, of this process


def load_or_derive(key: str, derive: Callable[[], str]) -> str:
    """Return the result cached under `key`, or derive and cache it.

    Parameters
    ----------
    key : names all that the result depends on, beyond the theory's source; empty: the result is not cached.
    derive : () -> the result as text.
    """
    if not key:
        return derive()
    if key not in _LOADED:
        name = f"theory-{_source_digest()}/{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
        _LOADED[key] = load_or_make(name, derive, lambda path: _load(path, key), lambda result, path: _save(path, key, result))
    return _LOADED[key]


def _load(path: Path, key: str) -> str:
    """Return the result in a file; ValueError where it is not that of `key`, or where its digest is not its own."""
    entry = json.loads(path.read_text())
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str) or entry.get("digest") != _digest(key, entry[key]):
        raise ValueError(f"{path} holds no result of {key}")
    return str(entry[key])


def _save(path: Path, key: str, result: str) -> None:
    path.write_text(json.dumps({key: result, "digest": _digest(key, result)}))


def _digest(key: str, result: str) -> str:
    """Return a digest of an entry: a wrong exponent from a damaged file would change verdicts."""
    return hashlib.sha256(f"{key} {result}".encode()).hexdigest()


@cache
def _source_digest() -> str:
    """Return a digest of the theory's source and of sympy's version."""
    folder = Path(__file__).resolve().parent
    return hash_sources([*folder.glob("*.py"), folder.parent / "models.py", folder.parent / "losses.py"], "sympy")[:16]
