"""Change of weights and activations since initialization, layer by layer.

It is computed from u and from the differences that pairs carry, times gamma: no two weights or activations are subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr

from deepnets.centered.centered import Centered
from deepnets.kernels.layer_activations import ENDS, Activation, activations
from deepnets.kernels.moved_networks import Runs
from deepnets.kernels.target_alignment import NORMS


def weight_movement(network: Centered | Runs, u: Mapping[str, torch.Tensor] | None = None) -> xr.Dataset:
    """Return ``|W - W_0| = gamma |u|`` of every parameter, in three norms (Appendix S: ~ gamma**(1/L) in the rich regime).

    Weights, also those of convolutions, are matrices (outputs, inputs of each output); vectors are single columns.

    Parameters
    ----------
    network : a `Centered`, or `Runs`.
    u : for a `Centered`, the point at which it is evaluated, by the wrapped module's parameter names; None: where it is.

    Returns
    -------
    Dataset
        `absolute` and `relative` (norm, parameter), relative to the same norm of W_0 (NaN where that is zero); norm = nuclear,
        frobenius, operator (the spectral norm). After a dimension `run` for `Runs`. float64, exact to rounding.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import torch, deepnets
    >>> centered = deepnets.Centered(torch.nn.Linear(2, 2, bias=False), gamma=1e-6)
    >>> movement = deepnets.weight_movement(centered, u={"weight": torch.eye(2)})
    >>> movement.absolute.sel(parameter="weight").values.round(9).tolist()
    [2e-06, 1.414e-06, 1e-06]
    """
    runs = Runs.of(network, u)
    initial = dict(runs.module.named_parameters())
    gamma = runs.gamma.double().cpu().numpy()
    absolute = np.stack([gamma * _norms(d) for d in runs.u.values()], -1)                        # (norm, run, parameter)
    start = np.stack([_norms(initial[n].detach()[None]) for n in runs.u], -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(start > 0, absolute / start, np.nan)
    dims = ("run", "norm", "parameter")
    movement = xr.Dataset({"absolute": (dims, absolute.swapaxes(0, 1)), "relative": (dims, relative.swapaxes(0, 1))},
                          coords={"norm": list(NORMS), "parameter": list(runs.u)})
    return movement if isinstance(network, Runs) else movement.isel(run=0)


def _norms(weights: torch.Tensor) -> np.ndarray:
    """Return the norms of matrices (P, out, ...), (norm, P), in the order of `NORMS`."""
    # on the CPU, where its threads share the matrices: a GPU decomposes one after the other
    matrices = weights.detach().cpu().double().reshape(len(weights), weights.shape[1] if weights.ndim > 1 else 1, -1)
    sizes = torch.linalg.svdvals(matrices).numpy()
    return np.stack([sizes.sum(-1), np.sqrt(np.square(sizes).sum(-1)), sizes.max(-1)])


def activation_movement(network: Centered | Runs, x: torch.Tensor, u: Mapping[str, torch.Tensor] | None = None) -> xr.Dataset:
    """Return the root mean square, over samples and units, of the change of each layer's activations on a batch since theta_0.

    Parameters
    ----------
    network : a `Centered`, or `Runs`.
    x : (n, ...), the inputs.
    u : for a `Centered`, the point at which it is evaluated, by the wrapped module's parameter names; None: where it is.

    Returns
    -------
    Dataset
        `absolute` and `relative` (end, layer), relative to the root mean square at theta_0 (NaN where that is zero); end = read,
        a layer's inputs (the readout's are the last hidden activations), or made, its outputs before the nonlinearity (the readout's are
        ``gamma f~``). NaN where there is none (an embedding reads integers). After a dimension `run` for `Runs`. float64,
        exact to rounding.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    Unsupported : an operation that differences cannot be propagated through, named.

    Examples
    --------
    >>> import torch, deepnets
    >>> centered = deepnets.Centered(torch.nn.Linear(2, 2, bias=False), gamma=1e-6)
    >>> movement = deepnets.activation_movement(centered, torch.ones(5, 2), u={"weight": torch.eye(2)})
    >>> movement.absolute.sel(layer="network").values.round(9).tolist()
    [0.0, 1e-06]
    """
    runs = Runs.of(network, u)
    x = runs.as_inputs(x)
    movements = []
    for p in range(len(runs)):
        found = {end: activations(runs, p, x, end) for end in ENDS}
        layers = list(found["made"] | found["read"])
        moved = np.array([[_sizes(found[end].get(name), float(runs.gamma[p])) for name in layers] for end in ENDS])
        dims = ("end", "layer")
        movements.append(xr.Dataset({"absolute": (dims, moved[..., 0]), "relative": (dims, moved[..., 1])},
                                    coords={"end": list(ENDS), "layer": layers}))
    return xr.concat(movements, "run") if isinstance(network, Runs) else movements[0]


def _sizes(layer: Activation | None, gamma: float) -> tuple[float, float]:
    """Return the root mean square of a layer's change, absolute and over that of its values at theta_0."""
    if layer is None:
        return np.nan, np.nan
    change, start = (float(t.double().square().mean().sqrt()) for t in (layer.change, layer.frozen))
    return gamma * change, gamma * change / start if start > 0 else np.nan
