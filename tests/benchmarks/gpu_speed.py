"""Time a device: copies and products, the plane in each precision, a small stack, forms of a grouped convolution, attention, a profile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from deepnets import MLP, DeepExperiment, ResidualMLP, ResNet, ViT, tasks
from deepnets.batched import graph
from deepnets.cost import estimate_training, find_machine
from deepnets.precision import DTYPES, arithmetic
from deepnets.training import train
from tests.benchmarks.gpu_correctness import Entry
from tests.benchmarks.gpu_sizes import Sizes
from tests.benchmarks.network_plane import precisions, synchronised, timed
from tests.benchmarks.network_plane import size as plane_size


def measure_seconds(act: Callable[[], Any], device: str, repeats: int = 5) -> float:
    """Return the least seconds of a call, after a first one."""
    act()
    best = np.inf
    for _ in range(repeats):
        synchronised(device)
        begin = time.perf_counter()
        act()
        synchronised(device)
        best = min(best, time.perf_counter() - begin)
    return float(best)


def list_ceilings(sizes: Sizes, device: str) -> Iterator[Entry]:
    """Yield what the device reaches at most: copies, and products in each precision."""
    def copy() -> dict[str, Any]:
        x = torch.zeros(sizes.copied, device=device)
        return {"bytes_per_second": 2 * x.nbytes / measure_seconds(x.clone, device)}

    def multiply(precision: str) -> dict[str, Any]:
        n, dtype = sizes.product, torch.bfloat16 if precision == "bf16" else DTYPES[precision]
        a = torch.ones(n, n, device=device, dtype=dtype)
        with arithmetic(precision, device):
            return {"operations_per_second": 2 * n**3 / measure_seconds(lambda: a @ a, device)}

    yield "copy", copy
    for precision in precisions(device):
        yield f"product {precision}", partial(multiply, precision)


def list_speed(sizes: Sizes, device: str) -> Iterator[Entry]:
    """Yield named measurements, the most informative first."""
    for precision in precisions(device):
        yield f"plane {precision}", partial(time_plane, sizes, precision, device)
    yield "small stack", partial(time_network, MLP(64, 64, 3, 10), sizes, device, False, sizes.runs)
    for form in FORMS:
        yield f"convolution, {form}", partial(time_convolution, form, sizes, device)
    channels = sizes.channels_of_vit
    networks: dict[str, Any] = {}
    if sizes.blocks_of_vit:
        networks["vit"] = ViT((1, 8, 8), channels, out_features=10, patch=sizes.patch, blocks=sizes.blocks_of_vit, heads=1)
    if sizes.stages:
        networks["resnet"] = ResNet((1, 8, 8), channels, out_features=10, blocks=sizes.stages)
    networks = networks or {"residual-mlp": ResidualMLP(64, channels, 1, 10)}
    for compile, word in ((False, "eager"), ("auto", "recorded"), (True, "compiled")):
        for name, network in networks.items():
            yield f"{name}, {word}", partial(time_network, network, sizes, device, compile, min(32, sizes.runs))
    yield "profile", partial(profile_plane, sizes, device)


def _plane(sizes: Sizes, device: str) -> Any:
    from dataclasses import replace

    return replace(plane_size(device), points=sizes.points, network=MLP(784, sizes.width, 3, 10), batch=sizes.batch, steps=sizes.timed)


def time_plane(sizes: Sizes, precision: str, device: str) -> dict[str, Any]:
    """Return the benchmark's row of a plane, trained for a few steps."""
    return timed(_plane(sizes, device), precision, device)[0]


def profile_plane(sizes: Sizes, device: str) -> dict[str, Any]:
    """Return the table of the kernels that take the longest."""
    _, trained = timed(_plane(sizes, device), "float32", device)
    kinds = torch.profiler.supported_activities()
    cuda = torch.profiler.ProfilerActivity.CUDA in kinds
    with torch.profiler.profile(activities=kinds) as profile:
        trained(min(20, sizes.timed))
    return {"table": profile.key_averages().table(sort_by="self_device_time_total" if cuda else "self_cpu_time_total", row_limit=15)}


def time_network(network: Any, sizes: Sizes, device: str, compile: bool | str, runs: int) -> dict[str, Any]:
    """Return the milliseconds of a step, measured and estimated; "auto" records after few steps and does not compile."""
    experiment = DeepExperiment(network, tasks.digits(), "cross_entropy", steps=sizes.timed, batch_size=sizes.batch, device=device,
                                compile=compile)
    experiment.check()
    module = experiment.theta_0(0)
    recipe = experiment.recipe(module)
    stack = recipe.choose_stack(module, compile)
    gamma, eta = np.logspace(-2, 2, runs), np.full(runs, 1e-4)
    patience = graph.RECORD_AFTER
    graph.RECORD_AFTER = 2
    try:
        with arithmetic("float32", device):
            seconds = measure_seconds(lambda: train(module, stack, recipe, gamma, eta, 0), device, 1)
    finally:
        graph.RECORD_AFTER = patience
    expected = estimate_training(find_machine(device), experiment, runs).seconds
    return {"ms_a_step": 1e3 * seconds / (sizes.timed + 1), "estimated_ms_a_step": 1e3 * expected / sizes.timed}


def _convolve_groups(x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """x (batch, P, in, n, n), kernels (P, out, in, 3, 3), as one grouped convolution."""
    return F.conv2d(x.flatten(1, 2), kernels.flatten(0, 1), padding=1, groups=len(kernels))


def _convolve_last(x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The same with channels last."""
    last = torch.channels_last
    return F.conv2d(x.flatten(1, 2).contiguous(memory_format=last), kernels.flatten(0, 1).contiguous(memory_format=last), padding=1,
                    groups=len(kernels))


def _convolve_patches(x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The same as a batched product with unfolded patches."""
    batch, runs, _, n, _ = x.shape
    patches = F.unfold(x.flatten(0, 1), 3, padding=1).unflatten(0, (batch, runs)).transpose(0, 1)      # (P, batch, in * 9, n * n)
    product = torch.bmm(kernels.flatten(2), patches.transpose(1, 2).flatten(2))                        # (P, out, batch * n * n)
    return product.unflatten(2, (batch, n, n)).permute(2, 0, 1, 3, 4).flatten(1, 2)


FORMS = {"grouped": _convolve_groups, "channels last": _convolve_last, "patches": _convolve_patches}


def time_convolution(form: str, sizes: Sizes, device: str) -> dict[str, Any]:
    """Return milliseconds forward, and forward with both gradients, and the relative difference from the grouped form."""
    x = torch.randn(sizes.batch, sizes.runs, sizes.channels, 14, 14, device=device, requires_grad=True)
    kernels = torch.randn(sizes.runs, sizes.channels, sizes.channels, 3, 3, device=device, requires_grad=True)
    convolve = FORMS[form]

    def both() -> None:
        torch.autograd.grad(convolve(x, kernels).square().sum(), (x, kernels))

    with torch.no_grad():
        expected = _convolve_groups(x, kernels)
        off = float((convolve(x, kernels) - expected).norm() / expected.norm())
        forward = measure_seconds(lambda: convolve(x, kernels), device, 3)
    return {"forward_ms": 1e3 * forward, "with_gradients_ms": 1e3 * measure_seconds(both, device, 3), "difference": off}
