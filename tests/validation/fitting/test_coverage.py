"""Intervals cover at their rate, and verdicts err no more often than they may: by simulation with fixed seeds."""

import os

import numpy as np
import pytest
import xarray as xr

from tests.benchmarks import interval_coverage as table
from tests.benchmarks import judge_coverage as judged
from validation.fitting.line import fit_line
from validation.fitting.powerlaw import fit
from validation.judging.verdict import judge

PATIENT = pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="the other half; LAZYRICH_PATIENT=1 runs it")


def holds(row, replications):
    assert row.coverage >= table.coverage_floor(replications), row
    assert abs(row.bias) <= 0.1 + 2.5 * row.bias_error, row
    if row.gammas >= 6:
        # the price of errors that may be correlated; on a lattice without scatter they are
        assert row.width <= 2.4 * row.best_width or row.scatter * row.per_decade < 0.2, row
        # what it costs not to declare that nothing scatters
        assert row.scatter or row.width <= 4 * row.declared, row


@pytest.mark.parametrize("grid", table.GRIDS)
@pytest.mark.parametrize("scatter", table.SCATTER)
def test_intervals_cover(scatter, grid):
    for per_decade, gammas, slope in ((1, 6, 2.0), (8, 4, 0.4), (4, 12, 2 / 3), (8, 21, 2.0)):
        holds(table.simulate(60, scatter, per_decade, gammas, grid, slope), 60)


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, 1, 2, *(pytest.param(part, marks=PATIENT) for part in (3, 4, 5))])
def test_intervals_cover_everywhere(part):
    for configuration in list(table.configurations())[part::6]:
        holds(table.simulate(40, *configuration), 40)


def test_the_worst_place_scatter_of_a_fraction_of_a_cell():
    """Where the likelihood could mistake luck for certainty: it must cover there as well."""
    for share in (0.1, 0.3):
        for gammas, grid in ((9, "aligned"), (17, "aligned"), (11, "unaligned")):
            row = table.simulate(80, share / 8, 8, gammas, grid, 2 / 3)
            assert row.coverage >= table.coverage_floor(80), row


def test_where_the_edges_phase_in_its_cell_drifts_slowly():
    """Twenty-one gammas, each 0.02 cells nearer to the next cell than the one before: they all err together."""
    for scatter in (0.0, 0.05 / 8, 0.1 / 8):
        row = table.simulate(100, scatter, 8, 21, "shifted", 2.0)
        assert row.coverage >= table.coverage_floor(100), row
        assert scatter > 0 or row.plain < 0.5       # least squares: no scatter, hence certain, hence wrong


def test_an_aliased_grid_admits_its_ignorance():
    """On the lattice all rows say the same: the interval stays a cell over the range, however many gammas there are."""
    rng = np.random.default_rng(0)
    for gammas in (9, 17, 33):
        x = np.linspace(0, 2, gammas)
        y = 2 * x + rng.uniform(0, 0.25)
        low = np.floor(y / 0.25) * 0.25
        ends = fit_line(x, low, low + 0.25).intervals[0.95]
        assert ends[0] < 2 < ends[1]
        assert ends[1] - ends[0] > 0.5 * 0.25 / 2


def test_censored_rows_cover():
    rng, hits, slopes = np.random.default_rng(7), [], []
    for _ in range(150):
        x, low, high = table.draw(rng, 15, 8, 0.1, "unaligned", 2 / 3)
        # every gamma's grid ends at a point of its own, the first at or above 1.2, the last at or below 0.3
        top, bottom = low - np.floor((low - 1.2) * 8) / 8, high + np.floor((0.3 - high) * 8) / 8
        above, below = low >= 1.2, high <= 0.3
        low[above], high[above], high[below], low[below] = top[above], np.inf, bottom[below], -np.inf
        line = fit_line(x, low, high, (0.95,))
        hits.append(line.intervals[0.95][0] <= 2 / 3 <= line.intervals[0.95][1])
        slopes.append(line.slope)
    assert np.mean(hits) >= table.coverage_floor(150)
    assert abs(np.mean(slopes) - 2 / 3) < 0.1 / 8 / 2 + 2 * np.std(slopes) / np.sqrt(150)


def test_rows_of_seeds_cover():
    """Each gamma's seeds share its scatter in part: rows of seeds cover, pooled seeds would not."""
    rng, hits, gamma = np.random.default_rng(8), [], np.logspace(0, 2, 9)
    for _ in range(150):
        y = 0.5 * np.log10(gamma) + rng.normal(0, 0.1, 9) + rng.normal(0, 0.05, (5, 9)) + rng.uniform(0, 0.125)
        low = np.floor(y / 0.125) * 0.125
        eta = 10 ** np.stack([low, low + 0.125], -1)[None]
        data = xr.Dataset({"eta": (("edge", "seed", "gamma", "bound"), eta)},
                          {"edge": ["eta_max"], "gamma": gamma, "bound": ["lower", "upper"]})
        found = fit(data, "eta_max", (1, 100))
        hits.append(found.interval[0] <= 0.5 <= found.interval[1])
    assert np.mean(hits) >= table.coverage_floor(150)


