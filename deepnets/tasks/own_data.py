"""A task of the user's own data, read once from a DataLoader or any iterable of batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from deepnets.tasks.sampling import select_samples
from deepnets.tasks.task import Inputs, describe_inputs, select_inputs
from validation.arguments import Misuse, whole

ROUNDED = 1e-3      # allowed error of the sum of a row of probabilities


@dataclass(frozen=True)
class Own:
    """Samples in memory; each epoch uses every sample once. Built by `from_loader`.

    Attributes
    ----------
    x, y : inputs (n, ...), one tensor or several in a dict or a tuple, and class indices (n, ...) or numbers (n, ..., K); with classes,
        numbers are rows of probabilities.
    x_held_out, y_held_out : the same, of held-out samples.
    classes : their number; None for regression.
    content : the SHA-256 checksum of all four tensors.
    """

    x: Inputs = field(compare=False, repr=False)
    y: torch.Tensor = field(compare=False, repr=False)
    x_held_out: Inputs = field(compare=False, repr=False)
    y_held_out: torch.Tensor = field(compare=False, repr=False)
    classes: int | None
    content: str

    @property
    def in_shape(self) -> Any:
        """Shape of one input; of several tensors, a dict or a tuple of shapes, as they are."""
        return tuple(self.x.shape[1:]) if isinstance(self.x, torch.Tensor) else tree_map(lambda part: torch.Size(part.shape[1:]), self.x)

    @property
    def out_features(self) -> int:
        """The number of classes, or of numbers in a target."""
        return self.classes or self.y.shape[-1]

    def batch(self, seed: int, step: int, size: int) -> tuple[Inputs, torch.Tensor]:
        """Return x (size, ...) and y, a pure function of the arguments."""
        chosen = torch.cat([torch.from_numpy(at.copy()) for _, at in select_samples(seed, step, size, (len(self.y),))])
        return select_inputs(self.x, chosen), self.y[chosen]

    def held_out(self) -> tuple[Inputs, torch.Tensor]:
        """Return the held-out samples."""
        return self.x_held_out, self.y_held_out

    def describe(self) -> dict[str, Any]:
        """Return the task as JSON; the data are described by their checksum."""
        return {"name": "own", "content": self.content, "samples": len(self.y), "classes": self.classes}


def from_loader(shown: Iterable[Any], held_out: Iterable[Any], classes: int | None = None, target: str | int | None = None,
                ignore_index: int | None = None) -> Own:
    """Return the task of the user's own data.

    The order and the batches of the loaders do not matter: every run uses batches of its own size, in an order that depends on its seed.
    Scale the inputs to a mean square of about 1.

    Parameters
    ----------
    shown, held_out : a `torch.utils.data.DataLoader`, or any finite iterable of pairs (x, y) of tensors or numpy arrays: x (batch, ...), or
        several in a dict or a tuple; y class indices (batch, ...), one-hot rows (batch, K) of whole numbers or booleans, other rows of
        booleans (several labels), or numbers (batch,) or (batch, ..., K). Both are read into memory.
    classes : their number; None: inferred from the largest index or the length of one-hot rows, while floating-point targets are numbers to
        be fitted. If it is given, floating-point rows (batch, classes) are probabilities.
    target : where the targets are in a batch that is a dict (a key) or a longer tuple (a position); all else is x. None: batches are pairs.
    ignore_index : an index in y that is no class, as of `torch.nn.CrossEntropyLoss`.

    Raises
    ------
    Misuse : no batches, or no tensors; numbers that are not finite; a class index outside of the classes.
    """
    x, y = _read("shown", shown, target)
    x_held_out, y_held_out = _read("held_out", held_out, target)
    if _forms(x) != _forms(x_held_out) or y.shape[1:] != y_held_out.shape[1:] or y.dtype != y_held_out.dtype:
        raise Misuse(f"held_out must give inputs and targets like shown, {_forms(x)} and {tuple(y.shape[1:])} of {y.dtype}, "
                     f"not {_forms(x_held_out)} and {tuple(y_held_out.shape[1:])} of {y_held_out.dtype}")
    if y.is_complex() or y_held_out.is_complex():
        raise Misuse(f"targets must be real numbers, class indices or booleans, not {y.dtype}")
    if y.dtype == torch.bool and y.ndim > 1 and not (_one_hot(y) and _one_hot(y_held_out)):      # several labels of each sample
        y, y_held_out = y.float(), y_held_out.float()
    if y.is_floating_point():
        y, y_held_out = (t.float() if t.ndim > 1 else t.float()[:, None] for t in (y, y_held_out))
        if classes is not None and not all(_probabilities(t, whole("classes", classes, 2)) for t in (y, y_held_out)):
            raise Misuse(f"classes={classes!r} needs targets that are class indices, or rows of as many probabilities, not {y.dtype} of "
                         f"shape {tuple(y.shape)}")
    else:
        if _one_hot(y) and _one_hot(y_held_out):
            classes = y.shape[1] if classes is None else classes
            y, y_held_out = y.long().argmax(1), y_held_out.long().argmax(1)
        y, y_held_out = y.long(), y_held_out.long()
        indices = torch.cat([y.flatten(), y_held_out.flatten()])
        indices = indices if ignore_index is None else indices[indices != ignore_index]
        if not len(indices):
            raise Misuse(f"ignore_index must leave some targets, and all are {ignore_index!r}")
        classes = int(indices.max()) + 1 if classes is None else whole("classes", classes, 2)
        if indices.min() < 0 or indices.max() >= classes:
            raise Misuse(f"class indices must lie between 0 and {classes - 1}, not "
                         f"{int(indices.min() if indices.min() < 0 else indices.max())}")
    digest = hashlib.sha256()
    for tensor in tree_leaves((x, y, x_held_out, y_held_out)):
        digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode() + tensor.contiguous().numpy().tobytes())
    if not isinstance(x, torch.Tensor):
        digest.update(repr(tree_flatten(x)[1]).encode())
    return Own(x, y, x_held_out, y_held_out, classes, digest.hexdigest())


def _one_hot(y: torch.Tensor) -> bool:
    """Return whether whole numbers are one-hot rows (n, K)."""
    return y.ndim == 2 and y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all())


def _probabilities(y: torch.Tensor, classes: int) -> bool:
    """Return whether numbers (n, K) are rows of probabilities of K = classes classes."""
    return y.shape[1] == classes and bool((y >= 0).all() and ((y.sum(1) - 1).abs() < ROUNDED).all())


def _forms(x: Inputs) -> Any:
    """Return the shapes of one sample's inputs."""
    return tuple(x.shape[1:]) if isinstance(x, torch.Tensor) else tree_map(lambda part: tuple(part.shape[1:]), x)


