"""Movement of weights and activations against subtraction where that is precise, and against gamma where it is not."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

import deepnets
from tests.deepnets.kernels.networks import SPECIFICATIONS, moved_network
from validation.arguments import Misuse


@pytest.mark.parametrize("gamma", [1e-6, 1.0, 1e4])
@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_weights_in_three_norms(name, gamma):
    centered, u, _ = moved_network(name, gamma)
    movement = deepnets.weight_movement(centered, u)
    for n, start in centered.module.named_parameters():
        change, held = ((t.detach().flatten(1) if t.ndim > 1 else t.detach()[:, None]).numpy() for t in (gamma * u[n], start))
        for norm, order in (("nuclear", "nuc"), ("frobenius", "fro"), ("operator", 2)):
            exact, size = np.linalg.norm(change, order), np.linalg.norm(held, order)
            found = movement.sel(norm=norm, parameter=n)
            assert float(found.absolute) == pytest.approx(exact, rel=1e-12)
            if size > 0:
                assert float(found.relative) == pytest.approx(exact / size, rel=1e-12)
            else:
                assert np.isnan(found.relative)


def outputs_of_layers(module, parameters, x):
    """What each layer of parameters gives, in a plain pass."""
    made = {}
    hooks = [m.register_forward_hook(lambda _, i, o, n=n: made.__setitem__(n, o.detach()))
             for n, m in module.named_modules() if n and m._parameters]
    functional_call(module, parameters, (x,))
    for hook in hooks:
        hook.remove()
    return made


@pytest.mark.parametrize("gamma", [1.0, 1e4])
@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_activations_against_two_passes(name, gamma):
    centered, u, x = moved_network(name, gamma)
    start = {n: p.detach() for n, p in centered.module.named_parameters()}
    before = outputs_of_layers(centered.module, start, x)
    after = outputs_of_layers(centered.module, {n: start[n] + gamma * u[n] for n in u}, x)
    movement = deepnets.activation_movement(centered, x, u).sel(end="made")
    assert set(before) == set(movement.layer.values) - {"network"}
    for n in before:
        exact = (after[n] - before[n]).square().mean().sqrt()
        assert float(movement.absolute.sel(layer=n)) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)
        assert float(movement.relative.sel(layer=n)) == pytest.approx(float(exact / before[n].square().mean().sqrt()), rel=1e-9, abs=1e-12)


def test_hidden_activations_are_what_the_readout_reads():
    centered, u, x = moved_network("mlp", 1.0)
    movement = deepnets.activation_movement(centered, x, u)
    kernels = deepnets.layer_kernels(centered, x, u)
    start = kernels.kernel - kernels.change
    assert float(movement.absolute.sel(end="read", layer="layers.0")) == 0
    size = np.sqrt(np.trace(start.sel(layer="layers.2")) / 5)
    found = movement.sel(end="read", layer="layers.2")
    assert float(found.absolute / found.relative) == pytest.approx(float(size), rel=1e-12)
    f = centered_outputs(centered, u, x)
    assert float(movement.absolute.sel(end="made", layer="layers.2")) == pytest.approx(float(f.square().mean().sqrt()), rel=1e-12)


def centered_outputs(centered, u, x):
    return deepnets.Runs.of(centered, u).outputs(x)[0]


def test_small_movement_is_proportional_to_gamma_without_a_floor():
    large, u, x = moved_network("vit", 1e-7)
    small = deepnets.Centered(large.module.requires_grad_(True), 1e-25)
    for measure in (lambda c: deepnets.weight_movement(c, u), lambda c: deepnets.activation_movement(c, x, u)):
        np.testing.assert_allclose(measure(small).absolute / 1e-25, measure(large).absolute / 1e-7, rtol=1e-5)


def test_runs_side_by_side():
    made = [moved_network("cnn", g) for g in (1e-6, 1.0)]
    x = made[0][2]
    u = {n: torch.stack([m[1][n] for m in made]) for n in made[0][1]}
    runs = deepnets.Runs(made[0][0].module.requires_grad_(True), u, torch.tensor([1e-6, 1.0], dtype=torch.float64))
    weights, activations = deepnets.weight_movement(runs), deepnets.activation_movement(runs, x)
    assert weights.absolute.dims[0] == activations.absolute.dims[0] == "run"
    for p, (centered, one, _) in enumerate(made):
        np.testing.assert_allclose(weights.absolute[p], deepnets.weight_movement(centered, one).absolute, rtol=1e-12)
        np.testing.assert_allclose(activations.relative[p], deepnets.activation_movement(centered, x, one).relative, rtol=1e-12)


def test_a_frozen_tensor_does_not_move_and_a_module_used_twice_is_one_layer():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.last = nn.Linear(3, 3, bias=False), nn.Linear(3, 1, bias=False)
            self.last.weight.requires_grad_(False)

        def forward(self, x):
            return self.last(torch.tanh(self.inner(torch.tanh(self.inner(x)))))

    torch.manual_seed(0)
    centered, x = deepnets.Centered(Twice().double(), 1.0), torch.randn(4, 3, dtype=torch.float64)
    u = {"inner.weight": torch.ones(3, 3, dtype=torch.float64)}
    assert deepnets.weight_movement(centered, u).parameter.values.tolist() == ["inner.weight"]
    assert deepnets.layer_kernels(centered, x, u).features.values.tolist() == [6]
    movement = deepnets.activation_movement(centered, x, u)
    w = centered.module.inner.weight
    read = [torch.cat([x, torch.tanh(x @ m.T)], 1) for m in (w, w + 1)]
    exact = float((read[1] - read[0]).square().mean().sqrt())
    assert float(movement.absolute.sel(end="read", layer="inner")) == pytest.approx(exact, rel=1e-12)


def test_tokens_do_not_move_and_their_embeddings_do():
    network = deepnets.Transformer(vocabulary=5, context=3, width=4, blocks=1)
    module, tokens = network.build(0).double().eval(), torch.tensor([[0, 1, 2], [4, 4, 1]])
    generator = torch.Generator().manual_seed(1)
    u = {n: torch.randn(p.shape, generator=generator, dtype=torch.float64) for n, p in module.named_parameters()}
    start = {n: p.detach() for n, p in module.named_parameters()}
    before, after = (outputs_of_layers(module, p, tokens) for p in (start, {n: start[n] + 0.1 * u[n] for n in u}))
    movement = deepnets.activation_movement(deepnets.Centered(module, 0.1), tokens, u).absolute
    assert np.isnan(movement.sel(end="read", layer="network"))                             # the tokens, which are integers
    assert float(movement.sel(end="read", layer="blocks.0.attention_norm")) > 0            # their embeddings
    for n in before:
        exact = float((after[n] - before[n]).square().mean().sqrt())
        assert exact > 0
        assert float(movement.sel(end="made", layer=n)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("call", "says"), [
    (lambda c, x: deepnets.weight_movement(c.module), "Centered"),
    (lambda c, x: deepnets.weight_movement(c, u={"layers.0.weight": x}), "shape"),
    (lambda c, x: deepnets.weight_movement(c, u={}), "empty"),
    (lambda c, x: deepnets.weight_movement(deepnets.Runs.of(c), u={"layers.0.weight": x}), "hold their own"),
    (lambda c, x: deepnets.activation_movement(c, [1.0]), "x must be a tensor")])
def test_misuse_says_what_is_allowed(call, says):
    centered, _, x = moved_network("mlp", 1.0)
    with pytest.raises(Misuse, match=says):
        call(centered, x)
