"""Float64 copies against a plain loop of two networks: what pairs do not take, states of a network's own, random draws, dropped runs."""

import numpy as np
import pytest
import torch

from deepnets import DeepExperiment, FellBack, Unsupported
from deepnets.batched.copies_stack import CopiesStack
from deepnets.losses import as_loss
from deepnets.optimizers import as_optimizer
from deepnets.phenomena import watch
from deepnets.training import Recipe, train
from tests.deepnets.batched.own_networks import (
    ALLOW_PAIRS,
    DIGITS,
    NEED_COPIES,
    KeptTensor,
    Noisy,
    OwnAverage,
    Plain,
    Recurrent,
    build,
    train_plainly,
    widened,
)
from validation import Misuse, Outcome

GAMMA = np.array([1e-6, 1.0, 100.0])
ETA = np.array([2e-13, 0.2, 20.0])


def losses_of(module, stack, gamma=GAMMA, eta=ETA, loss="mse", steps=12):
    names = [n for n, p in module.named_parameters() if p.requires_grad]
    recipe = Recipe(DIGITS, as_loss(loss), as_optimizer("sgd"), np.ones(steps - 1), dict.fromkeys(names, 1.0), 16)
    return train(module, stack, recipe, gamma, eta, 0).losses


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", [*NEED_COPIES, *(n for n in ALLOW_PAIRS if n not in ("Noisy", "CastingNorm"))])
def test_copies_are_trained_as_a_plain_loop_trains_them(name):
    module = build((NEED_COPIES | ALLOW_PAIRS)[name])
    found = losses_of(widened(module), CopiesStack(module))
    expected = np.stack([train_plainly(module, g, e) for g, e in zip(GAMMA, ETA, strict=True)], 1)
    assert not np.allclose(expected[0], expected[-1], rtol=1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_copies_train_cross_entropy():
    module = build(Recurrent)
    found = losses_of(widened(module), CopiesStack(module), loss="cross_entropy")
    np.testing.assert_allclose(found, np.stack([train_plainly(module, g, e, "cross_entropy") for g, e in zip(GAMMA, ETA, strict=True)], 1),
                               rtol=1e-8)


@pytest.mark.parametrize("make", [Noisy, OwnAverage])
def test_a_random_draw_is_the_same_in_all_networks(make):
    # at a tiny gamma another draw in the frozen network would give a loss of 1/gamma**2
    module = widened(build(make))
    found = losses_of(module, CopiesStack(module), GAMMA[:2], ETA[:2])
    expected = np.stack([train_plainly(module, g, e) for g, e in zip(GAMMA[:2], ETA[:2], strict=True)], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_a_dropped_run_leaves_the_states_of_the_others_to_them():
    module = widened(build(KeptTensor))
    alone = losses_of(module, CopiesStack(module), GAMMA[1:], ETA[1:], steps=40)
    beside = losses_of(module, CopiesStack(module), np.insert(GAMMA[1:], 0, 1.0), np.insert(ETA[1:], 0, 1e12), steps=40)
    assert not np.isfinite(beside[30:, 0]).any()
    np.testing.assert_array_equal(alone, beside[:, 1:])


class Picks(Plain):
    """Raises on numbers that are not finite."""

    def forward(self, x):
        h = self.a(x)
        torch.multinomial(h.detach().softmax(-1), 1)
        return self.b(torch.tanh(h))


def test_a_run_whose_parameters_are_not_finite_has_diverged():
    portrait = experiment(Picks, method="copies").measure(np.ones(1), np.array([[0.1, 1e300]]))
    assert portrait.outcome.values.ravel().tolist()[1] == Outcome.DIVERGED


def test_an_evaluation_changes_neither_state_nor_draws():
    module = widened(build(KeptTensor))
    stack, u = CopiesStack(module), {n: torch.zeros(2, *p.shape, dtype=p.dtype) for n, p in module.named_parameters()}
    state, gamma, x = stack.start(2), torch.ones(2, dtype=torch.float64), DIGITS.batch(0, 0, 4)[0].double()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    stack.outputs(u, gamma, x, state)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(m.average, torch.zeros(12)) for m in (state.frozen, *state.moved))
    assert module.training


def experiment(make, **more):
    return DeepExperiment(lambda seed: make(), DIGITS, steps=12, batch_size=16, device="cpu", curves=2, **more)


def test_an_experiment_falls_back_to_copies_with_the_reason_and_its_line():
    made = experiment(OwnAverage)
    line = OwnAverage.forward.__code__.co_firstlineno + 3
    with pytest.warns(FellBack, match=rf"OwnAverage: add_ writes a pair into a plain tensor.*own_networks\.py, line {line}"):
        portrait = made.measure(GAMMA, ETA[:, None])
    assert (portrait.attrs["method"], portrait.attrs["dtype"]) == ("copies", "float64")
    explicit = experiment(OwnAverage, method="copies").measure(GAMMA, ETA[:, None])      # a warning would be an error here
    for name in ("final_excess", "final_accuracy", "held_out_loss"):
        np.testing.assert_array_equal(portrait[name], explicit[name])
    assert (portrait.outcome != Outcome.FAILED).all()
    with pytest.raises(Unsupported, match="add_ writes a pair"):
        experiment(OwnAverage, method="pairs").check()


def test_copies_and_pairs_of_one_network_agree():
    portraits = {method: experiment(Plain, method=method).measure(GAMMA, ETA[:, None]) for method in ("auto", "pairs", "copies")}
    assert {m: p.attrs["method"] for m, p in portraits.items()} == {"auto": "pairs", "pairs": "pairs", "copies": "copies"}
    for name in ("final_excess", "held_out_loss"):
        np.testing.assert_allclose(portraits["pairs"][name], portraits["copies"][name], rtol=1e-4)
        np.testing.assert_array_equal(portraits["pairs"][name], portraits["auto"][name])


def test_a_description_names_copies_only_where_they_are_chosen():
    plain, pairs, copies = (experiment(Plain, method=m).describe() for m in ("auto", "pairs", "copies"))
    assert plain == pairs == {k: v for k, v in copies.items() if k != "method"}
    assert copies["method"] == "copies"


def test_observables_of_copies_are_refused_by_name():
    with pytest.raises(Unsupported, match="Plain is trained as float64 copies"):
        watch(experiment(Plain, method="copies"), 1.0, 0.1, at=(0,), observe={"norm": lambda s: np.zeros(len(s.which))})


class Embedded(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rows = torch.nn.Embedding(17, 10, sparse=True)

    def forward(self, x):
        return self.rows((x * 16).long().clamp(0, 16)).mean(1)


def test_sparse_gradients_are_trained():
    module = widened(build(Embedded))
    expected = np.stack([train_plainly(module, g, e) for g, e in zip(GAMMA, ETA, strict=True)], 1)
    # the outputs move by a hundredth of their size: subtracting them at gamma = 1e-6 leaves 1e-16/1e-6/0.01
    np.testing.assert_allclose(losses_of(module, CopiesStack(module)), expected, rtol=1e-7)
    experiment(Embedded, method="copies").check()


def test_gradient_hooks_on_parameters_are_refused():
    def make():
        module = Plain()
        module.a.weight.register_hook(lambda g: g / 2)
        return module

    with pytest.raises(Misuse, match=r"gradient hooks .* a\.weight of Plain"):
        experiment(make).check()


class ClipsByHook(Plain):
    def forward(self, x):
        h = torch.tanh(self.a(x))
        if h.requires_grad:
            h.register_hook(lambda g: g.clamp(-1e-4, 1e-4))
        return self.b(h)


class Normalised(torch.autograd.Function):
    """The identity, whose backward gives a gradient of norm 0.01."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return 1e-2 * g / g.norm().clamp(min=1e-300)


class NormalisesGradient(Plain):
    def forward(self, x):
        return self.b(Normalised.apply(torch.tanh(self.a(x))))


@pytest.mark.parametrize("make", [ClipsByHook, NormalisesGradient])
def test_a_backward_that_is_not_linear_has_the_loss_s_gradient_in_theta(make):
    module, gamma, eta = build(make), np.array([1e-4, 1.0, 1e4]), np.array([2e-9, 0.2, 2e3])
    expected = np.stack([train_plainly(module, g, e) for g, e in zip(gamma, eta, strict=True)], 1)
    np.testing.assert_allclose(losses_of(widened(module), CopiesStack(module), gamma, eta), expected, rtol=1e-8)


@pytest.mark.parametrize("gamma", [1e-30, 1e30])
def test_gradients_of_copies_at_extreme_gammas(gamma):
    # at u = 0 the gradient in u does not depend on gamma
    module = widened(build(Plain))
    x, y = DIGITS.batch(0, 0, 8)
    u = {n: torch.zeros(2, *p.shape, dtype=p.dtype) for n, p in module.named_parameters()}
    loss = as_loss("mse")
    _, gradient = CopiesStack(module).gradients(u, torch.tensor([1.0, gamma], dtype=torch.float64), x.double(),
                                                loss.target(y, 10, torch.float64), loss)
    for g in gradient.values():
        assert g[0].abs().max() > 0
        torch.testing.assert_close(g[1], g[0], rtol=1e-12, atol=1e-300)