def _read(name: str, loader: Iterable[Any], target: str | int | None) -> tuple[Inputs, torch.Tensor]:
    """Return all batches of a loader as inputs and targets on the CPU; floating-point inputs as float32, tokens as they are."""
    try:
        pairs = [tree_map(_as_tensor, _split_batch(batch, target)) for batch in loader]
    except (KeyError, IndexError):
        raise Misuse(f"target must be a key or a position in each batch of {name}, not {target!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, Misuse):
            raise
        raise Misuse(f"{name} must give pairs of tensors (x, y), as a torch DataLoader does, not {type(loader).__name__}; of batches with "
                     "more, target=... is the key or the position of y") from None
    if not pairs:
        raise Misuse(f"{name} must give at least one batch; it gave none")
    forms = [tree_map(lambda part: tuple(part.shape[1:]), pair) for pair in pairs]
    for i, form in enumerate(forms):
        if form != forms[0]:
            raise Misuse(f"{name} must give samples of one shape, but its batch {i} is {describe_inputs(pairs[i])} and its first "
                         f"{describe_inputs(pairs[0])}: pad sequences of unequal lengths, and their targets with an ignore_index")
    x, y = tree_map(lambda *parts: torch.cat(parts), *pairs)
    if any(len(part) != len(y) for part in tree_leaves(x)):
        raise Misuse(f"{name} must give as many targets as inputs, not {len(y)} for {', '.join(str(len(part)) for part in tree_leaves(x))}")
    x = tree_map(lambda part: part.float() if part.is_floating_point() else part, x)
    for what, numbers in (("inputs", tree_leaves(x)), ("targets", [y])):
        if not all(bool(part.isfinite().all()) for part in numbers):
            raise Misuse(f"{name} must give finite {what}; some are not")
    return x, y


def _split_batch(batch: Any, target: str | int | None) -> tuple[Any, Any]:
    """Return inputs and targets of a batch as the loader gives it."""
    if target is None:
        x, y = batch
        return (dict(x) if isinstance(x, Mapping) else tuple(x) if isinstance(x, list) else x), y
    if isinstance(batch, Mapping):
        rest: Any = {key: part for key, part in batch.items() if key != target}
        return (rest if len(rest) > 1 else next(iter(rest.values()))), batch[target]
    at = range(len(batch))[target]      # type: ignore[index]
    parts = tuple(part for i, part in enumerate(batch) if i != at)
    return (parts if len(parts) > 1 else parts[0]), batch[at]


def _as_tensor(part: Any) -> torch.Tensor:
    """Return a tensor or a numpy array as a tensor on the CPU."""
    if isinstance(part, np.ndarray):
        if part.dtype == object:
            raise Misuse("arrays of arrays are sequences of unequal lengths: pad them, and their targets with an ignore_index")
        return torch.from_numpy(part.copy())
    if not isinstance(part, torch.Tensor):
        raise TypeError
    return part.detach().cpu()
