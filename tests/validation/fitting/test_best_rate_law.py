"""The power law of best rates: vertices with errors where there are enough, otherwise brackets."""

import numpy as np
import pytest

from validation import judge_runs, optimum_from_runs, read_runs
from validation.fitting.best_rate import measure_noise
from validation.fitting.best_rate_law import fit_best_rates

WIDTHS = 64 * 2.0 ** np.arange(6)


def table(exponent, step=2.0, rates=11, noise=0.0, seeds=1, bend=0.0, rng=None):
    """Runs whose log loss is e^u - u - 1 with u = ln(lr/best)."""
    rows = []
    for i, width in enumerate(WIDTHS):
        best = 0.01 * (width / 64) ** exponent * 10 ** (bend * (i - 2.5) ** 2)
        for lr in 0.01 * step ** (np.arange(rates) - rates // 2):
            for seed in range(seeds):
                u = np.log(lr / best)
                rows.append((width, lr, np.exp(0.3 * (np.exp(u) - u - 1) + (0 if rng is None else rng.normal(0, noise))), seed))
    names = ("width", "lr", "loss", "seed")
    return read_runs(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)), *names[:3], seed="seed" if seeds > 1 else None)


@pytest.mark.parametrize("exponent", [-0.13, -0.04, 0.04, 0.09, 0.21])
def test_without_noise_the_grid_s_own_error_is_allowed_for(exponent):
    """The best rate drifts through less than a step: the vertices lie on a line of another slope, whose scatter is far too small."""
    law = fit_best_rates(optimum_from_runs(table(exponent, step=2.5)))
    assert law.interval[0] <= exponent <= law.interval[1]
    assert law.method.startswith("vertices")


def test_an_exponent_on_the_grid_s_lattice_is_found_sharply():
    law = fit_best_rates(optimum_from_runs(table(-0.5, step=2**0.5, rates=21)))
    assert law.exponent == pytest.approx(-0.5, abs=1e-6)
    assert 0.001 < law.interval[1] + 0.5 < 0.03


def test_a_bend_is_found_and_a_straight_law_is_fitted_with_noise():
    rng = np.random.default_rng(3)
    [bent] = judge_runs(table(-0.2, noise=0.01, seeds=2, bend=0.06, rng=rng), -0.2)
    assert "bends" in bent.fits["eta_opt"].reason
    [straight] = judge_runs(table(-0.5, noise=0.01, seeds=2, rng=rng), -0.5)
    law = straight.fits["eta_opt"]
    assert law.outcome == "FITTED"
    assert law.interval[0] <= -0.5 <= law.interval[1] < -0.4


def test_a_window_and_too_few_vertices():
    best = optimum_from_runs(table(-0.5))
    assert fit_best_rates(best, (64, 512)).n == 4
    assert fit_best_rates(best.assign(vertex=best["vertex"].where(best["gamma"] < 200))) is None
    mixed = fit_best_rates(best.assign(vertex=best["vertex"].where(best["gamma"] < 600)))
    assert mixed.n == 6
    assert mixed.exponent == pytest.approx(-0.5, abs=0.05)


def test_over_gamma_errors_may_be_correlated_unless_it_is_excluded():
    runs = table(-0.5).assign_attrs(axis="gamma")
    assert judge_runs(runs)[0].fits["eta_opt"].shared
    assert not judge_runs(runs, shared=False)[0].fits["eta_opt"].shared
    assert not judge_runs(table(-0.5))[0].fits["eta_opt"].shared


def test_the_noise_is_pooled_over_sizes():
    rng = np.random.default_rng(0)
    losses = [10 ** (rng.normal(0, 0.02, (3, 8)) + 0.1 * np.arange(8) + rng.normal(0, 1, (3, 1))) for _ in range(40)]
    noise = measure_noise(losses)
    assert noise.free == 40 * (2 * 3)                                     # the better four rates of three seeds
    assert np.sqrt(noise.variance) == pytest.approx(0.02, rel=0.1)
    curves = measure_noise([10 ** (0.05 * (np.arange(9.0) - 4) ** 2 + rng.normal(0, 0.02, 9))[None] for _ in range(40)])
    assert curves.free == 0
    assert 0.018 < np.sqrt(curves.variance) < 0.028                       # around a least point that is low by chance they are larger
    assert measure_noise([np.ones((1, 5)), np.full((2, 3), np.inf)]).variance == 0
