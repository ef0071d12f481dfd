"""Layer kernels: Gram matrices of what each layer of a moved network reads or makes, and how far they have moved; knows no target."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr

from deepnets.centered.centered import Centered
from deepnets.kernels.layer_activations import Activation, activations
from deepnets.kernels.moved_networks import Runs
from validation.arguments import choose


def layer_kernels(network: Centered | Runs, x: torch.Tensor, u: Mapping[str, torch.Tensor] | None = None, centred: bool = False,
                  end: str = "read") -> xr.Dataset:
    """Return the kernels ``K_l(x, x') = phi_l(x) . phi_l(x')/N_l`` of a moved network's layers on a batch.

    ``phi_l`` is what layer l reads, the activations behind the last layer's nonlinearity: the first kernel is the inputs' own, the last
    the one that the readout sees. The paper's (Appendix P) is N_l times that; over N_l, the number of features, it has a limit in width.

    Parameters
    ----------
    network : a `Centered`, or `Runs`.
    x : (n, ...), the inputs.
    u : for a `Centered`, where it is to be looked at, by the wrapped module's parameter names; None: where it is.
    centred : take the mean over the samples off the features.
    end : "read", or "made" for what the layers give, before the nonlinearity.

    Returns
    -------
    Dataset
        `kernel` (layer, sample, other), of the network at ``theta_0 + gamma u``; `change` of the same dims, from theta_0 on, made
        of the differences that pairs carry: ``gamma (d phi^T + phi_0 d^T)/N_l``, no kernel is subtracted; `features` (layer), N_l. After
        a dimension `run` for `Runs`. float64, exact to rounding. Layers are modules that themselves hold trained parameters, by name.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    Unsupported : an operation that differences cannot be propagated through, named.

    Examples
    --------
    >>> import torch, deepnets
    >>> network = deepnets.MLP(2, 64, 3, 1).build(0)
    >>> told = deepnets.layer_kernels(deepnets.Centered(network, gamma=1.0), torch.eye(2))
    >>> told.kernel.sel(layer="layers.0").values.tolist(), float(abs(told.change).max())
    ([[0.5, 0.0], [0.0, 0.5]], 0.0)
    """
    runs = Runs.of(network, u)
    choose("centred", centred, (False, True))
    x = runs.as_inputs(x)
    told = [_kernels(activations(runs, p, x, end), float(runs.gamma[p]), centred) for p in range(len(runs))]
    return xr.concat(told, "run") if isinstance(network, Runs) else told[0]


def _kernels(layers: Mapping[str, Activation], gamma: float, centred: bool) -> xr.Dataset:
    kernel, change, features = [], [], []
    for frozen, d, moved in layers.values():
        if centred:
            frozen, d, moved = (t - t.mean(0) for t in (frozen, d, moved))
        features.append(frozen.shape[1])
        kernel.append(_array(moved @ moved.T) / features[-1])
        grown = _array(d @ moved.T + frozen @ d.T)
        change.append(gamma * (grown + grown.T) / (2 * features[-1]))
    dims = ("layer", "sample", "other")
    return xr.Dataset({"kernel": (dims, np.stack(kernel)), "change": (dims, np.stack(change)), "features": ("layer", features)},
                      coords={"layer": list(layers)}, attrs={"centred": int(centred)})


def _array(t: torch.Tensor) -> np.ndarray:
    return t.double().cpu().numpy()
