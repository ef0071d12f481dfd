"""Seed, save and restore the random generators that a module may draw from: torch's, numpy's and Python's."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch


def save_random_state() -> Callable[[], None]:
    """Return a function that restores the present states."""
    cpu, of_numpy, of_python = torch.get_rng_state(), np.random.get_state(), random.getstate()      # noqa: NPY002 - what modules draw from
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None

    def restore() -> None:
        torch.set_rng_state(cpu)
        np.random.set_state(of_numpy)      # noqa: NPY002
        random.setstate(of_python)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
    return restore


def seed_torch(seed: int) -> None:
    """Seed torch's generators, as `torch.manual_seed` does, which takes 0.6 ms and keeps every seed for a GPU that is not in use."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
