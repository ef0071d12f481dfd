"""Choose what trains a stack of runs: the fused kernel or folded products where they apply, else a stack of `deepnets.batched`.

The fused kernels apply to the package's MLPs, and to its CNNs without biases, in pairs of float32 on a CPU, with MSE or cross-entropy, and
with the package's optimizers but Muon, without clipping of gradients. Folded products apply to MLPs with ReLU or no nonlinearity on a GPU,
in every precision and with every loss, with plain SGD: without momentum, weight decay and clipping.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.stack import Stack
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import MSE, CrossEntropy
from deepnets.networks.cnn import ConvolutionsThenDense
from deepnets.networks.layers import ScaledConv, ScaledLinear
from deepnets.networks.mlp import StackOfLayers
from deepnets.optimizers import SGD, Adam, AdamW, HeavyBall, Lion, SignSGD
from deepnets.precision import has_narrow_operands
from validation.user_warnings import warn_user

if TYPE_CHECKING:
    from deepnets.training import Recipe

ENGINES = ("fused", "folded", "stack")


def choose_engine(module: nn.Module, stack: Stack, recipe: Recipe) -> str:
    """Return "fused", "folded" or "stack": what trains runs of a module by a recipe in this process.

    Parameters
    ----------
    module : holds theta_0.
    stack : that trains it otherwise.
    recipe : how; its `engine` "stack" excludes the others, and so does the environment variable LAZYRICH_ENGINE, if that is "stack";
        "folded" of either chooses folded products where they apply, whatever the device.
    """
    wanted = os.environ.get("LAZYRICH_ENGINE", "auto") if recipe.engine == "auto" else recipe.engine
    if wanted == "stack" or not isinstance(stack, MLPStack | CNNStack | VectorisedStack) or not (_is_mlp(module) or _is_cnn(module)):
        return "stack"
    first = next(module.parameters())
    if type(stack) is MLPStack and (wanted == "folded" or first.is_cuda) and has_plain_steps(recipe):
        return "folded"
    fits = (stack.centred and first.dtype == torch.float32 and first.device.type == "cpu" and type(recipe.loss) in (MSE, CrossEntropy)
            and type(recipe.optimizer) in (SGD, HeavyBall, SignSGD, Adam, AdamW, Lion) and recipe.optimizer.clip is None
            and not has_narrow_operands())
    return "fused" if fits and compiles() else "stack"


def has_plain_steps(recipe: Recipe) -> bool:
    """Return whether a step moves u by its gradient times the rate, and by nothing else."""
    o = recipe.optimizer
    return type(o) is SGD and not o.momentum and not o.weight_decay and o.clip is None


def _is_mlp(module: nn.Module) -> bool:
    """Return whether a module is an MLP of the package, all of it trainable, with nothing hung on it."""
    return (type(module) is StackOfLayers and not _has_hooks(module)
            and all(type(layer) is ScaledLinear for layer in module.layers)
            and len({layer.bias is None for layer in module.layers}) == 1 and _is_trainable(module))


def _is_cnn(module: nn.Module) -> bool:
    """Return whether a module is a CNN of the package without biases, all of it trainable, with nothing hung on it."""
    return (type(module) is ConvolutionsThenDense and not _has_hooks(module)
            and all(type(layer) is ScaledConv and layer.bias is None and layer.stride == 1 for layer in module.convolutions)
            and all(type(layer) is ScaledLinear and layer.bias is None for layer in module.dense) and _is_trainable(module))


def _has_hooks(module: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in module.modules())


def _is_trainable(module: nn.Module) -> bool:
    """Return whether all of a module is trained, in one precision on one device."""
    parameters = list(module.parameters())
    return all(p.requires_grad and (p.dtype, p.device) == (parameters[0].dtype, parameters[0].device) for p in parameters)


@cache
def compiles() -> bool:
    """Return whether the kernels compile on this machine, and multiply rightly; warn once if they do not."""
    try:
        right: bool = importlib.import_module("deepnets.fused.trial").multiplies_rightly()
        reason = "a product of matrices came out wrong"
    except Exception as error:      # numba is missing, or LLVM refuses the vectors; nothing else runs here
        right, reason = False, f"{type(error).__name__}: {error}".splitlines()[0]
    if not right:
        warn_user(f"MLPs are trained by torch, more slowly, because the kernels do not compile here ({reason})", RuntimeWarning)
    return right
