"""Layer kernels: Gram matrices of each layer's inputs or outputs, and their change since initialization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import torch
import xarray as xr

from deepnets.centered.centered import Centered
from deepnets.kernels.jacobian import as_numpy
from deepnets.kernels.layer_activations import Activation, activations
from deepnets.kernels.moved_networks import Runs
from validation.arguments import choose


def layer_kernels(network: Centered | Runs, x: torch.Tensor, u: Mapping[str, torch.Tensor] | None = None, centred: bool = False,
                  end: Literal["read", "made"] = "read") -> xr.Dataset:
    """Return the kernels ``K_l(x, x') = phi_l(x) . phi_l(x')/N_l`` of a network's layers on a batch.

    ``phi_l`` are the inputs of layer l, after the nonlinearity of the layer before: the first kernel is that of the network's inputs, the
    last one that of the readout's inputs. The paper's (Appendix P) is N_l times this; divided by the number N_l of features it has a limit
    of infinite width.

    Parameters
    ----------
    network : a `Centered`, or `Runs`.
    x : (n, ...), the inputs.
    u : for a `Centered`, the point at which it is evaluated, by the wrapped module's parameter names; None: where it is.
    centred : subtract the mean over the samples from the features.
    end : "read" for the layers' inputs, or "made" for their outputs, before the nonlinearity.

    Returns
    -------
    Dataset
        `kernel` (layer, sample, other), at ``theta_0 + gamma u``; `change` of the same dims, since theta_0, computed from the differences
        that pairs carry, ``gamma (d phi^T + phi_0 d^T)/N_l``, without a subtraction of kernels; `features` (layer), N_l. After a dimension
        `run` for `Runs`. float64, exact to rounding. Layers are modules that themselves hold trained parameters, by name.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    Unsupported : an operation that differences cannot be propagated through, named.

    Examples
    --------
    >>> import torch, deepnets
    >>> network = deepnets.MLP(2, 64, 3, 1).build(0)
    >>> layers = deepnets.layer_kernels(deepnets.Centered(network, gamma=1.0), torch.eye(2))
    >>> layers.kernel.sel(layer="layers.0").values.tolist(), float(abs(layers.change).max())
    ([[0.5, 0.0], [0.0, 0.5]], 0.0)
    """
    runs = Runs.of(network, u)
    choose("centred", centred, (False, True))
    x = runs.as_inputs(x)
    found = [_kernels(activations(runs, p, x, end), float(runs.gamma[p]), centred) for p in range(len(runs))]
    return xr.concat(found, "run") if isinstance(network, Runs) else found[0]


def _kernels(layers: Mapping[str, Activation], gamma: float, centred: bool) -> xr.Dataset:
    kernel, change, features = [], [], []
    for frozen, d, moved in layers.values():
        if centred:
            frozen, d, moved = (t - t.mean(0) for t in (frozen, d, moved))
        features.append(frozen.shape[1])
        kernel.append(as_numpy(moved @ moved.T) / features[-1])
        grown = as_numpy(d @ moved.T + frozen @ d.T)
        change.append(gamma * (grown + grown.T) / (2 * features[-1]))
    dims = ("layer", "sample", "other")
    return xr.Dataset({"kernel": (dims, np.stack(kernel)), "change": (dims, np.stack(change)), "features": ("layer", features)},
                      coords={"layer": list(layers)}, attrs={"centred": int(centred)})
