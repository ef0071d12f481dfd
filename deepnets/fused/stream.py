"""The batches of a stream, drawn once for all runs of a plane: in blocks, which are kept where they are few bytes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from deepnets.tasks.fixed_batch import FullBatch
from deepnets.tasks.image_task import Images
from deepnets.tasks.scikit_digits import Digits
from deepnets.tasks.synthetic import MultiIndex, SingleIndex
from deepnets.tasks.teachers import Linear, Teacher

if TYPE_CHECKING:
    from deepnets.training import Recipe

BLOCK = 25               # steps that are drawn at a time
KEPT = 2**27             # bytes of blocks that are kept, of all streams together


class Block(NamedTuple):
    """Inputs (T, B, D), targets as rows of numbers (T, B, K), and the loss of the zero output at each step, (T,)."""

    x: np.ndarray
    y: np.ndarray
    zero_output_loss: np.ndarray

    @property
    def size(self) -> int:
        """Bytes."""
        return self.x.nbytes + self.y.nbytes + self.zero_output_loss.nbytes


class Stream:
    """The stream of batches of a recipe and a seed.

    The package's own tasks are functions of seed and step alone, and unchangeable: their blocks are kept for the next stacks of runs.
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self.kept = _find_blocks((recipe.task, seed, recipe.batch_size, recipe.loss)) if _is_unchangeable(recipe.task) else None
        self.latest: tuple[int, Block] | None = None

    def take(self, start: int, stop: int) -> Block:
        """Return the batches of the steps from `start` up to `stop`, which lie in one block."""
        number = start // BLOCK
        first = number * BLOCK
        return Block(*(part[start - first:stop - first] for part in self._find(number)))

    def _find(self, number: int) -> Block:
        """Return a block of so many steps, drawn if it is not kept."""
        if self.latest is None or self.latest[0] != number:
            block = None if self.kept is None else self.kept.get(number)
            if block is None:
                last = min((number + 1) * BLOCK, len(self.recipe.factors) + 1)
                block = self._draw(number * BLOCK, last)
                if self.kept is not None and last % BLOCK == 0:
                    _keep(self.kept, number, block)
            self.latest = number, block
        return self.latest[1]

    def _draw(self, start: int, stop: int) -> Block:
        from deepnets.training import batch, compute_zero_output_loss

        like, xs, ys, zero = torch.zeros(()), [], [], []
        for step in range(start, stop):
            x, y = batch(self.recipe, self.seed, step, like)
            zero.append(compute_zero_output_loss(self.recipe, y, like))
            xs.append(x.flatten(1))
            ys.append(as_rows(y, self.recipe.task.out_features))
        return Block(torch.stack(xs).numpy(), torch.stack(ys).numpy(), torch.stack(zero).double().numpy())


def as_rows(y: torch.Tensor, outputs: int) -> torch.Tensor:
    """Return targets as a loss takes them, numbers (batch, K) or class indices (batch,), as rows of numbers."""
    return y if y.is_floating_point() else F.one_hot(y, outputs).float()


def _is_unchangeable(task: Any) -> bool:
    """Return whether a task, and what it is made of, is one of the package's whose data nobody else holds."""
    if isinstance(task, FullBatch):
        return _is_unchangeable(task.task)
    return type(task) in (Digits, SingleIndex, MultiIndex, Images, Linear, Teacher)


_streams: list[tuple[Any, dict[int, Block]]] = []      # the latest last
_lock = threading.Lock()


def _find_blocks(key: Any) -> dict[int, Block]:
    """Return the blocks that are kept of a stream."""
    with _lock:
        found = next((entry for entry in _streams if entry[0] == key), (key, {}))
        _streams[:] = [entry for entry in _streams if entry is not found] + [found]
        return found[1]


def _keep(blocks: dict[int, Block], number: int, block: Block) -> None:
    """Keep a block, in place of those of streams that were used longest ago; if that does not suffice, none."""
    with _lock:
        def count() -> int:
            return sum(b.size for _, stored in _streams for b in stored.values())

        while count() + block.size > KEPT and _streams and _streams[0][1] is not blocks:
            del _streams[0]
        if count() + block.size <= KEPT:
            blocks[number] = block
