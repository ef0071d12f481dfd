"""Trace of the Hessian of the loss in u, exact or with its standard error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import nn

from deepnets.batched.state import RunningStatistics
from deepnets.centered.centered import Centered
from deepnets.curvature.eigenvalues import DENSE, UNITS
from deepnets.curvature.hessian import Curvature, select_parameters
from deepnets.curvature.points import Batch, Differences, Points, point_from_network, points_from_stack
from deepnets.losses import Loss
from validation.arguments import Misuse, choose, whole

METHODS = ("auto", "exact", "hutch++", "hutchinson")


def trace(centered: Centered, u: Differences | None = None, batch: Batch | None = None, loss: str | Loss = "mse", probes: int = 30,
          part: str = "hessian", block: str | Sequence[str] | None = None, seed: int = 0, precision: str = "module",
          method: str = "auto") -> xr.Dataset:
    """Return ``tr H``, the trace of the Hessian of the loss in u, or of one of its parts (eq. 3 of the paper).

    Hutchinson: the mean of ``z^T H z`` over random signs z. Hutch++ (Meyer et al. 2021) spends a third of the products on a sketch of the
    largest eigenvectors, whose part of the trace is then exact, and probes the rest: its error is much smaller where few eigenvalues stand
    out. Both are unbiased; the reported error is the standard error over the probes.

    Parameters
    ----------
    centered, u, batch, loss, part, block, seed, precision : as of `deepnets.spectrum`.
    probes : the number of products, at least 6 (2 with "hutchinson").
    method : "exact" sums the diagonal, n products; "auto" does so for up to 1000 parameters and uses Hutch++ for more.

    Returns
    -------
    `trace` and `error`, both of no dimension; units as of `deepnets.spectrum`.

    Raises
    ------
    Misuse : an argument that is not allowed; more memory needed than is free.

    Examples
    --------
    >>> import torch, deepnets
    >>> line = torch.nn.Linear(2, 1, bias=False).double()
    >>> batch = torch.tensor([[1.0, 1.0], [3.0, 0.0]]), torch.tensor([[0.0], [2.0]])
    >>> float(deepnets.trace(deepnets.Centered(line, gamma=1e-6), None, batch, "mse").trace)      # (1 + 1 + 9)/2
    5.5
    """
    points = point_from_network(centered, u, batch, loss, precision)
    found = _measure(points, probes, part, block, seed, method)
    return found.isel(point=0, drop=True).assign_attrs(gamma=float(points.gamma[0]))


def traces(module: nn.Module, u: Differences, gamma: ArrayLike | torch.Tensor, batch: Batch, loss: str | Loss = "mse", probes: int = 30,
           part: str = "hessian", block: str | Sequence[str] | None = None, seed: int = 0, precision: str = "module", method: str = "auto",
           running: RunningStatistics | None = None) -> xr.Dataset:
    """Return what `trace` does, for P points that share theta_0 and the batch: the products of all points are computed at once.

    All points have the same probes.

    Parameters
    ----------
    module, u, gamma, batch, loss, running : as of `deepnets.spectra`.
    probes, part, block, seed, precision, method : as of `trace`.

    Returns
    -------
    `trace` and `error` (point,), with a coordinate `gamma` (point,).

    Raises
    ------
    Misuse : an argument that is not allowed; more memory needed than is free.
    Unsupported : an operation that differences cannot be propagated through.
    """
    return _measure(points_from_stack(module, u, gamma, batch, loss, precision, running), probes, part, block, seed, method)


def _measure(points: Points, probes: int, part: str, block: str | Sequence[str] | None, seed: int, method: str) -> xr.Dataset:
    choose("method", method, METHODS)
    whole("probes", probes, 6 if method in ("auto", "hutch++") else 2)
    whole("seed", seed, 0)
    n = sum(points.u[name][0].numel() for name in select_parameters(list(points.u), block))
    if method == "auto":
        method = "exact" if n <= DENSE else "hutch++"
    curvature = Curvature(points, part, block, seed, columns=1 if method == "exact" else 2 * (probes // 3) + 2)
    found, error, products = (_sum_diagonal if method == "exact" else _estimate_hutch_pp if method == "hutch++" else _estimate_hutchinson)(
        curvature, probes, torch.Generator().manual_seed(seed))
    if not np.isfinite(found).all():
        raise Misuse("products must be finite: the loss or its derivatives overflow at this point, so its curvature is undefined")
    return xr.Dataset({"trace": ("point", found, {"units": UNITS}), "error": ("point", error, {"units": UNITS})},
                      {"gamma": ("point", points.gamma)}).assign_attrs(
        part=part, loss=points.loss.name, samples=len(points.x), size=n, method=method, products=products,
        dtype=str(curvature.like.dtype).removeprefix("torch."))


Estimate = tuple[np.ndarray, np.ndarray, int]      # traces and standard errors (P,), and the products spent


def _sum_diagonal(curvature: Curvature, probes: int, source: torch.Generator) -> Estimate:
    e, total = curvature.like.new_zeros((curvature.P, curvature.n)), np.zeros(curvature.P)
    for i in range(curvature.n):
        e.zero_()[:, i] = 1
        total += _array(curvature(e)[:, i])
    return total, np.zeros(curvature.P), curvature.n


def _estimate_hutchinson(curvature: Curvature, probes: int, source: torch.Generator) -> Estimate:
    quadratic = np.stack([_quadratic_form(curvature, draw_signs(curvature, source)) for _ in range(probes)])
    return quadratic.mean(0), standard_error(quadratic), probes


def _estimate_hutch_pp(curvature: Curvature, probes: int, source: torch.Generator) -> Estimate:
    third = min(probes // 3, curvature.n)
    sketch = torch.stack([curvature(draw_signs(curvature, source)) for _ in range(third)], -1).double()     # (P, n, third)
    Q = torch.linalg.qr(sketch)[0].to(curvature.like)
    exact = np.sum([_quadratic_form(curvature, Q[:, :, i].contiguous()) for i in range(third)], 0)
    rest = []
    for _ in range(probes - 2 * third):
        z = draw_signs(curvature, source)
        rest.append(_quadratic_form(curvature, z - (Q @ (Q.mT @ z[:, :, None]))[:, :, 0]))
    return exact + np.mean(rest, 0), standard_error(np.stack(rest)), probes


def draw_signs(curvature: Curvature, source: torch.Generator) -> torch.Tensor:
    """Return a vector of random signs, the same for all points, (P, n), whatever the device."""
    drawn = torch.randint(0, 2, (1, curvature.n), generator=source) * 2 - 1
    return drawn.to(curvature.like).repeat(curvature.P, 1)


def _quadratic_form(curvature: Curvature, z: torch.Tensor) -> np.ndarray:
    """Return ``z^T H z`` of each point, (P,)."""
    return _array((z * curvature(z)).double().sum(-1))


def _array(t: torch.Tensor) -> np.ndarray:
    return np.asarray(t.double().cpu().numpy())


def standard_error(values: np.ndarray) -> np.ndarray:
    """Return the standard error of the mean over the first dimension, that of the probes."""
    return np.asarray(values.std(0, ddof=1) / np.sqrt(len(values)))
