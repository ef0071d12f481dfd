"""Losses of torch and of one's own: any callable of output and target, evaluated run by run, with the slope of autograd."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, vmap

from deepnets.behaviour import describe_numbers, name_callable
from deepnets.losses.protocol import Loss, Shape
from validation.arguments import Misuse

OF_CLASSES = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
ELEMENTWISE = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.KLDivLoss, nn.SoftMarginLoss,
               nn.PoissonNLLLoss, nn.MultiLabelSoftMarginLoss, nn.HingeEmbeddingLoss)
FUNCTIONS_OF_CLASSES = (F.cross_entropy, F.nll_loss, F.multi_margin_loss)
ELEMENTWISE_FUNCTIONS = (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy_with_logits, F.kl_div,
                         F.soft_margin_loss, F.poisson_nll_loss, F.multilabel_soft_margin_loss, F.hinge_embedding_loss)
REFUSED = {
    nn.BCELoss: "it takes outputs between 0 and 1, and those of a network go beyond: use BCEWithLogitsLoss",
    **dict.fromkeys((nn.MarginRankingLoss, nn.TripletMarginLoss, nn.TripletMarginWithDistanceLoss, nn.CosineEmbeddingLoss,
                     nn.GaussianNLLLoss, nn.CTCLoss), "it takes more than one output and one target"),
}
Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Function1 = Callable[[torch.Tensor], torch.Tensor]


class FromTorch(Loss):
    """A callable (output, target) -> loss of each sample, or their mean, as a `Loss`. Built by `from_torch`.

    Attributes
    ----------
    loss : the callable.
    kind : "classes" (torch's losses of class indices or probabilities), "elementwise", or "any".
    """

    def __init__(self, loss: Function, least: float) -> None:
        self.loss, self.least = loss, least
        of_module, function = isinstance(loss, nn.Module), getattr(loss, "func", loss)
        classes = isinstance(loss, OF_CLASSES) or function in FUNCTIONS_OF_CLASSES
        elementwise = isinstance(loss, ELEMENTWISE) or function in ELEMENTWISE_FUNCTIONS
        self.kind = "classes" if classes else "elementwise" if elementwise else "any"
        self.name = type(loss).__name__ if of_module else name_callable(function)
        self.any_targets, self.fewest_classes = self.kind == "any", 2 if elementwise else 1
        keywords = getattr(loss, "keywords", {})
        self.ignore_index = getattr(loss, "ignore_index", keywords.get("ignore_index", -100)) if classes else None
        self._placed: dict[Any, Function] = {}      # a module's copies, by dtype and device
        self._loops = False                          # whether the callable fails under vmap

    def shapes(self, y: torch.Tensor, outputs: int) -> tuple[Shape, ...]:
        """Return the shapes that a network's output may have: elementwise losses take whole numbers as numbers or as class indices."""
        if self.kind == "any":
            return ()
        if self.kind == "elementwise" and not y.is_floating_point():
            return tuple(y.shape), (*y.shape, outputs)
        return super().shapes(y, outputs)

    def value(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of each run, (...)."""
        loss = self._place(f)

        def evaluate(g: torch.Tensor) -> torch.Tensor:
            return self._evaluate(loss, g, y)
        return self._over_runs(evaluate, evaluate, f, y)

    def slope(self, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the derivative of `value` in f, of f's shape."""
        loss = self._place(f)

        def differentiate(g: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                leaf = g.detach().requires_grad_()
                return torch.autograd.grad(self._evaluate(loss, leaf, y), leaf)[0]
        return self._over_runs(grad(lambda g: self._evaluate(loss, g, y)), differentiate, f, y).contiguous()

    def _evaluate(self, loss: Function, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the loss of one run, a number."""
        if self.kind == "classes":
            f, y = f.reshape(-1, f.shape[-1]), y.reshape(-1, f.shape[-1]) if y.is_floating_point() else y.reshape(-1)
        elif self.kind == "elementwise" and not y.is_floating_point():
            y = (y if y.shape == f.shape else F.one_hot(y, f.shape[-1])).to(f.dtype)
        found = loss(f, y)
        if not isinstance(found, torch.Tensor):
            raise Misuse(f"loss {self.name} must return a tensor, one number or the loss of each sample, not a {type(found).__name__}")
        if found.shape != f.shape[:found.ndim]:
            raise Misuse(f"loss {self.name} must return one number, or losses (batch, ...) of the outputs' shape {tuple(f.shape)} or its "
                         f"first dimensions, not {tuple(found.shape)}: targets of shape {tuple(y.shape)} may have been broadcast")
        return found.mean() if found.ndim else found

    def _over_runs(self, one: Function1, one_in_a_loop: Function1, f: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return what a function gives for each run, by `vmap`, or in a loop where that fails."""
        runs = f.shape[:f.ndim - self._count_dims(f, y)]
        if not runs:
            return one_in_a_loop(f)
        flat = f.reshape(-1, *f.shape[len(runs):])
        if not self._loops:
            try:
                found = vmap(one)(flat)
            except Exception:      # of any kind: the loop raises it again if it is the callable's own
                found = torch.stack([one_in_a_loop(g) for g in flat])
                self._loops = f.device.type != "meta"
        else:
            found = torch.stack([one_in_a_loop(g) for g in flat])
        return found.reshape(*runs, *found.shape[1:])

    def _count_dims(self, f: torch.Tensor, y: torch.Tensor) -> int:
        """Return the number of dims of one run's outputs."""
        if self.outputs is not None:
            return 1 + len(self.outputs)
        if y.is_floating_point() or (self.kind == "elementwise" and f.shape[f.ndim - y.ndim:] == y.shape):
            return y.ndim
        return y.ndim + 1

    def _place(self, f: torch.Tensor) -> Function:
        """Return the callable; a module's copy in the dtype and on the device of f."""
        if not isinstance(self.loss, nn.Module):
            return self.loss
        key = f.dtype, f.device
        if key not in self._placed:
            self._placed[key] = copy.deepcopy(self.loss).to(dtype=f.dtype, device=f.device)
        return self._placed[key]

    def describe(self) -> dict[str, Any]:
        """Return the loss as JSON: name, settings, least value."""
        settings = describe_numbers(self.loss) if isinstance(self.loss, nn.Module) else dict(getattr(self.loss, "keywords", {}))
        numbers = {n: v for n, v in settings.items() if n != "training" and isinstance(v, str | bool | int | float)}
        return {"name": self.name, "class": name_callable(getattr(self.loss, "func", self.loss)), **numbers, "least": self.least}


def from_torch(loss: Function, least: float = 0.0) -> FromTorch:
    """Return a `Loss` from a callable or from one of torch's loss modules.

    Parameters
    ----------
    loss : (output, target) -> the loss of each sample, (batch, ...), which is averaged, or a number; output is the network's, target the
        task's. torch's losses of classes take outputs (batch, ..., K) here, the classes last. Its elementwise ones (`torch.nn.HuberLoss`,
        `torch.nn.BCEWithLogitsLoss`, ...) take class indices as one-hot rows, and whole numbers of the output's shape as numbers.
    least : its least value, from which the excess is measured.

    Raises
    ------
    Misuse : not a callable; a module with trainable parameters, or of more than one output; `least` is not a finite number.
    """
    if isinstance(loss, type) or not callable(loss):
        raise Misuse(f"loss must be a callable (output, target) -> loss, or a torch loss module, not {loss!r}")
    for kind, why in REFUSED.items():
        if isinstance(loss, kind):
            raise Misuse(f"loss must not be {type(loss).__name__}: {why}")
    if isinstance(loss, nn.Module) and any(p.requires_grad for p in loss.parameters()):
        raise Misuse(f"loss must have no trainable parameters, and {type(loss).__name__} has: they would not be trained")
    if isinstance(least, bool) or not isinstance(least, int | float) or not math.isfinite(least):
        raise Misuse(f"least must be a finite number, the loss's least value, not {least!r}")
    return FromTorch(loss, float(least))
