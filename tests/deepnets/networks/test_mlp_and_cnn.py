"""Specifications and parametrizations: the table against the built module, and the coordinate check, flat in muP."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepnets import CNN, MLP, DeepExperiment, parametrization_table, tasks
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.state import zero_differences
from deepnets.losses import MSE
from validation import Misuse


def test_build_is_the_specification():
    spec = MLP(5, 400, 3, 2, bias=True, parametrization="mup")
    module = spec.build(0)
    held = dict(module.named_parameters())
    assert [r.name for r in parametrization_table(spec).rows] == list(held)
    for row in parametrization_table(spec).rows:
        assert tuple(held[row.name].shape) == row.shape
        assert float(held[row.name].detach().var(unbiased=False)) == pytest.approx(row.variance, rel=0.1, abs=1e-12)
    # the paper's f, written out: 1/N W_3 relu(1/sqrt(N) W_2 relu(1/sqrt(D) W_1 x))
    x = torch.randn(4, 5)
    w1, w2, w3 = (held[f"layers.{i}.weight"] for i in range(3))
    expected = torch.relu(torch.relu(x @ w1.T / 5**0.5) @ w2.T / 20) @ w3.T / 400
    assert torch.allclose(module(x), expected, atol=1e-6)
    assert torch.equal(spec.build(0).layers[1].weight, w2)
    assert not torch.equal(spec.build(1).layers[1].weight, w2)


@pytest.mark.parametrize(("parametrization", "multipliers", "variance", "sgd", "adam"), [
    ("mup", (0.5, 0.25, 1 / 16), 1, 16, (1, 0.25, 1)),
    ("ntk", (0.5, 0.25, 0.25), 1, 1, (1, 1, 1)),
    ("standard", (1, 1, 1), None, 1, (1, 1, 1)),
])
def test_table(parametrization, multipliers, variance, sgd, adam):
    table = parametrization_table(MLP(4, 16, 3, 2, parametrization=parametrization))
    assert [r.multiplier for r in table.rows] == pytest.approx(multipliers)
    assert [r.sgd for r in table.rows] == [sgd] * 3
    assert [r.adam for r in table.rows] == pytest.approx(adam)
    assert [r.variance for r in table.rows] == [variance or 1 / n for n in (4, 16, 16)]
    assert all(r.name in str(table) for r in table.rows)


def test_cnn_is_the_specification():
    spec = CNN((1, 8, 8), 6, 3, bias=True)
    assert (spec.depth, spec.in_features) == (4, 64)
    module = spec.build(0)
    held = {n: p.detach() for n, p in module.named_parameters()}
    table = {r.name: r for r in parametrization_table(spec).rows}
    assert list(table) == list(held)
    assert [table[n].multiplier for n in held if n.endswith("weight")] == pytest.approx([1 / 3, 54**-0.5, 24**-0.5, 1 / 6])
    assert {n: r.sgd for n, r in table.items() if r.sgd != 6} == {"dense.1.bias": 1}      # an output, whose gradient is O(1)
    x = torch.randn(4, 1, 8, 8)
    h = x
    for i, fan_in in enumerate((9, 54)):
        h = F.conv2d(h, held[f"convolutions.{i}.weight"] / fan_in**0.5, padding=1).relu()
        h = h.reshape(4, 6, h.shape[-1] // 2, 2, h.shape[-1] // 2, 2).mean((3, 5))
    h = (h.flatten(1) @ held["dense.0.weight"].T / 24**0.5).relu()
    assert torch.allclose(module(x), h @ held["dense.1.weight"].T / 6, atol=1e-5)
    assert torch.equal(module(x.flatten(1)), module(x))
    assert CNN((3, 32, 32), 8, 10, convolutions=3, dense=1).build(0)(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_cnn_trains_at_any_gamma():
    experiment = DeepExperiment(CNN((1, 8, 8), 8, 10), tasks.digits(), steps=60, batch_size=16, device="cpu")
    gamma = np.array([1e-7, 1e-5])
    portrait = experiment.measure(gamma, np.outer(gamma**2, np.geomspace(1, 1e3, 7)))
    calm = (portrait["peak_excess"] < 1.05).values[0]
    final = portrait["final_excess"].values[0]
    # at small gamma the plane depends on eta/gamma**2 alone
    assert (calm[0] == calm[1]).all()
    assert 3 <= calm[0].sum() < 7
    assert final[0, calm[0]] == pytest.approx(final[1, calm[0]], rel=1e-3)
    assert final[0, calm[0]].min() < 0.85


def coordinate_slope(parametrization, layer=1, steps=4):
    """The slope of log rms change of the last hidden activations on log width, after a few steps at gamma = 1."""
    changes, widths = [], (32, 64, 128, 256, 512)
    for width in widths:
        spec = MLP(8, width, 3, 1, parametrization=parametrization)
        made = []
        for seed in range(3):
            module = spec.build(seed)
            x = torch.randn(32, 8, generator=torch.Generator().manual_seed(9))
            y = x[:, :1] * x[:, 1:2]
            stack, u, g = MLPStack(module), zero_differences(module, 1), torch.ones(1)
            rate = {r.name: r.sgd for r in spec.scalings()}
            with torch.no_grad():
                for _ in range(steps):
                    _, gradient = stack.gradients(u, g, x, y, MSE())
                    for n in u:
                        u[n] -= 0.1 * rate[n] * gradient[n]
                before = [module.layers[0](x).relu()]
                before.append(module.layers[1](before[0]).relu())
                for n, p in module.named_parameters():
                    p += u[n][0]
                after = [module.layers[0](x).relu()]
                after.append(module.layers[1](after[0]).relu())
            made.append(float((after[layer] - before[layer]).square().mean().sqrt()))
        changes.append(np.mean(made))
    return np.polyfit(np.log(widths), np.log(changes), 1)[0]


def test_coordinate_check():
    assert abs(coordinate_slope("mup")) < 0.15
    assert coordinate_slope("ntk") < -0.4


@pytest.mark.parametrize(("change", "named"), [({"depth": 1}, "depth"), ({"width": 0}, "width"), ({"width": 2.5}, "width"),
                                               ({"nonlinearity": "swish"}, "nonlinearity"), ({"parametrization": "sp"}, "parametrization"),
                                               ({"bias": 1}, "bias")])
def test_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        MLP(**{"in_features": 2, "width": 4, "depth": 2, "out_features": 1} | change)


@pytest.mark.parametrize(("change", "named"), [({"in_shape": (8, 8)}, "in_shape"), ({"kernel": 4}, "kernel"),
                                               ({"convolutions": 4}, "convolutions"), ({"dense": 0}, "dense"), ({"bias": 1}, "bias")])
def test_cnn_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        CNN(**{"in_shape": (1, 8, 8), "width": 4, "out_features": 2} | change)


def test_a_torch_module_has_no_table():
    with pytest.raises(Misuse, match="specifications"):
        parametrization_table(torch.nn.Linear(2, 1))
