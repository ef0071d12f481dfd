"""Stairs: a loss that falls in drops with plateaus between them; knows curves, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepnets.phenomena.loss_curves import as_loss
from validation.arguments import between

GRID = 400          # points of log time
STEEP = 0.5         # of -d log loss/d log t: below, it is a plateau
FALL = 1.5          # the least factor by which a drop lowers the loss
FLOOR = 1e-6        # of the first loss: below, it is rounding


@dataclass(frozen=True)
class Stairs:
    """The drops of a loss.

    Attributes
    ----------
    at : the step at which half of each drop is done, in the loss itself.
    factors : what each drop divides the loss by.
    fired : whether there are at least two.
    """

    at: tuple[float, ...]
    factors: tuple[float, ...]
    fired: bool

    @property
    def count(self) -> int:
        """How many drops there are."""
        return len(self.at)

    @property
    def sentence(self) -> str:
        """The stairs in one line."""
        told = ", ".join(f"by {f:.3g} at step {t:.3g}" for t, f in zip(self.at, self.factors, strict=True))
        return f"{'stairs' if self.fired else 'no stairs'}: {self.count} drop{'' if self.count == 1 else 's'}{': ' if told else ''}{told}"


def stairs(loss: Any, at_rest: Any = None, steep: float = STEEP, fall: float = FALL, floor: float = FLOOR) -> Stairs:
    """Count the drops of a loss: stretches of log time in which log loss falls steeply, between plateaus in which it hardly does.

    A linear network at large gamma learns one singular direction of its teacher after the other (Saxe et al. 2014), a lazy one all of
    them at once.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    at_rest : (T + 1,), the loss of the zero output on the same batches, for ten-step means; None: full batches.
    steep : of ``-d log loss/d log t`` in a drop, at least.
    fall : the factor, over 1, that a drop must lower the loss by.
    floor : the share of the first loss that counts as none, in (0, 1).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import numpy as np
    >>> from deepnets.phenomena import stairs
    >>> t = np.arange(1001)
    >>> stairs(np.exp(-t / 5) + 0.1 * np.exp(-((t / 300) ** 4))).count, stairs(np.exp(-t / 5)).count
    (2, 1)
    """
    between("steep", steep, 0, np.inf)
    between("fall", fall, 1, np.inf)
    between("floor", floor, 0, 1)
    times, excess = as_loss(loss, at_rest)
    later = (times > 0) & np.isfinite(excess)
    if later.sum() < 2:
        return Stairs((), (), False)
    x = np.log(times[later])
    grid = np.linspace(x[0], x[-1], GRID)
    y = np.interp(grid, x, np.log(np.maximum(excess[later], floor)))
    slope = -np.gradient(y, grid)
    edges = np.flatnonzero(np.diff(np.r_[False, slope > steep, False].astype(int))).reshape(-1, 2)      # [from, to) of each stretch
    at, factors = [], []
    for a, b in edges:
        drop = np.exp(y[max(a - 1, 0):min(b, GRID - 1) + 1])
        if drop[0] >= fall * drop[-1]:
            factors.append(float(drop[0] / drop[-1]))
            at.append(float(np.exp(grid[max(a - 1, 0) + int(np.argmax(drop <= (drop[0] + drop[-1]) / 2))])))
    return Stairs(tuple(at), tuple(factors), len(at) > 1)
