"""Networks: the fused kernels, torch's stack and what others would write, each trained in turn.

A contestant is a function of a case that trains once and returns wall and CPU seconds a run-step.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

from deepnets import MLP, DeepExperiment, tasks
from deepnets.training import train

RUNS = 64


@dataclass(frozen=True)
class Case:
    """An MLP of that width and depth on digits, trained by SGD on MSE: `runs` runs of `steps` steps."""

    width: int
    batch: int
    depth: int = 3
    runs: int = RUNS
    steps: int = 0

    @property
    def length(self) -> int:
        """Steps; about as much work in every case."""
        return self.steps or max(25, 2000 * 16 * 16 // (self.width * self.batch))

    @property
    def operations(self) -> int:
        """Operations of a run-step that are needed: products with u and W_0, and their counterparts backwards, unpadded."""
        sizes = [64, *[self.width] * (self.depth - 1), 10]
        return sum(2 * self.batch * n * m * (4 if l else 2) for l, (n, m) in enumerate(pairwise(sizes)))


def measure(work, run_steps: int) -> tuple[float, float]:
    """Return the least wall and CPU seconds a run-step of `work()`, called for a quarter of a second."""
    walls, cpus, begin = [], [], time.perf_counter()
    while not walls or time.perf_counter() - begin < 0.25:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls) / run_steps, min(cpus) / run_steps


def by_lazyrich(engine: str):
    """Return a contestant: "auto", the fused kernels, or "stack", torch in stacks of 32."""
    def contest(case: Case) -> tuple[float, float]:
        steps = case.length if engine == "auto" else min(case.length, 10)
        made = DeepExperiment(MLP(64, case.width, case.depth, 10), tasks.digits(), steps=steps, batch_size=case.batch, device="cpu")
        module = made.theta_0(0)
        recipe, gamma = replace(made.recipe(module), engine=engine), np.logspace(-5, 0, case.runs)
        stack = recipe.choose_stack(module)
        train(module, stack, recipe, gamma[:1], 0.1 * gamma[:1]**2, 0)      # compiles, and draws the batches
        pieces = 1 if engine == "auto" else max(1, case.runs // 32)
        return measure(lambda: [train(module, stack, recipe, g, 0.1 * g**2, 0) for g in np.array_split(gamma, pieces)], case.runs * steps)
    return contest


def _torch_network(case: Case):
    sizes = [64, *[case.width] * (case.depth - 1), 10]
    layers = [torch.nn.Linear(n, m, bias=False) for n, m in pairwise(sizes)]
    between = [part for layer in layers for part in (layer, torch.nn.ReLU())][:-1]
    return torch.nn.Sequential(*between), torch.randn(case.batch, 64), torch.randn(case.batch, 10)


def by_loop(case: Case) -> tuple[float, float]:
    """Run after run by autograd and torch.optim, the output of theta_0 subtracted."""
    network, x, y = _torch_network(case)
    start, _, _ = _torch_network(case)
    optimizer, steps = torch.optim.SGD(network.parameters(), 1e-9), 10

    def work() -> None:
        for _ in range(steps):
            with torch.no_grad():
                first = start(x)
            loss = (((network(x) - first) / 1e-2 - y) ** 2).mean() / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    work()
    return measure(work, steps)


def by_vmap(case: Case) -> tuple[float, float]:
    """All runs at once by torch.func: vmap of grad."""
    network, x, y = _torch_network(case)
    start, gamma, steps = dict(network.named_parameters()), torch.logspace(-5, 0, case.runs), 3
    theta = {n: w.detach().expand(case.runs, *w.shape).clone() for n, w in start.items()}

    def loss(theta, g):
        return (((functional_call(network, theta, x) - functional_call(network, start, x)) / g - y) ** 2).mean() / 2

    def work() -> None:
        with torch.no_grad():
            for _ in range(steps):
                for n, slope in vmap(grad(loss))(theta, gamma).items():
                    theta[n] -= 1e-9 * slope
    work()
    return measure(work, steps * case.runs)


class ByJAX:
    """JAX in an environment of its own, named by its python."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen([python, str(Path(__file__).with_name("jax_plane.py"))], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.version = ""

    def of(self, precision: str):
        """Return a contestant."""
        def contest(case: Case) -> tuple[float, float]:
            assert self.process.stdin
            assert self.process.stdout
            wanted = {"width": case.width, "batch": case.batch, "depth": case.depth, "runs": case.runs, "steps": case.length}
            print(json.dumps({**wanted, "precision": precision}), file=self.process.stdin, flush=True)
            answer = json.loads(self.process.stdout.readline())
            self.version = answer["version"]
            return answer["wall"] / case.runs / case.length, answer["cpu"] / case.runs / case.length
        return contest


def contest_in_turn(case: Case, contestants: dict, rounds: int) -> dict[str, list[float]]:
    """Return the least wall and CPU microseconds a run-step of every contestant, measured one after the other, `rounds` times."""
    best = {name: [np.inf, np.inf] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            best[name] = [min(old, 1e6 * new) for old, new in zip(best[name], contestant(case), strict=True)]
    return {name: [float(f"{x:.4g}") for x in pair] for name, pair in best.items()}
