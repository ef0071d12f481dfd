"""Read numbers and names from the cells of a table of runs: a cell that can be read in two ways is refused, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "<na>"})
WRITTEN_OUT = frozenset({"nan", "inf", "infinity"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+")


class Unreadable(ValueError):
    """A cell that is no number; the message says why."""


def is_missing(cell: Any) -> bool:
    """Return whether a cell holds nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def is_foreign(cell: Any) -> bool:
    """Return whether a text has bytes that could not be decoded, which are lone surrogates."""
    return isinstance(cell, str) and not cell.isascii() and any("\udc80" <= c <= "\udcff" for c in cell)


def find_decimal_commas(cells: Iterable[Any]) -> bool:
    """Return whether one text at least has a comma that can only be a decimal one: "0,01" and "1,5", but not "1,024"."""
    texts = (cell.strip() for cell in cells if isinstance(cell, str) and "," in cell)
    return any(_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text) for text in texts)


def read_number(cell: Any, comma: bool = False) -> float | None:
    """Return a cell's number, None if the cell holds nothing; NaN and infinity only where they are written out.

    Parameters
    ----------
    cell : text, a number, None, or the curve of a run over its steps, whose last value counts.
    comma : whether the decimal sign of texts is the comma.

    Raises
    ------
    Unreadable : anything else, among them thousands separators, fractions, units, and numbers beyond float64.
    """
    if isinstance(cell, list):
        return read_number(cell[-1], comma) if cell else None
    if is_missing(cell):
        return None
    if isinstance(cell, bool | np.bool_):
        raise Unreadable("is true or false, not a number")
    if isinstance(cell, Real):
        try:
            return float(cell)
        except OverflowError:
            raise Unreadable("is beyond the largest number that float64 holds") from None
    if not isinstance(cell, str):
        raise Unreadable(f"is of type {type(cell).__name__}, not a number")
    text = cell.strip()
    if text.lstrip("+-").lower() in WRITTEN_OUT and text[:2] not in ("++", "--", "+-", "-+"):
        return float(text)
    if comma and "." in text and "," not in text and _NUMBER.fullmatch(text):
        raise Unreadable("has a decimal point where others have a decimal comma; give decimal='.' or ','")
    if comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        grouped = "," in text and bool(re.fullmatch(r"[+-]?[0-9][0-9.,]*", text))
        raise Unreadable("has a comma that may group thousands or be the decimal sign; write it without, or give decimal=','"
                         if grouped and not comma else "is not a number")
    value = float(text)
    if np.isinf(value):
        raise Unreadable("is beyond the largest number that float64 holds")
    if value == 0 and re.search("[1-9]", re.split("[eE]", text)[0]):
        raise Unreadable("is below the least number that float64 holds")
    return value


def read_name(cell: Any) -> str:
    """Return a seed's or a group's name: text without outer blanks, whole numbers without a decimal point, "" where nothing is given."""
    if is_missing(cell):
        return ""
    if isinstance(cell, Real) and not isinstance(cell, bool | np.bool_) and float(cell).is_integer():
        return str(int(float(cell)))
    return str(cell).strip()
