"""The page "Is richer better?": which gammas may be best, sparse means and their theory, the data of a seed, and its tuned runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.stats import ttest_rel

from deepnets import DeepExperiment, tasks
from tests.benchmarks.best_gamma_coverage import CURVES, DECADES, KINDS, draw_scatter, measure
from validation.arguments import Misuse

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

from gallery import richness_trials
from gallery.best_richness import bound_regrets, find_best
from gallery.richness_trials import Training, draw_data, find_edges, train_seed
from gallery.sparse_means import SparseMeans, TwoSided, follow_flow

LEAST = 0.95 - 3 * np.sqrt(0.95 * 0.05 / 600)      # a coverage of 0.95 is seen below this once in a thousand times


# Which gammas may be best

@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("curve", ["weak line", "flat up to a knee"])
def test_the_best_gamma_of_a_planted_curve_is_covered(curve, kind):
    assert measure(lambda x: find_best(x, 0.0), CURVES[curve], kind, 600)[0] >= LEAST


def test_bounds_of_the_regret_cover_each_at_its_level():
    source, curve = np.random.default_rng(2), CURVES["weak parabola"]
    regret = curve - curve.min()
    bounds = np.array([bound_regrets(curve + draw_scatter("along gamma", source)) for _ in range(600)])      # (draw, bound, gamma)
    assert ((bounds[:, 0] <= regret).mean(0) >= LEAST).all()
    assert ((bounds[:, 1] >= regret).mean(0) >= LEAST).all()


def test_a_clear_best_gamma_is_found_alone():
    x = 0.1 * abs(DECADES - 0.75) + 0.01 * np.random.default_rng(3).standard_normal((10, len(DECADES)))
    assert DECADES[find_best(x, 0.0)].tolist() == [0.75]
    assert DECADES[find_best(x, 0.1)].tolist() == [0, 0.75, 1.5]
    lower, upper = bound_regrets(x)
    assert lower[0] < 0.375 < upper[0] < 0.42


def test_two_gammas_are_compared_by_a_paired_test():
    x = np.random.default_rng(4).normal([0.3, 0.0], 0.1, (10, 2))
    lower, upper = bound_regrets(x, 0.95)
    expected = ttest_rel(x[:, 0], x[:, 1]).confidence_interval(0.9)
    assert (lower[0], upper[0]) == pytest.approx((expected.low, expected.high))
    assert (lower[1], upper[1]) == pytest.approx((0, 0))


def test_what_all_gammas_of_a_seed_share_changes_nothing():
    source = np.random.default_rng(5)
    x = source.standard_normal((6, 4))
    assert np.allclose(bound_regrets(x), bound_regrets(x + 100 * source.standard_normal((6, 1))))


@pytest.mark.parametrize("losses", [[[1.0, 2.0]], [[1.0], [2.0]], [1.0, 2.0], [[1.0, np.inf], [1.0, 2.0]], [[np.nan, 1.0], [1.0, 2.0]]])
def test_losses_that_decide_nothing_are_refused(losses):
    with pytest.raises(Misuse, match="losses must be finite numbers of two seeds and two gammas or more"):
        bound_regrets(losses)


# Sparse means

@pytest.mark.parametrize(("gamma", "mean", "tau"), [(1e-3, -1.3, 0.9), (1.0, 0.2, 0.6), (30.0, 2.0, 0.02), (1e3, -0.5, 0.01), (2.0, 0, 1)])
def test_the_flow_solves_its_equation(gamma, mean, tau):
    flow = solve_ivp(lambda t, f: 2 * np.sqrt(1 + (gamma * f) ** 2) * (mean - f), (0, tau), [0.0], rtol=1e-10, atol=1e-13)
    assert follow_flow(mean, gamma, tau) == pytest.approx(flow.y[0, -1], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("gamma", [1e-2, 3.0, 100.0])
def test_a_network_follows_the_flow(gamma):
    task = SparseMeans(modes=40)
    shown = task.draw(0, 0, task.samples)
    tau, steps = 1.5 / (1 + gamma), 400
    eta = tau / steps * task.modes * gamma**2
    own = tasks.from_loader([shown], [task.draw(0, 2, 4, noisy=False)])
    experiment = DeepExperiment(lambda seed: TwoSided(task.modes), own, steps=steps, batch_size=task.samples, curves=1, device="cpu")
    loss = float(experiment.measure(np.array([gamma]), np.array([eta])).held_out_loss.squeeze())
    mean = (shown[0] * shown[1]).mean(0).double().numpy()
    f = follow_flow(mean, gamma, tau)
    assert loss == pytest.approx(np.square(f - task.draw_means(0)).mean() / 2, rel=0.01)
    assert abs(f).max() > 0.1


def test_the_best_richness_of_sparse_means_is_finite_by_theory():
    """Both ends lose more than the page's tolerance of 5%, and the posterior mean is not beaten."""
    task = SparseMeans()
    risk = np.array([task.find_least_risk(g) for g in (1e-3, 14.3, 1e3)])
    assert (risk[[0, 2]] > 1.05 * risk[1]).all()
    source = np.random.default_rng(0)
    s = source.standard_normal(400_000) * (source.random(400_000) < task.share)
    m = s + task.noise * source.standard_normal(len(s))
    wide, narrow = 1 + task.noise**2, task.noise**2
    odds = task.share / (1 - task.share) * np.sqrt(narrow / wide) * np.exp(m**2 / 2 * (1 / narrow - 1 / wide))
    bayes = np.square(odds / (1 + odds) * m / wide - s).mean() / np.square(s).mean()
    assert bayes < risk[1] < 1.1 * bayes


