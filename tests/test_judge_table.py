"""`lazyrich judge` of a table of runs as a user meets it: what it prints and writes, its exit codes, and dirt of forty kinds."""

from __future__ import annotations

import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import lazyrich
from tests.benchmarks.planted_searches import draw_search
from toymodels import OneParameter, ToyExperiment
from validation import Plane, save_portrait, sweep

COLUMNS = ("--x", "width", "--eta", "lr", "--loss", "val_loss")
ENDS = ("finished", "crashed", "diverged")


def run(*words):
    """Run a command in this process; return its exit code."""
    return lazyrich.run([str(word) for word in words])


def write_table(path: Path, exponent=-1.0, octaves=range(-12, 1)) -> Path:
    """Write a sweep of five widths, one lost run among them, whose best rate is 2^-3 (width/64)^exponent."""
    lines = ["name,width,lr,val_loss,state,optimizer"]
    for width in 64 * 2.0 ** np.arange(5):
        best = 2.0**-3 * (width / 64) ** exponent
        for octave in octaves:
            off = octave - np.log2(best)
            end = ENDS[1] if (width, octave) == (256, -5) else ENDS[2] if off > 2 else ENDS[0]
            loss = f"{1 + 0.1 * off**2:.4f}" if end == "finished" else "" if end == "crashed" else "nan"
            lines.append(f"run-{len(lines)},{width:g},{2.0**octave},{loss},{end},adam")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    return write_table(tmp_path / "runs.csv")


def test_a_verdict_its_brackets_and_what_to_run_next_are_printed(table, capsys):
    assert run("judge", table, *COLUMNS, "--status", "state", "--claim", "-1", "--trained-below", "1.5", "--tolerance", "0.2") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "runs.csv: 65 runs, width 64 to 1024, lr 0.000244 to 1; 49 finished, 15 diverged, 1 unknown" in out
    assert "width runs diverged unknown best eta_opt eta_max eta_min 64 13 1 0 0.125 2^-4 to 2^-2 2^-1 to 1 2^-6 to 2^-5" in out
    assert "eta_opt, width 64 to 1024 (5 widths): predicted -1, measured -1.000" in out
    assert "SUPPORTED within 0.2; excludes -3/2, -1/2 and 0" in out
    assert "run lr = 2^-5 at width = 256 again, of which nothing is known" in out
    assert "gamma" not in out


def test_a_contradicted_claim_exits_with_1_and_no_claim_with_0(table, capsys):
    assert run("judge", table, *COLUMNS, "--status", "state", "--theory", "mup") == 1
    assert "CONTRADICTED" in capsys.readouterr().out
    assert run("judge", table, *COLUMNS, "--status", "state") == 0
    assert "exponent -1" in capsys.readouterr().out
    assert run("judge", table, *COLUMNS, "--status", "state", "--claim=-1/2", "--rival", "-1", "--rival", "0") == 1
    assert run("judge", table, *COLUMNS, "--status", "state", "--theory", "sp", "--window", "64", "512") == 0
    assert "(4 widths)" in capsys.readouterr().out


def test_a_figure_a_report_and_verdicts_are_written(table, tmp_path, capsys):
    words = ("judge", table, *COLUMNS, "--status", "state", "--claim", "-1", "--trained-below", "1.5", "--out", tmp_path / "out")
    assert run(*words) == 0
    folder = tmp_path / "out"
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "runs-judged.png", "verdicts.json"]
    page = (folder / "report.html").read_text()
    assert "window of width" in page
    assert "width = 256" in page
    assert "What to run next: run lr = 2^-5" in page
    [section] = json.loads((folder / "verdicts.json").read_text())["sections"]
    assert [(row["edge"], row["axis"], row["predicted"]) for row in section["verdicts"]] == [("eta_opt", "width", -1),
                                                                                             ("eta_max", "width", -1)]
    assert run(*words, "--format", "pdf") == 0                           # again, over its own
    assert (folder / "runs-judged.pdf").stat().st_size > 5000
    (tmp_path / "other").mkdir()
    other = write_table(tmp_path / "other" / "runs.csv", 0.0)
    assert run("judge", other, *COLUMNS, "--status", "state", "--out", folder) == 2
    assert "holds verdicts on another portrait under the name 'runs-judged'" in capsys.readouterr().err
    (folder / "runs-judged.png").write_bytes(b"mine")
    assert run(*words) == 2
    assert (folder / "runs-judged.png").read_bytes() == b"mine"


