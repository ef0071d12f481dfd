"""Choose and describe a device, and the number of CPU threads for small steps."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from validation.arguments import choose


def as_device(device: object) -> str:
    """Return the name of an existing device ("auto": a GPU if there is one), or raise `Misuse`."""
    count = torch.cuda.device_count()
    existing = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if device == "auto":
        return "cuda" if count else "cpu"
    return str(choose("device", device, ["auto", *existing]))


def describe_device(device: str) -> dict[str, Any]:
    """Return the name of a device, its driver, and the peak memory that this process used on it, in bytes.

    On a GPU the peak is that of tensors since `torch.cuda.reset_peak_memory_stats`; on a CPU that of the process since its start.
    """
    if not device.startswith("cuda"):
        import resource  # Unix has it

        return {"device": f"CPU, {platform.machine()}", "driver": "none",
                "peak_memory": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)}
    driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return {"device": torch.cuda.get_device_name(device), "driver": f"CUDA driver {driver}, runtime {torch.version.cuda}",
            "peak_memory": float(torch.cuda.max_memory_allocated(device))}


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
