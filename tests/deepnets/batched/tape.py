"""A record of torch's operations on a CPU that stands for a CUDA graph: replayed, each writes to the memory that it was recorded with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Operations as they are called, and the first numbers of every tensor that they write to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []
        self.before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False      # to skip torch's compiler, torch would load it first: three seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for i, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                x = args[i] if i < len(args) else kwargs[argument.name]
                self.before.setdefault(id(x), (x, x.clone()))
        result = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, result))
        return result

    def replay(self) -> None:
        """Compute the results anew, where they are."""
        for func, args, kwargs, result in self.calls:
            for x, new in zip(tree_leaves(result), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(x, torch.Tensor) and x.data_ptr() != new.data_ptr():
                    x.copy_(new)


def record(function: Callable[[], Any], device: torch.device) -> tuple[Callable[[], None], Any]:
    """Return what replays the operations of `function()`, and its result to be; what it wrote to is as it was before."""
    with Tape() as tape:
        result = function()
    for x, before in reversed(tape.before.values()):
        x.copy_(before)
    return tape.replay, result
