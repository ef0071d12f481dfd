"""Check a loss of one's own on a task's targets before training, and describe what it gives for fixed outputs."""

from __future__ import annotations

from typing import Any

import torch

from deepnets.behaviour import hash_values, make_numbers, name_error
from deepnets.losses.protocol import Loss, Shape
from validation.arguments import Misuse

SCALES = (0.1, 1.0, 10.0)      # of fixed outputs
TOLERANCE = 1e-3               # relative, of a slope in float32


def check_loss(loss: Loss, outputs: Shape, y: torch.Tensor, K: int, dtype: torch.dtype) -> None:
    """Set the loss's `outputs`, and refuse a loss that cannot be trained on.

    Parameters
    ----------
    loss : of one's own.
    outputs : the shape of the network's outputs for the targets, (batch, ...).
    y : some targets of the task.
    K : its `out_features`.
    dtype : of the training.

    Raises
    ------
    Misuse : the loss fails, gives no finite number for each run, mixes the runs, has no slope or a wrong one, or is no larger than its
        least value for the zero output, so that there is nothing to be learnt.
    """
    object.__setattr__(loss, "outputs", outputs[1:])      # it may be a frozen dataclass
    target = loss.target(y, K, dtype)
    f = make_numbers((2, *outputs)).to(dtype).to(y.device)
    f[1] = 0
    where = f"outputs of shape {tuple(outputs)} and targets of shape {tuple(target.shape)} of {target.dtype}"
    try:
        with torch.no_grad():
            first, value, slope = loss.value(f, target), loss.value(f, target), loss.slope(f, target)
            alone, unstacked = loss.value(f[1:], target), loss.value(f[1], target)
            expected = Loss.slope(loss, f, target) if type(loss).slope is not Loss.slope else slope
    except Misuse:
        raise
    except Exception as error:
        raise Misuse(f"loss {loss.name} must take {where}, but raised {name_error(error)}") from error
    if first.shape == value.shape and not torch.equal(first, value):
        raise Misuse(f"loss {loss.name} must give the same number whenever it is called with the same outputs and targets: it keeps a "
                     "state, or draws random numbers")
    if value.shape != (2,) or unstacked.ndim or not value.is_floating_point():
        raise Misuse(f"loss {loss.name} must give one number for each run, but for two runs of {where} its value has the shape "
                     f"{tuple(value.shape)}")
    if not torch.allclose(value[1], alone[0]) or not torch.allclose(value[1], unstacked):
        raise Misuse(f"loss {loss.name} must treat each run (the first dimension of its outputs) by itself, but depends on the others")
    zero = float(value[1])
    # at the least value the slope vanishes: such targets may be among a task's first
    if not loss.least <= zero < float("inf") or (zero == loss.least and slope[1].any()):
        raise Misuse(f"loss {loss.name} must be finite and above its least value, {loss.least:g}, for the zero output, from which all runs "
                     f"start, but is {zero:g}; give the least value as deepnets.losses.from_torch(loss, least=...)")
    if slope.shape != f.shape or not torch.isfinite(slope).all():
        raise Misuse(f"loss {loss.name} must have a finite slope in each of its outputs, {where}")
    if not torch.allclose(slope[0], expected[0], rtol=TOLERANCE, atol=TOLERANCE * float(expected[0].abs().max())):
        raise Misuse(f"the slope of the loss {loss.name} must be the derivative of its value, and is another")


def describe_loss(loss: Loss, outputs: Shape, y: torch.Tensor, K: int) -> dict[str, Any]:
    """Return a loss of one's own as JSON, with a digest of its values for fixed outputs.

    Parameters
    ----------
    loss, outputs, y, K : as of `check_loss`, on the CPU.

    Raises
    ------
    Misuse : the loss fails.
    """
    before = loss.outputs
    object.__setattr__(loss, "outputs", outputs[1:])

    def evaluate(dtype: torch.dtype) -> list[torch.Tensor]:
        target = loss.target(y, K, dtype)
        with torch.no_grad():
            return [loss.value(s * make_numbers((2, *outputs), i).to(dtype), target) for i, s in enumerate(SCALES)]

    try:
        try:
            values = evaluate(torch.float64)
        except Exception:      # it holds tensors of its own, of another dtype
            values = [torch.round(v, decimals=3) for v in evaluate(torch.float32)]
    except Exception as error:
        raise Misuse(f"loss {loss.name} must take outputs of shape {tuple(outputs)} and targets of shape {tuple(y.shape)} of {y.dtype}, "
                     f"but raised {name_error(error)}") from error
    finally:
        object.__setattr__(loss, "outputs", before)
    return loss.describe() | {"digest": hash_values(values)}
