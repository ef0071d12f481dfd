"""Call functions that are compiled when they are first called, their machine code cached on disk (by numba, which this package lacks)."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any

from validation.arguments import Misuse
from validation.storage.atomic import lock
from validation.storage.cache import hash_sources
from validation.user_warnings import warn_user

DAMAGED = (pickle.UnpicklingError, EOFError, OSError, ValueError, LookupError, AttributeError, ImportError)      # of a cache's entry


def cache_machine_code(compile_with: Callable[..., Any]) -> Callable[..., Any]:
    """Return a compiled function whose machine code is cached on disk where numba finds a folder that can be written.

    A damaged cache is thrown away and written anew; where there is no folder for it, every process compiles, with one warning.

    Parameters
    ----------
    compile_with : called with ``cache=True`` or ``cache=False``, it returns numba's dispatcher, or another callable that compiles when it
        is called, with numba's cache as ``_cache`` and the function as ``__wrapped__``. The function itself raises nothing.
    """
    compiled = _compile(compile_with)

    def call(*arguments: Any) -> Any:
        nonlocal compiled
        try:
            return compiled(*arguments)
        except DAMAGED:
            # an entry of the cache cannot be read
            if getattr(compiled, "_cache", None) is None:
                raise
            with suppress(OSError):
                compiled._cache.flush()
            compiled = _compile(compile_with)
            return compiled(*arguments)

    return call


def _compile(compile_with: Callable[..., Any]) -> Any:
    try:
        compiled = compile_with(cache=True)
    except RuntimeError:      # no folder for the cache: a read-only installation and no home
        _warn_of_no_cache()
        return compile_with(cache=False)
    if not hasattr(compiled, "_cache"):     # with NUMBA_DISABLE_JIT the function stays as it is
        raise Misuse("kernels of the toys and networks must be compiled; unset the environment variable NUMBA_DISABLE_JIT")
    _guard(compiled._cache._cache_file)
    _stamp(compiled)
    return compiled


def _stamp(compiled: Any) -> None:
    """Let an entry of the cache hold for one state of the whole package: numba alone would notice changes of the function's own module."""
    file, root = compiled._cache._cache_file, sys.modules[compiled.__wrapped__.__module__.partition(".")[0]].__file__
    file._source_stamp = file._source_stamp, digest_package(Path(root).parent) if root else ""


@cache
def digest_package(folder: Path) -> str:
    """Return a digest of the sources in a package's folder."""
    return hash_sources(folder.rglob("*.py"))


def _guard(file: Any) -> None:
    """Let one process at a time read or write the entries of a function's cache.

    All closures of a function share an index of entries. Two processes that wrote at once could give their entries one name, and one that
    read meanwhile could take another closure's machine code for its own.
    """
    def let_one(call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def call_alone(*arguments: Any) -> Any:
            with lock(Path(file._index_path)):
                return call(*arguments)
        return call_alone

    file.save, file.load = let_one(file.save), let_one(file.load)


@cache
def _warn_of_no_cache() -> None:
    """Warn once in a process."""
    warn_user("numba finds no folder for its cache, so that kernels are compiled in every process; the environment variable "
              "NUMBA_CACHE_DIR names one", RuntimeWarning)
