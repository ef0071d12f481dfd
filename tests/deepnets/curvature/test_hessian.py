"""Hessian products and eigenvalues against dense oracles and closed forms, at every gamma; points together; refusals."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import deepnets
from deepnets.curvature import hessian as products
from deepnets.curvature.hessian import Curvature
from deepnets.curvature.memory_need import Needs, _peak, needs
from deepnets.curvature.points import point_from_network, points_from_stack
from tests.benchmarks.hessian_cost import main as benchmark
from tests.deepnets.curvature.dense import flat, hessian, value
from tests.deepnets.oracle import NETWORKS, cnn, mlp, random_u, vit
from validation import Misuse

GAMMAS = (1e-6, 1.0, 1e4)


def case(make, gamma, n=6):
    """A float64 network, a u at which theta is of the order of theta_0, inputs and classes."""
    module, shape = make()
    module.double()
    x = torch.randn(n, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return module, random_u(module, size=0.3 / max(1.0, gamma)), x, torch.arange(n) % 3


def apart(found, exact):
    """The largest difference, over the largest exact value."""
    return float(np.abs(found - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", ["mlp", "cnn", "vit"])
def test_eigenvalues_against_the_whole_matrix(name, gamma, loss):
    module, u, x, y = case(NETWORKS[name], gamma)
    exact = np.linalg.eigvalsh(hessian(module, u, gamma, x, y, loss).numpy())
    found = deepnets.spectrum(deepnets.Centered(module, gamma, "pairs"), u, (x, y), loss, k=8, which="both", method="lanczos")
    assert apart(found.eigenvalues.values, np.r_[exact[:8], exact[-8:]][::-1]) < 1e-6
    assert bool(found.converged)
    assert found.residuals.max() < 2e-6


@pytest.mark.parametrize("part", ["gauss_newton", "residual"])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_parts_against_the_whole_matrix(gamma, part):
    module, u, x, y = case(cnn, gamma)
    exact = hessian(module, u, gamma, x, y, "cross_entropy", part)
    points = point_from_network(deepnets.Centered(module, gamma, "pairs"), u, (x, y), "cross_entropy", "module")
    found = Curvature(points, part).matrix()[0]
    assert float((found - exact).abs().max() / exact.abs().max()) < (1e-4 if part == "residual" and gamma < 1 else 1e-9)


def test_parts_add_up_and_the_residual_part_is_proportional_to_gamma():
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, y, scaled = random_u(module), torch.arange(5) % 3, {}
    for gamma in (1e-12, 1e-8, 1e-4):
        whole, G, R = (Curvature(point_from_network(deepnets.Centered(module, gamma, "pairs"), u, (x, y), "mse", "module"), p).matrix()
                       for p in products.PARTS)
        assert float((whole - G - R).abs().max()) < 1e-14 * float(whole.abs().max())
        scaled[gamma] = R / max(gamma, 1e-8)            # below 1e-8 other operations than products keep a step of 1e-8
    assert apart(scaled[1e-8].numpy(), scaled[1e-4].numpy()) < 1e-3


@pytest.mark.parametrize("gamma", [0.0, 1e-12, 1e-8])
def test_the_limit_of_small_gamma_is_the_linearised_network(gamma):
    module, u, x, y = case(vit, gamma)
    exact = np.linalg.eigvalsh(hessian(module, {n: 0 * d for n, d in u.items()}, 1.0, x, y, "mse", "gauss_newton").numpy())[::-1]
    found = deepnets.spectrum(deepnets.Centered(module, gamma, "pairs"), u, (x, y), "mse", k=18, method="lanczos")
    assert apart(found.eigenvalues.values, exact[:18]) < 1e-6
    assert found.eigenvalues.values.min() > 0


@pytest.mark.parametrize("name", ["mlp", "cnn", "vit"])
def test_points_together_equal_one_by_one(name):
    gammas = [1e-6, 1e-2, 1.0]
    module, _, x, y = case(NETWORKS[name], 1.0)
    us = [random_u(module, seed) for seed in range(3)]
    stacked = {n: torch.stack([u[n] for u in us]) for n in us[0]}
    found = deepnets.spectra(module, stacked, gammas, (x, y), "cross_entropy", k=4, which="both", method="lanczos")
    assert found.eigenvalues.dims == ("point", "eigenvalue")
    for i in range(3) if name != "vit" else (1,):      # its dense matrix takes ten seconds
        alone = deepnets.spectrum(deepnets.Centered(module, gammas[i], "pairs"), us[i], (x, y), "cross_entropy", k=4, which="both",
                                   method="dense")
        assert apart(found.eigenvalues.values[i], alone.eigenvalues.values) < 1e-6


def test_deep_linear_closed_form():
    # f = a b x with x = 1, y = 2: L = (a b - a_0 b_0 - y)^2/2 at gamma = 1
    module = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)).double()
    (a0, b0), (a, b) = (p.item() for p in module.parameters()), (0.7, -1.3)
    u = {"0.weight": torch.tensor([[a - a0]], dtype=torch.float64), "1.weight": torch.tensor([[b - b0]], dtype=torch.float64)}
    cross = 2 * a * b - a0 * b0 - 2
    batch = torch.ones(1, 1, dtype=torch.float64), torch.full((1, 1), 2.0, dtype=torch.float64)
    exact = np.linalg.eigvalsh([[b * b, cross], [cross, a * a]])[::-1]
    for method in ("dense", "lanczos"):
        found = deepnets.spectrum(deepnets.Centered(module, 1.0), u, batch, "mse", method=method)
        assert found.eigenvalues.values == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("gamma", [1e-8, 1.0, 1e4])
def test_logistic_closed_form(gamma):
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    module = nn.Linear(4, 3, bias=False).double()
    u = random_u(module)
    p = (x @ u["weight"].mT).softmax(-1)                # f~ = u x at every gamma
    exact = torch.einsum("bij,bk,bl->ikjl", torch.diag_embed(p) - p[:, :, None] * p[:, None, :], x, x).reshape(12, 12) / 9
    found = deepnets.spectrum(deepnets.Centered(module, gamma), u, (x, torch.arange(9) % 3), "cross_entropy")
    assert found.eigenvalues.values == pytest.approx(torch.linalg.eigvalsh(exact).flip(0).numpy(), abs=1e-7 if gamma < 1 else 1e-11)


def test_blocks_are_those_of_the_matrix():
    module, u, x, y = case(mlp, 1.0)
    whole = hessian(module, u, 1.0, x, y, "mse").numpy()
    first, ends = deepnets.Centered(module, 1.0), np.cumsum([0] + [d.numel() for d in u.values()])
    for block, rows in (("2", np.r_[ends[2]:ends[4]]), ("2.weight", np.r_[ends[2]:ends[3]]),
                        (["0.bias", "4"], np.r_[ends[1]:ends[2], ends[4]:ends[6]])):
        found = deepnets.spectrum(first, u, (x, y), "mse", k=3, block=block)
        assert found.attrs["size"] == len(rows)
        assert apart(found.eigenvalues.values, np.linalg.eigvalsh(whole[np.ix_(rows, rows)])[::-1][:3]) < 1e-9


def test_lanczos_equals_dense_and_returns_vectors():
    module, u, x, y = case(mlp, 1.0)
    centered = deepnets.Centered(module, 1.0)
    for which, n in (("largest", 5), ("smallest", 5), ("both", 10)):
        dense, lanczos = (deepnets.spectrum(centered, u, (x, y), "mse", k=5, which=which, method=m, vectors=True)
                          for m in ("dense", "lanczos"))
        assert dense.sizes["eigenvalue"] == lanczos.sizes["eigenvalue"] == n
        assert apart(lanczos.eigenvalues.values, dense.eigenvalues.values) < 1e-9
        overlap = np.abs((lanczos.eigenvectors.values * dense.eigenvectors.values).sum(-1))
        assert overlap == pytest.approx(np.ones(n), abs=1e-5)
        assert (np.diff(lanczos.eigenvalues) <= 0).all()


def test_earlier_eigenvectors_save_products():
    module, u, x, y = case(mlp, 1e-3, n=40)
    centered = deepnets.Centered(module, 1e-3, "pairs")
    first = deepnets.spectrum(centered, u, (x, y), "mse", k=10, method="lanczos", vectors=True)
    moved = {n: 1.01 * d for n, d in u.items()}
    cold, warm = (deepnets.spectrum(centered, moved, (x, y), "mse", k=10, method="lanczos", start=s) for s in (None, first))
    assert warm.attrs["products"] < cold.attrs["products"]
    assert apart(warm.eigenvalues.values, cold.eigenvalues.values) < 1e-6


def test_precision():
    module, u, x, y = case(mlp, 1.0)
    narrow = copy.deepcopy(module).float()
    exact = deepnets.spectrum(deepnets.Centered(module, 1.0), u, (x, y), "mse", k=5)
    own = deepnets.spectrum(deepnets.Centered(narrow, 1.0, "pairs"), u, (x, y), "mse", k=5, method="lanczos")
    wide = deepnets.spectrum(deepnets.Centered(narrow, 1.0, "pairs"), u, (x, y), "mse", k=5, precision="float64")
    assert (own.attrs["dtype"], wide.attrs["dtype"]) == ("float32", "float64")
    assert apart(own.eigenvalues.values, exact.eigenvalues.values) < 1e-4
    rounded = copy.deepcopy(narrow).double()
    again = deepnets.spectrum(deepnets.Centered(rounded, 1.0), u, (x, y), "mse", k=5)
    assert apart(wide.eigenvalues.values, again.eigenvalues.values) < 1e-9


class Reading(nn.Module):
    """A module that reads a value, through which differences cannot be propagated."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(12, 3)

    def forward(self, x):
        out = self.layer(x)
        return out * float(out.detach().sum().sign()) ** 2


