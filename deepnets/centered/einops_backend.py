"""Let the functions of einops (rearrange, reduce, repeat, einsum) take pairs, once einops has been imported."""

from __future__ import annotations

import functools
import sys
from typing import Any

from deepnets.centered.pair import Operand


def register_backend() -> None:
    """Add a backend for pairs to those of einops, if the process has imported it."""
    if "einops" in sys.modules:
        _define_backend()


@functools.cache
def _define_backend() -> Any:
    from einops._backends import TorchBackend

    class PairBackend(TorchBackend):      # einops finds the subclasses of its backends by itself
        framework_name = __name__

        def is_appropriate_type(self, tensor: Any) -> bool:
            return isinstance(tensor, Operand)

    return PairBackend      # kept alive by the cache
