"""Try out a network before training: refuse what does not fit its task, and choose whether pairs or float64 copies are trained."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from deepnets.batched.copies_stack import copy_inputs
from deepnets.batched.self_check import find_disagreement
from deepnets.batched.stack import choose_stack
from deepnets.behaviour import name_error
from deepnets.centered import Operand, Unsupported
from deepnets.centered.centered import FellBack
from deepnets.centered.functional import refuse_other_parameters, refuse_write, trainable
from deepnets.centered.propagation import propagate_pairs
from deepnets.centered.random_state import save_random_state
from deepnets.centered.source_line import find_source_line
from deepnets.losses import Loss
from deepnets.losses.check import check_loss
from deepnets.module_state import find_difference, read_state, replace_passing
from deepnets.network_factory import copy_module
from deepnets.precision import arithmetic
from deepnets.tasks import Task
from deepnets.tasks.task import Inputs, describe_inputs, draw_batch, place_like
from validation.arguments import Misuse
from validation.user_warnings import warn_user

METHODS = ("auto", "pairs", "copies")
GAMMA = 1e-3     # of the trial


def place_module(module: nn.Module, device: str, dtype: torch.dtype) -> nn.Module:
    """Return a module on a device and in a dtype; complex tensors stay complex."""
    def place(t: torch.Tensor) -> torch.Tensor:
        return t.to(device, dtype.to_complex() if t.is_complex() else dtype if t.is_floating_point() else None)
    return module._apply(place)


def try_out(module: nn.Module, task: Task, seed: int, loss: Loss) -> None:
    """Refuse a network that does not take the task's inputs, or whose outputs do not have the shape of its targets.

    Raises
    ------
    Misuse : the network has no parameters, fails on the task's inputs, or has outputs of another shape: a loss would broadcast them
        against the targets, and train towards something else.
    """
    lazy = [n for n, p in (*module.named_parameters(), *module.named_buffers()) if is_lazy(p)]
    if lazy:
        raise Misuse(f"network must have parameters of definite shape, and {', '.join(lazy)} of {type(module).__name__} have none before "
                     "it has been called: call it once on an example within the factory")
    if not trainable(module):
        raise Misuse(f"network must have trainable floating-point parameters; {type(module).__name__} has none")
    x, y = draw_batch(task, seed, 0, 2, loss)
    x = place_like(x, next(iter(trainable(module).values())).real)
    restore = save_random_state()
    try:
        with torch.enable_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")      # they appear in training
            trial = copy_module(module)
            f = trial(copy_inputs(x))
    except Exception as error:
        line = find_source_line(error)
        raise Misuse(f"network must take the task's inputs, and fails on {describe_inputs(x)}: {name_error(error)}"
                     f"{f' ({line})' if line else ''}") from error
    finally:
        restore()
    refuse_other_parameters(trial, trainable(module))
    for n, p in trainable(trial).items():
        refuse_write(n, p, trainable(module)[n])
    shapes = loss.shapes(y, task.out_features)
    fits = isinstance(f, torch.Tensor) and f.ndim and not f.is_complex()
    if fits and (not shapes or tuple(f.shape) in shapes):
        if not loss.closed_form:
            check_loss(loss, tuple(f.shape), y.to(f.device), task.out_features, f.dtype)
        return
    wanted = " or ".join(map(str, shapes)) if shapes else "(batch, ...)"
    kind = f" of {f.dtype}" if isinstance(f, torch.Tensor) and f.is_complex() else ""
    gave = f"a {type(f).__name__}: deepnets.wrap(model, output=...) picks one"
    gave = f"a tensor of shape {tuple(f.shape)}{kind}" if isinstance(f, torch.Tensor) else gave
    rows = "; one-hot rows must have a floating dtype" if isinstance(f, torch.Tensor) and f.shape == y.shape else ""
    raise Misuse(f"network must give a tensor of shape {wanted} where the task's targets are {tuple(y.shape)} of {y.dtype} and its "
                 f"out_features {task.out_features}, not {gave}{rows}")


def choose_method(module: nn.Module, task: Task, loss: Loss, seed: int, method: str, batch_size: int, compile: bool | str, centred: bool,
                  device: str) -> str:
    """Return how a network is trained, "pairs" or "copies".

    Parameters
    ----------
    module : holds theta_0, as `try_out` accepts it; it stays as it is.
    task, loss, seed, batch_size : what it is trained on.
    method : "auto", "pairs" or "copies".
    compile, centred : as of `deepnets.batched.stack.choose_stack`.
    device : of the module.

    Raises
    ------
    Unsupported : with method "pairs", where differences cannot be propagated or are wrong; the message names the operation and its line.

    Warns
    -----
    FellBack : with method "auto", in the same case.
    """
    if method == "copies":
        return method
    restore = save_random_state()
    try:
        with arithmetic("float32", device), warnings.catch_warnings():
            warnings.simplefilter("ignore")      # what torch warns of when it is called with pairs
            why = _find_obstacle(copy_module(module), task, loss, seed, batch_size, compile, centred)
    finally:
        restore()
    if why is None:
        return "pairs"
    why = f"differences could not be propagated through {type(module).__name__}: {why}"
    if method == "pairs":
        raise Unsupported(f"{why}; method 'auto' or 'copies' trains float64 copies")
    warn_user(f"{why}. Float64 copies are trained instead, one run after the other", FellBack)
    return "copies"


def _find_obstacle(module: nn.Module, task: Task, loss: Loss, seed: int, batch_size: int, compile: bool | str,
                   centred: bool) -> str | None:
    """Return why pairs cannot be trained, or None."""
    like = next(iter(trainable(module).values())).real
    batches = [place_like(draw_batch(task, seed, step, batch_size, loss)[0], like) for step in (0, 1)]
    u = {n: torch.zeros_like(p) for n, p in trainable(module).items()}
    drawn = _read_others()
    try:
        for training in {module.training, False}:
            trial = copy_module(module)
            if not training:
                trial.eval()
            f = _try_twice(trial, u, batches[0])
        if drawn != _read_others():
            return "it draws from the random generator of Python or numpy, which vectorised runs do not share"
        stack = choose_stack(module, compile, "pairs", centred)
        return find_disagreement(stack, module, batches, tuple(f.shape), centred, loss.closed_form)
    except Misuse as error:
        if not isinstance(error, Unsupported):
            raise
        return _locate(str(error), error)
    except Exception as error:
        return _locate(name_error(error), error)


def _read_others() -> str:
    """Return the states of Python's and numpy's generators."""
    return f"{random.getstate()} {np.random.get_state(legacy=False)}"      # noqa: NPY002 - what modules draw from


class _Stale:
    """Takes the place of a pair that a module keeps as an attribute; a module that reads it in the next call raises."""


def _try_twice(module: nn.Module, u: dict[str, torch.Tensor], x: Inputs) -> torch.Tensor:
    """Return f~ by pairs, or raise `Unsupported` if the module keeps a state among its attributes from one call to the next."""
    states: list[dict[str, Any]] = []
    holders: list[str] = []
    for _ in range(2):
        try:
            f = propagate_pairs(module, u, GAMMA, (copy_inputs(x),))[0]
        except Exception as error:
            if not holders:
                raise
            raise Unsupported(f"{', '.join(holders)} keeps a tensor from one call of the network to the next, and differences cannot be "
                              "propagated through it") from error
        states.append(read_state(module, (Operand, _Stale)))
        holders = replace_passing(module, (Operand,), _Stale)
    if name := find_difference(*states):
        kind = "tensor" if isinstance(vars(module).get(name), torch.Tensor) else "state"
        raise Unsupported(f"{name} is a {kind} that the network changes as it is called, and differences cannot be propagated through it")
    return f      # type: ignore[no-any-return]


def _locate(what: str, error: Exception) -> str:
    """Return what went wrong, with the line of the network's own code."""
    line = find_source_line(error)
    return f"{what} ({line})" if line else what
