"""What `watch` may look at: alignment, sharpness in units of 2/eta, the size of the kernel; knows no phenomenon."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepnets.curvature.eigenvalues import spectra
from deepnets.kernels.target_alignment import NORMS, kernel_alignment
from deepnets.phenomena.recorder import Look, Observable
from validation.arguments import Misuse, choose

TOLERANCE = 1e-3       # of Lanczos' residuals; the eigenvalue is wrong by about their square


def alignment(norm: str = "nuclear", centred: bool = False) -> Observable:
    """Return what measures the alignment with the targets of the kernel that the readout sees (eq. 24), as of `kernel_alignment`."""
    choose("norm", norm, NORMS)

    return lambda look: kernel_alignment(look.readout_kernel, look.y, norm, centred)


def sharpness() -> Observable:
    """Return what measures ``N eta lambda/2``, lambda the largest eigenvalue of the Hessian in theta: SGD on a quadratic trains below 1.

    Heavy balls do up to 1 + beta. SignSGD and Adam have no such edge, and are refused.
    """
    def measure(look: Look) -> np.ndarray:
        if look.experiment.optimizer.power != 2:
            raise Misuse(f"sharpness in units of 2/eta is SGD's and momentum's, not {look.experiment.optimizer.name}'s")
        rate = look.eta / look.gamma**2 * look.experiment.rate_width
        return np.asarray(rate * _largest(look, look.experiment.loss, "hessian") / 2)

    return measure


def kernel_size() -> Observable:
    """Return what measures the largest eigenvalue of the tangent kernel in u-units, over samples times outputs."""
    return lambda look: _largest(look, "mse", "gauss_newton")


def _largest(look: Look, loss: Any, part: str) -> np.ndarray:
    found = spectra(look.module, look.u, look.gamma, (look.x, look.y), loss, k=1, part=part, precision="float64", tolerance=TOLERANCE,
                    running=look.running)
    return np.asarray(found.eigenvalues.values[:, 0])
