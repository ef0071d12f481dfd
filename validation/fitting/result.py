"""PowerLawFit: a fitted exponent with its intervals, window and method.

A fit without an exponent has the same type, with `FitOutcome.UNDECIDED` and the reason.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.fitting.bending import Bend
from validation.prediction import Prediction

if TYPE_CHECKING:
    from validation.fitting.loss_floor import FloorLaw

WHOLE = 1e6        # whole numbers from here on are rounded
NOTHING = (float("nan"), float("nan"))


class FitOutcome(StrEnum):
    """Whether the data determined an exponent."""

    FITTED = "FITTED"
    UNDECIDED = "UNDECIDED"


def _empty() -> np.ndarray:
    return np.empty(0)


@dataclass(frozen=True, eq=False)
class PowerLawFit:
    """``eta = prefactor * gamma**exponent`` on a window, with its intervals and the rows it was fitted to.

    Attributes
    ----------
    exponent : the best exponent; NaN where there is none.
    interval, interval90 : (low, high) of the exponent, 95% and 90%.
    prefactor : eta at gamma = 1 (in the units of eta; with `logarithm`, of eta over ``|ln gamma|``). Far from the window
        it is an extrapolation: `log10_level` at `log10_centre` is the well-conditioned pair.
    window : (low, high) in gamma; both ends belong to it. NaN where there is none.
    n, n_censored : gammas used, and how many of them have only one end.
    outcome, reason : FITTED, or UNDECIDED with one sentence. Where the edge bends, exponent and intervals are given nevertheless.
    scatter : standard deviation of log10 eta about the line, in decades, beyond what the brackets explain.
    method : of the fit and its interval, in words.
    axis : what takes the place of gamma: "gamma", "T", "time", "width", ...
    point : what one row is called, if not by the axis: "bin".
    gamma, lower, upper : shape (n,), the rows used, along the axis and in the units given; an end is NaN where censored.
    steps, rho : the horizon T and the threshold of the edge, None where the data do not give them.
    edge : the edge's name.
    deterministic : whether the data were declared free of scatter.
    logarithm : whether the law has the factor ``|ln gamma|``.
    floor, floor_interval : what is added to the power law, and its 95% interval; NaN where none was fitted.
    floor_law : of a loss that was fitted without a floor, the law with one; None if there are too few bins.
    curve : the prediction over which the edge was fitted, None where there was none.
    seed_count : seeds.
    shared : whether errors were allowed to be correlated along the axis.
    bend : what the rows tell of a bend, None where they are too few; over `curve`, of a bend against it.
    copies : whether all brackets are one cell moved along a line, so that they are one measurement.
    """

    exponent: float
    interval: tuple[float, float]
    interval90: tuple[float, float]
    prefactor: float
    window: tuple[float, float]
    n: int
    n_censored: int
    outcome: FitOutcome
    reason: str = ""
    scatter: float = float("nan")
    method: str = ""
    gamma: np.ndarray = field(default_factory=_empty, repr=False)
    lower: np.ndarray = field(default_factory=_empty, repr=False)
    upper: np.ndarray = field(default_factory=_empty, repr=False)
    steps: int | None = None
    rho: float | None = None
    edge: str = ""
    logarithm: bool = False
    deterministic: bool = False
    log10_centre: float = float("nan")
    log10_level: float = float("nan")
    axis: str = "gamma"
    point: str = ""
    floor: float = float("nan")
    floor_interval: tuple[float, float] = NOTHING
    floor_law: FloorLaw | None = field(default=None, repr=False)
    curve: Prediction | None = None
    seed_count: int = 1
    shared: bool = True
    bend: Bend | None = None
    copies: bool = False

    def __call__(self, gamma: Any) -> np.ndarray:
        """Return the fitted eta at each gamma (shape of `gamma`)."""
        gamma = np.asarray(gamma, dtype=np.float64)
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            log = self.log10_level + self.exponent * (np.log10(gamma) - self.log10_centre)
            return 10.0**log * (np.abs(np.log(gamma)) if self.logarithm else 1.0) + (self.floor if np.isfinite(self.floor) else 0.0)

    @property
    def span(self) -> tuple[float, float]:
        """The first and last value of the axis that was fitted; the window where none was."""
        return (float(self.gamma[0]), float(self.gamma[-1])) if self.n and len(self.gamma) else self.window

    @property
    def counted(self) -> str:
        """How many rows were fitted, and of what: "9 gammas", "11 bins"."""
        return count_points(self.n, self.point or self.axis)

    @property
    def sentence(self) -> str:
        """The fit in one line: edge, window, number of rows, exponent, 95% interval, scatter."""
        where = f"{self.edge}, {self.axis} {self.window[0]:g} to {self.window[1]:g} ({self.counted})"
        if np.isnan(self.exponent):
            return f"{where}: no exponent: {self.reason}"
        low, high = self.interval
        text = f"{where}: exponent {self.exponent:.4g}, 95% interval {low:.4g} to {high:.4g}, scatter {self.scatter:.2g} decades"
        if np.isfinite(self.floor):
            text += f", above a floor of {self.floor:.3g}, {self.floor_interval[0]:.3g} to {self.floor_interval[1]:.3g}"
        return text if self.outcome is FitOutcome.FITTED else f"{text}; but {self.reason}"


def count_decimals(value: float, interval: tuple[float, float] | None) -> int:
    """Return as many decimals as an exponent's interval warrants, 3 to 6."""
    widest = _find_widest(value, interval)
    return min(max(1 - math.floor(math.log10(widest)), 3), 6) if 0 < widest < math.inf else 3


