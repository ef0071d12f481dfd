"""Draw one edge over gamma, with fits, prediction and residuals, into given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from validation.fitting.brackets import conditions, measured_axis
from validation.fitting.result import write_exponent
from validation.outcome import Outcome
from validation.plotting.style import COLOURS, INK, SYMBOLS, label_decades
from validation.printable import escape_math

if TYPE_CHECKING:
    import xarray as xr

NEAR = 0.05   # a verdict belongs to the fit of the same edge with the nearest exponent, if it is at least as near as this
Axes = Any   # matplotlib's; only validation.plotting.figures may name it


def draw_edge(top: Axes, bottom: Axes, edges: xr.Dataset, edge: str, fits: list[Any], prediction: Any,
               verdicts: list[Any]) -> None:
    """Draw one edge: brackets, fits and prediction in `top`, the same in decades from the prediction in `bottom`.

    Parameters
    ----------
    top, bottom : axes that share gamma.
    edges, edge : as in `validation.plotting.figures.plot_edges`, and which of them.
    fits, prediction, verdicts : those of this edge alone.
    """
    eta = edges["eta"].sel(edge=edge).transpose(..., "gamma", "bound")
    gamma = np.broadcast_to(edges["gamma"].values.astype(float), eta.shape[:-1]).ravel()
    low, high = (eta.sel(bound=b).values.ravel() for b in ("lower", "upper"))
    fits = [f for f in fits if np.isfinite(f.exponent)]   # an undecided fit has no line
    steps, rho = conditions(edges)

    def reference(g: np.ndarray) -> np.ndarray:
        """Return the curve that residuals are relative to: the prediction, else the first fit, else 1."""
        if prediction is not None:
            with np.errstate(all="ignore"):
                return np.asarray(prediction(g, steps or 1000, 0.01 if rho is None else rho), dtype=float)
        return fits[0](g) if fits else np.ones_like(g)

    fine = np.geomspace(gamma.min(), gamma.max(), 401)
    base = reference(gamma)
    with np.errstate(all="ignore"):
        residual = np.log10(low / base), np.log10(high / base)
    top.set(xscale="log", yscale="log", title=SYMBOLS.get(edge) or escape_math(edge), ylabel="learning rate  η")
    top.margins(y=0.16)   # space for the exponents
    _draw_brackets(top, gamma, low, high)
    _draw_brackets(bottom, gamma, *residual)
    if prediction is not None:
        top.plot(fine, reference(fine), color="black", lw=1, ls=(0, (6, 2)), label=getattr(prediction, "drawn", "predicted"))
    bottom.axhline(0, color="black", lw=1, ls=(0, (6, 2)) if prediction is not None else "-")
    inside, sizes = np.zeros(gamma.shape, dtype=bool), []
    for i, fit in enumerate(fits):
        first, last = fit.span
        inside |= (gamma >= first) & (gamma <= last)
        span = np.geomspace(first, last, 51)
        line = fit(span)
        top.plot(span, line, color=COLOURS[Outcome.CONVERGED], lw=2.2, label="fit, exponent ± 95%" if i == 0 else None)
        with np.errstate(all="ignore"):
            off = np.log10(line / reference(span))
        bottom.plot(span, off, color=COLOURS[Outcome.CONVERGED], lw=2.2)
        sizes.append(np.abs(off))
        for ax in (top, bottom):
            ax.axvspan(span[0], span[-1], color=COLOURS[Outcome.UNTRAINED], zorder=0,
                       label="window of a fit" if ax is top and i == 0 else None)
        _write_exponent(top, span, line, fit, verdicts)
    # the scale is that of the windows: a prediction may be far off outside of them
    size = np.concatenate([*sizes, *(np.abs(r[inside] if inside.any() else r) for r in residual)])
    limit = 1.2 * max(size[np.isfinite(size)].max(initial=0.0), 1e-9)
    if prediction is not None or fits:
        bottom.set_ylim(-limit, limit)
        _mark_beyond(bottom, gamma, residual, limit)
    top.tick_params(labelbottom=False)
    label_decades(top, "x", "y")
    name = measured_axis(edges)
    bottom.set(xlabel="richness  γ" if name == "gamma" else escape_math(name),
               ylabel="decades from\n" + ("prediction" if prediction is not None else "fit" if fits else "η = 1"))


def _mark_beyond(ax: Axes, gamma: np.ndarray, residual: tuple[np.ndarray, np.ndarray], limit: float) -> None:
    """Draw a triangle on the rim at each gamma whose bracket lies beyond the axes: it is not missing."""
    low, high = residual
    for beyond, at, mark in (((low > limit) | (np.isnan(low) & (high > limit)), 0.96, "^"),
                             ((high < -limit) | (np.isnan(high) & (low < -limit)), 0.04, "v")):
        ax.plot(gamma[beyond], np.full(int(beyond.sum()), at), mark, ms=3.5, color="0.2", mfc="0.2", transform=ax.get_xaxis_transform(),
                clip_on=False, zorder=4)


def _draw_brackets(ax: Axes, gamma: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Draw brackets as bars with a dot at either end, and those known on one side only as an arrow away from it."""
    both = np.isfinite(low) & np.isfinite(high)
    ink: dict[str, Any] = {"color": "0.2", "zorder": 3}
    ax.vlines(gamma[both], low[both], high[both], lw=1, label="bracket" if both.any() else "", **ink)
    for known, mark in ((low, "^"), (high, "v")):
        ax.plot(gamma[both], known[both], ".", ms=2.5, **ink)
        alone = np.isfinite(known) & ~both
        ax.plot(gamma[alone], known[alone], mark, ms=4, mfc="white", label="censored" if alone.any() else None, **ink)


