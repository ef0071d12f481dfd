"""The tables of the search's regret are those of the measured planes, and the benchmark's searches spend what they say."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.benchmarks.tuning_regret import (
    BUDGETS,
    CASES,
    METHODS,
    PAGES,
    Plane,
    Search,
    compute_losses,
    read_planes,
    tabulate_learned,
    tabulate_losses,
    tabulate_regrets,
    tabulate_shares,
)
from validation.experiment import digest, read_description

TABLES = Path(__file__).parents[2] / "docs" / "tables"
SLOW = ["TPE", "expected improvement of a Gaussian process"]
OURS = "`deepnets.tune`"
QUICK = [m for m in METHODS if m not in SLOW]
OF_ALL = [m for m in QUICK if m != OURS]      # computed again on all planes; the search on some
EVERY = 6                                     # planes


@pytest.fixture(scope="module")
def planes():
    return read_planes()


@pytest.fixture(scope="module")
def losses(planes):
    return {m: {name: compute_losses(plane, m) for name, plane in planes.items()} for m in OF_ALL}


def columns(lines):
    """The cells of a markdown table's lines."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_case_is_measured_with_the_experiment_that_the_benchmark_names(planes):
    assert list(planes) == list(CASES)
    for name in ("teacher-sgd", "single-index-adam"):
        described = read_description(planes[name].data.attrs)
        assert digest(CASES[name].experiment().describe()) == digest(described)


def test_the_tables_are_those_of_the_planes(planes, losses):
    for file, (tabulate, cases) in PAGES.items():
        stored = columns((TABLES / file).read_text().splitlines())
        computed = columns(tabulate(losses, {name: planes[name] for name in cases}))
        if tabulate is tabulate_losses:
            quick = [i for i, head in enumerate(stored[0]) if head not in (*SLOW, OURS)]
            assert [[row[i] for i in quick] for row in stored[:1] + stored[2:]] == computed[:1] + computed[2:]
        else:
            assert [row for row in stored if row[0] not in (*SLOW, OURS)] == computed


def test_the_search_gives_the_stored_losses_and_the_tables_of_regrets_are_those_of_the_losses(planes):
    stored = columns((TABLES / "tuning_losses.md").read_text().splitlines())
    at, place = BUDGETS.index(12), stored[0].index(OURS)
    found = dict(zip(planes, (row[place] for row in stored[2:]), strict=True))
    for name in list(planes)[::EVERY]:
        # where two proposals tie, rounding decides, on another processor otherwise
        assert float(found[name]) == pytest.approx(compute_losses(planes[name], OURS)[at], rel=0.1)
    for file in ("tuning_regret_newest.md", "tuning_regret.md"):
        regrets = [100 * (float(found[name]) / planes[name].best - 1) for name in PAGES[file][1]]
        row = next(r for r in columns((TABLES / file).read_text().splitlines()) if r[0] == OURS)
        numbers = [float(part) for part in row[1 + at].split("/")]
        # losses have three digits, regrets none
        assert numbers == pytest.approx([np.mean(regrets), np.median(regrets), np.max(regrets)], abs=1, rel=0.01)


def test_a_share_counts_the_planes_within_a_regret():
    planes = {name: SimpleNamespace(best=1.0, zero=zero) for name, zero in zip("abcd", (5.0, 1.5, 5.0, 1.1), strict=True)}
    losses = {"m": {name: np.full(len(BUDGETS), loss) for name, loss in zip("abcd", (1.0, 1.04, 1.18, 1.3), strict=True)}}
    assert columns(tabulate_shares(losses, planes))[2] == ["m", *["50 / 75"] * len(BUDGETS)]
    assert columns(tabulate_regrets(losses, planes))[2][1] == "13 / 11 / 30"
    assert columns(tabulate_learned(losses, planes))[2][1] == "9 / 9 / 18"      # of a and c


@pytest.mark.parametrize("file", ["tuning_regret_newest.md", "tuning_regret_learned.md", "tuning_regret.md"])
def test_the_search_is_below_the_others_at_every_budget_in_mean_median_and_largest_regret(file):
    rows = columns((TABLES / file).read_text().splitlines())
    regrets = {row[0]: np.array([[float(part) for part in cell.split("/")] for cell in row[1:]]) for row in rows[2:]}
    ours = regrets.pop(OURS)
    del regrets["an oracle"], regrets["all short runs, not counted"]      # which are no searches
    assert len(regrets) == 5
    assert all((ours < others).all() for others in regrets.values())


def test_planes_that_the_search_had_not_seen_are_within_a_few_per_cent():
    """Mean and largest regret, in per cent, at 8, 12, 16 and 24 runs: an aim that was set before these planes were measured."""
    rows = {row[0]: row[1:] for row in columns((TABLES / "tuning_regret_newest.md").read_text().splitlines())}
    mean, _, largest = np.array([[float(part) for part in cell.split("/")] for cell in rows[OURS]]).T
    assert (mean[1:] <= (20, 12, 8, 5)).all()
    assert largest[BUDGETS.index(12)] <= 45


@pytest.mark.parametrize("method", SLOW)
def test_a_slow_search_gives_the_stored_loss(planes, method):
    pytest.importorskip("optuna")
    stored = columns((TABLES / "tuning_losses.md").read_text().splitlines())
    name = next(iter(planes))
    assert stored[2][stored[0].index(method)] == f"{compute_losses(planes[name], method)[BUDGETS.index(12)]:.3g}"


def test_a_plane_is_read_at_its_runs_and_beyond_it_nothing_trains(planes):
    plane = planes["teacher-sgd"]
    data = plane.data["held_out_loss"].transpose("step", "gamma", "eta")
    i, j = np.unravel_index(int(np.nanargmin(np.where(np.isfinite(data[-1]), data[-1], np.inf))), data.shape[1:])
    assert plane.read(float(data.gamma[i]), float(data.eta[j])) == pytest.approx(float(data[-1, i, j]), rel=1e-6)
    assert plane.best == pytest.approx(float(data[-1, i, j]), rel=1e-6)
    assert plane.read(1e9, 1.0) == pytest.approx(3 * plane.zero)
    low, high = sorted(float(data[k, i, j]) for k in (0, 1))
    assert low <= plane.read(float(data.gamma[i]), float(data.eta[j]), 6) <= high


@pytest.mark.parametrize("method", QUICK)
def test_no_search_spends_more_than_it_may(planes, method):
    for repetition in range(3):
        search = METHODS[method](planes["digits-sgd"], repetition)
        assert isinstance(search, Search)
        assert search.remaining > -1e-9
        assert search.path[-1][0] <= BUDGETS[-1] + 1e-9
        assert search.loss(BUDGETS[-1]) <= search.loss(BUDGETS[0])
        assert search.loss(0.5) == planes["digits-sgd"].zero


def test_the_cost_of_the_start_is_counted(planes):
    plane: Plane = planes["digits-sgd"]
    search = METHODS[OURS](plane, 0)
    assert search.path[0][0] == pytest.approx(float(plane.data["start_cost"][0]) + 8 * 0.166 + 1)
