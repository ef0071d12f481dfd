"""Draw orbit diagrams: the attractor over the learning rate at one gamma, and its Lyapunov exponent beneath."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse, between, positive

LEAST = -2.0      # of the exponents that are drawn: near superstable cycles they fall without bound


def draw_orbits(orbits: xr.Dataset, changes: xr.Dataset | None = None, variable: str = "attractor", unit: float = 1.0,
                width: float = 7.5, label: str | None = None) -> Any:
    """Return a new matplotlib figure, free of pyplot: the points of the attractors over eta, and the Lyapunov exponents beneath.

    Parameters
    ----------
    orbits : of `orbit`, at one gamma and over eta, with points.
    changes : of `find_period_changes`, drawn as vertical lines with the period that begins there.
    variable : "attractor", which is f, or the name of a parameter.
    unit : the rate by which eta is divided, that at which the minimum becomes unstable; 1 for eta itself.
    width : of the figure, in inches; up to 5, as in one column of a paper, letters are small.
    label : of the rates in this unit; None: that of eta, or of eta over the rate at which the minimum becomes unstable.

    Raises
    ------
    Misuse : orbits without the variable over (eta, point), with fewer than two rates, changes of another function, a unit that is not
        above zero, a width that is not from 2 to 40.
    """
    from validation.plotting.figures import NARROW, blank, set_font

    if variable not in orbits or orbits[variable].dims != ("eta", "point"):
        raise Misuse(f"orbits must have a variable {variable!r} over (eta, point): at one gamma, over an axis of eta, with points")
    if orbits.sizes["eta"] < 2:
        raise Misuse("orbits must hold at least two rates; they hold one")
    if changes is not None and ("eta" not in changes or changes["eta"].dims != ("period",)):
        raise Misuse(f"changes must be those of toymodels.find_period_changes, not {changes!r}")
    unit = float(positive("unit", unit))
    between("width", width, 2, 40)
    with set_font(7 if width <= NARROW else 10):
        return _draw(blank(width, (1.05 if width <= NARROW else 0.72) * width), orbits, changes, variable, unit, label)


def _draw(figure: Any, orbits: xr.Dataset, changes: xr.Dataset | None, variable: str, unit: float, label: str | None) -> Any:
    """Draw the two panels into a figure, and return it."""
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    eta = orbits["eta"].values / unit
    values = orbits[variable].values
    x, y = np.broadcast_to(eta[:, None], values.shape)[np.isfinite(values)], values[np.isfinite(values)]
    upper.plot(x, y, ",", color="black", rasterized=True)
    lyapunov = orbits["lyapunov"].values
    lower.plot(eta, np.clip(lyapunov, LEAST, None), color="black", lw=0.7)
    lower.fill_between(eta, 0, lyapunov, where=lyapunov > 0, color="#d95f1e", lw=0)
    lower.axhline(0, color="0.4", lw=0.7)
    lower.set(xlim=(eta[0], eta[-1]), ylim=(LEAST, None), ylabel="Lyapunov exponent", xlabel=label or _label_rate(unit))
    name = "f" if variable == "attractor" else variable
    upper.set(ylabel=f"${name}$ on the attractor", title=f"γ = {float(orbits['gamma']):g}")
    if changes is not None:
        _mark_changes((upper, lower), changes, unit, eta)
    return figure


def _label_rate(unit: float) -> str:
    return "learning rate  η" if unit == 1 else r"$\eta \lambda/2$,  $\lambda$ at the minimum"


def _mark_changes(axes: tuple[Any, ...], changes: xr.Dataset, unit: float, eta: np.ndarray) -> None:
    """Draw a line where each period begins, and its number above it where it fits."""
    last = -np.inf
    for period, rate in zip(changes["period"].values, changes["eta"].values / unit, strict=True):
        if not eta[0] < rate < eta[-1]:
            continue
        for ax in axes:
            ax.axvline(rate, color="#1a5fa3", lw=0.7, ls=(0, (4, 2)))
        if rate - last > 0.03 * (eta[-1] - eta[0]):
            axes[0].annotate(str(period), (rate, 1), xycoords=("data", "axes fraction"), xytext=(2, -10), textcoords="offset points",
                             color="#1a5fa3", fontsize="small",
                             bbox={"facecolor": "white", "linewidth": 0, "pad": 0.6})
            last = rate
