"""Runs over two scales, judged: planted exponents are covered, wrong ones CONTRADICTED, and what cannot be read is refused."""

import json

import numpy as np
import pytest

import lazyrich
from validation import Misuse, read_runs
from validation.judging.runs_over_two_scales import judge_two_scales


def columns(a=-0.5, b=0.25, noise=0.003, seeds=2, sizes=5, bend=0.0, rng=None):
    """Runs whose log loss is (e^u - u - 1)/5 with u = ln(lr/best), best ~ params^a tokens^b."""
    rng = np.random.default_rng(0) if rng is None else rng
    rows = []
    for i in range(sizes):
        for j in range(4):
            best = 10 ** (a * (0.5 * i - 1) + b * (j - 1.5) + bend * (i - 2) ** 2)
            for lr in 2.0 ** np.arange(-8, 8):
                for seed in range(seeds):
                    u = np.log(lr / best)
                    loss = np.exp(0.2 * (np.exp(min(u, 7.0)) - u - 1) + rng.normal(0, noise))
                    rows.append((10 ** (6 + 0.5 * i), 10.0 ** (8 + j), lr, loss, seed))
    return dict(zip(("params", "tokens", "lr", "loss", "seed"), map(list, zip(*rows, strict=True)), strict=True))


def read(table, **more):
    return read_runs(table, "params", "lr", "loss", x2="tokens", seed="seed", **more)


def test_both_exponents_are_found_and_judged():
    [found] = judge_two_scales(read(columns()), "-1/2", "1/4")
    assert len(found.pairs) == 20
    assert found.pairs[0].runs == 32
    assert found.pairs[0].best == pytest.approx(10 ** (0.5 - 0.375), rel=0.1)
    for name, true in (("params", -0.5), ("tokens", 0.25)):
        verdict = found.verdicts[name]
        assert str(verdict.outcome) == "SUPPORTED"
        assert verdict.interval[0] <= true <= verdict.interval[1]
        assert "(20 pairs)" in verdict.sentence
        assert "gamma" not in verdict.sentence
    [wrong] = judge_two_scales(read(columns()), claim2=0, rivals=["1/4"])
    assert list(wrong.verdicts) == ["tokens"]
    assert wrong.contradicted


def test_planted_exponents_are_covered():
    hits = []
    for draw in range(24):
        rng = np.random.default_rng([3, draw])
        a, b = rng.uniform(-0.6, 0.6, 2)
        [found] = judge_two_scales(read(columns(a, b, (0.0, 0.01, 0.03)[draw % 3], 1 + draw % 2, rng=rng)))
        hits += [low <= true <= high for true, (low, high) in zip((a, b), (law.interval for law in found.law.fits.values()), strict=True)]
    assert sum(hits) >= 44


def test_a_surface_that_bends_is_undecided_and_open_brackets_have_notes():
    [bent] = judge_two_scales(read(columns(bend=0.15)), "-1/2")
    assert "bends" in bent.law.reason
    assert str(bent.verdicts["params"].outcome) == "UNDECIDED"
    [rim] = judge_two_scales(read(columns(a=-2.2)))
    assert any(note.startswith("at tokens = 1e+11, params = 1e+06 no higher rate is worse than the best") for note in rim.notes)
    assert [np.isnan(pair.best) for pair in rim.pairs if (pair.x, pair.x2) in ((1e6, 1e11), (1e7, 1e9))] == [False, True]


def test_groups_and_misuse():
    table = columns(sizes=4)
    both = {name: values * 2 for name, values in table.items()} | {"optimizer": ["adam"] * len(table["lr"]) + ["sgd"] * len(table["lr"])}
    assert [one.group for one in judge_two_scales(read(both, group="optimizer"))] == ["optimizer=adam", "optimizer=sgd"]
    lost = both | {"loss": table["loss"] + [np.inf] * len(table["lr"])}
    [found] = judge_two_scales(read(lost, group="optimizer"))
    assert found.notes[-1] == "optimizer=sgd: runs have a best rate at no pair of params and tokens; this group is left out"
    with pytest.raises(Misuse, match="with x2, the column of a second scale"):
        judge_two_scales(read_runs(table, "params", "lr", "loss"))
    with pytest.raises(Misuse, match="rivals must be None where nothing is claimed"):
        judge_two_scales(read(table), rivals=[1])
    with pytest.raises(Misuse, match="x2 must be a column of the dict, which has no 'data'"):
        read_runs(table, "params", "lr", "loss", x2="data")
    with pytest.raises(Misuse, match="x2 must be another column than x, 'params'"):
        read_runs(table, "params", "lr", "loss", x2="params")
    with pytest.raises(Misuse, match=r"column 'tokens': -1\.0 is not above zero"):
        read(table | {"tokens": [-1.0, *table["tokens"][1:]]})
    runs = read(table | {"tokens": [None, *table["tokens"][1:]]})
    assert runs.sizes["run"] == len(table["lr"]) - 1
    assert runs.attrs["dropped"][0].endswith("no tokens")


def test_the_command_prints_draws_and_exits(tmp_path, capsys):
    table = columns(sizes=4)
    path = tmp_path / "runs.csv"
    path.write_text("\n".join([",".join(table), *(",".join(map(str, row)) for row in zip(*table.values(), strict=True))]))
    words = ["judge", str(path), "--x", "params", "--x2", "tokens", "--eta", "lr", "--loss", "loss", "--seed", "seed"]
    assert lazyrich.run([*words, "--claim", "-1/2", "--claim2", "0", "--out", str(tmp_path / "out"), "--width", "3.3"]) == 1
    out = capsys.readouterr().out
    assert "params 1e+06 to 3.16228e+07, tokens 1e+08 to 1e+11" in out
    assert "predicted 0, measured 0.2" in out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "runs-judged.png", "verdicts.json"]
    [section] = json.loads((tmp_path / "out" / "verdicts.json").read_text())["sections"]
    assert [row["axis"] for row in section["verdicts"]] == ["params", "tokens"]
    assert lazyrich.run(words) == 0
    for more, message in ((["--trained-below", "1"], "--trained-below belongs to runs over one scale, not to --x2"),
                          (["--bins", "4"], "--bins belongs"), (["--theory", "sp"], "--theory belongs"),
                          (["--window", "1", "2"], "--window belongs"), (["--claim", "x"], "claim must be a finite number")):
        assert lazyrich.run([*words, *more]) == 2
        assert message in capsys.readouterr().err
    assert lazyrich.run([word for word in words if word not in ("--x2", "tokens")] + ["--claim2", "1"]) == 2
    assert "--claim2 is the exponent of --x2, which must be given" in capsys.readouterr().err
