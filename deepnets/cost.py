"""Estimate the cost of a training before it runs: operations counted on tensors without data, seconds on a device, memory at the peak."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode, bmm_flop

from deepnets import memory
from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.experiment import ON_A_CORE, DeepExperiment
from deepnets.fused.duration import estimate_seconds
from deepnets.training import batch


@dataclass(frozen=True)
class Cost:
    """Operations, seconds on one device, and bytes at the peak."""

    operations: float
    seconds: float
    memory: float

    def __add__(self, other: Cost) -> Cost:
        """Return the cost of one after the other."""
        return Cost(self.operations + other.operations, self.seconds + other.seconds, max(self.memory, other.memory))


@dataclass(frozen=True)
class Machine:
    """What estimates assume of a device.

    Attributes
    ----------
    kind : "cuda" or "cpu".
    available : bytes.
    rates : operations per second that training reaches, by precision.
    overhead : seconds of a step outside of its matrix products, for a written-out stack and for one by vmap.
    """

    kind: str
    available: float
    rates: dict[str, float]
    overhead: tuple[float, float]


# Half of the datasheet's rate in float32 and float64, a quarter with tensor cores, whose operands must come from memory.
H200 = Machine("cuda", 0.9 * 141e9, {"float32": 33e12, "tf32": 120e12, "bf16": 240e12, "float64": 33e12}, (1.5e-3, 15e-3))


def find_machine(device: str) -> Machine:
    """Return the assumptions for a device: of a GPU, an H200 with this one's free memory; of a CPU, cores of 30 GFLOP/s."""
    kind, available = torch.device(device).type, memory.usable_memory(device)
    if kind == "cuda":
        return replace(H200, available=available)
    cores = torch.get_num_threads()
    return Machine("cpu", available, {"float32": 3e10 * cores, "tf32": 3e10 * cores, "bf16": 1e10 * cores, "float64": 1.5e10 * cores},
                   (3e-4, 5e-3))


@dataclass(frozen=True)
class Step:
    """One step of training: operations per run and once for all runs, whether the stack's products are written out, the memory need."""

    run: float
    shared: float
    written_out: bool
    need: memory.Need


_STEPS: dict[str, Step] = {}


def count_step(experiment: DeepExperiment) -> Step:
    """Return the cost of one step, counted once for experiments with the same description up to seeds."""
    name = repr(replace(experiment, seeds=(0,)))
    if name not in _STEPS:
        module = experiment.theta_0(experiment.seeds[0]).cpu()
        recipe = experiment.recipe(module)
        x, y = batch(recipe, 0, 0, next(module.parameters()))
        blank = copy.deepcopy(module).to("meta")
        stack = choose_stack(blank)

        def count(runs: int) -> float:
            in_place = {torch.ops.aten.baddbmm_: lambda c, a, b, **rest: bmm_flop(a, b)}
            with FlopCounterMode(display=False, custom_mapping=in_place) as counter, torch.no_grad(), torch.random.fork_rng(devices=[]):
                stack.gradients(zero_differences(blank, runs), torch.ones(runs, device="meta"), x.to("meta"), y.to("meta"), recipe.loss)
            return float(counter.get_total_flops())

        few = count(2)
        run = (count(4) - few) / 2
        _STEPS[name] = Step(run, max(0.0, few - 2 * run), isinstance(stack, MLPStack | CNNStack), memory.estimate(module, recipe))
    return _STEPS[name]


def estimate_training(on: Machine, experiment: DeepExperiment, runs: int, seeds: int = 1) -> Cost:
    """Return the cost of training `runs` runs for each seed, in as few stacks as fit into memory."""
    step, T = count_step(experiment), experiment.horizons[-1]
    fused = estimate_seconds(experiment, runs) if on.kind == "cpu" else None
    together = ON_A_CORE if on.kind == "cpu" and fused is None else runs
    at_once = max(1, min(runs, together, int((on.available - step.need.shared) // step.need.run)))
    stacks = -(-runs // at_once)
    operations = T * (runs * step.run + stacks * step.shared)
    rate = on.rates["float32" if experiment.precision == "auto" else experiment.precision]
    # kernel launches overlap with the products: the longer of the two counts
    seconds = max(T * stacks * on.overhead[not step.written_out], operations / rate)
    return Cost(seeds * operations, seeds * (seconds if fused is None else fused), step.need.of(at_once))


def estimate_products(on: Machine, experiment: DeepExperiment, points: int, count: int, samples: int) -> Cost:
    """Return the cost of `count` Hessian products at each point, in float64: about three training steps per sample each."""
    step = count_step(experiment)
    operations = 3 * step.run * samples / experiment.batch_size * points * count
    return Cost(operations, max(3 * count * on.overhead[1], operations / on.rates["float64"]),
                6 * points * step.need.run * samples / experiment.batch_size)
