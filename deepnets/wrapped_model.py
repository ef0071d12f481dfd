"""Adapt a model to batches and outputs: pick its inputs from a batch, and one tensor from what it returns."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from validation.arguments import Misuse

Selection = str | int | Sequence[str | int] | Callable[[Any], Any] | None


class WrappedModel(nn.Module):
    """A model with its inputs and its output picked; its parameters are those of `model`, with that prefix. Built by `wrap`."""

    def __init__(self, model: nn.Module, inputs: Selection, output: str | int | Callable[[Any], Any] | None) -> None:
        super().__init__()
        self.model, self.inputs, self.output = model, inputs, output

    def forward(self, batch: Any) -> Any:
        """Return the picked output for a batch: a tensor, a tuple or a dict of tensors."""
        arguments, keywords = self._pick_inputs(batch)
        return self._pick_output(self.model(*arguments, **keywords))

    def _pick_inputs(self, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the model's positional and keyword arguments."""
        if self.inputs is None or callable(self.inputs):
            picked = batch if self.inputs is None else self.inputs(batch)
            if isinstance(picked, Mapping):
                return (), dict(picked)
            return (tuple(picked) if isinstance(picked, tuple | list) else (picked,)), {}
        if isinstance(self.inputs, str | int):
            if isinstance(batch, Mapping | tuple | list):
                return (_take(batch, self.inputs, "inputs", "the batch"),), {}
            if isinstance(self.inputs, int) and self.inputs not in (0, -1):
                raise Misuse(f"inputs must be a position in the batch, which is one tensor, not {self.inputs!r}")
            return ((), {str(self.inputs): batch}) if self._takes(self.inputs) else ((batch,), {})
        names = list(self.inputs)
        if isinstance(batch, tuple | list) and all(isinstance(n, str) for n in names):
            if len(names) != len(batch):
                raise Misuse(f"inputs must name each of the batch's {len(batch)} tensors, not {names!r}")
            return (), dict(zip(names, batch, strict=True))     # type: ignore[arg-type]
        picked = {n: _take(batch, n, "inputs", "the batch") for n in names}
        return tuple(v for n, v in picked.items() if isinstance(n, int)), {n: v for n, v in picked.items() if isinstance(n, str)}

    def _takes(self, name: str | int) -> bool:
        """Return whether the model has a keyword of that name."""
        parameters = inspect.signature(self.model.forward).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def _pick_output(self, found: Any) -> Any:
        if self.output is None:
            return found
        return self.output(found) if callable(self.output) else _take(found, self.output, "output", "what the model returns")


def _take(values: Any, name: str | int, argument: str, where: str) -> Any:
    """Return an entry of a mapping or a sequence, or an attribute of an object."""
    try:
        return values[name] if isinstance(values, Mapping) or isinstance(name, int) else getattr(values, name)
    except (KeyError, IndexError, AttributeError, TypeError):
        names = list(values) if isinstance(values, Mapping) else [n for n in getattr(values, "__dict__", {}) if n[0] != "_"]
        content = f"which has {', '.join(map(repr, names))}" if names else f"which is a {type(values).__name__}"
        raise Misuse(f"{argument} must be in {where}, {content}, not {name!r}") from None


def wrap(model: nn.Module, inputs: Selection = None, output: str | int | Callable[[Any], Any] | None = None) -> nn.Module:
    """Return a module that takes a task's batch of inputs and returns one tensor, as `DeepExperiment` needs it.

    Parameters
    ----------
    model : the module.
    inputs : what the model takes of a batch. None: a tensor as it is, a dict as keyword arguments, a tuple as positional ones. A name or a
        position: that entry, as the only argument; a batch that is one tensor is passed under that keyword, where the model has it, and as
        the only argument where it has not. Several names:
        those entries as keyword arguments (of a tuple: its tensors in order). Several positions: positional arguments. A callable: what it
        returns for the batch, a tensor, a tuple or a dict.
    output : what of the model's return value is the output. None: all. A name (a dict's key or an attribute), a position, or a callable.
        Classes come last: ``output=lambda f: f.movedim(1, -1)`` for outputs (batch, K, height, width).

    Raises
    ------
    Misuse : `model` is no module; when it is called, names that are not there.

    Examples
    --------
    >>> import torch, deepnets
    >>> model = deepnets.wrap(torch.nn.LSTM(3, 5, batch_first=True), output=lambda found: found[0])
    >>> model(torch.zeros(2, 7, 3)).shape
    torch.Size([2, 7, 5])
    """
    if not isinstance(model, nn.Module):
        raise Misuse(f"model must be a torch.nn.Module, such as the one that your function of the seed builds, not {model!r}")
    parts = inputs if isinstance(inputs, Sequence) and not isinstance(inputs, str) else [inputs]
    if not (inputs is None or callable(inputs) or (len(parts) and all(isinstance(p, str | int) for p in parts))):
        raise Misuse(f"inputs must be None, names, positions, or a callable, not {inputs!r}")
    if not (output is None or callable(output) or isinstance(output, str | int)):
        raise Misuse(f"output must be None, a name, a position, or a callable, not {output!r}")
    return WrappedModel(model, inputs, output)
