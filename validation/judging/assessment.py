"""Fit and judge all predicted edges: choose each window, fit, and compare with the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, between
from validation.fitting.brackets import measured_axis, rows
from validation.fitting.powerlaw import PowerLawFit, fit
from validation.fitting.result import build_undecided_fit
from validation.judging.verdict import Verdict, VerdictOutcome, judge
from validation.judging.whole_curve import describe_cover, judge_curve
from validation.prediction import REGIMES, Prediction

LEAST = 4              # gammas that a window must hold to be fitted
SLOWLY = 1e3           # a law with a logarithm has no window: its slope is compared over all gammas beyond this


@dataclass(frozen=True, eq=False)
class Assessment:
    """One prediction in one regime, with the fit that it was compared with and the verdict.

    Attributes
    ----------
    edge, regime : "eta_max", "rich", ...
    limit : the exponent at the regime's end, an exact rational; None where a logarithm multiplies it.
    fit, verdict : see `validation.fit` and `validation.judge`.
    note : a remark on the window; may be empty.
    """

    edge: str
    regime: str
    limit: Any
    fit: PowerLawFit
    verdict: Verdict
    note: str = ""


def assess(edges: xr.Dataset, predictions: Mapping[str, Prediction], tolerance: float | None = None) -> list[Assessment]:
    """Fit and judge every predicted power law for which these edges have enough gammas.

    The window is the theory's own: where its local exponent is within 0.02 of its limit, and below a third of the gamma where
    the triangle of trainability closes; or the window that a theory of exponents alone declares. Regimes with fewer than four
    gammas in it are left out.

    Parameters
    ----------
    edges : as from `locate` or `trace`; with a dim ``horizon``, the last one is judged.
    predictions : edge -> `Prediction`.
    tolerance : of `judge`.
    """
    if tolerance is not None:
        between("tolerance", tolerance, 0, np.inf)
    check_predictions(predictions)
    edges, steps, rho = _select_horizon(edges)
    gamma = edges["gamma"].values
    done = []
    for name, prediction in predictions.items():
        if name not in edges["edge"].values:
            continue
        for regime in REGIMES:
            window, note = _choose_window(prediction, regime, steps, rho)
            inside = window is not None and (gamma >= window[0]) & (gamma <= window[1]) & np.isfinite(prediction(gamma, steps, rho))
            if window is None or np.count_nonzero(inside) < LEAST:
                continue
            window = max(window[0], float(gamma[0])), min(window[1], float(gamma[-1]))
            seen = rows(edges, name).between(window)
            if len(seen.gamma) and seen.censored.all():
                law = build_undecided_fit(f"{name} lies outside the grid at every gamma from {window[0]:.3g} to {window[1]:.3g}",
                                edge=name, window=window, steps=steps, rho=rho)
            else:
                law = fit(edges, name, window=window, curve=prediction)
            limit = None if prediction.logarithm(regime) else prediction.fraction(regime)
            verdict = judge(law, prediction, tolerance)
            if prediction.free_prefactor and prediction.logarithm(regime):
                verdict = _with_logarithm(verdict, law)
            if prediction.explain_doubt(regime):
                verdict = withhold(verdict, prediction.explain_doubt(regime))
            note = "; ".join(filter(None, (note, prediction.remark)))
            done.append(Assessment(name, regime, limit, law, verdict, note))
    return done


def check_predictions(predictions: Any) -> None:
    """Raise `Misuse` unless predictions are a mapping from edges to `Prediction`."""
    if not isinstance(predictions, Mapping) or not all(isinstance(p, Prediction) for p in predictions.values()):
        raise Misuse("predictions must map names of edges to Predictions, as toymodels.predict and deepnets.predict do, "
                     f"not {predictions!r}")


def _with_logarithm(verdict: Verdict, law: PowerLawFit) -> Verdict:
    """Return UNDECIDED instead of CONTRADICTED where a factor log(c gamma) with an unknown c >= 1 can explain the slope."""
    if verdict.outcome is not VerdictOutcome.CONTRADICTED:
        return verdict
    x, log = np.log10(law.gamma), np.log10(np.abs(np.log(law.gamma)))
    most = float((x - x.mean()) @ log / ((x - x.mean()) @ (x - x.mean())))       # of c = 1; a larger c bends less
    if not (verdict.interval[1] > verdict.claimed and verdict.interval[0] <= verdict.claimed + most + verdict.tolerance):
        return verdict
    sentence = verdict.sentence.partition(f": {VerdictOutcome.CONTRADICTED}")[0]
    return replace(verdict, outcome=VerdictOutcome.UNDECIDED, how_much_denser=None,
                   sentence=f"{sentence}: UNDECIDED within {verdict.tolerance:g}: the law's logarithm adds up to {most:.3f} to the slope")


def withhold(verdict: Verdict, reason: str) -> Verdict:
    """Return UNDECIDED, with the reason why theory and measurements do not settle the law."""
    sentence = verdict.sentence.partition(f": {verdict.outcome}")[0]
    return replace(verdict, outcome=VerdictOutcome.UNDECIDED, how_much_denser=None, sentence=f"{sentence}: UNDECIDED: {reason}")


def assess_curves(edges: xr.Dataset, predictions: Mapping[str, Prediction], tolerance: float = 0.05) -> list[Verdict]:
    """Judge every edge with a predicted prefactor as a whole curve, prefactor and crossover included, where the prediction holds.

    That is below a third of the gamma where the triangle of trainability closes, and outside of `Prediction.unjudged`. An edge
    that is only bounded from below is compared by its upper bracket ends alone. Censored gammas are left out.

    Parameters
    ----------
    edges, predictions : as for `assess`.
    tolerance : in decades, of curves that do not say within how many they hold (`Prediction.claimed_within`).
    """
    between("tolerance", tolerance, 0, np.inf)
    check_predictions(predictions)
    edges, steps, rho = _select_horizon(edges)
    done = []
    for name, prediction in predictions.items():
        if name not in edges["edge"].values or prediction.free_prefactor:
            continue
        within = tolerance if prediction.claimed_within is None else prediction.claimed_within
        gamma = edges["gamma"].values
        eta = edges["eta"].sel(edge=name)
        ends = eta if "seed" not in eta.dims else eta.mean("seed", skipna=False)
        keep = np.isfinite(ends.transpose("gamma", "bound").values).all(axis=1) & np.isfinite(prediction(gamma, steps, rho))
        keep &= gamma <= prediction.closing_point(steps, rho) / 3
        if prediction.unjudged is not None:
            keep &= (gamma <= prediction.unjudged[0]) | (gamma >= prediction.unjudged[1])
        if np.count_nonzero(keep) < LEAST:
            continue
        part, among = edges.isel(gamma=np.flatnonzero(keep)), rows(edges, name).x.size
        if steps < prediction.holds[0] or rho > prediction.holds[1]:
            least, largest = prediction.holds
            why = (f"{name} ({describe_cover(0, among)}): UNDECIDED: the whole curve is not judged at T = {steps} and rho = {rho:g}: "
                   f"the prediction holds for T >= {least} and rho <= {largest:g}")
            done.append(Verdict(VerdictOutcome.UNDECIDED, np.nan, (np.nan, np.nan), 0.0, within, why, name, covered=(0, among)))
            continue
        done.append(_judge_bound(part, name, prediction, within, steps, rho, among) if prediction.bound
                    else judge_curve(part, name, prediction, within, among=among))
    return done


def _judge_bound(edges: xr.Dataset, name: str, prediction: Prediction, tolerance: float, steps: int, rho: float, among: int) -> Verdict:
    """Judge an edge for which the curve is only a lower bound."""
    gamma = edges["gamma"].values
    ends = edges["eta"].sel(edge=name, bound="upper")
    upper = (ends.max("seed") if "seed" in ends.dims else ends).values
    below = float(np.max(np.log10(prediction(gamma, steps, rho) / upper)))
    above = below <= 0
    outcome = VerdictOutcome.SUPPORTED if above else VerdictOutcome.CONTRADICTED if below > tolerance else VerdictOutcome.UNDECIDED
    where = "lies nowhere below its bound" if above else f"lies up to {below:.3g} decades below its bound"
    why = f" within {tolerance:g} decades: so far below is no contradiction yet" if outcome is VerdictOutcome.UNDECIDED else ""
    return Verdict(outcome, max(below, 0.0), (max(below, 0.0), max(below, 0.0)), 0.0, tolerance, f"{name}, gamma {gamma[0]:.3g} to "
                   f"{gamma[-1]:.3g} ({describe_cover(len(gamma), among)}): the edge {where}: {outcome}{why}", name,
                   span=(float(gamma[0]), float(gamma[-1])), covered=(len(gamma), among))


def _select_horizon(edges: xr.Dataset) -> tuple[xr.Dataset, int, float]:
    """Return edges of one horizon (the last, where there are several), with its T and rho, which their attributes then hold."""
    if measured_axis(edges) != "gamma":
        raise Misuse(f"edges must be over gamma, of which a Prediction is a function, not over {measured_axis(edges)}")
    if "horizon" in edges.dims:
        edges = edges.isel(horizon=-1)
    value = edges.coords["horizon"].item() if "horizon" in edges.coords else edges.attrs.get("steps", 1000)
    if not isinstance(value, Integral):
        raise Misuse(f"the edges' attribute steps must be a whole number, or the edges must have the dim horizon; it is {value!r}")
    steps, rho = int(value), between("the edges' attribute rho", edges.attrs.get("rho", 0.01), 0, 1)
    return edges.assign_attrs(steps=steps, rho=rho), steps, rho


def _choose_window(prediction: Prediction, regime: str, steps: int, rho: float) -> tuple[tuple[float, float] | None, str]:
    """Return the gammas on which a regime's exponent can be measured, and a note on them."""
    try:
        if prediction.free_prefactor:
            note = "log(c gamma) with unknown c multiplies the power law; its contribution to the slope does not count against the claim"
            return prediction.window(regime, steps, rho), note if prediction.logarithm(regime) else ""
        if prediction.logarithm(regime):
            window = (SLOWLY, np.inf) if regime == "rich" else (0.0, 1 / SLOWLY)
            return window, "a logarithm multiplies the power law: its slope is compared with the predicted one over the same gammas"
        return prediction.window(regime, steps, rho), ""
    except ValueError:
        return None, ""      # no law for this edge in this regime
