"""Choose a device, and the number of CPU threads for small steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from validation.arguments import choose


def as_device(device: object) -> str:
    """Return the name of an existing device ("auto": a GPU if there is one), or raise `Misuse`."""
    count = torch.cuda.device_count()
    existing = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if device == "auto":
        return "cuda" if count else "cpu"
    return str(choose("device", device, ["auto", *existing]))


SMALL = 500_000       # parameters times samples of a step: below it two threads gain at most a third, and lose where cores are busy


@contextmanager
def threads_for(parameters: int, samples: int, device: str, small: int = SMALL) -> Iterator[None]:
    """Let torch use one thread within the context, if a training step is small and runs on a CPU."""
    before = torch.get_num_threads()
    if device != "cpu" or before == 1 or parameters * samples >= small:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
