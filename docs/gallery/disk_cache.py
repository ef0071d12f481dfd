"""Cache the results of a page's runs on disk with joblib."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import ParamSpec, TypeVar

from validation.storage.cache import cache_folder

PACKAGES = ("deepnets", "toymodels", "validation")
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
    roots = [Path(inspect.getfile(__import__(package))).parent for package in PACKAGES]
    sources = [path for root in roots for path in sorted(root.rglob("*.py"))] + sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256("".join(map(version, ("numpy", "scipy", "torch"))).encode())
    for path in sources:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
