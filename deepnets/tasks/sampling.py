"""The order of samples: every sample once in each epoch, shard by shard, in an order that depends on seed and epoch.

The seed orders the shards, and the samples within each. Step s with batches of B uses the samples s B to (s + 1) B of that sequence: a
batch is a function of (seed, step, B) alone and one shard at a time is in use.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from deepnets.tasks.task import generator

_SHARDS, _SAMPLES = 21, 22      # first words of the keys: independent streams


def select_samples(seed: int, step: int, size: int, lengths: tuple[int, ...]) -> list[tuple[int, np.ndarray]]:
    """Return the samples of a step as pieces (shard, indices within the shard), in order.

    Parameters
    ----------
    seed, step : of the batch.
    size : B, samples in the batch.
    lengths : samples of each shard, >= 1.
    """
    total, start, left = sum(lengths), step * size, size
    pieces = []
    while left:
        epoch, offset = divmod(start, total)
        for shard in map(int, generator(_SHARDS, seed, epoch).permutation(len(lengths))):
            taken = min(left, lengths[shard] - offset)
            if taken > 0:
                pieces.append((shard, _order(seed, epoch, shard, lengths[shard])[offset:offset + taken]))
                start, left, offset = start + taken, left - taken, offset + taken
            offset -= lengths[shard]
            if left == 0:
                break
    return pieces


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, shard: int, length: int) -> np.ndarray:
    order = generator(_SAMPLES, seed, epoch, shard).permutation(length)
    order.flags.writeable = False
    return order
