"""Runs of networks that are made once: a function's result, kept under the digest of all that it depends on."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import xarray as xr

from gallery.files import read, write
from validation.arguments import Misuse

PACKAGES = ("deepnets", "toymodels", "validation")


def kept(measure: Callable[..., xr.Dataset], *arguments: Any, **named: Any) -> xr.Dataset:
    """Return ``measure(*arguments, **named)``, or what it returned before.

    The digest is of the function's source and that of functions of the script and the gallery that it calls, their defaults, the
    arguments as they print, in full, and the sources of the packages. So that nothing else can matter, a function that uses another name
    of its script is refused: numbers are passed as arguments.

    Results are netCDF files in the folder that the environment variable LAZYRICH_CACHE names, else in ~/.cache/lazyrich.
    """
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):        # arrays in full: digits are not rounded, nothing is left out
        parts = [*_sources(measure), repr(arguments), repr(sorted(named.items())), packages()]
    if at := [part for part in parts if " at 0x" in part]:
        raise Misuse(f"an argument of {measure.__name__} prints as a place in memory, which is another every time: {at[0][:200]}")
    name = f"{measure.__name__}-{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()[:16]}.nc"
    path = _folder() / name
    if path.exists():
        return read(path)
    write(measure(*arguments, **named), path)
    return read(path)           # as it comes back, the first time too


def _folder() -> Path:
    given = os.environ.get("LAZYRICH_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "lazyrich"


def _sources(function: Any, seen: tuple[Any, ...] = ()) -> list[str]:
    """Return the source and the defaults of a function, and those of the functions of its script and of the gallery that it calls."""
    if not isinstance(function, FunctionType) or function.__closure__:
        raise Misuse(f"measure must be a function defined at the top of its script, not {function!r}")
    found = [inspect.getsource(function), repr(function.__defaults__), repr(function.__kwdefaults__)]
    for name in sorted(_names(function.__code__)):       # sets of text have another order in every process
        value = inspect.unwrap(function.__globals__.get(name))      # what a cached function caches
        if value is None or isinstance(value, ModuleType | type) or any(value is s for s in (*seen, function)):
            continue
        if isinstance(value, FunctionType) and (value.__module__ == function.__module__ or value.__module__.startswith("gallery.")):
            found += _sources(value, (*seen, function))
        elif not isinstance(value, FunctionType | BuiltinFunctionType):
            raise Misuse(f"{function.__name__} uses {name}, which is no argument of it: what a kept run depends on is passed to it")
    return found


def _names(code: Any) -> set[str]:
    """Return the names that code looks up, that of functions inside it too."""
    inner = (constant for constant in code.co_consts if hasattr(constant, "co_names"))
    return set(code.co_names).union(*map(_names, inner))


@cache
def packages() -> str:
    """Return a digest of the packages' sources and the versions of what they compute with."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        root = Path(inspect.getfile(__import__(package))).parent
        for path in sorted(root.rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest() + " ".join(version(name) for name in ("numpy", "scipy", "torch"))
