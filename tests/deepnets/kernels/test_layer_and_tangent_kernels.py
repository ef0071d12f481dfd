"""Tangent kernels against explicit Jacobians, layer kernels against plain forward passes, and both against infinite width."""

import copy

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad
from torch import nn

import deepnets
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import RunningStatistics, zero_differences
from deepnets.kernels import jacobian as tangents
from deepnets.losses import as_loss
from tests.deepnets.kernels.networks import SPECIFICATIONS, jacobian, moved_network
from validation.arguments import Misuse

GAMMAS = (1e-6, 1.0, 1e4)


def explicit(centered, u, x, rates=None):
    """K, (n, K, n, K)."""
    return sum((rates or {}).get(n, 1.0) * np.einsum("aip,bjp->aibj", j, j) for n, j in jacobian(centered, u, x).items())


def close(found, exact, allowed=1e-12):
    found, exact = np.asarray(found), np.asarray(exact)
    assert found.shape == exact.shape
    assert np.abs(found - exact).max() <= allowed * np.abs(exact).max()


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_blocks_against_the_explicit_jacobian(name, gamma):
    centered, u, x = moved_network(name, gamma)
    exact = explicit(centered, u, x)
    for method in ("jacobian", "products"):
        close(deepnets.ntk(centered, x, u, method=method), exact)
        close(deepnets.ntk(centered, x, u, blocks="trace", method=method), np.einsum("aibi->ab", exact))
        close(deepnets.ntk(centered, x, u, blocks=2, method=method), exact[:, 2, :, 2])


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_rates_products_and_eigenvalues(name):
    centered, u, x = moved_network(name, 1.0)
    own = {s.name: s.sgd for s in SPECIFICATIONS[name].scalings()}
    rates = {n: 1.5 + i for i, n in enumerate(own)}
    close(deepnets.ntk(centered, x, u, rates=SPECIFICATIONS[name]), explicit(centered, u, x, own))
    exact = explicit(centered, u, x, rates)
    v = np.random.default_rng(0).standard_normal((5, 3))
    close(deepnets.ntk_product(centered, x, v, u, rates), np.einsum("aibj,bj->ai", exact, v))
    top = deepnets.ntk_spectrum(centered, x, 4, u, rates)
    close(top.eigenvalues, np.linalg.eigvalsh(exact.reshape(15, 15))[::-1][:4])
    assert top.residuals.max() < 1e-12


def test_lanczos_finds_the_eigenvalues_of_the_dense_kernel(monkeypatch):
    centered, u, x = moved_network("mlp", 1e4, n=20)
    whole = deepnets.ntk_spectrum(centered, x, 5, u)
    monkeypatch.setattr("deepnets.kernels.tangent_kernel.DENSE", 10)
    found = deepnets.ntk_spectrum(centered, x, 5, u)
    assert (whole.attrs["method"], found.attrs["method"]) == ("eigh", "lanczos")
    close(found.eigenvalues, whole.eigenvalues, 1e-10)
    assert found.residuals.max() <= 1e-8
    overlap = np.einsum("rao,rao->r", whole.eigenvectors, found.eigenvectors)
    np.testing.assert_allclose(np.abs(overlap), 1, atol=1e-8)


def test_samples_coupled_by_their_batch(monkeypatch):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Tanh(), nn.Linear(6, 2)).double()
    x = torch.randn(7, 4, dtype=torch.float64)
    centered = deepnets.Centered(module, 1.0)
    u = {n: 0.3 * torch.randn_like(p) for n, p in centered.coordinates().items()}
    exact = explicit(centered, u, x)
    monkeypatch.setattr(tangents, "AT_ONCE", 3)             # pieces must not divide a batch
    for method in ("jacobian", "products"):
        close(deepnets.ntk(centered, x, u, method=method), exact)
    close(deepnets.ntk(centered, x, u, "trace"), np.einsum("aibi->ab", exact))


def test_pieces_do_not_change_the_kernel(monkeypatch):
    centered, u, x = moved_network("cnn", 1.0)
    whole = deepnets.ntk(centered, x, u)
    monkeypatch.setattr(tangents, "AT_ONCE", 2)
    for method in ("jacobian", "products"):
        close(deepnets.ntk(centered, x, u, method=method), whole)


