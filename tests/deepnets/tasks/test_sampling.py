"""The order of samples."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from deepnets.tasks.sampling import select_samples


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4), seed=st.integers(0, 2**40), size=st.integers(1, 50))
def test_each_epoch_uses_every_sample_once_shard_by_shard(lengths, seed, size):
    total = sum(lengths)
    steps = -(-2 * total // size)
    one_by_one = [(shard, int(i)) for step in range(steps) for shard, chosen in select_samples(seed, step, size, tuple(lengths))
                  for i in chosen]
    everything = sorted((shard, i) for shard, n in enumerate(lengths) for i in range(n))
    assert len(one_by_one) == steps * size
    assert sorted(one_by_one[:total]) == sorted(one_by_one[total:2 * total]) == everything
    shards = [shard for shard, _ in one_by_one[:total]]
    assert sum(a != b for a, b in pairwise(shards)) == len(lengths) - 1      # one after the other
