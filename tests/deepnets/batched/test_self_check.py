"""The comparison of a network's stack with float64 copies: what passes, what is found, and what is settled by a finite difference."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import MLP, DeepExperiment, FellBack, Unsupported
from deepnets.batched import self_check
from deepnets.batched.copies_stack import CopiesStack
from deepnets.batched.self_check import find_disagreement
from deepnets.batched.stack import choose_stack
from deepnets.centered import pair
from tests.deepnets.batched.own_networks import ALLOW_PAIRS, DIGITS, NEED_COPIES, Plain, build
from tests.deepnets.batched.test_copies_stack import ETA, GAMMA, experiment
from tests.deepnets.oracle import NETWORKS

BATCHES = [DIGITS.batch(0, step, 8)[0] for step in (0, 1)]


def disagreement(module, batches=BATCHES, out=10):
    return find_disagreement(choose_stack(module), module, batches, (len(batches[0]), out))


@pytest.mark.parametrize("name", ALLOW_PAIRS)
def test_right_pairs_pass(name):
    assert disagreement(build(ALLOW_PAIRS[name])) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_pairs_of_common_networks_pass(name):
    module, shape = NETWORKS[name]()
    wrapped = nn.Sequential(module, nn.Flatten())
    x = [torch.randn(6, *shape, generator=torch.Generator().manual_seed(s)) for s in (0, 1)]
    assert disagreement(wrapped, x, wrapped(x[0]).shape[1]) is None


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
@pytest.mark.parametrize("name", NEED_COPIES)
def test_every_network_that_needs_copies_has_them(name):
    made = experiment(NEED_COPIES[name])
    with pytest.warns(FellBack):
        made.check()
    assert made.rules()["method"] == "copies"


class WrongBackward(torch.autograd.Function):
    """The right value, and a wrong gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, g):
        return 1.01 * g


@pytest.mark.parametrize(("wrong", "found"), [(lambda p: pair.Pair(p.v0, 1.01 * p.d, p.scale), "off by"),
                                              (lambda p: pair.Pair(p.v0, WrongBackward.apply(p.d), p.scale), "gradient")])
def test_a_rule_that_is_off_by_a_hundredth_is_found(monkeypatch, wrong, found):
    right = pair.RULES["fallback"]
    monkeypatch.setitem(pair.RULES, "fallback", lambda func, *a, **k: wrong(right(func, *a, **k)))
    assert found in disagreement(build(Plain))
    with pytest.warns(FellBack, match=r"in the self-check the .* was off by"):
        experiment(Plain).check()
    with pytest.raises(Unsupported, match=r"in the self-check the .* was off by"):
        experiment(Plain, method="pairs").check()


def test_wrong_copies_do_not_replace_right_pairs(monkeypatch):
    # without the widening of casts, copies of a norm that casts to float32 are off at the small gamma
    from deepnets.centered import widening

    module = build(ALLOW_PAIRS["CastingNorm"])
    monkeypatch.setattr(widening.Widening, "__torch_function__", lambda _, f, types, args=(), kwargs=None: f(*args, **kwargs or {}))
    u = {n: d[:1] for n, d in self_check._draw(module, 0.3).items()}
    copies = CopiesStack(module).outputs(u, torch.tensor([1e-6], dtype=torch.float64), BATCHES[0].double())
    pairs = choose_stack(module).outputs({n: d.float() for n, d in u.items()}, torch.tensor([1e-6]), BATCHES[0])
    assert (copies - pairs).norm() > 1e-2 * pairs.norm()
    assert disagreement(module) is None
    monkeypatch.setattr(self_check, "SETTLED", 0.0)
    assert "value at gamma = 1e-06" in disagreement(module)


def test_the_packages_own_networks_are_not_compared(monkeypatch):
    monkeypatch.setattr(self_check, "find_disagreement", lambda *a: pytest.fail("compared"))
    made = DeepExperiment(MLP(64, 8, 2, 10), DIGITS, steps=3, batch_size=8, device="cpu")
    made.check()
    assert "method" not in made.rules()


def test_a_check_is_made_once_for_all_seeds(monkeypatch):
    from deepnets import network_check

    calls, ours = [], network_check.find_disagreement
    monkeypatch.setattr(network_check, "find_disagreement", lambda *a: calls.append(1) or ours(*a))
    made = experiment(Plain)
    made.check()
    made.with_seeds((1, 2)).measure(GAMMA[:1], ETA[:1])
    assert len(calls) == 1


def test_a_check_takes_less_time_than_ten_steps():
    module = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.GELU(), nn.Flatten(), nn.Linear(576, 10))
    stack, gamma = choose_stack(module), torch.logspace(-5, 0, 32)
    u = {n: torch.zeros(32, *p.shape) for n, p in module.named_parameters()}
    x, y = DIGITS.batch(0, 0, 128)
    running = stack.start(32)

    def measure(run):
        start = time.process_time()
        run()
        return time.process_time() - start

    from deepnets.losses import as_loss

    loss = as_loss("cross_entropy")
    batches = [x, DIGITS.batch(0, 1, 128)[0]]
    stack.gradients(u, gamma, x, y, loss, running)
    assert disagreement(module, batches) is None
    step = np.median([measure(lambda: stack.gradients(u, gamma, x, y, loss, running)) for _ in range(3)])
    assert min(measure(lambda: disagreement(module, batches)) for _ in range(2)) < 10 * step