def test_groups_have_a_figure_each(table, tmp_path):
    table.write_text(table.read_text() + write_table(tmp_path / "b.csv", 0.0).read_text().replace("adam", "lion").split("\n", 1)[1])
    words = ("judge", table, *COLUMNS, "--status", "state", "--group", "optimizer", "--claim", "0", "--out", tmp_path / "out")
    assert run(*words) == 1
    assert {"runs-judged-1.png", "runs-judged-2.png"} <= {p.name for p in (tmp_path / "out").iterdir()}
    titles = [s["title"] for s in json.loads((tmp_path / "out" / "verdicts.json").read_text())["sections"]]
    assert titles == ["Runs of runs.csv, optimizer=adam", "Runs of runs.csv, optimizer=lion"]


def test_what_a_path_is_decides(table, tmp_path, capsys):
    assert run("judge", table) == 2
    assert ("runs.csv is a table of runs, of which --x, --eta, --loss must be given; its columns are 'name', 'width', 'lr', 'val_loss', "
            "'state', 'optimizer'") in capsys.readouterr().err
    assert run("judge", table, "--x", "width", "--loss", "val_loss") == 2
    assert "--eta must be given" in capsys.readouterr().err
    assert run("judge", table, *COLUMNS, "--status", "state", "--rho", "0.1") == 2
    assert "rho belongs to a portrait" in capsys.readouterr().err
    portrait = save_portrait(sweep(ToyExperiment(OneParameter(3), steps=20), Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2)), tmp_path / "p.nc")
    assert run("judge", portrait, "--x", "width") == 2
    assert "--x belongs to a table of runs, not to the portrait" in capsys.readouterr().err
    (tmp_path / "other.nc").write_bytes(b"\x89HDF\r\n")
    assert run("judge", tmp_path / "other.nc") == 2
    assert "path must be a portrait" in capsys.readouterr().err
    assert run("judge", tmp_path / "none.csv", *COLUMNS) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


GOOD = "width,lr,val_loss,state\n64,0.1,1,finished\n"
CELLS = ("1e400", "1e-400", '"1,024"', '"1,024.5"', "1_000", "1 024", "0.1s", "50%", "1/16", "2^-4", "0x10", "\u0661", "\u22121", "1d-3",
         "True", "lr", "1.2.3", "e5", ".", "=A1", "--inf", "$0.1", "0", "-0.1", "inf", "[0.1]", "1e", "0..1", "#REF!", "'0.1'", "1,5,0")
