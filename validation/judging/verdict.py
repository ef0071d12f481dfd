"""Judge whether a fitted exponent, or a bracketed edge, agrees with a claim.

Equivalence and difference are tested together. A claim is SUPPORTED if the data exclude its rivals and every exponent that differs
from it by more than the tolerance, CONTRADICTED if they exclude every exponent within the tolerance, and UNDECIDED otherwise. The 90%
interval inside the tolerance is the same as two one-sided tests at 5% (Schuirmann, J. Pharmacokinet. Biopharm. 15, 657, 1987). The naive
rule "claim inside the interval" supports wrong claims in 28% of cases. A claim that holds by construction is an IDENTITY where the
data agree with it: they could not have failed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np

from validation.arguments import Misuse, between
from validation.fitting.line import SEVERAL, fit_straight
from validation.fitting.powerlaw import SEEN
from validation.fitting.result import FitOutcome, PowerLawFit, count_points, name_points, write_place
from validation.judging.more_data import needed_half_width, suggest_data
from validation.judging.rivals import MOST, check_rivals, choose_tolerance, find_rivals, read_fraction
from validation.prediction import REGIMES, RHO, STEPS, Prediction

LEAST_GAMMAS, LEAST_UNCENSORED = 4, 3
HINT, SURE = 0.50, 0.999       # levels at which a bend is hinted at, and sure
LEAST_DRIFT = 0.02     # of the local exponent over the window, that counts as a bend whatever the tolerance


class VerdictOutcome(StrEnum):
    """Whether the data support a claim."""

    SUPPORTED = "SUPPORTED"
    CONTRADICTED = "CONTRADICTED"
    UNDECIDED = "UNDECIDED"
    IDENTITY = "IDENTITY"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim, with its numbers.

    Attributes
    ----------
    outcome : SUPPORTED, CONTRADICTED, UNDECIDED or IDENTITY (the claim holds by construction, and the data agree).
    measured : the exponent; of a whole curve, the largest violation of a bracket V in decades.
    interval : its 95% interval; of a whole curve, (V, D): the curve is off by at least V and at most D decades.
    claimed : the claimed exponent; 0 for a whole curve.
    tolerance : how far from the claim still counts as the claim (exponent, or decades).
    sentence : the verdict in one plain line.
    edge, regime : what was judged; regime is "lazy", "rich", or None where the gammas lie on both sides of 1, or the axis is not gamma.
    how_much_denser : for UNDECIDED, the factor by which points per decade, in gamma and eta alike, would have to grow
        for the interval around the same measured value to decide; None where that would not help or is unknown.
    seeds_needed : for UNDECIDED by scatter, about how many seeds would decide around the same measured value; None as before.
    span, covered : of a whole curve, the first and last gamma that it covers, and how many of how many gammas with an edge.
    rivals, excluded, not_excluded : the exponents that the claim has to be separated from, those outside the 95% interval, and the others.
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
    seeds_needed: int | None = None
    rivals: tuple[float | Fraction, ...] = ()
    excluded: tuple[float | Fraction, ...] = ()
    not_excluded: tuple[float | Fraction, ...] = ()
    span: tuple[float, float] | None = None
    covered: tuple[int, int] | None = None


def judge(fit: PowerLawFit, claim: Any, tolerance: float | None = None, rivals: Iterable[float | Fraction] | None = None) -> Verdict:
    """Judge a fitted exponent against a claim.

    SUPPORTED if every rival lies outside the 95% interval, and either the 90% interval lies inside ``claim +- tolerance``, or the
    claim lies inside the 95% interval and the 90% one inside ``claim +- 0.05``. CONTRADICTED if the 95% interval is disjoint from
    ``claim +- tolerance``; where a bend is as likely as not, the local exponents at both ends of the window (80%) must be disjoint
    from it too. CONTRADICTED also if the edge bends against the prediction over which it was fitted (at 99.9%). IDENTITY in place of
    SUPPORTED where a prediction declares that it holds by construction. UNDECIDED otherwise: also with fewer than four gammas, with
    fewer than three uncensored ones, and where the edge bends by more than the tolerance.

    Parameters
    ----------
    fit : as from `validation.fit`; its exponent and intervals are the verdict's. Where a `Prediction` is claimed, ``fit(curve=claim)``
        is the sharper one: it measures the slope of edge over prediction.
    claim : a number, or a `Prediction`: then the least-squares slope of its log10 eta over the fit's own gammas, at the
        fit's T and rho, so that a finite window is compared with the same finite window.
    tolerance : how far from the claim still counts as the claim. None: half the gap to the nearest rival, at most 0.05.
    rivals : exponents from which the claim has to be separated. None: of k/L they are k/(L - 1), k/(L + 1), k/2L and 2k/L, for a fit along
        gamma; a prediction's are shifted as its slope on the window is from its limit. (): none.

    Raises
    ------
    Misuse : a fit or claim of another kind, a tolerance that is not above zero, rivals that are not finite numbers.
    """
    if not isinstance(fit, PowerLawFit):
        raise Misuse(f"fit must be a PowerLawFit, as from validation.fit, not {type(fit).__name__}")
    if tolerance is not None:
        tolerance = between("tolerance", tolerance, 0, np.inf)
    claimed, words = _interpret_claim(fit, claim)
    regime = find_regime(fit.gamma, fit.axis)
    limit = _find_limit(fit, claim, regime)
    known: list[tuple[float | Fraction, float]] = []
    if rivals is None:
        known += _find_rivals(fit, claim, claimed, limit)
    else:
        known += [(rival, float(rival)) for rival in check_rivals(rivals, claimed)]
    given = tolerance
    tolerance = choose_tolerance(claimed, tuple(value for _, value in known)) if tolerance is None else tolerance
    common: dict[str, Any] = {"claimed": claimed, "tolerance": tolerance, "edge": fit.edge, "regime": regime,
                              "rivals": tuple(name for name, _ in known)}
    write = (lambda value: f"{value:.3g}") if fit.axis == "gamma" else write_place
    span = f", {fit.axis} {write(fit.gamma[0])} to {write(fit.gamma[-1])}" if fit.n else ""
    where = f"{fit.edge or 'exponent'}{span} ({fit.counted}): predicted {words}"
    if isinstance(claim, Prediction):
        where += describe_defaults(fit.steps, fit.rho)
    within = f"within {tolerance:.3g}"
    bends = _contradicts_by_bending(fit, claim)
    lacking = "" if bends else _lacking(fit, claimed, tolerance)
    if lacking and isinstance(claim, Prediction) and fit.bend is not None and fit.curve is None and fit.outcome is not FitOutcome.FITTED:
        lacking += ", or fit(..., curve=prediction), the edge over the prediction"
    inside = [name for name, value in known if not np.isfinite(fit.exponent) or fit.interval[0] <= value <= fit.interval[1]]
    common |= {"not_excluded": tuple(inside), "excluded": tuple(name for name, _ in known if name not in inside)}
    measured = _write_measurement(fit) if np.isfinite(fit.exponent) else ""
    if bends or lacking:
        outcome = VerdictOutcome.CONTRADICTED if bends else VerdictOutcome.UNDECIDED
        sentence = f"{where}{measured}: {outcome} {within}: {lacking or fit.reason}"
        return Verdict(outcome, fit.exponent, fit.interval, sentence=sentence, **common)
    off = fit.exponent - claimed
    most = max(abs(end - claimed) for end in fit.interval90)
    covered = fit.interval[0] <= claimed <= fit.interval[1]
    beyond = _is_beyond(fit.interval, claimed, tolerance)
    withheld = beyond and not _bent_too(fit, claimed, tolerance)
    if beyond and not withheld:
        outcome = VerdictOutcome.CONTRADICTED
    elif not inside and (most <= tolerance or (given is None and covered and most <= MOST)):
        identity = isinstance(claim, Prediction) and limit is not None and claim.holds_by_construction(limit)
        outcome = VerdictOutcome.IDENTITY if identity else VerdictOutcome.SUPPORTED
    else:
        outcome = VerdictOutcome.UNDECIDED
    if outcome is VerdictOutcome.SUPPORTED and most > tolerance:          # by the second rule
        within = f"within {np.ceil(1e3 * most) / 1e3:.3g}"
    floor = _allow_floor(fit, claimed, tolerance) if outcome is VerdictOutcome.CONTRADICTED else ""
    if floor:
        outcome = VerdictOutcome.UNDECIDED
    sentence = f"{where}{measured}: {outcome} {within}{floor}"
    if outcome is VerdictOutcome.IDENTITY:
        sentence += f"; the runs depend on eta/gamma^{words} alone by construction, so that no measurement could have failed"
    if outcome is not VerdictOutcome.CONTRADICTED and known:
        sentence += _write_rivals(common["excluded"], common["not_excluded"])
    more: dict[str, Any] = {}
    if outcome is VerdictOutcome.UNDECIDED and not floor:
        rest = [abs(fit.exponent - value) for name, value in known if name in inside]
        needed = needed_half_width(fit, off, tolerance, MOST if given is None else tolerance, rest)
        more, words = suggest_data(fit, needed)
        if withheld and fit.bend is not None:
            more, words = {}, ("a straight line excludes it, but a bend is not excluded (local exponents "
                               f"{fit.bend.first:.3g} to {fit.bend.last:.3g}): more {name_points(fit.axis)} or seeds would decide it")
        sentence += f"; {words}"
    if SEVERAL > fit.seed_count > 1 and outcome is not VerdictOutcome.UNDECIDED and fit.scatter > 0:
        sentence += f"; {SEVERAL} seeds or more would also show whether their slopes differ"
    if fit.copies and outcome is not VerdictOutcome.IDENTITY:
        sentence += f"; all {fit.counted} have one cell of eta/{fit.axis}^{fit.exponent:.3g}, as copies of one run have"
    return Verdict(outcome, fit.exponent, fit.interval, sentence=sentence, **common, **more)


def _find_limit(fit: PowerLawFit, claim: Any, regime: str | None) -> str | None:
    """Return the regime whose exponent is judged: that of the gammas, or the one whose window, which may pass gamma = 1, holds them all."""
    if regime is not None or not isinstance(claim, Prediction) or fit.n == 0:
        return regime
    steps, rho = STEPS if fit.steps is None else fit.steps, RHO if fit.rho is None else fit.rho
    found = []
    for name in REGIMES:
        try:
            window = claim.window(name, steps, rho)
        except ValueError:                                               # no law in this regime
            continue
        if window is not None and window[0] <= fit.gamma[0] and fit.gamma[-1] <= window[1]:
            found.append(name)
    return found[0] if len(found) == 1 else None


def _find_rivals(fit: PowerLawFit, claim: Any, claimed: float, regime: str | None) -> list[tuple[Fraction, float]]:
    """Return the rivals of a claim, and where they lie on the fit's window: as far from their limits as the claim is."""
    if fit.axis != "gamma" or fit.point:
        return []
    found = find_rivals(claim, regime)
    shift = claimed - float(claim.fraction(regime)) if isinstance(claim, Prediction) and regime is not None and found else 0.0
    return [(rival, float(rival) + shift) for rival in found]


