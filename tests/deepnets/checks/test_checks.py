"""Coordinate, depth and transfer checks: the slopes' statistics, movements against two plain networks, verdicts of both kinds, refusals."""

import os

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from deepnets import MLP, DeepExperiment, ResidualMLP, coordinate_check, depth_check, tasks, transfer_check
from deepnets.checks.movement import measure_movement
from validation import Misuse, judge_flat

DIGITS = tasks.digits()
WIDTHS = (16, 32, 64, 128)


def mlp(parametrization):
    return lambda width: MLP(64, width, 3, 10, parametrization=parametrization)


def residual(parametrization):
    return lambda blocks: ResidualMLP(64, 32, blocks, 10, parametrization=parametrization)


@pytest.mark.parametrize("base", [2, 10])
def test_slopes_are_students(base):
    sizes = np.array([8.0, 16.0, 48.0, 100.0, 300.0])
    log = 0.3 * np.log(sizes) / np.log(base) + np.random.default_rng(3).normal(0, 0.05, (6, 5))
    found = judge_flat(sizes, 10**log, 0.1, "h", base=base)
    slopes = [stats.linregress(np.log(sizes) / np.log(base), row).slope for row in log]
    expected = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    assert found.measured == pytest.approx(np.mean(slopes), rel=1e-9)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.outcome == "CONTRADICTED"
    assert judge_flat(sizes, 10**log, 0.5, "h", base=base).outcome == "SUPPORTED"
    assert judge_flat(sizes, 10**log, abs(found.measured), "h", base=base).outcome == "UNDECIDED"
    wider = judge_flat(sizes, 10**log, 0.1, "h", base=base, off=0.02)
    tilted = np.sign(sizes - np.exp(np.log(sizes).mean())) * 0.02                   # the worst that 0.02 decades can do
    turned = stats.linregress(np.log(sizes) / np.log(base), tilted).slope
    assert wider.interval[1] - found.interval[1] == pytest.approx(turned, rel=1e-9)


@pytest.mark.parametrize("gap", [np.nan, np.inf, 0.0])
def test_a_missing_value_is_undecided_and_named(gap):
    values = np.ones((2, 4))
    values[1, 2] = gap
    found = judge_flat([1.0, 2, 4, 8], values, 0.1, "h", missing="it is gone")
    assert found.outcome == "UNDECIDED"
    assert "it is gone, at width 4 with seed no. 2" in found.sentence


def test_movement_is_that_of_two_plain_networks():
    network, gamma, eta = MLP(64, 24, 3, 10, nonlinearity="gelu"), 0.7, 3.0
    experiment = DeepExperiment(network, DIGITS, batch_size=16, precision="float64", device="cpu")
    found = measure_movement(experiment, gamma, eta, 3, seed=5)
    start, trained = (network.build(5).double() for _ in range(2))
    for step in range(3):
        x, y = DIGITS.batch(5, step, 16)
        centred = (trained(x.double()) - start(x.double()).detach()) / gamma
        (centred - torch.eye(10)[y]).square().mean().div(2).backward()
        with torch.no_grad():
            for p in trained.parameters():
                p -= 24 * eta * p.grad
                p.grad = None
    x = DIGITS.batch(5, 3, 16)[0].double()
    hidden = []
    for net in (start, trained):
        h, outs = x, []
        for i, layer in enumerate(net.layers):
            outs.append(layer(h))
            h = nn.functional.gelu(outs[-1]) if i < 2 else outs[-1]
            outs.append(h)
        hidden.append(outs)
    rms = [(b - a).square().mean().sqrt().item() for a, b in zip(*hidden, strict=True)]
    assert list(found.layers) == ["layers.0", "layers.1", "layers.2"]
    assert list(found.layers.values()) == pytest.approx(rms[::2], rel=1e-8)
    assert found.read == pytest.approx(rms[3], rel=1e-8)
    assert found.output == pytest.approx(rms[4] / gamma, rel=1e-8)


def test_a_frozen_layer_is_none_and_attention_is_one():
    class Attends(nn.Module):
        def __init__(self, seed):
            super().__init__()
            torch.manual_seed(seed)
            self.frozen, self.heads, self.last = nn.Linear(64, 64), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(64, 10)
            self.frozen.requires_grad_(False)

        def forward(self, x):
            h = self.frozen(x).unflatten(1, (8, 8))
            return self.last(self.heads(h, h, h, need_weights=False)[0].flatten(1))

    found = measure_movement(DeepExperiment(lambda seed: Attends(seed), DIGITS, batch_size=8, device="cpu"), 1.0, 0.1, 2, 0)
    assert set(found.layers) == {"heads", "last"}      # of the attention, its projections are no calls of their own
    assert all(v > 0 for v in found.layers.values())


