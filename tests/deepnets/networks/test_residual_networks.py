"""Residual networks and ResNet against forward passes written out in plain torch; growth and movement with depth."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepnets import Centered, ResidualCNN, ResidualMLP, ResNet, parametrization_table
from tests.deepnets.oracle import moved_readout
from validation import Misuse


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def weights(spec, seed=0):
    """The module and, by name, its parameters, moved away from initialization so that biases and gains matter."""
    module, g = spec.build(seed), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.3 * torch.randn(p.shape, generator=g)
    return module, {n: p.detach() for n, p in module.named_parameters()}


def test_residual_mlp_is_equation_12():
    spec = ResidualMLP(5, 16, 4, 3, bias=True, nonlinearity="tanh")
    module, w = weights(spec)
    x = torch.randn(6, 5)
    h = x @ w["stem.weight"].T / 5**0.5 + w["stem.bias"]
    for i in range(4):
        h = h + (torch.tanh(h) @ w[f"branches.{i}.weight"].T / 4 + w[f"branches.{i}.bias"]) / 2      # 1/sqrt(N), 1/sqrt(blocks)
    expected = torch.tanh(h) @ w["readout.weight"].T / 16 + w["readout.bias"]
    assert torch.allclose(module(x), expected, atol=1e-5)
    assert spec.depth == 6 == sum(r.role in ("input", "hidden", "readout") for r in spec.scalings())


def test_residual_cnn_written_out():
    spec = ResidualCNN((2, 7, 8), 6, 2, 3, parametrization="mup")
    module, w = weights(spec)
    x = torch.randn(4, 2, 7, 8)
    h = F.conv2d(x, w["stem.weight"] / 18**0.5, stride=2, padding=1)
    assert h.shape == (4, 6, 4, 4)
    for i in range(2):
        h = h + F.conv2d(h.relu(), w[f"branches.{i}.weight"] / 54**0.5, padding=1)
    assert torch.allclose(module(x), h.relu().mean((2, 3)) @ w["readout.weight"].T / 6, atol=1e-5)
    assert torch.equal(module(x.flatten(1)), module(x))


def normalised(h, w, name, norm):
    if norm == "none":
        return h
    shape = h.shape
    if norm == "batch":
        mean, var = h.mean((0, 2, 3), keepdim=True), h.var((0, 2, 3), unbiased=False, keepdim=True)
        h = (h - mean) / (var + 1e-5).sqrt()
    else:
        g = h.reshape(shape[0], 4, -1)
        h = ((g - g.mean(2, keepdim=True)) / (g.var(2, unbiased=False, keepdim=True) + 1e-5).sqrt()).reshape(shape)
    return h * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
def test_resnet_written_out(norm):
    spec = ResNet((1, 9, 8), 8, 3, blocks=(1, 2), norm=norm, parametrization="depth_mup")
    module, w = weights(spec)

    def conv(h, name, stride=1):
        k = w[f"{name}.weight"]
        h = F.conv2d(h, k / (k.shape[1] * k.shape[2] ** 2) ** 0.5, stride=stride, padding=k.shape[-1] // 2)
        return normalised(h, w, f"{name}_norm", norm)

    x = torch.randn(5, 1, 9, 8)
    h = conv(x, "stem").relu()
    for i, stride in enumerate((1, 2, 1)):
        branch = conv(conv(h, f"blocks.{i}.first", stride).relu(), f"blocks.{i}.second") / 3**0.5
        h = ((conv(h, f"blocks.{i}.shortcut", 2) if stride == 2 else h) + branch).relu()
    assert h.shape == (5, 16, 5, 4)
    expected = h.mean((2, 3)) @ w["readout.weight"].T / 16
    assert torch.allclose(module(x), expected, atol=1e-5, rtol=1e-4)
    for _ in range(200):          # until the running statistics are those of this batch, but for the unbiased variance, n/(n - 1)
        module(x)
    assert torch.allclose(module.eval()(x), expected, atol=0.02 if norm == "batch" else 1e-5, rtol=1e-4)
    assert (spec.depth, spec.readout_width) == (8, 16)
    assert {r.sgd for r in spec.scalings()} == {16.0}


def test_resnet_18_is_resnet_18():
    spec = ResNet((3, 32, 32), 64, 10)
    assert spec.depth == 18
    # 11 173 962 is the well-known count for CIFAR, of which ten are the readout's biases
    assert sum(np.prod(r.shape) for r in spec.scalings()) == 11_173_952
    assert "N = 512" in str(parametrization_table(spec))


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [1e-8, 1e-3, 1e2])
def test_differences_through_eighteen_layers(gamma):
    module = ResNet((3, 32, 32), 8, 10, nonlinearity="tanh").build(0)      # without kinks, as rounding would switch some of so many ReLUs
    assert Centered(module, gamma, "pairs").discrepancy(torch.randn(8, 3, 32, 32)) < 2e-5


@pytest.mark.parametrize(("parametrization", "growth"), [("depth_mup", 1 + 1 / 32), ("mup", 1.5)])
def test_stream_grows_with_its_branches(parametrization, growth):
    """A ReLU branch adds ``branch**2/2`` of the stream's mean square to it."""
    spec = ResidualMLP(8, 1024, 16, 1, parametrization=parametrization)
    module, sizes = spec.build(0), []
    for layer in (module.stem, module.readout):
        layer.register_forward_hook(lambda _, inputs, output: sizes.append((inputs[0], output)))
    module(torch.randn(16, 8, generator=torch.Generator().manual_seed(0)))
    first, last = sizes[0][1].square().mean(), 2 * sizes[1][0].square().mean()      # relu leaves half
    assert float((last / first).detach()) == pytest.approx(growth**16, rel=0.25)


