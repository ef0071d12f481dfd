"""A network's place: the crossing against closed forms and planted multipliers, the highest rate against known edges, and abstentions."""

import numpy as np
import pytest
import torch
from torch import nn

import deepnets
from deepnets import MLP, Centered, DeepExperiment, tasks
from deepnets.network_factory import build_network
from deepnets.place.centred_batch import CentredBatch
from deepnets.place.crossing import MOST_READINGS, find_crossing
from deepnets.place.placement import name_regime
from deepnets.place.rate_ramp import bisect_rate, bracket_rate, find_rise
from validation import Misuse

TEACHER = tasks.teacher(8)


class Points:
    """Regression on fixed one-dimensional points, as many as are wanted, repeated."""

    in_shape, out_features, classes = (1,), 1, None

    def __init__(self, x=(1.0,), y=(1.0,)):
        self.x, self.y = (torch.tensor(v, dtype=torch.float64)[:, None] for v in (x, y))

    def batch(self, seed, step, size):
        which = torch.arange(size) % len(self.x)
        return self.x[which], self.y[which]

    def held_out(self):
        return self.batch(0, 0, len(self.x))

    def describe(self):
        return {"name": "points"}


class Product(nn.Module):
    """``scale u v x`` with u = v = a at the start."""

    def __init__(self, a):
        super().__init__()
        self.u, self.v = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(a))

    def forward(self, x):
        return self.u * self.v * x


class Times(nn.Module):
    """A module times a number."""

    def __init__(self, module, factor):
        super().__init__()
        self.module, self.factor = module, factor

    def forward(self, x):
        return self.factor * self.module(x)


def perceptron(seed, outputs=1):
    return nn.Sequential(nn.Linear(8, 24), nn.Tanh(), nn.Linear(24, outputs))


def experiment(network, task=TEACHER, **more):
    return DeepExperiment(network, task, **{"device": "cpu", "batch_size": 16, "steps": 200} | more)


@pytest.mark.parametrize("a", [0.1, 3.0])
def test_the_crossing_of_a_product_is_that_of_its_closed_form(a):
    # u^2 - v^2 is conserved, so u v = a^2 + gamma f~ and K/K_0 = 1 + gamma f~/a^2, with f~ = 1 - 1/sqrt(2) where half the loss is left
    found = find_crossing(experiment(lambda seed: Product(a), Points()))
    assert found.gamma == pytest.approx(a**2 / (1 - 0.5**0.5), rel=0.02)
    assert found.interval is None
    assert len(found.readings[0]) <= MOST_READINGS


def test_a_planted_multiplier_is_recovered():
    reference = find_crossing(experiment(perceptron, seeds=(10, 11, 12)))
    low, high = (find_crossing(experiment(lambda seed, f=f: Times(perceptron(seed), f), seeds=(0, 1, 2))) for f in (0.02, 30.0))
    for found, factor in ((low, 0.02), (high, 30.0)):
        assert abs(np.log10(found.gamma / factor / reference.gamma)) < 0.15
        assert max(map(len, found.readings)) <= MOST_READINGS
        assert found.interval[0] < found.gamma < found.interval[1]
    # the multiplier and gamma enter only together: the same networks cross at the same place, up to the search
    np.testing.assert_allclose(np.divide(low.by_seed, 0.02), np.divide(high.by_seed, 30.0), rtol=0.1)


@pytest.mark.parametrize("parametrization", ["mup", "ntk"])
def test_the_kernel_is_that_of_ntk_with_the_rates_of_sgd(parametrization):
    spec = MLP(8, 12, 3, 3, parametrization=parametrization)
    batch = CentredBatch(experiment(spec, tasks.teacher(8, out_features=3), precision="float64"), 0, 6)
    module = spec.build(0).double()
    x = tasks.teacher(8, out_features=3).batch(0, 0, 6)[0].double()
    expected = deepnets.ntk(Centered(module, 1.0), x, rates=spec).reshape(18, 18)
    np.testing.assert_allclose(batch.kernel(batch.theta_0).numpy(), expected, rtol=1e-6, atol=1e-6 * expected.max())


def test_normalisation_over_the_batch_uses_the_batch():
    module = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1)).double()
    batch = CentredBatch(experiment(lambda seed: module, precision="float64"), 0, 20)
    with torch.no_grad():
        expected = module.train()(TEACHER.batch(0, 0, 20)[0].double())
    torch.testing.assert_close(batch.f_0, expected)
    assert batch.kernel(batch.theta_0).shape == (20, 20)


class Constant(nn.Module):
    """An output that its parameter does not enter, but for a factor of zero."""

    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return 0 * self.p * x


class Bias(Constant):
    """The same output for every input."""

    def forward(self, x):
        return self.p + 0 * x


