"""Judge whether a fitted exponent, or a bracketed edge, agrees with a claim.

Equivalence and difference are tested together. A claim is SUPPORTED if the data exclude every exponent that differs from it by
more than the tolerance, CONTRADICTED if they exclude every exponent within the tolerance, and UNDECIDED otherwise. SUPPORTED
requires the 90% interval to lie inside the tolerance, which is the same as two one-sided tests at 5% (Schuirmann, J.
Pharmacokinet. Biopharm. 15, 657, 1987). The naive rule "claim inside the interval" supports wrong claims in 28% of cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import Misuse, between
from validation.fitting.powerlaw import fit_straight
from validation.fitting.result import FitOutcome, PowerLawFit, count_points
from validation.judging.grid_density import how_much_denser
from validation.prediction import REGIMES, RHO, STEPS, Prediction

LEAST_GAMMAS, LEAST_UNCENSORED = 4, 3


class VerdictOutcome(StrEnum):
    """Whether the data support a claim."""

    SUPPORTED = "SUPPORTED"
    CONTRADICTED = "CONTRADICTED"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, with its numbers.

    Attributes
    ----------
    outcome : SUPPORTED, CONTRADICTED or UNDECIDED.
    measured : the exponent; of a whole curve, the largest violation of a bracket V in decades.
    interval : its 95% interval; of a whole curve, (V, D): the curve is off by at least V and at most D decades.
    claimed : the claimed exponent; 0 for a whole curve.
    tolerance : how far from the claim still counts as the claim (exponent, or decades).
    sentence : the verdict in one plain line.
    edge, regime : what was judged; regime is "lazy", "rich", or None where the gammas lie on both sides of 1, or the axis is not gamma.
    how_much_denser : for UNDECIDED, the factor by which points per decade, in gamma and eta alike, would have to grow
        for the interval around the same measured value to decide; None where that would not help or is unknown.
    """

    outcome: VerdictOutcome
    measured: float
    interval: tuple[float, float]
    claimed: float
    tolerance: float
    sentence: str
    edge: str = ""
    regime: str | None = None
    how_much_denser: float | None = None


def judge(fit: PowerLawFit, claim: Any, tolerance: float = 0.05) -> Verdict:
    """Judge a fitted exponent against a claim.

    SUPPORTED if the 90% interval lies inside ``claim +- tolerance``; CONTRADICTED if the 95% interval is disjoint from it; UNDECIDED
    otherwise. The verdict is also UNDECIDED with fewer than four gammas, with fewer than three uncensored ones, and if the fit
    is UNDECIDED.

    Parameters
    ----------
    fit : as from `validation.fit`; its exponent and intervals are the verdict's. Where a `Prediction` is claimed, ``fit(curve=claim)``
        is the sharper one: it measures the slope of edge over prediction.
    claim : a number, or a `Prediction`: then the least-squares slope of its log10 eta over the fit's own gammas, at the
        fit's T and rho, so that a finite window is compared with the same finite window.
    tolerance : how far from the claim still counts as the claim; with 0.05, 2/3 and 0.6 cannot be separated (take
        0.03).

    Raises
    ------
    Misuse : a fit or claim of another kind, or a tolerance that is not above zero.
    """
    if not isinstance(fit, PowerLawFit):
        raise Misuse(f"fit must be a PowerLawFit, as from validation.fit, not {type(fit).__name__}")
    tolerance = between("tolerance", tolerance, 0, np.inf)
    claimed, words = _interpret_claim(fit, claim)
    common: dict[str, Any] = {"claimed": claimed, "tolerance": tolerance, "edge": fit.edge, "regime": find_regime(fit.gamma, fit.axis)}
    span = f", {fit.axis} {fit.gamma[0]:.3g} to {fit.gamma[-1]:.3g}" if fit.n else ""
    where = f"{fit.edge or 'exponent'}{span} ({fit.counted}): predicted {words}"
    if isinstance(claim, Prediction):
        where += describe_defaults(fit.steps, fit.rho)
    lacking = _lacking(fit, claimed)
    if lacking:
        return Verdict(VerdictOutcome.UNDECIDED, fit.exponent, fit.interval,
                       sentence=f"{where}: UNDECIDED within {tolerance:g}: {lacking}", **common)
    off = fit.exponent - claimed
    low, high = fit.interval90[0] - claimed, fit.interval90[1] - claimed
    outer = fit.interval[0] - claimed, fit.interval[1] - claimed
    if -tolerance <= low and high <= tolerance:
        outcome = VerdictOutcome.SUPPORTED
    elif outer[0] > tolerance or outer[1] < -tolerance:
        outcome = VerdictOutcome.CONTRADICTED
    else:
        outcome = VerdictOutcome.UNDECIDED
    floor = _allow_floor(fit, claimed, tolerance) if outcome is VerdictOutcome.CONTRADICTED else ""
    if floor:
        outcome = VerdictOutcome.UNDECIDED
    half = 0.5 * (fit.interval[1] - fit.interval[0])
    digits = int(np.clip(1 - np.floor(np.log10(half)), 3, 9)) if 0 < half < np.inf else 3
    if np.isfinite(half) and abs(fit.interval[0] + fit.interval[1] - 2 * fit.exponent) < 0.2 * half:
        measured = f"measured {fit.exponent:.{digits}f} +- {half:.{digits}f} (95%)"
    else:
        measured = (f"measured {fit.exponent:.{digits}f}, "
                    f"{fit.interval[0]:.{digits}f} to {fit.interval[1]:.{digits}f} (95%)")
    sentence, factor = f"{where}, {measured}: {outcome} within {tolerance:g}", None
    sentence += floor
    if outcome is VerdictOutcome.UNDECIDED and not floor:
        factor = None if fit.point else how_much_denser(fit, off, tolerance)
        sentence += ("; a longer window, or the slopes of more seeds, may decide it" if fit.point else
                     "; at this measured value, no grid of reasonable density would decide it" if factor is None
                     else f"; a grid {factor:.2g} times denser in {fit.axis} and eta would decide it")
    return Verdict(outcome, fit.exponent, fit.interval, sentence=sentence, how_much_denser=factor, **common)


