"""Optimizers against torch's own trajectories and plain loops in theta; one's own optimizer; what is refused."""

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepnets
from deepnets import MLP, DeepExperiment, tasks
from deepnets.optimizers import SGD, AdamW, HeavyBall, Lion, Muon, Optimizer, as_optimizer, describe
from deepnets.training import train
from validation import Misuse

DIGITS = tasks.digits()
ETA = 0.03


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 12, bias=False), nn.ReLU(), nn.Linear(12, 10))


def experiment(optimizer, steps=50, **more):
    return DeepExperiment(network, DIGITS, "cross_entropy", optimizer, steps=steps, batch_size=16, precision="float64", device="cpu",
                          **more)


def losses_of(optimizer, gamma, eta, **more):
    """The losses of a stack of runs, (T + 1, P)."""
    made = experiment(optimizer, **more)
    made.check()
    module = made.theta_0(0)
    recipe = made.recipe(module)
    return train(module, recipe.choose_stack(module), recipe, np.asarray(gamma, float), np.asarray(eta, float), 0).losses


def plain(step_of, gamma=1.0, steps=50, centred=True):
    """The losses of one run in theta by torch, on the network over gamma; `step_of(parameters)` gives what makes a step."""
    module, start = network(0).double(), network(0).double()
    step, losses = step_of(list(module.parameters())), []
    for t in range(steps + 1):
        x, y = DIGITS.batch(0, t, 16)
        loss = F.cross_entropy((module(x.double()) - start(x.double()).detach() * centred) / gamma, y)
        losses.append(loss.item())
        module.zero_grad()
        loss.backward()
        step()
    return np.array(losses)


def by_torch(kind, clip=None, **settings):
    def step_of(parameters):
        made = kind(parameters, **settings)

        def step():
            if clip is not None:
                nn.utils.clip_grad_norm_(parameters, clip)
            made.step()
        return step
    return step_of


def muon_and_adamw(parameters):
    matrices, others = [p for p in parameters if p.ndim == 2], [p for p in parameters if p.ndim != 2]
    both = torch.optim.Muon(matrices, ETA, weight_decay=0.1), torch.optim.AdamW(others, ETA, weight_decay=0.1)
    return lambda: [one.step() for one in both]


TORCHS = pytest.mark.parametrize(("ours", "theirs"), [
    (AdamW(), by_torch(torch.optim.AdamW, lr=ETA)),
    (AdamW(0.8, 0.95, 1e-4, weight_decay=1.0, clip=0.3),
     by_torch(torch.optim.AdamW, 0.3, lr=ETA, betas=(0.8, 0.95), eps=1e-4, weight_decay=1.0)),
    ("nesterov", by_torch(torch.optim.SGD, lr=ETA, momentum=0.9, nesterov=True)),
    (SGD(0.7, clip=0.2), by_torch(torch.optim.SGD, 0.2, lr=10 * ETA, momentum=0.7)),
    (SGD(weight_decay=0.05), by_torch(torch.optim.SGD, lr=10 * ETA, weight_decay=0.05)),      # the same as decoupled, without momentum
    ("muon", muon_and_adamw),
], ids=["adamw", "adamw, clipped", "nesterov", "momentum, clipped", "sgd, decayed", "muon"])


@TORCHS
def test_fifty_steps_are_torchs_at_gamma_1(ours, theirs):
    expected = plain(theirs)
    assert np.ptp(expected) > 0.1 * expected[0]            # it did move
    eta = 10 * ETA if isinstance(ours, SGD) else ETA
    np.testing.assert_allclose(losses_of(ours, [1.0, 1.0], [eta, eta])[:, 0], expected, rtol=1e-6)


@TORCHS
def test_fifty_steps_of_an_uncentred_network_are_torchs(ours, theirs):
    eta = 10 * ETA if isinstance(ours, SGD) else ETA
    np.testing.assert_allclose(losses_of(ours, [1.0], [eta], centred=False)[:, 0], plain(theirs, centred=False), rtol=1e-6)


def by_hand(direction, gamma, eta, decay, decay_to, clip):
    """Steps in theta, where `direction(g, m)` returns the step and the memory; the decay is decoupled."""
    def step_of(parameters):
        start, memory = [p.detach().clone() for p in parameters], [torch.zeros_like(p) for p in parameters]

        def step():
            with torch.no_grad():
                norm = sum(float(p.grad.square().sum()) for p in parameters) ** 0.5
                for i, p in enumerate(parameters):
                    g = p.grad * min(1, clip / (norm + 1e-6)) if clip else p.grad
                    moved, memory[i] = direction(g, memory[i])
                    p -= eta * decay * (p - (start[i] if decay_to == "start" else 0)) + eta * moved
        return step
    return step_of


