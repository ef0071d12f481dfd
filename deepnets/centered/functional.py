"""Call a module with other objects in place of its parameters and buffers; list its trainable parameters and running statistics.

Unlike `torch.func.functional_call`, `substitute` accepts objects that are not tensors (pairs), and also replaces the flat list of weights
of recurrent modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from validation.arguments import Misuse


@contextmanager
def substitute(module: nn.Module, values: Mapping[str, Any]) -> Iterator[nn.Module]:
    """Replace parameters and buffers of the module by `values` within the context; tied parameters stay tied.

    Parameters
    ----------
    module : any module; it is restored at the end.
    values : tensors or pairs, by the names of `named_parameters` and `named_buffers`.
    """
    undo: list[tuple[dict[str, Any], str, Any]] = []
    names = {id(p): n for n, p in (*module.named_parameters(), *module.named_buffers())}
    owners = list(module.modules())
    flat = [m for m in owners if isinstance(m, nn.RNNBase)]
    try:
        for owner in owners:
            for slots in (owner._parameters, owner._buffers):
                for leaf, tensor in slots.items():
                    name = names.get(id(tensor))
                    if name in values:
                        undo.append((slots, leaf, tensor))
        for slots, leaf, tensor in undo:
            slots[leaf] = values[names[id(tensor)]]
        for m in flat:
            undo.append((m.__dict__, "_flat_weights", m._flat_weights))
            m.__dict__["_flat_weights"] = [getattr(m, n) for n in m._flat_weights_names]
        yield module
    finally:
        for slots, leaf, tensor in reversed(undo):
            slots[leaf] = tensor


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Return the trainable parameters by name: floating-point or complex tensors that require a gradient."""
    return {n: p for n, p in module.named_parameters() if p.requires_grad and (p.is_floating_point() or p.is_complex())}


def statistics(module: nn.Module) -> list[str]:
    """Return the names of the running statistics that batch normalisation updates in training mode."""
    return [f"{prefix}.{leaf}".lstrip(".") for prefix, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
            for leaf in ("running_mean", "running_var") if m._buffers.get(leaf) is not None]


def refuse_write(name: str, parameter: torch.Tensor, before: torch.Tensor) -> None:
    """Raise `Misuse` if a call of a network has changed a parameter."""
    if not torch.equal(parameter, before):
        raise Misuse(f"network must not write into its parameters as it is called, as it does into {name}: use torch.nn.utils.parametrize, "
                     "or compute with another tensor")


def refuse_other_parameters(module: nn.Module, names: Iterable[str]) -> None:
    """Raise `Misuse` if calls of a network have changed which parameters are trainable; `names` were before."""
    if changed := sorted(trainable(module).keys() ^ set(names)):
        raise Misuse(f"network must have the same trainable parameters in every call, but {', '.join(changed)} of {type(module).__name__} "
                     "became a parameter, or changed requires_grad, as it was called: create and freeze parameters within the function "
                     "that builds the network")
