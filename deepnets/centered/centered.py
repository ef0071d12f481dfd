"""`Centered`: the network ``f~ = (f(theta_0 + gamma u) - f(theta_0))/gamma`` as a torch module whose parameters are u.

Subtracting two float32 networks loses every digit below gamma ~ 1e-4. There the difference itself is propagated (`pair.py`); at larger
gamma two copies are subtracted.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from deepnets.centered import Unsupported
from deepnets.centered.exported import Exported
from deepnets.centered.functional import statistics, trainable
from deepnets.centered.propagation import propagate_pairs, subtract_copies
from deepnets.network_factory import copy_module
from deepnets.precision import arithmetic
from validation.arguments import Misuse, choose
from validation.user_warnings import warn_user

METHODS = ("auto", "pairs", "two_copy", "float64")
# From this gamma on, subtracting two copies costs at most a digit: eps/gamma ~ 1e-6.
COPIES_FROM = {torch.float32: 0.1, torch.float64: 1e-8}
# Relative error allowed in the self-check, of function and gradient: a wrong rule is off by order one.
ALLOWED = {torch.float64: 1e-5, torch.float32: 1e-3}
ALLOWED_NARROW = 0.1


class FellBack(UserWarning):
    """Differences could not be propagated; two float64 copies are subtracted instead."""


class Centered(nn.Module):
    """``f~(x; u) = (f(x; theta_0 + gamma u) - f(x; theta_0))/gamma`` (eqs. 1 and 2), without cancellation.

    Its parameters are u, zero at initialization, named ``u.<name in the wrapped module>``; a step of size eta in theta on f/gamma is a step
    of size eta/gamma**2 in u. The wrapped module is copied; the copy holds theta_0 and does not train. Both networks have running
    statistics of their own; under the transforms of `torch.func`, which forbid writing, they are not updated.

    Parameters
    ----------
    module : any torch module; parameters that do not require a gradient stay frozen.
    gamma : >= 0; 0 is the linearised network, ``f~ = J(x; theta_0) u``.
    method : "pairs" propagates differences; "two_copy" subtracts two networks in the module's own precision, "float64" in double;
        "auto" takes two copies for gamma >= 0.1 (of a float32 module) and pairs below, compares the pairs with float64 once, at the first
        plain call, and falls back to "float64" with a `FellBack` warning if they disagree.

    Raises
    ------
    Misuse : an invalid argument, or a module without trainable parameters.
    Unsupported : in a call, with method "pairs": an operation that differences cannot be propagated through.

    Examples
    --------
    >>> import torch, deepnets
    >>> centered = deepnets.Centered(torch.nn.Linear(3, 1), gamma=1e-6)
    >>> bool((centered(torch.ones(2, 3)) == 0).all())
    True
    """

    def __init__(self, module: nn.Module, gamma: float, method: Literal["auto", "pairs", "two_copy", "float64"] = "auto") -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise Misuse(f"module must be a torch.nn.Module, not {module!r}")
        if isinstance(gamma, bool) or not isinstance(gamma, int | float | np.floating | np.integer) or not 0 <= gamma < math.inf:
            raise Misuse(f"gamma must be a finite number of at least 0, not {gamma!r}")
        choose("method", method, METHODS)
        if method == "two_copy" and gamma == 0:
            raise Misuse("method 'two_copy' divides by gamma, which must be above zero; gamma = 0 needs 'pairs', 'float64' or 'auto'")
        free = trainable(module)
        if not free:
            raise Misuse(f"module must have trainable floating-point parameters; {type(module).__name__} has none")
        self.gamma, self.method = float(gamma), method
        self.module = copy_module(module)
        self.module.requires_grad_(False)
        self.u = _as_module({n: nn.Parameter(torch.zeros_like(p, requires_grad=False)) for n, p in free.items()})
        buffers = dict(module.named_buffers())
        self.drift = _as_module({n: torch.zeros_like(buffers[n]) for n in statistics(module)})
        dtype = next(iter(free.values())).dtype
        self._chosen = method
        if method == "auto":
            self._chosen = "two_copy" if self.gamma >= COPIES_FROM.get(dtype, math.inf) else "pairs"
        self._checked = method != "auto" or self._chosen != "pairs"

    @property
    def chosen(self) -> str:
        """The method in use, "pairs", "two_copy" or "float64": the choice of "auto"."""
        return self._chosen

    def named_parameters(self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield u by name; theta_0 is not a parameter."""
        if recurse:
            yield from self.u.named_parameters(f"{prefix}.u" if prefix else "u", True, remove_duplicate)

    def coordinates(self) -> dict[str, torch.Tensor]:
        """Return u by the wrapped module's parameter names."""
        return dict(self.u.named_parameters())

    def theta(self) -> dict[str, torch.Tensor]:
        """Return ``theta_0 + gamma u`` by the wrapped module's parameter names."""
        u = self.coordinates()
        return {n: p + self.gamma * u[n] if n in u else p for n, p in self.module.named_parameters()}

    def export(self, dtype: torch.dtype | None = None) -> Exported:
        """Return a plain torch module of this network, at its present u, that trains outside as it does here.

        Its parameters are theta, its output is f~ with the factor 1/gamma and the output at theta_0 subtracted. A run at (gamma, eta) is
        training it with the rate eta, and Adam's epsilon over gamma: see `recipe` of the module.

        Parameters
        ----------
        dtype : floating-point; None: the module's own for gamma >= 0.1, where the subtraction costs a digit at most (1e-8 of a float64
            module), and float64 below.

        Raises
        ------
        Misuse : gamma is zero: a linearised network has no theta.

        Examples
        --------
        >>> import torch, deepnets
        >>> exported = deepnets.Centered(torch.nn.Linear(3, 1), gamma=0.01).export()
        >>> exported(torch.ones(2, 3)).tolist()
        [[0.0], [0.0]]
        """
        if self.gamma == 0:
            raise Misuse("gamma must be above zero for a module to be exported: the linearised network, gamma = 0, has no parameters theta")
        own = next(iter(self.coordinates().values())).dtype.to_real()
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise Misuse(f"dtype must be a floating-point torch.dtype, or None, not {dtype!r}")
        wanted = dtype or (own if self.gamma >= COPIES_FROM.get(own, math.inf) else torch.float64)
        initial, network = copy_module(self.module).to(wanted), copy_module(self.module).to(wanted)
        buffers, drift = dict(network.named_buffers()), dict(self.drift.named_buffers())
        with torch.no_grad():
            for n, p in network.named_parameters():
                if n in self.coordinates():
                    p.add_(self.coordinates()[n].to(p), alpha=self.gamma)
                    p.requires_grad_(True)
            for n, d in drift.items():
                buffers[n].add_(d.to(buffers[n]), alpha=self.gamma)
        return Exported(network, initial, self.gamma).train(self.module.training)

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Return f~ of the inputs: the module's output with every floating tensor replaced by its scaled difference."""
        if not self._checked and _is_plain_call(inputs, kwargs, tuple(self.parameters())):
            self._check(inputs, kwargs)
        try:
            return self._evaluate(self._chosen, self.coordinates(), inputs, kwargs)
        except Unsupported as error:
            if self.method != "auto":
                raise Unsupported(f"{error}; method 'float64' or 'auto' takes two float64 copies") from error
            self._fall_back(str(error))
            return self._evaluate(self._chosen, self.coordinates(), inputs, kwargs)

    def discrepancy(self, *inputs: Any, **kwargs: Any) -> float:
        """Return the relative error of the pairs against two float64 copies at a random u: the larger of function and gradient.

        A module that draws random numbers is compared in evaluation mode: in the two precisions it draws different masks.
        """
        u = _draw_probe(self.module, self.coordinates(), self.gamma)
        training = self.module.training
        with torch.random.fork_rng(_devices(self.parameters())), torch.enable_grad():
            before = torch.get_rng_state()
            try:
                exact = self._evaluate_with_gradient("float64", u, inputs, kwargs)
                if training and not torch.equal(before, torch.get_rng_state()):
                    self.module.eval()
                    exact = self._evaluate_with_gradient("float64", u, inputs, kwargs)
                found = self._evaluate_with_gradient("pairs", u, inputs, kwargs)
            finally:
                self.module.train(training)
        return max(float(_distance(a, b)) for a, b in zip(found, exact, strict=True))

    def _evaluate_with_gradient(self, method: str, u: dict[str, torch.Tensor], inputs: Any,
                                kwargs: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output, and the gradient in u of a fixed linear functional of it, each as one float64 vector."""
        u = {n: d.clone().requires_grad_() for n, d in u.items()}
        leaves = [x for x in tree_leaves(self._evaluate(method, u, inputs, kwargs, keep=False)) if isinstance(x, torch.Tensor)]
        output = torch.cat([x.reshape(-1).double() for x in leaves if x.is_floating_point()])
        weights = torch.from_numpy(np.random.default_rng(1).standard_normal(len(output))).to(output)
        if not output.requires_grad:
            return output, torch.zeros(1, dtype=torch.float64)
        gradient = torch.autograd.grad((weights * output).sum(), list(u.values()), allow_unused=True)
        flat = [(torch.zeros_like(d) if g is None else g).reshape(-1).double() for g, d in zip(gradient, u.values(), strict=True)]
        return output.detach(), torch.cat(flat)

    def _check(self, inputs: Any, kwargs: Any) -> None:
        """Compare pairs with float64 once; fall back if they disagree."""
        dtype = next(self.parameters()).dtype
        allowed = ALLOWED.get(dtype, ALLOWED_NARROW)
        try:
            found = self.discrepancy(*inputs, **kwargs)
        except Exception as error:
            # if two plain copies fail as well, the error is the module's or its input's, and is raised here
            subtract_copies(self.module, self.coordinates(), 1.0, inputs, kwargs)
            self._checked = True
            self._fall_back(str(error) if isinstance(error, Unsupported) else f"{type(error).__name__}: {error}")
            return
        self._checked = True
        if not (found <= allowed or (found <= ALLOWED_NARROW and self._right_in_double(inputs, kwargs))):
            self._fall_back(f"in the self-check their relative error was {found:.1e}, above the allowed {allowed:g}")

    def _right_in_double(self, inputs: Any, kwargs: Any) -> bool:
        """Return whether pairs pass in float64: then the error in float32 is rounding, which at a kink switches whole units."""
        def double(x: Any) -> Any:
            return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x

        module = copy.deepcopy(self.module).double()
        for name, parameter in module.named_parameters():
            parameter.requires_grad_(name in self.coordinates())
        twin = Centered(module, self.gamma, "pairs")
        inputs, kwargs = tree_map(double, (inputs, kwargs))
        try:
            return twin.discrepancy(*inputs, **kwargs) <= ALLOWED[torch.float64]
        except Exception:      # a module that runs in float32 only is judged in float32 alone
            return False

    def _fall_back(self, why: str) -> None:
        """Use two float64 copies from now on, and warn."""
        self._chosen = "float64"
        warn_user(f"differences could not be propagated through {type(self.module).__name__}: {why}. Two float64 copies are subtracted "
                      "instead", FellBack)

    def _evaluate(self, method: str, u: dict[str, torch.Tensor], inputs: Any, kwargs: Any, keep: bool = True) -> Any:
        """Return f~ by `method`; with `keep`, store the running statistics after the call."""
        drift = dict(self.drift.named_buffers())
        counters = {n: b for n, b in self.module.named_buffers() if n not in drift}
        if method == "pairs":
            output, moved = propagate_pairs(self.module, u, self.gamma, inputs, kwargs, drift)
        else:
            dtype = torch.float64 if method == "float64" else None
            with arithmetic("float32", next(self.parameters()).device):      # TF32 would cost two copies three more digits
                output, moved = subtract_copies(self.module, u, self.gamma, inputs, kwargs, drift, dtype)
        if keep and self.training and moved and not torch._C._are_functorch_transforms_active():
            buffers = dict(self.module.named_buffers())
            with torch.no_grad():
                for name, pair in moved.items():
                    buffers[name].copy_(pair.v0)
                    drift[name].copy_(pair.d)
                for name, counter in counters.items():
                    if name.endswith("num_batches_tracked"):
                        counter.add_(1)
        return output


def _as_module(tensors: dict[str, torch.Tensor]) -> nn.Module:
    """Return a module with these tensors under their dotted names: parameters as parameters, others as buffers."""
    root = nn.Module()
    for name, tensor in tensors.items():
        *path, leaf = name.split(".")
        at = root
        for part in path:
            if part not in at._modules:
                at.add_module(part, nn.Module())
            at = at._modules[part]      # type: ignore[assignment]
        if isinstance(tensor, nn.Parameter):
            at.register_parameter(leaf, tensor)
        else:
            at.register_buffer(leaf, tensor)
    return root


def _draw_probe(module: nn.Module, u: dict[str, torch.Tensor], gamma: float) -> dict[str, torch.Tensor]:
    """Return a fixed random u: theta - theta_0 = gamma u is at most as large as theta_0 (as 0.1 where theta_0 is zero)."""
    source = np.random.default_rng(0)
    parameters = dict(module.named_parameters())
    sizes = {n: float(parameters[n].double().square().mean().sqrt()) or 0.1 for n in u}
    sizes = {n: size / max(1.0, gamma) for n, size in sizes.items()}
    return {n: torch.from_numpy(np.asarray(sizes[n] * source.standard_normal(tuple(d.shape)))).to(d) for n, d in u.items()}


def _distance(found: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    """Return ``|found - exact|/|exact|``, and 0 where both vanish."""
    size = exact.norm()
    return (found - exact).norm() / size if size > 0 else found.norm()


def _is_plain_call(*nested: Any) -> bool:
    """Return whether this is a plain call: no transform of `torch.func`, no compilation."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    return all(x.numel() > 0 for x in tree_leaves(nested) if isinstance(x, torch.Tensor))


def _devices(parameters: Iterator[nn.Parameter]) -> list[int]:
    """Return the CUDA devices whose random generators must be restored."""
    return sorted({p.device.index for p in parameters if p.device.type == "cuda" and p.device.index is not None})
