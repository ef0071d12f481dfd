"""Judge whether a fitted exponent, or a bracketed edge, agrees with a claim.

Equivalence and difference are tested together: SUPPORTED if the data exclude everything that differs from the claim by more
than the tolerance, CONTRADICTED if they exclude everything that does not, UNDECIDED otherwise. (Two
one-sided tests at 5%: the 90% interval inside the tolerance; Schuirmann, J. Pharmacokinet. Biopharm. 15, 657, 1987. The
naive rule "claim inside the interval" supports wrong claims in 28% of cases.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from validation.arguments import Misuse, between, numbers
from validation.fitting.brackets import Rows, conditions, rows
from validation.fitting.likelihood import feasible_slopes, fit_line
from validation.fitting.powerlaw import fit_rows
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit
from validation.judging.grid_density import DENSEST, how_much_denser
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

    SUPPORTED if the 90% interval lies inside ``claim +- tolerance``; CONTRADICTED if the 95% interval is disjoint from
    it; else UNDECIDED, as also below four gammas, below three uncensored ones, and where the fit is UNDECIDED.

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
    common: dict[str, Any] = {"claimed": claimed, "tolerance": tolerance, "edge": fit.edge, "regime": _regime(fit.gamma)}
    span = f", gamma {fit.gamma[0]:.3g} to {fit.gamma[-1]:.3g}" if fit.n else ""
    where = f"{fit.edge or 'exponent'}{span} ({fit.n} gamma{'' if fit.n == 1 else 's'}): predicted {words}"
    if isinstance(claim, Prediction):
        where += _describe_defaults(fit.steps, fit.rho)
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
        sentence += ("; no grid of reasonable density would decide it at this tolerance" if factor is None
                     else f"; a grid {factor:.2g} times denser in gamma and eta would decide it")
    return Verdict(outcome, fit.exponent, fit.interval, sentence=sentence, how_much_denser=factor, **common)


def judge_curve(edges: xr.Dataset, edge: str, curve: Prediction | Callable[[np.ndarray], Any], tolerance: float,
                free_prefactor: bool = False) -> Verdict:
    """Judge a whole predicted curve eta(gamma) against the brackets of one edge.

    With l and u the bracket's ends minus the prediction in decades, the curve is off by at least V and at most D:
    ``V = max(0, max l, -min u)`` and ``D = max(max u, -min l)``, or with a free prefactor
    ``V = max(0, (max l - min u)/2)`` and ``D = (max u - min l)/2``.

    SUPPORTED if D <= tolerance. CONTRADICTED if V exceeds the tolerance by more than the worst of n scattered rows would
    in one case of forty (scatter: second differences along gamma beyond the brackets' own), or if the residual's slope on
    one side of the crossover (of a Prediction) significantly moves the curve by more than the tolerance over that side.

    Parameters
    ----------
    edges, edge : as for `validation.fit`. Censored ends can contradict a curve, and never support one.
    curve : a `Prediction` (taken at the edges' T and rho), or a callable of gamma, shape (n,); NaN where nothing is
        predicted.
    tolerance : in decades.
    free_prefactor : judge the shape alone.

    Raises
    ------
    Misuse : `validation.fit`'s, a curve that cannot be called or returns another shape, a tolerance not above zero.
    """
    tolerance = between("tolerance", tolerance, 0, np.inf)
    data = rows(edges, edge)
    if not callable(curve):
        raise Misuse(f"curve must be a Prediction or a callable gamma -> eta, not {curve!r}")
    known_steps, known_rho = conditions(edges)
    steps, rho = STEPS if known_steps is None else known_steps, RHO if known_rho is None else known_rho
    eta = curve(data.gamma, steps, rho) if isinstance(curve, Prediction) else curve(data.gamma)
    eta = numbers("what curve returns", eta)
    if eta.shape != data.gamma.shape:
        raise Misuse(f"curve must return one eta per gamma, shape {data.gamma.shape}, not {eta.shape}")
    if (eta <= 0).any() or np.isinf(eta).any():
        raise Misuse("curve must return finite eta above zero, or NaN where it predicts nothing")
    predicted = np.isfinite(eta)
    rest = data.take(predicted).shift(np.log10(eta[predicted]))
    n, two = rest.x.size, int((~rest.censored).sum())
    known: dict[str, Any] = {"claimed": 0.0, "tolerance": tolerance, "edge": str(edge), "regime": _regime(rest.gamma)}
    label = getattr(curve, "label", "")
    name = label if label and "$" not in label else "the predicted curve"      # sentences are plain text
    span = f", gamma {rest.gamma[0]:.3g} to {rest.gamma[-1]:.3g}" if n else ""
    where = f"{edge}{span} ({n} gamma{'' if n == 1 else 's'}): {name}{' up to a factor' if free_prefactor else ''}"
    if isinstance(curve, Prediction):
        where += _describe_defaults(known_steps, known_rho)
    if n < LEAST_GAMMAS or two < LEAST_UNCENSORED:
        why = (f"{n} gammas with both an edge and a prediction, {two} of them with two bounds; "
               f"a verdict needs {LEAST_GAMMAS} and {LEAST_UNCENSORED}")
        return Verdict(VerdictOutcome.UNDECIDED, np.nan, (np.nan, np.nan),
                       sentence=f"{where}: UNDECIDED within {tolerance:g} decades: {why}", **known)
    low, high = rest.lower, rest.upper
    if free_prefactor:
        violation, distance = max(0.0, 0.5 * float(low.max() - high.min())), 0.5 * float(high.max() - low.min())
    else:
        violation, distance = max(0.0, float(low.max()), -float(high.min())), max(float(high.max()), -float(low.min()))
    scatter = _scatter(rest)
    # the scatter comes from about half as many independent differences; the test is on the worst of n rows
    spread = scatter * float(stdtrit(max(0.5 * (two - 2), 1.0), 1 - 0.0125 / n))
    bent = _bent(rest, curve, steps, rho, tolerance)
    if violation > tolerance + spread or bent:
        outcome = VerdictOutcome.CONTRADICTED
    elif distance <= tolerance:
        outcome = VerdictOutcome.SUPPORTED
    else:
        outcome = VerdictOutcome.UNDECIDED
    beyond = f"at most {distance:.3g}" if np.isfinite(distance) else "censored brackets set no upper bound"
    sentence = (f"{where} is off by at least {violation:.3g} decades, {beyond}: "
                f"{outcome} within {tolerance:g} decades{bent}")
    factor = None
    if outcome is VerdictOutcome.UNDECIDED:
        # D = V + about one cell: narrower cells decide, unless scatter or censoring is what keeps D large
        cell = float(np.max(rest.width[~rest.censored]))
        needed = cell / (tolerance - violation) if violation < tolerance else np.inf
        if np.isfinite(distance) and scatter < cell and needed < DENSEST:
            factor = max(float(needed), 1.1)
            sentence += f"; a grid {factor:.2g} times denser in eta would decide it"
    return Verdict(outcome, violation, (violation, distance), sentence=sentence, how_much_denser=factor, **known)


def _describe_defaults(steps: int | None, rho: float | None) -> str:
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


def _regime(gamma: np.ndarray) -> str | None:
    if gamma.size == 0 or gamma[0] < 1 < gamma[-1]:
        return None
    return REGIMES[0] if gamma[-1] <= 1 else REGIMES[1]


def _scatter(rest: Rows) -> float:
    """Return the scatter (decades) of the residual about a locally straight line, beyond what the brackets explain."""
    two = rest.take(~rest.censored)
    if two.x.size < 4:
        return 0.0
    least, largest = feasible_slopes(two.x, two.lower, two.upper)
    if least <= largest:
        return 0.0       # a straight line passes through all brackets: no scatter is needed
    x, y = two.x, two.middle
    w = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    bend = y[1:-1] - (1 - w) * y[:-2] - w * y[2:]                        # zero on a straight line
    s2 = float(np.mean(bend**2 / (1 + (1 - w)**2 + w**2))) - float(np.mean(two.width**2)) / 12
    return float(np.sqrt(max(0.0, s2)))


def _bent(rest: Rows, curve: Any, steps: int, rho: float, tolerance: float) -> str:
    """Describe the side of the crossover on which the residual has a significant slope; empty if there is none."""
    sides: dict[str, tuple[float, float] | None] = {"the whole range": (0.0, np.inf)}
    if isinstance(curve, Prediction):
        sides = {f"the {regime} side": curve.window(regime, steps, rho) for regime in REGIMES}
    level = 1 - 0.05 / len(sides)
    for name, window in sides.items():
        if window is None:
            continue
        side = rest.take((rest.gamma >= window[0]) & (rest.gamma <= window[1]))
        if side.x.size < LEAST_GAMMAS or (~side.censored).sum() < LEAST_UNCENSORED:
            continue
        low, high = fit_line(side.x, side.lower, side.upper, (level,)).intervals[level]
        allowed = 2 * tolerance / float(side.x[-1] - side.x[0])          # moves the ends by +- tolerance
        if low > allowed or high < -allowed:
            return f"; on {name} the edge's exponent differs from the curve's by {0.5 * (low + high):.3g}"
    return ""