def lion(g, m):
    return (0.9 * m + 0.1 * g).sign(), 0.99 * m + 0.01 * g


@pytest.mark.parametrize(("ours", "direction", "eta"), [
    (Lion(weight_decay=2.0), lion, 1e-3), (Lion(weight_decay=2.0, decay_to="start"), lion, 1e-3),
    (SGD(weight_decay=0.3, decay_to="start", clip=0.5), lambda g, m: (g, m), 0.3),
    (SGD(0.9, weight_decay=0.3), lambda g, m: ((0.9 * m + g),) * 2, 0.2),
])
@pytest.mark.parametrize("gamma", [0.3, 3.0])
def test_decay_and_clipping_are_those_of_theta_at_any_gamma(ours, direction, eta, gamma):
    eta = eta * (gamma if ours.power == 1 else gamma**2 if gamma < 1 else gamma)
    expected = plain(by_hand(direction, gamma, eta, ours.weight_decay, ours.decay_to, ours.clip), gamma, 20)
    assert np.ptp(expected) > 0.01 * expected[0]
    np.testing.assert_allclose(losses_of(ours, [gamma], [eta], steps=20)[:, 0], expected, rtol=1e-8)


@pytest.mark.parametrize("optimizer", [SGD(0.9, True, 0.1, clip=0.1), AdamW(clip=1.0), Lion(weight_decay=0.1), Muon(clip=1.0)])
def test_a_run_is_the_same_by_itself_and_among_runs_that_diverge(optimizer):
    gamma, eta = [0.1, 1.0, 1.0, 10.0], [1e-3, 0.02, 1e9, 0.2]
    together = losses_of(optimizer, gamma, eta, steps=40)
    assert not np.isfinite(together[-1, 2])
    for i in (0, 1, 3):
        np.testing.assert_allclose(together[:, i], losses_of(optimizer, gamma[i:i + 1], eta[i:i + 1], steps=40)[:, 0], rtol=1e-9)


def test_the_schedules_factor_applies_to_the_decay():
    factors = np.linspace(0, 1, 10)
    expected = plain(lambda parameters: scheduled(parameters, factors), steps=10)
    np.testing.assert_allclose(losses_of(AdamW(weight_decay=5.0), [1.0], [ETA], steps=10, schedule=factors)[:, 0], expected, rtol=1e-9)


def scheduled(parameters, factors):
    made, taken = torch.optim.AdamW(parameters, 1.0, weight_decay=5.0), iter([*factors, 0.0])

    def step():
        made.param_groups[0]["lr"] = ETA * next(taken)
        made.step()
    return step


