"""Find the best rate in bins of x, of runs each of which has an x and a rate of its own, such as a random search.

In a bin the runs lie at different x, and the best rate moves with x. All runs are therefore read relative to one power law: with
``u = log10 eta - a - b log10 x``, log loss is a cubic in u, the same in all bins, plus each bin's own level and shift, plus a slope along x
within bins. The shifts are what the bins differ by from the law; a and b are moved until the shifts have no slope. A cubic that is not the
curve's true shape then errs in all bins alike, since their windows lie at the same u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import polynomial

from validation.fitting.known_errors import PointsAndBrackets

DEGREE = 3         # of the curve's shape
SHARE = 0.6        # of the runs nearest to the law, which a window takes on both sides if it can
NARROWEST = 0.25   # of that window, on one side
RIM = 0.5          # of a window's side: a bin whose runs reach less far has its best rate at the rim
SIDE, BIN = 2, 4   # runs of a bin on each side of its best rate, and in all
LEAST = 3          # bins
SPARE = 5          # degrees of freedom
CURVED = 6.0       # standard errors, by which the common curve is surely curved; of fewer, the law may be one of noise
ROUNDS, FREE_ROUNDS = 30, 6
CLOSE = 1e-3       # of the exponent, and of a window / 20 for the level: the law moves no more


@dataclass(frozen=True)
class BinnedRates:
    """Best rates in bins, in decades: each (bins,), NaN where a bin has none.

    Attributes
    ----------
    centre : the mean of log10 x.
    place, error : log10 of the best rate there, and its standard error.
    exponent : of the law along which the runs of a bin are moved to its centre; NaN where no law was found.
    """

    centre: np.ndarray
    place: np.ndarray
    error: np.ndarray
    exponent: float


def split_evenly(x: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin (n,) of each x, (n,), with equal counts in the order of x."""
    of = np.empty(x.size, dtype=int)
    of[np.argsort(x, kind="stable")] = np.repeat(np.arange(bins), [part.size for part in np.array_split(x, bins)])
    return of


def find_binned_rates(x: np.ndarray, rate: np.ndarray, loss: np.ndarray, of: np.ndarray) -> BinnedRates:
    """Return the best rates of bins.

    Parameters
    ----------
    x, rate, loss : (n,), log10 of each run's; finite.
    of : (n,), the run's bin, 0, 1, ...; each bin has a run.
    """
    count = int(of.max()) + 1
    centre = np.bincount(of, x, count) / np.bincount(of, minlength=count)
    nothing = BinnedRates(centre, np.full(count, np.nan), np.full(count, np.nan), np.nan)
    level, exponent = _guess_law(centre, rate, loss, of)
    for step in range(ROUNDS):
        u = rate - level - exponent * x
        window, near, whole = _choose_window(u, of, count)
        if whole.sum() < LEAST:
            return nothing
        found = _fit_shifts(u[near] / window, x[near] - centre[of[near]], loss[near], (np.cumsum(whole) - 1)[of[near]])
        if found is None:
            return nothing
        shift, error, top, sure = found
        end = np.full(int(whole.sum()), np.inf)
        rows = PointsAndBrackets(centre[whole], window * shift, window * error, -end, end, np.zeros((end.size,) * 2))
        middle = float(centre[whole].mean())
        _, _, [slope] = rows.estimate(np.stack([np.ones_like(rows.x), rows.x - middle], axis=1), np.array([[0.0, 1.0]]))
        size = 1.0 if step < FREE_ROUNDS else 0.5
        turn, lift = size * float(np.clip(slope.value, -0.5, 0.5)), size * window * float(np.clip(top, -0.3, 0.3))
        if abs(turn) < CLOSE and abs(lift) < 20 * CLOSE * window:
            break
        level, exponent = level + lift - turn * middle, exponent + turn
    else:
        return nothing
    if not sure:
        return nothing
    place, spread = np.full(count, np.nan), np.full(count, np.nan)
    place[whole], spread[whole] = level + exponent * centre[whole] + window * (shift + top), window * error
    return BinnedRates(centre, place, spread, exponent)


