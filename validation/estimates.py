"""Estimate memory and time before long work: refuse what the machine cannot hold, and say what takes more than a minute."""

from __future__ import annotations

import os
import sys

from validation.arguments import Misuse
from validation.progress import in_words

MOST_STEPS = 2**53      # whole numbers up to here are numbers of float64
SHARE = 0.5             # of the free memory that is used: the C library's allocator may hold twice what is in use
GB, MINUTE = 1e9, 60.0


def free_memory() -> int:
    """Return the bytes of memory that are free on this machine."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(name: str, value: object, need: float) -> None:
    """Raise `Misuse` if an argument's value needs more bytes than may be used of this machine's memory.

    Parameters
    ----------
    name, value : the argument.
    need : bytes.
    """
    usable = SHARE * free_memory()
    if need > usable:
        raise Misuse(f"{name} must fit into memory, and {value} needs {need / GB:.3g} GB where {usable / GB:.3g} GB are free")


def announce(what: str, seconds: float) -> None:
    """Say on standard error how long work takes, if that is more than a minute."""
    if seconds > MINUTE:
        print(f"lazyrich: {what} takes about {in_words(seconds)}", file=sys.stderr, flush=True)
