"""Every specification: built as in its table, described as JSON, right pairs, right training in a stack, same movement at every width."""

import json
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

import deepnets
from deepnets import CNN, MLP, Centered, DeepExperiment, ResidualCNN, ResidualMLP, ResNet, Transformer, ViT, parametrization_table, tasks
from deepnets.batched.state import zero_differences
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import MSE
from tests.deepnets.oracle import moved_readout

SPECS = {
    "mlp": MLP(64, 16, 3, 3, bias=True),
    "cnn": CNN((1, 8, 8), 8, 3),
    "residual mlp": ResidualMLP(64, 16, 3, 3, bias=True),
    "residual cnn": ResidualCNN((1, 8, 8), 8, 2, 3),
    "resnet": ResNet((1, 8, 8), 8, 3, blocks=(1, 1), nonlinearity="tanh", parametrization="depth_mup"),
    "resnet, group": ResNet((1, 8, 8), 8, 3, blocks=(1, 1), norm="group", bias=True),
    "resnet, none": ResNet((1, 8, 8), 8, 3, blocks=(1, 1), norm="none"),
    "vit": ViT((1, 8, 8), 16, 3, blocks=2, heads=2, parametrization="depth_mup"),
    "vit, norm": ViT((1, 8, 8), 16, 3, blocks=1, heads=2, qk="norm", temperature=0.2, bias=True),
    "vit, layernorm": ViT((1, 8, 8), 16, 3, blocks=1, heads=2, qk="layernorm"),
    "vit, no norms": ViT((1, 8, 8), 16, 3, blocks=1, norm="none", qk="norm"),
    "transformer": Transformer(11, 6, 16, blocks=1, heads=2, qk="layernorm"),
}
each = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)


def inputs(spec, batch=5):
    g = torch.Generator().manual_seed(3)
    if isinstance(spec, Transformer):
        return torch.randint(0, spec.vocabulary, (batch, spec.context), generator=g)
    return torch.randn(batch, spec.in_features, generator=g)


@each
def test_build_is_the_table(spec):
    wide = replace(spec, width=64)
    rows, module = wide.scalings(), wide.build(0)
    assert [r.name for r in rows] == [n for n, _ in module.named_parameters()]
    for r, p in zip(rows, (p.detach() for p in module.parameters()), strict=True):
        assert tuple(p.shape) == r.shape
        # five standard errors of a mean and of a mean square
        assert float(p.mean()) == pytest.approx(r.start, abs=1e-7 + 5 * (r.variance / p.numel()) ** 0.5)
        assert float((p - r.start).square().mean()) == pytest.approx(r.variance, rel=5 * (2 / p.numel()) ** 0.5, abs=1e-7)
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), wide.build(0).parameters(), strict=True))
    weight = next(r.name for r in rows if r.variance)
    assert not torch.equal(module.get_parameter(weight), wide.build(1).get_parameter(weight))
    assert module(inputs(wide)).shape == ((5, 6, 11) if isinstance(spec, Transformer) else (5, 3))


@each
def test_table_reads_as_a_table(spec):
    table = parametrization_table(spec)
    head, columns, *lines = str(table).splitlines()
    assert head.startswith(f"{spec.parametrization}, N = ")
    assert columns.split() == ["tensor", "role", "shape", "multiplier", "branch", "start", "variance", "SGD/eta", "Adam/eta"]
    assert [line.split()[0] for line in lines] == [r.name for r in table.rows]
    assert all([float(v) for v in line.split()[3:]] == pytest.approx([r.multiplier, r.branch, r.start, r.variance, r.sgd, r.adam], rel=1e-3)
               for line, r in zip(lines, table.rows, strict=True))
    assert len({len(line) for line in [columns, *lines]}) == 1


@each
def test_describes_itself(spec):
    description = json.loads(json.dumps(spec.describe()))
    del description["name"]
    assert type(spec)(**description) == spec
    assert hash(type(spec)(**description)) == hash(spec)
    assert getattr(deepnets, type(spec).__name__) is type(spec)
    with pytest.raises(FrozenInstanceError):
        spec.width = 3