def _write_measurement(fit: PowerLawFit) -> str:
    """Return the exponent with its interval in words."""
    low, high = fit.interval
    half = 0.5 * (high - low)
    digits = int(np.clip(1 - np.floor(np.log10(half)), 3, 9)) if 0 < half < np.inf else 3
    if np.isfinite(half) and abs(low + high - 2 * fit.exponent) < 0.2 * half:
        return f", measured {fit.exponent:.{digits}f} +- {half:.{digits}f} (95%)"
    return f", measured {fit.exponent:.{digits}f}, {low:.{digits}f} to {high:.{digits}f} (95%)"


def _write_rivals(excluded: tuple[float | Fraction, ...], inside: tuple[float | Fraction, ...]) -> str:
    """Return which rivals the data exclude, and which they do not, in words."""

    def join(rivals: tuple[float | Fraction, ...]) -> str:
        words = [str(rival) if isinstance(rival, Fraction) else f"{rival:.4g}" for rival in rivals]
        return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))

    if not excluded:
        return f"; does not exclude {join(inside)}" if inside else ""
    return f"; excludes {join(excluded)}" + (f", but not {join(inside)}" if inside else "")


def _is_beyond(interval: tuple[float, float], claimed: float, tolerance: float) -> bool:
    return interval[0] > claimed + tolerance or interval[1] < claimed - tolerance


