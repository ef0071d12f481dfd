"""Draw runs that exist over x and the learning rate: points by outcome, brackets as bars, fits with their bands."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.fitting.brackets import rows
from validation.fitting.result import PowerLawFit, write_exponent
from validation.plotting.figures import blank, set_font
from validation.plotting.style import DASHES, SYMBOLS, label_decades
from validation.printable import escape_math, shorten
from validation.runs.run_status import DIVERGED, FINISHED, UNKNOWN

if TYPE_CHECKING:
    import xarray as xr

    from validation.judging.runs_over_two_scales import JudgedPlane
    from validation.judging.runs_that_exist import JudgedRuns

Axes = Any   # matplotlib's; only validation.plotting.figures may name it
NARROW = 5.0            # inches
BAR = 0.08              # of the distance of neighbouring x, in decades, by which the bars of two edges stand apart
DRAWN = ("eta_opt", "eta_max")      # edges; eta_min is measured only
LONGEST = 120
LETTERS, LETTERS_SMALL = 9, 13       # of a title, in an inch
COLOUR = {"eta_opt": "#1a5fa3", "eta_max": "#9c3d0f"}      # dark enough on white, and of different lightness
FINE = 65


def draw_judged_runs(judged: JudgedRuns, title: str = "", width: float = 7.6) -> Any:
    """Return a figure, free of pyplot, of the runs of one group.

    Parameters
    ----------
    judged : as from `validation.judge_runs`.
    title : above the axes.
    width : in inches; up to 5, as in one column of a paper, letters are small.
    """
    with set_font(7 if width <= NARROW else 10):
        figure = blank(width, (1.0 if width <= NARROW else 0.7) * width)
        ax = figure.add_subplot()
        draw_runs_and_laws(ax, judged)
        ax.set_title(_fill_title(title, width), fontsize="medium")
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize="small")
    return figure


def draw_runs_and_laws(ax: Axes, judged: JudgedRuns) -> None:
    """Draw the runs of one group, the brackets of their edges and the fitted laws into axes."""
    draw_points(ax, judged.runs, judged.trained)
    step = _find_step(judged.runs["x"].values)
    for i, edge in enumerate(name for name in DRAWN if name in judged.edges):
        shift = (i + 1) * BAR * step
        _draw_brackets(ax, rows(judged.edges[edge], edge), edge, shift)
        if "interpolated" in judged.edges[edge]:
            _draw_narrow_brackets(ax, judged.edges[edge], edge, shift)
        _draw_fit(ax, judged.fits[edge], edge, DASHES[i])
    attrs = judged.runs.attrs
    ax.set(xscale="log", yscale="log", xlabel=escape_math(shorten(str(attrs.get("axis", "x")), LONGEST)),
           ylabel=escape_math(shorten(str(attrs.get("eta_name", "eta")), LONGEST)))
    label_decades(ax, "x", "y")
    _label_values(ax, np.unique(judged.runs["x"].values))


def draw_two_scales(judged: JudgedPlane, title: str = "", width: float = 7.6) -> Any:
    """Return a figure, free of pyplot, of the best rate over each of two scales, moved along the fitted law to the middle of the other.

    Parameters
    ----------
    judged : as from `validation.judging.runs_over_two_scales.judge_two_scales`.
    title, width : as of `draw_judged_runs`; up to 5 inches the panels are one above the other.
    """
    small = width <= NARROW
    with set_font(7 if small else 10):
        figure = blank(width, (1.7 if small else 0.6) * width)
        axes = figure.subplots(*((2, 1) if small else (1, 2)))
        names = list(judged.law.fits)
        for ax, name, other in zip(axes, names, names[::-1], strict=True):
            law = judged.law.fits[name]
            if np.isfinite(law.exponent):
                with np.errstate(divide="ignore"):
                    low, high = (np.log10(np.where(np.isnan(end), fill, end)) for end, fill in ((law.lower, 0.0), (law.upper, np.inf)))
                _draw_brackets(ax, _Bars(np.log10(law.gamma), low, high), "eta_opt", 0.0)
                _draw_fit(ax, law, "eta_opt", DASHES[0])
            ax.set(xscale="log", yscale="log", xlabel=escape_math(shorten(name, LONGEST)),
                   ylabel=escape_math(shorten(f"{judged.runs.attrs.get('eta_name', 'eta')} at the middle {other}", LONGEST)))
            label_decades(ax, "x", "y")
            if ax.get_legend_handles_labels()[0]:
                ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
        figure.suptitle(_fill_title(title, width), fontsize="medium")
    return figure


def _fill_title(title: str, width: float) -> str:
    """Return a title in as many lines as it takes in a figure of a width in inches."""
    letters = int(width * (LETTERS_SMALL if width <= NARROW else LETTERS))
    return "\n".join(escape_math(line) for line in wrap(shorten(title, LONGEST), letters))


@dataclass(frozen=True)
class _Bars:
    """Brackets to draw, (n,) each, in decades."""

    x: np.ndarray
    lower: np.ndarray
    upper: np.ndarray

    @property
    def censored(self) -> np.ndarray:
        return ~(np.isfinite(self.lower) & np.isfinite(self.upper))


def draw_points(ax: Axes, runs: xr.Dataset, trained: np.ndarray | None = None) -> None:
    """Draw one mark for each run, by its outcome: shapes differ, so that colours are not needed."""
    x, eta, status = runs["x"].values, runs["eta"].values, runs["status"].values
    finished = status == FINISHED
    kinds: list[tuple[np.ndarray, str, dict[str, Any]]] = []
    if trained is None:
        kinds.append((finished, "finished", {"marker": "o", "color": "0.35", "ms": 4}))
    else:
        kinds += [(finished & trained, "trained", {"marker": "o", "color": "0.35", "ms": 4}),
                  (finished & ~trained, "not trained", {"marker": "o", "color": "0.35", "mfc": "white", "ms": 4})]
    kinds += [(status == DIVERGED, "diverged", {"marker": "x", "color": "0.35", "ms": 5}),
              (status == UNKNOWN, "unknown", {"marker": "$?$", "color": "black", "ms": 7, "zorder": 5})]
    for chosen, label, mark in kinds:
        if chosen.any():
            ax.plot(x[chosen], eta[chosen], ls="", label=label, **({"zorder": 2} | mark))


def _find_step(x: np.ndarray) -> float:
    """Return the least distance of two values of x, in decades."""
    apart = np.diff(np.log10(np.unique(x)))
    return float(apart[apart > 1e-6].min(initial=1.0)) if apart.size else 1.0


def _draw_brackets(ax: Axes, data: Any, edge: str, shift: float) -> None:
    """Draw brackets as bars beside the points, `shift` decades to the right, an open end as an arrow."""
    x = 10 ** (data.x + shift)
    low, high = 10**data.lower, np.where(np.isfinite(data.upper), 10**data.upper, np.inf)
    both = ~data.censored
    ink: dict[str, Any] = {"color": COLOUR[edge], "zorder": 3}
    name = f"bracket of the {'best' if edge == 'eta_opt' else 'highest'} rate"
    if both.any():
        middle = np.sqrt(low[both] * high[both])
        ax.errorbar(x[both], middle, (middle - low[both], high[both] - middle), ls="", elinewidth=1.4, capsize=3, label=name, **ink)
    for known, mark in ((low, "^"), (high, "v")):
        alone = np.isfinite(known) & (known > 0) & ~both
        if alone.any():
            ax.plot(x[alone], known[alone], ls="", marker=mark, ms=6, mfc="white",
                    label=f"{'above' if mark == '^' else 'below'} this ({name.split(' of ')[1]})", **ink)


def _draw_narrow_brackets(ax: Axes, edges: xr.Dataset, edge: str, shift: float) -> None:
    """Draw the brackets to which a line is fitted as thick bars on the wide ones."""
    data = rows(edges.assign(eta=edges["interpolated"]), edge)
    both = ~data.censored
    if both.any():
        ax.vlines(10 ** (data.x[both] + shift), 10 ** data.lower[both], 10 ** data.upper[both], lw=4, color=COLOUR[edge], zorder=3,
                  label="best rate, interpolated")


def _draw_fit(ax: Axes, law: PowerLawFit, edge: str, dash: Any) -> None:
    """Draw a fitted line over its window, and the lines of all slopes in its 95% interval as a band."""
    if not np.isfinite(law.exponent):
        return
    x = np.geomspace(*law.span, FINE)
    off = np.log10(x) - law.log10_centre
    level = law.log10_level + law.exponent * off
    name = SYMBOLS.get(edge, edge)
    axis = escape_math(law.axis) if law.axis != "gamma" else "γ"
    ax.plot(x, 10**level, color=COLOUR[edge], lw=1.6, ls=dash, zorder=4,
            label=f"{name} ~ {axis}^{write_exponent(law.exponent, law.interval)}")
    if np.isfinite(law.interval).all():
        turned = [(slope - law.exponent) * off for slope in law.interval]
        ax.fill_between(x, 10 ** (level + np.minimum(*turned)), 10 ** (level + np.maximum(*turned)), color=COLOUR[edge], alpha=0.18, lw=0,
                        zorder=1, label=f"slopes of the 95% interval, {name}")


def _label_values(ax: Axes, x: np.ndarray) -> None:
    """Label x by the values that were run, where they are few."""
    if x.size <= 10 and x.size > 0:
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.set_xticks([], minor=True)
