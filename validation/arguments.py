"""Check arguments: raise `Misuse` with one sentence that names the argument, its value and what is allowed.

A run that fails is data (see ``outcome.py``). Exceptions are for misuse alone, raised before any work. The command line exits
with code 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np

from validation.printable import escape_controls, shorten


class Misuse(ValueError):
    """An argument, a file or a dataset that cannot be used; the message says which, and what is allowed, in one line."""

    def __init__(self, *args: object) -> None:
        # a value that was given, or that a file holds, may have several lines, control characters and any length
        super().__init__(*(shorten(escape_controls(re.sub(r"\s*\n\s*", " ", a))) if isinstance(a, str) else a for a in args))


def choose(name: str, value: Any, allowed: Iterable[Any]) -> Any:
    """Return `value` if it is one of `allowed`; otherwise raise `Misuse` naming them all."""
    allowed = list(allowed)
    if not any(value is a or (type(value) is type(a) and value == a) for a in allowed):
        raise Misuse(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def refuse_subclass(name: str, value: Any, kinds: tuple[type, ...], instead: str = "") -> None:
    """Raise `Misuse` if `value` is of a subclass of one of `kinds`, which would be judged as its parent; `instead` is what to do."""
    base = next((kind for kind in kinds if isinstance(value, kind)), None)
    if base is not None and type(value) is not base:
        raise Misuse(f"{name} must be of a built-in class itself, not of {type(value).__name__}, a subclass of {base.__name__}, "
                     f"whose laws are not its own{instead and '; '}{instead}")


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int if it is a whole number from `least` to `most` (None: any); otherwise raise `Misuse`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least or (most is not None and int(value) > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise Misuse(f"{name} must be a whole number {allowed}, not {value!r}")
    return int(value)


def between(name: str, value: Any, low: float, high: float) -> float:
    """Return `value` as a float if ``low < value < high``; otherwise raise `Misuse`."""
    try:
        number = np.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    except OverflowError:       # a whole number beyond all floats
        number = np.nan
    if not low < number < high:
        raise Misuse(f"{name} must be a number between {low:g} and {high:g} (both excluded), not {value!r}")
    return number


def positive(name: str, values: Any) -> np.ndarray:
    """Return `values` as float64 if every one is a finite number above zero; otherwise raise `Misuse`."""
    array = numbers(name, values)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        raise Misuse(f"{name} must be finite and above zero, not {float(array[bad].flat[0])!r}"
                     + (f" (at index {np.argwhere(bad)[0].tolist()})" if array.ndim else ""))
    return array


def axis(name: str, values: Any, ndim: int = 1) -> np.ndarray:
    """Return `values` as float64 if it can be a logarithmic axis: finite, above zero, strictly increasing.

    Parameters
    ----------
    name : the argument's name, for the message.
    values : array-like, shape (n,) or, with `ndim` 2, (m, n): every row is then an axis.
    ndim : the largest number of dimensions allowed, 1 or 2.

    Raises
    ------
    Misuse : anything else, naming the first offending value.
    """
    array = numbers(name, values)
    if not 1 <= array.ndim <= ndim:
        raise Misuse(f"{name} must have {'one dimension' if ndim == 1 else 'one or two dimensions'}, "
                     f"not {array.ndim} (shape {array.shape})")
    if array.size == 0:
        raise Misuse(f"{name} must hold at least one value; it is empty (shape {array.shape})")
    positive(name, array)
    step = np.diff(array, axis=-1)
    if (step <= 0).any():
        where = tuple(np.argwhere(step <= 0)[0])
        after = (*where[:-1], where[-1] + 1)
        raise Misuse(f"{name} must increase strictly, but {float(array[after])!r} follows {float(array[where])!r}")
    return array


def numbers(name: str, values: Any) -> np.ndarray:
    """Return `values` as float64, refusing what is not numbers."""
    if np.ma.is_masked(values):
        raise Misuse(f"{name} must be numbers without a mask (numpy.ma's filled(nan) gives NaN in place of masked ones)")
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "iuf":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise Misuse(f"{name} must be numbers, not {values!r}") from None
