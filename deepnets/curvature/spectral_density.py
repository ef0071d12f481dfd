"""Density of the Hessian's eigenvalues by stochastic Lanczos quadrature, with its error over probes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.centered.centered import Centered
from deepnets.curvature.eigenvalues import UNITS
from deepnets.curvature.hessian import Curvature, select_parameters
from deepnets.curvature.hessian_trace import draw_signs, standard_error
from deepnets.curvature.lanczos import quadrature
from deepnets.curvature.points import Batch, Differences, point_from_network
from deepnets.losses import Loss
from validation.arguments import Misuse, numbers, whole

MOMENTS = 4
GRID = 501       # values at which the density is computed by default
BEYOND = 5       # widths by which they extend beyond the outermost node: the rest of a Gaussian is 3e-7


def density(centered: Centered, u: Differences | None = None, batch: Batch | None = None, loss: str | Loss = "mse", probes: int = 10,
            steps: int = 80, width: float | None = None, values: ArrayLike | None = None, part: str = "hessian",
            block: str | Sequence[str] | None = None, seed: int = 0, precision: str = "module") -> xr.Dataset:
    """Return the density of the eigenvalues of the Hessian of the loss in u, convolved with a Gaussian.

    ``rho(l) = (1/n) sum_i N(l - l_i; width)``, whose integral is 1. For each probe z of random signs, m steps of Lanczos give the Gauss
    quadrature of ``z^T f(H) z/n``, m nodes with weights that sum to 1 (Lin, Saad & Yang 2016; Ghorbani et al. 2019); rho is their mean
    over the probes, and the error the standard error of this mean. Outliers appear as nodes of weight ~ 1/n.

    Parameters
    ----------
    centered, u, batch, loss, part, block, seed, precision : as of `deepnets.spectrum`.
    probes : >= 2.
    steps : of Lanczos, m: for each probe, moments up to 2 m - 1 are exact.
    width : of the Gaussian, in units of the eigenvalues; None: a hundredth of the nodes' range.
    values : (V,), at which the density is computed; None: 501 values that extend five widths beyond the nodes.

    Returns
    -------
    `density` and `density_error` (value,), per unit of the eigenvalue; `moment` and `moment_error` (order,), ``tr H^q/n`` for q = 1 to 4,
    not broadened; `nodes`, `weights` (probe, step). Units as of `deepnets.spectrum`.

    Raises
    ------
    Misuse : an argument that is not allowed; more memory needed than is free.

    Examples
    --------
    >>> import torch, deepnets
    >>> line = torch.nn.Linear(1, 1, bias=False).double()
    >>> batch = torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [2.0]])
    >>> deepnets.density(deepnets.Centered(line, gamma=1e-6), None, batch, "mse", width=0.1).moment.values     # of one eigenvalue, 5
    array([  5.,  25., 125., 625.])
    """
    whole("probes", probes, 2)
    whole("steps", steps)
    whole("seed", seed, 0)
    if width is not None and not 0 < width < np.inf:
        raise Misuse(f"width must be finite and above zero, not {width!r}")
    points = point_from_network(centered, u, batch, loss, precision)
    n = sum(points.u[name][0].numel() for name in select_parameters(list(points.u), block))
    curvature = Curvature(points, part, block, seed, columns=min(steps, n) + 2)
    source = torch.Generator().manual_seed(seed)
    found = [quadrature(curvature, draw_signs(curvature, source), steps) for _ in range(probes)]
    nodes, weights = (np.concatenate([f[i] for f in found]) for i in (0, 1))             # (probe, step)
    weights = weights / n
    relevant = nodes[weights > 1e-14]
    low, high = relevant.min(), relevant.max()
    width = width or max((high - low) / 100, 1e-6 * max(abs(low), abs(high)), np.finfo(float).tiny ** 0.5)
    at = np.linspace(low - BEYOND * width, high + BEYOND * width, GRID) if values is None else np.atleast_1d(numbers("values", values))
    if at.ndim != 1:
        raise Misuse(f"values must have one dimension, not {at.ndim}")
    each = np.stack([np.exp(-0.5 * ((at[:, None] - x) / width) ** 2) @ w for x, w in zip(nodes, weights, strict=True)])
    each /= width * np.sqrt(2 * np.pi)
    orders = np.arange(1, MOMENTS + 1)
    moments = np.stack([(weights * nodes**q).sum(1) for q in orders], 1)                 # (probe, order)
    variables = {"density": ("value", each.mean(0)), "density_error": ("value", standard_error(each)), "moment": ("order", moments.mean(0)),
                 "moment_error": ("order", standard_error(moments)), "nodes": (("probe", "step"), nodes),
                 "weights": (("probe", "step"), weights)}
    result = xr.Dataset(variables, {"value": ("value", at, {"units": UNITS}), "order": orders})
    return result.assign_attrs(gamma=float(points.gamma[0]), part=part, loss=points.loss.name, samples=len(points.x), size=n,
                               width=float(width), products=probes * nodes.shape[1], dtype=str(curvature.like.dtype).removeprefix("torch."))
