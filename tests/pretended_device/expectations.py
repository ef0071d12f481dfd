"""What the host may cost a GPU: waits and launches that must not grow with runs, products or steps; counted on the pretended device."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import deepnets
import validation
from deepnets import MLP, DeepExperiment, experiment, folded_training, tasks, training
from deepnets.batched import rectified_pairs
from deepnets.batched.graph import NotRecorded
from deepnets.batched.state import zero_differences
from deepnets.curvature.lanczos import CHECK_EVERY, eigenpairs
from tests.pretended_device.tensors import COUNTS

Case = Callable[[], Any]
NETWORK = MLP(64, 4, 3, 10)


def list_expectations() -> Iterator[tuple[str, Case]]:
    """Yield named cases."""
    yield "a plane is one stack", train_plane
    yield "singular values are those of the CPU", measure_movement
    yield "Lanczos' method waits every ten products", find_eigenvalues
    yield "dead networks are found at once", find_dead
    yield "a step's kernels and a chunk's waits", train_chunks


def count_waits(act: Case) -> int:
    """Return how often the host waits."""
    before = COUNTS.waits.total()
    act()
    return COUNTS.waits.total() - before


def make(**settings: Any) -> DeepExperiment:
    """Return an experiment on the device."""
    return DeepExperiment(NETWORK, tasks.digits(), **{"steps": 1, "batch_size": 8, "device": "cuda", "compile": False} | settings)


def train_plane() -> None:
    """More columns than are measured at once on a CPU, in one stack."""
    sizes, train = [], experiment.train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "train", lambda module, stack, recipe, gamma, *rest: (
            sizes.append(len(gamma)), train(module, stack, recipe, gamma, *rest))[1])
        validation.sweep(make(), validation.Plane(np.array([0.1, 1.0, 10.0]), np.logspace(-3, -1, 40)))
    assert sizes == [120], sizes


def measure_movement() -> None:
    """The device would loop over the matrices."""
    deepnets.observe(make(), [0.1, 10.0], 0.01, at=(1,), names=("weights",), samples=4)
    assert COUNTS.kernels["bmm"]
    assert not [name for name in COUNTS.kernels if "svd" in name or "eig" in name], COUNTS.kernels


def find_eigenvalues() -> None:
    """At most three waits where the Ritz values are read, every ten products."""
    matrix = torch.linspace(0, 1, 300, device="cuda", dtype=torch.float64)

    def search(most: int) -> int:
        return count_waits(lambda: eigenpairs(lambda v: v * matrix, torch.zeros(2, 300, device="cuda", dtype=torch.float64), 1, most=most,
                                              tolerance=0.0))

    few, many = search(20), search(60)
    assert 0 < many - few <= 3 * (60 - 20) / CHECK_EVERY, (few, many)


def find_dead() -> None:
    """As many waits for eight networks as for two."""
    deep = make()
    module = deep.theta_0(0)
    recipe = deep.recipe(module)
    stack, samples = recipe.choose_stack(module), training.held_out(recipe, next(module.parameters()))

    def find(runs: int) -> int:
        return count_waits(lambda: samples.find_dead(module, zero_differences(module, runs), torch.ones(runs, device="cuda"),
                                                     stack.start(runs)))

    assert find(2) == find(8) == 1


def train_chunks() -> None:
    """Folded products start fewer kernels, the ReLU's own kernel fewer still; the host waits where 25 steps are over.

    The device has no CUDA graphs, and recording one fails.
    """
    def train(steps: int, engine: str) -> tuple[int, int]:
        deep = make(steps=steps)
        module = deep.theta_0(0)
        recipe = replace(deep.recipe(module), engine=engine)
        stack, before = recipe.choose_stack(module), COUNTS.kernels.total()
        waits = count_waits(lambda: training.train(module, stack, recipe, np.array([0.1, 1.0]), np.array([0.01, 0.1]), 0))
        return COUNTS.kernels.total() - before, waits

    def compare(engine: str) -> tuple[float, int]:
        """Return the kernels of a step and the waits of 25."""
        (few, waits), (many, more) = train(5, engine), train(30, engine)
        return (many - few) / 25, more - waits

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folded_training, "CHECK_EVERY", 2)
        with pytest.warns(NotRecorded, match="CUDA graph"):
            train(4, "auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folded_training, "pays", lambda like, numbers: False)
        (folded, waits), (plain, _) = compare("auto"), compare("stack")
        patch.setattr(rectified_pairs, "has_kernel", lambda device: True)
        by_kernel, _ = compare("auto")
    assert waits <= 3, waits
    assert by_kernel <= folded - 14, (by_kernel, folded)      # as counted on tensors without data: 28, 42
    assert folded <= plain - 9, (folded, plain)               # 42, 51
