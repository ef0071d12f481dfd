"""Check the numbers of steps and the seeds of an experiment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from validation.arguments import Misuse, axis, whole


def as_steps(steps: int | Sequence[int]) -> int | tuple[int, ...]:
    """Return a number of steps, or an increasing tuple of them, or raise `Misuse`."""
    if np.ndim(steps) == 0:
        return whole("steps", steps)
    if np.asarray(steps).dtype.kind not in "iu":
        raise Misuse(f"steps must be a whole number, or an increasing sequence of them, not {steps!r}")
    return tuple(int(t) for t in axis("steps", steps))


def as_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return seeds as a tuple of distinct whole numbers, or raise `Misuse`."""
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Sequence | np.ndarray | range) or len(seeds) == 0:
        raise Misuse(f"seeds must be a sequence of whole numbers, such as (0, 1, 2), not {seeds!r}")
    numbers = tuple(whole("seeds", s, 0) for s in seeds)
    if len(set(numbers)) < len(numbers):
        raise Misuse(f"seeds must differ from one another, not {seeds!r}")
    return numbers
