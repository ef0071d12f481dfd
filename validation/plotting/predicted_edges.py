"""Draw the predicted edges over a portrait, each with its letter and, along it, its exponents."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from validation.plotting.rate_units import Unit
from validation.plotting.style import DASHES, SYMBOLS
from validation.prediction import REGIMES, Prediction

Axes = Any              # matplotlib's; only validation.plotting.figures may name it
SHORTEST = 0.12         # of the axes' width: a law that holds on less has no exponent written along it
MOST = 64               # the largest denominator of an exponent that is written as a fraction
APART = 0.07            # of the axes: an exponent's distance from other lines and letters


def draw_predictions(ax: Axes, predictions: Mapping[str, Any], unit: Unit, width: float,
                     halo: Callable[[float], list[Any]]) -> list[dict[str, Any]]:
    """Draw each predicted edge, in a unit of the rate, in black with a white halo; return the style and label of each line.

    Its letter stands on it. Beside it, where a power law holds and there is space, stands the law's exponent; not in another unit than 1.
    `width`, in points, is small over a colour map: a catapult's band is narrower than a bold line with its halo,
    which `halo` makes from its width.
    """
    limits = np.log10([ax.get_xlim(), ax.get_ylim()])
    closing = [p.closing_point(unit.steps, unit.rho) for p in predictions.values() if isinstance(p, Prediction)]
    # the closing point is drawn: the curves end there
    gamma = np.union1d(np.logspace(limits[0, 0], limits[0, 1], 401), np.clip(closing, *10.0 ** limits[0]))
    across = (np.log10(gamma) - limits[0, 0]) / np.diff(limits[0])
    curves = {}
    for edge, predict in predictions.items():
        with np.errstate(all="ignore"):
            eta = unit.divide(predict, gamma)
            at = (np.log10(eta) - limits[1, 0]) / np.diff(limits[1])
        if (visible := (at > 0) & (at < 1)).any():
            curves[edge] = (eta, np.column_stack([across, np.where(visible, at, np.nan)]))
    placed: list[np.ndarray] = []
    entries: list[dict[str, Any]] = []
    for i, (edge, (eta, points)) in enumerate(curves.items()):
        dash, symbol = DASHES[i % len(DASHES)], SYMBOLS.get(edge, edge)
        ax.plot(gamma, eta, color="black", lw=width, ls=dash, path_effects=halo(2.4 * width))
        spot = _spot(points, [other for name, (_, other) in curves.items() if name != edge], placed)
        placed.append(spot)
        ax.text(spot[0], spot[1], symbol, transform=ax.transAxes, va="center", fontsize="large", path_effects=halo(3.5),
                ha="left" if spot[0] < 0.06 else "right" if spot[0] > 0.94 else "center")
        entries.append({"color": "black", "lw": width, "ls": dash,
                        "label": f"{symbol} {getattr(predictions[edge], 'drawn', 'predicted')}"})
    if unit.values is None:
        for edge, (_, points) in curves.items():
            if isinstance(predictions[edge], Prediction):
                others = [other for name, (_, other) in curves.items() if name != edge]
                _write_exponents(ax, predictions[edge], unit, gamma, points, others, placed, halo(2.5))
    return entries


def _write_exponents(ax: Axes, prediction: Prediction, unit: Unit, gamma: np.ndarray, points: np.ndarray, others: list[np.ndarray],
                     placed: list[np.ndarray], halo: list[Any]) -> None:
    """Write the exponent of each regime beside the line (n, 2), in axes fractions, turned along it, where that covers nothing else."""
    sizes = np.array([ax.bbox.width, ax.bbox.height])
    for regime in REGIMES:
        try:
            window, exponent = prediction.window(regime, unit.steps, unit.rho), prediction.fraction(regime)
        except ValueError:      # no law in this regime
            continue
        if window is None or prediction.logarithm(regime):
            continue
        law = np.isfinite(points[:, 1]) & (gamma >= window[0]) & (gamma <= window[1])
        if np.count_nonzero(law) < 5 or np.ptp(points[law, 0]) < SHORTEST:
            continue
        line = points[law]
        slope = (line[-1] - line[0]) * sizes
        turn, normal = float(np.degrees(np.arctan2(slope[1], slope[0]))), np.array([-slope[1], slope[0]]) / np.hypot(*slope)
        power = str(exponent) if exponent.denominator <= MOST else f"{float(exponent):.3g}"
        text = r"$\gamma$" if exponent == 1 else rf"$\gamma^{{{power}}}$"
        shift = 9 * ax.figure.dpi / 72 * normal / sizes
        free, spot = max(((_measure_space(point + side * shift, others, placed), tuple(point + side * shift))
                          for point in line[len(line) // 5: -len(line) // 5: 4] for side in (1, -1)), default=(0.0, (0.0, 0.0)))
        if free < APART:
            continue
        placed.append(np.array(spot))
        ax.text(*spot, text, transform=ax.transAxes, rotation=turn, rotation_mode="anchor", ha="center", va="center",
                path_effects=halo)


def _measure_space(spot: np.ndarray, others: list[np.ndarray], placed: list[np.ndarray]) -> float:
    """Return the distance, in axes fractions, from a spot to the nearest other line, letter or frame; 0.15 is enough."""
    nearest = [float(np.min([*spot, *(1 - spot)])) * 1.5]
    nearest += [float(np.nanmin(np.hypot(*(o - spot).T))) for o in others if np.isfinite(o[:, 1]).any()]
    nearest += [float(np.hypot(*(p - spot))) for p in placed]
    return min(*nearest, 0.15)


def _spot(points: np.ndarray, others: list[np.ndarray], placed: list[np.ndarray]) -> np.ndarray:
    """Return the visible point of a line, in axes fractions, farthest from other lines, labels and the frame."""
    points = points[np.isfinite(points[:, 1])]
    space = np.minimum(np.minimum(points, 1 - points).min(axis=1) / 0.08, 1)   # 1: far enough
    for other, enough in [(o[np.isfinite(o[:, 1])], 0.15) for o in others] + [(p[None], 0.3) for p in placed]:
        distance = np.hypot(*(points[:, None] - other[None]).T).min(axis=0)
        space *= 0.05 + np.minimum(distance / enough, 1)                        # lines may coincide: never quite 0
    return points[np.argmax(space + 1e-6 * points[:, 0])]
