"""Networks of the user's own: always checked, seeded, never changed, fingerprinted, and refused in sentences that can be followed."""

import functools
import json
import random

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import MLP, DeepExperiment, FellBack, Unsupported, losses, memory, optimizers, tasks
from validation import Misuse, Plane, combine, descend, executors, judge, locate, open_portrait, save_portrait, sweep, trace
from validation.experiment import digest
from validation.storage.zarr_store import ZarrStore

DIGITS = tasks.digits()
GAMMA, ETA = np.array([1e-2, 1.0]), np.array([1e-4, 1e-2])
PLANE = Plane(GAMMA, ETA)


def network_of(width, start=1.0, name="network"):
    """A factory; those of one name are described alike but for the fingerprint."""
    def network(seed):
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Linear(64, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Linear(width, 10))
        layers[0].weight.data.mul_(start)
        return layers

    network.__qualname__ = name
    return network


def experiment(network, **more):
    return DeepExperiment(network, DIGITS, **{"steps": 6, "batch_size": 8, "device": "cpu"} | more)


def excess(found):
    return found["final_excess"].values


HUGE = experiment(MLP(64, 8, 2, 10), batch_size=2 * 10**12)


@pytest.mark.parametrize("act", [
    lambda folder: sweep(HUGE, PLANE), lambda folder: sweep(HUGE, PLANE, executor=executors.processes(1)),
    lambda folder: sweep(HUGE, PLANE, store=folder / "p.zarr", executor=executors.processes(1)),
    lambda folder: HUGE.measure(GAMMA, ETA), lambda folder: descend(HUGE, GAMMA, (1e-4, 1e-2), 2),
    lambda folder: trace(HUGE, GAMMA, "eta_max", eta=(1e-4, 1e-2)),
])
def test_what_does_not_fit_is_refused_before_any_way_of_training(act, tmp_path):
    with pytest.raises(Misuse, match="batch_size must fit into memory"):
        act(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_experiment_is_checked_once(monkeypatch):
    calls = []
    made = experiment(network_of(8), seeds=(0, 1, 2), steps=2)
    ours = memory.estimate
    monkeypatch.setattr("deepnets.experiment.estimate", lambda *a, **k: calls.append(1) or ours(*a, **k))
    sweep(made, Plane(np.geomspace(1e-2, 1, 9), ETA))           # three tiles for each of three seeds
    made.check()
    assert len(calls) == 1


def test_a_factory_that_does_not_set_the_seed_is_reproducible():
    def drawn(seed):
        layers = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))
        layers[0].bias.data += random.random() + np.random.random()      # noqa: NPY002 - as users write it
        return layers

    made, found = experiment(drawn, seeds=(0, 1)), []
    for state in (1, 2):
        torch.manual_seed(state)
        np.random.seed(state)      # noqa: NPY002
        random.seed(state)
        expected = torch.rand(1), np.random.random(), random.random()      # noqa: NPY002
        torch.manual_seed(state)
        np.random.seed(state)      # noqa: NPY002
        random.seed(state)
        found.append(excess(made.measure(GAMMA, ETA)))
        assert (torch.rand(1), np.random.random(), random.random()) == expected      # noqa: NPY002 - the states are as before
    np.testing.assert_array_equal(*found)
    assert (found[0][0] != found[0][1]).any()


def test_a_factory_that_sets_the_seed_is_unchanged():
    made = experiment(network_of(8))
    torch.manual_seed(4)
    expected = network_of(8)(3).state_dict()
    for name, tensor in made.theta_0(3).state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_cached_module_gives_theta_0_afresh_and_is_not_changed(precision):
    cached = functools.lru_cache(network_of(8))
    before = {n: t.clone() for n, t in cached(0).state_dict().items()}
    made = experiment(cached, precision=precision)
    found = [excess(made.measure(GAMMA, ETA)) for _ in range(2)]
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], excess(experiment(network_of(8), precision=precision).measure(GAMMA, ETA)))
    for name, tensor in cached(0).state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name


def test_a_factory_is_called_with_real_tensors_alone():
    seen = []

    @functools.lru_cache
    def cached(seed):
        seen.append(torch.empty(1))
        return network_of(8)(seed)

    experiment(cached).check()
    assert {type(tensor) for tensor in seen} == {torch.Tensor}
    assert {type(p) for p in cached(0).parameters()} == {nn.Parameter}


def test_a_store_is_never_continued_with_another_network(tmp_path):
    store = tmp_path / "p.zarr"
    first = sweep(experiment(network_of(8)), PLANE, store=store)
    with pytest.raises(Misuse, match=r"parameters of the network .*network'? differ in their shapes.*0\.weight.*\[12, 64\].*\[8, 64\]"):
        sweep(experiment(network_of(12)), PLANE, store=store)
    with pytest.raises(Misuse, match=r"parameters of the network .*network'? differ in their values"):
        sweep(experiment(network_of(8, start=2.0)), PLANE, store=store)
    again = sweep(experiment(network_of(8)), PLANE, store=store)
    np.testing.assert_array_equal(excess(again), excess(first))
    more = sweep(experiment(network_of(8), seeds=(5, 0)), PLANE, store=store)      # the fingerprint is that of seed 0, whatever the seeds
    np.testing.assert_array_equal(excess(more.sel(seed=0)), excess(first)[0])


def test_a_fingerprint_names_parameters_and_buffers():
    description = experiment(network_of(8)).describe()
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    found = description["fingerprint"]
    assert found["seed"] == 0
    assert found["parameters"]["0.weight"] == [8, 64]
    assert found["buffers"]["1.running_mean"] == [8]
    assert experiment(network_of(8), precision="float64").describe()["fingerprint"] == found
    assert "fingerprint" not in experiment(MLP(64, 8, 2, 10)).describe()


