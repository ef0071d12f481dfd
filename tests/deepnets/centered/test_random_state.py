"""The seeds of torch's generators."""

import pytest
import torch

from deepnets.centered.random_state import seed_torch


@pytest.mark.parametrize("seed", [0, 5, 2**63 - 1])
def test_draws_are_those_of_manual_seed(seed):
    torch.manual_seed(seed)
    wanted = torch.randn(4)
    seed_torch(seed)
    assert torch.equal(torch.randn(4), wanted)
    assert torch.initial_seed() == seed
