"""The tables of the search's regret are those of the measured planes, and the benchmark's searches spend what they say."""

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.tuning_regret import (
    BUDGETS,
    CASES,
    FIRST_CASES,
    LATER_CASES,
    METHODS,
    Plane,
    Search,
    compute_losses,
    read_planes,
    tabulate_losses,
    tabulate_regrets,
)
from validation.experiment import digest, read_description

TABLES = Path(__file__).parents[2] / "docs" / "tables"
SLOW = ["TPE", "expected improvement of a Gaussian process"]
QUICK = [m for m in METHODS if m not in SLOW]
TABLE = {"tuning_regret.md": FIRST_CASES, "tuning_regret_later.md": LATER_CASES}


@pytest.fixture(scope="module")
def planes():
    return read_planes()


@pytest.fixture(scope="module")
def losses(planes):
    return {m: {name: compute_losses(plane, m) for name, plane in planes.items()} for m in QUICK}


def columns(lines):
    """The cells of a markdown table's lines."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_case_is_measured_with_the_experiment_that_the_benchmark_names(planes):
    assert list(planes) == list(CASES)
    for name in ("teacher-sgd", "single-index-adam"):
        described = read_description(planes[name].data.attrs)
        assert digest(CASES[name].experiment().describe()) == digest(described)


def test_the_tables_are_those_of_the_planes(planes, losses):
    for file, cases in TABLE.items():
        stored = columns((TABLES / file).read_text().splitlines())
        assert [row for row in stored if row[0] not in SLOW] == columns(tabulate_regrets(losses, {name: planes[name] for name in cases}))
    stored = columns((TABLES / "tuning_losses.md").read_text().splitlines())
    quick = [i for i, head in enumerate(stored[0]) if head not in SLOW]
    assert [[row[i] for i in quick] for row in stored[:1] + stored[2:]] == [row for i, row in enumerate(columns(
        tabulate_losses(losses, planes))) if i != 1]


@pytest.mark.parametrize(("file", "parts"), [("tuning_regret.md", [0, 1, 2]), ("tuning_regret_later.md", [1])])
def test_the_search_is_below_the_others_at_every_budget(file, parts):
    """In mean, median and largest regret on the first planes; on the later ones, where one plane makes the means, in the median."""
    rows = columns((TABLES / file).read_text().splitlines())
    regrets = {row[0]: np.array([[float(part) for part in cell.split("/")] for cell in row[1:]])[:, parts] for row in rows[2:]}
    ours = regrets.pop("`deepnets.tune`")
    del regrets["an oracle"]
    assert len(regrets) == 5
    assert all((ours < others).all() for others in regrets.values())


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
    search = METHODS["`deepnets.tune`"](plane, 0)
    assert search.path[0][0] == pytest.approx(float(plane.data["start_cost"][0]) + 8 * 0.166 + 1)
