"""A task of the user's own data, read once from a DataLoader or any iterable of batches (x, y)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from deepnets.tasks.sampling import select_samples
from validation.arguments import Misuse, whole

ROUNDED = 1e-3      # allowed error of the sum of a row of probabilities


@dataclass(frozen=True)
class Own:
    """Samples in memory; each epoch uses every sample once. Built by `from_loader`.

    Attributes
    ----------
    x, y : inputs (n, ...), and class indices (n,) or numbers (n, K); with classes, numbers are rows of probabilities.
    x_held_out, y_held_out : the same, of held-out samples.
    classes : their number; None for regression.
    content : the SHA-256 checksum of all four tensors.
    """

    x: torch.Tensor = field(compare=False, repr=False)
    y: torch.Tensor = field(compare=False, repr=False)
    x_held_out: torch.Tensor = field(compare=False, repr=False)
    y_held_out: torch.Tensor = field(compare=False, repr=False)
    classes: int | None
    content: str

    @property
    def in_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.x.shape[1:])

    @property
    def out_features(self) -> int:
        """The number of classes, or of numbers in a target."""
        return self.classes or self.y.shape[1]

    def batch(self, seed: int, step: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return x (size, ...) and y, a pure function of the arguments."""
        chosen = torch.cat([torch.from_numpy(at.copy()) for _, at in select_samples(seed, step, size, (len(self.x),))])
        return self.x[chosen], self.y[chosen]

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the held-out samples."""
        return self.x_held_out, self.y_held_out

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON; the data are described by their checksum."""
        return {"name": "own", "content": self.content, "samples": len(self.x), "classes": self.classes}


def from_loader(shown: Iterable[Sequence[torch.Tensor]], held_out: Iterable[Sequence[torch.Tensor]], classes: int | None = None) -> Own:
    """Return the task of the user's own data.

    The order and the batches of the loaders do not matter: every run uses batches of its own size, in an order that depends on its seed.
    Scale the inputs to a mean square of about 1.

    Parameters
    ----------
    shown, held_out : a `torch.utils.data.DataLoader`, or any finite iterable of pairs of tensors (x, y): x (batch, ...), y class
        indices (batch,), one-hot rows (batch, K) of whole numbers or booleans, or numbers (batch,) or (batch, K). Both are read into
        memory.
    classes : their number; None: inferred from the largest index or the length of one-hot rows, while floating-point targets are numbers to
        be fitted. If it is given, floating-point rows (batch, classes) are probabilities.

    Raises
    ------
    Misuse : no batches, or no tensors; numbers that are not finite; a class index outside of the classes.
    """
    x, y = _read("shown", shown)
    x_held_out, y_held_out = _read("held_out", held_out)
    if x.shape[1:] != x_held_out.shape[1:] or y.shape[1:] != y_held_out.shape[1:] or y.dtype != y_held_out.dtype:
        raise Misuse(f"held_out must give inputs and targets like shown, {tuple(x.shape[1:])} and {tuple(y.shape[1:])} of {y.dtype}, "
                     f"not {tuple(x_held_out.shape[1:])} and {tuple(y_held_out.shape[1:])} of {y_held_out.dtype}")
    if y.is_floating_point():
        y, y_held_out = (t.float().reshape(len(t), -1) for t in (y, y_held_out))
        if classes is not None and not all(_probabilities(t, whole("classes", classes, 2)) for t in (y, y_held_out)):
            raise Misuse(f"classes={classes!r} needs targets that are class indices, or rows of as many probabilities, not {y.dtype} of "
                         f"shape {tuple(y.shape)}")
    else:
        if _one_hot(y) and _one_hot(y_held_out):
            classes = y.shape[1] if classes is None else classes
            y, y_held_out = y.long().argmax(1), y_held_out.long().argmax(1)
        y, y_held_out = y.long(), y_held_out.long()
        indices = torch.cat([y.flatten(), y_held_out.flatten()])
        classes = int(indices.max()) + 1 if classes is None else whole("classes", classes, 2)
        if indices.min() < 0 or indices.max() >= classes:
            raise Misuse(f"class indices must lie between 0 and {classes - 1}, not "
                         f"{int(indices.min() if indices.min() < 0 else indices.max())}")
    digest = hashlib.sha256()
    for tensor in (x, y, x_held_out, y_held_out):
        digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode() + tensor.contiguous().numpy().tobytes())
    return Own(x, y, x_held_out, y_held_out, classes, digest.hexdigest())


def _one_hot(y: torch.Tensor) -> bool:
    """Return whether whole numbers are one-hot rows (n, K)."""
    return y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all())


def _probabilities(y: torch.Tensor, classes: int) -> bool:
    """Return whether numbers (n, K) are rows of probabilities of K = classes classes."""
    return y.shape[1] == classes and bool((y >= 0).all() and ((y.sum(1) - 1).abs() < ROUNDED).all())


def _read(name: str, loader: Iterable[Sequence[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all batches of a loader as one pair of tensors on the CPU; floating-point inputs as float32, tokens as they are."""
    try:
        pairs = [(x.detach().cpu(), y.detach().cpu()) for x, y in loader]
    except (TypeError, ValueError, AttributeError):
        raise Misuse(f"{name} must give pairs of tensors (x, y), as a torch DataLoader does, not {type(loader).__name__}") from None
    if not pairs:
        raise Misuse(f"{name} must give at least one batch; it gave none")
    x, y = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    if len(x) != len(y):
        raise Misuse(f"{name} must give as many targets as inputs, not {len(y)} for {len(x)}")
    if x.is_floating_point():
        x = x.float()
    for what, numbers in (("inputs", x), ("targets", y)):
        if not bool(numbers.isfinite().all()):
            raise Misuse(f"{name} must give finite {what}; some are not")
    return x, y