def test_coordinates_are_independent_of_width_under_mup_and_not_under_ntk():
    mup, ntk = (coordinate_check(mlp(p), DIGITS, device="cpu") for p in ("mup", "ntk"))
    assert mup.outcome == "SUPPORTED"
    assert max(abs(s) for s in mup.slopes.values()) < 0.15
    assert ntk.outcome == "CONTRADICTED"
    assert ntk.slopes["layers.0"] < -0.4
    assert ntk.slopes["layers.1"] < -0.4
    assert ntk.verdicts["layers.2"].outcome == "SUPPORTED"                         # the function moves as much
    assert ntk.verdict is ntk.verdicts["layers.1"]
    assert dict(ntk.data.sizes) == {"quantity": 3, "seed": 8, "width": 4}
    table = str(ntk).splitlines()
    assert "width 32 to 256, 8 seeds: CONTRADICTED within 0.15" in table[0]
    assert [line.split()[0] for line in table[2:]] == list(ntk.verdicts)
    again = coordinate_check(mlp("ntk"), DIGITS, device="cpu")
    assert again.slopes == ntk.slopes


def test_coordinates_of_your_own_module():
    def own(width):
        def built(seed):
            torch.manual_seed(seed)
            return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))
        return built

    found = coordinate_check(own, DIGITS, widths=WIDTHS, eta=0.1, device="cpu")
    # torch's own initialisation at one rate: the last layer's gradients sum over units, and its step grows with the width
    assert found.outcome == "CONTRADICTED"
    wide = coordinate_check(own, DIGITS, widths=WIDTHS, eta=0.1 / 16, rate_width=lambda n: n, device="cpu")
    assert wide.slopes["4"] > found.slopes["4"] + 0.5
    diverged = coordinate_check(mlp("mup"), DIGITS, widths=WIDTHS, eta=1e30, seeds=(0, 1), device="cpu")
    assert diverged.outcome == "UNDECIDED"
    assert "diverged" in diverged.verdict.sentence


@pytest.mark.slow
@pytest.mark.parametrize(("parametrization", "outcome"), [("depth_mup", "SUPPORTED"), ("mup", "CONTRADICTED")])
def test_depth(parametrization, outcome):
    found = depth_check(residual(parametrization), DIGITS, blocks=(1, 2, 3, 4), seeds=(0, 1, 2), steps=20, scan=(20, 200), tolerance=0.5,
                        device="cpu")
    assert found.outcome == outcome
    assert list(found.verdicts) == ["function", "stream", "top eta"]
    assert (found.slopes["function"] < 0.35) == (outcome == "SUPPORTED")


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="a minute; the same check in small above; LAZYRICH_PATIENT=1 runs it")
def test_depth_with_the_default_sizes():
    found = depth_check(lambda n: ResidualMLP(64, 32, n, 10), DIGITS, device="cpu")
    assert {str(v.outcome) for v in found.verdicts.values()} == {"SUPPORTED"}
    assert list(found.data["blocks"].values) == [2, 4, 8, 16]


def test_the_best_eta_stays_under_mup_and_not_under_ntk():
    rates = np.logspace(0.8, 2.4, 17)
    mup = transfer_check(mlp("mup"), DIGITS, WIDTHS, eta=rates, steps=60, batch_size=32, device="cpu")
    assert mup.outcome == "SUPPORTED"
    # gamma of NTK that is muP's 1 at width 16
    ntk = transfer_check(mlp("ntk"), DIGITS, WIDTHS, gamma=4.0, eta=16 * rates, steps=60, batch_size=32, device="cpu")
    assert ntk.outcome == "CONTRADICTED"
    assert 0.1 < ntk.verdict.measured < 0.3
    rim = transfer_check(mlp("mup"), DIGITS, WIDTHS, eta=np.logspace(-2, -1, 5), steps=10, batch_size=8, seeds=(0, 1), device="cpu")
    assert rim.outcome == "UNDECIDED"
    assert "no best eta inside the grid" in rim.verdict.sentence


@pytest.mark.parametrize(("check", "change", "named"), [
    (coordinate_check, {"widths": (8, 16, 32)}, "widths"), (coordinate_check, {"widths": (8, 16, 16, 32)}, "widths"),
    (coordinate_check, {"widths": (8, 16, 32, 64.5)}, "widths"), (coordinate_check, {"gamma": 0}, "gamma"),
    (coordinate_check, {"eta": -1}, "eta"), (coordinate_check, {"early": 0}, "early"), (coordinate_check, {"tolerance": 0}, "tolerance"),
    (coordinate_check, {"seeds": (0,)}, "seeds"), (coordinate_check, {"rate_width": 8}, "rate_width"),
    (coordinate_check, {"speed": 8}, "speed"), (coordinate_check, {"loss": "mae"}, "loss"), (depth_check, {"blocks": (1, 2)}, "blocks"),
    (depth_check, {"scan": (1, 0.1)}, "scan"), (depth_check, {"scan": 1}, "scan"), (transfer_check, {"eta": (1, 2)}, "eta"),
    (transfer_check, {"eta": (1, 3, 2, 4, 5)}, "eta"),
])
def test_misuse(check, change, named):
    with pytest.raises(Misuse, match=named):
        check(mlp("mup"), DIGITS, **{"device": "cpu"} | change)


@pytest.mark.parametrize("network", [MLP(64, 8, 2, 10), MLP, "mlp"])
def test_a_network_is_not_a_family_of_them(network):
    with pytest.raises(Misuse, match="network_of_width"):
        coordinate_check(network, DIGITS)


def test_layers_must_agree_between_widths():
    with pytest.raises(Misuse, match="same layers"):
        coordinate_check(lambda n: MLP(64, n, 2 if n < 64 else 3, 10), DIGITS, widths=WIDTHS, device="cpu")
