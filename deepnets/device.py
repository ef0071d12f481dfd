"""Which devices there are; knows nothing of what is done on them."""

from __future__ import annotations

from typing import Any

import torch

from validation.misuse import choose


def as_device(device: Any) -> str:
    """Return the name of a device that is there ("auto": a GPU if there is one), or raise `Misuse`."""
    count = torch.cuda.device_count()
    there = ["cpu", *(["cuda"] if count else []), *(f"cuda:{i}" for i in range(count))]
    if device == "auto":
        return "cuda" if count else "cpu"
    return str(choose("device", device, ["auto", *there]))