def test_running_statistics_are_those_after_training():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1, bias=False)).double()
    centered = deepnets.Centered(module, 0.5)
    x = 3 + 2 * torch.randn(8, 4, dtype=torch.float64)
    with torch.no_grad():
        for p in centered.parameters():
            p.copy_(torch.randn_like(p))
        centered(x)
    plain = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1, bias=False)).double().eval()
    plain.load_state_dict(centered.module.state_dict())
    with torch.no_grad():
        for n, p in plain.named_parameters():
            p.copy_(centered.theta()[n])
        for n in ("running_mean", "running_var"):
            getattr(plain[1], n).add_(0.5 * centered.drift.get_buffer(f"1.{n}"))
    rows = [torch.cat([g.reshape(-1) for g in torch.autograd.grad(plain(x)[a, 0], list(plain.parameters()))]) for a in range(8)]
    j = torch.stack(rows)
    close(deepnets.ntk(centered, x)[:, 0, :, 0], j @ j.T)


def test_running_statistics_of_a_stack():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 1, bias=False)).double()
    x = 3 + 2 * torch.randn(8, 4, dtype=torch.float64)
    centered, gamma = deepnets.Centered(module, 0.5), torch.tensor([0.5], dtype=torch.float64)
    u, running = zero_differences(module, 1), RunningStatistics.of_module(module, 1)
    with torch.no_grad():
        for n, d in centered.coordinates().items():
            u[n][0] = d.copy_(torch.randn_like(d))
        centered(x)
    choose_stack(module).gradients(u, gamma, x, torch.zeros(8, 1, dtype=torch.float64), as_loss("mse"), running)
    runs = deepnets.Runs(module, u, gamma, running)
    close(deepnets.ntk(runs, x)[0], deepnets.ntk(centered, x))
    close(deepnets.layer_kernels(runs, x).change[0], deepnets.layer_kernels(centered, x).change)
    close(runs.outputs(x)[0], centered.eval()(x).detach())


def test_a_network_in_single_precision_is_measured_in_double():
    centered, u, x = moved_network("vit", 1e-6)
    single = deepnets.Centered(copy.deepcopy(centered.module).float().requires_grad_(True), 1e-6)
    double = deepnets.Centered(copy.deepcopy(single.module).double().requires_grad_(True), 1e-6)
    u, x = {n: d.float() for n, d in u.items()}, x.float()
    exact = deepnets.ntk(double, x.double(), {n: d.double() for n, d in u.items()})
    close(deepnets.ntk(single, x, u), exact)
    narrow = deepnets.Runs(single.module.requires_grad_(True), {n: d[None] for n, d in u.items()}, 1e-6, dtype=torch.float32)
    assert 1e-12 < np.abs(deepnets.ntk(narrow, x)[0] - exact).max() / np.abs(exact).max() < 1e-5


def test_tokens_and_stock_attention():
    network = deepnets.Transformer(vocabulary=5, context=3, width=4, blocks=1)
    module = network.build(0).double()
    x = torch.tensor([[0, 1, 2], [4, 4, 1]])
    centered = deepnets.Centered(module, 1e-6)
    u = {n: torch.ones_like(p) for n, p in centered.coordinates().items()}
    k = deepnets.ntk(centered, x, u)
    assert k.shape == (2, 15, 2, 15)
    close(deepnets.ntk(centered, x, u, method="products"), k)
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.1, batch_first=True).double()
    centered, x = deepnets.Centered(layer, 1.0), torch.randn(2, 3, 4, dtype=torch.float64)
    k = deepnets.ntk(centered, x)
    close(deepnets.ntk(centered, x, method="products"), k)
    layer.eval()
    j = torch.stack([torch.cat([g.reshape(-1) for g in torch.autograd.grad(layer(x).reshape(-1)[m], list(layer.parameters()))])
                     for m in range(24)])
    close(k.reshape(24, 24), (j @ j.T).detach())


def test_a_stack_of_runs_is_its_runs():
    made = [moved_network("mlp", g) for g in GAMMAS]
    x = made[0][2]
    u = {n: torch.stack([m[1][n] for m in made]) for n in made[0][1]}
    runs = deepnets.Runs(made[0][0].module.requires_grad_(True), u, torch.tensor(GAMMAS, dtype=torch.float64))
    for p, (centered, one, _) in enumerate(made):
        close(deepnets.ntk(runs, x)[p], deepnets.ntk(centered, x, one))
        close(deepnets.ntk_spectrum(runs, x, 3).eigenvalues[p], deepnets.ntk_spectrum(centered, x, 3, one).eigenvalues)
        for name in ("kernel", "change"):
            close(deepnets.layer_kernels(runs, x)[name][p], deepnets.layer_kernels(centered, x, one)[name])