def write_exponent(value: float, interval: tuple[float, float] | None) -> str:
    """Return an exponent with its interval, "1.9985 ± 0.0002", as in tables, figures and reports: its wider side, rounded up.

    "none" for no exponent; without an interval the exponent alone.
    """
    if not math.isfinite(value):
        return "none"
    widest, decimals = _find_widest(value, interval), count_decimals(value, interval)
    if not 0 <= widest < math.inf:
        return f"{value:.{decimals}f}"
    unit = 10.0**-decimals
    return f"{value:.{decimals}f} ± {max(math.ceil(widest / unit - 1e-6), 1) * unit:.{decimals}f}"


def _find_widest(value: float, interval: tuple[float, float] | None) -> float:
    return math.nan if interval is None else max(interval[1] - value, value - interval[0])


def count_points(n: int, axis: str = "gamma") -> str:
    """Return a number of values of an axis in words: "1 gamma", "9 gammas", "7 times" of the axis T, "6 values of eta/gamma"."""
    return f"{n} {name_points(axis, n == 1)}"


def name_points(axis: str, one: bool = False) -> str:
    """Return what values of an axis are called: "gammas", "times", "values of eta/gamma", or `one` of them."""
    name = {"T": "time", "blocks": "depth"}.get(axis, axis)
    end = "" if one else "s"
    return f"{name}{end}" if name.isidentifier() else f"value{end} of {name}"


def write_place(value: float) -> str:
    """Return a value of an axis in three digits, but a whole number, such as a width, in full."""
    return f"{value:.0f}" if 1 <= value < WHOLE and abs(value - round(value)) < 1e-9 * value else f"{value:.3g}"


def build_undecided_fit(reason: str, **known: Any) -> PowerLawFit:
    """Return a fit without an exponent, for the given reason, with the fields that are known."""
    nan = float("nan")
    blank: dict[str, Any] = {"exponent": nan, "interval": NOTHING, "interval90": NOTHING, "prefactor": nan,
                             "window": NOTHING, "n": 0, "n_censored": 0}
    return PowerLawFit(**{**blank, **known, "outcome": FitOutcome.UNDECIDED, "reason": reason})
