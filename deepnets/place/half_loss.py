"""Train a network by gradient flow, full batches at a small rate, until its loss has halved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepnets.batched.state import Parameters
from deepnets.place.centred_batch import CentredBatch

HALF = 0.5            # of the excess of the zero output
CLOSE = 0.01          # relative: how far below HALF the last step may end
LARGEST_FALL = 0.06   # of the excess, in one step
LEAST_RATIO = 0.85    # of a step's fall over that of its slope, else the step is taken again, shorter
LENGTHEN, SHORTEN = 1.2, 1.6
MOST = 400            # gradients


@dataclass(frozen=True)
class Flow:
    """Where the flow ended.

    Attributes
    ----------
    theta : the parameters.
    excess : the loss there, over that of the zero output, both from the loss's least value.
    gradients : how many were computed.
    """

    theta: Parameters
    excess: float
    gradients: int

    @property
    def arrived(self) -> bool:
        """Whether the loss has halved."""
        return self.excess <= HALF


def halve_loss(batch: CentredBatch, gamma: float, most: int = MOST) -> Flow:
    """Follow the gradient flow of the centred network at gamma from theta_0 until its excess is a half, or `most` gradients are spent.

    A step is explicit, and adapts its rate: the loss falls by at most 6% of the first, and by at least 85% of what the slope promises.
    """
    least = batch.loss.least
    first = batch.zero_loss - least
    theta, gradients = batch.theta_0, 1
    value, gradient = batch.loss_and_gradient(theta, gamma)
    value, square = value - least, batch.square(gradient)
    if first <= 0 or square == 0 or not np.isfinite(square):
        return Flow(theta, 1.0, gradients)
    rate = LARGEST_FALL * first / square / 2
    while value > HALF * first and gradients < most and square > 0:
        moved = {n: p - (rate * batch.rates[n]) * gradient[n] for n, p in theta.items()}
        new, slope = batch.loss_and_gradient(moved, gamma)
        new, gradients = new - least, gradients + 1
        fall = value - new
        ratio = fall / (rate * square)
        if not np.isfinite(new) or ratio < LEAST_RATIO or fall > LARGEST_FALL * first:
            rate /= SHORTEN
            continue
        if new < (1 - CLOSE) * HALF * first:
            rate *= max((value - (1 - CLOSE / 2) * HALF * first) / fall, 1e-3)
            continue
        theta, value, gradient, square = moved, new, slope, batch.square(slope)
        if ratio > (1 + LEAST_RATIO) / 2:
            rate *= LENGTHEN
    return Flow(theta, value / first, gradients)