def verdicts(exponent, claim, tolerance, scatter, replications, grid="unaligned", seed=0, per_decade=8):
    rng, found = np.random.default_rng(seed), []
    for _ in range(replications):
        x, low, high = table.draw(rng, 17, per_decade, scatter, grid, exponent)
        data = xr.Dataset({"eta": (("edge", "gamma", "bound"), 10 ** np.stack([low, high], -1)[None])},
                          {"edge": ["eta_max"], "gamma": 10**x, "bound": ["lower", "upper"]})
        found.append(judge(fit(data, "eta_max", (1, 100)), claim, tolerance).outcome)
    return {outcome: found.count(outcome) / replications for outcome in ("SUPPORTED", "CONTRADICTED", "UNDECIDED")}


WRONG = [(2 / 3, 0.6, 0.03), (1.0, 1.09, 0.05), (0.5, 0.4, 0.05)]


@pytest.mark.parametrize(("exponent", "claim", "tolerance"), WRONG)
@pytest.mark.parametrize("scatter", table.SCATTER)
def test_wrong_exponents_are_not_supported_and_right_ones_not_contradicted(exponent, claim, tolerance, scatter):
    per_decade = 8 if scatter else 20
    wrong = verdicts(exponent, claim, tolerance, scatter, 40, seed=1, per_decade=per_decade)
    right = verdicts(claim, claim, tolerance, scatter, 40, seed=2, per_decade=per_decade)
    assert wrong["SUPPORTED"] <= 0.01 + 1 / 40
    assert right["CONTRADICTED"] <= 0.05
    if scatter == 0 and tolerance > 0.04:
        assert right["SUPPORTED"] >= 0.5


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="four times the draws of the test above; LAZYRICH_PATIENT=1 runs it")
@pytest.mark.parametrize(("exponent", "claim", "tolerance"), WRONG)
def test_wrong_exponents_at_length(exponent, claim, tolerance):
    for scatter in table.SCATTER:
        for grid in ("aligned", "unaligned"):
            assert verdicts(exponent, claim, tolerance, scatter, 150, grid, seed=3)["SUPPORTED"] <= 0.01
            assert verdicts(claim, claim, tolerance, scatter, 150, grid, seed=4)["CONTRADICTED"] <= 0.05


def test_what_the_grid_cannot_tell_is_undecided():
    rng, found = np.random.default_rng(5), []
    for _ in range(30):
        x, low, high = table.draw(rng, 5, 1, 0.1, "unaligned", 2 / 3)
        data = xr.Dataset({"eta": (("edge", "gamma", "bound"), 10 ** np.stack([low, high], -1)[None])},
                          {"edge": ["eta_max"], "gamma": 10**x, "bound": ["lower", "upper"]})
        found.append(judge(fit(data, "eta_max", (1, 100)), 0.6, 0.03).outcome)
    assert found.count("UNDECIDED") >= 29


STRAIGHT = [judged.Configuration(*c) for c in (
    (6, 2.0, 0.05, 0.1, 0.8, 1, 3, "plain", False), (9, 2.0, 0.02, 0.1, 0.0, 1, 4, "plain", True),
    (17, 3.0, 0.05, 0.05, 0.8, 1, 5, "plain", False), (9, 2.0, 0.05, 0.05, 0.6, 3, 6, "plain", False),
    (12, 3.0, 0.03, 0.05, 0.4, 6, 8, "plain", True), (15, 3.0, 0.05, 0.05, 0.3, 1, 3, "censored", True),
    (15, 3.0, 0.05, 0.1, 0.5, 4, 3, "censored", False), (12, 2.0, 0.02, 0.05, 0.3, 2, 4, "outliers", False))]
CROSSING = [judged.Configuration(*c) for c in (
    (9, 2.0, 0.05, 0.1, 0.0, 1, 3, "crossover", False), (13, 3.0, 0.02, 0.1, 0.7, 4, 5, "crossover", True))]


@pytest.mark.parametrize("configuration", STRAIGHT)
def test_default_calls_cover_and_rarely_err(configuration):
    row = judged.simulate(configuration, 60)
    assert row.coverage >= 0.92 - 2 * np.sqrt(0.92 * 0.08 / 60), row
    assert row.undecided <= 0.1, row
    assert row.contradicted <= 0.03 + 2 / 60, row
    assert row.wrong <= 0.05 + 1 / 60, row


@pytest.mark.parametrize("configuration", CROSSING)
def test_default_calls_across_a_crossover_rarely_contradict_its_far_side(configuration):
    row = judged.simulate(configuration, 60)
    assert row.contradicted <= 0.03 + 2 / 60, row
    assert row.wrong <= 0.05, row
