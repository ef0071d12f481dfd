"""Levels of lazy edges: closed forms of a linear model, dense kernels, plain loops, trained runs, and what is abstained from."""

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import nn

import deepnets
from deepnets import tasks
from deepnets.kernels.training_kernel import TrainingKernel
from deepnets.lazy_edges import lazy_levels
from deepnets.lazy_edges.level import Levels, SeedLevel
from deepnets.lazy_edges.upper_edge import StabilityEdge
from deepnets.tasks.task import draw_batch
from validation import judge_curve, locate
from validation.arguments import Misuse
from validation.plane import Plane

GAMMAS = np.array([1e-6, 1e-5, 1e-4, 3e-4])


class Fixed:
    """A task with one batch."""

    def __init__(self, x, y):
        self.x, self.y, self.in_shape, self.out_features = x, y, tuple(x.shape[1:]), 3
        self.classes = None if y.is_floating_point() else 3

    def batch(self, seed, step, size):
        return self.x, self.y

    def held_out(self):
        return self.x, self.y

    def describe(self):
        return {"name": "fixed"}


class Fresh(Fixed):
    """Samples of another batch at each step, the inputs scaled by a power of normal numbers."""

    def __init__(self, power=0.0):
        self.power = power
        super().__init__(*self.batch(0, 0, 4))

    def batch(self, seed, step, size):
        source = torch.Generator().manual_seed(1000 * seed + step)
        x = torch.randn(size, 4, generator=source) * torch.randn(size, 1, generator=source).abs() ** self.power
        return x, torch.tanh(x[:, :3])


def random_batch(n=6, features=4, classes=False):
    source = torch.Generator().manual_seed(3)
    x = torch.randn(n, features, generator=source)
    return x, torch.arange(n) % 3 if classes else torch.randn(n, 3, generator=source)


def line(seed):
    return nn.Linear(4, 3, bias=False)


def linear_experiment(**more):
    return deepnets.DeepExperiment(**{"network": line, "task": Fixed(*random_batch()), "batch_size": 6, "steps": 80, **more})


def linear_modes():
    """The eigenvalues of the linear model's kernel over the number of outputs, and the targets' share in each."""
    x, y = (t.double().numpy() for t in random_batch())
    values, vectors = np.linalg.eigh(x @ x.T)
    share = ((vectors.T @ y) ** 2).sum(1)
    return values.clip(0) / y.size, share / share.sum()


def closed_form_level(steps, rho):
    """Eta_min of the linear model over gamma^2; the targets lie partly outside the inputs' span."""
    values, share = linear_modes()
    times = np.arange(max(0, steps - 9), steps + 1)
    return brentq(lambda a: mean_excess(values, share, a, times) - rho, 1e-6, 1 / values.max(), xtol=1e-12)


def mean_excess(values, share, a, times):
    """The mean over times of the excess of modes with these eigenvalues and shares."""
    return (share[:, None] * (1 - a * values[:, None]) ** (2 * times)).sum(0).mean()


def dense_kernel(module, x, rates):
    """J r J^T by one derivative of each output."""
    weights = [p.requires_grad_() for p in module.parameters()]
    factors = [rates[n] for n, _ in module.named_parameters()]
    rows = [torch.autograd.grad(f, weights, retain_graph=True) for f in module(x).reshape(-1)]
    return torch.stack([torch.stack([sum(r * (a * b).sum() for r, a, b in zip(factors, one, other, strict=True)) for other in rows])
                        for one in rows]).detach()


@pytest.mark.parametrize(("steps", "rho"), [(80, 0.5), (7, 0.8), (500, 0.4)])
def test_levels_of_a_linear_model_are_its_closed_form(steps, rho):
    found = deepnets.levels(linear_experiment())
    assert found.abstained == {}
    np.testing.assert_allclose(found["eta_crit"](GAMMAS, steps, rho), 2 * GAMMAS**2 / linear_modes()[0].max(), rtol=1e-6)
    np.testing.assert_allclose(found["eta_min"](GAMMAS, steps, rho), closed_form_level(steps, rho) * GAMMAS**2, rtol=1e-3)
    assert found.attrs["convergence"] == {"eta_min": 1.0, "eta_crit": 1.0}


