"""Cache the results of a page's runs on disk with joblib."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ParamSpec, TypeVar

from validation.storage.cache import cache_folder, hash_sources

P, T = ParamSpec("P"), TypeVar("T")


def cache_on_disk(measure: Callable[P, T]) -> Callable[P, T]:
    """Return a page's function with its results cached on disk, so that each run is made once.

    A result is reused as long as the arguments, the functions of the page, the gallery's modules, the packages' sources and the versions
    of numpy, scipy and torch are the same. A cached function may use functions and imports of its page but no variables: pass
    numbers as arguments. Results lie in the cache folder (`validation.storage.cache`).
    """
    from joblib import Memory

    page = ast.parse(Path(inspect.getfile(measure)).read_text())
    functions = [ast.dump(node) for node in page.body if isinstance(node, ast.FunctionDef)]
    digest = hashlib.sha256("".join([digest_sources(), *functions]).encode()).hexdigest()[:16]
    return Memory(cache_folder() / f"pages-{digest}", verbose=0).cache(measure)


@cache
def digest_sources() -> str:
    """Return a digest of the packages' sources, the gallery's modules, and the versions of numpy, scipy and torch."""
    packages = [Path(find_spec(name).origin).parent.rglob("*.py") for name in ("deepnets", "toymodels", "validation")]
    return hash_sources([*Path(__file__).parent.glob("*.py"), *(path for paths in packages for path in paths)], "numpy", "scipy", "torch")
