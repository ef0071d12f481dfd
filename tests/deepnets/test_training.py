"""A stack of runs against one run at a time written out plainly, and the death of one among others."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import MLP, DeepExperiment, ResNet, ViT, optimizers, schedules, tasks
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.centered.functional import trainable
from deepnets.losses import as_loss
from deepnets.run_outcomes import excesses, judge_runs
from deepnets.training import Recipe, parameter_rates, train
from tests.deepnets.oracle import NETWORKS, distance
from validation import Outcome

TASK = tasks.digits()
SPEC = MLP(64, 12, 3, 10, bias=True)


def recipe_of(module, loss="mse", optimizer="sgd", steps=20, schedule="constant", spec=SPEC):
    optimizer = optimizers.as_optimizer(optimizer)
    return Recipe(TASK, as_loss(loss), optimizer, schedules.as_schedule(schedule).factors(steps),
                  parameter_rates(spec.scalings(), optimizer, list(trainable(module))), 16)


@pytest.mark.parametrize(("spec", "own"), [
    (MLP(64, 12, 3, 10, bias=True), 12), (MLP(64, 12, 3, 10, bias=True, parametrization="ntk"), 1), (ResNet((1, 8, 8), 8, 10, (1, 1)), 16),
    (ViT((1, 8, 8), 8, 10, 2), 8)])
def test_rates(spec, own):
    """The paper's rate is N eta for all tensors, N the width of the readout; NTK's is eta; Adam's do not scale with N."""
    scalings = spec.scalings()
    names = [s.name for s in scalings]
    sgd, adam = (optimizers.as_optimizer(o) for o in ("sgd", "adam"))
    alike = {n: float(own) for n in names} | ({"layers.2.bias": 1.0} if isinstance(spec, MLP) else {})
    assert parameter_rates(scalings, sgd, names) == alike
    assert parameter_rates(scalings, sgd, names, own) == alike
    assert parameter_rates(scalings, sgd, names, 3 * own) == pytest.approx({n: 3 * r for n, r in alike.items()})
    assert parameter_rates(scalings, adam, names, 3 * own) == parameter_rates(scalings, adam, names) == {s.name: s.adam for s in scalings}
    assert parameter_rates(None, sgd, names, 5) == dict.fromkeys(names, 5.0)
    assert parameter_rates(None, sgd, names) == parameter_rates(None, adam, names, 5) == dict.fromkeys(names, 1.0)
    made = DeepExperiment(spec, TASK, device="cpu")
    assert made.rate_width == made.describe()["width"] == own
    assert DeepExperiment(spec, TASK, device="cpu", width=own).describe() == made.describe()


def alone(module, loss, optimizer, gamma, eta, steps, factors):
    """One run in theta, float64, with torch's own optimizers: theta itself is trained on loss((f - f_0)/gamma)."""
    start = {n: p.detach().clone() for n, p in module.named_parameters()}
    power = optimizer in ("sgd", "momentum")
    groups = [{"params": [p], "base": eta * (r.sgd if power else r.adam)}
              for p, r in zip(module.parameters(), SPEC.scalings(), strict=True)]
    kind = {"sgd": lambda g: torch.optim.SGD(g, lr=1), "momentum": lambda g: torch.optim.SGD(g, lr=1, momentum=0.9),
            # epsilon is in units of the gradient in u, gamma times that in theta
            "adam": lambda g: torch.optim.Adam(g, lr=1, eps=1e-8 / gamma), "signsgd": lambda g: torch.optim.SGD(g, lr=1)}[optimizer](groups)
    losses = []
    for step in range(steps + 1):
        x, y = TASK.batch(0, step, 16)
        x = x.double()
        f0 = torch.func.functional_call(module, start, (x,))
        f = (module(x) - f0) / gamma
        value = (f - F.one_hot(y, 10)).square().mean() / 2 if loss == "mse" else F.cross_entropy(f, y)
        losses.append(float(value.detach()))
        kind.zero_grad()
        value.backward()
        for group in kind.param_groups:
            group["lr"] = group["base"] * (factors[step] if step < steps else 0)
            if optimizer == "signsgd":
                group["params"][0].grad.sign_()
        kind.step()
    return losses


