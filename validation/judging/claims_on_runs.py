"""Claims on the exponents of runs that exist: a number or a theory's, with the exponents from which it has to be separated."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.judging.rivals import DEEPEST, check_rivals, find_rivals

THEORIES = {"mup": Fraction(0), "sp": Fraction(-1), "gamma-lazy": Fraction(2)}
DEEP = re.compile(r"gamma-rich:([0-9]+)")
JUDGED = ("eta_opt", "eta_max")      # the edges on which a claim on runs is one
STEP = Fraction(1, 2)


@dataclass(frozen=True)
class Claim:
    """An exponent that is claimed of the best and of the highest rate that trains.

    Attributes
    ----------
    exponent : of eta ~ x^exponent.
    rivals : from which it has to be separated.
    """

    exponent: float
    rivals: tuple[float | Fraction, ...]


def read_exponent(name: str, text: Any) -> Fraction | float:
    """Return a number, or a fraction that is written as one ("-1/2"), as a fraction where it is a simple one.

    Raises
    ------
    Misuse : neither.
    """
    try:
        value = np.nan if isinstance(text, bool) else float(Fraction(text) if isinstance(text, str) else text)
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        value = np.nan
    if not np.isfinite(value):
        raise Misuse(f"{name} must be a finite number or a fraction such as -1/2, not {text!r}")
    exact = Fraction(value).limit_denominator(DEEPEST)
    return exact if abs(float(exact) - value) < 1e-12 else value


def read_claim(claim: Any, theory: str | None, rivals: Any, axis: str) -> Claim | None:
    """Return the claim that is a number or a theory's, None where neither is given.

    Without rivals, of an exponent of gamma they are those of other depths (`validation.judging.rivals`); of a width, a batch size and
    the like they are 0, no dependence, and the multiples of 1/2 next to the claim, since parametrizations scale rates by roots.

    Raises
    ------
    Misuse : both, no number, no such theory, rivals without a claim.
    """
    if claim is not None and theory is not None:
        raise Misuse("claim must be None where theory is given, which has its own exponent")
    if theory is not None:
        exponent: Fraction | float = _read_theory(theory)
        axis = "gamma" if theory.startswith("gamma") else axis
    elif claim is None:
        if rivals is not None:
            raise Misuse("rivals must be None where nothing is claimed")
        return None
    else:
        exponent = read_exponent("claim", claim)
    if rivals is not None:
        listed = rivals if isinstance(rivals, str | bytes) or not isinstance(rivals, Iterable) else [
            read_exponent("rivals", rival) for rival in rivals]
        return Claim(float(exponent), check_rivals(listed, float(exponent)))
    return Claim(float(exponent), _find_depths(exponent) if axis == "gamma" else _find_roots(exponent))


def _read_theory(theory: str) -> Fraction:
    if isinstance(theory, str) and theory in THEORIES:
        return THEORIES[theory]
    found = DEEP.fullmatch(theory) if isinstance(theory, str) else None
    if found is None or not 1 <= int(found[1]) <= DEEPEST:
        raise Misuse(f"theory must be one of {', '.join(map(repr, THEORIES))} and 'gamma-rich:L' with a depth L from 1 to {DEEPEST}, "
                     f"not {theory!r}")
    return Fraction(2, int(found[1]))


def _find_depths(exponent: Fraction | float) -> tuple[Fraction, ...]:
    return find_rivals(float(exponent), None)


def _find_roots(exponent: Fraction | float) -> tuple[Fraction, ...]:
    """Return 0 and the multiples of 1/2 next to an exponent, without itself."""
    below = STEP * (-(-Fraction(exponent) // STEP) - 1)
    above = STEP * (Fraction(exponent) // STEP + 1)
    return tuple(sorted({below, above, Fraction(0)} - {Fraction(exponent)}))
