"""The upper edge of a lazy network with half the squared error: the rate at which its kernel's largest eigenvalue loses stability."""

from __future__ import annotations

from collections.abc import Callable

import torch

from deepnets.curvature.lanczos import eigenpairs

Map = Callable[[torch.Tensor], torch.Tensor]


def largest_eigenvalue(kernel: Map, outputs: torch.Tensor) -> float:
    """Return the largest eigenvalue of a kernel over samples and outputs, by Lanczos, to 1e-6 of itself.

    Parameters
    ----------
    kernel : ``v (n K) -> K v``.
    outputs : (n, ..., K), like which v is made.
    """
    like = outputs.reshape(1, -1)
    return float(eigenpairs(lambda v: kernel(v[0])[None], like, 1).values[0, 0])


def critical_level(largest: float, outputs: int) -> float:
    """Return ``eta/gamma**2 = 2/lambda_1``, with lambda_1 the kernel's largest eigenvalue over the number of outputs, samples times K.

    The loss is a mean over them. A step multiplies the residual's part along an eigenvector by ``1 - (eta/gamma**2) lambda``.
    """
    return 2 * outputs / largest
