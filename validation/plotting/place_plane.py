"""Draw the plane around one network: its gamma, the crossing between lazy and rich, brackets of the highest rate, lazy edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from validation.plotting.figures import NARROW, blank, set_font
from validation.plotting.style import DASHES, SYMBOLS, label_decades

Axes = Any          # matplotlib's; only validation.plotting.figures may name them
Figure = Any
MARGIN = 0.7        # decades around what is drawn
INK, BAND, BAR, GIVEN = "black", "#d9d9d9", "#1a5fa3", "#d95f1e"
POINTS = 200
TWO_COLUMNS = 0.6   # inches of a figure for each point of its letters, from which on two columns of the legend fit


def draw_place(brackets: Sequence[tuple[float, float, float]], crossing: float | None, interval: tuple[float, float] | None,
               levels: Mapping[str, float], lazy_below: float | None, given: float | None, eta: float | None, width: float = 3.4) -> Figure:
    """Return a figure of `width` inches, free of pyplot, with what `draw_around` draws; its legend stands beneath the axes."""
    with set_font(size := 7 if width <= NARROW else 10):
        figure = blank(width, 1.05 * width)
        draw_around(figure.add_subplot(), brackets, crossing, interval, levels, lazy_below, given, eta)
        add_legend(figure, size)
    return figure


def add_legend(figure: Figure, size: float) -> None:
    """Put the legend, in letters of `size` points, beneath the axes of a figure, in two columns where it is wide enough."""
    columns = 2 if figure.get_figwidth() >= TWO_COLUMNS * size else 1
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False, fontsize=size)


def draw_around(ax: Axes, brackets: Sequence[tuple[float, float, float]], crossing: float | None, interval: tuple[float, float] | None,
                levels: Mapping[str, float], lazy_below: float | None, given: float | None, eta: float | None) -> None:
    """Draw the plane of gamma and eta around a network, which lies at gamma = 1.

    Parameters
    ----------
    ax : matplotlib axes.
    brackets : (gamma, low, high) of the highest rate that trains.
    crossing, interval : the gamma between lazy and rich, and its interval; None: not drawn.
    levels : eta over gamma squared of each lazy edge.
    lazy_below : where these lines end; None: they are not drawn.
    given, eta : a rate that was given, and a rate to use, both at gamma = 1; None: not drawn.
    """
    gammas = [1.0, *(b[0] for b in brackets), *((crossing,) if crossing else ())]
    low, high = min(gammas) / 10**MARGIN, max(gammas) * 10**MARGIN
    ax.set(xscale="log", yscale="log", xlim=(low, high), xlabel="richness  γ", ylabel="learning rate  η")
    if crossing is not None:
        if interval is not None:
            ax.axvspan(*interval, color=BAND, lw=0)
        ax.axvline(crossing, color=INK, lw=1, ls=DASHES[2], label="crossing between lazy and rich")
    ax.axvline(1.0, color=INK, lw=1, label="the network as it is")
    rates = [r for r in (given, eta, *(e for b in brackets for e in b[1:])) if r is not None]
    end = None if lazy_below is None else min(lazy_below, high)
    for i, (edge, level) in enumerate(levels.items()):
        if end is not None and end > low and np.isfinite(level):
            line = np.geomspace(low, end, POINTS)
            ax.plot(line, level * line**2, color=INK, lw=1.2, ls=DASHES[1 + 2 * (i % 2)],
                    label=f"{SYMBOLS.get(edge, edge)} predicted, lazy")
            rates.append(level * end**2)
    for i, (gamma, lower, upper) in enumerate(brackets):
        middle = float(np.sqrt(lower * upper))
        ax.errorbar([gamma], [middle], yerr=[[middle - lower], [upper - middle]], color=BAR, lw=3, capsize=5, capthick=1.5, fmt="none",
                    label=None if i else "highest rate that trains, bracket")
    if eta is not None:
        ax.plot([1.0], [eta], "s", color=BAR, mfc="white", ms=6, label="a rate to use")
    if given is not None:
        ax.plot([1.0], [given], "D", color=GIVEN, ms=5, label="the given rate")
    if rates:
        ax.set_ylim(min(rates) / 10**MARGIN, max(rates) * 10**MARGIN)
    else:
        ax.set_yticks([])
        ax.text(0.5, 0.5, "no rate was determined", transform=ax.transAxes, ha="center")
    label_decades(ax, "x", "y")