def hidden(module, parameters, x):
    """The inputs of each layer of an MLP, by a plain forward pass."""
    read = [x.flatten(1)]
    for i, layer in enumerate(module.layers[:-1]):
        read.append(torch.relu(read[-1] @ parameters[f"layers.{i}.weight"].T * layer.multiplier))
    return read


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("centred", [False, True])
def test_layer_kernels_against_a_plain_pass(gamma, centred):
    centered, u, x = moved_network("mlp", gamma)
    start = dict(centered.module.named_parameters())
    layers = deepnets.layer_kernels(centered, x, u, centred)
    assert list(layers.layer.values) == ["layers.0", "layers.1", "layers.2"]
    before, after = (hidden(centered.module, p, x) for p in (start, {n: start[n] + gamma * u[n] for n in u}))
    for l, (h0, h) in enumerate(zip(before, after, strict=True)):
        k0, k = (((t - t.mean(0)) if centred else t).numpy() for t in (h0, h))
        k0, k = (t @ t.T / t.shape[1] for t in (k0, k))
        close(layers.kernel[l], k, 1e-11)
        if l > 0:
            close(layers.change[l], k - k0, 1e-10 + 1e-14 / gamma)      # the rounding error of the subtraction


def test_change_of_kernels_far_below_where_they_can_be_subtracted():
    large, u, x = moved_network("mlp", 1e-7)
    small = deepnets.Centered(large.module.requires_grad_(True), 1e-12)
    close(deepnets.layer_kernels(small, x, u).change / 1e-12, deepnets.layer_kernels(large, x, u).change / 1e-7, 1e-5)


def test_layers_of_a_vit_are_named_and_end_at_the_readout():
    centered, u, x = moved_network("vit", 1.0)
    layers = deepnets.layer_kernels(centered, x, u)
    assert layers.layer.values[-1] == "readout"
    assert "network" not in layers.layer
    made = deepnets.layer_kernels(centered, x, u, end="made")
    f0, f1 = (torch.func.functional_call(centered.module, p, (x,)).detach() for p in ({}, centered_theta(centered, u)))
    close(made.kernel.sel(layer="readout"), f1 @ f1.T / 3)
    close(made.change.sel(layer="readout"), f1 @ f1.T / 3 - f0 @ f0.T / 3)


def centered_theta(centered, u):
    return {n: p + centered.gamma * u[n] for n, p in centered.module.named_parameters()}


def deviation(network, width, x, seeds):
    """Deviations of finite networks' kernels from infinite width, rms over seeds: layers, NTK, blocks between outputs."""
    exact = deepnets.infinite_width_kernels(network(width), x)
    size = float(exact.ntk.max())
    found = []
    for seed in range(seeds):
        spec = network(width)
        centered = deepnets.Centered(spec.build(seed).double(), 1.0)
        k = deepnets.ntk(centered, x, rates=spec)
        layers = deepnets.layer_kernels(centered, x).kernel.values[1:]
        found.append([np.square(layers - exact.nngp.values[1:]).mean(), np.square(k[:, 0, :, 0] - exact.ntk.values).mean(),
                      np.square(k[:, 0, :, 1]).mean()])
    return np.sqrt(np.mean(found, 0)) / size


@pytest.mark.parametrize("options", [{}, {"parametrization": "ntk", "bias": True}, {"nonlinearity": "linear"}, {"nonlinearity": "gelu"},
                                     {"nonlinearity": "tanh", "bias": True}])
def test_finite_width_approaches_infinite_width_as_one_over_root_n(options):
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    widths = np.array([32, 128, 512])
    apart = np.array([deviation(lambda n: deepnets.MLP(6, n, 3, 2, **options), int(n), x, 12) for n in widths])
    slopes = np.polyfit(np.log(widths), np.log(apart), 1)[0]
    assert np.abs(slopes + 0.5).max() < 0.15, slopes
    assert apart[-1].max() < 0.1


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_one_layer_at_infinite_width_is_the_gaussian_mean(name):
    x = np.array([[1.0, 0.4], [-0.3, 1.2]])
    limit = deepnets.infinite_width_kernels(deepnets.MLP(2, 8, 2, 1, nonlinearity=name), x)
    phi = {"relu": lambda h: max(h, 0.0), "tanh": np.tanh,
           "gelu": lambda h: float(torch.nn.functional.gelu(torch.tensor(h).double()))}[name]
    root = np.linalg.cholesky(x @ x.T / 2)

    def weighed(b, a):
        h, g = root @ (a, b)
        return phi(h) * phi(g) * np.exp(-(a * a + b * b) / 2) / (2 * np.pi)

    mean = dblquad(weighed, -8, 8, -8, 8, epsabs=1e-6)[0]
    assert abs(float(limit.nngp.sel(layer="layers.1")[0, 1]) - mean) < 1e-5
    assert limit.attrs["error"] < (1e-12 if name == "relu" else 1e-5)


