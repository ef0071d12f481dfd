"""How many of torch's threads a training on a CPU takes: one where sharing small products costs more than it brings; knows no training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL = 500_000       # parameters times samples of a step: below it two threads gain at most a third, and lose most where cores are busy


@contextmanager
def threads_for(parameters: int, samples: int, device: str) -> Iterator[None]:
    """Let torch use one thread for the length of the block, if a step is small and on a CPU."""
    before = torch.get_num_threads()
    if device != "cpu" or before == 1 or parameters * samples >= SMALL:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
