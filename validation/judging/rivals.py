"""List the exponents that a claim has to be separated from: those of neighbouring depths, and half and twice the claim.

The theory's exponents are k/L for a depth L: 2/L and 1/L of eta_max (SGD; SignSGD and Adam), 2 and 1 in the lazy regime. A measurement that
allows both 2/L and 2/(L + 1) supports neither.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import Misuse
from validation.prediction import Prediction

MOST = 0.05            # the largest tolerance of an exponent
FACTORS = 4            # a number k/L with k up to this is taken for an exponent of the theory
DEEPEST, ROUNDED = 64, 16       # the largest L of a number given in full, and of one rounded to three digits


def neighbours(k: int, depth: int) -> set[Fraction]:
    """Return the rivals of k/L: k/(L - 1), k/(L + 1), k/2L and 2k/L."""
    near = {Fraction(k, other) for other in (depth - 1, depth + 1) if other > 0}
    return (near | {Fraction(k, 2 * depth), Fraction(2 * k, depth)}) - {Fraction(k, depth)}


def find_rivals(claim: Any, regime: str | None) -> tuple[Fraction, ...]:
    """Return the rivals of a claim, in increasing order.

    A `Prediction` has its family (`Prediction.family`); a number k/L, or one rounded from it, has the neighbours of k/L, and if k = 1
    also those of 2/2L, which is the same number. Any other number has none.

    Parameters
    ----------
    claim : a number, or a `Prediction`.
    regime : in which a prediction is judged; None: no limit of it, and no rivals.
    """
    if isinstance(claim, Prediction):
        if regime is None:
            return ()
        family = claim.family(regime)
        if family is not None:
            return tuple(sorted(neighbours(*family)))
        try:
            claim = claim.fraction(regime)
        except ValueError:                                               # no law in this regime
            return ()
    exact = read_fraction(float(claim))
    if exact is None:
        return ()
    size = abs(exact)
    found = neighbours(size.numerator, size.denominator)
    if size.numerator == 1:
        found |= neighbours(2, 2 * size.denominator)
    return tuple(sorted(rival if exact > 0 else -rival for rival in found))


def read_fraction(number: float) -> Fraction | None:
    """Return the k/L, k at most 4, that a number is, or is rounded from to three digits (0.222 is 2/9); None if there is none."""
    for deepest, off in ((DEEPEST, 1e-12), (ROUNDED, 6e-4)):
        exact = Fraction(number).limit_denominator(deepest)
        if abs(float(exact) - number) <= off and 0 < abs(exact.numerator) <= FACTORS:
            return exact
    return None


def check_rivals(rivals: Any, claim: float) -> tuple[float | Fraction, ...]:
    """Return a user's rivals as a tuple; `Misuse` if they are not finite numbers, or are the claim itself."""
    if isinstance(rivals, str | bytes):
        raise Misuse(f"rivals must be numbers, not {rivals!r}")
    try:
        found = tuple(rival if isinstance(rival, Fraction) else float(rival) for rival in rivals)
    except (TypeError, ValueError):
        raise Misuse(f"rivals must be numbers, not {rivals!r}") from None
    if not all(np.isfinite(float(rival)) for rival in found):
        raise Misuse(f"rivals must be finite numbers, not {rivals!r}")
    if any(float(rival) == claim for rival in found):
        raise Misuse(f"rivals must differ from the claim, {claim:g}, not {rivals!r}")
    return found


def choose_tolerance(claim: float, rivals: tuple[float | Fraction, ...]) -> float:
    """Return half the gap between a claim and its nearest rival, at most 0.05."""
    return min([MOST, *(abs(float(rival) - claim) / 2 for rival in rivals)])