def test_where_pairs_fail_two_copies_are_differentiated():
    _, _, x, y = case(mlp, 1.0)
    torch.manual_seed(0)
    module = Reading().double()
    u = random_u(module)
    exact = np.linalg.eigvalsh(hessian(module.layer, {"weight": u["layer.weight"], "bias": u["layer.bias"]}, 1.0, x, y,
                                       "cross_entropy").numpy())[::-1]
    with pytest.warns(deepnets.FellBack):
        found = deepnets.spectrum(deepnets.Centered(module, 1e-9), u, (x, y), "cross_entropy", k=5)
    assert found.attrs["propagation"] == "float64"
    assert apart(found.eigenvalues.values, exact[:5]) < 1e-6
    with pytest.raises(deepnets.Unsupported, match="float"):
        deepnets.spectrum(deepnets.Centered(module, 1e-3, "pairs"), u, (x, y), "cross_entropy")


def test_measuring_changes_neither_the_network_nor_the_random_numbers():
    module, u, x, y = case(cnn, 1.0)
    module.train()
    centered = deepnets.Centered(nn.Sequential(module, nn.Dropout(0.5)), 1e-3, "pairs")
    with torch.no_grad():
        for n, d in centered.coordinates().items():
            d.copy_(u[n.removeprefix("0.")])
    before, random = copy.deepcopy(centered.state_dict()), torch.get_rng_state()
    first, second = (deepnets.spectrum(centered, None, (x, y), "mse", k=3, method=m) for m in ("lanczos", "dense"))
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(v, before[n]) for n, v in centered.state_dict().items())
    assert apart(first.eigenvalues.values, second.eigenvalues.values) < 1e-9      # the same masks in every product
    assert centered.training
    torch.rand(1)
    again, other = (deepnets.spectrum(centered, None, (x, y), "mse", k=3, seed=s) for s in (0, 1))
    assert apart(again.eigenvalues.values, second.eigenvalues.values) < 1e-9
    assert apart(other.eigenvalues.values, second.eigenvalues.values) > 1e-3


