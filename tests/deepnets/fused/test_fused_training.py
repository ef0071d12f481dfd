"""The fused kernels and the stack of torch on the same runs: losses, evaluations, outcomes; a run's bits, whatever is trained with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepnets import CNN, MLP, DeepExperiment, optimizers, tasks
from deepnets.fused import engine, stream
from deepnets.fused.convolution_layout import ConvolutionLayout
from deepnets.fused.engine import choose_engine
from deepnets.training import train

PLAIN = MLP(64, 24, 3, 10)
GAMMA = np.array([1e-6, 1e-2, 1.0, 100.0])


def setting(network=PLAIN, biases=0.3, task=None, **options):
    """A module whose biases are not zero, and the recipe of its experiment."""
    made = DeepExperiment(network, task or tasks.digits(), **{"steps": 50, "batch_size": 20, "device": "cpu"} | options)
    module = made.theta_0(0)
    generator = torch.Generator().manual_seed(5)
    for layer in getattr(module, "layers", ()):
        if layer.bias is not None:
            layer.bias.data = torch.randn(layer.bias.shape, generator=generator) * biases
    return module, made.recipe(module)


def rates(recipe, depth, size):
    """Rates far from the edges."""
    power = recipe.optimizer.power
    return size * np.where(GAMMA < 1, GAMMA**power, GAMMA ** (power / depth))


def run(module, recipe, eta, which=slice(None), engine="auto", **options):
    """The results of some of the runs."""
    recipe = replace(recipe, engine=engine)
    return train(module, recipe.choose_stack(module), recipe, GAMMA[which], eta[which], 3, **options)


CASES = {
    "two layers": ({"network": MLP(64, 16, 2, 10)}, 10),
    "deep, biases, odd sizes": ({"network": MLP(64, 37, 5, 10, bias=True), "batch_size": 23}, 2),
    "linear": ({"network": MLP(64, 24, 3, 10, bias=True, nonlinearity="linear")}, 1),
    "wide": ({"network": MLP(64, 130, 3, 10, parametrization="standard"), "width": 1}, 0.05),
    "cross-entropy": ({"loss": "cross_entropy", "network": MLP(64, 24, 3, 10, bias=True)}, 0.5),
    "several outputs": ({"task": None}, 0.1),
    "schedule": ({"schedule": "warmup_cosine"}, 5),
    "momentum": ({"optimizer": "momentum"}, 0.5),
    "nesterov": ({"optimizer": "nesterov", "network": MLP(64, 24, 3, 10, bias=True)}, 0.5),
    "signs": ({"optimizer": "signsgd", "network": MLP(64, 24, 3, 10, bias=True)}, 0.003),
    "adam": ({"optimizer": "adam", "loss": "cross_entropy"}, 0.003),
    "adam, no epsilon": ({"optimizer": optimizers.Adam(0.3, 0.6, 0.0)}, 0.003),
    "adamw": ({"optimizer": optimizers.AdamW(weight_decay=0.3), "network": MLP(64, 24, 3, 10, bias=True)}, 0.003),
    "lion": ({"optimizer": "lion"}, 0.001),
    "decay to the start": ({"optimizer": optimizers.SGD(weight_decay=0.03, decay_to="start")}, 1),
    "decay to the origin": ({"optimizer": optimizers.SGD(0.5, weight_decay=0.003), "schedule": "warmup_cosine"}, 0.5),
    "tanh": ({"network": MLP(64, 24, 3, 10, bias=True, nonlinearity="tanh")}, 2),
    "tanh, adam": ({"network": MLP(64, 24, 4, 10, nonlinearity="tanh"), "optimizer": "adam", "loss": "cross_entropy"}, 0.003),
    "gelu": ({"network": MLP(64, 24, 3, 10, bias=True, nonlinearity="gelu")}, 5),
    "gelu, signs": ({"network": MLP(64, 37, 4, 10, nonlinearity="gelu"), "optimizer": "signsgd", "loss": "cross_entropy"}, 0.003),
    "CNN, tanh": ({"network": CNN((1, 8, 8), 12, 10, nonlinearity="tanh")}, 5),
    "CNN, gelu, odd sizes": ({"network": CNN((3, 5, 7), 12, 2, nonlinearity="gelu"), "task": tasks.teacher(105, out_features=2)}, 2),
    "CNN": ({"network": CNN((1, 8, 8), 20, 10)}, 10),
    "CNN, three convolutions": ({"network": CNN((1, 8, 8), 6, 10, convolutions=3, dense=2, parametrization="ntk"), "loss": "cross_entropy",
                                 "optimizer": "signsgd"}, 0.03),
    "CNN, one convolution, in groups": ({"network": CNN((1, 8, 8), 40, 10, convolutions=1, dense=1), "batch_size": 45}, 5),
    "CNN, linear, wide kernels": ({"network": CNN((1, 8, 8), 9, 10, kernel=5, nonlinearity="linear", parametrization="ntk")}, 1),
    "CNN, kernels of one position": ({"network": CNN((1, 8, 8), 9, 10, kernel=1)}, 5),
    "CNN, images of odd sizes": ({"network": CNN((3, 5, 7), 12, 2), "task": tasks.teacher(105, out_features=2)}, 1),
    "CNN, adam": ({"network": CNN((1, 8, 8), 12, 10), "optimizer": "adam", "loss": "cross_entropy"}, 0.02),
    "CNN, momentum, decay": ({"network": CNN((1, 8, 8), 12, 10), "optimizer": optimizers.SGD(0.5, weight_decay=0.003)}, 1),
}


@pytest.mark.parametrize("name", CASES)
def test_losses_and_evaluations_are_those_of_the_stack(name):
    options, size = CASES[name]
    if options.get("task", ...) is None:      # more outputs than one vector holds
        made = DeepExperiment(MLP(30, 24, 3, 20), tasks.teacher(30, out_features=20), steps=50, batch_size=20, device="cpu")
        module = made.theta_0(0)
        recipe = made.recipe(module)
    else:
        module, recipe = setting(**options)
    recipe = replace(recipe, horizons=(10, 33, 50), curves=(1, 7, 50))
    eta = rates(recipe, options.get("network", PLAIN).depth, size)
    assert choose_engine(module, recipe.choose_stack(module), recipe) == "fused"
    ours, theirs = run(module, recipe, eta), run(module, recipe, eta, engine="stack")
    assert np.isfinite(theirs.losses).all()
    assert theirs.losses[-1, 2] != pytest.approx(theirs.losses[0, 2], rel=1e-2)      # something was trained
    np.testing.assert_allclose(ours.losses, theirs.losses, rtol=1e-5)
    np.testing.assert_array_equal(ours.zero_output_loss, theirs.zero_output_loss)
    np.testing.assert_allclose(ours.held_out, theirs.held_out, rtol=1e-5)
    np.testing.assert_array_equal(ours.dead, theirs.dead)
    np.testing.assert_allclose(ours.accuracy, theirs.accuracy, atol=1.01 / 297)


def equal(a, b):
    """Whether results are the same to the bit."""
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=True) for n in ("losses", "dead", "accuracy", "held_out"))


@pytest.mark.parametrize(("network", "optimizer"), [(MLP(64, 24, 3, 10, bias=True), "sgd"), (MLP(64, 24, 3, 10, bias=True), "adam"),
                                                    (CNN((1, 8, 8), 40, 10), "sgd")], ids=["sgd", "adam", "CNN"])
def test_a_run_has_the_same_bits_alone_and_whatever_the_threads_and_chunks(network, optimizer):
    module, recipe = setting(network, optimizer=optimizer, steps=60)
    recipe = replace(recipe, horizons=(33, 60), curves=(7, 60))
    eta = rates(recipe, 3, {"sgd": 5, "adam": 0.01}[optimizer]) * [1, 1, 1e6, 1]      # the third diverges, at once or soon
    before, watch = torch.get_num_threads(), lambda *state: None
    try:
        torch.set_num_threads(1)
        whole = run(module, recipe, eta)
        for i in range(4):
            alone = run(module, recipe, eta, slice(i, i + 1))
            assert np.array_equal(alone.losses[:, 0], whole.losses[:, i], equal_nan=True)
            assert np.array_equal(alone.held_out[:, 0], whole.held_out[:, i], equal_nan=True)
        torch.set_num_threads(3)
        assert equal(run(module, recipe, eta), whole)
        assert equal(run(module, recipe, eta, watcher=watch), whole)
    finally:
        torch.set_num_threads(before)


def test_a_parameter_beyond_1e30_counts_as_divergence():
    module, recipe = setting(optimizer="signsgd", steps=30)
    eta = np.array([1e-3, 1e29, 1e31, 1e-3])
    ours, theirs = run(module, recipe, eta), run(module, recipe, eta, engine="stack")
    first = [np.argmax(~np.isfinite(r.losses), axis=0) for r in (ours, theirs)]
    np.testing.assert_array_equal(*first)
    assert first[0][0] == 0 < first[0][2]


def test_a_watcher_has_the_parameters_of_the_stack():
    module, recipe = setting(MLP(64, 24, 3, 10, bias=True), steps=9)
    eta, seen = rates(recipe, 3, 5), {"auto": [], "stack": []}
    for name, states in seen.items():
        run(module, recipe, eta, engine=name, watched=(0, 4, 9),
            watcher=lambda step, u, g, running, alive, states=states: states.append(
                (step, {n: d.clone() for n, d in u.items()}, alive)))
    ours, theirs = seen["auto"], [state for state in seen["stack"] if state[0] in (0, 4, 9)]
    assert [step for step, *_ in ours] == [0, 4, 9]
    for (_, u, alive), (_, v, others) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(alive, others)
        assert u.keys() == v.keys()
        for n in u:
            torch.testing.assert_close(u[n], v[n], rtol=1e-4, atol=1e-5 * float(v[n].abs().max()))


def test_a_cnn_s_numbers_do_not_depend_on_how_many_steps_are_in_memory_at_once(monkeypatch):
    module, recipe = setting(CNN((1, 8, 8), 12, 10), steps=30)
    recipe, eta = replace(recipe, horizons=(13, 30)), rates(recipe, 4, 5)
    whole = run(module, recipe, eta)
    monkeypatch.setattr(ConvolutionLayout, "count_steps", lambda self, batch: 4)
    assert equal(run(module, recipe, eta), whole)


def test_a_cnn_whose_units_are_off_is_dead_and_one_that_diverged_leaves_nothing_to_the_next():
    module, recipe = setting(CNN((1, 8, 8), 12, 10), steps=30)
    eta = rates(recipe, 4, 5)
    assert not run(module, recipe, eta).dead.any()
    whole, alone = run(module, recipe, eta * [1, 1e9, 1, 1]), run(module, recipe, eta, slice(2, 4))
    assert not np.isfinite(whole.losses[-1, 1])
    assert np.array_equal(whole.losses[:, 2:], alone.losses)
    module.dense[0].weight.data[:] = 0      # with u about 0 the output is, too
    assert run(module, recipe, np.full(4, 1e-30)).dead.all()


def test_a_network_whose_units_are_off_is_dead():
    module, recipe = setting(MLP(64, 8, 3, 10, bias=True), biases=0.0, steps=1)
    module.layers[1].bias.data[:] = -100
    eta = np.full(4, 1e-12)
    assert run(module, recipe, eta).dead.all()
    assert not run(*setting(steps=1), eta).dead.any()


def test_outcomes_of_a_plane_are_those_of_the_stack(monkeypatch):
    made = DeepExperiment(MLP(64, 16, 3, 10), tasks.digits(), steps=60, batch_size=16, device="cpu")
    gamma, eta = np.logspace(-3, 3, 8), np.logspace(-8, 6, 29)
    ours = made.measure(gamma, eta)
    assert ours.attrs["engine"] == "fused"
    monkeypatch.setattr(engine, "compiles", lambda: False)
    again = replace(made)
    theirs = again.measure(gamma, eta)
    assert theirs.attrs["engine"] == "stack"
    assert len(np.unique(ours.outcome)) >= 4
    assert float((ours.outcome == theirs.outcome).mean()) >= 0.995
    assert again.describe() == made.describe()


@pytest.mark.parametrize("change", [{"optimizer": "muon"}, {"optimizer": optimizers.SGD(clip=1.0)}, {"precision": "float64"},
                                    {"centred": False}, {"loss": torch.nn.HuberLoss()},
                                    {"network": CNN((1, 8, 8), 8, 10, bias=True)}])
def test_what_the_kernels_do_not_serve_is_left_to_the_stack(change):
    module, recipe = setting(**change)
    assert choose_engine(module, recipe.choose_stack(module), recipe) == "stack"


def test_the_environment_excludes_the_kernels(monkeypatch):
    module, recipe = setting()
    assert choose_engine(module, recipe.choose_stack(module), recipe) == "fused"
    monkeypatch.setenv("LAZYRICH_ENGINE", "stack")
    assert choose_engine(module, recipe.choose_stack(module), recipe) == "stack"


def test_a_machine_without_the_kernels_is_reported(monkeypatch):
    from deepnets.fused import trial

    monkeypatch.setattr(trial, "multiplies_rightly", lambda: False)
    monkeypatch.setattr(engine, "compiles", engine.compiles.__wrapped__)
    module, recipe = setting()
    with pytest.warns(RuntimeWarning, match="do not compile here"):
        assert choose_engine(module, recipe.choose_stack(module), recipe) == "stack"


class Counted:
    """A task of one's own that counts its batches."""

    def __init__(self):
        self.task, self.steps = tasks.digits(), []
        self.in_shape, self.out_features, self.classes = (64,), 10, 10

    def batch(self, seed, step, size):
        self.steps.append(step)
        return self.task.batch(seed, step, size)

    def held_out(self):
        return self.task.held_out()

    def describe(self):
        return {"name": "counted"}


def test_batches_are_drawn_once_for_a_stack_and_kept_for_the_package_s_tasks():
    module, recipe = setting(steps=60)
    eta, task = rates(recipe, 3, 5), Counted()
    own = replace(recipe, task=task)
    assert equal(run(module, own, eta), run(module, recipe, eta))
    assert task.steps == list(range(61))
    kept = stream.Stream(recipe, 3).take(25, 50)
    assert kept.x.base is stream.Stream(recipe, 3).take(25, 50).x.base
    assert stream.Stream(own, 3).kept is None