@pytest.mark.parametrize(("make", "task", "sentence"), [
    (lambda: nn.Linear(8, 1), TEACHER, "does not change at any gamma"),
    (Constant, Points(), "constant near its initialization"),
    (Bias, Points((0.0, 0.0), (1.0, -1.5)), "did not halve the loss")])
def test_the_crossing_abstains_with_a_reason(make, task, sentence):
    found = find_crossing(experiment(lambda seed: make(), task))
    assert found.gamma is None
    assert found.interval is None
    assert sentence in found.reason
    assert found.linear == ("any gamma" in sentence)


def test_bad_input_is_one_sentence():
    frozen = nn.Linear(8, 1).requires_grad_(False)
    cases = {"eta must be finite and above zero": (nn.Linear(8, 1), TEACHER, {"eta": 0}),
             "network must have trainable": (frozen, TEACHER, {}),
             "inputs must be finite": (nn.Linear(1, 1), Points((1.0, np.nan), (1.0, 1.0)), {}),
             "targets must be finite": (nn.Linear(1, 1), Points((1.0, 2.0), (1.0, np.inf)), {}),
             "not the class Linear": (nn.Linear, TEACHER, {})}
    for sentence, (network, task, more) in cases.items():
        with pytest.raises(Misuse, match=sentence):
            deepnets.where(network, task, **more)


def test_the_bracket_holds_the_edge_of_a_linear_network():
    # full batches, half the squared error: eta_max is 2 over the largest eigenvalue of the inputs' second moments
    task = tasks.full_batch(tasks.linear((1.0,), dim=6, out_features=1))
    x = task.batch(0, 0, 16)[0].double()
    edge = 2 / float(torch.linalg.eigvalsh(x.T @ x / 16)[-1])
    found = bracket_rate(experiment(lambda seed: nn.Linear(6, 1, bias=False), task))
    assert found.low / 1.1 < edge < found.high * 1.1
    assert found.high / found.low <= 4
    assert found.steps <= 600


def test_the_bracket_of_adam_holds_within_a_factor_of_2_at_200_steps():
    network = experiment(perceptron, optimizer="adam")
    found = bracket_rate(network)
    tails = network.measure(np.ones(1), np.array([found.low / 2, found.high * 2])).tail_excess.values.ravel()
    assert tails[0] <= 0.5 < tails[1]


def test_a_bisection_and_a_rise_of_planted_edges():
    for start, width in ((0.31, 4), (0.29, 4), (0.07, 2), (5.0, 1)):      # the strides that it takes leave 2, 2, 1 and no bisections
        found = bisect_rate(lambda eta: eta < 0.3, start, lambda: 7)
        assert found.low < 0.3 <= found.high
        assert (found.high / found.low, found.steps) == (pytest.approx(4 ** (1 / width)), 7)
    assert "none of 4 constant rates from 2 down" in bisect_rate(lambda eta: False, 2.0, lambda: 0).reason
    assert "all of 4 constant rates from 2 up" in bisect_rate(lambda eta: True, 2.0, lambda: 0).reason
    rates = np.arange(1.0, 7.0)
    assert find_rise(np.array([1, 0.9, 0.4, 0.45, 0.6, np.inf]), rates, 0.5) == 5.0
    assert find_rise(np.array([1, 0.9, 0.8, 0.9, 1.0, np.inf]), rates, 0.5) == 5.0
    assert find_rise(np.array([1, 0.9, 0.8, 0.7, 0.6, 0.5]), rates, 0.5) is None


def test_where_states_regime_rates_and_what_is_missing():
    lazy = deepnets.where(lambda seed: Times(nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10)), 1e3), tasks.digits(),
                          loss="cross_entropy", seeds=(0,))
    assert (lazy.regime, lazy.bracket, lazy.eta) == ("lazy", None, None)
    assert "no upper edge" in lazy.abstained["bracket"]
    assert "one seed" in lazy.abstained["interval"]
    module = Times(build_network(perceptron, 0), 0.02)
    rich = deepnets.where(module, TEACHER, optimizer="adamw", eta=1e-4, batch_size=16, seeds=(0, 1), steps=1000)
    assert rich.regime == "rich"
    assert rich.interval[0] < rich.decades < rich.interval[1]
    assert rich.eta == rich.bracket[0] / 3
    assert rich.ratio == pytest.approx(1e-4 / np.sqrt(np.prod(rich.bracket)))
    assert set(rich.abstained) == {"initialization", "geometry", "horizon"}
    assert rich.cost == rich.rates.steps + rich.crossing.gradients
    assert f"{rich.bracket[1]:.3g}, up to a factor of 4." in rich.sentence
    assert rich.report().startswith(f"Rich: gamma lies {rich.decades:.2f} decades above the crossing")


def test_regimes_begin_half_a_decade_from_the_crossing():
    assert [name_regime(d) for d in (None, -0.6, -0.4, 0.4, 0.6)] == [None, "lazy", "between", "between", "rich"]