@pytest.mark.parametrize("edge", ["eta_min", "eta_crit"])
def test_trained_edges_support_the_levels_and_contradict_wrong_ones(edge):
    experiment = linear_experiment(steps=100, rho=0.6)
    level = deepnets.levels(experiment)[edge]
    plane = Plane.around(lambda g: level(g, 100, 0.6), GAMMAS, decades=0.15, per_decade=40)
    edges = locate(experiment.measure(plane.gamma, plane.eta))
    assert judge_curve(edges, edge, level, 0.04).outcome == "SUPPORTED"
    assert judge_curve(edges, edge, lambda g: 1.2 * level(g, 100, 0.6), 0.04).outcome == "CONTRADICTED"
    assert judge_curve(edges, edge, lambda g: level(g, 100, 0.6) / 2, 0.04).outcome == "CONTRADICTED"


def test_the_units_are_those_of_the_rate():
    """N of the rate N eta divides both levels."""
    one, eight = (deepnets.levels(linear_experiment(width=width)) for width in (None, 8))
    for edge in ("eta_min", "eta_crit"):
        assert one[edge].level(80, 0.5) == pytest.approx(8 * eight[edge].level(80, 0.5), rel=1e-6)


def test_an_mlp_agrees_with_its_dense_kernel():
    network, task = deepnets.MLP(64, 8, 3, 10, bias=True), tasks.full_batch(tasks.digits())
    experiment = deepnets.DeepExperiment(network, task, batch_size=6, steps=200, rho=0.7)
    x, y = draw_batch(task, 0, 0, 6)
    rates = {s.name: s.sgd for s in network.scalings()}
    assert len(set(rates.values())) > 1
    values, vectors = np.linalg.eigh(dense_kernel(network.build(0).double(), x.double(), rates).numpy() / 60)
    share = (vectors.T @ torch.nn.functional.one_hot(y, 10).double().numpy().reshape(-1)) ** 2 / 6
    found = deepnets.levels(experiment)
    assert found["eta_crit"].level(200, 0.7) == pytest.approx(2 / values.max(), rel=1e-5)
    assert mean_excess(values, share, found["eta_min"].level(200, 0.7), np.arange(191, 201)) == pytest.approx(0.7, rel=1e-3)


class Attentive(nn.Module):
    """Two layers of torch's own attention over four inputs of one number."""

    def __init__(self):
        super().__init__()
        self.embed, self.block = nn.Linear(1, 4), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.read = nn.Linear(4, 3)

    def forward(self, x):
        return self.read(self.block(self.embed(x[..., None])).mean(1))


@pytest.mark.parametrize("build", [
    lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3)),
    lambda: nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.GELU(), nn.Linear(5, 3)),
    Attentive], ids=["batchnorm", "layernorm", "attention"])
def test_the_kernel_is_that_of_the_module_in_training(build):
    torch.manual_seed(1)
    module, (x, _) = build().double(), random_batch()
    before = {n: t.clone() for n, t in module.state_dict().items()}
    rates = {n: 1.0 + i for i, (n, _) in enumerate(module.named_parameters())}
    kernel = TrainingKernel(module, x.double(), rates)
    columns = torch.stack([kernel(v) for v in torch.eye(18, dtype=torch.float64)])
    assert all(torch.equal(t, before[n]) for n, t in module.state_dict().items())
    torch.testing.assert_close(columns, dense_kernel(module, x.double(), rates), rtol=1e-9, atol=1e-11)


