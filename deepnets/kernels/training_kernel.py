"""Tangent kernel at theta_0 of a module as it is trained: in its own mode, on one whole batch, with the parameters' rates.

``K[a, i; b, j] = sum_p r_p (d f_i(x_a)/d theta_p)(d f_j(x_b)/d theta_p)``. `deepnets.ntk` is that of the function in evaluation mode;
here a normalisation over the batch couples its samples, as it does in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.autograd import grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnets.batched.copies_stack import copy_inputs
from deepnets.centered.functional import trainable
from deepnets.centered.random_state import save_random_state
from deepnets.network_factory import copy_module


class TrainingKernel:
    """The map ``v -> K v`` over samples and outputs, in the module's dtype.

    Two graphs are kept, of f and of its derivative, so that a product is two backward passes: ``J^T v`` is linear in v, and the transpose
    of its derivative is J.

    Parameters
    ----------
    module : holds theta_0; it is copied and stays as it is.
    x : inputs of the batch.
    rates : r, each parameter's rate over eta, by name.

    Attributes
    ----------
    outputs : (n, ..., K), f(theta_0) on the batch.

    Raises
    ------
    RuntimeError : torch's, of an operation that cannot be differentiated twice.
    """

    def __init__(self, module: nn.Module, x: Any, rates: Mapping[str, float]) -> None:
        network = copy_module(module)
        weights = trainable(network)
        with _differentiable_attention(), torch.enable_grad():
            f = network(copy_inputs(x))
            self._v = torch.zeros_like(f, requires_grad=True)
            back = grad(f, list(weights.values()), self._v, create_graph=True, allow_unused=True) if f.requires_grad else ()
        # a parameter that f does not depend on, or depends on through nothing that can be differentiated, adds nothing
        used = [(p, g, rates[n]) for (n, p), g in zip(weights.items(), back, strict=False) if g is not None and g.requires_grad]
        self._f, self.outputs = f, f.detach()
        self._weights, self._back = [p for p, _, _ in used], [g for _, g, _ in used]
        self._rates = [r for _, _, r in used]

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``K v``, of v's shape; v has as many numbers as the outputs."""
        if not self._weights:
            return torch.zeros_like(v)
        with _differentiable_attention():
            gradient = grad(self._f, self._weights, v.reshape(self._f.shape), retain_graph=True)
            product, = grad(self._back, self._v, [r * g for r, g in zip(self._rates, gradient, strict=True)], retain_graph=True)
        return product.reshape(v.shape)


def changes_between_calls(module: nn.Module, x: Any) -> bool:
    """Return whether two calls of a module on the same inputs differ: dropout, or a state of its own."""
    restore = save_random_state()
    try:
        network = copy_module(module)
        with torch.enable_grad():      # some modules need a graph
            first, second = (network(copy_inputs(x)).detach() for _ in range(2))
    finally:
        restore()
    return not torch.equal(first, second)


@contextmanager
def _differentiable_attention() -> Iterator[None]:
    """Let attention use operations that have second derivatives."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
