"""Read a table of runs from JSON: a list of objects, an object of columns, or one object a line; nested names are joined by dots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from validation.arguments import Misuse
from validation.runs.table import Table


class _Repeated(ValueError):
    """An object has a key twice."""


def read_json(source: str, text: str, needed: Sequence[str]) -> Table:
    """Return the table of a JSON text; numbers stay text until they are needed, so that none overflows unseen.

    Parameters
    ----------
    source : for messages.
    text : the file's.
    needed : names of columns. Of an object of objects, as pandas writes a frame, they show whether its keys are columns or rows.

    Raises
    ------
    Misuse : text that is not JSON, with its line; an object with a key twice; rows that are not objects.
    """
    try:
        return _read(source, text, needed)
    except _Repeated as error:
        raise Misuse(f"{source}: an object has the key {str(error)!r} twice") from None
    except RecursionError:
        raise Misuse(f"{source} is nested too deeply for a table") from None


def _read(source: str, text: str, needed: Sequence[str]) -> Table:
    try:
        whole = _parse(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("["):
            raise Misuse(f"{source}, row {error.lineno}: {error.msg} (column {error.colno})") from None
        return _read_lines(source, text)
    if isinstance(whole, dict) and whole and all(isinstance(part, dict) for part in whole.values()):
        if set(needed) <= whole.keys():
            rows = dict.fromkeys(row for column in whole.values() for row in column)
            columns = {name: [column.get(row) for row in rows] for name, column in whole.items()}
            return Table(source, columns, [f"row {row}" for row in rows])
        if any(name in row for name in needed for row in whole.values()):
            return _collect(source, ((f"row {key!r}", row) for key, row in whole.items()))
    if isinstance(whole, dict):
        flat = _flatten(whole)
        lengths = {len(cells) for cells in flat.values() if isinstance(cells, list)}
        if len(lengths) == 1 and all(isinstance(cells, list) for cells in flat.values()):
            return Table(source, flat, [f"row {i + 1}" for i in range(lengths.pop())])
        if lengths:
            raise Misuse(f"{source} must be a list of objects, one object a line, or an object of columns of one length; "
                         f"its columns have {sorted(lengths)} entries")
        whole = [whole]
    return _collect(source, ((f"row {i + 1}", row) for i, row in enumerate(whole if isinstance(whole, list) else [whole])))


def _read_lines(source: str, text: str) -> Table:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append((f"row {number}", _parse(line)))
        except _Repeated as error:
            raise Misuse(f"{source}, row {number} has the key {str(error)!r} twice") from None
        except json.JSONDecodeError as error:
            raise Misuse(f"{source}, row {number}: {error.msg} (column {error.colno})") from None
    return _collect(source, rows)


def _collect(source: str, rows: Iterable[tuple[str, Any]]) -> Table:
    """Return the table of rows that are objects; a key that a row lacks is an empty cell."""
    found, places = [], []
    for place, row in rows:
        if not isinstance(row, dict):
            raise Misuse(f"{source}, {place} must be an object, with a value for each column, not {row!r}")
        found.append(_flatten(row))
        places.append(place)
    names = dict.fromkeys(name for row in found for name in row)
    return Table(source, {name: [row.get(name) for row in found] for name in names}, places)


def _flatten(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested objects by their joined names."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        parts = _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        if twice := flat.keys() & parts.keys():
            raise _Repeated(min(twice))
        flat |= parts
    return flat


def _parse(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_build, parse_float=str, parse_int=str, parse_constant=str)


def _build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise _Repeated(key)
        built[key] = value
    return built
