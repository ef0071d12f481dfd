"""Judge the claims of the campaign's files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.network_edges import close_triangle, read_edges
from deepnets.theory import theory_of
from gallery.campaign_files import read_experiments
from gallery.findings import Finding, Findings
from validation import edges_from_brackets, fit, judge
from validation.judging.assessment import assess
from validation.judging.rivals import neighbours

RICH, LAZY = (10.0, 1e4), (1e-4, 1e-2)      # windows of quantities other than edges, without the decades around 1
TRAINED = 0.5
POINT = 0.005       # relative half-width of the bracket around a point; seeds scatter far more


def judge_files(folder: Path) -> Iterator[tuple[str, str, Finding]]:
    """Yield the name and the device of each experiment of a folder with each of its numbers, over its seeds."""
    for name, data in read_experiments(folder):
        found = Findings(printed=False)
        if "outcome" in data:
            _judge_edges(found, data)
        elif data.attrs["item"] == "a":
            _judge_speed(found, data)
        elif data.attrs["item"] == "g":
            _judge_consistency(found, data)
        elif "hessian" in data:
            _judge_curvature(found, data, plain="mlp" in name)
        elif "moved" in data:
            _judge_movement(found, data)
        yield from ((name, data.attrs["device"], finding) for finding in found.rows)


def _judge_edges(found: Findings, portrait: xr.Dataset) -> None:
    description = json.loads(portrait.attrs["description"])
    _, predictions = theory_of(description)
    edges = read_edges(portrait, predictions)
    schedule = description["schedule"]["name"].replace("_", " and ")
    for a in assess(edges, close_triangle(predictions, edges)):
        what = f"{a.edge}, {a.regime}{'' if schedule == 'constant' else f', {schedule}'}"
        found.add_verdict(portrait.attrs["figure"], what, a.verdict)


def _judge_speed(found: Findings, data: xr.Dataset) -> None:
    for precision in data["precision"].values:
        at = data.sel(precision=precision)
        what = f"seconds of the plane in {precision}; {float(at.share_of_floor):.0%} of the device's arithmetic"
        found.check("", what, float(at.plane_seconds), high=float(at.goal_seconds))


def _judge_consistency(found: Findings, data: xr.Dataset) -> None:
    words = {"sharpness": "decades between the sharpness curves", "best eta": "decades that the best eta moves per doubling"}
    for verdict in data["verdict"].values:
        at = data.sel(verdict=verdict)
        low, high = (float(end) for end in at.interval)
        found.add(Finding(data.attrs["figure"], words[str(verdict)], "0", float(at.measured), (low, high), str(at.outcome_of.values)))


def _judge_curvature(found: Findings, data: xr.Dataset, plain: bool) -> None:
    """Judge the sharpness in theta at the end (gamma**-2 where lazy, gamma**(-2/L) where rich) and R ~ gamma in u at the start."""
    gamma, in_theta = data["gamma"].values, data["hessian"].isel(step=-1, hessian_0=0, hessian_1=0) / data["gamma"]**2
    residual = np.abs(data["residual"].isel(step=0, residual_0=0, residual_1=0))
    claims = [("sharpness at the end, lazy", in_theta, LAZY, -2.0), ("the residual part in u at the start, over gamma", residual,
                                                                    (LAZY[0], RICH[1]), 1.0)]
    if plain:        # skip connections mix depths: no rich exponent is claimed, as in deepnets.theory
        claims.insert(1, ("sharpness at the end, rich", in_theta, RICH, -2 / 3))
    for what, values, window, claim in claims:
        _judge_power(found, data.attrs["figure"], what, values.transpose("seed", "run").values, gamma, window, claim)


def _judge_movement(found: Findings, data: xr.Dataset) -> None:
    """Judge the movement of the second matrix at each gamma's rate of least final loss, where half of the loss is gone."""
    depth = data.sizes["moved_1"]
    last = data.isel(time=slice(-10, None)).mean("time")
    final = last["loss"].values                                                             # (seed, run)
    gammas = np.unique(data["gamma"].values)
    best = np.array([[runs[np.nanargmin(np.where(np.isfinite(row[runs]), row[runs], np.inf))] for runs in
                      (np.flatnonzero(data["gamma"].values == g) for g in gammas)] for row in final])
    trained = np.take_along_axis(final, best, axis=1) < TRAINED * last["zero_output_loss"].values[:, None]
    for norm, word in enumerate(("nuclear", "Frobenius", "operator")):
        size = np.take_along_axis(data["moved"].isel(step=0, moved_0=norm, moved_1=1).values, best, axis=1)
        _judge_power(found, data.attrs["figure"], f"movement of the second matrix, {word} norm, rich", np.where(trained, size, np.nan),
                     gammas, RICH, 1 / depth, sorted(neighbours(1, depth)))


def _judge_power(found: Findings, figure: str, what: str, values: np.ndarray, gamma: np.ndarray, window: tuple[float, float],
                 claim: float, rivals: Iterable[Fraction] | None = None) -> None:
    """Judge a power of gamma of values (seed, run), unless fewer than four gammas lie in the window; `rivals` are those of `judge`."""
    seed, run = np.nonzero(np.isfinite(values) & (values > 0) & (gamma >= window[0]) & (gamma <= window[1]))
    if len(np.unique(gamma[run])) >= 4:
        size = values[seed, run]
        points = edges_from_brackets(gamma[run], size * (1 - POINT), size * (1 + POINT), "value", seed)
        found.add_verdict(figure, what, judge(fit(points, "value", window=window), claim, rivals=rivals))