def _write_exponent(ax: Axes, gamma: np.ndarray, line: np.ndarray, fit: Any, verdicts: list[Any]) -> None:
    """Write the fitted exponent with its interval, and the verdict on it, beside the middle of the fitted line."""
    verdict = _verdict_on(fit, verdicts)
    word = str(getattr(verdict.outcome, "name", verdict.outcome)) if verdict is not None else ""
    factor = r"\,|\ln\gamma|" if getattr(fit, "logarithm", False) else ""
    axis = getattr(fit, "axis", "gamma")
    name = r"\gamma" if axis == "gamma" else axis if len(axis) == 1 and axis.isalpha() else ""
    value, _, half = write_exponent(fit.exponent, fit.interval).partition(" ± ")      # without a half where the interval has no end
    text = f"{'' if name else escape_math(axis)}${name}^{{\\,{value}}}{factor}$" + f" ± {half}" * bool(half)
    middle = gamma.size // 2
    left = ax.transAxes.inverted().transform(ax.transData.transform((gamma[middle], line[middle])))[0] < 0.5
    below = left == (line[-1] >= line[0])   # towards the middle of the axes, and away from the line
    ax.annotate(text + f"\n{word}" * bool(word), (gamma[middle], line[middle]), (8 if left else -8, -8 if below else 8),
                textcoords="offset points", ha="left" if left else "right", va="top" if below else "bottom", zorder=5,
                fontsize="small", color=INK.get(word, "black"),
                bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1})


def _verdict_on(fit: Any, verdicts: list[Any]) -> Any:
    """Return the verdict on this fit, which may use fewer gammas (only those with a prediction); None if there is none."""
    def distance(verdict: Any) -> float:
        return abs(verdict.measured - fit.exponent) if np.isfinite(verdict.measured) else np.inf

    nearest = min(verdicts, key=distance, default=None)
    if nearest is not None and distance(nearest) <= NEAR:
        return nearest
    regime = "lazy" if fit.window[1] <= 1 else "rich" if fit.window[0] >= 1 else ""
    return next((v for v in verdicts if not np.isfinite(v.measured) and getattr(v, "regime", None) == regime), None)
