"""Estimates of a training's cost: operations against a count by hand, seconds against a measured time."""

import abc
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import deepnets
from deepnets.cost import H200, Cost, estimate_products, estimate_training, find_machine
from deepnets.fused import duration
from deepnets.work import Work, count_work


def test_operations_are_those_of_the_matrix_products():
    """Two operations per weight and sample: once the products with W_0 in all layers but the last; for each run those with u, and the
    gradients with respect to u; in all layers but the first also W_0 times the difference of its inputs, and the gradients in these."""
    network, batch, runs, steps = deepnets.MLP(64, 32, 3, 10), 16, 5, 7
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch, device="cpu")
    first, hidden, last = 64 * 32, 32 * 32, 32 * 10
    expected = 2 * steps * batch * (runs * (2 * first + 4 * (hidden + last)) + first + hidden)
    assert estimate_training(H200, experiment, runs).operations == pytest.approx(expected)


def test_operations_of_convolutions_are_those_of_each_run():
    """Of a 3 x 3 kernel, 18 operations for each output and input channel at each place: once with the kernels at theta_0, for each run with
    u's and its gradient; in the second layer also the kernels at theta_0 times the difference, and the gradient in the inputs."""
    network, batch = deepnets.CNN((1, 8, 8), 4, out_features=10), 6
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=1, batch_size=batch, device="cpu")
    spatial = [(s.shape[0] * s.shape[1] * 9, 64 // 4**i) for i, s in enumerate(s for s in network.scalings() if len(s.shape) == 4)]
    dense = [s.shape[0] * s.shape[1] for s in network.scalings() if len(s.shape) == 2]
    first, others = spatial[0][0] * spatial[0][1], sum(w * places for w, places in spatial[1:]) + sum(dense)
    one, five = (estimate_training(H200, experiment, runs).operations for runs in (1, 5))
    assert (five - one) / 4 == pytest.approx(2 * batch * (2 * first + 4 * others))


def test_seconds_on_a_gpu_are_those_of_launches_operations_or_bytes():
    work = Work(33e12, 3.8e12, 1000)
    assert H200.time(work, "float32", 1e-5) == pytest.approx(1)
    assert H200.time(replace(work, moved=7.6e12), "float32", 1e-5) == pytest.approx(2)
    assert H200.time(replace(work, kernels=400_000), "float32", 1e-5) == pytest.approx(4)
    x = torch.empty(5, 1, device="meta").expand(5, 7)       # whose rows are read once
    assert count_work(lambda: (x + torch.empty(7, device="meta")).T.mul_(2)) == Work(0, 4 * (5 + 7 + 35 + 35 + 35), 2)


@pytest.mark.parametrize("network", [
    deepnets.MLP(64, 200, 4, 10), deepnets.CNN((1, 8, 8), 8, out_features=10), deepnets.ResidualMLP(64, 48, 2, 10),
    deepnets.Transformer(256, 4, 8, blocks=1, heads=2)], ids=lambda n: type(n).__name__)
def test_an_estimate_on_this_cpu_is_within_a_factor_of_five_of_the_measured_time(network, monkeypatch):
    monkeypatch.setenv("LAZYRICH_ENGINE", "stack")
    text = isinstance(network, deepnets.Transformer)
    task = deepnets.tasks.text(abc.__file__, context=4) if text else deepnets.tasks.digits()

    def measure(steps):
        experiment = deepnets.DeepExperiment(network, task, "cross_entropy", steps=steps, batch_size=32, device="cpu", compile=False)
        experiment.check()
        begin = time.process_time()       # of all threads: other processes do not count
        experiment.measure(np.logspace(-1, 1, 4), np.logspace(-4, -3, 2))
        return experiment, time.process_time() - begin

    measure(1)
    (few, short), (more, long) = (min((measure(steps) for _ in range(2)), key=lambda found: found[1]) for steps in (1, 11))
    expected = [estimate_training(find_machine("cpu"), experiment, 8).seconds for experiment in (few, more)]
    assert 1 / 5 < (long - short) / torch.get_num_threads() / (expected[1] - expected[0]) < 5


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
