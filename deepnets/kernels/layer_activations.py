"""Inputs and outputs of each layer, as pairs of the value at theta_0 and the scaled difference.

A layer is a module that itself holds trained parameters; the network itself is one ("network") where it holds some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from deepnets.centered import Pair
from deepnets.centered.propagation import propagate_pairs
from deepnets.kernels.moved_networks import Runs
from deepnets.precision import arithmetic
from validation.arguments import choose

ENDS = ("read", "made")


class Call(NamedTuple):
    """One call of a layer: the first floating operand of its inputs, and of its outputs (None: there is none)."""

    name: str
    input: Pair | torch.Tensor | None
    output: Pair | torch.Tensor | None


@contextmanager
def record_calls(module: nn.Module, parameters: Any) -> Iterator[list[Call]]:
    """Collect the calls of the layers that hold these parameters (names), in their order, within the context."""
    calls: list[Call] = []

    def record(name: str) -> Callable[..., None]:
        return lambda _, inputs, output: calls.append(Call(name or "network", _first(inputs), _first(output)))

    names = {n.rpartition(".")[0] for n in parameters}
    hooks = [m.register_forward_hook(record(name)) for name, m in module.named_modules() if name in names]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _first(operands: Any) -> Any:
    """Return the first floating operand among a module's inputs or outputs (attention returns a tuple), None if there is none."""
    return next((leaf for leaf in tree_leaves(operands) if isinstance(leaf, Pair)
                 or (isinstance(leaf, torch.Tensor) and leaf.is_floating_point())), None)


class Activation(NamedTuple):
    """A layer's activations on n samples, the units of all its calls concatenated: ``frozen + gamma change``.

    Attributes
    ----------
    frozen : (n, units), of theta_0.
    change : (n, units), the difference over gamma.
    moved : (n, units), at ``theta_0 + gamma u``.
    """

    frozen: torch.Tensor
    change: torch.Tensor
    moved: torch.Tensor


def activations(runs: Runs, p: int, x: torch.Tensor, end: str = "read") -> dict[str, Activation]:
    """Return the inputs of each layer of one run (of the readout: the last hidden activations), or the outputs, by its module's name.

    Parameters
    ----------
    runs, p : the networks, and the index of one.
    x : (n, ...), as from `Runs.as_inputs`.
    end : "read" or "made".

    Returns
    -------
    dict, in the order of the layers' first calls. Layers whose operand does not start with a dimension of n samples (learned positions),
    or consists of integers, are left out.

    Raises
    ------
    Unsupported : an operation that differences cannot be propagated through, named.
    """
    choose("end", end, ENDS)
    u, gamma, drift = runs.run(p)
    with torch.no_grad(), arithmetic("float32", runs.device), record_calls(runs.module, u) as calls:
        propagate_pairs(runs.module, u, gamma, (x,), drift=drift)
    found: dict[str, list[Activation]] = {}
    for call in calls:
        if end == "read" and call.name == "network" and len(calls) > 1:
            continue                                    # it reads the inputs, as its first layer does
        operand = call.input if end == "read" else call.output
        if operand is None or operand.ndim == 0 or operand.shape[0] != len(x):
            continue
        parts = ((operand.v0, operand.d, operand.full) if isinstance(operand, Pair) else (operand, torch.zeros_like(operand), operand))
        found.setdefault(call.name, []).append(Activation(*(t.reshape(len(x), -1) for t in parts)))
    return {name: Activation(*(torch.cat(parts, 1) for parts in zip(*several, strict=True))) for name, several in found.items()}
