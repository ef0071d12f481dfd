"""Choose what trains a stack of runs: the fused kernel where it applies, else a stack of `deepnets.batched`.

It applies to the package's MLPs with ReLU or no nonlinearity, in pairs of float32 on a CPU, with MSE or cross-entropy, and with the
package's optimizers but Muon, without clipping of gradients.
"""

from __future__ import annotations

import importlib
import os
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.stack import Stack
from deepnets.losses import MSE, CrossEntropy
from deepnets.networks.layers import ScaledLinear
from deepnets.networks.mlp import StackOfLayers
from deepnets.optimizers import SGD, Adam, AdamW, HeavyBall, Lion, SignSGD
from deepnets.precision import has_narrow_operands
from validation.user_warnings import warn_user

if TYPE_CHECKING:
    from deepnets.training import Recipe

ENGINES = ("fused", "stack")


def choose_engine(module: nn.Module, stack: Stack, recipe: Recipe) -> str:
    """Return "fused" or "stack": what trains runs of a module by a recipe in this process.

    Parameters
    ----------
    module : holds theta_0.
    stack : that trains it otherwise.
    recipe : how; its `engine` "stack" excludes the fused one, and so does the environment variable LAZYRICH_ENGINE, if that is "stack".
    """
    allowed = recipe.engine == "auto" and os.environ.get("LAZYRICH_ENGINE") != "stack"
    fits = (allowed and type(stack) is MLPStack and stack.centred and _is_plain(module)
            and type(recipe.loss) in (MSE, CrossEntropy) and type(recipe.optimizer) in (SGD, HeavyBall, SignSGD, Adam, AdamW, Lion)
            and recipe.optimizer.clip is None and not has_narrow_operands())
    return "fused" if fits and compiles() else "stack"


def _is_plain(module: nn.Module) -> bool:
    """Return whether a module is an MLP of the package in float32 on a CPU, all of it trainable, with nothing hung on it."""
    if type(module) is not StackOfLayers or module.nonlinearity not in ("relu", "linear"):
        return False
    parameters = list(module.parameters())
    hooks = any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in module.modules())
    return (not hooks and all(type(layer) is ScaledLinear for layer in module.layers)
            and len({layer.bias is None for layer in module.layers}) == 1
            and all(p.dtype == torch.float32 and p.device.type == "cpu" and p.requires_grad for p in parameters))


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
