"""Find the roots of falling functions, at many points at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

ROUNDS = 200           # more than the halvings of any bracket that every second round makes


def solve_falling(evaluate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], low: np.ndarray, high: np.ndarray,
                  guess: np.ndarray, precision: float = 1e-14) -> np.ndarray:
    """Return the root of a falling function in each bracket, by Newton's method, which halves the bracket where it would not help.

    Parameters
    ----------
    evaluate : gives the values and the slopes at one place of each bracket; a value that is not a number counts as below zero.
    low, high, guess : of one shape; the root is between low and high, else the nearer end is returned.
    precision : of the root, over its size or over 1, or of the value; not finer than what the function rounds to.
    """
    with np.errstate(all="ignore"):
        below, above = ~(evaluate(low)[0] > 0), evaluate(high)[0] > 0
    low, high = np.where(above, high, low), np.where(below, low, high)      # there is no root between: the nearer end
    x, last = np.clip(guess, low, high), high - low
    for _ in range(ROUNDS):
        with np.errstate(all="ignore"):
            value, slope = evaluate(x)
            low, high = np.where(value > 0, x, low), np.where(value > 0, high, x)
            near = x - value / slope
            helps = (near >= low) & (near <= high) & (np.abs(near - x) <= last / 2)
        done = (np.abs(value) <= precision) | below | above
        following = np.where(done, x, np.where(helps, near, (low + high) / 2))
        last, x = np.abs(following - x), following
        if (last <= precision * np.maximum(1, np.abs(x))).all():
            break
    return x
