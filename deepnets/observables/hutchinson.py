"""The trace of the Hessian of the loss in u, exact or with its standard error; knows no eigenvalue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from deepnets.difference import Centered
from deepnets.observables.eigenvalues import DENSE, UNITS
from deepnets.observables.operators import Curvature, chosen
from deepnets.observables.points import of_centered
from validation.misuse import Misuse, choose, whole

METHODS = ("auto", "exact", "hutch++", "hutchinson")


def trace(centered: Centered, u: Mapping[str, Any] | None = None, batch: Any = None, loss: Any = "mse", probes: int = 30,
          part: str = "hessian", block: str | Sequence[str] | None = None, seed: int = 0, precision: str = "module",
          method: str = "auto") -> xr.Dataset:
    """Return ``tr H``, the trace of the Hessian of the loss in u, or of one of its parts (eq. 3 of the paper).

    Hutchinson: the mean of ``z^T H z`` over random signs z. Hutch++ (Meyer et al. 2021) spends a third of the products on a sketch of the
    largest eigenvectors, whose part of the trace is then exact, and probes what is left: its error is by far the smaller where few
    eigenvalues stand out. Both are unbiased; the error told is the standard error over the probes.

    Parameters
    ----------
    centered, u, batch, loss, part, block, seed, precision : as of `deepnets.spectrum`.
    probes : how many products are spent, at least 6 (2 by Hutchinson's way).
    method : "exact" sums the diagonal, n products; "auto" does so for up to 1000 parameters, and else takes Hutch++.

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
    choose("method", method, METHODS)
    whole("probes", probes, 6 if method in ("auto", "hutch++") else 2)
    whole("seed", seed, 0)
    points = of_centered(centered, u, batch, loss, precision)
    n = sum(points.u[name][0].numel() for name in chosen(list(points.u), block))
    if method == "auto":
        method = "exact" if n <= DENSE else "hutch++"
    curvature = Curvature(points, part, block, seed, columns=1 if method == "exact" else 2 * (probes // 3) + 2)
    found, error, products = (_exact if method == "exact" else _plus if method == "hutch++" else _hutchinson)(
        curvature, probes, torch.Generator().manual_seed(seed))
    if not np.isfinite(found):
        raise Misuse("products must be finite: the loss or its derivatives overflow at this point, which has no curvature to measure")
    return xr.Dataset({"trace": ((), found, {"units": UNITS}), "error": ((), error, {"units": UNITS})}).assign_attrs(
        gamma=float(points.gamma[0]), part=part, loss=points.loss.name, samples=len(points.x), size=n, method=method, products=products,
        dtype=str(curvature.like.dtype).removeprefix("torch."))


def _exact(curvature: Curvature, probes: int, source: torch.Generator) -> tuple[float, float, int]:
    e, total = curvature.like.new_zeros((1, curvature.n)), 0.0
    for i in range(curvature.n):
        e.zero_()[0, i] = 1
        total += float(curvature(e)[0, i])
    return total, 0.0, curvature.n


def _hutchinson(curvature: Curvature, probes: int, source: torch.Generator) -> tuple[float, float, int]:
    quadratic = [float((z * curvature(z)).double().sum()) for z in (signs(curvature, source) for _ in range(probes))]
    return float(np.mean(quadratic)), _standard_error(quadratic), probes


def _plus(curvature: Curvature, probes: int, source: torch.Generator) -> tuple[float, float, int]:
    third = min(probes // 3, curvature.n)
    sketch = torch.cat([curvature(signs(curvature, source)) for _ in range(third)]).double()       # (third, n)
    Q = torch.linalg.qr(sketch.mT)[0].to(curvature.like)                                           # (n, third)
    exact = sum(float((q[None] * curvature(q[None])).double().sum()) for q in Q.mT)
    rest = []
    for _ in range(probes - 2 * third):
        z = signs(curvature, source)
        z = z - (z @ Q) @ Q.mT
        rest.append(float((z * curvature(z)).double().sum()))
    return exact + float(np.mean(rest)), _standard_error(rest), probes


def signs(curvature: Curvature, source: torch.Generator) -> torch.Tensor:
    """Return a vector of random signs, (1, n), whatever the device."""
    return (torch.randint(0, 2, (1, curvature.n), generator=source) * 2 - 1).to(curvature.like)


def _standard_error(values: list[float]) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
