"""Draw portraits of networks with the predicted slopes over them, each line at the level of the measured edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

import validation
from deepnets.network_edges import close_triangle, read_edges
from validation import Plane, Verdict
from validation.plotting.anchored_laws import anchor_laws
from validation.plotting.side_by_side import draw_portraits

WINDOWS = {"lazy": (1e-5, 1e-3), "rich": (1e1, 1e3)}


def plane_above(gamma: Any, start: Callable[[np.ndarray], Any], decades: float, per_decade: int) -> Plane:
    """Return a plane whose rates begin near ``start(gamma)`` and span as many decades at every gamma, all on one lattice."""
    gamma = np.asarray(gamma, dtype=float)
    first = np.floor(np.log10(start(gamma)) * per_decade)
    return Plane(gamma, 10 ** ((first[:, None] + np.arange(round(decades * per_decade) + 1)) / per_decade))


def plane_around(line: Callable[[np.ndarray], Any], window: tuple[float, float], decades: float = 0.4, per_decade: int = 10) -> Plane:
    """Return a narrow plane around one line of `draw_side_by_side`, over the window's gammas."""
    return Plane.around(line, np.geomspace(*window, 5), decades, per_decade)


def judge_slope(portrait: xr.Dataset, claims: Mapping[str, Any], edge: str, regime: str) -> Verdict:
    """Return the verdict on an edge's exponent from a narrow portrait around it; the interval comes from seeds and cells."""
    edges = read_edges(portrait, claims)
    window = float(portrait["gamma"][0]), float(portrait["gamma"][-1])
    return validation.judge(validation.fit(edges, edge, window=window, curve=claims[edge]), claims[edge])


def draw_side_by_side(panels: Mapping[str, tuple[xr.Dataset, Mapping[str, Any]]], variable: str | None = None,
                      height: float = 4.4) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Draw portraits of networks with the slopes that the theory claims; return the figure, and by title its lines, by edge.

    `panels` maps titles to portraits of a `deepnets.DeepExperiment` and claims as from `deepnets.predict`. Theory gives only exponents
    for networks: each line is drawn over the gammas of its fit, at the level of the measured edge.
    """
    lines = {}
    for title, (portrait, claims) in panels.items():
        edges = read_edges(portrait, claims)
        claims = close_triangle(claims, edges)
        lines[title] = anchor_laws(claims, validation.assess(edges, claims))
    return draw_portraits({title: (portrait, lines[title]) for title, (portrait, _) in panels.items()}, variable, height), lines
