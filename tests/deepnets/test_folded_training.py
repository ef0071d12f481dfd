"""Training with folded products against the stack of torch: losses, evaluations, divergence, watchers; chunks replayed from a tape."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepnets import MLP, DeepExperiment, folded_training, optimizers, tasks
from deepnets.batched import replay
from deepnets.batched.graph import NotRecorded
from deepnets.fused.engine import choose_engine
from deepnets.training import train
from tests.deepnets.batched.tape import record

PLAIN = MLP(64, 12, 3, 10)
GAMMA = np.array([1e-6, 1e-2, 1.0, 100.0])
NAMES = ("losses", "zero_output_loss", "dead", "accuracy", "held_out")



def setting(network=PLAIN, **options):
    """A module, and the recipe of its experiment with folded products."""
    made = DeepExperiment(network, tasks.digits(), **{"steps": 60, "batch_size": 10, "device": "cpu"} | options)
    module = made.theta_0(0)
    return module, replace(made.recipe(module), engine="folded")


def rates(size=3.0):
    """Rates far from the edges."""
    return size * np.where(GAMMA < 1, GAMMA**2, GAMMA ** (2 / 3))


def run(module, recipe, eta, engine="folded", **options):
    """The results of the runs."""
    recipe = replace(recipe, engine=engine)
    return train(module, recipe.choose_stack(module), recipe, GAMMA, eta, 3, **options)


@pytest.mark.parametrize(("options", "size"), [
    ({"precision": "float64"}, 3), ({"precision": "float64", "network": MLP(64, 12, 4, 10, bias=True), "schedule": "warmup_cosine"}, 2),
    ({"precision": "float64", "loss": "cross_entropy", "centred": False, "network": MLP(64, 12, 2, 10)}, 1e-3), ({}, 3)],
    ids=["float64", "biases and schedule", "cross-entropy of f/gamma", "float32"])
def test_results_are_those_of_the_stack(options, size):
    module, recipe = setting(**options)
    recipe = replace(recipe, horizons=(10, 33, 60), curves=(1, 7, 60))
    assert choose_engine(module, recipe.choose_stack(module), recipe) == "folded"
    ours, theirs = (run(module, recipe, rates(size), engine) for engine in ("folded", "stack"))
    assert np.isfinite(theirs.losses).all()
    assert abs(theirs.losses[-1, 2] / theirs.losses[0, 2] - 1) > 1e-2      # something was trained
    for name in NAMES:
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-11 if "precision" in options else 1e-5)
    assert ours.replayed == theirs.replayed == 0


def test_a_diverged_run_is_dropped_and_the_others_stay_as_they_are():
    module, recipe = setting(precision="float64")
    recipe = replace(recipe, horizons=(33, 60), curves=(20, 60))
    eta = rates() * [1, 1, 1e4, 1e8]
    ours, theirs = (run(module, recipe, eta, engine) for engine in ("folded", "stack"))
    assert np.isnan(theirs.losses[-1]).tolist() == [False, False, True, True]
    for name in NAMES:      # a run that goes astray has other digits
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert np.array_equal(np.isfinite(found[..., 2:]), np.isfinite(expected[..., 2:])), name
        np.testing.assert_allclose(found[..., :2], expected[..., :2], rtol=1e-9)
    none = run(module, recipe, np.full(4, 1e30))
    assert np.isnan(none.losses[-1]).all()
    assert np.isfinite(none.zero_output_loss).all()


def test_a_watcher_has_the_parameters_of_the_stack():
    module, recipe = setting(precision="float64", steps=9)
    seen = {"folded": [], "stack": []}
    for name, states in seen.items():
        run(module, recipe, rates(), name, watched=(0, 4, 9), watcher=lambda step, u, g, running, alive, states=states: states.append(
            (step, {n: d.clone() for n, d in u.items()}, alive)))
    assert [step for step, *_ in seen["folded"]] == [0, 4, 9]
    for (step, u, alive), (_, v, others) in zip(seen["folded"], [s for s in seen["stack"] if s[0] in (0, 4, 9)], strict=True):
        assert np.array_equal(alive, others)
        assert all(torch.allclose(u[n], v[n], rtol=1e-10) for n in u), step


@pytest.mark.parametrize("change", [{"optimizer": "momentum"}, {"optimizer": optimizers.SGD(clip=1.0)}, {"optimizer": "adam"},
                                    {"optimizer": optimizers.SGD(weight_decay=0.1)}, {"network": MLP(64, 8, 2, 10, nonlinearity="tanh")}])
def test_other_steps_and_networks_are_not_folded(change):
    module, recipe = setting(**change)
    assert choose_engine(module, recipe.choose_stack(module), recipe) != "folded"


def test_the_environment_chooses_folded_products_on_a_cpu(monkeypatch):
    made = DeepExperiment(MLP(64, 8, 2, 10), tasks.digits(), steps=2, batch_size=8, device="cpu", precision="float64")
    assert made.measure(np.ones(1), np.ones(1)).attrs["engine"] == "stack"
    monkeypatch.setenv("LAZYRICH_ENGINE", "folded")
    again = replace(made)
    assert again.measure(np.ones(1), np.ones(1)).attrs["engine"] == "folded"
    assert again.describe() == made.describe()


@pytest.mark.parametrize(("nonlinearity", "last", "replayed"), [("relu", 1, 100), ("linear", 100, 75)])
def test_replayed_chunks_give_the_same_bits(nonlinearity, last, replayed, monkeypatch):
    """A tape stands for a CUDA graph: it repeats the recorded operations on the memory that they were recorded with, and sees nothing else
    of what Python does. Batches and rates change between the chunks. The last run of the linear network diverges once the rates are up, and
    the chunk after that is not replayed; of the chunks, one ends early."""
    module, recipe = setting(MLP(64, 12, 3, 10, nonlinearity=nonlinearity), steps=160, schedule=np.where(np.arange(160) < 60, 0.02, 1.0))
    recipe = replace(recipe, horizons=(110, 160))
    eta = rates(1.0) * [1, 1, 1, last]
    plain = run(module, recipe, eta)
    first = np.argmax(~np.isfinite(plain.losses[:, 3]))
    assert 60 < first < 100 if last > 1 else first == 0
    monkeypatch.setattr(folded_training, "pays", lambda like, numbers: True)
    monkeypatch.setattr(replay, "capture", record)
    found = run(module, recipe, eta)
    for name in NAMES:
        assert np.array_equal(getattr(found, name), getattr(plain, name), equal_nan=True), name
    assert found.replayed == replayed


def test_what_cannot_be_recorded_runs_operation_by_operation(monkeypatch):
    def fail(function, device):
        raise RuntimeError("operation not permitted when stream is capturing")

    module, recipe = setting(steps=75)
    plain = run(module, recipe, rates())
    monkeypatch.setattr(folded_training, "pays", lambda like, numbers: True)
    monkeypatch.setattr(replay, "capture", fail)
    with pytest.warns(NotRecorded, match="not permitted"):
        found = run(module, recipe, rates())
    assert np.array_equal(found.losses, plain.losses)
    assert found.replayed == 0


def test_stacks_are_replayed_on_a_gpu_alone():
    assert not replay.pays(torch.zeros(1), 1)
