"""Judge the claims of the campaign's files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.network_edges import close_triangle, read_edges
from deepnets.theory import TOLERANCE, theory_of
from gallery.campaign_files import join_seeds, read_experiments
from validation import Verdict, edges_from_brackets, fit, judge
from validation.judging.assessment import assess

RICH, LAZY = (10.0, 1e4), (1e-4, 1e-2)      # windows of quantities other than edges, without the decades around 1
TRAINED = 0.5
POINT = 0.005       # relative half-width of the bracket around a point; seeds scatter far more


@dataclass(frozen=True)
class Row:
    """One number of one experiment, with the claim."""

    name: str
    figure: str
    what: str
    claimed: float
    measured: float
    interval: tuple[float, float]
    outcome: str
    device: str


def rows(folder: Path) -> Iterator[Row]:
    """Yield the numbers of a folder's files, over the seeds of each experiment."""
    for name, files in read_experiments(folder):
        first = files[0]
        if "outcome" in first:
            yield from _judge_edges(name, join_seeds(files))
        elif first.attrs["item"] == "a":
            yield from _judge_speed(name, first)
        elif first.attrs["item"] == "g":
            yield from _judge_consistency(name, first)
        elif "hessian" in first:
            yield from _judge_curvature(name, first)
        elif "moved" in first:
            yield from _judge_movement(name, first)


def _judge_edges(name: str, portrait: xr.Dataset) -> Iterator[Row]:
    description = json.loads(portrait.attrs["description"])
    _, predictions = theory_of(description)
    edges = read_edges(portrait, predictions)
    schedule = description["schedule"]["name"].replace("_", " and ")
    for a in assess(edges, close_triangle(predictions, edges), TOLERANCE):
        yield _row(name, portrait.attrs, f"{a.edge}, {a.regime}{'' if schedule == 'constant' else f', {schedule}'}", a.verdict)


def _judge_speed(name: str, data: xr.Dataset) -> Iterator[Row]:
    for precision in data["precision"].values:
        at = data.sel(precision=precision)
        seconds, limit = float(at.plane_seconds), float(at.goal_seconds)
        what = f"seconds of the plane in {precision}; {float(at.share_of_floor):.0%} of the device's arithmetic"
        yield Row(name, "", what, limit, seconds, (seconds, seconds), "SUPPORTED" if seconds <= limit else "CONTRADICTED",
                  data.attrs["device"])


def _judge_consistency(name: str, data: xr.Dataset) -> Iterator[Row]:
    words = {"sharpness": "decades between the sharpness curves", "best eta": "decades that the best eta moves per doubling"}
    for verdict in data["verdict"].values:
        at = data.sel(verdict=verdict)
        low, high = (float(end) for end in at.interval)
        yield Row(name, data.attrs["figure"], words[str(verdict)], 0.0, float(at.measured), (low, high), str(at.outcome_of.values),
                  data.attrs["device"])


def _judge_curvature(name: str, data: xr.Dataset) -> Iterator[Row]:
    """Judge the sharpness in theta at the end (gamma**-2 where lazy, gamma**(-2/L) where rich) and R ~ gamma in u at the start."""
    gamma, in_theta = data["gamma"].values, data["hessian"].isel(step=-1, hessian_0=0, hessian_1=0) / data["gamma"]**2
    residual = np.abs(data["residual"].isel(step=0, residual_0=0, residual_1=0))
    claims = [("sharpness at the end, lazy", in_theta, LAZY, -2.0), ("the residual part in u at the start, over gamma", residual,
                                                                    (LAZY[0], RICH[1]), 1.0)]
    if "mlp" in name:        # skip connections mix depths: no rich exponent is claimed, as in deepnets.theory
        claims.insert(1, ("sharpness at the end, rich", in_theta, RICH, -2 / 3))
    for what, values, window, claim in claims:
        if (verdict := _judge_power(values, gamma, window, claim)) is not None:
            yield _row(name, data.attrs, what, verdict)


def _judge_movement(name: str, data: xr.Dataset) -> Iterator[Row]:
    """Judge the movement of the second matrix at each gamma's rate of least final loss, where half of the loss is gone."""
    depth = data.sizes["moved_1"]
    last = data.isel(time=slice(-10, None)).mean("time")
    final = last["loss"].values                                                             # (seed, run)
    gammas = np.unique(data["gamma"].values)
    best = np.array([[runs[np.nanargmin(np.where(np.isfinite(row[runs]), row[runs], np.inf))] for runs in
                      (np.flatnonzero(data["gamma"].values == g) for g in gammas)] for row in final])
    trained = np.take_along_axis(final, best, axis=1) < TRAINED * last["zero_output_loss"].values[:, None]
    for norm, word in enumerate(("nuclear", "Frobenius", "operator")):
        size = data["moved"].isel(step=0, moved_0=norm, moved_1=1).values
        chosen = xr.DataArray(np.where(trained, np.take_along_axis(size, best, axis=1), np.nan), dims=("seed", "run"))
        if (verdict := _judge_power(chosen, gammas, RICH, 1 / depth)) is not None:
            yield _row(name, data.attrs, f"movement of the second matrix, {word} norm, rich", verdict)


def _judge_power(values: xr.DataArray, gamma: np.ndarray, window: tuple[float, float], claim: float) -> Verdict | None:
    """Judge a power of gamma of values (seed, run); return None if fewer than four gammas lie in the window."""
    seeds = values.sizes["seed"]
    sizes, gammas = values.transpose("seed", "run").values.ravel(), np.tile(gamma, seeds)
    usable = np.isfinite(sizes) & (sizes > 0) & (gammas >= window[0]) & (gammas <= window[1])
    if len(np.unique(gammas[usable])) < 4:
        return None
    points = edges_from_brackets(gammas[usable], sizes[usable] * (1 - POINT), sizes[usable] * (1 + POINT), "value",
                                 np.repeat(np.arange(seeds), len(gamma))[usable])
    return judge(fit(points, "value", window=window), claim, TOLERANCE)


def _row(name: str, attrs: dict, what: str, verdict: Verdict) -> Row:
    return Row(name, attrs["figure"], what, verdict.claimed, verdict.measured, verdict.interval, verdict.outcome.value, attrs["device"])