def without_fingerprint(attrs):
    """The attributes of a portrait of before, whose description has no fingerprint."""
    description = {k: v for k, v in json.loads(attrs["description"]).items() if k != "fingerprint"}
    return {"description": json.dumps(description, sort_keys=True), "digest": digest(description)}


def test_a_store_of_before_is_resumed_and_gets_the_fingerprint(tmp_path):
    store, made = tmp_path / "p.zarr", experiment(network_of(8))
    sweep(made, Plane(GAMMA[:1], ETA), store=store)
    old = ZarrStore(store)
    old.add(without_fingerprint(old.attrs))
    assert "fingerprint" not in json.loads(open_portrait(store).attrs["description"])
    judge(edges_of(open_portrait(store)), 2.0)
    resumed = sweep(made, Plane(GAMMA[:1], ETA), store=store)              # nothing is left to be measured
    assert json.loads(open_portrait(store).attrs["description"]) == made.describe()
    np.testing.assert_array_equal(excess(resumed), excess(made.measure(GAMMA[:1], ETA)))
    ZarrStore(store).add(without_fingerprint(old.attrs))
    larger = sweep(made, PLANE, store=store)
    assert larger.attrs["digest"] == open_portrait(store).attrs["digest"] == digest(made.describe())
    with pytest.raises(Misuse, match="parameters of the network"):
        sweep(experiment(network_of(12)), PLANE, store=store)


def edges_of(portrait):
    """A fit of an edge of any portrait."""
    from validation import edges_from_brackets, fit

    locate(portrait)
    gamma = np.geomspace(1e-5, 1e-2, 6)
    return fit(edges_from_brackets(gamma, 0.9 * gamma**2, 1.1 * gamma**2), "eta_max")


def test_a_portrait_of_before_is_traced_and_combined(tmp_path):
    made = experiment(network_of(8))
    portrait = sweep(made, PLANE)
    old = portrait.assign_attrs(without_fingerprint(portrait.attrs))
    assert combine(portrait, old)["outcome"].size == combine(portrait, portrait)["outcome"].size
    trace(made, GAMMA, "eta_max", eta=(1e-4, 1e-2), per_decade=1, rtol=0.9, known=old)
    with pytest.raises(Misuse, match="known"):
        trace(experiment(network_of(12)), GAMMA, "eta_max", eta=(1e-4, 1e-2), known=portrait)
    save_portrait(old, tmp_path / "old.zarr")
    np.testing.assert_array_equal(excess(sweep(made, PLANE, store=tmp_path / "old.zarr")), excess(portrait))


class Huber(losses.MSE):
    def value(self, f, y):
        return nn.functional.huber_loss(f, y.expand_as(f), reduction="none").mean((-1, -2))


class Slower(optimizers.SGD):
    def direction(self, g, memory, step):
        return g / 2


@pytest.mark.parametrize(("change", "named"), [
    ({"loss": Huber()}, "loss .*Huber.*subclass of MSE"), ({"optimizer": Slower()}, "optimizer .*Slower.*subclass of SGD"),
])
def test_subclasses_are_refused(change, named):
    with pytest.raises(Misuse, match=named):
        experiment(MLP(64, 8, 2, 10), **change)


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64, 10)

    def forward(self, x):
        h = self.a(x)
        return h * (1.0 if float(h.sum()) > 0 else 2.0)      # the line that is named


class Draws(Reads):
    def forward(self, x):
        return nn.functional.rrelu(self.a(x), training=True)


@pytest.mark.parametrize(("module", "operation"), [(Reads, r"float\(x\)"), (Draws, "rrelu")])
def test_a_refused_operation_is_named_with_its_line(module, operation):
    with pytest.raises(Unsupported, match=operation) as refused:
        experiment(lambda seed: module(), method="pairs").measure(GAMMA, ETA)
    line = module.forward.__code__.co_firstlineno + (2 if module is Reads else 1)
    assert f"test_own_networks.py, line {line}, in {module.__name__}.forward" in str(refused.value)
    assert "method 'auto' or 'copies'" in str(refused.value)
    with pytest.warns(FellBack, match=operation):
        trained = experiment(lambda seed: module()).measure(GAMMA, ETA)
    assert trained.attrs["method"] == "copies"


def test_a_parameter_without_dimensions_is_trained_like_one_of_a_single_entry():
    class Scaled(nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.layer, self.scale = nn.Linear(64, 10), nn.Parameter(torch.full(shape, 2.0))

        def forward(self, x):
            return self.scale * torch.tanh(self.layer(x))

    clipped = optimizers.SGD(clip=0.5)
    found = [excess(experiment(lambda seed, s=shape: Scaled(s), optimizer=clipped).measure(GAMMA, ETA)) for shape in ((), (1,))]
    assert np.isfinite(found[0]).all()
    np.testing.assert_array_equal(*found)


@pytest.mark.filterwarnings("ignore::deepnets.FellBack")
@pytest.mark.parametrize("bound", [0.05, 0.3])      # the second clamps nothing at theta_0
@pytest.mark.parametrize("method", ["auto", "copies"])
def test_a_network_that_writes_into_its_parameters_is_refused(method, bound):
    class Clamped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            self.layer.weight.data.clamp_(-bound, bound)
            return self.layer(x)

    with pytest.raises(Misuse, match=r"write into its parameters .* layer\.weight"):
        experiment(lambda seed: Clamped(), method=method, steps=40).measure(np.array([100.0]), np.array([3e3]))
