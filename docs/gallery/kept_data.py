"""Keep the results of runs that take too long for a build of the site, in files of the repository; measure them again on demand."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec

import xarray as xr

from gallery.disk_cache import cache_on_disk
from validation.arguments import Misuse
from validation.provenance import collect_provenance
from validation.storage.atomic import replace_path

P = ParamSpec("P")
FOLDER = Path(__file__).resolve().parent.parent / "data" / "kept"
_scale = ContextVar("_scale", default="small")


def keep(measure: Callable[P, xr.Dataset]) -> Callable[P, xr.Dataset]:
    """Return a page's function whose results are read from docs/data/kept, one file for each list of arguments.

    At the scale "measured" (``lazyrich figure NAME --scale measured``) they are measured and the files written, with the seconds that this
    took and their provenance in the attributes; at the scale "missing" only those that have no file yet, so that an interrupted
    measurement is resumed; at the scale "paper" they are measured, and cached on disk. The arguments are part of the
    file's name as text, so a page that asks for another measurement than the one that is kept is stopped.

    Raises
    ------
    Misuse : there is no file for these arguments; the message names the command that writes it.
    """
    page, cached = Path(inspect.getfile(measure)).stem.removeprefix("plot_"), cache_on_disk(measure)

    @functools.wraps(measure)
    def read(*args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        if _scale.get() == "paper":
            return cached(*args, **kwargs)
        given = inspect.signature(measure).bind(*args, **kwargs).arguments
        key = json.dumps({name: _name(value) for name, value in given.items()})
        path = FOLDER / f"{page}-{measure.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.nc"
        if _scale.get() == "measured" or (_scale.get() == "missing" and not path.exists()):
            _write(path, measure, args, kwargs, key)
        elif not path.exists():
            name = page.split("_")[1].lstrip("0") if page.startswith("figure_") else page.replace("_", "-")
            raise Misuse(f"{path.name} is not measured: lazyrich figure {name} --scale measured")
        return xr.load_dataset(path, engine="scipy")

    return read


def keep_slow(measure: Callable[P, xr.Dataset]) -> Callable[P, xr.Dataset]:
    """Return a page's function: MLPs, which have kernels, are trained while the site is built, and the results of other networks are kept.

    The first argument of the function is a network.
    """
    live, stored = cache_on_disk(measure), keep(measure)

    @functools.wraps(measure)
    def train_or_read(*args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        return (live if type(args[0]).__name__ == "MLP" else stored)(*args, **kwargs)

    return train_or_read


def _name(value: Any) -> str:
    """Return an argument as text: the `repr` with the first ten digits of a number, since processors differ in the last ones."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_name, value))}]"
    return f"{value:.10g}" if isinstance(value, float) else repr(value)


def _write(path: Path, measure: Callable[..., xr.Dataset], args: Any, kwargs: Any, key: str) -> None:
    start = time.perf_counter()
    data = measure(*args, **kwargs)
    attrs = {"arguments": key, "seconds": round(time.perf_counter() - start, 1)} | collect_provenance()
    path.parent.mkdir(exist_ok=True)
    with replace_path(path) as draft:
        data.assign_attrs(attrs).to_netcdf(draft, engine="scipy")


@contextmanager
def set_scale(scale: str) -> Iterator[None]:
    """Read, measure and write, or measure what is kept, while a page is run at a scale."""
    token = _scale.set(scale)
    try:
        yield
    finally:
        _scale.reset(token)