def _guess_law(centre: np.ndarray, rate: np.ndarray, loss: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """Return level and exponent of the median slope through each bin's least running median (Sen, J. Am. Stat. Assoc. 63, 1379, 1968)."""
    best = np.empty(centre.size)
    for k in range(centre.size):
        order = np.flatnonzero(of == k)[np.argsort(rate[of == k], kind="stable")]
        running = [np.median(loss[order][max(j - 2, 0):j + 3]) for j in range(order.size)]
        best[k] = rate[order][int(np.argmin(running))]
    i, j = np.triu_indices(centre.size, 1)
    apart = centre[j] - centre[i] > 0
    exponent = float(np.median(((best[j] - best[i])[apart]) / (centre[j] - centre[i])[apart])) if apart.any() else 0.0
    return float(np.median(best - exponent * centre)), exponent


def _choose_window(u: np.ndarray, of: np.ndarray, count: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Return a window's half-width, which runs lie in it (n,), and the bins that reach to both of its sides (count,)."""
    wide = float(np.quantile(np.abs(u), SHARE))
    reach = np.array([[-u[of == i].min(), u[of == i].max()] for i in range(count)])
    below, above = np.maximum(np.minimum(wide, np.quantile(reach, 0.1, axis=0)), NARROWEST * wide)
    near = (u >= -below) & (u <= above)
    left, right = (np.bincount(of[near & side], minlength=count) for side in (u < 0, u >= 0))
    whole = (reach >= RIM * np.array([below, above])).all(axis=1) & (np.minimum(left, right) >= SIDE) & (left + right >= BIN)
    return wide, near & whole[of], whole


def _fit_shifts(u: np.ndarray, along: np.ndarray, loss: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, bool] | None:
    """Return the bins' shifts, their standard errors against their mean, the common curve's minimum, and whether it is surely curved.

    All are in units of u; None where there is no minimum.
    """
    count = int(of.max()) + 1
    levels = (of[:, None] == np.arange(count)).astype(float)
    shape = np.stack([u**power for power in range(1, DEGREE + 1)], axis=1)
    design = np.column_stack([levels, shape, along])
    coefficients = np.linalg.lstsq(design, loss, rcond=None)[0]
    curve = np.r_[0.0, coefficients[count:count + DEGREE]]
    slope = polynomial.polyval(u, polynomial.polyder(curve))
    # of a shift s a curve f(u - s) has the derivative -f'
    shifted = np.column_stack([levels * -slope[:, None], levels, shape[:, 1:], along])
    free = loss.size - shifted.shape[1]
    if free < SPARE:
        return None
    rest = loss - design @ coefficients
    moved = np.linalg.lstsq(shifted, rest, rcond=None)[0]
    variance = float(np.sum((rest - shifted @ moved)**2)) / free
    apart = np.eye(count) - 1 / count
    cov = apart @ np.linalg.pinv(shifted.T @ shifted)[:count, :count] @ apart
    roots = polynomial.polyroots(polynomial.polyder(curve)) if curve[1:].any() else np.empty(0)
    roots = roots[np.abs(roots.imag) < 1e-9].real
    bent = polynomial.polyder(curve, 2)
    roots = roots[(polynomial.polyval(roots, bent) > 0) & (np.abs(roots) <= 1)]
    if not roots.size:
        return None
    top = float(roots[np.argmin(polynomial.polyval(roots, curve))])
    by = np.zeros(design.shape[1])
    by[count + 1:count + DEGREE] = [power * (power - 1) * top ** (power - 2) for power in range(2, DEGREE + 1)]
    error = float(np.sqrt(variance * by @ np.linalg.pinv(design.T @ design) @ by))
    sure = bool(polynomial.polyval(top, bent) > CURVED * error)
    return moved[:count], np.sqrt(np.maximum(variance * np.diag(cov), 1e-24)), top, sure
