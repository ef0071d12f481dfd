"""A plain torch module of the centred network at one gamma, for training outside of this package."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from deepnets.centered.random_state import save_random_state

EPSILON = 1e-8      # of Adam, in units of the gradient in u, as in `deepnets.optimizers`


class Exported(nn.Module):
    """``f~(x) = (f(x; theta) - f(x; theta_0))/gamma``, whose trainable parameters are theta itself: any torch loop trains it.

    Both networks have running statistics of their own, draw the same dropout masks, and follow `train()` and `eval()`. Where the module was
    exported in float64, inputs are cast to it.

    Attributes
    ----------
    network : the copy that trains, at theta.
    initial : the copy at theta_0, which does not.
    gamma : the richness, by which the difference is divided.
    """

    def __init__(self, network: nn.Module, initial: nn.Module, gamma: float) -> None:
        super().__init__()
        self.network, self.initial, self.gamma = network, initial, gamma

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Return f~ of the inputs: every floating-point tensor of the network's output less that at theta_0, over gamma."""
        inputs, kwargs = tree_map(self._cast, (inputs, kwargs))
        rewind = save_random_state()
        with torch.no_grad():
            start = self.initial(*inputs, **kwargs)
        rewind()
        return tree_map(self._subtract, self.network(*inputs, **kwargs), start)

    def recipe(self, eta: float, optimizer: str = "sgd") -> str:
        """Return in words how torch trains this module as a run at this gamma and eta.

        Parameters
        ----------
        eta : the rate of the run.
        optimizer : "sgd", "momentum", "nesterov", "adam" or "adamw".
        """
        start = (f"Minimize the loss of this module's output, which has the factor 1/gamma = {1 / self.gamma:.6g} in it and is zero at the "
                 "start")
        if optimizer in ("adam", "adamw"):
            name = "Adam" if optimizer == "adam" else "AdamW"
            return (f"{start}, by torch.optim.{name} with lr={eta:.6g}, the rate itself, and eps={EPSILON / self.gamma:.6g}: the gradients "
                    "are 1/gamma times as large as those in u, in whose units epsilon is 1e-8.")
        momentum = "" if optimizer == "sgd" else ", momentum=0.9" + ", nesterov=True" * (optimizer == "nesterov")
        return (f"{start}, by torch.optim.SGD with lr={eta:.6g}{momentum}, the rate itself: the factor 1/gamma is in the output and "
                "nowhere else.")

    def extra_repr(self) -> str:
        """Return gamma."""
        return f"gamma={self.gamma:g}"

    def _cast(self, x: Any) -> Any:
        """Return a floating-point tensor in the dtype of the parameters, anything else as it is."""
        dtype = next(p.dtype for p in self.network.parameters() if p.is_floating_point() or p.is_complex()).to_real()
        return x.to(dtype) if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    def _subtract(self, moved: Any, start: Any) -> Any:
        """Return a tensor of the scaled difference, anything else as the network gives it."""
        return (moved - start) / self.gamma if isinstance(moved, torch.Tensor) and moved.is_floating_point() else moved
