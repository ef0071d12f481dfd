"""The self-check of `Centered`, its fallback to two float64 copies, and the choice of method auto."""

import warnings

import pytest
import torch
from torch import nn

from deepnets import Centered, FellBack, Unsupported
from tests.deepnets.oracle import NETWORKS, centred_by_hand, distance, encoder, inputs, mlp, place, random_u


class Reads(nn.Module):
    """Scales by a number read from a tensor: a difference cannot be propagated through it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        h = self.layer(x)
        return h * h.square().mean().item()


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g


class WrongGradient(nn.Module):
    """A custom function with the right value and a wrong gradient."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return Own.apply(self.layer(x))


@pytest.mark.parametrize(("made", "named"), [(Reads, "item"), (WrongGradient, "WrongGradient")])
def test_falls_back_with_a_warning(made, named):
    torch.manual_seed(0)
    module, x = made(), inputs((4,))
    centered = Centered(module, 1e-3)
    with pytest.warns(FellBack, match=named):
        centered(x)
    assert centered.chosen == "float64"
    u = random_u(module)
    place(centered, u)
    with warnings.catch_warnings():
        warnings.simplefilter("error")          # once
        assert distance(centered(x).detach(), centred_by_hand(module, u, 1e-3, x)) < 1e-6


def test_pairs_name_the_operation_they_do_not_support():
    centered = Centered(Reads(), 1e-3, "pairs")
    with pytest.raises(Unsupported, match=r"item.*float64"):
        centered(inputs((4,)))


def test_the_self_check_accepts_right_rules():
    for make in NETWORKS.values():
        module, shape = make()
        centered = Centered(module, 1e-6)
        centered(inputs(shape))                 # a warning would be an error here
        assert centered.chosen == "pairs"
    noisy = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    centered = Centered(noisy, 1e-6)
    centered(inputs((4,)))
    assert (centered.chosen, centered.training, centered.module.training) == ("pairs", True, True)


def test_the_self_check_can_fail(monkeypatch):
    from deepnets.centered import pair

    right = pair.RULES["relu"]
    monkeypatch.setitem(pair.RULES, "relu", lambda func, x, inplace=False: right(func, x) * 1.01)
    with pytest.warns(FellBack, match="relative error"):
        Centered(mlp()[0], 1e-3)(inputs((12,)))


def test_rounding_at_kinks_does_not_fail_the_self_check(monkeypatch):
    # in float32, rounding switches units near their kink, a per cent of a wide network's gradient; in float64 the rule passes
    from deepnets.centered import centered

    monkeypatch.setitem(centered.ALLOWED, torch.float32, 1e-12)
    centered = Centered(mlp()[0], 1e-3)
    centered(inputs((12,)))
    assert centered.chosen == "pairs"
    monkeypatch.setattr(Centered, "_right_in_double", lambda *_: False)
    with pytest.warns(FellBack, match="relative error"):
        Centered(mlp()[0], 1e-3)(inputs((12,)))


@pytest.mark.parametrize(("gamma", "dtype", "chosen"), [(0, torch.float32, "pairs"), (0.099, torch.float32, "pairs"),
                                                        (0.1, torch.float32, "two_copy"), (1e-7, torch.float64, "two_copy")])
def test_auto_chooses_by_gamma_and_precision(gamma, dtype, chosen):
    assert Centered(mlp()[0].to(dtype), gamma).chosen == chosen


def test_an_error_of_the_module_itself_is_raised_unchanged():
    centered = Centered(encoder()[0], 1e-6)
    with pytest.raises(AssertionError, match="was expecting embedding dimension of 12, but got 13"):
        centered(torch.randn(2, 5, 13))
    centered(torch.randn(2, 5, 12))
    assert centered.chosen == "pairs"
