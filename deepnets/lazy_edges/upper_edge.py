"""The upper edge of a lazy network with half the squared error: the rate at which its kernel's largest eigenvalue loses stability."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from deepnets.curvature.lanczos import eigenpairs
from validation.edges import WIDTH

Map = Callable[[torch.Tensor], torch.Tensor]
EXACT = 1e-3      # residual over the eigenvalue, whose error is of its second order; samples leave an error of 1e-2


def largest_eigenvalue(kernel: Map, outputs: torch.Tensor) -> float:
    """Return the largest eigenvalue of a kernel over samples and outputs, by Lanczos, to 1e-3 of itself; usually far closer.

    Parameters
    ----------
    kernel : ``v (n K) -> K v``.
    outputs : (n, ..., K), like which v is made.
    """
    like = outputs.reshape(1, -1)
    return float(eigenpairs(lambda v: kernel(v[0])[None], like, 1, tolerance=EXACT).values[0, 0])


def critical_level(largest: float, outputs: int) -> float:
    """Return ``eta/gamma**2 = 2/lambda_1``, with lambda_1 the kernel's largest eigenvalue over the number of outputs, samples times K.

    The loss is a mean over them. A step multiplies the residual's part along an eigenvector by ``1 - (eta/gamma**2) lambda``.
    """
    return 2 * outputs / largest


@dataclass(frozen=True, eq=False)
class StabilityEdge:
    """The rate at which the kernel loses stability, where runs can show it.

    Runs show eta_crit as the top of a set of trained rates. If none is trained below that rate, or so few that they may be narrower than a
    set, there is nothing to be seen of it.

    Attributes
    ----------
    critical : its ``eta/gamma**2``, of any T and rho.
    lower : (T, rho) -> that of eta_min, NaN where there is none.
    margin : decades of trained rates that must lie below: the width of a set, and the decades within which eta_min is known.
    """

    critical: float
    lower: Callable[[int, float], float]
    margin: float = WIDTH

    def __call__(self, steps: int, rho: float) -> float:
        """Return `critical`; NaN where fewer than `margin` decades of trained rates lie below it."""
        return self.critical if self.lower(steps, rho) * 10**self.margin <= self.critical else np.nan
