"""Observables for `watch`: kernel-target alignment, sharpness in units of 2/eta, size of the tangent kernel."""

from __future__ import annotations

import numpy as np

from deepnets.curvature.eigenvalues import spectra
from deepnets.kernels.target_alignment import NORMS, kernel_alignment
from deepnets.losses import Loss
from deepnets.phenomena.recorder import Observable, Snapshot
from validation.arguments import Misuse, choose

TOLERANCE = 1e-3       # of Lanczos' residuals; the eigenvalue is wrong by about their square


def alignment(norm: str = "nuclear", centred: bool = False) -> Observable:
    """Return a measure of the alignment with the targets of the kernel that the readout reads (eq. 24), as of `kernel_alignment`."""
    choose("norm", norm, NORMS)

    return lambda snapshot: kernel_alignment(snapshot.readout_kernel, snapshot.y, norm, centred)


def sharpness() -> Observable:
    """Return a measure of ``N eta lambda/2``, lambda the largest eigenvalue of the Hessian in theta: SGD on a quadratic trains below 1.

    With momentum beta it trains below 1 + beta. SignSGD and Adam have no such edge, and are refused.
    """
    def measure(snapshot: Snapshot) -> np.ndarray:
        if snapshot.experiment.optimizer.power != 2:
            raise Misuse("sharpness in units of 2/eta is defined for SGD and momentum, not for "
                         f"{snapshot.experiment.optimizer.name}")
        rate = snapshot.eta / snapshot.gamma**2 * snapshot.experiment.rate_width
        return np.asarray(rate * _largest(snapshot, snapshot.experiment.loss, "hessian") / 2)

    return measure


def kernel_size() -> Observable:
    """Return a measure of the largest eigenvalue of the tangent kernel in u-units, over samples times outputs."""
    return lambda snapshot: _largest(snapshot, "mse", "gauss_newton")


def _largest(snapshot: Snapshot, loss: str | Loss, part: str) -> np.ndarray:
    """Return the largest eigenvalue of a part of the Hessian in u, (P,)."""
    found = spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), loss, k=1, part=part, precision="float64",
                    tolerance=TOLERANCE, running=snapshot.running)
    return np.asarray(found.eigenvalues.values[:, 0])
