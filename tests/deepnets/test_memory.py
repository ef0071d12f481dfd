"""Memory: the estimate against the use of a process, and what happens when memory is too small."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import MLP, DeepExperiment, experiment, memory, tasks
from validation import Misuse, Plane, sweep

SMALL = DeepExperiment(MLP(64, 16, 3, 10), tasks.digits(), steps=30, batch_size=16, device="cpu")
GAMMA, ETA = np.array([1e-3, 1.0]), np.geomspace(1e-6, 1e2, 9)


def normed(seed):
    """A convolutional network with running statistics."""
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), nn.Linear(1152, 10))


def setting(made):
    """The module and the recipe of an experiment."""
    module = made.theta_0(0)
    return module, made.recipe(module)


# network, optimizer, batch size, runs, precision; large enough to stand out of what a process takes anyway
CASES = {
    "mlp": ("MLP(64, 256, 3, 10)", "sgd", 256, 48, "float64"),
    "fused": ("MLP(64, 512, 3, 10)", "adam", 32, 48, "float32"),
    "adam": ("MLP(64, 512, 3, 10)", "adam", 32, 24, "float64"),
    "cnn": ("lambda seed: nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Flatten(), "
            "nn.Linear(1152, 10))", "momentum", 64, 48, "float32"),
}
USE = f"""
import os, re, numpy as np, torch
from torch import nn
from deepnets import MLP, DeepExperiment, memory, tasks
from deepnets.batched.stack import choose_stack
from deepnets.training import train
torch.set_num_threads(1)
for name, (network, optimizer, size, runs, precision) in {CASES!r}.items():
    if child := os.fork():          # a process for each: what torch imports takes two seconds, and has no part in what is measured
        os.waitpid(child, 0)
        continue
    made = DeepExperiment(eval(network), tasks.digits(), optimizer=optimizer, steps=2, batch_size=size, device="cpu", precision=precision)
    module = made.theta_0(0)
    recipe = made.recipe(module)

    def peak(runs):
        train(module, choose_stack(module), recipe, np.ones(runs), np.full(runs, 1e-9), 0)
        # of addresses rather than pages: the system reclaims idle pages when memory is short
        return int(re.search(r"VmPeak:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024

    need, one = memory.estimate(module, recipe), peak(1)
    print(name, need.run * (runs - 1), peak(runs) - one, flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def use():
    """Return for each case the bytes that are estimated and those that a process takes, for all runs but the first."""
    # allocate large tensors from the system and return them to it: the C library would cache them
    result = subprocess.run([sys.executable, "-c", USE], capture_output=True, text=True, check=False,
                            env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"})
    assert not result.stderr
    return {name: (int(estimated), int(measured)) for name, estimated, measured in map(str.split, result.stdout.splitlines())}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of a process like this")
@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_what_a_process_uses(name, use):
    estimated, measured = use[name]
    assert measured > 5e7
    assert 1 / 1.5 < estimated / measured < 1.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("network", [MLP(64, 256, 3, 10), normed])
def test_the_estimate_is_what_a_gpu_uses(network):
    made = dataclasses.replace(SMALL, network=network, batch_size=256, device="cuda")
    module, recipe = setting(made)
    made.measure(GAMMA[:1], ETA[:1])
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    made.measure(GAMMA, np.geomspace(1e-9, 1e-8, 64))
    assert 1 / 1.5 < memory.estimate(module, recipe).of(128) / (torch.cuda.max_memory_allocated() - before) < 1.5


def test_an_estimate_takes_no_memory_and_grows_as_it_should():
    module, recipe = setting(SMALL)
    kernels, recipe = memory.estimate(module, recipe), dataclasses.replace(recipe, engine="stack")
    need = memory.estimate(module, recipe)
    parameters = 4 * sum(p.numel() for p in module.parameters())
    assert need.run >= 3 * parameters                                              # u, the last gradient, the next
    assert parameters <= kernels.run < need.run                                    # the fused kernels keep no gradient
    adam = memory.estimate(module, dataclasses.replace(recipe, optimizer=experiment.optimizers.Adam()))
    assert 2 * parameters <= adam.run - need.run <= 6 * parameters
    wide = DeepExperiment(MLP(64, 30_000, 3, 10), tasks.digits(), batch_size=256, device="cpu")
    with torch.device("meta"):                                                    # 3.6 GB a tensor, too large to allocate here
        huge = wide.network.build(0)
    assert memory.estimate(huge, wide.recipe(huge)).run > 3 * 4 * 30_000**2


class Constant(nn.Module):
    """A module with a tensor that is no buffer, and does not move with it."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(64, 10), torch.full((10,), 0.5)

    def forward(self, x):
        return self.layer(x) * self.scale


def test_a_module_that_does_not_run_on_meta_tensors_is_run_on_the_cpu():
    made = dataclasses.replace(SMALL, network=lambda seed: Constant())
    module, recipe = setting(made)
    assert memory.estimate(module, recipe).run > 3 * 4 * 650


def test_runs_are_cut_to_what_is_free(monkeypatch):
    module, recipe = setting(SMALL)
    need = memory.estimate(module, recipe)
    whole, sizes = SMALL.measure(GAMMA, ETA), []
    ours = experiment.train
    monkeypatch.setattr(experiment, "train", lambda *a: sizes.append(len(a[3])) or ours(*a))
    monkeypatch.setattr(memory, "free_memory", lambda device: int(need.of(5) / memory.SAFE["cpu"]) + 1000)
    cut = SMALL.measure(GAMMA, ETA)
    assert max(sizes) <= 5
    assert sum(sizes) == 18
    np.testing.assert_allclose(cut["final_excess"], whole["final_excess"], rtol=1e-3)


def test_what_does_not_fit_is_refused_with_what_would(monkeypatch):
    module, recipe = setting(SMALL)
    recipe = dataclasses.replace(recipe, batch_size=2000)
    usable = memory.estimate(module, dataclasses.replace(recipe, batch_size=700)).of(1)
    monkeypatch.setattr(memory, "free_memory", lambda device: int(usable / memory.SAFE["cpu"]) + 10)
    with pytest.raises(Misuse, match=r"out of memory: one run needs about .* GB \(1440 parameters, batch_size=2000, sgd\); .* GB are free: "
                                     r"batch_size=7\d\d would fit"):
        memory.count_fitting_runs(module, recipe, "cpu", memory.estimate(module, recipe))
    monkeypatch.setattr(memory, "free_memory", lambda device: 1000)
    with pytest.raises(Misuse, match="not even batch_size=1 would fit"):
        memory.count_fitting_runs(module, recipe, "cpu", memory.estimate(module, recipe))
    with pytest.raises(Misuse, match="batch_size must fit into memory"):
        dataclasses.replace(SMALL).measure(GAMMA, ETA)


def full_beyond(most):
    """Return a training function that runs out of memory with more than so many runs."""
    def train(which):
        if len(which) > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return which * 10
    return train


def test_half_as_many_runs_are_tried_on_a_full_device_with_one_warning():
    with pytest.warns(memory.Halved, match="out of memory with 21 runs at once: 10 are trained at once") as warned:
        found = list(memory.train_in_pieces(full_beyond(3), 21, 100))
    assert len(warned) == 1
    assert np.concatenate([which for which, _ in found]).tolist() == list(range(21))
    assert all((result == which * 10).all() and len(which) <= 3 for which, result in found)
    with pytest.warns(memory.Halved), pytest.raises(Misuse, match="a single run does not fit"):
        list(memory.train_in_pieces(full_beyond(0), 4, 4))


def test_a_gpus_tile_is_a_whole_plane():
    assert SMALL.tile == (4, 16)
    gpu = dataclasses.replace(SMALL)
    object.__setattr__(gpu, "device", "cuda")      # the tile does not depend on an existing GPU
    assert gpu.tile[0] >= 21
    assert gpu.tile[1] >= 21


def test_a_missing_device_is_refused_with_the_existing_ones():
    with pytest.raises(Misuse, match=r"device must be one of 'auto', 'cpu'.*, not 'cuda:99'"):
        dataclasses.replace(SMALL, device="cuda:99")


@pytest.mark.parametrize(("wrong", "named"), [
    ({"batch_size": 10**12}, r"batch_size .* 1000000000000 samples need 2\.64e\+05 GB"), ({"steps": 10**13}, "steps .* 2.4e[+]05 GB"),
    ({"steps": (10, 10**13)}, "steps"), ({"network": MLP(64, 10**7, 3, 10)}, r"network .* 100000740000000 parameters need 4e\+05 GB"),
    ({"network": lambda seed: nn.Linear(64, 10**13)}, "network"), ({"network": lambda seed: nn.Linear(64, 11)}, "tensor of shape"),
])
def test_what_can_never_be_trained_is_refused_before_a_store_is_created(wrong, named, tmp_path):
    made = dataclasses.replace(SMALL, **wrong)
    with pytest.raises(Misuse, match=named):
        sweep(made, Plane(GAMMA, ETA), store=tmp_path / "p.zarr")
    assert list(tmp_path.iterdir()) == []


def test_a_check_leaves_the_state_of_random_numbers_unchanged():
    made = dataclasses.replace(SMALL, network=lambda seed: Constant())
    torch.manual_seed(3)
    before = torch.get_rng_state()
    made.check()
    assert torch.equal(torch.get_rng_state(), before)


class Reads(nn.Module):
    """A module that needs data while it is built."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.scale = float(self.layer.weight.detach().norm().item())

    def forward(self, x):
        return self.layer(x) / self.scale


def test_a_network_that_needs_data_is_checked_with_data():
    built = []

    def network(seed):
        built.append(Reads())      # not reached with fake tensors, which have no norm
        return built[-1]

    dataclasses.replace(SMALL, network=network).check()
    assert [type(module.layer.weight) for module in built] == [nn.Parameter]
    assert built[0].scale == pytest.approx(float(built[0].layer.weight.detach().norm()))


class Long(nn.Module):
    """A network that takes much memory for each sample."""

    def __init__(self, length):
        super().__init__()
        self.first, self.second, self.length = nn.Linear(64, 4), nn.Linear(4, 10), length

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)[:, None, :].expand(-1, self.length, -1) * 1.0).mean(1))


def long(samples, length=2000):
    x, y = torch.randn(100, 64, generator=torch.Generator().manual_seed(0)), torch.arange(100) % 10
    task = tasks.from_loader([(x, y)], [(x[:samples], y[:samples])])
    return DeepExperiment(lambda seed: Long(length), task, steps=3, batch_size=1, curves=2, device="cpu")


def test_held_out_samples_are_evaluated_in_smaller_pieces_where_they_do_not_fit_at_once(monkeypatch):
    free, one = (memory.estimate(*setting(long(n))).of(1) for n in (80, 1))
    expected = long(80).measure(GAMMA, ETA)
    assert free > 10 * one
    monkeypatch.setattr(memory, "free_memory", lambda device: int(5 * one / memory.SAFE["cpu"]))
    found = long(80).measure(GAMMA, ETA)
    for name in ("held_out_loss", "final_accuracy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    np.testing.assert_allclose(found["final_excess"], expected["final_excess"], rtol=1e-5)


def test_held_out_samples_are_named_where_not_even_one_fits(monkeypatch):
    made = long(10)
    module, recipe = setting(made)
    training = memory.estimate(module, recipe, evaluated=False)
    monkeypatch.setattr(memory, "estimate", lambda module, recipe, evaluated=True: dataclasses.replace(
        training, run=training.run * (100 if evaluated else 1)))
    monkeypatch.setattr(memory, "free_memory", lambda device: int(2 * training.of(1) / memory.SAFE["cpu"]))
    with pytest.raises(Misuse, match="a single held-out sample") as refused:
        memory.split_held_out(module, recipe, "cpu", memory.estimate(module, recipe))
    assert "batch_size" not in str(refused.value)
