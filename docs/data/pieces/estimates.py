"""What a part of the campaign takes, before it is run: operations counted on tensors without numbers, bytes as training itself counts."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode, bmm_flop

from deepnets import DeepExperiment, memory
from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.training import batch
from pieces.piece import Cost

AT_ONCE = {"cpu": 32}       # runs of a stack, at most


@dataclass(frozen=True)
class Machine:
    """What estimates assume of a device.

    Attributes
    ----------
    kind : "cuda" or "cpu".
    room : bytes that may be used.
    rates : operations a second that a training step may be hoped to reach, by precision.
    overhead : seconds of a step that no product explains (launches, the batch, the update), of a stack whose products are written out,
        and of one by vmap.
    """

    kind: str
    room: float
    rates: dict[str, float]
    overhead: tuple[float, float]


# Half of the datasheet's rate in float32 and float64, a quarter with tensor cores, whose operands must come from memory.
H200 = Machine("cuda", 0.9 * 141e9, {"float32": 33e12, "tf32": 120e12, "bf16": 240e12, "float64": 33e12}, (1.5e-3, 15e-3))


def machine(device: str) -> Machine:
    """Return what is assumed of a device: of a GPU, one H200 with what is free on this one; of a CPU, cores of 30 GFLOP/s."""
    kind = torch.device(device).type
    room = memory.usable_memory(device)
    if kind == "cuda":
        return replace(H200, room=room)
    cores = torch.get_num_threads()
    return Machine("cpu", room, {"float32": 3e10 * cores, "tf32": 3e10 * cores, "bf16": 1e10 * cores, "float64": 1.5e10 * cores},
                   (3e-4, 5e-3))


@dataclass(frozen=True)
class Step:
    """One step of training: operations for each run and once for all, and whether the stack's products are written out."""

    run: float
    shared: float
    written_out: bool
    need: memory.Need
    parameters: int


def step(experiment: DeepExperiment) -> Step:
    """Return what one step of an experiment takes."""
    name = repr(replace(experiment, seeds=(0,)))       # many parts are of experiments that print alike, and are no hashable objects
    if name not in _STEPS:
        _STEPS[name] = _step(experiment)
    return _STEPS[name]


_STEPS: dict[str, Step] = {}


def _step(experiment: DeepExperiment) -> Step:
    module = experiment.theta_0(experiment.seeds[0]).cpu()
    recipe = experiment.recipe(module)
    x, y = batch(recipe, 0, 0, next(module.parameters()))
    blank = copy.deepcopy(module).to("meta")
    stack = choose_stack(blank)

    def counted(runs: int) -> float:
        in_place = {torch.ops.aten.baddbmm_: lambda c, a, b, **rest: bmm_flop(a, b)}
        with FlopCounterMode(display=False, custom_mapping=in_place) as found, torch.no_grad(), torch.random.fork_rng(devices=[]):
            stack.gradients(zero_differences(blank, runs), torch.ones(runs, device="meta"), x.to("meta"), y.to("meta"), recipe.loss)
        return float(found.get_total_flops())

    few, more = counted(2), counted(4)
    run = (more - few) / 2
    return Step(run, max(0.0, few - 2 * run), isinstance(stack, MLPStack | CNNStack), memory.estimate(module, recipe),
                sum(p.numel() for p in module.parameters()))


def training(on: Machine, experiment: DeepExperiment, runs: int, seeds: int = 1) -> Cost:
    """Return what it takes to train so many runs for each of so many seeds, all runs of a seed in as few stacks as fit."""
    one, T = step(experiment), experiment.horizons[-1]
    at_once = max(1, min(runs, AT_ONCE.get(on.kind, runs), int((on.room - one.need.shared) // one.need.run)))
    stacks = -(-runs // at_once)
    operations = T * (runs * one.run + stacks * one.shared)
    # launches run ahead of the products: the longer of the two is what is waited for
    seconds = max(T * stacks * on.overhead[not one.written_out], operations / on.rates[_precision(experiment)])
    return Cost(seeds * operations, seeds * seconds, one.need.of(at_once))


def products(on: Machine, experiment: DeepExperiment, points: int, count: int, samples: int) -> Cost:
    """Return what so many products with Hessians take for each point, in float64: about three steps' operations a sample each."""
    one = step(experiment)
    operations = 3 * one.run * samples / experiment.batch_size * points * count
    return Cost(operations, max(3 * count * on.overhead[1], operations / on.rates["float64"]),
                6 * points * one.need.run * samples / experiment.batch_size)


def together(*costs: Cost) -> Cost:
    """Return what parts take one after the other."""
    return Cost(sum(c.operations for c in costs), sum(c.seconds for c in costs), max(c.memory for c in costs))


def _precision(experiment: DeepExperiment) -> str:
    return "float32" if experiment.precision == "auto" else experiment.precision