FILES = {
    "short row": (GOOD + "128,0.1\n", "row 3 has 2 cells"), "open quotation": (GOOD + '128,"0.1,1,finished\n', "row 3"),
    "two columns of one name": ("width,lr,lr,val_loss\n64,1,1,1\n", "several that are called 'lr'"),
    "another case": ("width,LR,val_loss\n64,1,1\n", "has no 'lr'"), "no runs": ("width,lr,val_loss\n", "no run with both"),
    "nothing": ("", "is empty"), "UTF-16 without its mark": (GOOD.encode("utf-16-le"), "--encoding utf-16"),
    "a spreadsheet": (b"PK\x03\x04...", "is a spreadsheet"), "compressed": (b"\x1f\x8b...", "a gzip archive"),
    "a word in no table": (GOOD + "64,0.1,1,meltdown\n", "row 3, column 'state': 'meltdown' is not a status"),
    "decimal point and comma": ("width;lr;val_loss;state\n64;0,1;1;ok\n64;0.1;1;ok\n", "row 3, column 'lr'"),
    "one number that can be two": ("width;lr;val_loss;state\n1,024;1;1;ok\n", "row 2, column 'width'"),
    "bytes of another encoding": ("width,lr,val_loss,state\n64,1,1,groß\n".encode("cp1252"), "row 2, column 'state'"),
    "a loss in words": (GOOD + "64,0.2,good,finished\n", "row 3, column 'val_loss'"),
    "no loss above zero": ("width,lr,val_loss,state\n64,0.1,-1,ok\n64,0.2,1,ok\n", "losses above zero, but val_loss is -1 at width = 64"),
    "all lost": ("width,lr,val_loss,state\n64,0.1,1,crashed\n", "all 1 are unknown"),
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_dirty_cell_is_refused_with_its_row_and_column(cell, tmp_path, capsys):
    path = tmp_path / "runs.csv"
    path.write_text(GOOD + f"128,{cell},1,finished\n")
    assert run("judge", path, *COLUMNS, "--status", "state", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "row 3" in error
    assert "column 'lr'" in error or "has 6 cells" in error
    assert error.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


@pytest.mark.parametrize("kind", FILES)
def test_a_dirty_file_is_refused_in_a_sentence(kind, tmp_path, capsys):
    content, message = FILES[kind]
    path = tmp_path / "runs.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    status = () if "state" not in str(content) else ("--status", "state")
    assert run("judge", path, *COLUMNS, *status, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_an_unknown_word_can_be_explained(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    path.write_text(GOOD + "64,0.2,,meltdown\n64,0.05,2,finished\n")
    assert run("judge", path, *COLUMNS, "--status", "state") == 2
    assert "say what it stands for: --word meltdown=finished, meltdown=diverged or meltdown=unknown" in capsys.readouterr().err
    assert run("judge", path, *COLUMNS, "--status", "state", "--word", "meltdown=diverged") == 0
    assert "2 finished, 1 diverged" in capsys.readouterr().out
    assert run("judge", path, *COLUMNS, "--status", "state", "--word", "meltdown") == 2
    assert "word must be such as meltdown=diverged" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), [
    (("--claim", "x"), "claim must be a finite number"), (("--claim", "1", "--theory", "mup"), "claim must be None where theory"),
    (("--theory", "muP"), "theory must be one of"), (("--trained-below", "nan"), "trained_below must be a finite number"),
    (("--trained-below", "1", "--accuracy-above", "1"), "trained_below must be None"), (("--rival", "0"), "rivals must be None"),
    (("--tolerance", "0"), "tolerance must"), (("--window", "2", "1"), "window must be a pair"),
    (("--study", "a"), "study must be None for CSV"),
    (("--group", "nope"), "group must be a column"), (("--seed", "nope"), "seed must be a column"),
    (("--rescale", "gamma2"), "rescale belongs"),
    (("--decimal", "x"), "decimal must be one of"), (("--accuracy-above", "0.5"), ""),
    (("--width", "1"), "width must be a number between 2"),
])
def test_bad_options_are_refused(words, message, table, tmp_path, capsys):
    assert run("judge", table, *COLUMNS, "--status", "state", *words, "--out", tmp_path / "out") == (2 if message else 0)
    error = capsys.readouterr().err
    assert message in error
    assert (tmp_path / "out").exists() == (not message)


def test_an_optuna_study_whose_objective_was_nan(tmp_path, capsys):
    """Of two such trials one has a NaN among its intermediate values, and diverged; the other has none, and is unknown, never fine."""
    path = tmp_path / "study.db"
    with sqlite3.connect(path) as base:
        base.executescript((Path(__file__).parent / "validation" / "runs" / "files" / "optuna.sql").read_text())
    words = ("judge", path, "--x", "width", "--eta", "lr", "--loss", "value")
    assert run(*words) == 2
    assert "those with runs are 'two objectives', 'widths'" in capsys.readouterr().err
    assert run(*words, "--study", "widths", "--trained-below", "0.3") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "8 runs, width 64 to 256, lr 0.001 to 0.128; 2 finished, 3 diverged, 3 unknown" in out
    assert "trial 8: no width" in out


def test_a_random_search_is_judged_and_drawn_in_bins(tmp_path, capsys):
    _, runs = draw_search(np.random.default_rng(5), 300, 0.003)
    path = tmp_path / "search.csv"
    lines = [f"{x},{eta},{loss}" for x, eta, loss in zip(*(runs[name].values for name in ("x", "eta", "loss")), strict=True)]
    path.write_text("\n".join(["width,lr,val_loss", *lines]))
    assert run("judge", path, *COLUMNS, "--bins", "6", "--out", tmp_path / "out") == 0
    out = capsys.readouterr().out
    assert "width (bin)  runs" in out
    assert "the best lr is read in 6 bins of width" in out
    assert (tmp_path / "out" / "search-judged.png").exists()
    assert run("judge", path, *COLUMNS, "--bins", "2") == 2
    assert "bins must be a whole number from 3, not 2" in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints(monkeypatch, capsys):
    root = Path(__file__).parent.parent
    page = (root / "docs" / "judge_a_sweep.md").read_text()
    command = re.search(r"```bash\nlazyrich (judge .*?)\n```", page, re.DOTALL)[1].replace("\\\n", " ").split()
    monkeypatch.chdir(root)
    assert run(*command) == 1                                            # the claim is CONTRADICTED of one group
    assert f"```text\n{capsys.readouterr().out}```" in page


def test_ten_thousand_runs_are_judged(tmp_path, capsys):
    rng = np.random.default_rng(0)
    lines = ["width,lr,val_loss"]
    lines += [f"{64 * 2 ** (i % 8)},{10 ** rng.uniform(-4, 0):.6g},{rng.uniform(1, 2):.5f}" for i in range(10000)]
    (tmp_path / "runs.csv").write_text("\n".join(lines))
    assert run("judge", tmp_path / "runs.csv", *COLUMNS, "--trained-below", "1.5") == 0
    assert "10000 runs" in capsys.readouterr().out
