"""Empirical neural tangent kernel at theta_0 + gamma u: blocks, trace, products, largest eigenvalues.

``K[a, i; b, j] = sum_p r_p (d f~_i(x_a)/d u_p)(d f~_j(x_b)/d u_p)``, in u-units. The derivative of f~ in u is that of f in theta at
``theta_0 + gamma u``: no difference is taken, and K is as exact at gamma = 1e-8 as at 1e4. A step of size eta in theta on f/gamma
changes f~ by ``-(eta/gamma**2) K dL/df~``, with r the rates over eta (N in muP, eq. 13).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.centered.centered import Centered
from deepnets.curvature.lanczos import eigenpairs
from deepnets.kernels.jacobian import METHODS, Rates, Tangent, as_numpy
from deepnets.kernels.moved_networks import Runs
from validation.arguments import Misuse, choose, whole

DENSE = 2000      # rows up to which a kernel is diagonalised
TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}      # of Lanczos' residuals, over the largest eigenvalue


def ntk(network: Centered | Runs, x: torch.Tensor, u: Mapping[str, torch.Tensor] | None = None, blocks: str | int = "full",
        rates: Rates = None, method: str = "auto") -> np.ndarray:
    """Return the empirical neural tangent kernel ``K[a, i; b, j] = <d f~_i(x_a)/du, d f~_j(x_b)/du>`` on a batch.

    The network is evaluated in evaluation mode, as of `deepnets.Runs`; `deepnets.spectrum` leaves it in its own mode.

    Parameters
    ----------
    network : a `Centered`, or `Runs`, one kernel for each.
    x : (n, ...), the inputs; outputs of several dimensions (those at each place of a sequence) are flattened to K.
    u : for a `Centered`, the point at which it is evaluated, by the wrapped module's parameter names; None: where it is.
    blocks : "full"; "trace", the sum over outputs of K[a, i; b, i]; or the number of one output.
    rates : each parameter's rate over eta, by name, as its weight, or a specification such as `deepnets.MLP` for its rates of SGD; None: 1.
    method : "jacobian" stores the derivatives (n K rows of all parameters; for a trace as many outputs at a time as fit), "products"
        computes column by column and takes n times as long; "auto" uses the former if it fits into free memory.

    Returns
    -------
    float64 array, (n, K, n, K) if full and else (n, n), after a dimension of runs for `Runs`; exact to rounding.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; too little memory, before it is used.

    References
    ----------
    Jacot et al., NeurIPS 2018; the paper's Appendix B.1.

    Examples
    --------
    For a linear function it is the Gram matrix of the inputs, at any gamma:

    >>> import torch, deepnets
    >>> x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    >>> deepnets.ntk(deepnets.Centered(torch.nn.Linear(2, 1, bias=False), gamma=1e-6), x, blocks="trace").tolist()
    [[5.0, 2.0], [2.0, 1.0]]
    """
    runs = Runs.of(network, u)
    choose("method", method, METHODS)
    kernels = [Tangent(runs, p, x, rates).kernel(blocks, method) for p in range(len(runs))]
    return np.stack(kernels) if isinstance(network, Runs) else kernels[0]


def ntk_product(network: Centered | Runs, x: torch.Tensor, v: ArrayLike | torch.Tensor, u: Mapping[str, torch.Tensor] | None = None,
                rates: Rates = None) -> np.ndarray:
    """Return ``K v`` without computing the kernel, by one backward and one forward derivative.

    Parameters
    ----------
    network, x, u, rates : as of `ntk`.
    v : (n, K), the same for all `Runs`.

    Returns
    -------
    float64 array, (n, K), after a dimension of runs for `Runs`; exact to rounding.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import torch, deepnets
    >>> x = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    >>> deepnets.ntk_product(deepnets.Centered(torch.nn.Linear(2, 1, bias=False), gamma=1e-6), x, [[1.0], [1.0]]).tolist()
    [[7.0], [3.0]]
    """
    runs = Runs.of(network, u)
    products = []
    for p in range(len(runs)):
        tangent = Tangent(runs, p, x, rates)
        given = torch.as_tensor(v, dtype=runs.dtype, device=runs.device)
        if given.shape != (tangent.n, tangent.outputs):
            raise Misuse(f"v must be of shape ({tangent.n}, {tangent.outputs}), not {tuple(given.shape)}")
        products.append(as_numpy(tangent.times(given[None])[0]))
    return np.stack(products) if isinstance(network, Runs) else products[0]


def ntk_spectrum(network: Centered | Runs, x: torch.Tensor, k: int = 10, u: Mapping[str, torch.Tensor] | None = None, rates: Rates = None,
                 seed: int = 0) -> xr.Dataset:
    """Return the largest eigenvalues of the full kernel, (n K) x (n K), and their residuals.

    Kernels of up to 2000 rows that fit into memory are diagonalised; for larger ones Lanczos uses products alone.

    Parameters
    ----------
    network, x, u, rates : as of `ntk`.
    k : how many, at most n K.
    seed : of Lanczos' first vector.

    Returns
    -------
    Dataset
        `eigenvalues` (rank), largest first, in u-units; `residuals` (rank), ``|K v - l v|/l_1`` with one more product; `eigenvectors`
        (rank, sample, output), of norm 1; after a dimension `run` for `Runs`. attrs["method"]: "eigh" or "lanczos".

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import torch, deepnets
    >>> x = torch.diag(torch.tensor([3.0, 1.0]))
    >>> top = deepnets.ntk_spectrum(deepnets.Centered(torch.nn.Linear(2, 1, bias=False), gamma=1e-6), x, k=2)
    >>> top.eigenvalues.values.round(9).tolist()
    [9.0, 1.0]
    """
    runs = Runs.of(network, u)
    spectra = [_spectrum(Tangent(runs, p, x, rates), k, seed) for p in range(len(runs))]
    return xr.concat(spectra, "run", combine_attrs="drop_conflicts") if isinstance(network, Runs) else spectra[0]


def _spectrum(tangent: Tangent, k: int, seed: int) -> xr.Dataset:
    """Return the largest eigenvalues of one kernel, as of `ntk_spectrum`."""
    n, outputs, runs = tangent.n, tangent.outputs, tangent.runs
    size = n * outputs
    if whole("k", k) > size:
        raise Misuse(f"k must be at most {size}, the {n} samples times the {outputs} outputs, not {k!r}")
    whole("seed", seed, 0)

    def times(v: torch.Tensor) -> torch.Tensor:
        return tangent.times(v.reshape(-1, n, outputs)).reshape(-1, size)

    if size <= DENSE and tangent.count_outputs_at_once(outputs, True) > 0:
        values, columns = np.linalg.eigh(tangent.kernel("full", "jacobian").reshape(size, size))
        values, vectors = values[::-1][:k].copy(), columns.T[::-1][:k].copy()
        products = as_numpy(times(torch.as_tensor(vectors, dtype=runs.dtype, device=runs.device)))
        residuals = np.linalg.norm(products - values[:, None] * vectors, axis=-1) / (abs(values[0]) or 1.0)
        method = "eigh"
    else:
        like = torch.empty((1, size), dtype=runs.dtype, device=runs.device)
        pairs = eigenpairs(times, like, k, "largest", TOLERANCE[runs.dtype], seed=seed)
        values, vectors, residuals, method = pairs.values[0], as_numpy(pairs.vectors[0]), pairs.residuals[0], "lanczos"
    return xr.Dataset({"eigenvalues": ("rank", values), "residuals": ("rank", residuals),
                       "eigenvectors": (("rank", "sample", "output"), vectors.reshape(-1, n, outputs))},
                      coords={"rank": np.arange(1, len(values) + 1)}, attrs={"method": method, "units": "u"})