def test_infinite_width_of_vectors_that_vanish_or_point_back():
    limit = deepnets.infinite_width_kernels(deepnets.MLP(1, 8, 2, 1), np.array([[1.0], [-1.0], [0.0]]))
    np.testing.assert_allclose(limit.nngp.values[1], [[0.5, 0, 0], [0, 0.5, 0], [0, 0, 0]], atol=1e-15)
    np.testing.assert_allclose(limit.ntk.values, [[1, 0, 0], [0, 1, 0], [0, 0, 0]], atol=1e-15)


@pytest.mark.parametrize(("call", "says"), [
    (lambda c, x: deepnets.ntk(c, x, blocks="rows"), "blocks"),
    (lambda c, x: deepnets.ntk(c, x, blocks=3), "0 to 2"),
    (lambda c, x: deepnets.ntk(c, x, method="fast"), "method"),
    (lambda c, x: deepnets.ntk(c, x, rates={"layers.0.weight": 1.0}), "rates"),
    (lambda c, x: deepnets.ntk(c, x, rates={n: -1.0 for n in c.coordinates()}), "at least 0"),
    (lambda c, x: deepnets.ntk(c, x.numpy()), "x must be a tensor"),
    (lambda c, x: deepnets.ntk(c.module, x), "Centered"),
    (lambda c, x: deepnets.ntk(c, x, u={"w": x}), "layers.0.weight"),
    (lambda c, x: deepnets.ntk(c, x, u={"layers.0.weight": x}), "shape"),
    (lambda c, x: deepnets.ntk_product(c, x, torch.zeros(5)), r"\(5, 3\)"),
    (lambda c, x: deepnets.ntk_spectrum(c, x, 16), "at most 15"),
    (lambda c, x: deepnets.layer_kernels(c, x, end="both"), "end"),
    (lambda c, x: deepnets.infinite_width_kernels(deepnets.CNN((1, 4, 4), 4, 3), x), "MLP"),
    (lambda c, x: deepnets.infinite_width_kernels(deepnets.MLP(12, 4, 2, 1, parametrization="standard"), x), "standard"),
    (lambda c, x: deepnets.infinite_width_kernels(deepnets.MLP(11, 4, 2, 1), x), "11"),
    (lambda c, x: deepnets.Runs(nn.ReLU(), {}, 1.0), "trainable"),
    (lambda c, x: deepnets.Runs(nn.Linear(2, 1), {"weight": torch.ones(2, 1, 2), "bias": torch.ones(3, 1)}, 1.0), "as many runs"),
    (lambda c, x: deepnets.Runs(nn.Linear(2, 1), {"weight": torch.ones(2, 1, 2)}, torch.tensor([1.0, -1.0])), "gamma"),
    (lambda c, x: deepnets.Runs(nn.Linear(2, 1), {"weight": torch.ones(2, 1, 2)}, 1.0, dtype=torch.float16), "dtype")])
def test_misuse_says_what_is_allowed(call, says):
    centered, _, x = moved_network("mlp", 1.0)
    with pytest.raises(Misuse, match=says):
        call(centered, x)


def test_too_little_memory_is_refused_before_it_is_used(monkeypatch):
    centered, u, x = moved_network("mlp", 1.0)
    exact = deepnets.ntk(centered, x, u)
    tried = tangents.Tangent(deepnets.Runs.of(centered, u), 0, x, None)
    monkeypatch.setattr(tangents, "free_memory", lambda device: int(1.1 * tried._bytes(1) / tangents.SAFE["cpu"]))
    close(deepnets.ntk(centered, x, u, blocks="trace"), np.einsum("aibi->ab", exact))      # an output at a time
    close(deepnets.ntk(centered, x, u), exact)                                             # by products
    with pytest.raises(Misuse, match="products"):
        deepnets.ntk(centered, x, u, method="jacobian")