def test_cross_entropy_agrees_with_gradient_descent_in_the_kernel():
    x, y = random_batch(classes=True)
    steps, gram = 400, (x @ x.T).double()
    found = deepnets.levels(linear_experiment(task=Fixed(x, y), loss="cross_entropy", steps=steps, rho=0.8))

    def excess(a):
        f, losses = torch.zeros(6, 3, dtype=torch.float64), []
        for _ in range(steps + 1):
            losses.append(float(torch.nn.functional.cross_entropy(f, y)))
            f = f - a * gram @ (f.softmax(-1) - torch.nn.functional.one_hot(y, 3)) / 6
        return np.mean(losses[-10:]) / losses[0]

    assert excess(found["eta_min"].level(steps, 0.8)) == pytest.approx(0.8, rel=0.01)
    assert np.isnan(found["eta_min"](1e-4, steps, 0.2))      # it was followed down to the experiment's rho
    assert "no eigenvalue at initialization" in found.abstained["eta_crit"]


def test_momentum_agrees_with_its_own_steps():
    values, share = linear_modes()
    found = deepnets.levels(linear_experiment(optimizer="momentum", steps=60))
    residual, moved, losses = np.ones_like(values), 0.0, []
    a = found["eta_min"].level(60, 0.5)
    for _ in range(61):
        losses.append(share @ residual**2)
        moved = 0.9 * moved + values * residual
        residual = residual - a * moved
    assert np.mean(losses[-10:]) == pytest.approx(0.5, rel=1e-3)
    assert "transients" in found.abstained["eta_crit"]


def test_nothing_is_predicted_outside_the_lazy_regime():
    level = deepnets.levels(linear_experiment(), 8)["eta_min"]
    assert level.window("lazy") == (0.0, level.lazy_below)
    assert level.window("rich") is None
    assert level.lazy_below == pytest.approx(2e-3)      # 1e-3 times the square root of the readout's four inputs
    assert np.isnan(level([2.1e-3, 1.0, 1e4], 80, 0.5)).all()
    assert np.isfinite(level(1.9e-3, 80, 0.5))
    assert level.exponent("lazy") == 2
    with pytest.raises(ValueError, match="rich"):
        level.exponent("rich")


def test_seeds_give_their_geometric_mean():
    network = deepnets.MLP(4, 6, 2, 3)
    each = [deepnets.levels(linear_experiment(network=network, seeds=(seed,)))["eta_crit"].level(80, 0.5) for seed in (0, 1)]
    both = deepnets.levels(linear_experiment(network=network, seeds=(0, 1)))["eta_crit"].level(80, 0.5)
    assert each[0] != pytest.approx(each[1], rel=1e-3)
    assert both == pytest.approx(np.sqrt(each[0] * each[1]), rel=1e-6)


def test_fresh_batches_are_measured_on_samples_and_their_quarter():
    found = deepnets.levels(deepnets.DeepExperiment(line, Fresh(), steps=100, batch_size=64), samples=50)
    x = Fresh().batch(0, 0, 200)[0].double()
    of_all, *of_quarters = (2 * 3 * len(part) / float(torch.linalg.eigvalsh(part.T @ part)[-1]) for part in (x, *x.split(50)))
    assert found["eta_crit"].level(100, 0.5) == pytest.approx(of_all ** (4 / 3) / np.prod(of_quarters) ** (1 / 12), rel=1e-5)
    assert 1 < found.attrs["convergence"]["eta_crit"] < 1.3
    assert "a quarter of the samples" in found.report()
    heavy = deepnets.levels(deepnets.DeepExperiment(line, Fresh(5.0), steps=100, batch_size=64), samples=200)
    assert "800 samples do not determine it" in heavy.abstained["eta_crit"]
    assert "the level of eta_crit is not predicted: 800 samples" in heavy.report()


def test_a_bias_of_one_over_the_number_of_samples_is_subtracted():
    planted = SeedLevel(lambda steps, rho: 3.0 * np.exp(-0.1), (lambda steps, rho: 3.0 * np.exp(-0.4),) * 4)
    assert planted.extrapolate(100, 0.5) == pytest.approx(3.0)
    assert SeedLevel(lambda steps, rho: 3.0).extrapolate(100, 0.5) == 3.0