def movement(spec, optimizer, eta):
    """Rms change of what the readout reads, after three steps at gamma = 1; over three seeds."""
    made = []
    for seed in range(3):
        x, y = (torch.randn(16, n, generator=torch.Generator().manual_seed(5 + n)) for n in (8, 3))
        start, end = moved_readout(spec, seed, x, y, optimizer, eta)
        made.append(float((end - start).square().mean().sqrt()))
    return np.mean(made)


@pytest.mark.parametrize(("optimizer", "eta"), [("sgd", 0.002), ("adam", 0.001)])
def test_depth_mup_moves_equally_at_every_depth(optimizer, eta):
    blocks = (2, 4, 8, 16)

    def slope(parametrization):
        moved = [movement(ResidualMLP(8, 64, b, 3, parametrization=parametrization), optimizer, eta) for b in blocks]
        return np.polyfit(np.log(blocks), np.log(moved), 1)[0]

    assert abs(slope("depth_mup")) < 0.1
    assert slope("mup") > 1


@pytest.mark.parametrize(("change", "named"), [
    ({"blocks": 0}, "blocks"), ({"width": 0}, "width"), ({"in_features": 1.5}, "in_features"), ({"bias": 0}, "bias"),
    ({"parametrization": "depth"}, "parametrization"), ({"nonlinearity": "swish"}, "nonlinearity")])
def test_residual_mlp_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        ResidualMLP(**{"in_features": 2, "width": 4, "blocks": 2, "out_features": 1} | change)


@pytest.mark.parametrize(("change", "named"), [
    ({"in_shape": (8, 8)}, "in_shape"), ({"kernel": 2}, "kernel"), ({"stride": 0}, "stride"), ({"blocks": True}, "blocks")])
def test_residual_cnn_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        ResidualCNN(**{"in_shape": (1, 8, 8), "width": 4, "blocks": 2, "out_features": 1} | change)


@pytest.mark.parametrize(("change", "named"), [
    ({"in_shape": "abc"}, "in_shape"), ({"blocks": 2}, "blocks"), ({"blocks": ()}, "blocks"), ({"blocks": (2, 0)}, "blocks"),
    ({"norm": "layer"}, "norm"), ({"norm": "group", "width": 12}, "multiple of 8"), ({"out_features": 0}, "out_features")])
def test_resnet_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        ResNet(**{"in_shape": (1, 8, 8), "width": 8, "out_features": 2} | change)
