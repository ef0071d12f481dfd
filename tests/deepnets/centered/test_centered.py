"""`Centered` against two float64 copies: function, gradient, second derivatives, running statistics, dropout, transforms."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from deepnets import Centered
from deepnets.centered.propagation import propagate_pairs
from tests.deepnets.oracle import NETWORKS, centred, distance, inputs, mlp, place, random_u
from validation import Misuse

GAMMAS = (0.0, 1e-12, 1e-8, 1e-5, 1e-3, 1e-1, 1.0)


def gradients(output, u):
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output)
    return dict(zip(u, torch.autograd.grad((output * weights).sum(), list(u.values())), strict=True))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", NETWORKS)
def test_function_and_gradient(name, gamma):
    module, shape = NETWORKS[name]()
    u, x = random_u(module), inputs(shape)
    centered = Centered(module, gamma, "pairs")
    place(centered, u)
    exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
    exact, output = centred(module, exact_u, gamma, x), centered(x)
    assert distance(output.detach(), exact.detach()) < 2e-6
    kinked = name == "resnet" and gamma >= 1e-5
    assert distance(gradients(output, centered.coordinates()), gradients(exact, exact_u)) < (2e-3 if kinked else 1e-6)


def test_pairs_are_more_accurate_than_subtraction_in_float32():
    module, shape = mlp()
    u, x = random_u(module), inputs(shape)
    for gamma, method, least, most in ((1e-5, "two_copy", 1e-4, 1), (1e-5, "float64", 0, 1e-6), (1e-5, "pairs", 0, 1e-6)):
        centered = Centered(module, gamma, method)
        place(centered, u)
        assert least <= distance(centered(x).detach(), centred(module, u, gamma, x)) < most


@pytest.mark.parametrize("name", NETWORKS)
def test_batched_equals_one_by_one(name):
    module, shape = NETWORKS[name]()
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.track_running_stats, m.num_batches_tracked, m.running_mean, m.running_var = False, None, None, None
    gammas, x, us = torch.tensor([0.0, 1e-8, 1e-3, 1.0]), inputs(shape), [random_u(module, seed) for seed in range(4)]
    stacked = {n: torch.stack([u[n] for u in us]) for n in us[0]}

    def loss(u, gamma):
        return (propagate_pairs(module, u, gamma, (x,))[0] - 1).square().mean()

    batched = vmap(grad(loss))(stacked, gammas)
    for i, u in enumerate(us):
        u = {n: d.requires_grad_() for n, d in u.items()}
        alone = torch.autograd.grad(loss(u, float(gammas[i])), list(u.values()))
        assert distance({n: g[i] for n, g in batched.items()}, dict(zip(u, alone, strict=True))) < 1e-5


def test_parameters_are_u_and_theta_follows():
    module, shape = mlp()
    before = copy.deepcopy(module.state_dict())
    centered = Centered(module, 0.5)
    assert [n for n, _ in centered.named_parameters()] == [f"u.{n}" for n, _ in module.named_parameters()]
    assert all((p == 0).all() for p in centered.parameters())
    optimizer = torch.optim.SGD(centered.parameters(), lr=0.3)
    x = inputs(shape)
    centered(x).sum().backward()
    optimizer.step()
    for name, p in module.named_parameters():
        assert torch.equal(p, before[name])          # the wrapped module is not touched
        assert torch.allclose(centered.theta()[name], p + 0.5 * centered.coordinates()[name])
        assert not torch.equal(centered.theta()[name], p)
    moved = {n: centered.theta()[n].double() for n in before}
    direct = (functional_call(copy.deepcopy(module).double(), moved, x.double()) - module.double()(x.double())) / 0.5
    assert distance(centered(x).detach(), direct.detach()) < 1e-5


def test_saves_and_moves_as_a_module_does(tmp_path):
    module, shape = mlp()
    centered = Centered(module, 1e-4)
    place(centered, random_u(module))
    torch.save(centered.state_dict(), tmp_path / "u.pt")
    other = Centered(mlp(seed=7)[0], 1e-4)
    x = inputs(shape)
    assert not torch.allclose(other(x), centered(x))
    other.load_state_dict(torch.load(tmp_path / "u.pt", weights_only=True))
    assert torch.equal(other(x), centered(x))
    assert centered.double()(x.double()).dtype == torch.float64


def test_functional_call_under_transforms():
    module, shape = mlp(nn.Tanh)
    centered, x = Centered(module, 1e-6), inputs(shape)
    u = random_u(module)
    named = {f"u.{n}": d for n, d in u.items()}
    g = grad(lambda p: functional_call(centered, p, (x,)).square().sum())(named)
    exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
    exact = torch.autograd.grad(centred(module, exact_u, 1e-6, x).square().sum(), list(exact_u.values()))
    assert distance({n[2:]: t for n, t in g.items()}, dict(zip(u, exact, strict=True))) < 1e-6


def test_functional_call_with_running_statistics():
    module, shape = NETWORKS["cnn"]()
    centered, x = Centered(module, 1e-6), inputs(shape)
    us = [random_u(module, seed) for seed in range(2)]
    stacked = {f"u.{n}": torch.stack([u[n] for u in us]) for n in us[0]}
    g = vmap(grad(lambda p: functional_call(centered, p, (x,)).square().sum()))(stacked)
    for i, u in enumerate(us):
        exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
        exact = torch.autograd.grad(centred(module, exact_u, 1e-6, x).square().sum(), list(exact_u.values()))
        assert distance({n[2:]: t[i] for n, t in g.items()}, dict(zip(u, exact, strict=True))) < 2e-6


@pytest.mark.parametrize("gamma", [0.0, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("name", ["mlp", "encoder"])
def test_second_derivatives(name, gamma):
    # of the loss, along a direction: what the spectrum of the Hessian is made of
    module, shape = NETWORKS[name](nn.Tanh) if name == "mlp" else NETWORKS[name]()
    u, x, along = random_u(module), inputs(shape), random_u(module, 5)

    def product(f, u, along):
        u = {n: d.clone().requires_grad_() for n, d in u.items()}
        g = torch.autograd.grad((f(u) - 1).square().sum(), list(u.values()), create_graph=True)
        inner = sum((a * b).sum() for a, b in zip(g, along.values(), strict=True))
        return dict(zip(u, torch.autograd.grad(inner, list(u.values())), strict=True))

    found = product(lambda d: propagate_pairs(module, d, gamma, (x,))[0], u, along)
    # below 1e-5 the oracle's second derivative loses its digits, and that of the linearised network is within the tolerance
    near = 0.0 if gamma < 1e-5 else gamma
    exact = product(lambda d: centred(module, d, near, x), {n: d.double() for n, d in u.items()}, {n: d.double() for n, d in along.items()})
    assert distance(found, exact) < 1e-5


@pytest.mark.parametrize("method", ["pairs", "two_copy", "float64"])
def test_running_statistics_follow_both_networks(method):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    gamma, u = 0.3, random_u(module)
    centered = Centered(module, gamma, method)
    place(centered, u)
    copies = [copy.deepcopy(module).double() for _ in range(2)]
    with torch.no_grad():
        for n, p in copies[1].named_parameters():
            p += gamma * u[n].double()
    for seed in range(5):
        x = inputs((5,), seed=seed)
        centered(x)
        for f in copies:
            f(x.double())
    assert int(centered.module[1].num_batches_tracked) == 5
    centered.eval()
    x = inputs((5,), seed=9)
    before = copy.deepcopy(centered.state_dict())
    exact = (copies[1].eval()(x.double()) - copies[0].eval()(x.double())) / gamma
    assert distance(centered(x).detach(), exact.detach()) < 1e-5
    assert all(torch.equal(before[n], t) for n, t in centered.state_dict().items())     # evaluation changes no state


@pytest.mark.parametrize("method", ["pairs", "two_copy", "float64"])
def test_dropout_masks_are_shared(method):
    # with two masks the difference at a small gamma would be of order 1/gamma
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.Linear(64, 2))
    centered = Centered(module, 1e-2, method)
    place(centered, random_u(module))
    x = inputs((5,))
    outputs = torch.stack([centered(x).detach() for _ in range(20)])
    assert outputs.abs().max() < 50
    assert outputs.std(0).min() > 1e-2           # and there are masks
    centered.eval()
    assert torch.equal(centered(x), centered(x))


@pytest.mark.parametrize(("arguments", "named"), [((nn.Linear(2, 1), -1.0), "gamma"), ((nn.Linear(2, 1), math.nan), "gamma"),
                                                  ((nn.Linear(2, 1), 1.0, "exact"), "method"), ((nn.ReLU(), 1.0), "module"),
                                                  ((F.relu, 1.0), "module"), ((nn.Linear(2, 1), 0, "two_copy"), "two_copy")])
def test_misuse(arguments, named):
    with pytest.raises(Misuse, match=named):
        Centered(*arguments)
