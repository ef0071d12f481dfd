"""One centred network on one batch in float64: its loss, the gradient, and the tangent kernel, for any module that torch differentiates."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from deepnets.batched.state import Parameters, reference_tensor
from deepnets.centered.functional import substitute, trainable
from deepnets.experiment import DeepExperiment
from deepnets.network_check import place_module
from deepnets.optimizers import SGD
from deepnets.tasks.task import draw_batch, place_like, select_inputs
from deepnets.training import parameter_rates
from validation.arguments import Misuse

ROWS = 128        # of the tangent kernel: pairs of a sample and an output
COUPLED = 1e-9    # relative: outputs that depend less on the other samples of a batch are independent of them


class CentredBatch:
    """``f~ = (f(theta) - f(theta_0))/gamma`` on the samples of one batch, in evaluation mode; normalisation over the batch uses its own
    statistics.

    Subtracting costs 1e-16/gamma of relative precision.

    Parameters
    ----------
    experiment : its network, task, loss and width; rates are those of SGD.
    seed : of the network and of the batch.
    samples : of the batch.
    rows : of the tangent kernel, at most.

    Raises
    ------
    Misuse : what the experiment refuses of its network and task; inputs, targets or outputs that are not finite.
    """

    def __init__(self, experiment: DeepExperiment, seed: int, samples: int, rows: int = ROWS) -> None:
        network = experiment.network
        self.module = use_batch_statistics(place_module(experiment.theta_0(seed), experiment.device, torch.float64)).eval()
        self.loss = experiment.loss
        self.theta_0: Parameters = {n: p.detach().clone() for n, p in trainable(self.module).items()}
        scalings = network.scalings() if hasattr(network, "scalings") else None
        self.rates = parameter_rates(scalings, SGD(), list(self.theta_0), experiment.width)
        like = reference_tensor(self.module)
        x, y = draw_batch(experiment.task, seed, 0, samples, self.loss)
        self.x, self.y = place_like(x, like), place_like(self.loss.target(y, experiment.task.out_features, like.dtype), like)
        self.f_0 = self._evaluate(self.theta_0, self.x)
        self.zero_loss = float(self.loss.value(torch.zeros_like(self.f_0), self.y))
        parts = {"inputs": tree_leaves(self.x), "targets": [self.y], "outputs of the network": [self.f_0]}
        for what, tensors in parts.items():
            if not all(bool(torch.isfinite(t).all()) for t in tensors):
                raise Misuse(f"{what} must be finite, but for seed {seed} some of {samples} samples have NaN or infinity")
        self._choose_rows(rows)

    def _evaluate(self, theta: Parameters, x: object) -> torch.Tensor:
        """Return the outputs at theta, without a graph."""
        with torch.enable_grad(), substitute(self.module, theta):      # torch's fast path of attention, without gradients, rounds otherwise
            f: torch.Tensor = self.module(x)
        return f.detach().clone()

    @property
    def kernel_cost(self) -> int:
        """The gradients of single samples that one kernel takes."""
        return len(self._rows) * len(tree_leaves(self._kernel_x)[0])

    def _choose_rows(self, most: int) -> None:
        """Choose the samples and outputs between which the tangent kernel is measured, spread evenly, and the inputs that they need."""
        n, outputs = len(self.f_0), self.f_0[0].numel()
        few = min(n, max(8, most // outputs))
        part = select_inputs(self.x, slice(few))
        alone = self._evaluate(self.theta_0, part)
        independent = bool((alone - self.f_0[:few]).norm() <= COUPLED * self.f_0[:few].norm())
        self._kernel_x = part if independent else self.x
        rows = few * outputs
        self._rows = np.unique(np.linspace(0, rows - 1, min(rows, most)).round().astype(int))

    def loss_and_gradient(self, theta: Parameters, gamma: float) -> tuple[float, Parameters]:
        """Return the loss of f~ at theta and its gradient in theta, by parameter name."""
        with torch.enable_grad(), substitute(self.module, leaves := _as_leaves(theta)):
            value = self.loss.value((self.module(self.x) - self.f_0) / gamma, self.y)
            found = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
        return float(value.detach()), {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(theta.items(), found, strict=True)}

    def kernel(self, theta: Parameters) -> torch.Tensor:
        """Return the tangent kernel ``J r J^T`` at theta between the chosen rows, (rows, rows); r are the rates of SGD."""
        with torch.enable_grad(), substitute(self.module, leaves := _as_leaves(theta)):
            f = self.module(self._kernel_x).reshape(-1)
            rows = [torch.autograd.grad(f[int(i)], list(leaves.values()), retain_graph=True, allow_unused=True) for i in self._rows]
        j = torch.stack([torch.cat([_flatten(g, p) * self.rates[n]**0.5 for (n, p), g in zip(theta.items(), row, strict=True)])
                         for row in rows])
        return j @ j.T

    def square(self, gradient: Parameters) -> float:
        """Return the squared norm of a gradient, weighted by the rates: by how much the loss falls along the flow."""
        return sum(self.rates[n] * float(g.abs().square().sum()) for n, g in gradient.items())


def use_batch_statistics(module: nn.Module) -> nn.Module:
    """Return the module with batch normalisation that uses the batch's own statistics in evaluation mode too, changed in place."""
    for m in module.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean = m.running_var = None
    return module


def _as_leaves(theta: Parameters) -> Parameters:
    return {n: p.detach().requires_grad_() for n, p in theta.items()}


def _flatten(g: torch.Tensor | None, p: torch.Tensor) -> torch.Tensor:
    """Return a gradient as real numbers in one dimension, zeros where there is none."""
    g = torch.zeros_like(p) if g is None else g
    return (torch.view_as_real(g) if g.is_complex() else g).reshape(-1)