@pytest.mark.parametrize("method", ["pairs", "two_copy"])
def test_running_statistics_are_those_after_training(method):
    module, u, x, y = case(cnn, 1.0)
    centered = deepnets.Centered(module.train(), 1.0, method)
    coordinates = centered.coordinates()
    with torch.no_grad():
        for n, d in coordinates.items():
            d.copy_(u[n])
        for _ in range(20):
            centered(x)
    centered.eval()
    v = {n: torch.randn(d.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64) for n, d in u.items()}
    sides = []
    for h in (1e-5, -1e-5):
        with torch.no_grad():
            for n, d in coordinates.items():
                d.copy_(u[n] + h * v[n])
        sides.append(flat(dict(enumerate(torch.autograd.grad(value(centered(x), y, "mse"), list(coordinates.values()))))))
    found = Curvature(point_from_network(centered, u, (x, y), "mse", "module"))(flat(v)[None])[0]
    assert apart(found.numpy(), ((sides[0] - sides[1]) / 2e-5).numpy()) < 1e-6


def test_products_through_masks_are_those_of_two_copies():
    module, u, x, y = case(mlp, 1.0)
    module, u = nn.Sequential(nn.Dropout(0.5), module).train(), {f"1.{n}": d for n, d in u.items()}
    pairs, copies = (deepnets.spectrum(deepnets.Centered(module, 1.0, m), u, (x, y), "mse", k=5) for m in ("pairs", "two_copy"))
    assert apart(pairs.eigenvalues.values, copies.eigenvalues.values) < 1e-9


def test_small_products_take_one_thread_and_give_the_others_back(monkeypatch):
    module, u, x, y = case(mlp, 1.0)
    threads, ours, before = [], Curvature.__call__, torch.get_num_threads()
    monkeypatch.setattr(Curvature, "__call__", lambda *a: threads.append(torch.get_num_threads()) or ours(*a))
    torch.set_num_threads(2)
    try:
        deepnets.spectrum(deepnets.Centered(module, 1.0), u, (x, y), "mse", k=2, method="lanczos")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(threads) == {1}


