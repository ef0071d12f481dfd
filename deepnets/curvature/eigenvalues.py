"""Largest and smallest eigenvalues of the Hessian of the loss in u, at one point or at many points together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import nn

from deepnets.batched.state import RunningStatistics
from deepnets.centered.centered import Centered
from deepnets.curvature.hessian import Curvature, select_parameters
from deepnets.curvature.lanczos import WHICH, Eigenpairs, basis_size, eigenpairs
from deepnets.curvature.points import Batch, Differences, Points, point_from_network, points_from_stack
from deepnets.device import threads_for
from deepnets.losses import Loss
from validation.arguments import Misuse, choose, whole

METHODS = ("auto", "dense", "lanczos")
DENSE = 1000      # parameters up to which a dense matrix is small; `method="dense"` allows ten times as many
SMALL = 50_000_000      # parameters times samples of all points: below, a second thread saves seconds, and loses minutes on busy cores
UNITS = "loss per u^2; times gamma^-2: loss per theta^2"


def spectrum(centered: Centered, u: Differences | None = None, batch: Batch | None = None, loss: str | Loss = "mse", k: int = 20,
             part: str = "hessian", which: str = "largest", block: str | Sequence[str] | None = None, seed: int = 0,
             precision: str = "module", method: str = "auto", tolerance: float | None = None, start: xr.Dataset | None = None,
             vectors: bool = False) -> xr.Dataset:
    """Return extreme eigenvalues of the Hessian of the loss in u, ``H = d^2 L(f~(u))/du^2`` (eq. 3 of the paper, there in theta).

    ``H = G + R``: Gauss-Newton part ``G = J^T L'' J`` with ``J = df~/du``, and residual part ``R = sum_i (dL/df~_i) d^2 f~_i/du^2``. As
    ``theta = theta_0 + gamma u``, the Hessian in theta is ``gamma**-2`` times this one; in u it is of order one in the lazy regime. The
    loss is the mean over the batch as the losses define it ("mse": half the squared error, averaged over outputs too). The module stays in
    its own mode: in training mode it normalises by the batch, since the curvature that meets 2/eta is that of this loss. Kernels are those
    of the function in evaluation mode, as of `deepnets.Runs`; call ``module.eval()`` for the corresponding curvature.

    Parameters
    ----------
    centered : the network; f~ is evaluated by its own method, pairs or two copies. It is not changed.
    u : by the wrapped module's parameter names; None: where `centered` is.
    batch : (x, y), inputs (B, ...) and targets, numbers (B, ..., K) or class indices (B, ...).
    loss : "mse", "cross_entropy", or a loss of `deepnets.losses`.
    k : how many eigenvalues at each requested end; all of them if there are fewer.
    part : "hessian", "gauss_newton" or "residual".
    which : "largest", "smallest" (the most negative) or "both".
    block : the name of a parameter or a module, or several: the diagonal block of their parameters; None: all parameters.
    seed : of Lanczos' start vectors, and of dropout masks if the module is in training mode.
    precision : "module" measures in the module's dtype, "float64" in a float64 copy: float32 does not suffice for the residual part below
        gamma ~ 1e-3, nor for eigenvalues below 1e-6 of the largest.
    method : "dense" computes the matrix, "lanczos" products with it; "auto" is dense where the matrix has no more rows
        than Lanczos would take products, about 120 and six for each eigenvalue.
    tolerance : of Lanczos' residuals, over the largest eigenvalue; None: 1e-6 in float64, 1e-4 in float32.
    start : an earlier result with `eigenvectors`, to start from: fewer products if the network has moved little.
    vectors : whether to return `eigenvectors` too.

    Returns
    -------
    `eigenvalues` (eigenvalue,), largest first; `residuals` (eigenvalue,), ``|H v - l v|`` over the largest modulus: some
    eigenvalue of H is at most this far from the returned one; `converged`; `eigenvectors` (eigenvalue, parameter), unit vectors in u,
    parameters flattened and joined in the order of attrs["parameters"]. Attrs: gamma, part, method, dtype, number of products.

    Raises
    ------
    Misuse : an argument that is not allowed; more memory needed than is free.
    Unsupported : if `centered` has method "pairs": an operation that pairs cannot be propagated through.

    Examples
    --------
    Of ``f~ = u x`` with half the squared error over two samples, ``H = (1 + 9)/2``, at every gamma:

    >>> import torch, deepnets
    >>> line = torch.nn.Linear(1, 1, bias=False).double()
    >>> batch = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [2.0]])
    >>> deepnets.spectrum(deepnets.Centered(line, gamma=1e-6), None, batch, "mse").eigenvalues.values
    array([5.])
    """
    points = point_from_network(centered, u, batch, loss, precision)
    found = _measure(points, k, part, which, block, seed, method, tolerance, start, vectors)
    return found.isel(point=0, drop=True).assign_attrs(gamma=float(points.gamma[0]), propagation=points.method)


def spectra(module: nn.Module, u: Differences, gamma: ArrayLike | torch.Tensor, batch: Batch, loss: str | Loss = "mse", k: int = 20,
            part: str = "hessian", which: str = "largest", block: str | Sequence[str] | None = None, seed: int = 0,
            precision: str = "module", method: str = "auto", tolerance: float | None = None, start: xr.Dataset | None = None,
            vectors: bool = False, running: RunningStatistics | None = None) -> xr.Dataset:
    """Return what `spectrum` does, for P points that share theta_0 and the batch: the products of all points are computed at once.

    Parameters
    ----------
    module : holds theta_0.
    u : by parameter name, (P, *shape).
    gamma : (P,), >= 0.
    batch, loss, k, part, which, block, seed, precision, method, tolerance, vectors : as of `spectrum`.
    start : an earlier result for the same points.
    running : the points' running statistics; None: the module's own.

    Returns
    -------
    `eigenvalues`, `residuals` (point, eigenvalue) and `converged` (point,), with a coordinate `gamma` (point,).

    Raises
    ------
    Misuse : an argument that is not allowed; more memory needed than is free.
    Unsupported : an operation that differences cannot be propagated through; `spectrum` can use two copies instead.

    Examples
    --------
    >>> import torch, deepnets
    >>> line = torch.nn.Linear(1, 1, bias=False).double()
    >>> batch = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [2.0]])
    >>> deepnets.spectra(line, {"weight": torch.zeros(2, 1, 1)}, [1e-6, 1.0], batch, "mse").eigenvalues.values
    array([[5.],
           [5.]])
    """
    points = points_from_stack(module, u, gamma, batch, loss, precision, running)
    return _measure(points, k, part, which, block, seed, method, tolerance, start, vectors)


def _measure(points: Points, k: int, part: str, which: str, block: str | Sequence[str] | None, seed: int, method: str,
              tolerance: float | None, start: xr.Dataset | None, vectors: bool) -> xr.Dataset:
    whole("k", k)
    whole("seed", seed, 0)
    choose("which", which, WHICH)
    choose("method", method, METHODS)
    if tolerance is not None and not 0 < tolerance < 1:
        raise Misuse(f"tolerance must be between 0 and 1, both excluded, not {tolerance!r}")
    names = select_parameters(list(points.u), block)
    P, n = len(points.gamma), sum(points.u[n][0].numel() for n in names)
    dense = method == "dense" or (method == "auto" and n <= 2 * basis_size(n, k, which))
    if method == "dense" and n > 10 * DENSE:
        raise Misuse(f"method 'dense' would need a matrix of {n} by {n}, more than {10 * DENSE}; use method 'lanczos'")
    columns = 2 * n if dense else basis_size(n, k, which) + min(n, 2 * k)
    with threads_for(P * n, len(points.x), points.u[names[0]].device.type, SMALL):
        curvature = Curvature(points, part, block, seed, columns)
        vectors_before = _as_start(start, curvature)
        if dense:
            found = _diagonalise(curvature.matrix(), k, which)
        else:
            found = eigenpairs(curvature, curvature.like.new_empty((P, n)), k, which, tolerance, vectors_before, seed)
    measured = xr.Dataset({"eigenvalues": (("point", "eigenvalue"), found.values, {"units": UNITS}),
                           "residuals": (("point", "eigenvalue"), found.residuals, {"units": "the largest |eigenvalue| found"}),
                           "converged": (("point",), found.converged)}, {"gamma": (("point",), points.gamma)})
    if vectors:
        measured["eigenvectors"] = (("point", "eigenvalue", "parameter"), found.vectors.cpu().numpy())
    return measured.assign_attrs(part=part, which=which, loss=points.loss.name, samples=len(points.x), parameters=names, size=n,
                                 method="dense" if dense else "lanczos", dtype=str(curvature.like.dtype).removeprefix("torch."),
                                 products=found.products)


def _diagonalise(matrix: torch.Tensor, k: int, which: str) -> Eigenpairs:
    """Return the extreme eigenpairs of matrices (P, n, n), largest first."""
    if not torch.isfinite(matrix).all():
        raise Misuse("products must be finite: the loss or its derivatives overflow at this point, so its curvature is undefined")
    values, columns = torch.linalg.eigh(matrix.double())
    n = values.shape[1]
    ends = {"largest": np.arange(max(0, n - k), n), "smallest": np.arange(min(k, n)),
            "both": np.unique(np.r_[0:min(k, n), max(0, n - k):n])}[which][::-1].copy()
    some = columns[:, :, ends]
    left = (matrix.double() @ some - some * values[:, None, ends]).norm(dim=1).cpu().numpy()
    largest = values.abs().amax(1, keepdim=True).cpu().numpy()
    left = np.divide(left, largest, out=np.zeros_like(left), where=largest > 0)
    return Eigenpairs(values[:, ends].cpu().numpy(), some.mT.to(matrix), left, n, np.ones(len(values), bool))


def _as_start(start: xr.Dataset | None, curvature: Curvature) -> torch.Tensor | None:
    """Return the eigenvectors of an earlier result, (P, s, n)."""
    if start is None:
        return None
    if not isinstance(start, xr.Dataset) or "eigenvectors" not in start:
        raise Misuse("start must be a result with `eigenvectors`, from spectrum(..., vectors=True)")
    vectors = start["eigenvectors"].values
    vectors = vectors[None] if vectors.ndim == 2 else vectors
    if vectors.shape[0] != curvature.P or vectors.shape[2] != curvature.n:
        raise Misuse(f"start must hold eigenvectors of {curvature.P} points and {curvature.n} parameters, not of {vectors.shape[0]} and "
                     f"{vectors.shape[2]}")
    return torch.from_numpy(np.ascontiguousarray(vectors)).to(curvature.like)
