"""Uncentred networks f/gamma: ordinary training at gamma = 1, and no theory."""

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import CNN, MLP, DeepExperiment, tasks
from deepnets.batched.copies_stack import CopiesStack
from deepnets.losses import as_loss
from deepnets.phenomena import watch
from deepnets.theory import explain_silence, theory_of
from tests.deepnets.batched.own_networks import OwnAverage, Plain, Views, build, train_plainly
from tests.deepnets.batched.test_copies_stack import losses_of
from validation import Misuse

DIGITS = tasks.digits()
GAMMA = np.array([1e-3, 1.0, 10.0])


def experiment(network, **more):
    usual = {"steps": 12, "batch_size": 16, "device": "cpu", "centred": False, "precision": "float64"}
    return DeepExperiment(network, DIGITS, **usual | more)


def final_excess(module, gamma, eta, steps=12):
    """That of `train_plainly`: the mean of the last ten losses over that of the zero output's."""
    losses, zero = train_plainly(module, gamma, eta, steps=steps + 1, centred=False), as_loss("mse")
    targets = [zero.target(DIGITS.batch(0, step, 16)[1], 10, torch.float64) for step in range(steps + 1)]
    return losses[-10:].mean() / np.mean([float(zero.value(torch.zeros_like(y), y)) for y in targets[-10:]])


@pytest.mark.parametrize(("make", "method"), [(Plain, "pairs"), (Plain, "copies"), (Views, "auto"), (OwnAverage, "copies")])
def test_it_is_plain_training_of_the_network_over_gamma(make, method):
    eta = 0.05 * GAMMA**2
    portrait = experiment(lambda seed: make(), method=method).measure(GAMMA, eta[:, None])
    expected = [final_excess(build(make), g, e) for g, e in zip(GAMMA, eta, strict=True)]
    np.testing.assert_allclose(portrait.final_excess.values.ravel(), expected, rtol=1e-9)


@pytest.mark.parametrize("spec", [MLP(64, 8, 3, 10), CNN((1, 8, 8), 4, 10, 1, 1)])
def test_written_out_stacks_are_plain_training_too(spec):
    assert len({s.sgd for s in spec.scalings()}) == 1      # width=1: the rate of every parameter is eta
    portrait = experiment(spec, width=1).measure(np.array([1.0]), np.array([[0.1]]))
    np.testing.assert_allclose(portrait.final_excess.item(), final_excess(spec.build(0), 1.0, 0.1), rtol=1e-9)


def test_gamma_of_one_is_training_by_torch():
    module = build(Plain).double()
    found = losses_of(module, CopiesStack(module, centred=False), np.ones(1), np.full(1, 0.1))[:, 0]
    optimizer, losses = torch.optim.SGD(module.parameters(), 0.1), []
    for step in range(12):
        x, y = DIGITS.batch(0, step, 16)
        loss = nn.functional.mse_loss(module(x.double()), nn.functional.one_hot(y, 10).double()) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(found, losses, rtol=1e-14)      # u and theta are rounded by turns: 1e-16 a step


def test_a_description_has_it_only_where_it_was_chosen():
    made = experiment(MLP(64, 8, 2, 10))
    assert made.describe()["centred"] is False
    assert "centred" not in experiment(MLP(64, 8, 2, 10), centred=True).describe()
    assert theory_of(made.describe())[1] == {}
    assert "not centred" in str(explain_silence("mse", "sgd", centred=False))
    with pytest.raises(Misuse, match="centred must be True for observables"):
        watch(made, 1.0, 0.1, at=(0,), observe={"norm": lambda s: np.zeros(len(s.which))})