def test_lazy_is_best_where_no_mean_is_zero_and_rich_where_few_are_not():
    dense, sparse = SparseMeans(share=1.0), SparseMeans(share=0.05, noise=0.2)
    assert dense.find_least_risk(1e-3) == pytest.approx(0.25 / 1.25, rel=1e-5)        # the posterior mean's: noise^2/(1 + noise^2)
    assert dense.find_least_risk(10.0) > 1.05 * dense.find_least_risk(1e-3)
    assert sparse.find_least_risk(1e3) < sparse.find_least_risk(30.0) / 1.05


# Data and runs of a seed

def rows(x):
    return {row.numpy().tobytes() for row in x.flatten(1)}


@pytest.mark.parametrize("name", ["digits", "single index", "multi-index"])
def test_samples_of_training_validation_and_test_are_disjoint(name):
    how = Training(samples=256)
    shown, validation, test = draw_data(name, 3, False, how)
    assert len(shown[1]) == 256
    assert not rows(shown[0]) & rows(validation[0]) | rows(shown[0]) & rows(test[0]) | rows(validation[0]) & rows(test[0])
    assert rows(shown[0]).isdisjoint(rows(draw_data(name, 4, False, how)[2][0])) == (name != "digits")      # digits are split anew


@pytest.mark.parametrize("name", ["digits", "single index", "sparse means"])
def test_endless_data_hold_each_sample_once(name):
    how = Training(steps=50)
    x, y = draw_data(name, 0, True, how)[0]
    assert len(x) == len(y) == len(rows(x)) == (400 if name == "sparse means" else 1600)


def test_too_many_repeated_samples_and_other_names_are_refused():
    with pytest.raises(Misuse, match="samples must be at most 897 of digits, not 898"):
        draw_data("digits", 0, False, Training(samples=898))
    with pytest.raises(Misuse, match=r"name must be one of digits, single index, .*, MNIST, Fashion-MNIST, not 'cats'"):
        draw_data("cats", 0, False, Training())


def test_the_run_of_least_validation_loss_is_tested():
    how, gamma, powers = Training(width=16, steps=80, stops=5), [1e-2, 1.0], [-3, -1, 1]
    edge = find_edges("digits", gamma, how)
    assert (edge.gain > 0.2).all()
    tuned = train_seed("digits", 0, False, gamma, edge.edge.values.tolist(), powers, how)
    one = [train_seed("digits", 0, False, gamma, edge.edge.values.tolist(), [power], how) for power in powers]
    least = np.argmin([run.validation_loss for run in one], axis=0)
    for i, which in enumerate(least):
        assert float(tuned.power[i]) == powers[which]
        for name in ("loss", "accuracy", "stop"):
            assert float(tuned[name][i]) == pytest.approx(float(one[which][name][i]), rel=1e-4)
    assert (tuned.accuracy > 0.5).all()
    assert (tuned.loss < 1).all()


def test_an_edge_is_where_runs_are_no_longer_bounded():
    """A lazy network's edge is that of the kernel, 2 over its largest eigenvalue, up to a step of the grid, a factor 2."""
    from deepnets import MLP, levels

    how = Training(width=32, steps=100)
    edge = float(find_edges("digits", [1e-4, 1e-2], how).edge[0])
    experiment = DeepExperiment(MLP(64, 32, 3, 10), tasks.digits(), steps=100, batch_size=32, device="cpu")
    predicted = float(levels(experiment)["eta_crit"](1e-4, 100, 0.5))
    assert predicted / 2 < edge < 2 * predicted


def test_an_edge_beyond_the_rates_is_reported(monkeypatch):
    monkeypatch.setattr(richness_trials, "RATES", (-4, -3))
    with pytest.raises(Misuse, match="no edge of single index lies within the rates"):
        find_edges("single index", [1e-2, 1.0], replace(Training(), width=8, steps=20))


def test_targets_of_sparse_means_are_the_means_with_noise():
    task = SparseMeans(modes=2000, share=0.4, noise=0.3, samples=4)
    s = task.draw_means(1)
    assert abs((s != 0).mean() - 0.4) < 0.05
    x, y = task.draw(1, 0, 64)
    assert set(torch.unique(x).tolist()) == {-1.0, 1.0}
    error = (x * y - torch.from_numpy(s)).numpy()
    assert error.std() == pytest.approx(0.6, rel=0.02)
    x, y = task.draw(1, 2, 3, noisy=False)
    assert np.allclose(y.numpy(), x.numpy() * s, atol=1e-6)


def test_the_stored_table_has_every_curve_and_scatter():
    lines = (Path(__file__).parent.parent / "docs" / "tables" / "best_gamma_coverage.md").read_text().splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in cells] == [[curve, kind] for curve in CURVES for kind in KINDS]
    assert min(float(row[2].split(",")[0]) for row in cells) >= 0.95
    assert min(float(row[3].split(",")[0]) for row in cells) < 0.9
    coverage, size = measure(lambda x: find_best(x, 0.0), CURVES["weak line"], "in common", 1000)
    assert cells[5][2] == f"{coverage:.3f}, {size:.1f}"
