"""How long a plane of networks takes, and what share of a device's arithmetic it uses; run it as a script, from the repository's root.

    python -m tests.benchmarks.network_plane [--device cuda] [--tiny] [--profile]

The plane: 21 x 21 points, gamma 1e-5 to 1e5, of an MLP 784-512-512-10, batch 256, 1000 steps of SGD, on numbers drawn on the device, so
that no reading is timed. The goal: 10 s in pairs of float32 arithmetic (TF32 or not), 20 s in float64. Each rate lies well below its
gamma's divergence: diverged runs would be dropped, and the plane would seem fast. Prints for each precision the milliseconds a step,
run-steps a second, the share of the floor (the products' operations over the device's rate for them), the peak memory, and the plane's
seconds, measured or, with fewer steps, scaled. `--profile` adds where the time of a step goes.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from deepnets import MLP, memory
from deepnets.batched.stack import choose_stack
from deepnets.device import describe_device
from deepnets.experiment import DeepExperiment
from deepnets.precision import arithmetic
from deepnets.training import train

GOAL = {"float32": 10, "tf32": 10, "bf16": 10, "float64": 20}                       # seconds
# dense rates by datasheet, in operations a second, with tensor cores where the precision may use them
PEAKS = {"H200": {"float32": 67e12, "tf32": 494e12, "bf16": 989e12, "float64": 67e12},
         "H100": {"float32": 67e12, "tf32": 494e12, "bf16": 989e12, "float64": 67e12},
         "A100": {"float32": 19.5e12, "tf32": 156e12, "bf16": 312e12, "float64": 19.5e12}}


@dataclass(frozen=True)
class Drawn:
    """A stream drawn on a device: standard normal inputs, and a fixed linear map of them."""

    dim: int
    out_features: int
    device: str
    classes: None = None

    @property
    def in_shape(self):
        """As of a task."""
        return (self.dim,)

    def batch(self, seed, step, size):
        """Inputs and targets of a step."""
        source = torch.Generator(self.device).manual_seed(seed * 1_000_003 + step)
        x = torch.randn(size, self.dim, device=self.device, generator=source)
        return x, x[:, :self.out_features]

    def held_out(self):
        """One further batch."""
        return self.batch(1, 0, 256)

    def describe(self):
        """As of a task."""
        return {"name": "drawn"}


def operations(network, batch, runs):
    """Multiplications and additions of the products of one step: forward on W_0 and on u, backward to weights and to inputs."""
    total = 0
    for i, scaling in enumerate(network.scalings()):
        products = 2 if i == 0 else 4             # the first layer's inputs do not differ, and need no gradient
        total += products * 2 * batch * scaling.shape[0] * scaling.shape[1]
    return total * runs


def peak(device, precision):
    """Operations a second: by datasheet on a GPU that is known, otherwise those of one large product."""
    if device.startswith("cuda"):
        name = torch.cuda.get_device_name(device)
        known = next((rates for part, rates in PEAKS.items() if part in name), None)
        if known:
            return known[precision]
    dtype = torch.float64 if precision == "float64" else torch.float32
    n = 4096 if device.startswith("cuda") else 768
    with arithmetic(precision, device):
        a, b = torch.randn(2, n, n, device=device, dtype=dtype)
        a @ b
        best = np.inf
        for _ in range(5):
            synchronised(device)
            begin = time.perf_counter()
            a @ b
            synchronised(device)
            best = min(best, time.perf_counter() - begin)
    return 2 * n**3 / best


def synchronised(device):
    """Wait for what a device still does."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def trainer(experiment, gamma, eta):
    """A function that trains the plane for so many steps, as the experiment does, in stacks that fit."""
    module = experiment.theta_0(0)
    recipe = experiment.recipe(module)
    stack = choose_stack(module)
    runs, most = len(gamma), memory.count_fitting_runs(module, recipe, experiment.device, memory.estimate(module, recipe))
    if experiment.device == "cpu":
        most = min(most, 32)

    def trained(steps):
        shorter = replace(recipe, factors=recipe.factors[:steps], horizons=None)
        with arithmetic(experiment.precision, experiment.device):
            for which in np.array_split(np.arange(runs), -(-runs // most)):
                train(module, stack, shorter, gamma[which], eta[which], 0)
            synchronised(experiment.device)
    return trained


@dataclass(frozen=True)
class Size:
    """Points along each axis, the network, the batch, the steps of the plane, and those that are run."""

    points: int
    network: MLP
    batch: int
    total: int
    steps: int

    @property
    def floor(self):
        """Operations of the products of one step of the plane."""
        return operations(self.network, self.batch, self.points**2)


def size(device, tiny=False, steps=None):
    """The plane, or a tiny one."""
    points, network, batch, total = (3, MLP(20, 32, 3, 10), 16, 20) if tiny else (21, MLP(784, 512, 3, 10), 256, 1000)
    return Size(points, network, batch, total, min(total, steps or (total if device.startswith("cuda") or tiny else 3)))


def precisions(device):
    """Those that a device has."""
    return ("float32", *(["tf32"] if device.startswith("cuda") else []), "bf16", "float64")


def timed(of, precision, device):
    """What a plane takes in one precision, by name, and the function that trains it for so many steps."""
    gamma, relative = (x.reshape(-1) for x in np.meshgrid(np.logspace(-5, 5, of.points), np.logspace(-6, -3, of.points), indexing="ij"))
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    network = of.network
    made = DeepExperiment(network, Drawn(network.in_features, network.out_features, device), steps=of.total, batch_size=of.batch,
                          precision=precision, device=device)
    trained = trainer(made, gamma, relative * np.minimum(gamma**2, gamma ** (2 / 3)))
    trained(min(3, of.steps))
    begin = time.perf_counter()
    trained(of.steps)
    seconds = (time.perf_counter() - begin) / (of.steps + 1)           # one more loss is measured after the last step
    return {"step_seconds": seconds, "run_steps_per_second": len(gamma) / seconds, "peak_memory": describe_device(device)["peak_memory"],
            "share_of_floor": of.floor / peak(device, precision) / seconds, "plane_seconds": of.total * seconds,
            "goal_seconds": GOAL[precision]}, trained


def main(arguments=None):
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=None, help="train so many steps, and scale; default: all on a GPU, 3 on a CPU")
    parser.add_argument("--tiny", action="store_true", help="a plane of 3 x 3 small networks: whether it works")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    cuda = options.device.startswith("cuda")
    of = size(options.device, options.tiny, options.steps)
    print(f"{of.points} x {of.points} runs of {of.network.in_features}-{of.network.width}-{of.network.width}-{of.network.out_features}, "
          f"batch {of.batch}, {of.total} steps ({of.steps} run) on {torch.cuda.get_device_name(options.device) if cuda else 'the CPU'}; "
          f"{of.floor / 1e9:.3g} GFLOP a step\n")
    print("| precision | ms a step | run-steps/s | share of the floor | peak GB | plane, s | goal, s |\n|---|---|---|---|---|---|---|")
    for precision in precisions(options.device):
        row, trained = timed(of, precision, options.device)
        print(f"| {precision} | {1e3 * row['step_seconds']:.3g} | {row['run_steps_per_second']:.3g} | {row['share_of_floor']:.0%} "
              f"| {row['peak_memory'] / 1e9:.2f} | {row['plane_seconds']:.3g} | {row['goal_seconds']} |", flush=True)
        if options.profile:
            kinds = [torch.profiler.ProfilerActivity.CPU] + ([torch.profiler.ProfilerActivity.CUDA] if cuda else [])
            with torch.profiler.profile(activities=kinds) as profile:
                trained(min(20, of.steps))
            print("\n" + profile.key_averages().table(sort_by="self_device_time_total" if cuda else "self_cpu_time_total", row_limit=20))


if __name__ == "__main__":
    main()