@pytest.mark.parametrize("schedule", ["constant", "warmup_cosine"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "signsgd", "adam"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_stack_is_its_runs(loss, optimizer, schedule):
    gamma, eta = np.array([0.1, 0.1, 1.0, 10.0]), np.array([0.05, 0.005, 0.5, 3.0])
    if optimizer in ("signsgd", "adam"):
        eta = 1e-2 * np.sqrt(gamma)
    module = SPEC.build(0).double()
    recipe = recipe_of(module, loss, optimizer, schedule=schedule)
    found = train(module, choose_stack(module), recipe, gamma, eta, 0)
    for i in range(len(gamma)):
        expected = alone(SPEC.build(0).double(), loss, optimizer, gamma[i], eta[i], 20, recipe.factors)
        assert abs(expected[-1] / expected[0] - 1) > 1e-3           # it did move
        assert found.losses[:, i] == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("nonlinearity", ["relu", "linear"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_written_out_mlp_is_the_propagated_one(nonlinearity, loss):
    module = MLP(64, 12, 4, 10, bias=True, nonlinearity=nonlinearity).build(0)
    gamma = torch.tensor([1e-8, 1e-4, 1e-1, 1.0, 1e2, 1e4])
    generator = torch.Generator().manual_seed(0)
    u = {n: torch.randn(6, *p.shape, generator=generator) / gamma.clamp(min=1).reshape(-1, *[1] * p.ndim)
         for n, p in module.named_parameters()}
    x, y = TASK.batch(0, 0, 16)
    y = F.one_hot(y, 10).float()
    with torch.no_grad():
        (a, first), (b, second) = (s(module).gradients(u, gamma, x, y, as_loss(loss)) for s in (MLPStack, VectorisedStack))
        assert torch.allclose(a, b, rtol=1e-5)
        for i in range(6):
            assert distance({n: g[i] for n, g in first.items()}, {n: g[i] for n, g in second.items()}) < 1e-5
        assert torch.allclose(MLPStack(module).outputs(u, gamma, x), VectorisedStack(module).outputs(u, gamma, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("kind", "optimizer"), [(MLPStack, "sgd"), (MLPStack, "momentum"), (VectorisedStack, "sgd")])
def test_death_of_one_does_not_touch_another(kind, optimizer):
    module = SPEC.build(0)
    recipe = recipe_of(module, optimizer=optimizer, steps=120)
    gamma, eta = np.array([1e-3, 1e-3, 1.0, 10.0]), np.array([1e-7, 2e-7, 0.05, 2.0]) / (1 if optimizer == "sgd" else 10)
    quiet = train(module, kind(module), recipe, gamma, eta, 0)
    doomed = np.array([1e-12, 1.0, 1e3])
    mixed = train(module, kind(module), recipe, np.concatenate([doomed, gamma]), np.concatenate([[1e12, 1e9, 1e12], eta]), 0)
    assert not np.isfinite(mixed.losses[-1, :3]).any()
    assert np.isfinite(quiet.losses).all()
    # the stack is packed anew when the doomed leave: other shapes round otherwise
    assert mixed.losses[:, 3:] == pytest.approx(quiet.losses, rel=1e-3)
    assert not mixed.dead.any()
    assert mixed.accuracy[0, 3:] == pytest.approx(quiet.accuracy[0], abs=0.02)
    assert np.isnan(mixed.accuracy[0, :3]).all()


def test_all_diverged():
    module = SPEC.build(0)
    found = train(module, choose_stack(module), recipe_of(module, steps=200), np.array([1e-6, 1e-5]), np.array([1e12, 1e12]), 0)
    verdict = judge_runs(found.losses, found.zero_output_loss, found.dead[0], 0.5)
    assert (verdict["outcome"] == Outcome.DIVERGED).all()
    assert np.isinf(verdict["final_excess"]).all()
    assert (verdict["steps"] < 25).all()


def test_dead_networks_have_a_constant_output():
    # found on digits: far above eta_crit every unit of a narrow lazy network is switched off, and the loss stays finite
    module = MLP(64, 16, 3, 10).build(0)
    recipe = recipe_of(module, steps=100, spec=MLP(64, 16, 3, 10))
    eta = 1e-4 * np.geomspace(10, 1000, 24)
    found = train(module, choose_stack(module), recipe, np.full(24, 1e-3), eta, 0)
    verdict = judge_runs(found.losses, found.zero_output_loss, found.dead[0], 0.5)
    dead = verdict["outcome"] == Outcome.DEAD
    assert dead.sum() >= 3
    assert np.isfinite(found.losses[:, dead]).all()
    assert (found.accuracy[0, dead] < 0.3).all()


@pytest.mark.parametrize("name", ["cnn", "vit", "encoder"])
def test_any_module_is_stacked(name):
    module, shape = NETWORKS[name]()
    stack = choose_stack(module)
    assert isinstance(stack, VectorisedStack)
    u, gamma = zero_differences(module, 3), torch.tensor([1e-4, 1e-1, 10.0])
    x = torch.randn(4, *shape)
    y = torch.ones_like(module(x))
    with torch.no_grad():
        loss, gradient = stack.gradients(u, gamma, x, y, as_loss("mse"))
        assert loss.tolist() == pytest.approx([0.5] * 3)          # u = 0: the centred output is 0
        moved = {n: d - 1e-3 * gradient[n] for n, d in u.items()}
        assert (stack.gradients(moved, gamma, x, y, as_loss("mse"))[0] < loss).all()


def test_dropout_is_a_function_of_seed_and_step():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 10))
    recipe = Recipe(TASK, as_loss("mse"), optimizers.SGD(), np.ones(5), dict.fromkeys(trainable(module), 1.0), 8)
    runs = [train(module, choose_stack(module), recipe, np.array([0.1, 1.0]), np.array([0.01, 0.1]), seed) for seed in (3, 3, 4)]
    assert (runs[0].losses == runs[1].losses).all()
    assert (runs[0].losses[1:] != runs[2].losses[1:]).any()


def fabricated(*levels, steps=100):
    """Losses of one run that goes through these levels, evenly, over a resting loss of 2."""
    return 2 * np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(levels)), levels)[:, None], np.full(steps + 1, 2.0)


@pytest.mark.parametrize(("levels", "dead", "outcome"), [
    ((1, 1), False, Outcome.UNTRAINED), ((1, 0.97, 0.97), False, Outcome.UNTRAINED), ((1, 0.8, 0.7), False, Outcome.PARTIAL),
    ((1, 0.3, 0.1), False, Outcome.CONVERGED), ((1, 1.04, 0.1), False, Outcome.CONVERGED), ((1, 3, 0.1, 0.1), False, Outcome.CATAPULTED),
    ((1, 0.2, 0.2, 9), False, Outcome.OSCILLATING), ((1, 0.1, 0.1), True, Outcome.DEAD), ((1, 0.2, np.inf), False, Outcome.DIVERGED),
    ((1, 0.2, np.nan), True, Outcome.DIVERGED),
])
def test_outcomes(levels, dead, outcome):
    losses, resting = fabricated(*levels)
    verdict = judge_runs(losses, resting, np.array([dead]), 0.5)
    assert verdict["outcome"][0] == outcome
    assert verdict["steps"][0] == (100 if outcome != Outcome.DIVERGED else np.flatnonzero(~np.isfinite(losses[:, 0]))[0])


def test_excess_is_over_the_zero_outputs_loss_on_the_same_batches():
    # a stream whose batches differ: the excess of a network that does nothing is 1, and not the noise
    resting = np.random.default_rng(0).gamma(0.5, size=301)
    assert excesses(resting[:, None], resting) == pytest.approx(1)
    assert excesses(resting[:4, None] / 2, resting[:4]) == pytest.approx(0.5)
