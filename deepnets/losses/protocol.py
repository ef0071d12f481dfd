"""The protocol of a loss: its value for a stack of runs, its slope in the outputs, its least value, and the targets it takes."""

from __future__ import annotations

from typing import Any

import torch

from deepnets.behaviour import describe_numbers, name_callable

Shape = tuple[int, ...]


class Loss:
    """The base of losses, the package's and one's own. A subclass defines `name` and `value`; all else has a default.

    Outputs are (..., batch, K), or (..., batch, length, K) where every position of a sequence is predicted: a stack of runs comes first.

    Attributes
    ----------
    name : in titles.
    least : the least value that the loss can have, which the excess is measured from.
    ignore_index : a class index that is no class, in targets that do not count; None: there is none.
    fewest_classes : whole-number targets below it are allowed whatever K, 2 for labels that are 0 or 1.
    any_targets : whether targets may be anything, and the outputs of any shape.
    closed_form : whether `value` can be differentiated under `vmap`, with the rest of the training step.
    outputs : the shape of the network's output for one sample, set by the experiment once it is found.
    """

    name: str
    least: float = 0.0
    ignore_index: int | None = None
    fewest_classes: int = 1
    any_targets: bool = False
    closed_form: bool = False
    outputs: Shape | None = None

    def target(self, y: torch.Tensor, outputs: int, dtype: torch.dtype) -> torch.Tensor:
        """Return a task's targets as `value` takes them: numbers in `dtype`, class indices as they are.

        Parameters
        ----------
        y : targets (batch, ...).
        outputs : K, the task's `out_features`.
        dtype : of the outputs.
        """
        return y.to(dtype) if y.is_floating_point() else y

    def value(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of each run, (...), from its outputs f (..., batch, ...) and the targets y (batch, ...) that all runs share."""
        raise NotImplementedError

    def slope(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `value` in f, of f's shape; by default that of autograd."""
        with torch.enable_grad():
            leaf = f.detach().requires_grad_()
            return torch.autograd.grad(self.value(leaf, y).sum(), leaf)[0].contiguous()

    def shapes(self, y: torch.Tensor, outputs: int) -> tuple[Shape, ...]:
        """Return the shapes (batch, ...) that a network's output may have for these targets; empty: any.

        Parameters
        ----------
        y : targets as the task gives them.
        outputs : K.
        """
        return (tuple(y.shape) if y.is_floating_point() else (*y.shape, outputs),)

    def describe(self) -> dict[str, Any]:
        """Return the loss as JSON, without the digest of its values that an experiment adds."""
        return {"name": self.name, "class": name_callable(self), **describe_numbers(self), "least": self.least}
