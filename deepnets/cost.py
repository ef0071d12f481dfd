"""Estimate the cost of a training before it runs: its work counted on tensors without data, seconds on a device, memory at the peak."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from deepnets import memory
from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.folded_step import take_step
from deepnets.batched.graph import RECORD_AFTER
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.rectified_pairs import rectify_by_kernel
from deepnets.batched.state import zero_differences
from deepnets.experiment import ON_A_CORE, DeepExperiment
from deepnets.fused.duration import estimate_seconds
from deepnets.fused.engine import choose_engine
from deepnets.networks.mlp import MLP
from deepnets.training import batch
from deepnets.work import Work, count_work


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
    bandwidth : bytes per second that pointwise kernels read and write.
    launch : seconds that the host takes for a kernel, and for one within a function under vmap that is not recorded yet.
    """

    kind: str
    available: float
    rates: dict[str, float]
    bandwidth: float
    launch: tuple[float, float]

    def time(self, work: Work, precision: str, launch: float) -> float:
        """Return the seconds that some work takes: a GPU launches, computes and moves at the same time; a CPU does one after the other."""
        parts = (launch * work.kernels, work.operations / self.rates[precision], work.moved / self.bandwidth)
        return max(parts) if self.kind == "cuda" else sum(parts)


# Half of the datasheet's rate in float32 and float64, a quarter with tensor cores, whose operands must come from memory; 0.8 of memory's.
H200 = Machine("cuda", 0.9 * 141e9, {"float32": 33e12, "tf32": 120e12, "bf16": 240e12, "float64": 33e12}, 3.8e12, (8e-6, 4e-5))


def find_machine(device: str) -> Machine:
    """Return the assumptions for a device: of a GPU, an H200 with this one's free memory; of a CPU, cores of 30 GFLOP/s and 8 GB/s."""
    kind, available = torch.device(device).type, memory.usable_memory(device)
    if kind == "cuda":
        return replace(H200, available=available)
    cores = torch.get_num_threads()
    return Machine("cpu", available, {"float32": 3e10 * cores, "tf32": 3e10 * cores, "bf16": 1e10 * cores, "float64": 1.5e10 * cores},
                   8e9 * cores, (1e-5, 5e-5))


@dataclass(frozen=True)
class Step:
    """One step of training: the work of a stack of two runs, what each further run adds, whether it is written out, the memory need."""

    two: Work
    run: Work
    written_out: bool
    need: memory.Need

    def of(self, runs: int) -> Work:
        """Return the work of so many runs."""
        more = runs - 2
        return Work(max(0.0, self.two.operations + more * self.run.operations), max(0.0, self.two.moved + more * self.run.moved),
                    self.two.kernels)


_STEPS: dict[tuple[str, str], Step] = {}


def count_step(experiment: DeepExperiment, kind: str) -> Step:
    """Return the cost of one step on a kind of machine, counted once for experiments that differ by seeds and compilation alone."""
    kind = kind if isinstance(experiment.network, MLP) else ""      # others are trained alike on each
    name = (repr(replace(experiment, seeds=(0,), compile=False)), kind)
    if name not in _STEPS:
        module = experiment.theta_0(experiment.seeds[0]).cpu()
        recipe = experiment.recipe(module)
        stack, optimizer = recipe.choose_stack(module), copy.deepcopy(recipe.optimizer)
        folded = choose_engine(module, stack, replace(recipe, engine="folded") if kind == "cuda" else recipe) == "folded"
        need = memory.estimate(module, recipe)
        # on meta tensors torch loads its compiler, which takes seconds
        device = "cpu" if not folded and need.of(4) <= memory.SMALL else "meta"
        x, y = (t.to(device) for t in batch(recipe, 0, 0, next(module.parameters())))
        if device == "meta":
            module = copy.deepcopy(module).to(device)
            stack = recipe.choose_stack(module)

        def count(runs: int) -> Work:
            gamma, u, running = torch.ones(runs, device=device), zero_differences(module, runs), stack.start(runs)
            memories = {n: [torch.zeros_like(d) for _ in range(optimizer.memories)] for n, d in u.items()}

            def step() -> None:
                if isinstance(stack, MLPStack) and folded:
                    take_step(stack, u, gamma, x, y, recipe.loss, gamma, recipe.rates, rectify_by_kernel)
                    return
                _, gradient = stack.gradients(u, gamma, x, y, recipe.loss, running)
                for n, d in u.items():
                    moved = optimizer.direction(gradient.pop(n), memories[n], 0)
                    d.addcmul_(moved, gamma.reshape(-1, *[1] * (d.ndim - 1)).to(d.dtype), value=-1)

            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                return count_work(step)

        two, four = count(2), count(4)
        run = Work((four.operations - two.operations) / 2, (four.moved - two.moved) / 2, 0)
        _STEPS[name] = Step(two, run, isinstance(stack, MLPStack | CNNStack), need)
    return _STEPS[name]


def estimate_training(on: Machine, experiment: DeepExperiment, runs: int, seeds: int = 1) -> Cost:
    """Return the cost of training `runs` runs for each seed, in as few stacks as fit into memory."""
    step, T = count_step(experiment, on.kind), experiment.horizons[-1]
    fused = estimate_seconds(experiment, runs) if on.kind == "cpu" else None
    together = ON_A_CORE if on.kind == "cpu" and fused is None else runs
    at_once = max(1, min(runs, together, int((on.available - step.need.shared) // step.need.run)))
    full, rest = divmod(runs, at_once)
    precision = "float32" if experiment.precision == "auto" else experiment.precision
    slow = 0 if step.written_out else T if experiment.compile is False else min(T, RECORD_AFTER)      # steps before the record
    operations = seconds = 0.0
    for stacks, size in ((full, at_once), (1, rest)):
        if stacks and size:
            work = step.of(size)
            operations += stacks * T * work.operations
            seconds += stacks * sum(n * on.time(work, precision, launch) for n, launch in ((T - slow, on.launch[0]), (slow, on.launch[1])))
    return Cost(seeds * operations, seeds * (seconds if fused is None else fused), step.need.of(at_once))


def estimate_products(on: Machine, experiment: DeepExperiment, points: int, count: int, samples: int) -> Cost:
    """Return the cost of `count` Hessian products at each point, in float64: about three training steps per sample each."""
    counted = count_step(experiment, "cpu")      # a step of whose gradient there is a tensor
    step, share, kernels = counted.run, samples / experiment.batch_size * points, 3 * counted.two.kernels
    one = Work(3 * step.operations * share, 2 * 3 * step.moved * share, kernels)      # numbers of eight bytes, not four
    return Cost(count * one.operations, count * on.time(one, "float64", on.launch[1]), 6 * share * counted.need.run)
