"""Judge a whole predicted curve eta(gamma), prefactor and crossover included, against the brackets of one edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from validation.arguments import Misuse, between, numbers
from validation.fitting.brackets import Rows, conditions, rows
from validation.fitting.line import feasible_slopes, fit_line, least_squares
from validation.fitting.result import count_points
from validation.judging.more_data import DENSEST
from validation.judging.verdict import (
    LEAST_GAMMAS,
    LEAST_UNCENSORED,
    Verdict,
    VerdictOutcome,
    describe_defaults,
    find_regime,
)
from validation.prediction import REGIMES, RHO, STEPS, Prediction

HIDDEN = 7.0           # total over second differences' variance, at a correlation of 0.8
CHI2_MEDIAN = 0.455    # of one degree of freedom


def judge_curve(edges: xr.Dataset, edge: str, curve: Prediction | Callable[[np.ndarray], Any], tolerance: float = 0.05,
                free_prefactor: bool = False, *, among: int | None = None) -> Verdict:
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
    among : the gammas with an edge of which those in `edges` were chosen; None: those in `edges`. The sentence says how many the verdict
        covers.

    Raises
    ------
    Misuse : `validation.fit`'s, a curve that cannot be called or returns another shape, a tolerance not above zero.
    """
    tolerance = between("tolerance", tolerance, 0, np.inf)
    data = rows(edges, edge)
    if not callable(curve):
        raise Misuse(f"curve must be a Prediction or a callable gamma -> eta, not {curve!r}")
    if isinstance(curve, Prediction) and data.axis != "gamma":
        raise Misuse(f"curve must be a callable for edges over {data.axis}: a Prediction is a function of gamma")
    known_steps, known_rho = conditions(edges)
    steps, rho = STEPS if known_steps is None else known_steps, RHO if known_rho is None else known_rho
    eta = curve(data.gamma, steps, rho) if isinstance(curve, Prediction) else curve(data.gamma)
    eta = numbers("what curve returns", eta)
    if eta.shape != data.gamma.shape:
        raise Misuse(f"curve must return one eta per {data.axis}, shape {data.gamma.shape}, not {eta.shape}")
    if (eta <= 0).any() or np.isinf(eta).any():
        raise Misuse("curve must return finite eta above zero, or NaN where it predicts nothing")
    predicted = np.isfinite(eta)
    rest = data.take(predicted).shift(np.log10(eta[predicted]))
    n, two = rest.x.size, int((~rest.censored).sum())
    known: dict[str, Any] = {"claimed": 0.0, "tolerance": tolerance, "edge": str(edge), "regime": find_regime(rest.gamma, rest.axis),
                             "covered": (n, data.x.size if among is None else among),
                             "span": (float(rest.gamma[0]), float(rest.gamma[-1])) if n else None}
    label = getattr(curve, "label", "")
    name = label if label and "$" not in label else "the predicted curve"      # sentences are plain text
    span = f", {rest.axis} {rest.gamma[0]:.3g} to {rest.gamma[-1]:.3g}" if n else ""
    where = f"{edge}{span} ({describe_cover(n, data.x.size if among is None else among, rest.axis)}): {name}"
    where += " up to a factor" if free_prefactor else ""
    if isinstance(curve, Prediction):
        where += describe_defaults(known_steps, known_rho)
    if n < LEAST_GAMMAS or two < LEAST_UNCENSORED:
        why = (f"{count_points(n, rest.axis)} with both an edge and a prediction, {two} of them with two bounds; "
               f"a verdict needs {LEAST_GAMMAS} and {LEAST_UNCENSORED}")
        return Verdict(VerdictOutcome.UNDECIDED, np.nan, (np.nan, np.nan),
                       sentence=f"{where}: UNDECIDED within {tolerance:g} decades: {why}", **known)
    low, high = rest.lower, rest.upper
    if free_prefactor:
        violation, distance = max(0.0, 0.5 * float(low.max() - high.min())), 0.5 * float(high.max() - low.min())
    else:
        violation, distance = max(0.0, float(low.max()), -float(high.min())), max(float(high.max()), -float(low.min()))
    scatter = _estimate_scatter(rest)
    # the scatter comes from about half as many independent differences; the test is on the worst of n rows
    spread = scatter * float(stdtrit(max(0.5 * (two - 2), 1.0), 1 - 0.0125 / n))
    bent = _describe_bend(rest, curve, steps, rho, tolerance)
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
        reason, factor = _explain_indecision(rest, violation, distance, scatter, tolerance)
        sentence += f": {reason}"
    return Verdict(outcome, violation, (violation, distance), sentence=sentence, how_much_denser=factor, **known)


def describe_cover(n: int, among: int, axis: str = "gamma") -> str:
    """Return in words which share of the gammas with an edge a verdict covers."""
    return f"covers {n if n < among else 'all'} of {count_points(among, axis)} with an edge"


def _explain_indecision(rest: Rows, violation: float, distance: float, scatter: float, tolerance: float) -> tuple[str, float | None]:
    """Return why a curve off by V to D decades is UNDECIDED, and how much denser in eta the grid must be (None: that would not help)."""
    if not np.isfinite(distance):
        return f"{int(rest.censored.sum())} of the brackets are censored, on one side the edge may lie anywhere", None
    if violation > tolerance:
        return f"so much is within the scatter of the brackets about a smooth curve, {scatter:.2g} decades", None
    # D = V + about one cell: narrower cells decide, unless scatter is what keeps D large
    cell = float(np.max(rest.width[~rest.censored]))
    if scatter >= cell:
        return f"the brackets scatter about a smooth curve by {scatter:.2g} decades, and are {cell:.2g} wide", None
    needed = cell / (tolerance - violation) if violation < tolerance else np.inf
    if needed >= DENSEST:
        return "it is off by the tolerance itself; no grid of reasonable density would decide it", None
    factor = max(float(needed), 1.1)
    return f"the brackets are up to {cell:.2g} decades wide; a grid {factor:.2g} times denser in eta would decide it", factor


def _estimate_scatter(rest: Rows) -> float:
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
    cell2 = float(np.mean(two.width**2)) / 12
    differences = bend**2 / (1 + (1 - w)**2 + w**2)
    # Errors that are correlated along gamma show in second differences by a part only. A smooth misfit shows in none of them, and a
    # step in a few: the median does not see either.
    usual = float(np.median(differences)) / CHI2_MEDIAN - cell2
    total = least_squares(x, y, 0 * x, 0.95)[2]**2 - cell2
    return float(np.sqrt(max(0.0, float(np.mean(differences)) - cell2, min(total, HIDDEN * usual))))


def _describe_bend(rest: Rows, curve: Any, steps: int, rho: float, tolerance: float) -> str:
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
