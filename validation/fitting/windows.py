"""Choose a window from the data: the longest stretch of gamma on which an edge is straight.

Where a `Prediction` exists, the window of its local exponent (`Prediction.window`) is better: a bend hidden in the brackets biases
a window chosen from them.
"""

from __future__ import annotations

import numpy as np

from validation.fitting.brackets import Rows
from validation.fitting.likelihood import feasible_slopes, least_squares
from validation.fitting.result import count_points

DRIFT = 0.04       # the local exponent may change this much over a window: +- 0.02 about its middle
SHORTEST = 4       # gammas
LEAST_DECADES = 0.5
COMPETES = 0.8     # of the longest stretch's decades: another regime of this length makes the choice ambiguous


def straight_stretch(data: Rows, deterministic: bool = False) -> slice | str:
    """Return the longest straight stretch of rows, or a sentence that gives the reason if there is none.

    Straight means: the local exponent of the cubic through the stretch's brackets drifts by no more than 0.04, or by no
    more than that drift's own standard error. A stretch that ends at a bend thus ends before the bend is significant. If
    `deterministic`, straight means that a line passes through all brackets.

    Parameters
    ----------
    data : the rows of all gammas.
    """
    two = np.flatnonzero(~data.censored)
    if two.size < SHORTEST:
        return (f"{two.size} of {count_points(data.x.size, data.axis)} have both a lower and an upper bound; "
                f"the choice of a window takes {SHORTEST}")
    seen = data.take(two)
    stretches = _passing(seen) if deterministic else _drifting_little(seen)
    stretches = [s for s in stretches if seen.x[s[1]] - seen.x[s[0]] >= LEAST_DECADES - 1e-9]
    if not stretches:
        return (f"no stretch of {count_points(SHORTEST, data.axis)} over {LEAST_DECADES:g} decades is straight, "
                "so there is no power law to fit; give a window to fit one there anyway")

    def decades(stretch: tuple[int, int]) -> float:
        return float(seen.x[stretch[1]] - seen.x[stretch[0]])

    best = max(stretches, key=lambda s: (round(decades(s), 9), s[1] - s[0]))
    slope, half = _slope(seen, best)
    for other in stretches:
        apart = other[0] >= best[1] or other[1] <= best[0]
        if apart and decades(other) >= COMPETES * decades(best):
            rival, rival_half = _slope(seen, other)
            if abs(rival - slope) > half + rival_half + DRIFT:
                both = " and ".join(f"{b:.3g} from {seen.axis} = {seen.gamma[i]:.3g} to {seen.gamma[j]:.3g}"
                                    for (i, j), b in sorted([(best, slope), (other, rival)]))
                return f"two regimes compete, with exponents {both}; give a window"
    # censored rows inside the stretch, and next to an end that the data did not choose, stay
    first, last = int(two[best[0]]), int(two[best[1]])
    first = 0 if best[0] == 0 else first
    last = data.x.size - 1 if best[1] == two.size - 1 else last
    return slice(first, last + 1)


def _slope(seen: Rows, stretch: tuple[int, int]) -> tuple[float, float]:
    part = slice(stretch[0], stretch[1] + 1)
    slope, half, _ = least_squares(seen.x[part], seen.middle[part], seen.width[part], 0.95)
    return slope, half


def _passing(seen: Rows) -> list[tuple[int, int]]:
    """Return, for each first row, the longest stretch through whose brackets a line passes."""
    found = []
    for i in range(seen.x.size - SHORTEST + 1):
        # feasible stretches are closed under taking parts, so bisection over the last row is exact
        good, bad = i + 1, seen.x.size
        while bad - good > 1:
            j = (good + bad) // 2
            least, largest = feasible_slopes(seen.x[i:j + 1], seen.lower[i:j + 1], seen.upper[i:j + 1])
            good, bad = (j, bad) if least <= largest else (good, j)
        if good - i + 1 >= SHORTEST:
            found.append((i, good))
    return found


def _drifting_little(seen: Rows) -> list[tuple[int, int]]:
    """Return all stretches on which a cubic's slope drifts little, as (first, last) rows."""
    found = []
    n = seen.x.size
    for length in range(SHORTEST, n + 1):
        window = np.lib.stride_tricks.sliding_window_view
        x, y, h = window(seen.x, length), window(seen.middle, length), window(seen.width, length)     # (w, length)
        half = 0.5 * (x[:, -1:] - x[:, :1])
        t = (x - x[:, :1]) / half - 1                                                                 # in [-1, 1]
        degree = 3 if length >= 6 else 2
        powers = np.stack([np.ones_like(t), t, 1.5 * t**2 - 0.5, 2.5 * t**3 - 1.5 * t][:degree + 1], axis=-1)
        gram = np.swapaxes(powers, -1, -2) @ powers
        spread = np.linalg.inv(gram)
        c = (spread @ (np.swapaxes(powers, -1, -2) @ y[..., None]))[..., 0]                           # (w, degree + 1)
        rest = y - (powers @ c[..., None])[..., 0]
        s2 = np.maximum((rest**2).sum(-1) / max(length - degree - 1, 1), (h**2).mean(-1) / 12)
        good = np.ones(c.shape[0], bool)
        # over t in [-1, 1] the slope of P2 changes by 6, that of P3 by 7.5
        for k, change in ((2, 6.0), (3, 7.5))[:degree - 1]:
            drift = np.abs(c[:, k]) * change / half[:, 0]
            error = np.sqrt(s2 * spread[:, k, k]) * change / half[:, 0]
            good &= drift <= np.maximum(DRIFT, error)
        found += [(int(i), int(i) + length - 1) for i in np.flatnonzero(good)]
    return found