def test_muon_without_rounding_has_singular_values_near_1():
    g = torch.randn(3, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    g *= torch.tensor([1.0, 1e-3, 1e3])[:, None, None]
    moved = Muon(precision="module").direction(g, [torch.zeros_like(g)] * 2, 0)
    values = torch.linalg.svdvals(moved) / (6 / 4) ** 0.5
    assert ((values > 0.65) & (values < 1.25)).all()
    vectors = torch.linalg.svd(g, full_matrices=False)
    torch.testing.assert_close(vectors.U @ (vectors.U.mT @ moved @ vectors.Vh.mT) @ vectors.Vh, moved)


def test_descriptions_of_before_stay():
    written = {"sgd": {"name": "sgd"}, "signsgd": {"name": "signsgd"}, "momentum": {"name": "momentum", "beta": 0.9},
               "adam": {"name": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}}
    for name, expected in written.items():
        assert json.dumps(describe(as_optimizer(name))) == json.dumps(expected)
    assert describe(SGD(momentum=0.9)) == describe(HeavyBall(0.9))      # one and the same
    assert describe(SGD(0.9, True, clip=1.0)) == {"name": "nesterov", "beta": 0.9, "clip": 1.0}
    assert describe(SGD(weight_decay=0.1)) == {"name": "sgd", "weight_decay": 0.1, "decay_to": "origin"}


@dataclass(frozen=True)
class Normalised(Optimizer):
    """Each tensor's gradient divided by its norm, as a user would write it."""

    memory: float = 0.5
    name: ClassVar[str] = "normalised"
    power: ClassVar[int] = 1
    memories: ClassVar[int] = 1

    def direction(self, g, memory, step):
        m = memory[0].mul_(self.memory).add_(g)
        return m / m.flatten(1).norm(dim=1).reshape(-1, *[1] * (g.ndim - 1))


class Plain:
    """SGD without the base class."""

    name, power = "plain", 2

    def direction(self, g, memory, step):
        return g


def test_ones_own_optimizer_is_trained_and_described():
    np.testing.assert_array_equal(losses_of(Plain(), [1.0], [ETA], steps=5), losses_of("sgd", [1.0], [ETA], steps=5))
    found = describe(as_optimizer(Normalised()))
    assert {"name": "normalised", "memory": 0.5}.items() <= found.items()
    assert found["class"].endswith("Normalised")
    others = [describe(as_optimizer(o)) for o in (Normalised(0.6), Plain())]
    assert len({found["digest"], *(o["digest"] for o in others)}) == 3

    def normalised(g, m):
        m = 0.5 * m + g
        return m / m.norm(), m

    expected = plain(by_hand(normalised, 1.0, ETA, 0, "start", None), steps=20)
    np.testing.assert_allclose(losses_of(Normalised(), [1.0], [ETA], steps=20)[:, 0], expected, rtol=1e-8)


class Keeps:
    """Momentum that it keeps itself, and a count of its calls."""

    name, power = "keeps", 2

    def __init__(self):
        self.means, self.calls = {}, 0

    def direction(self, g, memory, step):
        self.calls += 1
        self.means[g.shape] = 0.9 * self.means.get(g.shape, 0) + g
        return self.means[g.shape] if self.calls < 50 else -g


def test_numbers_that_an_optimizer_keeps_do_not_pass_from_one_training_to_the_next():
    made = experiment(Keeps(), steps=15)
    first, second = (made.measure(np.array([1.0]), np.array([ETA])).final_excess.item() for _ in range(2))
    assert first == second


class Wrong(Plain):
    def __init__(self, direction=None, **more):
        if direction is not None:
            self.direction = direction
        vars(self).update(more)


@pytest.mark.parametrize(("make", "named"), [
    (lambda: "shampoo", "optimizer must be one of 'sgd'.*'muon'.*not 'shampoo'"), (lambda: SGD, "optimizer must be one of"),
    (lambda: SGD(momentum=1.0), "momentum must be a number between 0 and 1"), (lambda: SGD(nesterov=True), "nesterov must be .* above 0"),
    (lambda: AdamW(weight_decay=-0.1), "weight_decay must be"),
    (lambda: Lion(decay_to="theta_0"), "decay_to must be one of 'origin', 'start'"),
    (lambda: SGD(clip=0.0), "clip must be"), (lambda: Muon(precision="float16"), "precision must be one of"),
    (lambda: torch.optim.SGD([torch.zeros(1)], 0.1), "derived from deepnets.optimizers.Optimizer"),
    (lambda: Wrong(name="adam"), "name of its own, not 'adam'"),
    (lambda: Wrong(power=3), "power of the optimizer Wrong must be one of 1, 2"),
    (lambda: Wrong(memories=-1), "memories of the optimizer Wrong"),
    (lambda: Wrong(lambda g, m, t: g.sum()), r"of g's shape .* not a tensor of shape \(\)"),
    (lambda: Wrong(lambda g, m, t: g / g.norm()), "treat each run .* by itself"),
    (lambda: Wrong(lambda g, m, t: m[0]), "raised IndexError"),
    (lambda: Wrong(power=1), "power of the optimizer Wrong must be 2: its direction grows in proportion to the gradient"),
    (lambda: Wrong(lambda g, m, t: g.sign()), "power of the optimizer Wrong must be 1: its direction does not change"),
])
def test_bad_input_is_refused_in_a_sentence(make, named):
    with pytest.raises(Misuse, match=named) as refused:
        experiment(make())
    assert "\n" not in str(refused.value)


def test_specifications_train_and_the_names_are_public():
    made = DeepExperiment(MLP(64, 8, 3, 10), DIGITS, optimizer=deepnets.optimizers.Muon(), steps=30, batch_size=16, device="cpu")
    excess = made.measure(np.array([1e-3, 1.0]), np.array([[1e-4, 1e-3], [1e-2, 1e-1]])).final_excess
    assert np.isfinite(excess).all()
    assert excess.min() < 0.8
