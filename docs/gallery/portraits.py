"""Draw portraits of networks with the predicted slopes over them, each line at the level of the measured edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr

import validation
from deepnets.network_edges import close_triangle, read_edges
from validation import Plane, Verdict
from validation.plotting import figures
from validation.plotting.anchored_laws import anchor_laws

WINDOWS = {"lazy": (1e-5, 1e-3), "rich": (1e1, 1e3)}


def plane_above(gamma: Any, start: Callable[[np.ndarray], Any], decades: float, per_decade: int) -> Plane:
    """Return a plane whose rates begin near ``start(gamma)`` and span as many decades at every gamma, all on one lattice."""
    gamma = np.asarray(gamma, dtype=float)
    first = np.floor(np.log10(start(gamma)) * per_decade)
    return Plane(gamma, 10 ** ((first[:, None] + np.arange(round(decades * per_decade) + 1)) / per_decade))


def plane_around(line: Callable[[np.ndarray], Any], window: tuple[float, float], decades: float = 0.4, per_decade: int = 10) -> Plane:
    """Return a narrow plane around one line of `draw_side_by_side`, over the window's gammas."""
    return Plane.around(line, np.geomspace(*window, 5), decades, per_decade)


def judge_slope(portrait: xr.Dataset, claims: Mapping[str, Any], edge: str, regime: str, tolerance: float = 0.1) -> Verdict:
    """Return the verdict on an edge's exponent from a narrow portrait around it; the interval comes from seeds and cells."""
    edges = read_edges(portrait, claims)
    window = float(portrait["gamma"][0]), float(portrait["gamma"][-1])
    return validation.judge(validation.fit(edges, edge, window=window), float(claims[edge].exponent(regime)), tolerance)


def draw_side_by_side(panels: Mapping[str, tuple[xr.Dataset, Mapping[str, Any]]], variable: str | None = None,
                 height: float = 4.4) -> tuple[Any, dict[str, dict[str, Any]]]:
    """Draw portraits of networks with the slopes that the theory claims; return the figure, and by title its lines, by edge.

    Theory gives only exponents for networks: each line is drawn over the gammas of its fit, at the level of the measured edge.

    Parameters
    ----------
    panels : title -> (portrait of a `deepnets.DeepExperiment`, claims as from `deepnets.predict`).
    variable : as of `validation.plot_portrait`.
    height : of a row of at most three panels, in inches.
    """
    down = -(-len(panels) // 3)
    across = -(-len(panels) // down)
    figure = figures.blank(4.4 * across + (0 if variable else 1.6), height * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for spare in axes[len(panels):]:
        spare.remove()
    lines, entries = {}, {}
    for ax, (title, (portrait, claims)) in zip(axes, panels.items(), strict=False):
        edges = read_edges(portrait, claims)
        claims = close_triangle(claims, edges)
        lines[title] = anchor_laws(claims, validation.assess(edges, claims))
        validation.plot_portrait(portrait, lines[title], variable, ax)
        if variable and "eta_value" in portrait:
            _whiten(ax, portrait)
        ax.set_title(title)
        if legend := ax.get_legend():
            entries |= dict(zip([text.get_text() for text in legend.get_texts()], legend.legend_handles, strict=True))
            legend.remove()
    figure.legend(entries.values(), entries.keys(), frameon=False,
                  **({"loc": "outside lower center", "ncols": len(entries)} if variable else {"loc": "outside right center"}))
    return figure, lines


def _whiten(ax: Any, portrait: xr.Dataset) -> None:
    """Paint the rates that were not run white, as grey stands for diverged runs."""
    g, eta = portrait["gamma"].values, portrait["eta_value"].transpose("gamma", "eta").values
    half = np.sqrt(eta[:, 1] / eta[:, 0])
    sides = np.concatenate([ax.get_xlim()[:1], np.sqrt(g[1:] * g[:-1]), ax.get_xlim()[1:]])
    low, high = ax.get_ylim()
    for ends, rim in ((eta[:, 0] / half, low), (eta[:, -1] * half, high)):
        ax.stairs(ends, sides, baseline=rim, fill=True, color="white", lw=0)
    ax.set_ylim(low, high)
