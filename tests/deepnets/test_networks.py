"""Specifications and parametrizations: the table against the built module, and the coordinate check by which muP is known."""

import numpy as np
import pytest
import torch

from deepnets import MLP, parametrization_table
from deepnets.losses import MSE
from deepnets.stacks import MLPStack, at_rest
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
            stack, u, g = MLPStack(module), at_rest(module, 1), torch.ones(1)
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


def test_a_module_has_no_table():
    with pytest.raises(Misuse, match="specifications"):
        parametrization_table(torch.nn.Linear(2, 1))