def test_depth_mup_multiplies_branches_and_their_adam_rates():
    for spec in (ViT((1, 8, 8), 16, 3, blocks=4, bias=True), ResNet((1, 8, 8), 4, 3, blocks=(3, 1), bias=True), ResidualMLP(4, 16, 4, 1)):
        mup, deep = (replace(spec, parametrization=p).scalings() for p in ("mup", "depth_mup"))
        assert len({r.branch for r in deep}) == 2
        for a, b in zip(mup, deep, strict=True):
            inside = a.name.startswith(("blocks", "branches")) and ".shortcut" not in a.name
            assert (a.branch, b.branch) == (1, 0.5 if inside else 1)
            assert b.adam == a.adam * b.branch
            assert (a.multiplier, a.variance, a.sgd) == (b.multiplier, b.variance, b.sgd)
        hidden = [r.adam for r in mup if r.role == "hidden"]
        assert hidden == pytest.approx([parametrization_table(spec).width ** -0.5] * len(hidden))
        assert {r.name for r in mup if r.sgd == 1} <= {"readout.bias"}


@each
@pytest.mark.parametrize("gamma", [1e-8, 1e-3, 1e2])
def test_differences_are_those_of_float64(spec, gamma):
    # rounding at a kink of ReLU switches one unit, a small part of the gradient
    kinks = getattr(spec, "nonlinearity", None) == "relu"
    assert Centered(spec.build(0), gamma, "pairs").discrepancy(inputs(spec)) < (5e-4 if kinks else 1e-5)


@each
def test_trains_in_a_stack_as_alone(spec):
    spec = replace(spec, nonlinearity="tanh")
    module, x = spec.build(0), inputs(spec)
    y = torch.randn(module(x).shape, generator=torch.Generator().manual_seed(1))
    stack, gamma = VectorisedStack(module), torch.tensor([1e-6, 1e-2, 1.0])
    rate = {r.name: r.sgd for r in spec.scalings()}

    def trained(gamma):
        u, losses = zero_differences(module, len(gamma)), []
        for _ in range(3):
            value, gradient = stack.gradients(u, gamma, x, y, MSE())
            losses.append(value)
            u = {n: d - 0.03 * rate[n] * gradient[n] for n, d in u.items()}
        return u, torch.stack(losses)

    u, losses = trained(gamma)
    assert (losses[1:] < losses[:-1]).all()
    alone, own_losses = trained(gamma[2:])
    assert torch.allclose(own_losses[:, 0], losses[:, 2], rtol=1e-5)
    for n, d in u.items():
        assert torch.allclose(d[2], alone[n][0], atol=1e-4 * float(d[2].abs().max()) + 1e-7)


def moved(spec, width, optimizer, eta):
    """Rms of what the readout reads, and of its change after three steps at gamma = 1; over two seeds."""
    sizes, changes = [], []
    spec = replace(spec, width=width)
    for seed in range(2):
        x = inputs(spec, 8)
        y = torch.randn(spec.build(seed)(x).shape, generator=torch.Generator().manual_seed(1))
        start, end = moved_readout(spec, seed, x, y, optimizer, eta)
        sizes.append(float(start.square().mean().sqrt()))
        changes.append(float((end - start).square().mean().sqrt()))
    return np.mean(sizes), np.mean(changes)


@pytest.mark.parametrize("name", [n for n in SPECS if n not in ("mlp", "cnn", "vit", "resnet, group")])
def test_moves_equally_at_every_width(name):
    """The coordinate check: flat in muP, for SGD and for signs, and falling under NTK (1/sqrt(N) in the limit)."""
    spec = replace(SPECS[name], parametrization="depth_mup")
    widths = (8, 16, 32, 64) if "resnet" in name else (16, 32, 64, 128) if "cnn" in name else (32, 64, 128, 256)

    def slopes(spec, optimizer, eta):
        made = np.log([moved(spec, width, optimizer, eta) for width in widths])
        return np.polyfit(np.log(widths), made, 1)[0]

    size, change = slopes(spec, "sgd", 0.05)
    assert abs(size) < 0.1
    assert abs(change) < 0.2
    assert abs(slopes(spec, "adam", 0.002)[1]) < 0.15
    assert slopes(replace(spec, parametrization="ntk"), "sgd", 0.05)[1] < -0.15


@pytest.mark.parametrize("network", [ViT((1, 8, 8), 16, 10, blocks=1), ResNet((1, 8, 8), 4, 10, blocks=(1, 1))], ids=["vit", "resnet"])
def test_lazy_plane_depends_on_eta_over_gamma_squared(network):
    experiment = DeepExperiment(network, tasks.digits(), steps=30, batch_size=16, device="cpu")
    gamma = np.array([1e-7, 1e-5])
    portrait = experiment.measure(gamma, np.outer(gamma**2, [0.01, 0.3]))
    final = portrait["final_excess"].values[0]
    assert final[0] == pytest.approx(final[1], rel=1e-4)
    assert 0.8 < final[0, 1] < 0.93 < 0.98 < final[0, 0] < 1
