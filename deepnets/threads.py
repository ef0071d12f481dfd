"""How many of torch's threads small products on a CPU take: one where sharing them costs more than it brings; knows no training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 500_000       # parameters times samples of a step: below it two threads gain at most a third, and lose most where cores are busy


@contextmanager
def threads_for(parameters: int, samples: int, device: str, small: int = SMALL) -> Iterator[None]:
    """Let torch use one thread for the length of the block, if a step is small and on a CPU."""
    before = torch.get_num_threads()
    if device != "cpu" or before == 1 or parameters * samples >= small:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