def test_the_lower_edge_of_few_samples_is_that_of_the_population():
    """The linear model on normal inputs: its residual falls in the modes of the inputs' covariance, measured on many samples."""
    x, y = (t.double() for t in Fresh().batch(10**6, 0, 200_000))
    moments, share = torch.linalg.eigh(x.T @ x / len(x))
    share = ((share.T @ (x.T @ y)).square().sum(1) / moments / len(x) / y.square().sum()).numpy()

    def excess(a):
        return 1 - share.sum() + mean_excess(moments.numpy() / 3, share, a, np.arange(91, 101))

    expected = brentq(lambda a: excess(a) - 0.6, 1e-6, 0.5)
    found = deepnets.levels(deepnets.DeepExperiment(line, Fresh(), steps=100, batch_size=64, seeds=tuple(range(6)), rho=0.6), samples=24)
    of_samples = np.exp(np.mean([np.log(seed.level(100, 0.6)) for seed in found["eta_min"].seeds]))
    assert of_samples < 0.98 * expected
    assert found["eta_min"].level(100, 0.6) == pytest.approx(expected, rel=0.015)


def test_small_batches_do_not_show_eta_crit_where_samples_do_not_determine_the_loss():
    network, task = deepnets.MLP(16, 64, 2, 1), tasks.single_index(16, 2)
    small, large = (deepnets.levels(deepnets.DeepExperiment(network, task, steps=200, batch_size=size), 48) for size in (127, 128))
    assert "192 samples do not determine it" in small.abstained["eta_min"]
    assert "small batches raise the loss below it, and 192 samples do not determine" in small.abstained["eta_crit"]
    assert set(large) == {"eta_crit"}


@pytest.mark.parametrize(("more", "reason"), [
    ({"optimizer": "adam"}, "not linear in the gradient"),
    ({"optimizer": deepnets.optimizers.SGD(weight_decay=0.1)}, "weight decay"),
    ({"loss": nn.HuberLoss()}, "does not cover the loss"),
    ({"schedule": "warmup_cosine"}, "schedule"),
    ({"centred": False}, "not centred"),
    ({"loss": "cross_entropy", "optimizer": "momentum", "task": Fixed(*random_batch(classes=True))}, "plain gradient descent alone"),
    ({"network": lambda seed: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))}, "change from one call to the next"),
    ({"task": Fresh(), "batch_size": 8}, "too noisy"),
    ({"task": Fixed(random_batch()[0], torch.zeros(6, 3))}, "targets are zero")], ids=lambda v: v if isinstance(v, str) else "")
def test_why_no_level_is_predicted(more, reason):
    found = deepnets.levels(linear_experiment(**more))
    assert not found
    assert reason in found.abstained["eta_min"]
    assert reason in found.report()


def test_a_network_that_does_not_move_has_no_level():
    class Off(nn.Linear):
        def forward(self, x):
            return torch.relu(super().forward(x) - 1e3)

    found = deepnets.levels(linear_experiment(network=lambda seed: Off(4, 3)))
    assert not found
    assert "do not depend on its parameters" in found.abstained["eta_crit"]


def test_an_excess_that_no_stable_rate_reaches_is_absent():
    found = deepnets.levels(linear_experiment(steps=1, rho=0.01))
    assert not found
    assert "reaches an excess of 0.01 within 1 steps" in found.abstained["eta_min"]
    assert f"loses stability at {2 / linear_modes()[0].max():.3g} gamma^2, and runs may not show it" in found.abstained["eta_crit"]
    found = deepnets.levels(linear_experiment())
    assert np.isnan([found[edge](1e-4, 1, 0.01) for edge in found]).tolist() == [True, True]


