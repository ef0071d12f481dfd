"""Read a table of runs from a data frame (pandas, polars, ...) or a dict of arrays, none of whose libraries is imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.runs.table import Table


def is_frame(source: Any) -> bool:
    """Return whether a source is a frame or a dict of columns."""
    return isinstance(source, Mapping) or (hasattr(source, "columns") and hasattr(source, "__getitem__"))


def read_frame(source: Any, needed: Sequence[str]) -> Table:
    """Return the table of the columns needed. NaN is an empty cell, as pandas writes it, and so is a masked one; infinity is a value.

    Parameters
    ----------
    source : a frame, or a mapping of names to columns: (run,), or (run, step) for curves, whose last value counts.
    needed : names of columns; others are not read.

    Raises
    ------
    Misuse : columns of different lengths.
    """
    what = "the dict" if isinstance(source, Mapping) else "the frame"
    names = [str(name) for name in (source if isinstance(source, Mapping) else source.columns)]
    repeated = frozenset(name for name, n in Counter(names).items() if n > 1)
    columns: dict[str, Any] = {name: () for name in names}
    lengths = {}
    for name in dict.fromkeys(needed):
        if name in columns and name not in repeated:
            columns[name] = _read_cells(name, source[name])
            lengths[name] = len(columns[name])
    if len(set(lengths.values())) > 1:
        raise Misuse(f"the columns of {what} must have one length, not {', '.join(f'{n} ({name!r})' for name, n in lengths.items())}")
    return Table(what, columns, [f"row {i}" for i in range(next(iter(lengths.values()), 0))], repeated)


def _read_cells(name: str, column: Any) -> list[Any]:
    if isinstance(column, np.ma.MaskedArray):
        cells = column.tolist()                                          # None where masked
    elif isinstance(column, str | bytes) or not hasattr(column, "__len__"):
        raise Misuse(f"the column {name!r} must be a sequence, not {column!r}")
    else:
        cells = column.tolist() if hasattr(column, "tolist") else column.to_list() if hasattr(column, "to_list") else list(column)
    if not isinstance(cells, list):
        raise Misuse(f"the column {name!r} must have one dimension, or two (run, step), not none")
    return [_clear(cell) for cell in cells]


def _clear(cell: Any) -> Any:
    """Return a cell with None for NaN and for pandas' NA, of a curve its last one."""
    if isinstance(cell, list | tuple | np.ndarray):
        return _clear(cell[-1]) if len(cell) else None
    if type(cell).__name__ in ("NAType", "NaTType"):
        return None
    return None if isinstance(cell, float | np.floating) and np.isnan(cell) else cell