def _allow_floor(fit: PowerLawFit, claimed: float, tolerance: float) -> str:
    """Return how a loss that ends on a floor allows the claim; empty if it does not: an unseen floor bends a curve all the same."""
    if fit.floor_law is None:
        return ""
    low, high = fit.floor_law.interval()
    allows = low <= claimed + tolerance and high >= claimed - tolerance
    return f"; with a floor the exponent is {low:.3g} to {high:.3g}, and a floor is not excluded" if allows else ""


def describe_defaults(steps: int | None, rho: float | None) -> str:
    """Return the default T and rho of a prediction in words, where the edges' attributes do not give them; empty if they give both."""
    defaults = [f"T = {STEPS}" if steps is None else "", f"rho = {RHO:g}" if rho is None else ""]
    missing = " and ".join(filter(None, defaults))
    return f" (at the default {missing})" if missing else ""


def _interpret_claim(fit: PowerLawFit, claim: Any) -> tuple[float, str]:
    """Return the claimed exponent, and how to write it."""
    if isinstance(claim, Prediction):
        if fit.axis != "gamma":
            raise Misuse(f"claim must be a number for a fit over {fit.axis}: a Prediction is a function of gamma")
        return _predict_slope(fit, claim)
    try:
        number = float(claim)
    except (TypeError, ValueError, OverflowError):
        raise Misuse(f"claim must be a number or a Prediction, not {claim!r}") from None
    if not np.isfinite(number):
        raise Misuse(f"claim must be a finite number, not {claim!r}")
    exact = Fraction(number).limit_denominator(64)
    return number, str(exact) if abs(float(exact) - number) < 1e-12 else f"{number:.4g}"


def _predict_slope(fit: PowerLawFit, prediction: Prediction) -> tuple[float, str]:
    """Return the prediction's slope over the gammas of a fit, and how to write it; NaN where it predicts nothing at some of them."""
    if fit.n < 2:
        return np.nan, "an exponent"
    curve = prediction.log10(fit.gamma, fit.steps, fit.rho)
    if np.isnan(curve).any():
        return np.nan, "nothing"
    # the exponent that a fit with a logarithm measures is that of what the logarithm leaves
    slope, _ = fit_straight(np.log10(fit.gamma), curve - np.log10(np.abs(np.log(fit.gamma))) if fit.logarithm else curve)
    return slope, f"{slope:.4g}"


def _lacking(fit: PowerLawFit, claimed: float) -> str:
    """Return why the data do not suffice for a verdict; empty if they do."""
    if fit.outcome is not FitOutcome.FITTED:
        return fit.reason
    if fit.n < LEAST_GAMMAS:
        return f"{fit.counted} were fitted; a verdict needs {LEAST_GAMMAS}"
    if fit.n - fit.n_censored < LEAST_UNCENSORED:
        return f"{count_points(fit.n - fit.n_censored, fit.point or fit.axis)} have both bounds; a verdict needs {LEAST_UNCENSORED}"
    return "" if np.isfinite(claimed) else ("nothing is predicted at some gammas of the fit; fit(..., curve=prediction) leaves them out")


def find_regime(gamma: np.ndarray, axis: str = "gamma") -> str | None:
    """Return the regime in which all gammas lie, None if they lie on both sides of 1, or if the axis is not gamma."""
    if axis != "gamma" or gamma.size == 0 or gamma[0] < 1 < gamma[-1]:
        return None
    return REGIMES[0] if gamma[-1] <= 1 else REGIMES[1]
