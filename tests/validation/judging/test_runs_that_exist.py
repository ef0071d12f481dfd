"""Runs that exist, judged: the claims, the exponents of planted laws, what to run next after lost runs and open brackets."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.benchmarks.planted_runs import simulate
from tests.benchmarks.planted_searches import draw_search
from validation import Misuse, judge_runs, read_runs
from validation.judging.claims_on_runs import read_claim, read_exponent
from validation.reporting.runs_summary import tabulate_brackets
from validation.runs.binned_runs import choose_bins

WIDTHS = 64 * 2.0 ** np.arange(6)


def table(exponent=-1.0, widths=WIDTHS, octaves=range(-14, 1), lost=(), seeds=1, noise=0.0, top=4.0, **more):
    """Runs whose loss is 1 + log2(lr/best)^2/10, with best = 2^-3 (width/64)^exponent; above `top` times it they diverge."""
    rng = np.random.default_rng(0)
    rows = []
    for width in widths:
        best = 2.0**-3 * (width / 64) ** exponent
        for octave in octaves:
            for seed in range(seeds):
                lr = 2.0**octave
                loss = (1 + 0.1 * np.log2(lr / best) ** 2) * np.exp(noise * rng.normal())
                word = "crashed" if (width, octave) in lost else "diverged" if lr > top * best else "finished"
                rows.append((width, lr, loss, word, seed))
    names = ("width", "lr", "loss", "status", "seed")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) | more
    return read_runs(columns, "width", "lr", "loss", status="status", seed="seed" if seeds > 1 else None, group="group" if more else None)


@pytest.mark.parametrize(("given", "theory", "axis", "exponent", "rivals"), [
    (-1, None, "width", -1, ["-3/2", "-1/2", "0"]), ("0", None, "width", 0, ["-1/2", "1/2"]), ("-1/2", None, "N", -0.5, ["-1", "0"]),
    (0.3, None, "batch", 0.3, ["0", "1/2"]), ("2/3", None, "gamma", 2 / 3, ["1/3", "1/2", "1", "4/3"]),
    (None, "mup", "width", 0, ["-1/2", "1/2"]), (None, "sp", "width", -1, ["-3/2", "-1/2", "0"]),
    (None, "gamma-lazy", "alpha", 2, ["1", "4"]), (None, "gamma-rich:5", "gamma", 0.4, ["1/5", "1/3", "1/2", "4/5"]),
])
def test_a_claim_has_its_rivals(given, theory, axis, exponent, rivals):
    claim = read_claim(given, theory, None, axis)
    assert claim.exponent == pytest.approx(exponent)
    assert list(map(str, claim.rivals)) == rivals


def test_a_claim_s_rivals_may_be_given():
    assert read_claim(-1, None, ["-1/2", 0.25], "width").rivals == (Fraction(-1, 2), Fraction(1, 4))
    assert read_claim(None, None, None, "width") is None
    assert read_exponent("claim", 0.123) == 0.123


@pytest.mark.parametrize(("given", "theory", "rivals", "message"), [
    ("x", None, None, "claim must be a finite number or a fraction such as -1/2, not 'x'"), (np.nan, None, None, "claim must be a finite"),
    ("1/0", None, None, "claim must"), (True, None, None, "claim must"), (1, "sp", None, "claim must be None where theory is given"),
    (None, "muP", None, "theory must be one of 'mup', 'sp'"), (None, "gamma-rich:0", None, "with a depth L from 1"),
    (None, "gamma-rich:x", None, "theory must"), (None, 3, None, "theory must"), (None, None, [1], "rivals must be None"),
    (1, None, [1], "rivals must differ"), (1, None, "12", "rivals must be numbers"), (1, None, ["x"], "rivals must be a finite"),
])
def test_a_claim_that_is_refused(given, theory, rivals, message):
    with pytest.raises(Misuse, match=message):
        read_claim(given, theory, rivals, "width")


@pytest.mark.parametrize("exponent", [-1.0, 0.0, -0.5])
def test_a_planted_law_is_found_and_its_rivals_are_excluded(exponent):
    [found] = judge_runs(table(exponent), exponent, trained_below=1.6, tolerance=0.15)
    for edge in ("eta_opt", "eta_max"):
        verdict = found.verdicts[edge]
        assert verdict.interval[0] <= exponent <= verdict.interval[1]
        assert len(verdict.excluded) >= 2
        assert "width 64 to 2048 (6 widths)" in verdict.sentence
        assert "gamma" not in verdict.sentence
    assert found.verdicts["eta_opt"].outcome == "SUPPORTED"
    assert "eta_min" in found.fits
    assert "eta_min" not in found.verdicts


def test_another_exponent_is_contradicted():
    [found] = judge_runs(table(-1.0), 0)
    assert found.contradicted
    assert found.verdicts["eta_opt"].outcome == "CONTRADICTED"
    assert not judge_runs(table(-1.0))[0].verdicts


def test_without_a_threshold_only_the_best_rate_is_judged():
    [found] = judge_runs(table(), -1)
    assert list(found.fits) == list(found.edges) == ["eta_opt"]
    assert found.trained is None


def test_the_interpolated_brackets_lie_inside_and_hold_the_best_rate():
    [found] = judge_runs(table(-0.3), -0.3)
    edges = found.edges["eta_opt"]
    true = 2.0**-3 * (edges["gamma"] / 64) ** -0.3
    low, high = (edges["interpolated"].sel(edge="eta_opt", bound=b) for b in ("lower", "upper"))
    assert (low <= true).all()
    assert (true <= high).all()
    assert (low >= edges["eta"].sel(edge="eta_opt", bound="lower")).all()
    assert (high / low < 2).all()                                        # less than one step, in place of two


def test_a_lost_run_beside_the_best_and_an_open_bracket_are_to_be_run_next():
    # at the width 64 the best rate is 2^-3; at 2048 it is 2^-8
    [found] = judge_runs(table(lost=[(64, -3)]), -1)
    assert found.next_runs[0] == "run lr = 2^-3 at width = 64 again, of which nothing is known"
    [found] = judge_runs(table(octaves=range(-7, 1)), -1)
    assert found.next_runs[:2] == ("add lr = 2^-8 at width = 1024: no lower rate is worse than the best",
                                   "add lr = 2^-8 at width = 2048: no lower rate is worse than the best")
    assert found.fits["eta_opt"].n_censored == 2
    [found] = judge_runs(table(octaves=range(-12, -8)), -1)
    assert "add lr = 2^-8 at width = 64: no higher rate is worse than the best" in found.next_runs


def test_too_few_widths_are_undecided_with_what_to_add():
    [found] = judge_runs(table(widths=WIDTHS[:3]), -1)
    assert found.verdicts["eta_opt"].outcome == "UNDECIDED"
    assert "add 1 width: a verdict needs 4" in found.next_runs
    [found] = judge_runs(table(octaves=range(-14, -10)), -1)             # all best rates but none lie above the grid
    assert found.verdicts["eta_opt"].outcome == "UNDECIDED"
    assert not np.isfinite(found.fits["eta_opt"].exponent)


def test_finer_rates_at_both_ends_are_suggested_where_nothing_else_is_missing():
    [found] = judge_runs(table(octaves=range(-13, 1, 2)), -1)
    assert found.verdicts["eta_opt"].outcome == "UNDECIDED"
    first, last = found.next_runs
    assert first == "add lr = 2^-4 and 2^-2 at width = 64: the brackets at both ends of width decide the exponent most"
    assert "at width = 2048: the brackets" in last


def test_groups_are_judged_one_by_one():
    both = {name: np.concatenate([a, b]) for (name, a), (_, b) in zip(
        ((n, table(-1.0)[n].values) for n in ("x", "eta", "loss")), ((n, table(0.0)[n].values) for n in ("x", "eta", "loss")), strict=True)}
    half = both["x"].size // 2
    runs = read_runs({"width": both["x"], "lr": both["eta"], "loss": both["loss"], "optimizer": ["adam"] * half + ["lion"] * half},
                     "width", "lr", "loss", group="optimizer")
    first, second = judge_runs(runs, 0, tolerance=0.15)
    assert (first.group, second.group) == ("optimizer=adam", "optimizer=lion")
    assert (first.contradicted, second.contradicted) == (True, False)


def test_a_group_that_cannot_be_judged_is_left_out_with_a_note():
    runs = table()
    columns = {"width": runs["x"].values, "lr": runs["eta"].values, "loss": runs["loss"].values}
    both = {name: np.concatenate([values, values]) for name, values in columns.items()}
    both["loss"][90:] = np.nan
    again = read_runs(both | {"optimizer": ["adam"] * 90 + ["lion"] * 90}, "width", "lr", "loss", group="optimizer")
    [found] = judge_runs(again, -1)
    assert found.group == "optimizer=adam"
    assert any(note.startswith("optimizer=lion: ") and note.endswith("; this group is left out") for note in found.notes)
    with pytest.raises(Misuse, match="optimizer=lion: runs must have one at least that finished or diverged"):
        judge_runs(again.isel(run=slice(90, None)))


def test_of_an_accuracy_the_highest_is_the_best():
    runs = table(-1.0)
    accuracy = np.where(np.isfinite(runs["loss"]), 1 / runs["loss"], np.nan)
    for scale in (0.99, 99):
        again = read_runs({"width": runs["x"].values, "lr": runs["eta"].values, "acc": scale * accuracy,
                           "status": runs["status"].values}, "width", "lr", "acc", status="status")
        [found] = judge_runs(again, -1, accuracy_above=0.6 * scale)
        assert found.edges["eta_opt"]["best"].values == pytest.approx(2.0**-3 / (WIDTHS / 64), rel=0.05)
    with pytest.raises(Misuse, match="accuracy must lie between 0 and 1, or between 0 and 100, but one of acc is 120"):
        judge_runs(again.assign(loss=("run", np.full(90, 120.0), {"long_name": "acc"})), accuracy_above=50)


def test_misuse_is_refused():
    runs = table()
    for how, message in (({"trained_below": 1, "accuracy_above": 1}, "trained_below must be None"), ({"tolerance": 0}, "tolerance must"),
                         ({"window": (2, 1)}, "window must be a pair"), ({"window": (1e6, 1e7)}, "window must hold at least two widths")):
        with pytest.raises(Misuse, match=message):
            judge_runs(runs, -1, **how)
    with pytest.raises(Misuse, match="Dataset as from"):
        judge_runs([1, 2])
    many = {"width": np.arange(1.0, 302), "lr": np.ones(301), "loss": np.ones(301), "name": [str(i) for i in range(301)]}
    thrice = {name: np.tile(values, 3) for name, values in many.items()} | {"lr": np.repeat([1.0, 2, 4], 301)}
    with pytest.raises(Misuse, match="width must have at most 300 different values, of which it has 301; give a number of bins"):
        judge_runs(read_runs(thrice, "width", "lr", "loss"))
    with pytest.raises(Misuse, match=r"groups must be at most 50, not 299: name=0, name=1, \.\.\."):
        judge_runs(read_runs({name: values[:299] for name, values in many.items()}, "width", "lr", "loss", group="name"))
    with pytest.raises(Misuse, match=r"lr must lie between 1e-100 and 1e\+100 to be judged, not at 1e\+200"):
        judge_runs(read_runs({"width": [1], "lr": [1e200], "loss": [1]}, "width", "lr", "loss"))
    with pytest.raises(Misuse, match="all 90 are unknown"):
        judge_runs(runs.assign(status=("run", np.full(90, "unknown"))))


def test_a_random_search_is_judged_in_bins():
    exponent, runs = draw_search(np.random.default_rng(5), 300, 0.003)
    [found] = judge_runs(runs, exponent, tolerance=0.15)
    law = found.fits["eta_opt"]
    assert law.interval[0] <= exponent <= law.interval[1]
    assert found.verdicts["eta_opt"].outcome == "SUPPORTED"
    assert f"({law.n} bins)" in found.verdicts["eta_opt"].sentence
    assert found.notes[0].startswith("width has 300 values: the best lr is read in ")
    assert found.binned.sizes["run"] == 300
    assert np.unique(found.binned["x"]).size == found.edges["eta_opt"].sizes["gamma"]
    [contradicted] = judge_runs(runs, exponent + 1)
    assert contradicted.contradicted
    [other] = judge_runs(runs, trained_below=5.0, bins=5)
    assert other.edges["eta_opt"].sizes["gamma"] == 5
    assert "in bins the best rate alone is judged, not the highest that trains" in other.notes


def test_bins_are_chosen_by_the_runs_or_refused():
    _, runs = draw_search(np.random.default_rng(5), 300, 0.003)
    assert choose_bins(table()) is None                                  # six widths with fifteen rates each
    finished = int((runs["status"] == "finished").sum())
    assert choose_bins(runs) == min(8, finished // 25)
    assert choose_bins(runs.isel(run=slice(0, 40))) is None              # too few
    for bins in (2, 2.5, True, "6"):
        with pytest.raises(Misuse, match="bins must be a whole number from 3"):
            judge_runs(runs, bins=bins)
    with pytest.raises(Misuse, match="bins must be None for 9 finished runs: three bins take 24"):
        choose_bins(runs.isel(run=np.flatnonzero(runs["status"] == "finished")[:9]), 4)
    with pytest.raises(Misuse, match=f"bins must be at most {finished // 8}, not 200"):
        judge_runs(runs, bins=200)
    with pytest.raises(Misuse, match="losses above zero"):
        judge_runs(runs.assign(loss=("run", np.where(np.arange(300) == 7, -1.0, runs["loss"]), runs["loss"].attrs),
                               status=("run", np.full(300, "finished"))))


def test_a_search_of_too_few_runs_says_so():
    _, runs = draw_search(np.random.default_rng(5), 30, 0.003)
    [found] = judge_runs(runs, 0)
    assert found.binned is None
    assert [note for note in found.notes if "too few finished runs for bins: 4 bins take 32" in note] == list(found.notes)
    assert not any("add" in sentence and "eta" in sentence for sentence in found.next_runs)
    assert len(tabulate_brackets(judge_runs(draw_search(np.random.default_rng(5), 60, 3.0)[1].assign(
        status=("run", ["finished"] * 20 + ["unknown"] * 40)))[0]).splitlines()) == 42


def test_planted_laws_are_covered_and_no_wrong_claim_is_supported():
    """A small part of the benchmark whose tables stand on the page."""
    rows = [row for row in simulate(12, 7) if np.isfinite(row.exponent)]
    assert len(rows) >= 12
    assert np.mean([row.interval[0] <= float(row.table.exponent) <= row.interval[1] for row in rows]) >= 0.9
    assert not any(row.wrong or row.outcome == "CONTRADICTED" for row in rows)
    bent = [row for row in simulate(4, 7, bend=1.5) if np.isfinite(row.exponent)]
    assert np.mean([row.bends or row.outcome == "CONTRADICTED" for row in bent]) >= 0.5
    assert not any(row.outcome == "SUPPORTED" for row in bent)