def test_batches_in_parts_add_up(monkeypatch):
    module, u, x, y = case(vit, 1.0, n=11)
    points = point_from_network(deepnets.Centered(module, 1.0), u, (x, y), "mse", "module")
    v = torch.randn(1, 1623, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for part in products.PARTS:
        whole = Curvature(points, part)
        monkeypatch.setattr(products, "needs", lambda *_: Needs(1000, 50))
        cut = Curvature(points, part, available=50 + 3000 + 1623 * 8)
        monkeypatch.undo()
        assert [p.stop - p.start for p in cut.parts] == [2, 3, 3, 3]
        assert apart(cut(v).numpy(), whole(v).numpy()) < 1e-13
        assert torch.equal(cut(v), cut(v))


def test_too_little_memory_is_refused_before_it_is_used():
    module, u, x, y = case(cnn, 1.0)
    centered = deepnets.Centered(module.eval(), 1.0, "pairs")
    points = point_from_network(centered, u, (x, y), "mse", "module")
    with pytest.raises(Misuse, match=r"out of memory: products with 6 samples need about .* GB, one sample"):
        Curvature(points, available=1000)
    coupled = point_from_network(deepnets.Centered(module.train(), 1.0, "pairs"), u, (x, y), "mse", "module")
    with pytest.raises(Misuse, match="cannot be taken in parts"):
        Curvature(coupled, available=1000)


def test_memory_on_meta_tensors_is_that_on_the_cpu():
    module, u, x, y = case(mlp, 1.0)
    stacked = {n: torch.stack([d, 2 * d, -d]) for n, d in u.items()}
    points = points_from_stack(module, stacked, [1e-3, 1.0, 2.0], (x, y), "mse", "module")
    curvature = Curvature(points)

    def build_product(some):
        return products._Graph(some, curvature.names, "hessian", 1.0).product
    meta, cpu = ([_peak(build_product, points, curvature.sizes, curvature.shapes, n, device, None) for n in (2, 10, 40)]
                 for device in ("meta", "cpu"))
    assert meta == pytest.approx(cpu, rel=0.02)
    small = points_from_stack(module, stacked, [1e-3, 1.0, 2.0], (x.repeat(7, 1)[:40], y.repeat(7)[:40]), "mse", "module")
    need = needs(build_product, small, curvature.sizes, curvature.shapes)
    assert need.of(40) == pytest.approx(cpu[2], rel=0.02)
    assert need.of(10) >= 0.99 * cpu[1]


def test_misuse():
    module, u, x, y = case(mlp, 1.0)
    centered = deepnets.Centered(module, 1.0)
    good = {"centered": centered, "u": u, "batch": (x, y)}
    for bad, match in [({"centered": module}, "centered"), ({"u": {"0.weight": u["0.weight"]}}, "u must be a dict"),
                       ({"u": {n: d[..., :1] for n, d in u.items()}}, "must have shape"),
                       ({"u": {n: d * np.nan for n, d in u.items()}}, "finite"), ({"batch": x}, "batch"),
                       ({"batch": (x, y[:3])}, "as many"),
                       ({"batch": (x, y + 7)}, "0 to 2"), ({"batch": (x, torch.ones(6, 2))}, "shape of the outputs"),
                       ({"loss": "hinge"}, "loss"), ({"k": 0}, "k must"), ({"part": "half"}, "part"), ({"which": "top"}, "which"),
                       ({"block": "7"}, "block"), ({"block": []}, "at least one"), ({"seed": -1}, "seed"),
                       ({"precision": "bf16"}, "precision"),
                       ({"method": "arpack"}, "method"), ({"tolerance": 0.0}, "tolerance"), ({"start": u}, "start")]:
        with pytest.raises(Misuse, match=match):
            deepnets.spectrum(**(good | bad))
    with pytest.raises(Misuse, match="gamma"):
        deepnets.spectra(module, u, [-1.0], (x, y))
    with pytest.raises(Misuse, match=r"must have shape \(2,"):
        deepnets.spectra(module, u, [1.0, 1.0], (x, y))


def test_overflow_is_refused():
    module, u, x, y = case(lambda: mlp(nn.Identity), 1.0)
    with pytest.raises(Misuse, match="finite"):
        deepnets.spectrum(deepnets.Centered(module, 1e160), u, (x, y), "mse", method="lanczos")


def test_the_benchmark_runs(capsys):
    benchmark(["--tiny"])
    printed = capsys.readouterr().out
    assert "nan" not in printed
    assert sum(line.startswith("|") for line in printed.splitlines()) == 2 + 1 + 2 + 3
