"""Other tensors in a module's parameter and buffer slots for the length of a call; knows no pair and no method.

`torch.func.functional_call` takes tensors alone, leaves a recurrent module's flat list of weights behind, and swaps no buffer that is
not named; this does the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def slotted(module: nn.Module, values: Mapping[str, Any]) -> Iterator[nn.Module]:
    """Put `values`, by the names of `named_parameters` and `named_buffers`, into the module; tied parameters stay tied."""
    undo: list[tuple[dict[str, Any], str, Any]] = []
    names = {id(p): n for n, p in (*module.named_parameters(), *module.named_buffers())}
    owners = list(module.modules())
    flat = [m for m in owners if isinstance(m, nn.RNNBase)]
    try:
        for owner in owners:
            for slots in (owner._parameters, owner._buffers):
                for leaf, held in slots.items():
                    name = names.get(id(held))
                    if name in values:
                        undo.append((slots, leaf, held))
        for slots, leaf, held in undo:
            slots[leaf] = values[names[id(held)]]
        for m in flat:
            undo.append((m.__dict__, "_flat_weights", m._flat_weights))
            m.__dict__["_flat_weights"] = [getattr(m, n) for n in m._flat_weights_names]
        yield module
    finally:
        for slots, leaf, held in reversed(undo):
            slots[leaf] = held


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name: the floating ones that require a gradient."""
    return {n: p for n, p in module.named_parameters() if p.requires_grad and p.is_floating_point()}


def statistics(module: nn.Module) -> list[str]:
    """Return the names of the running statistics that batch normalisation moves as it trains."""
    return [f"{prefix}.{leaf}".lstrip(".") for prefix, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
            for leaf in ("running_mean", "running_var") if m._buffers.get(leaf) is not None]
