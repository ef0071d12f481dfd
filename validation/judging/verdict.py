"""Judge whether a fitted exponent, or a bracketed edge, agrees with a claim.

Equivalence and difference are tested together. A claim is SUPPORTED if the data exclude every exponent that differs from it by
more than the tolerance, CONTRADICTED if they exclude every exponent within the tolerance, and UNDECIDED otherwise. SUPPORTED
requires the 90% interval to lie inside the tolerance, which is the same as two one-sided tests at 5% (Schuirmann, J.
Pharmacokinet. Biopharm. 15, 657, 1987). The naive rule "claim inside the interval" supports wrong claims in 28% of cases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import Misuse, between
from validation.fitting.brackets import Rows
from validation.fitting.powerlaw import fit_rows
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit
from validation.judging.grid_density import how_much_denser
from validation.prediction import REGIMES, Prediction

LEAST_GAMMAS, LEAST_UNCENSORED = 4, 3
STEPS, RHO = 1000, 0.01      # for a Prediction, where the edges do not give them


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
    edge, regime : what was judged; regime is "lazy", "rich", or None where the gammas lie on both sides of 1.
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
    fit : as from `validation.fit`.
    claim : a number, or a `Prediction`: then the least-squares slope of its log10 eta over the fit's own gammas, at the
        fit's T and rho, so that a finite window is compared with the same finite window. Gammas at which nothing is
        predicted are left out of both.
    tolerance : how far from the claim still counts as the claim; with 0.05, 2/3 and 0.6 cannot be separated (take
        0.03).

    Raises
    ------
    Misuse : a fit or claim of another kind, or a tolerance that is not above zero.
    """
    if not isinstance(fit, PowerLawFit):
        raise Misuse(f"fit must be a PowerLawFit, as from validation.fit, not {type(fit).__name__}")
    tolerance = between("tolerance", tolerance, 0, np.inf)
    fit, claimed, words = _interpret_claim(fit, claim)
    common: dict[str, Any] = {"claimed": claimed, "tolerance": tolerance, "edge": fit.edge, "regime": find_regime(fit.gamma)}
    span = f", gamma {fit.gamma[0]:.3g} to {fit.gamma[-1]:.3g}" if fit.n else ""
    where = f"{fit.edge or 'exponent'}{span} ({fit.n} gamma{'' if fit.n == 1 else 's'}): predicted {words}"
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
    half = 0.5 * (fit.interval[1] - fit.interval[0])
    digits = int(np.clip(1 - np.floor(np.log10(half)), 3, 9)) if 0 < half < np.inf else 3
    if np.isfinite(half) and abs(fit.interval[0] + fit.interval[1] - 2 * fit.exponent) < 0.2 * half:
        measured = f"measured {fit.exponent:.{digits}f} +- {half:.{digits}f} (95%)"
    else:
        measured = (f"measured {fit.exponent:.{digits}f}, "
                    f"{fit.interval[0]:.{digits}f} to {fit.interval[1]:.{digits}f} (95%)")
    sentence, factor = f"{where}, {measured}: {outcome} within {tolerance:g}", None
    if outcome is VerdictOutcome.UNDECIDED:
        factor = how_much_denser(fit, off, tolerance)
        sentence += ("; at this measured value, no grid of reasonable density would decide it" if factor is None
                     else f"; a grid {factor:.2g} times denser in gamma and eta would decide it")
    return Verdict(outcome, fit.exponent, fit.interval, sentence=sentence, how_much_denser=factor, **common)


def describe_defaults(steps: int | None, rho: float | None) -> str:
    """Return the default T and rho of a prediction in words, where the edges' attributes do not give them; empty if they give both."""
    defaults = [f"T = {STEPS}" if steps is None else "", f"rho = {RHO:g}" if rho is None else ""]
    missing = " and ".join(filter(None, defaults))
    return f" (at the default {missing})" if missing else ""


def _interpret_claim(fit: PowerLawFit, claim: Any) -> tuple[PowerLawFit, float, str]:
    """Return the fit to judge, the claimed exponent, and how to write it."""
    if isinstance(claim, Prediction):
        return _fit_against(fit, claim)
    try:
        number = float(claim)
    except (TypeError, ValueError, OverflowError):
        raise Misuse(f"claim must be a number or a Prediction, not {claim!r}") from None
    if not np.isfinite(number):
        raise Misuse(f"claim must be a finite number, not {claim!r}")
    exact = Fraction(number).limit_denominator(64)
    return fit, number, str(exact) if abs(float(exact) - number) < 1e-12 else f"{number:.4g}"


def _fit_against(fit: PowerLawFit, prediction: Prediction) -> tuple[PowerLawFit, float, str]:
    """Return the fit over the gammas with a prediction, and the prediction's slope over them.

    The line is fitted to edge over prediction, and the prediction's slope added: by least squares this is the same number,
    but a bend that both share (a window near the crossover) is no scatter, and the interval is that of a straight line.
    """
    if fit.n < 2:
        return fit, np.nan, "an exponent"
    steps, rho = fit.steps or STEPS, RHO if fit.rho is None else fit.rho
    eta = np.asarray(prediction(fit.gamma, steps, rho), dtype=np.float64)
    predicted = np.isfinite(eta) & (eta > 0)
    if predicted.sum() < 2:
        reason = "nothing is predicted at the gammas of the fit"
        return build_undecided_fit(reason, edge=fit.edge, window=fit.window), np.nan, "nothing"
    x, curve = np.log10(fit.gamma[predicted]), np.log10(eta[predicted])
    # the exponent that a fit with a logarithm measures is that of what the logarithm leaves
    power = curve - np.log10(np.abs(np.log(fit.gamma[predicted]))) if fit.logarithm else curve
    slope = float((x - x.mean()) @ power / ((x - x.mean()) @ (x - x.mean())))
    if fit.outcome is not FitOutcome.FITTED:
        return fit, slope, f"{slope:.4g}"
    lower, upper = np.log10(fit.lower[predicted]), np.log10(fit.upper[predicted])
    data = Rows(fit.gamma[predicted], x, np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper),
                fit.gamma[predicted])
    rest = fit_rows(data.shift(curve), deterministic=fit.deterministic, edge=fit.edge, steps=fit.steps, rho=fit.rho)
    return replace(rest, gamma=data.gamma, lower=fit.lower[predicted], upper=fit.upper[predicted], exponent=rest.exponent + slope,
                   interval=(rest.interval[0] + slope, rest.interval[1] + slope),
                   interval90=(rest.interval90[0] + slope, rest.interval90[1] + slope)), slope, f"{slope:.4g}"


def _lacking(fit: PowerLawFit, claimed: float) -> str:
    """Return why the data do not suffice for a verdict; empty if they do."""
    if fit.outcome is not FitOutcome.FITTED:
        return fit.reason
    if fit.n < LEAST_GAMMAS:
        return f"{fit.n} gammas were fitted; a verdict needs {LEAST_GAMMAS}"
    if fit.n - fit.n_censored < LEAST_UNCENSORED:
        return f"{fit.n - fit.n_censored} gammas have both bounds; a verdict needs {LEAST_UNCENSORED}"
    return "" if np.isfinite(claimed) else "nothing is predicted at the gammas of the fit"


def find_regime(gamma: np.ndarray) -> str | None:
    """Return the regime in which all gammas lie, None if they lie on both sides of 1."""
    if gamma.size == 0 or gamma[0] < 1 < gamma[-1]:
        return None
    return REGIMES[0] if gamma[-1] <= 1 else REGIMES[1]
