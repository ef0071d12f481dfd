"""Estimates of a training's cost: operations against a count by hand, seconds against a measured time."""

import time

import numpy as np
import pytest
import torch

import deepnets
from deepnets.cost import H200, Cost, estimate_products, estimate_training, find_machine
from deepnets.fused import duration


def test_operations_are_those_of_the_matrix_products():
    """Two operations per weight and sample: once the products with W_0; for each run those with u, and the gradients with respect to u;
    in all layers but the first also W_0 times the difference of its inputs, and the gradients with respect to these."""
    network, batch, runs, steps = deepnets.MLP(64, 32, 3, 10), 16, 5, 7
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch, device="cpu")
    first, others = 64 * 32, 32 * 32 + 32 * 10
    expected = 2 * steps * batch * (runs * (2 * first + 4 * others) + first + others)
    assert estimate_training(H200, experiment, runs).operations == pytest.approx(expected)


@pytest.mark.slow
def test_an_estimate_on_this_cpu_is_within_a_factor_of_ten_of_the_measured_time():
    network = deepnets.MLP(64, 256, 3, 10)
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=30, batch_size=256, device="cpu")
    gamma, eta = np.logspace(-2, 2, 4), np.logspace(-3, 0, 4)
    experiment.measure(gamma[:1], eta[:1])
    begin = time.process_time()       # of all threads: other processes do not count
    experiment.measure(gamma, eta)
    measured = (time.process_time() - begin) / torch.get_num_threads()
    assert 0.1 < estimate_training(find_machine("cpu"), experiment, 16).seconds / measured < 10


def test_costs_add_up():
    """One after the other: operations and seconds are summed, and the peak is that of the larger."""
    assert Cost(1, 2, 5) + Cost(10, 20, 3) == Cost(11, 22, 5)
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, 32, 3, 10), deepnets.tasks.digits(), steps=7, batch_size=16, device="cpu")
    one, seeds = estimate_training(H200, experiment, 5), estimate_training(H200, experiment, 5, seeds=3)
    assert (seeds.operations, seeds.memory) == (3 * one.operations, one.memory)
    assert seeds.seconds == pytest.approx(3 * one.seconds)


def test_a_hessian_product_costs_three_training_steps_of_the_run():
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, 32, 3, 10), deepnets.tasks.digits(), steps=1, batch_size=16, device="cpu")
    once, twice = (estimate_training(H200, experiment, runs).operations for runs in (5, 10))
    step = (twice - once) / 5       # of one run, without what is computed once for all
    assert estimate_products(H200, experiment, points=2, count=4, samples=32).operations == pytest.approx(3 * step * 2 * 4 * 2)


def test_an_estimate_for_the_fused_kernels_goes_by_the_operations_of_their_products(monkeypatch):
    experiment = deepnets.DeepExperiment(deepnets.MLP(64, 128, 3, 10), deepnets.tasks.digits(), steps=7, batch_size=64, device="cpu")
    few, many = (estimate_training(find_machine("cpu"), experiment, runs) for runs in (64, 6400))
    rate = (many.operations - few.operations) / (many.seconds - few.seconds) / torch.get_num_threads()
    assert 0.8 * duration.PRODUCTS < rate < duration.PRODUCTS      # padding, and what is not a product
    monkeypatch.setenv("LAZYRICH_ENGINE", "stack")
    assert estimate_training(find_machine("cpu"), experiment, 6400).seconds > 1.5 * many.seconds
