"""A stack of any module equals its runs, each trained alone through `Centered`: losses, running statistics, dropout and evaluation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import Centered, optimizers
from deepnets.batched.stack import choose_stack
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.centered.functional import trainable
from deepnets.losses import as_loss
from deepnets.training import Recipe, train
from tests.deepnets.oracle import NETWORKS


class Pictures:
    """A task of inputs of any shape: noise around a mean that depends on the class, or regression targets."""

    def __init__(self, shape, outputs, classes=None):
        self.in_shape, self.out_features, self.classes = shape, outputs, classes

    def batch(self, seed, step, size):
        generator = torch.Generator().manual_seed(1000 * seed + step)
        x = torch.randn(size, *self.in_shape, generator=generator)
        if self.classes is None:
            return x, x.flatten(1)[:, :self.out_features].cumsum(1)
        y = torch.randint(self.classes, (size,), generator=generator)
        return x + torch.linspace(-1, 1, self.classes)[y].reshape(-1, *[1] * len(self.in_shape)), y

    def held_out(self):
        return self.batch(99, 0, 300)       # more than are evaluated at once

    def describe(self):
        return {"name": "pictures"}


def normed(momentum=0.1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, momentum=momentum), nn.GELU(), nn.Dropout(0.3), nn.Conv2d(4, 4, 3),
                         nn.BatchNorm2d(4, momentum=momentum, affine=False), nn.Tanh(), nn.Flatten(), nn.Linear(64, 3))


class Read(nn.Module):
    """A module whose outputs over places are averaged."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x).mean(1)


def made(name):
    """A module in float64 and its task."""
    if name == "normed":
        return normed().double(), Pictures((1, 8, 8), 3, 3)
    if name == "normed, cumulative":
        return normed(None).double(), Pictures((1, 8, 8), 3, 3)
    module, shape = NETWORKS[name]()
    module = Read(module) if name == "encoder" else module
    return module.double(), Pictures(shape, module(torch.zeros(2, *shape, dtype=torch.float64)).shape[-1])


def recipe_of(module, task, steps=12, **others):
    loss = as_loss("mse" if task.classes is None else "cross_entropy")
    return Recipe(task, loss, optimizers.HeavyBall(0.5), np.ones(steps), dict.fromkeys(trainable(module), 1.0), 8, **others)


def alone(module, task, gamma, eta, seed, steps):
    """Losses, and the held-out loss and accuracy, of one run of `Centered` by torch's own SGD."""
    centered = Centered(module, gamma, "pairs")
    optimizer = torch.optim.SGD(centered.parameters(), lr=eta / gamma**2, momentum=0.5)
    loss = F.cross_entropy if task.classes is not None else lambda f, y: F.mse_loss(f, y) / 2
    losses = []
    for step in range(steps + 1):
        if step == steps:
            before = [p.clone() for p in centered.buffers()]
            centered.eval()
            x, y = task.held_out()
            with torch.no_grad():
                f = centered(x.double())
            held_out, accuracy = loss(f, y if task.classes else y.double()).item(), (f.argmax(-1) == y).double().mean().item() \
                if task.classes else np.nan
            centered.train()
            assert all(torch.equal(a, b) for a, b in zip(before, centered.buffers(), strict=True))
        x, y = task.batch(seed, step, 8)
        torch.manual_seed(seed * 1_000_003 + step)
        value = loss(centered(x.double()), y if task.classes else y.double())
        losses.append(value.item())
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    return losses, held_out, accuracy


@pytest.mark.parametrize("name", ["normed", "normed, cumulative", "cnn", "vit", "encoder"])
def test_a_stack_is_its_runs_trained_through_centered(name):
    gamma, eta = np.array([1e-6, 1e-2, 1.0, 30.0]), np.array([2e-14, 2e-6, 2e-2, 2.0])
    module, task = made(name)
    stack = choose_stack(module)
    assert isinstance(stack, VectorisedStack)
    found = train(module, stack, recipe_of(module, task, curves=(12,)), gamma, eta, 4)
    buffers = dict(module.named_buffers())
    assert all(torch.equal(b, dict(made(name)[0].named_buffers())[n]) for n, b in buffers.items())      # theta_0 is left as it was
    for i in range(len(gamma)):
        losses, held_out, accuracy = alone(made(name)[0], task, gamma[i], eta[i], 4, 12)
        assert abs(losses[-1] / losses[0] - 1) > 1e-3
        assert found.losses[:, i] == pytest.approx(losses, rel=1e-9)
        assert found.held_out[0, i] == pytest.approx(held_out, rel=1e-9)
        assert found.accuracy[0, i] == pytest.approx(accuracy, nan_ok=True)
        assert not found.dead[0, i]


def test_running_statistics_stay_with_their_runs_when_a_diverged_run_is_dropped():
    module, task = made("normed")
    gamma, eta = np.array([1e-2, 1.0, 30.0]), np.array([2e-6, 2e-2, 2.0])
    recipe = recipe_of(module, task, 60, curves=(40, 60))
    quiet = train(module, choose_stack(module), recipe, gamma, eta, 0)
    doomed = train(module, choose_stack(module), recipe, np.insert(gamma, 1, 1e-3), np.insert(eta, 1, 1e30), 0)
    assert np.isnan(doomed.losses[-1, 1])
    assert np.isnan(doomed.held_out[:, 1]).all()
    stayed = [0, 2, 3]
    assert doomed.losses[:, stayed] == pytest.approx(quiet.losses, rel=1e-6)
    assert doomed.held_out[:, stayed] == pytest.approx(quiet.held_out, rel=1e-6)
    assert (doomed.accuracy[:, stayed] == quiet.accuracy).all()


def test_evaluation_is_not_training():
    # held-out inputs are shifted: batch statistics would hide the shift, running statistics do not
    module, task = made("normed")
    task.held_out = lambda: (task.batch(99, 0, 60)[0] + 5, task.batch(99, 0, 60)[1])
    found = train(module, choose_stack(module), recipe_of(module, task, 30, curves=(30,)), np.array([1.0]), np.array([0.05]), 0)
    assert found.losses[-5:].mean() < 0.8 < np.log(3) < found.held_out[0, 0]


def test_a_module_given_in_evaluation_mode_is_trained_in_it():
    module, task = made("normed")
    found = train(module.eval(), choose_stack(module), recipe_of(module, task), np.array([1e-2]), np.array([2e-6]), 4)
    losses, _, _ = alone_in_evaluation_mode(made("normed")[0].eval(), task)
    assert found.losses[:, 0] == pytest.approx(losses, rel=1e-9)
    assert not module.training


def alone_in_evaluation_mode(module, task):
    """As `alone`, at gamma = 0.01, with frozen statistics and no dropout: by plain float64 copies."""
    theta = {n: p.detach().clone().requires_grad_() for n, p in module.named_parameters()}
    momentum = {n: torch.zeros_like(p) for n, p in theta.items()}
    losses = []
    for step in range(13):
        x, y = task.batch(4, step, 8)
        f = (torch.func.functional_call(module, theta, (x.double(),)) - module(x.double())) / 1e-2
        value = F.cross_entropy(f, y)
        losses.append(value.item())
        for (n, p), g in zip(theta.items(), torch.autograd.grad(value, list(theta.values())), strict=True):
            momentum[n] = 0.5 * momentum[n] + g
            theta[n] = (p - 2e-6 * momentum[n]).detach().requires_grad_()
    return losses, None, None
