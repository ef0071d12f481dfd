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

from validation.arguments import Misuse
from validation.provenance import collect_provenance
from validation.storage.atomic import replace_path

P = ParamSpec("P")
FOLDER = Path(__file__).resolve().parent.parent / "data" / "kept"
_measuring = ContextVar("_measuring", default=False)


def keep(measure: Callable[P, xr.Dataset]) -> Callable[P, xr.Dataset]:
    """Return a page's function whose results are read from docs/data/kept, one file for each list of arguments.

    Within `measure_again` (``lazyrich figure NAME --scale measured``) they are measured and the files written, with the seconds that this
    took and their provenance in the attributes. The arguments are part of the file's name by their `repr`, so a page that asks for another
    measurement than the one that is kept is stopped.

    Raises
    ------
    Misuse : there is no file for these arguments; the message names the command that writes it.
    """
    page = Path(inspect.getfile(measure)).stem.removeprefix("plot_")

    @functools.wraps(measure)
    def read(*args: P.args, **kwargs: P.kwargs) -> xr.Dataset:
        given = inspect.signature(measure).bind(*args, **kwargs).arguments
        key = json.dumps({name: repr(value) for name, value in given.items()})
        path = FOLDER / f"{page}-{measure.__name__}-{hashlib.sha256(key.encode()).hexdigest()[:10]}.nc"
        if _measuring.get():
            _write(path, measure, args, kwargs, key)
        elif not path.exists():
            name = page.split("_")[1].lstrip("0") if page.startswith("figure_") else page.replace("_", "-")
            raise Misuse(f"{path.name} is not measured: lazyrich figure {name} --scale measured")
        return xr.load_dataset(path, engine="scipy")

    return read


def _write(path: Path, measure: Callable[..., xr.Dataset], args: Any, kwargs: Any, key: str) -> None:
    start = time.perf_counter()
    data = measure(*args, **kwargs)
    attrs = {"arguments": key, "seconds": round(time.perf_counter() - start, 1)} | collect_provenance()
    path.parent.mkdir(exist_ok=True)
    with replace_path(path) as draft:
        data.assign_attrs(attrs).to_netcdf(draft, engine="scipy")


@contextmanager
def measure_again() -> Iterator[None]:
    """Measure what is kept, and write the files, while a page is run."""
    token = _measuring.set(True)
    try:
        yield
    finally:
        _measuring.reset(token)