def test_eta_crit_is_absent_where_trained_rates_below_it_are_narrower_than_a_set():
    """Measured edges need a set of trained rates at least 0.1 decade wide."""
    values, share = linear_modes()
    shown = {width: float(mean_excess(values, share, 2 / values.max() / 10**width, np.arange(71, 81))) for width in (0.12, 0.05)}
    assert set(deepnets.levels(linear_experiment(rho=shown[0.12]))) == {"eta_min", "eta_crit"}
    assert "no rate more than 0.1 decades below it reaches" in deepnets.levels(linear_experiment(rho=shown[0.05])).abstained["eta_crit"]
    edge = StabilityEdge(2.0, lambda steps, rho: 2.0 / 10**rho)
    assert (edge(80, 0.11), np.isnan(edge(80, 0.09))) == (2.0, True)
    assert np.isnan(StabilityEdge(2.0, lambda steps, rho: 2.0 / 10**rho, 0.276)(80, 0.27))      # a set may be narrower than predicted
    fresh = deepnets.levels(deepnets.DeepExperiment(line, Fresh(), steps=100, batch_size=64), samples=50)
    of_seed = fresh["eta_crit"].seeds[0].level
    assert of_seed.margin == pytest.approx(0.1 + fresh["eta_min"].claimed_within)


def test_how_closely_the_levels_claim_to_hold():
    tasks_and_batches = [(Fresh(), 32), (Fresh(), 127), (Fresh(), 128), (Fixed(*random_batch()), 6)]
    found = [deepnets.levels(linear_experiment(task=task, batch_size=size), 50) for task, size in tasks_and_batches]
    assert [f["eta_crit"].claimed_within for f in found] == [pytest.approx(np.log10(1.25), abs=1e-3)] * 2 + [None, None]
    assert all(f["eta_min"].claimed_within == pytest.approx(np.log10(1.5), abs=1e-3) for f in found)


def test_a_kernel_that_does_not_fit_into_memory_is_not_made(monkeypatch):
    free = []

    def usable(device):
        free.append(device)
        return 2000

    monkeypatch.setattr(lazy_levels, "usable_memory", usable)
    found = deepnets.levels(linear_experiment())
    assert free == ["cpu"]
    assert not found
    assert "the kernel of 6 samples needs about" in found.abstained["eta_min"]


def test_levels_are_the_same_from_a_portraits_attributes():
    found = deepnets.levels(linear_experiment(loss="mse", rho=0.6, optimizer="momentum"))
    read = Levels.decode({"rho": 0.6, **found.encode()})
    assert read.report() == found.report()
    assert read.abstained == found.abstained != {}
    np.testing.assert_array_equal(read["eta_min"](GAMMAS, 80, 0.6), found["eta_min"](GAMMAS, 80, 0.6))
    assert np.isfinite(found["eta_min"](1e-4, 80, 0.5))
    assert np.isnan([read["eta_min"](1e-4, *at) for at in ((80, 0.5), (81, 0.6))]).all()
    assert read["eta_min"].claimed_within == found["eta_min"].claimed_within
    assert read.explain_absences(0.6) == found.explain_absences()
    assert read.explain_absences(0.5) == ["the levels of the lazy edges are stored for rho = 0.6 alone, not for 0.5"]
    assert Levels.decode({"rho": 0.6}) is None
    for damaged in ("", "[]", "{}", '{"steps": 1, "rho": 0.1, "levels": {"eta_min": {}}}', 3):
        with pytest.raises(Misuse, match="lazy_levels is damaged"):
            Levels.decode({"lazy_levels": damaged})


def test_what_is_not_finite_is_refused():
    x, y = random_batch()
    x[0, 0] = torch.nan
    with pytest.raises(Misuse, match="finite inputs"):
        deepnets.levels(linear_experiment(task=Fixed(x, y)))
    with pytest.raises(Misuse, match="experiment must be"):
        deepnets.levels(deepnets.MLP(4, 6, 2, 3))
    with pytest.raises(Misuse, match="samples"):
        deepnets.levels(linear_experiment(), samples=7)
