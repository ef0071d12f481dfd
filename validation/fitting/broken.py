"""Fit a power law with one or two breaks, or none, to the brackets of one edge.

``log10 eta = c + b_0 x + sum_j (b_j - b_{j-1}) w log10(1 + 10^((x - x_j)/w))``, x = log10 gamma: the exponent goes from
``b_{j-1}`` to ``b_j`` around ``x_j`` within about w decades. The form serves to find breaks, not for verdicts: where its
sharpness is not the data's, its exponents' intervals cover 17-33%. Fit each regime in its window instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr
from scipy.optimize import minimize

from validation.arguments import Misuse, choose
from validation.fitting.brackets import SAME, Rows, rows
from validation.fitting.likelihood import Brackets
from validation.fitting.line import least_squares
from validation.fitting.result import FitOutcome, count_points, name_points

FLOOR = 0.29          # of a bracket, the least scatter believed when models are compared: 1/sqrt(12), a cell's own
LEAST = {0: 4, 1: 7, 2: 10}     # uncensored gammas, by number of breaks
SHARPEST, SMOOTHEST = 0.1, 3.0  # w, in decades
NEAR = 0.02           # a regime's window: where the exponent is within this of its limit
STRONG = 6.0          # in BIC (Kass & Raftery, J. Am. Stat. Assoc. 90, 773, 1995)
CUT95 = 3.841         # chi^2 with one degree of freedom


@dataclass(frozen=True, eq=False)
class BrokenFit:
    """A power law with breaks.

    Attributes
    ----------
    outcome, reason : FITTED, or UNDECIDED with one sentence.
    breaks : gamma at each break, none to two.
    intervals : (low, high) of each break, 95% by the profile likelihood; an end is 0 or infinity where the data do not bound it.
    exponents : one more than breaks, from the smallest gamma up; NaN where fewer than two gammas lie in the regime's window: the limit is
        then an extrapolation of the form, not a measurement.
    windows : for each regime the (low, high) gammas where the fitted exponent is within 0.02 of its limit, or None.
    limits : the form's own limits, also where no gamma supports them; what a call of the fit uses.
    smoothness : w in decades, NaN without a break.
    scatter : decades.
    bic : BIC by number of breaks, of the models compared; one more break must lower it by 6.
    edge, gamma, axis : the edge, the gammas used, and what takes their place, as in `PowerLawFit`.
    """

    outcome: FitOutcome
    breaks: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] = ()
    exponents: tuple[float, ...] = ()
    windows: tuple[tuple[float, float] | None, ...] = ()
    smoothness: float = float("nan")
    scatter: float = float("nan")
    bic: dict[int, float] = field(default_factory=dict)
    edge: str = ""
    gamma: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)
    reason: str = ""
    log10_level: float = float("nan")
    axis: str = "gamma"
    limits: tuple[float, ...] = ()

    def __call__(self, gamma: Any) -> np.ndarray:
        """Return the fitted eta at each gamma (shape of `gamma`)."""
        x = np.log10(np.asarray(gamma, dtype=np.float64))
        log = self.log10_level + self.limits[0] * x
        for at, before, after in zip(self.breaks, self.limits, self.limits[1:], strict=False):
            log = log + (after - before) * _bend(x, np.log10(at), self.smoothness)
        return 10.0**log

    @property
    def sentence(self) -> str:
        """The fit in one line."""
        if self.outcome is not FitOutcome.FITTED:
            return f"{self.edge}: no broken power law: {self.reason}"
        words = [f"{b:.3g}" if np.isfinite(b) else f"an exponent that fewer than two {name_points(self.axis)} show" for b in self.exponents]
        text = f"{self.edge}: {'exponent ' if np.isfinite(self.exponents[0]) else ''}{words[0]}"
        for at, (low, high), after in zip(self.breaks, self.intervals, words[1:], strict=True):
            text += f", then {after} beyond {self.axis} = {at:.3g} (95%: {low:.3g} to {high:.3g})"
        return text if self.breaks else f"{text}, no break"


def fit_broken(edges: xr.Dataset, edge: str, breaks: int | None = None) -> BrokenFit:
    """Fit a power law with breaks to all brackets of one edge.

    Parameters
    ----------
    edges, edge : as for `validation.fit`.
    breaks : 0, 1 or 2; None lets BIC choose. BIC is taken on the interval likelihood, so that coarse cells do not mimic
        breaks, with scatter no less than a cell's own: with less, a bend too small to see is bought with the freedom to
        touch every bracket (in up to a third of straight lines).

    Returns
    -------
    BrokenFit : UNDECIDED with fewer uncensored gammas than 4, 7 or 10 for none, one or two breaks.

    Raises
    ------
    Misuse : `validation.fit`'s, or another number of breaks.
    """
    choose("breaks", breaks, (None, 0, 1, 2))
    data = rows(edges, edge)
    two = int((~data.censored).sum())
    if data.x.size and data.x.size == data.offered.size and two == 0:
        raise Misuse(f"edges: {edge} is censored at all {count_points(data.offered.size, data.axis)}, so no exponent can be fitted")
    numbers = (0, 1, 2) if breaks is None else (breaks,)
    able = [k for k in numbers if two >= LEAST[k]]
    if not able:
        reason = f"{count_points(two, data.axis)} have both a lower and an upper bound; {numbers[0]} breaks take {LEAST[numbers[0]]}"
        return BrokenFit(FitOutcome.UNDECIDED, edge=str(edge), gamma=data.gamma, reason=reason, axis=data.axis)
    model = _Model(data)
    fitted = {k: model.best(k) for k in able}
    bic = {k: -2 * value + _parameters(k) * float(np.log(data.x.size)) for k, (value, _, _) in fitted.items()}
    k = able[0]
    for more in able[1:]:
        # BIC does not count the search for a break's place: one more break needs strong evidence
        k = more if bic[more] < bic[k] - STRONG else k
    value, at, w = fitted[k]
    level, limits, scatter = model.coefficients(at, w)
    windows = _windows(data.x, at, w, limits)
    exponents = tuple(b if _supports(data, window) else float("nan") for b, window in zip(limits, windows, strict=True))
    intervals = tuple(model.interval(at, w, value, j) for j in range(k))
    return BrokenFit(FitOutcome.FITTED, tuple(float(10**a) for a in at), intervals, exponents, windows,
                     w if k else float("nan"), scatter, bic, str(edge), data.gamma, log10_level=level, axis=data.axis, limits=limits)


def _supports(data: Rows, window: tuple[float, float] | None) -> bool:
    """Return whether at least two gammas lie in the window of a regime."""
    if window is None:
        return False
    return int(np.count_nonzero((data.gamma >= window[0] * (1 - SAME)) & (data.gamma <= window[1] * (1 + SAME)))) >= 2


def _parameters(k: int) -> int:
    return 3 + 2 * k + (k > 0)      # level, slope, scatter; a break and a slope each; one smoothness


def _bend(x: np.ndarray, at: float, w: float) -> np.ndarray:
    """Return w log10(1 + 10^((x - at)/w)): 0 far below `at`, x - at far above."""
    return w * np.logaddexp(0.0, np.log(10.0) * (x - at) / w) / np.log(10.0)


def _windows(x: np.ndarray, at: tuple[float, ...], w: float, b: tuple[float, ...]) -> tuple[tuple[float, float] | None, ...]:
    if not at:
        return ((float(10 ** x[0]), float(10 ** x[-1])),)
    fine = np.linspace(x[0], x[-1], 2001)
    local = b[0] + sum((after - before) / (1 + 10.0 ** -np.clip((fine - a) / w, -300, 300))
                       for a, before, after in zip(at, b, b[1:], strict=False))
    found: list[tuple[float, float] | None] = []
    for j, limit in enumerate(b):
        inside = np.abs(local - limit) <= NEAR
        inside &= fine <= at[j] if j < len(at) else True
        inside &= fine >= at[j - 1] if j else True
        here = fine[inside]
        found.append((float(10 ** here[0]), float(10 ** here[-1])) if here.size else None)
    return tuple(found)


class _Model:
    """The likelihood of broken power laws for one set of rows; each fixed (breaks, w) is a concave problem."""

    def __init__(self, data: Rows):
        two = ~data.censored
        self.x, middle, width = data.x, data.middle[two], data.width[two]
        self.centre = float(self.x.mean())
        self.line, _, self.s = least_squares(self.x[two], middle, width, 0.95)
        # the line's residual may be bends, not scatter: neighbours' differences set the scale
        rough = np.diff(middle - self.line * self.x[two], 2)
        self.s = float(np.sqrt(max(np.mean(rough**2) / 6, np.mean(width**2) / 12)))
        self.base = float(np.mean(middle - self.line * (self.x[two] - self.centre)))
        shift = self.base + self.line * (self.x - self.centre)
        self.brackets = Brackets((data.lower - shift) / self.s, (data.upper - shift) / self.s,
                                 most=self.s / (FLOOR * float(np.median(width))))
        self.seen = self.x[two]

    def columns(self, at: tuple[float, ...], w: float) -> np.ndarray:
        return np.stack([np.ones_like(self.x), self.x - self.centre, *(_bend(self.x, a, w) for a in at)])

    def climb(self, at: tuple[float, ...], w: float) -> tuple[float, np.ndarray]:
        columns = self.columns(at, w)
        seen = np.isfinite(self.brackets.low) & np.isfinite(self.brackets.high)
        middle = 0.5 * (self.brackets.low[seen] + self.brackets.high[seen])
        guess, *_ = np.linalg.lstsq(columns[:, seen].T, middle, rcond=None)
        sigma = max(1.0, float(np.std(middle - guess @ columns[:, seen])))
        return self.brackets.climb(columns, np.append(guess, 1.0) / sigma)

    def best(self, k: int) -> tuple[float, tuple[float, ...], float]:
        """Return the greatest log likelihood with k breaks, the breaks and w: a scan, then a simplex from its best."""
        if k == 0:
            return self.climb((), 1.0)[0], (), 1.0
        # three gammas on the outer sides of every break
        inner = np.linspace(self.seen[2], self.seen[-3], 17 if k == 1 else 12)
        scan = [(self.climb(at, w)[0], at, w) for w in (0.2, 0.6, 1.5)
                for at in combinations(map(float, inner), k)]
        _, at, w = max(scan)
        low, high = float(self.seen[1]), float(self.seen[-2])

        def lacks(p: np.ndarray) -> float:
            places, smooth = tuple(float(v) for v in p[:-1]), float(np.exp(p[-1]))
            if min(places) < low or max(places) > high or not SHARPEST <= smooth <= SMOOTHEST or list(places) != sorted(places):
                return 1e10
            return -self.climb(places, smooth)[0]

        start = np.array([*at, np.log(w)])
        steps = np.vstack([start, start + np.diag([0.5 * (inner[1] - inner[0])] * k + [-0.4])])
        found = minimize(lacks, start, method="Nelder-Mead",
                         options={"xatol": 1e-3, "fatol": 1e-4, "maxfev": 60 * (k + 1), "initial_simplex": steps})
        return -float(found.fun), tuple(float(v) for v in found.x[:-1]), float(np.exp(found.x[-1]))

    def coefficients(self, at: tuple[float, ...], w: float) -> tuple[float, tuple[float, ...], float]:
        """Return the level at x = 0, the exponents and the scatter."""
        _, theta = self.climb(at, w)
        c = theta[:-1] / theta[-1] * self.s
        slope = self.line + c[1]
        level = self.base + c[0] - slope * self.centre
        scatter = 0.0 if theta[-1] >= self.brackets.most else float(self.s / theta[-1])
        return float(level), tuple(float(v) for v in slope + np.concatenate([[0], np.cumsum(c[2:])])), scatter

    def interval(self, at: tuple[float, ...], w: float, top: float, j: int) -> tuple[float, float]:
        """Return the 95% interval of break j in gamma: where the profile over the rest is within the cut of its greatest."""
        widths = w * np.array([1.0, 0.7, 1.4, 0.5, 2.0])
        widths = widths[(widths >= SHARPEST) & (widths <= SMOOTHEST)]

        def inside(place: float) -> bool:
            moved = (*at[:j], place, *at[j + 1:])
            if list(moved) != sorted(moved):
                return False
            return any(2 * (top - self.climb(moved, float(v))[0]) <= CUT95 for v in widths)

        ends = []
        for side, rim in ((-1, float(self.x[0])), (1, float(self.x[-1]))):
            good, step = at[j], 0.02 * float(self.x[-1] - self.x[0])
            bad = good
            while True:                                        # outward until the likelihood has fallen
                bad = good + side * step
                if side * (bad - rim) >= 0:
                    bad = rim
                if not inside(bad):
                    break
                if bad == rim:
                    ends.append(0.0 if side < 0 else np.inf)
                    break
                good, step = bad, 1.5 * step
            if len(ends) == (0 if side < 0 else 1):
                for _ in range(7):
                    middle = 0.5 * (good + bad)
                    good, bad = (middle, bad) if inside(middle) else (good, middle)
                ends.append(float(10**bad))                    # the outer side: the interval is not to be too short
        return ends[0], ends[1]
