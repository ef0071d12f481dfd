"""Which devices there are; knows nothing of what is done on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from validation.arguments import choose


def as_device(device: Any) -> str:
    """Return the name of a device that is there ("auto": a GPU if there is one), or raise `Misuse`."""
    count = torch.cuda.device_count()
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if device == "auto":
        return "cuda" if count else "cpu"
    return str(choose("device", device, ["auto", *there]))


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
