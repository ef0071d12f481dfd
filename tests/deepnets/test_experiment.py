"""DeepExperiment: the contract of an experiment, sweeps, traces and fits of it, its error messages, and the exponents of networks."""

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import MLP, DeepExperiment, Unsupported, tasks
from validation import Misuse, Outcome, Plane, conform, fit, judge, locate, sweep, trace
from validation.experiment import as_experiment, digest

PATIENT = pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="half a minute; LAZYRICH_PATIENT=1 runs it")

SMALL = DeepExperiment(MLP(64, 32, 2, 10), tasks.digits(), steps=150, batch_size=32, seeds=(0, 3), device="cpu")
GAMMA, ETA = np.array([1e-3, 1.0]), np.geomspace(1e-6, 1e2, 9)


def own(seed):
    """A user-defined network."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(),
                         nn.Linear(36, 10))


class Line:
    """A user-defined task: two numbers, and their sum as the target."""

    in_shape, out_features, classes = (2,), 1, None

    def batch(self, seed, step, size):
        x = torch.randn(size, 2, generator=torch.Generator().manual_seed(1000 * seed + step))
        return x, x.sum(1, keepdim=True)

    def held_out(self):
        return self.batch(99, 0, 50)

    def describe(self):
        return {"name": "line"}


def test_portrait_keeps_the_contract():
    portrait = conform(SMALL.measure(GAMMA, ETA))
    assert dict(portrait.sizes) == {"seed": 2, "gamma": 2, "eta": 9}
    assert portrait["seed"].values.tolist() == [0, 3]
    assert portrait.attrs == {"rho": 0.5, "steps": 150, "catapult_peak": 1.05, "eta_max_of": "highest", "dtype": "float32", "device": "cpu",
                              "precision": "auto", "tf32": 0, "engine": "fused"}
    assert {Outcome.UNTRAINED, Outcome.CONVERGED, Outcome.DIVERGED} <= {Outcome(c) for c in np.unique(portrait["outcome"])}
    ran = portrait["outcome"].values != Outcome.DIVERGED
    assert np.isfinite(portrait["final_excess"].values[ran]).all()
    assert ((portrait["final_accuracy"].values[ran] >= 0) & (portrait["final_accuracy"].values[ran] <= 1)).all()
    assert (portrait["peak_excess"] >= portrait["tail_excess"]).all()
    assert (portrait["tail_excess"] >= portrait["final_excess"]).all()
    assert not (portrait["final_excess"].isel(seed=0) == portrait["final_excess"].isel(seed=1)).all()


def test_a_tile_is_a_part_of_the_whole():
    # the same runs, in other company: the stream, theta_0 and the order of points must all be the same
    wide = dataclasses.replace(SMALL, precision="float64")
    whole, part = wide.measure(GAMMA, ETA), wide.measure(GAMMA[1:], ETA[2:6])
    cut = whole.isel(gamma=[1], eta=slice(2, 6))
    assert cut["final_excess"].values == pytest.approx(part["final_excess"].values, rel=1e-9)
    assert (cut["outcome"].values == part["outcome"].values).all()
    seed = dataclasses.replace(wide, seeds=(3,)).measure(GAMMA, ETA)
    assert seed["final_excess"].values[0] == pytest.approx(whole["final_excess"].values[1], rel=1e-9)
    rows = wide.measure(GAMMA, np.stack([ETA, 2 * ETA]))
    assert rows["final_excess"].values[:, 0] == pytest.approx(whole["final_excess"].values[:, 0], rel=1e-9)


def test_a_horizon_is_a_training_of_so_many_steps():
    # not a multiple of the steps between checks, with runs that diverge between one horizon and the next
    wide = dataclasses.replace(SMALL, precision="float64", steps=(7, 60, 140), curves=5, seeds=(3,))
    portrait = conform(wide.measure(GAMMA, ETA))
    assert portrait["final_excess"].dims == ("seed", "horizon", "gamma", "eta")
    assert portrait["horizon"].values.tolist() == portrait.attrs["steps"] == wide.describe()["steps"] == [7, 60, 140]
    for T in wide.steps:
        single = dataclasses.replace(wide, steps=T).measure(GAMMA, ETA)
        at = portrait.sel(horizon=T)
        assert (at["outcome"].values == single["outcome"].values).all()
        # a parameter beyond 1e30 whose loss is finite is noticed at a check, and each horizon is one more
        assert (at["steps"].values <= single["steps"].values).all()
        assert (at["steps"].values == T).sum() == (single["steps"].values == T).sum()
        for name in ("final_excess", "tail_excess", "peak_excess", "final_accuracy"):
            assert at[name].values == pytest.approx(single[name].values, rel=1e-9, nan_ok=True)
        assert np.isfinite(at["final_accuracy"].values[at["outcome"].values != Outcome.DIVERGED]).all()
    edges = locate(portrait)
    assert edges["eta"].dims == ("edge", "seed", "horizon", "gamma", "bound")
    # the least rate is that of a time: eta_min ~ 1/T
    rich = dataclasses.replace(SMALL, steps=(75, 300), seeds=(3,)).measure(np.array([10.0]), np.geomspace(1, 1e4, 61))
    least = locate(rich)["eta"].sel(edge="eta_min", bound="upper").values.ravel()
    assert least[0] / least[1] == pytest.approx(4, rel=0.25)


def test_curves_are_the_losses_on_the_way():
    wide = dataclasses.replace(SMALL, precision="float64", curves=12, seeds=(3,))
    portrait = conform(wide.measure(GAMMA, ETA))
    steps = portrait["step"].values.tolist()
    assert steps == [1, 2, 4, 6, 10, 15, 24, 38, 60, 95, 150]         # twelve, of which two would be 2
    assert portrait["train_loss"].dims == ("seed", "step", "gamma", "eta")
    resting = np.full(151, 0.05)                                     # one-hot rows of ten
    assert (portrait["train_loss"].sel(step=150) / resting.mean()).values == pytest.approx(portrait["final_excess"].values, rel=1e-9)
    # the losses at a step are those at the end of a training of so many steps
    for T in (2, 24, 95):
        single = dataclasses.replace(wide, steps=T, curves=1).measure(GAMMA, ETA)
        assert single["step"].values.tolist() == [T]
        for name in ("train_loss", "held_out_loss"):
            assert portrait[name].sel(step=T).values == pytest.approx(single[name].sel(step=T).values, rel=1e-9)
    gone = (portrait["steps"] < portrait["step"]) | ((portrait["outcome"] == Outcome.DIVERGED) & (portrait["steps"] == portrait["step"]))
    gone = gone.transpose("seed", "step", "gamma", "eta").values
    assert gone.any()
    for name in ("train_loss", "held_out_loss"):
        assert np.isposinf(portrait[name].values[gone]).all()
        assert np.isfinite(portrait[name].values[~gone]).all()
    best = portrait["held_out_loss"].isel(step=-1).min()
    assert 0.005 < best < 0.7 * 0.05
    bare = dataclasses.replace(wide, curves=0).measure(GAMMA, ETA)
    np.testing.assert_array_equal(bare["final_excess"], portrait["final_excess"])
    tiled = sweep(wide, Plane(GAMMA, np.geomspace(1e-3, 1e-1, 20)))
    whole = wide.measure(GAMMA, np.geomspace(1e-3, 1e-1, 20))
    assert tiled["held_out_loss"].values == pytest.approx(whole["held_out_loss"].values, rel=1e-9)


def test_precisions_agree():
    narrow, wide = (dataclasses.replace(SMALL, precision=p).measure(GAMMA, ETA) for p in ("float32", "float64"))
    calm = (wide["peak_excess"] < 1.05).values
    assert calm.sum() > 10
    assert narrow["final_excess"].values[calm] == pytest.approx(wide["final_excess"].values[calm], rel=1e-4)


def test_the_verbs_of_validation_take_it():
    assert as_experiment(SMALL) is SMALL
    plane = Plane.log((1e-4, 1e-2), (1e-8, 1e-1), per_decade=(2, 8))
    portrait = sweep(SMALL, plane)
    with ThreadPoolExecutor(2) as pool:
        assert sweep(SMALL, plane, executor=pool)["outcome"].equals(portrait["outcome"])
    edges = locate(portrait)
    law = fit(edges, "eta_crit", window=(1e-4, 1e-2))
    assert law.exponent == pytest.approx(2, abs=0.2)
    assert judge(law, 1.0).outcome == "CONTRADICTED"
    traced = trace(dataclasses.replace(SMALL, seeds=(0,)), np.array([1e-4, 1e-3]), "eta_crit", rtol=0.05, eta=(1e-9, 1e-3), per_decade=4)
    at = traced["eta"].sel(edge="eta_crit").values.reshape(-1, 2)
    assert np.log10(at[1] / at[0]) == pytest.approx(2, abs=0.2)
    assert locate(portrait, criterion="accuracy", threshold=0.3)["edge"].values.tolist() == ["eta_max"]


def test_description_is_json_and_names_the_experiment():
    description = SMALL.describe()
    assert json.loads(json.dumps(description, allow_nan=False)) == description
    assert digest(dataclasses.replace(SMALL, seeds=(7,)).describe()) == digest(description)
    changes = ({"steps": 31}, {"loss": "cross_entropy"}, {"optimizer": "adam"}, {"schedule": "warmup_cosine"}, {"batch_size": 17},
               {"rho": 0.4}, {"width": 5}, {"precision": "float64"}, {"network": MLP(64, 8, 3, 10)}, {"curves": 3}, {"steps": (10, 20)})
    assert len({digest(dataclasses.replace(SMALL, **c).describe()) for c in changes} | {digest(description)}) == len(changes) + 1
    assert digest(dataclasses.replace(SMALL, compile=True).describe()) == digest(description)          # how, not what
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL


def test_global_random_state_is_left_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    dataclasses.replace(SMALL, seeds=(0,), steps=3).measure(GAMMA, ETA)
    assert torch.equal(before, torch.get_rng_state())


def test_a_user_defined_module_and_task():
    portrait = DeepExperiment(own, tasks.digits(), steps=100, batch_size=16, width=1, device="cpu").measure(
        np.array([1e-3, 1e-2]), np.geomspace(1e-7, 1, 15))
    edges = locate(portrait)["eta"].sel(edge="eta_max").values[0]
    assert np.log10(edges[1] / edges[0]) == pytest.approx([2, 2], abs=0.51)        # one cell of the grid
    line = DeepExperiment(lambda seed: nn.Linear(2, 1), Line(), steps=60, batch_size=8, rho=0.1, device="cpu").measure(
        np.array([1.0, 10.0]), np.array([1e-3, 0.3, 30.0, 1e4]))
    # a linear model is the same at every gamma: what trains is eta/gamma**2
    assert line["outcome"].values.tolist() == [[[1, 2, 6, 6], [0, 1, 2, 6]]]
    assert "final_accuracy" not in line


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        return self.layer(x) * self.layer(x).square().mean().item()


def test_a_module_that_cannot_be_propagated_is_refused_before_training():
    with pytest.raises(Unsupported, match="item"):
        DeepExperiment(lambda seed: Reads(), tasks.digits(), steps=10**6, device="cpu", method="pairs").measure(GAMMA, ETA)


@pytest.mark.parametrize(("change", "named"), [
    ({"network": nn.Linear(64, 10)}, "network"), ({"network": MLP(63, 8, 2, 10)}, "in_features=64"),
    ({"network": MLP(64, 8, 2, 3)}, "out_features=10"), ({"task": "digits"}, "task"), ({"loss": "mae"}, "loss"),
    ({"optimizer": "adagrad"}, "optimizer"), ({"schedule": "linear"}, "schedule"), ({"steps": 0}, "steps"), ({"steps": (20, 10)}, "steps"),
    ({"steps": (1.5, 2.5)}, "steps"), ({"steps": (10, 20), "schedule": "warmup_cosine"}, "steps"), ({"curves": -1}, "curves"),
    ({"compile": "yes"}, "compile"), ({"method": "two_copy"}, "method"), ({"centred": 0}, "centred"),
    ({"batch_size": 1.5}, "batch_size"), ({"seeds": ()}, "seeds"), ({"seeds": 3}, "seeds"), ({"seeds": (1, 1)}, "seeds"),
    ({"precision": "float16"}, "precision"), ({"device": "cuda:99"}, "device"), ({"width": 0}, "width"), ({"rho": 1}, "rho"),
])
def test_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        dataclasses.replace(SMALL, **change)


def test_cross_entropy_wants_classes():
    with pytest.raises(Misuse, match="classes"):
        DeepExperiment(MLP(3, 8, 2, 1), tasks.single_index(3, 2), loss="cross_entropy")


def test_on_a_bare_machine():
    # without the command line's and the store's dependencies
    code = """
        import sys
        for name in ("zarr", "cyclopts", "dask", "numba", "matplotlib", "rich"):
            sys.modules[name] = None
        import deepnets, validation
        assert "torch" not in sys.modules
        e = deepnets.DeepExperiment(deepnets.MLP(4, 8, 2, 1), deepnets.tasks.single_index(4, 1), steps=5, batch_size=4, device="cpu")
        p = validation.sweep(e, validation.Plane.log((1e-2, 1e0), (1e-3, 1e0), 1))
        print(p.sizes["eta"], validation.locate(p).sizes["gamma"])
        """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert result.stdout.split() == ["4", "3"], result.stderr


def exponent(experiment, edge, gammas, centre, decades=0.8, per_decade=16):
    """The exponent of an edge, from rates within `decades` of the line `centre`."""
    portrait = sweep(experiment, Plane.around(centre, gammas, decades, per_decade))
    return fit(locate(portrait), edge, window=(gammas[0], gammas[-1]))


LAZY, RICH = np.geomspace(1e-5, 1e-3, 5), np.geomspace(1e1, 1e3, 5)


@pytest.mark.parametrize("depth", [2, 3, pytest.param(4, marks=pytest.mark.slow)])
def test_exponents_on_digits(depth):
    experiment = DeepExperiment(MLP(64, 32, depth, 10), tasks.digits(), steps=300, batch_size=32, device="cpu")
    # the centre's slope is off by a tenth on purpose: were the fit to follow the plane and not the edge, it would show
    crit = exponent(experiment, "eta_crit", LAZY, lambda g: 60 * g**2 * (g / 1e-4) ** 0.1)
    assert crit.exponent == pytest.approx(2, abs=0.05)
    top = exponent(experiment, "eta_max", RICH, lambda g: 60 * g ** (2 / depth) * (g / 1e2) ** 0.1)
    assert top.exponent == pytest.approx(2 / depth, abs=0.1)
    bottom = exponent(experiment, "eta_min", RICH, lambda g: 1.5 * g * (g / 1e2) ** 0.1)
    # at two layers eta_min ~ gamma log(gamma): over these gammas its slope is about 1 + 1/log(1e2)
    assert bottom.exponent == pytest.approx(1 if depth > 2 else 1 + 1 / np.log(1e2), abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "optimizer"), [(2, "signsgd"), (2, "adam"), (3, "signsgd"), pytest.param(3, "adam", marks=PATIENT)])
def test_exponents_of_scale_free_optimizers(optimizer, depth):
    experiment = DeepExperiment(MLP(64, 32, depth, 10), tasks.digits(), optimizer=optimizer, steps=300, batch_size=32, device="cpu",
                                seeds=(0, 1, 2) if optimizer == "adam" else (0,))       # one seed of Adam wanders by 0.1
    lazy = exponent(experiment, "eta_max", LAZY, lambda g: 0.5 * g, 1.5)
    assert lazy.exponent == pytest.approx(1, abs=0.1)
    rich = exponent(experiment, "eta_max", RICH, lambda g: 0.5 * g ** (1 / depth), 1.0)
    assert rich.exponent == pytest.approx(1 / depth, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_the_lazy_triangle_of_cross_entropy(depth):
    experiment = DeepExperiment(MLP(64, 32, depth, 10), tasks.digits(), loss="cross_entropy", steps=300, batch_size=32, device="cpu")
    assert exponent(experiment, "eta_crit", LAZY, lambda g: 300 * g**2, 1.0).exponent == pytest.approx(2, abs=0.05)
    portrait = sweep(experiment, Plane.around(lambda g: 3 * g, LAZY, 1.5, 10))
    top = fit(locate(portrait, criterion="accuracy"), "eta_max", window=(LAZY[0], LAZY[-1]))
    assert top.exponent == pytest.approx(1, abs=0.1)


def test_small_networks_take_one_thread(monkeypatch):
    from deepnets import experiment

    seen, ours, before = [], experiment.train, torch.get_num_threads()
    monkeypatch.setattr(experiment, "train", lambda *a: seen.append(torch.get_num_threads()) or ours(*a))
    torch.set_num_threads(2)
    try:
        for network in (SMALL.network, MLP(64, 128, 3, 10)):
            dataclasses.replace(SMALL, seeds=(0,), steps=2, precision="float64", network=network).measure(GAMMA[:1], ETA[:1])
        assert seen == [1, 2]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
