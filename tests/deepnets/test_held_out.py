"""Held-out samples: loss, accuracy and dead networks, in parts as in one piece; tasks that predict every position of a sequence."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import DeepExperiment, held_out, optimizers
from deepnets.batched.stack import choose_stack
from deepnets.centered.functional import trainable
from deepnets.losses import as_loss
from deepnets.training import Recipe, train
from validation import Misuse, Outcome, conform

VOCABULARY, LENGTH = 7, 5


class Words:
    """Sequences of tokens; at every position the next token is the target, most often the sum of this one and a constant."""

    in_shape, out_features, classes = (LENGTH,), VOCABULARY, VOCABULARY

    def batch(self, seed, step, size):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        first = torch.randint(VOCABULARY, (size, 1), generator=generator)
        noise = torch.randint(VOCABULARY, (size, LENGTH), generator=generator) * (torch.rand(size, LENGTH, generator=generator) < 0.3)
        x = (first + torch.cat([torch.zeros_like(first), 3 + noise], 1).cumsum(1)) % VOCABULARY
        return x[:, :-1], x[:, 1:]

    def held_out(self):
        return self.batch(99, 0, 130)

    def describe(self):
        return {"name": "words"}


def reader(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(VOCABULARY, 16), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, VOCABULARY, bias=False))


def mortal(seed=0):
    """A network that can die: without biases, and with a fixed embedding."""
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Embedding(VOCABULARY, 16), nn.Linear(16, 8, bias=False), nn.ReLU(), nn.Linear(8, 8, bias=False), nn.ReLU(),
                           nn.Linear(8, VOCABULARY, bias=False))
    module[0].weight.requires_grad_(False)
    return module


def recipe_of(module, loss="mse", steps=150, **others):
    return Recipe(Words(), as_loss(loss), optimizers.SGD(), np.ones(steps), dict.fromkeys(trainable(module), 1.0), 16, **others)


def after(module, gamma, eta, steps, loss):
    """Theta after some steps of plain SGD on two float64 copies, and its held-out output over gamma."""
    theta = {n: p.detach().clone().requires_grad_() for n, p in module.named_parameters()}

    def centred(x):
        return (torch.func.functional_call(module, theta, (x,)) - module(x)) / gamma

    def value(x, y):
        f, y = centred(x).reshape(-1, VOCABULARY), y.flatten()
        return F.cross_entropy(f, y) if loss == "cross_entropy" else F.mse_loss(f, F.one_hot(y, VOCABULARY).double()) / 2

    for step in range(steps):
        for (n, p), g in zip(theta.items(), torch.autograd.grad(value(*Words().batch(0, step, 16)), list(theta.values())), strict=True):
            theta[n] = (p - eta * g).detach().requires_grad_()
    x, y = Words().held_out()
    return value(x, y).item(), (centred(x).argmax(-1) == y).double().mean().item()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_every_position_of_a_sequence_is_predicted(loss):
    module = reader().double()
    gamma, eta = np.array([0.1, 1.0]), np.array([0.02, 1.0])
    found = train(module, choose_stack(module), recipe_of(module, loss, 60, curves=(1, 2, 60), horizons=(1, 60)), gamma, eta, 0)
    assert found.zero_output_loss == pytest.approx(np.log(VOCABULARY) if loss == "cross_entropy" else 1 / (2 * VOCABULARY))
    for i in range(2):
        for c, steps in enumerate((1, 2, 60)):
            held_out, accuracy = after(reader().double(), gamma[i], eta[i], steps, loss)
            assert found.held_out[c, i] == pytest.approx(held_out, rel=1e-9)
            if steps != 2:
                assert found.accuracy[(1, 60).index(steps), i] == pytest.approx(accuracy)
    assert found.accuracy[-1, 1] > found.accuracy[0, 1] > 2 / VOCABULARY
    assert not found.dead.any()


def test_parts_make_no_difference(monkeypatch):
    module = reader().double()
    results = []
    for rows in (10 * LENGTH, 10**6):
        monkeypatch.setattr(held_out, "ROWS", rows)
        results.append(train(module, choose_stack(module), recipe_of(module, "cross_entropy", 5, curves=(5,)), np.ones(1), np.ones(1), 0))
    assert results[0].held_out == pytest.approx(results[1].held_out, rel=1e-12)
    assert results[0].accuracy == pytest.approx(results[1].accuracy, rel=1e-12)


def test_the_dead_among_sequences():
    # far above eta_crit every unit of a lazy network is switched off
    experiment = DeepExperiment(mortal, Words(), steps=60, batch_size=16, width=1, device="cpu", curves=4)
    portrait = conform(experiment.measure(np.array([1e-3]), np.geomspace(1e-5, 1e-3, 9)))
    dead = (portrait["outcome"] == Outcome.DEAD).values[0, 0]
    assert dead.tolist() == [False] * 5 + [True] * 4
    assert (portrait["final_accuracy"].values[0, 0, dead] < 0.2).all()
    assert np.isfinite(portrait["held_out_loss"].values[0, -1, 0]).all()


@pytest.mark.parametrize(("targets", "words"), [
    (torch.full((16, LENGTH), VOCABULARY), "class indices from 0 to 6, but batch.* returned 7"),
    (torch.full((16, LENGTH), -1), "class indices from 0 to 6, but batch.* returned -1"),
    (torch.zeros(16), "numbers whose last dimension is out_features=7, but batch.* shape \\(1,\\)"),
])
def test_targets_of_another_task_are_refused(targets, words):
    class Wrong(Words):
        def batch(self, seed, step, size):
            x, _ = super().batch(seed, step, size)
            return x, targets[:size]

    with pytest.raises(Misuse, match=words):
        DeepExperiment(reader, Wrong(), steps=5, batch_size=16, device="cpu").measure(np.ones(1), np.ones(1))


def test_an_output_that_overflows_for_some_samples_is_not_constant():
    parts = held_out.HeldOut(torch.zeros(6, 2), torch.zeros(6, 10), None, 4, 4).parts
    assert held_out._is_constant(lambda x: torch.ones(len(x), 10), parts)
    assert not held_out._is_constant(lambda x: torch.where(torch.arange(len(x))[:, None] == 0, 1.0, torch.inf), parts)
