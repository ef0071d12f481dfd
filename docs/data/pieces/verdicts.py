"""What the campaign's files say: each file's claims, judged from what it holds; trains nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.network_edges import close_triangle, read_edges
from deepnets.theory import TOLERANCE, theory_of
from gallery.campaigned import portrait_of, together
from validation import Verdict, edges_from_brackets, fit, judge
from validation.judging.assessment import assess

RICH, LAZY = (10.0, 1e4), (1e-4, 1e-2)      # of what is no edge: as far as it is measured, without the decades about 1 where regimes cross
TRAINED = 0.5
POINT = 0.005       # relative: of values that are no brackets; the seeds scatter by far more


@dataclass(frozen=True)
class Row:
    """One number of one experiment: what is claimed of it, what was measured, and on what.

    `key` names an exponent of an edge, (loss, optimizer, L, edge, regime), so that witnesses can be laid side by side; else it is None.
    """

    name: str
    figure: str
    what: str
    claimed: float
    measured: float
    interval: tuple[float, float]
    outcome: str
    device: str
    key: tuple[str, str, int | None, str, str] | None = None


def rows(folder: Path) -> Iterator[Row]:
    """Yield what the files of a folder say, seeds of one experiment taken together."""
    for name, found in together(folder):
        kind = found[0].attrs["item"]
        if "outcome" in found[0]:
            yield from _edges(name, portrait_of(found))
        elif kind == "a":
            yield from _speed(name, found[0])
        elif kind == "g":
            yield from _consistency(name, found[0])
        elif "hessian" in found[0]:
            yield from _curvature(name, found[0])
        elif "moved" in found[0]:
            yield from _movement(name, found[0])


def _edges(name: str, portrait: xr.Dataset) -> Iterator[Row]:
    attrs = portrait.attrs
    description = json.loads(attrs["description"])
    _, predictions = theory_of(description)
    edges = read_edges(portrait, predictions)
    network = description["network"]
    depth = network.get("depth") or (network.get("convolutions", 0) + network.get("dense", 0)) or None
    for a in assess(edges, close_triangle(predictions, edges), TOLERANCE):
        schedule = "" if description["schedule"]["name"] == "constant" else f", {description['schedule']['name'].replace('_', ' and ')}"
        yield _row(name, attrs, f"{a.edge}, {a.regime}{schedule}", a.verdict,
                   None if schedule else (description["loss"], description["optimizer"]["name"], depth, a.edge, a.regime))


def _speed(name: str, data: xr.Dataset) -> Iterator[Row]:
    for precision in data["precision"].values:
        at = data.sel(precision=precision)
        seconds, goal = float(at.plane_seconds), float(at.goal_seconds)
        what = f"seconds of the plane in {precision}; {float(at.share_of_floor):.0%} of the device's arithmetic"
        yield Row(name, "", what, goal, seconds, (seconds, seconds), "SUPPORTED" if seconds <= goal else "CONTRADICTED",
                  data.attrs["device"])


def _consistency(name: str, data: xr.Dataset) -> Iterator[Row]:
    for verdict in data["verdict"].values:
        at = data.sel(verdict=verdict)
        low, high = (float(end) for end in at.interval)
        words = {"sharpness": "decades that sharpness is apart", "best eta": "decades a doubling that the best eta moves"}[str(verdict)]
        yield Row(name, data.attrs["figure"], words, 0.0, float(at.measured), (low, high), str(at.outcome_of.values), data.attrs["device"])


def _curvature(name: str, data: xr.Dataset) -> Iterator[Row]:
    """Sharpness in theta at the end: gamma**-2 where lazy, gamma**(-2/L), L = 3, where rich; and R ~ gamma in units of u at the start."""
    gamma, last = data["gamma"].values, data["hessian"].isel(step=-1, hessian_0=0, hessian_1=0)
    in_theta = last / gamma**2
    claims = [("lazy", LAZY, -2.0)]
    if "mlp" in name:        # skips mix depths: of them nothing is claimed where rich, as of deepnets.theory
        claims.append(("rich", RICH, -2 / 3))
    for regime, window, claim in claims:
        if (told := _power(in_theta, gamma, window, claim)) is not None:
            yield _row(name, data.attrs, f"sharpness at the end, {regime}", told)
    first = data["residual"].isel(step=0, residual_0=0, residual_1=0)
    if (told := _power(np.abs(first), gamma, (LAZY[0], RICH[1]), 1.0)) is not None:
        yield _row(name, data.attrs, "the residual part in u at the start, over gamma", told)


def _movement(name: str, data: xr.Dataset) -> Iterator[Row]:
    """The movement of the second matrix, of each gamma's rates that of the least final loss, where half of the loss is gone."""
    depth = data.sizes["moved_1"]
    final = data["loss"].isel(time=slice(-10, None)).mean("time").values                     # (seed, run)
    gammas = np.unique(data["gamma"].values)
    best = np.array([[runs[np.nanargmin(np.where(np.isfinite(row[runs]), row[runs], np.inf))] for runs in
                      (np.flatnonzero(data["gamma"].values == g) for g in gammas)] for row in final])
    start = data["zero_output_loss"].isel(time=slice(-10, None)).mean("time").values[:, None]
    trained = np.take_along_axis(final, best, axis=1) < TRAINED * start
    for norm, word in enumerate(("nuclear", "Frobenius", "operator")):
        size = data["moved"].isel(step=0, moved_0=norm, moved_1=1).values
        chosen = xr.DataArray(np.where(trained, np.take_along_axis(size, best, axis=1), np.nan), dims=("seed", "run"))
        if (told := _power(chosen, gammas, RICH, 1 / depth)) is not None:
            yield _row(name, data.attrs, f"movement of the second matrix, {word} norm, rich", told)


def _power(values: xr.DataArray, gamma: np.ndarray, window: tuple[float, float], claim: float) -> Verdict | None:
    """Return the verdict on a power of gamma of values (seed, run), None where fewer than four gammas lie in the window."""
    seeds = values.sizes["seed"]
    sizes, gammas = values.transpose("seed", "run").values, np.tile(gamma, seeds)
    there = np.isfinite(sizes.ravel()) & (sizes.ravel() > 0) & (gammas >= window[0]) & (gammas <= window[1])
    if len(np.unique(gammas[there])) < 4:
        return None
    kept = sizes.ravel()[there]
    of_seed = np.repeat(np.arange(seeds), len(gamma))[there]
    points = edges_from_brackets(gammas[there], kept * (1 - POINT), kept * (1 + POINT), "value", of_seed)
    return judge(fit(points, "value", window=window), claim, TOLERANCE)


def _row(name: str, attrs: dict, what: str, verdict: Verdict, key: tuple | None = None) -> Row:
    return Row(name, attrs["figure"], what, verdict.claimed, verdict.measured, verdict.interval, verdict.outcome.value, attrs["device"],
               key)
