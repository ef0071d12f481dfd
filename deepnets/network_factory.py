"""Build a network from its specification or the user's factory: seeded, checked and copied; and its fingerprint."""

from __future__ import annotations

import copy
import hashlib
import inspect
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from deepnets.module_state import list_results
from validation.arguments import Misuse

FINGERPRINT_SEED = 0       # the same for every experiment, so that a store can be extended by any seeds
_building = threading.RLock()      # the random states are those of the whole process


def as_network(network: Any) -> Any:
    """Return what `DeepExperiment` takes as a network: a module becomes a callable that returns it for every seed.

    Raises
    ------
    Misuse : a class.
    """
    if isinstance(network, type):
        raise Misuse(f"network must be a specification, a callable seed -> torch.nn.Module, or a module, not the class {network.__name__}")
    return (lambda seed: network) if isinstance(network, nn.Module) else network


def build_network(network: Any, seed: int, device: str = "cpu", examine: Callable[[nn.Module], None] | None = None) -> nn.Module:
    """Return the module that a network has for a seed, in the dtype and on the device that it is built with.

    The random states of torch, numpy and Python are set to the seed while a factory runs, and restored. A factory's module is copied, so
    that one that returns the same module twice gives theta_0 afresh each time, and the user's module is never changed.

    Parameters
    ----------
    network : a specification, or a callable seed -> torch.nn.Module.
    seed : of the weights.
    device : of the experiment.
    examine : called with the factory's own module once it has been copied; it leaves it as it is.

    Raises
    ------
    Misuse : memory runs out; the factory takes no argument, returns something else, or a module that cannot be copied.
    """
    specified = hasattr(network, "scalings")
    if not specified:
        _check_signature(network)
    with nullcontext() if specified else _seed_everything(seed, device):
        module = _call(getattr(network, "build", network), seed)
    if not isinstance(module, nn.Module):
        raise Misuse(f"network must return a torch.nn.Module, but for seed {seed} it returned {module!r}")
    if specified:
        return module
    if hooked := [n for n, p in module.named_parameters() if p._backward_hooks or p._post_accumulate_grad_hooks]:
        raise Misuse(f"network must have no gradient hooks on its parameters, which copies lose, but {', '.join(hooked)} of "
                     f"{type(module).__name__} have: a torch.autograd.Function in the forward pass does the same")
    try:
        copied = copy_module(module)
    except Exception as error:
        raise Misuse(f"network must return a module that copy.deepcopy can copy, but {type(module).__name__} gave "
                     f"{type(error).__name__}: {error}") from error
    if examine is not None:
        examine(module)
    return copied


def copy_module(module: nn.Module) -> nn.Module:
    """Return a deep copy; results of computations among the attributes, which torch does not copy, are copied without their graphs."""
    detached = {id(x): x.detach().clone() for x in list_results(module)}
    with torch.no_grad():      # parameters of a scripted module would be copied with a graph, and not be trained
        copied = copy.deepcopy(module, detached)     # type: ignore[arg-type]
    for p, q in zip(module.parameters(), copied.parameters(), strict=True):
        if p.requires_grad and not is_lazy(q):
            q.requires_grad_(True)
    return copied


def _check_signature(network: Any) -> None:
    """Raise `Misuse` if a callable does not take the seed; one without a signature is called."""
    try:
        signature = inspect.signature(network)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(0)
    except TypeError as error:
        raise Misuse(f"network must be a callable that takes the seed alone, as in lambda seed: ..., but its signature is "
                     f"{signature}: {error}") from error


def _call(build: Any, seed: int) -> Any:
    """Return `build(seed)`, with a lack of memory as a `Misuse`."""
    try:
        return build(seed)
    except (MemoryError, RuntimeError) as error:      # torch.OutOfMemoryError is a RuntimeError, as is what its allocator of the CPU raises
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error) or "size calculation" in str(error):
            why = str(error).splitlines()[0] if str(error) else "out of memory"
            raise Misuse(f"network must fit into memory, but for seed {seed} it could not be built: {why}") from error
        raise


@contextmanager
def _seed_everything(seed: int, device: str) -> Iterator[None]:
    """Seed torch, numpy and Python within the context, and restore their random states."""
    if torch.cuda.is_available() and (torch.cuda.is_initialized() or device.startswith("cuda")):
        devices = list(range(torch.cuda.device_count()))
    else:
        devices = []
    with _building, torch.random.fork_rng(devices=devices):
        of_numpy, of_python = np.random.get_state(), random.getstate()      # noqa: NPY002 - the state that factories draw from
        try:
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)      # noqa: NPY002
            random.seed(seed)
            yield
        finally:
            np.random.set_state(of_numpy)      # noqa: NPY002
            random.setstate(of_python)


def compute_fingerprint(module: nn.Module) -> dict[str, Any]:
    """Return names and shapes of a module's parameters and buffers, and a digest of their values, as JSON."""
    hashed = hashlib.sha256()
    parts: dict[str, dict[str, Any]] = {}
    for kind, tensors in (("parameters", module.named_parameters()), ("buffers", module.named_buffers())):
        parts[kind] = {}
        for name, tensor in tensors:
            known = not is_lazy(tensor)
            parts[kind][name] = list(tensor.shape) if known else None
            hashed.update(f"{kind} {name} {tensor.dtype}".encode())
            if known:
                hashed.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return {"seed": FINGERPRINT_SEED, **parts, "values": hashed.hexdigest()[:16]}
