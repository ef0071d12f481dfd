"""Draw what label noise and batches add to each step: one stream for all pixels, a pure function of the seed and the step."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIGNS, BATCHES = 1, 2      # streams of one seed


@lru_cache(maxsize=8)
def draw_signs(seed: int, steps: int) -> np.ndarray:
    """Return the signs of the label noise, +1 or -1 with equal probability, float64 (steps,)."""
    signs = 1.0 - 2.0 * (_draw_bits(seed, SIGNS, steps) >> np.uint64(63)).astype(np.float64)
    signs.setflags(write=False)
    return signs


@lru_cache(maxsize=8)
def draw_batch_factors(seed: int, steps: int, batch: int) -> np.ndarray:
    """Return the mean square of `batch` Gaussian inputs at each step, whose mean is 1 and variance 2/batch, float64 (steps,)."""
    from scipy.special import gammaincinv

    uniform = ((_draw_bits(seed, BATCHES, steps) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    factors = np.asarray(gammaincinv(batch / 2, uniform) * (2 / batch))
    factors.setflags(write=False)
    return factors


def _draw_bits(seed: int, stream: int, steps: int) -> np.ndarray:
    """Return 64 random bits for each step: a counter, encrypted with the seed, so that longer streams begin with the shorter ones."""
    return np.random.Philox(key=np.array([seed, stream], np.uint64)).random_raw(steps)