def _bent_too(fit: PowerLawFit, claimed: float, tolerance: float) -> bool:
    """Return whether a bend, if the data hint at one, would leave the claim excluded at both ends of the window."""
    return fit.bend is None or fit.bend.level < HINT or all(_is_beyond(end, claimed, tolerance) for end in fit.bend.ends)


def _contradicts_by_bending(fit: PowerLawFit, claim: Any) -> bool:
    """Return whether the edge surely bends against the prediction over which it was fitted; a law of exponents alone is only a limit."""
    return (isinstance(claim, Prediction) and _is_same(fit, claim) and not claim.free_prefactor and fit.outcome is not FitOutcome.FITTED
            and fit.bend is not None and fit.bend.level >= SURE)


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
        if isinstance(claim, bool | np.bool_ | str | bytes):
            raise TypeError
        number = float(claim)
    except (TypeError, ValueError, OverflowError):
        raise Misuse(f"claim must be a number or a Prediction, not {claim!r}") from None
    if not np.isfinite(number):
        raise Misuse(f"claim must be a finite number, not {claim!r}")
    exact, near = Fraction(number).limit_denominator(64), read_fraction(number)
    if abs(float(exact) - number) < 1e-12:
        return number, str(exact)
    return number, f"{number:.4g}" + (f" (read as {near})" if near is not None and fit.axis == "gamma" and not fit.point else "")


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


def _is_same(fit: PowerLawFit, claim: Prediction) -> bool:
    """Return whether a claim is the prediction over which the edge was fitted, or one like it."""
    if fit.curve is None or fit.curve is claim:
        return fit.curve is claim
    ours, theirs = (p.log10(fit.gamma, fit.steps, fit.rho) for p in (fit.curve, claim))
    return type(fit.curve) is type(claim) and bool(np.allclose(ours, theirs, rtol=0, atol=1e-9, equal_nan=True))


def _lacking(fit: PowerLawFit, claimed: float, tolerance: float) -> str:
    """Return why the data do not suffice for a verdict; empty if they do."""
    if fit.outcome is not FitOutcome.FITTED:
        return fit.reason
    if fit.bend is not None and fit.bend.level >= SEEN and fit.bend.drift > max(tolerance, LEAST_DRIFT):
        return (f"the local exponent goes from {fit.bend.first:.3g} to {fit.bend.last:.3g} over the window, by more than the tolerance; "
                "give another window, or compare with a predicted curve")
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
