"""Breaks: found where they are, not invented where they are not, and located with an honest interval."""

import os

import numpy as np
import pytest
import xarray as xr

from validation.arguments import Misuse
from validation.fitting.broken import fit_broken

GAMMA = np.logspace(-5, 5, 41)
PATIENT = os.environ.get("LAZYRICH_PATIENT")


def edges(gamma, log_eta, cell, phase=0.0):
    k = np.floor((log_eta - phase) / cell)
    bounds = np.stack([10 ** (k * cell + phase), 10 ** ((k + 1) * cell + phase)], -1)[None]
    return xr.Dataset({"eta": (("edge", "gamma", "bound"), bounds)},
                      {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]})


def one_break(gamma):
    return np.log10(2 * gamma**2 / (9 * (1 + gamma) ** (4 / 3)))


def two_breaks(gamma):
    x = np.log10(gamma)
    return 2 * x - 0.7 * np.log10(1 + 10 ** (2 * (x + 2))) + 0.3 * np.log10(1 + 10 ** (2 * (x - 2)))


def test_the_toys_crossover_is_found():
    found = fit_broken(edges(GAMMA, one_break(GAMMA), 1e-6), "eta_max")
    assert found.outcome == "FITTED"
    assert found.breaks == pytest.approx([1.0], rel=1e-3)
    assert found.exponents == pytest.approx([2, 2 / 3], abs=1e-3)
    assert found.smoothness == pytest.approx(1, abs=1e-2)
    assert np.allclose(np.log10(found(GAMMA)), one_break(GAMMA), atol=1e-4)
    (lazy, rich) = found.windows
    assert lazy[1] < 0.1
    assert rich[0] > 10
    assert "then 0.667 beyond gamma = 1" in found.sentence


@pytest.mark.parametrize(("law", "count"), [(one_break, 1), (two_breaks, 2)])
def test_real_breaks_are_never_missed(law, count):
    rng = np.random.default_rng(0)
    for cell, scatter in ((0.125, 0.0), (0.125, 0.05), (0.25, 0.1)):
        for _ in range(3 if PATIENT else 1):
            y = law(GAMMA) + rng.normal(0, scatter, GAMMA.size)
            assert len(fit_broken(edges(GAMMA, y, cell, rng.uniform(0, cell)), "eta_max").breaks) == count


def test_straight_lines_seldom_get_a_break():
    rng, invented, tried = np.random.default_rng(1), 0, 0
    gamma = np.logspace(0, 3, 19)
    for cell, scatter in ((1e-6, 0.0), (0.125, 0.0), (0.125, 0.02), (0.125, 0.05), (0.5, 0.0), (0.125, 0.2)):
        for _ in range(8 if PATIENT else 4):
            y = 1.3 * np.log10(gamma) + rng.normal(0, scatter, gamma.size)
            invented += len(fit_broken(edges(gamma, y, cell, rng.uniform(0, cell)), "eta_max").breaks) > 0
            tried += 1
    assert invented <= 0.1 * tried


def test_the_breaks_interval_covers():
    rng, hits = np.random.default_rng(2), []
    for _ in range(30):
        y = one_break(GAMMA) + rng.normal(0, 0.05, GAMMA.size)
        (low, high), = fit_broken(edges(GAMMA, y, 0.125, rng.uniform(0, 0.125)), "eta_max", breaks=1).intervals
        hits.append(low <= 1 <= high)
    assert np.mean(hits) >= 0.85


def test_a_regime_without_gammas_has_no_exponent():
    """The toys' crossover is wide: no gamma reaches the lazy limit half a decade below it, though the form extrapolates to one."""
    gamma = np.logspace(-0.5, 4, 19)
    found = fit_broken(edges(gamma, one_break(gamma), 1e-6), "eta_max", breaks=1)
    assert np.isnan(found.exponents[0])
    assert found.exponents[1] == pytest.approx(2 / 3, abs=1e-3)
    assert found.limits == pytest.approx([2, 2 / 3], abs=0.02)
    assert "eta_max: an exponent that fewer than two gammas show, then 0.667 beyond gamma = 1" in found.sentence
    assert np.allclose(np.log10(found(gamma)), one_break(gamma), atol=1e-3)


def test_scant_data_and_misuse():
    few = edges(GAMMA[:3], one_break(GAMMA[:3]), 0.1)
    found = fit_broken(few, "eta_max")
    assert found.outcome == "UNDECIDED"
    assert "take 4" in found.reason
    assert "no broken power law" in found.sentence
    assert len(fit_broken(edges(GAMMA[:8], one_break(GAMMA[:8]), 0.1), "eta_max").breaks) == 0
    with pytest.raises(Misuse, match="breaks must be one of"):
        fit_broken(few, "eta_max", breaks=3)
