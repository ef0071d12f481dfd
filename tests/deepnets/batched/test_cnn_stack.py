"""`CNNStack` equals propagated pairs: outputs, gradients and training, for every shape of network and every gamma."""

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import CNN, optimizers, tasks
from deepnets.batched.cnn_stack import CNNStack
from deepnets.batched.stack import choose_stack
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.centered.functional import trainable
from deepnets.losses import as_loss
from deepnets.precision import arithmetic
from deepnets.training import Recipe, parameter_rates, train
from tests.deepnets.oracle import centred, distance

GAMMA = [1e-8, 1e-4, 1e-1, 1.0, 1e2, 1e4]


def moved(module, seed=0):
    """Return a random u for every gamma; theta moves by at most the size of theta_0."""
    generator = torch.Generator().manual_seed(seed)
    gamma = torch.tensor(GAMMA, dtype=torch.float64)
    u = {n: torch.randn(len(gamma), *p.shape, generator=generator, dtype=torch.float64) / gamma.clamp(min=1).reshape(-1, *[1] * p.ndim)
         for n, p in module.named_parameters()}
    return {n: d.to(next(module.parameters()).dtype) for n, d in u.items()}, gamma.to(next(module.parameters()).dtype)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("spec", [
    CNN((1, 8, 8), 4, 3), CNN((2, 9, 7), 4, 3, bias=True), CNN((3, 10, 8), 5, 3, convolutions=3, dense=1, bias=True),
    CNN((1, 6, 5), 4, 3, convolutions=1, dense=3, kernel=5, nonlinearity="linear", bias=True), CNN((1, 5, 5), 3, 3, kernel=1)],
    ids=["plain", "odd", "deep", "linear", "1x1"])
def test_equals_propagated_pairs(spec, loss):
    module = spec.build(0).double()
    with torch.no_grad():
        for n, p in module.named_parameters():
            if "bias" in n:
                p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(5)))
    stack = choose_stack(module)
    assert isinstance(stack, CNNStack)
    u, gamma = moved(module)
    x = torch.randn(6, *spec.in_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = torch.randint(3, (6,), generator=torch.Generator().manual_seed(2))
    target = as_loss(loss).target(y, 3, torch.float64)
    with torch.no_grad():
        value, gradient = stack.gradients(u, gamma, x.flatten(1), target, as_loss(loss))       # images given as rows
        expected, slopes = VectorisedStack(module).gradients(u, gamma, x, target, as_loss(loss))
        output = stack.outputs(u, gamma, x)
    assert gradient.keys() == slopes.keys()
    assert value.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    for i, g in enumerate(GAMMA):
        assert distance({n: d[i] for n, d in gradient.items()}, {n: d[i] for n, d in slopes.items()}) < 1e-7
        if g >= 1e-4:       # and an oracle that shares nothing with either
            assert distance(output[i], centred(module, {n: d[i] for n, d in u.items()}, g, x).detach()) < 1e-9


def test_in_float32_and_rounded():
    module = CNN((1, 8, 8), 16, 3).build(0)
    u, gamma = moved(module)
    x = torch.randn(8, 64, generator=torch.Generator().manual_seed(1))
    y = as_loss("mse").target(torch.arange(8) % 3, 3, torch.float32)
    with torch.no_grad():
        exact = CNNStack(module.double()).outputs({n: d.double() for n, d in u.items()}, gamma.double(), x.double())
        found = CNNStack(module.float()).outputs(u, gamma, x)
        with arithmetic("bf16", "cpu"):
            (a, first), (b, second) = (s(module).gradients(u, gamma, x, y, as_loss("mse")) for s in (CNNStack, VectorisedStack))
            rounded = CNNStack(module).outputs(u, gamma, x)
    for i in range(len(GAMMA)):
        assert distance(found[i], exact[i]) < 1e-6
        assert 1e-4 < distance(rounded[i], exact[i]) < 2e-2
        assert distance({n: d[i] for n, d in first.items()}, {n: d[i] for n, d in second.items()}) < 2e-2
    assert a.tolist() == pytest.approx(b.tolist(), rel=1e-2)


def test_trains_and_diverges_like_propagated_pairs():
    spec = CNN((1, 8, 8), 6, 10)
    module, made = spec.build(0).double(), optimizers.HeavyBall()
    rates = parameter_rates(spec.scalings(), made, list(trainable(module)), 6)
    recipe = Recipe(tasks.digits(), as_loss("mse"), made, np.ones(40), rates, 16)
    gamma, eta = np.array([1e-6, 1e-3, 1.0, 1e-3]), np.array([1e-12, 1e-6, 0.3, 1e20])
    written, propagated = (train(module, s(module), recipe, gamma, eta, 0) for s in (CNNStack, VectorisedStack))
    assert written.losses[:, :3] == pytest.approx(propagated.losses[:, :3], rel=1e-7)
    assert not np.isfinite([written.losses[-1, 3], propagated.losses[-1, 3]]).any()
    assert abs(written.losses[-1, 2] / written.losses[0, 2] - 1) > 0.05
    assert written.accuracy == pytest.approx(propagated.accuracy, nan_ok=True)


def test_other_nonlinearities_use_vmap():
    x = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for module in (CNN((1, 8, 8), 4, 3, nonlinearity="gelu").build(0).double(), nn.Sequential(CNN((1, 8, 8), 4, 3).build(0).double())):
        stack, (u, gamma) = choose_stack(module), moved(module)
        assert isinstance(stack, VectorisedStack)
        with torch.no_grad():
            output = stack.outputs(u, gamma, x)
        for i, g in enumerate(GAMMA):
            if g >= 1e-4:
                assert distance(output[i], centred(module, {n: d[i] for n, d in u.items()}, g, x).detach()) < 1e-9
