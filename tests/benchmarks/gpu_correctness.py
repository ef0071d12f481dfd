"""Compare a device with the CPU in float64: one step at real width in each precision, small networks, repetition, curvature, memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

import deepnets
from deepnets import MLP, DeepExperiment, folded_training, tasks
from deepnets.batched.folded_step import take_step
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.rectified_pairs import choose_rectifier, has_kernel
from deepnets.batched.state import zero_differences
from deepnets.failed_runs import raise_device_errors
from deepnets.losses import MSE
from deepnets.precision import DTYPES, arithmetic
from deepnets.training import train
from tests.benchmarks.gpu_sizes import Sizes, choose_task, list_small_networks
from tests.benchmarks.network_plane import precisions

# relative errors allowed in the loss, and in a gradient, in which a unit near zero may be on or off
ALLOWED = {"float64": (1e-10, 1e-6), "float32": (1e-4, 3e-2), "tf32": (1e-2, 0.2), "bf16": (5e-2, 0.4)}
GAMMA = (1e-3, 1.0, 30.0)
LARGE = 1e6      # the rate of a compared step
Entry = tuple[str, Callable[[], dict[str, Any]]]


def list_correctness(sizes: Sizes, device: str) -> Iterator[Entry]:
    """Yield named checks; each returns its numbers with "passed"."""
    for precision in precisions(device):
        yield f"step {precision}", partial(compare_step, sizes, precision, device)
    for name, network in list_small_networks().items():
        if sizes.kinds is None or name in sizes.kinds:
            yield f"training {name}", partial(compare_training, network, sizes, device)
    yield "replay", partial(compare_replay, sizes, device)
    yield "repetition", partial(repeat_training, sizes, device)
    yield "curvature", partial(compare_curvature, device)
    if device.startswith("cuda"):
        yield "memory", partial(exhaust_memory, device)


def compare_step(sizes: Sizes, precision: str, device: str) -> dict[str, Any]:
    """Return the relative errors of losses, gradients and a step of folded products, on fresh numbers; whether the ReLU is a kernel."""
    source = torch.Generator().manual_seed(torch.seed() % 2**62)
    module = MLP(784, sizes.width, 3, 10).build(0).double()
    u = {n: torch.randn(d.shape, generator=source, dtype=d.dtype) * 0.1 for n, d in zero_differences(module, len(GAMMA)).items()}
    x, y = (torch.randn(sizes.batch, n, generator=source, dtype=torch.float64) for n in (784, 10))

    def compute(dtype: torch.dtype, to: str) -> tuple[torch.Tensor, list[dict[str, torch.Tensor]]]:
        def place(t: torch.Tensor) -> torch.Tensor:
            return t.to(to, dtype)

        stack = MLPStack(MLP(784, sizes.width, 3, 10).build(0).to(to, dtype))
        given, moved = ({n: place(d).clone() for n, d in u.items()} for _ in range(2))
        arguments = place(torch.tensor(GAMMA)), place(x), place(y), MSE()
        with torch.no_grad():
            loss, gradient = stack.gradients(given, *arguments)
            rate, rates = torch.full_like(arguments[0], LARGE), dict.fromkeys(u, 1.0)      # steps are larger than u, and lose no digits
            take_step(stack, moved, *arguments, rate, rates, choose_rectifier(arguments[0]))
        steps = {n: (given[n] - d) / LARGE for n, d in moved.items()}
        return loss.cpu().double(), [{n: d.cpu().double() for n, d in found.items()} for found in (gradient, steps)]

    exact, (slopes, _) = compute(torch.float64, "cpu")
    with arithmetic(precision, device):
        loss, found = compute(DTYPES[precision], device)
    gradients, steps = ({n: float((tensors[n] - d).norm() / d.norm()) for n, d in slopes.items()} for tensors in found)
    off, allowed = float((loss / exact - 1).abs().max()), ALLOWED[precision]
    return {"loss": off, "gradients": gradients, "folded": steps, "allowed": allowed,
            "kernel": device.startswith("cuda") and has_kernel(torch.device(device)),
            "passed": off < allowed[0] and max(*gradients.values(), *steps.values()) < allowed[1]}


def compare_replay(sizes: Sizes, device: str) -> dict[str, Any]:
    """Return the relative difference of losses whose steps were replayed from a CUDA graph from those launched one by one, and how many."""
    experiment = DeepExperiment(list_small_networks()["mlp"], tasks.digits(), steps=5 * sizes.small // 2, batch_size=16, device=device)
    module = experiment.theta_0(0)
    recipe = replace(experiment.recipe(module), engine="folded")
    found, pays = [], folded_training.pays
    try:
        for chosen in (pays, lambda like, numbers: False):
            folded_training.pays = chosen
            found.append(train(module, recipe.choose_stack(module), recipe, np.array([1e-3, 1.0]), np.array([1e-6, 0.1]), 0))
    finally:
        folded_training.pays = pays
    off = float(np.abs(found[0].losses / found[1].losses - 1).max())
    return {"losses": off, "replayed": found[0].replayed, "passed": off < 1e-4}


def train_small(network: Any, sizes: Sizes, device: str, precision: str = "float64") -> np.ndarray:
    """Return the final excess of six runs."""
    task = choose_task(network)
    experiment = DeepExperiment(network, task, "mse" if task.classes is None else "cross_entropy", steps=sizes.small, batch_size=16,
                                precision=precision, device=device, compile=False)
    portrait = experiment.measure(np.array([1e-3, 1.0, 1e2]), np.array([1e-3, 1e-1]))
    if "failures" in portrait.attrs:
        raise RuntimeError(portrait.attrs["failures"])
    return np.asarray(portrait["final_excess"].values)


def compare_training(network: Any, sizes: Sizes, device: str) -> dict[str, Any]:
    """Return the relative difference of the final excess from a CPU's."""
    here, there = (train_small(network, sizes, where) for where in ("cpu", device))
    off = float(np.nanmax(np.abs(there / here - 1)))
    return {"final_excess": off, "passed": off < 1e-6 and bool(np.isfinite(here).any())}


def repeat_training(sizes: Sizes, device: str) -> dict[str, Any]:
    """Return whether the same runs have the same bits twice."""
    network = list_small_networks()["mlp"]
    first, second = (train_small(network, sizes, device, "float32") for _ in range(2))
    return {"passed": first.tobytes() == second.tobytes()}


def compare_curvature(device: str) -> dict[str, Any]:
    """Return the relative difference of the largest eigenvalues of a Hessian from a CPU's."""
    module, (x, y) = MLP(64, 2, 3, 10).build(0).double(), tasks.digits().batch(0, 0, 8)

    def find(where: str) -> np.ndarray:
        moved = deepnets.Centered(module.to(where), gamma=0.5)
        return deepnets.spectrum(moved, None, (x.to(where, torch.float64), y.to(where)), "mse", k=2).eigenvalues.values

    here, there = find("cpu"), find(device)
    off = float(np.abs(there / here - 1).max())
    return {"eigenvalues": off, "passed": off < 1e-5}


def exhaust_memory(device: str) -> dict[str, Any]:
    """Return whether a real lack of memory is recognised, and the device works afterwards."""
    size = 2 * torch.cuda.mem_get_info(device)[1]
    try:
        torch.empty(size, dtype=torch.uint8, device=device)
    except Exception as error:
        try:
            raise_device_errors(error)
            recognised = isinstance(error, torch.OutOfMemoryError)
        except torch.OutOfMemoryError:
            recognised = True
    else:
        recognised = False
    torch.cuda.empty_cache()
    return {"passed": recognised and float(torch.ones(4, device=device).sum()) == 4.0}
