"""Stairs: a loss that falls in drops, with plateaus between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepnets.phenomena.loss_curves import as_loss
from validation.arguments import between

GRID = 400          # points of log time
STEEP = 0.5         # of -d log loss/d log t: plateaus are flatter
FALL = 1.5          # the least factor by which a drop lowers the loss
FLOOR = 1e-6        # of the first loss: smaller losses are rounding


@dataclass(frozen=True)
class Stairs:
    """The drops of a loss.

    Attributes
    ----------
    at : the steps at which half of each drop is done, on a linear axis of the loss.
    factors : the factor by which each drop divides the loss.
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
        drops = ", ".join(f"by {f:.3g} at step {t:.3g}" for t, f in zip(self.at, self.factors, strict=True))
        return f"{'stairs' if self.fired else 'no stairs'}: {self.count} drop{'' if self.count == 1 else 's'}{': ' if drops else ''}{drops}"


def stairs(loss: ArrayLike, zero_output_loss: ArrayLike | None = None, steep: float = STEEP, fall: float = FALL,
           floor: float = FLOOR) -> Stairs:
    """Count the drops of a loss: stretches of log time in which log loss falls steeply, between plateaus.

    A linear network at large gamma learns the singular directions of its teacher one after the other (Saxe et al. 2014), a lazy one all at
    once.

    Parameters
    ----------
    loss : (T + 1,), before every step and after the last.
    zero_output_loss : (T + 1,), of the same batches, where they differ: the excess is then of ten-step means; None: full batches.
    steep : the least ``-d log loss/d log t`` in a drop.
    fall : the least factor, above 1, by which a drop lowers the loss.
    floor : the share of the first loss below which it counts as zero, in (0, 1).

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
    times, excess = as_loss(loss, zero_output_loss)
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
