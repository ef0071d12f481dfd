"""NNGP and NTK of an MLP of infinite width at initialization, layer by layer.

With ``S_0 = x . x'/D``: ``S_l = E[phi(h) phi(h')]``, ``D_l = E[phi'(h) phi'(h')]`` for ``(h, h') ~ N(0, S_{l-1})``, and
``T_1 = S_0 + b``, ``T_{l+1} = S_l + b + D_l T_l``, b = 1 with biases and else 0. T_L is the NTK.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import ndtr

from deepnets.kernels.target_alignment import as_array
from deepnets.networks.mlp import MLP
from validation.arguments import Misuse, whole

Means = tuple[np.ndarray, np.ndarray]


def infinite_width_kernels(network: MLP, x: ArrayLike | torch.Tensor, nodes: int = 80) -> xr.Dataset:
    """Return the limits of an MLP's kernels at initialization as its width grows, in closed form or by quadrature.

    The NTK is weighted by the parametrization's own rates. ``ntk(..., rates=network)`` approaches it for every output, with corrections of
    order ``1/sqrt(N)``; blocks between outputs vanish. It is the same in muP and NTK parametrization, and grows with N in the standard one.

    Parameters
    ----------
    network : an `MLP` with nonlinearity "relu" (arc-cosine kernels) or "linear", in closed form, or "tanh" or "gelu", by quadrature;
        its width does not matter.
    x : (n, ...), the inputs.
    nodes : of the Gauss-Hermite quadrature, in each of two dimensions.

    Returns
    -------
    Dataset
        `nngp` (layer, sample, other), the limits of `layer_kernels`, of each layer's inputs; the last is the covariance of the
        outputs under the NTK parametrization. `ntk` (sample, other), of each output. attrs["error"]: the change if the number of nodes is
        halved, over the largest entry, the larger one of both kernels; 0 in closed form.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    References
    ----------
    Cho & Saul, NeurIPS 2009 (arc-cosine); Lee et al., ICLR 2018 (NNGP); Jacot et al., NeurIPS 2018 (NTK).

    Examples
    --------
    >>> import numpy as np, deepnets
    >>> kernels = deepnets.infinite_width_kernels(deepnets.MLP(2, 64, 2, 1), np.eye(2))
    >>> kernels.ntk.values.round(6).tolist()      # on the diagonal x.x/D: half of it from each layer
    [[0.5, 0.079577], [0.079577, 0.5]]
    """
    if not isinstance(network, MLP):
        raise Misuse(f"network must be a deepnets.MLP, not {network!r}")
    if network.parametrization == "standard":
        raise Misuse("network must have the parametrization 'mup' or 'ntk'; the kernel of 'standard' grows with the width")
    rows = as_array("x", x)
    if rows.ndim < 2 or rows[0].size != network.in_features:
        raise Misuse(f"x must be inputs (n, ...) of {network.in_features} numbers each, not of shape {rows.shape}")
    rows, nodes = rows.reshape(len(rows), -1), whole("nodes", nodes, 2)
    nngp, ntk = _recursion(network, rows, nodes)
    error = 0.0
    if network.nonlinearity not in CLOSED:
        fewer = _recursion(network, rows, nodes // 2)
        error = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip((nngp, ntk), fewer, strict=True))
    return xr.Dataset({"nngp": (("layer", "sample", "other"), nngp), "ntk": (("sample", "other"), ntk)},
                      coords={"layer": [f"layers.{l}" for l in range(network.depth)]}, attrs={"error": error})


def _recursion(network: MLP, rows: np.ndarray, nodes: int) -> Means:
    """Return the kernels of all layers, (L, n, n), and the NTK, (n, n)."""
    s = rows @ rows.T / network.in_features
    bias = float(network.bias)
    means = CLOSED.get(network.nonlinearity) or (lambda k: _quadrature(k, *SMOOTH[network.nonlinearity], nodes))
    kernels, tangent = [s], s + bias
    for _ in range(network.depth - 1):
        s, slopes = means(s)
        kernels.append(s)
        tangent = s + bias + slopes * tangent
    return np.stack(kernels), tangent


def _relu(s: np.ndarray) -> Means:
    """Return the arc-cosine kernels of degree 1 and 0, halved, for ReLU."""
    size = np.sqrt(np.diag(s))
    scale = np.outer(size, size)
    cosine = np.clip(np.divide(s, scale, out=np.ones_like(s), where=scale > 0), -1, 1)
    np.fill_diagonal(cosine, 1.0)      # a rounding error there enters as its square root
    angle = np.arccos(cosine)
    return scale * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def _linear(s: np.ndarray) -> Means:
    return s, np.ones_like(s)


def _quadrature(s: np.ndarray, phi: Callable[..., np.ndarray], slope: Callable[..., np.ndarray], nodes: int) -> Means:
    """Return both means over pairs of normal variables of covariance s, one row of the kernel at a time."""
    z, w = np.polynomial.hermite_e.hermegauss(nodes)
    w = w / w.sum()
    size = np.sqrt(np.diag(s))
    values, slopes = np.empty_like(s), np.empty_like(s)
    for a in range(len(s)):
        cosine = np.clip(np.divide(s[a], size[a] * size, out=np.ones_like(size), where=size[a] * size > 0), -1, 1)
        if size[a] > 0:
            cosine[a] = 1.0
        first = size[a] * z                                                                              # (node,)
        second = size[:, None, None] * (cosine[:, None, None] * z[:, None] + np.sqrt(1 - cosine**2)[:, None, None] * z)   # (n, node, node)
        values[a], slopes[a] = ((f(second) @ w) @ (w * f(first)) for f in (phi, slope))
    return (values + values.T) / 2, (slopes + slopes.T) / 2


def _gelu(h: np.ndarray) -> np.ndarray:
    return np.asarray(h * ndtr(h))


def _gelu_slope(h: np.ndarray) -> np.ndarray:
    return np.asarray(ndtr(h) + h * np.exp(-h**2 / 2) / np.sqrt(2 * np.pi))


CLOSED: dict[str, Callable[[np.ndarray], Means]] = {"relu": _relu, "linear": _linear}
SMOOTH: dict[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]] = {
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h)**2), "gelu": (_gelu, _gelu_slope)}
