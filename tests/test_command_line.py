"""The command line as a user meets it: what it writes, what it refuses, how it stops."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import lazyrich
from toymodels import OneParameter, ToyExperiment, WarmupCosine
from validation import open_portrait
from validation.experiment import name_experiment

SMALL = ["--points", "64", "--gamma", "1e-4", "1e4"]


def run(*words):
    """Run a command in this process; return its exit code."""
    return lazyrich.run([str(w) for w in words])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return a folder that `lazyrich toy` wrote for both losses."""
    folder = tmp_path_factory.mktemp("toy")
    assert run("toy", *SMALL, "--out", folder / "five", "--quiet") == 0
    return folder / "five"


def test_toy_writes_portraits_figures_and_a_report(written):
    names = {p.name for p in written.iterdir()}
    for loss in ("mse", "cross_entropy"):
        stem = f"one-L5-{loss}-sgd-T1000"
        assert {f"{stem}.zarr", f"{stem}.png", f"{stem}-edges.png"} <= names
        portrait = open_portrait(written / f"{stem}.zarr")
        assert dict(portrait.sizes) == {"gamma": 64, "eta": 64}
        assert portrait.attrs["steps"] == 1000
    page = (written / "report.html").read_text()
    assert page.count("SUPPORTED") >= 8
    assert page.count("data:image/png;base64,") >= 4
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert not [n for n in names if n.startswith(".")]


def test_the_verdicts_are_readable_by_a_machine(written):
    content = json.loads((written / "verdicts.json").read_text())
    rows = [row for section in content["sections"] for row in section["verdicts"]]
    rows = [row for row in rows if row["regime"] in ("lazy", "rich")]
    assert {(row["edge"], row["regime"]) for row in rows} == {(e, r) for e in ("eta_min", "eta_max") for r in ("lazy", "rich")}
    rich = [row for row in rows if row["edge"] == "eta_max" and row["regime"] == "rich"]
    assert all(abs(row["measured"] - 0.4) < 0.01 and row["outcome"] == "SUPPORTED" for row in rich)


def test_toy_may_be_run_again_but_not_over_another_s_results(written, capsys):
    assert run("toy", *SMALL, "--out", written, "--quiet") == 0
    before = open_portrait(written / "one-L5-mse-sgd-T1000.zarr")
    assert run("toy", *SMALL[2:], "--points", "65", "--out", written, "--quiet") == 2
    assert "plane must contain the one in" in capsys.readouterr().err
    assert run("toy", *SMALL, "--rho", "0.02", "--out", written, "--quiet") == 2
    assert "holds another: rho: given 0.02, stored 0.01; choose another folder with --out" in capsys.readouterr().err
    np.testing.assert_array_equal(open_portrait(written / "one-L5-mse-sgd-T1000.zarr")["outcome"], before["outcome"])


def test_two_parameters_give_the_maps_of_figures_8_and_9(tmp_path, capsys):
    assert run("toy", "--model", "two", "--points", "48", "--steps", "300", "--out", tmp_path / "two") == 0
    names = {p.name for p in (tmp_path / "two").iterdir()}
    assert {"two-mse-sgd-T300-final.png", "two-mse-sgd-T300-peak.png", "two-cross_entropy-sgd-T300-final.png"} <= names
    assert "eta_div" in capsys.readouterr().out


@pytest.mark.parametrize("optimizer", ["signsgd", "momentum", "adam"])
def test_every_optimizer_runs(tmp_path, optimizer):
    words = ["toy", *SMALL, "--depth", "2", "--loss", "mse", "--optimizer", optimizer, "--out", tmp_path, "--quiet"]
    assert run(*words) == 0
    assert (tmp_path / f"one-L2-mse-{optimizer}-T1000.png").stat().st_size > 10_000


def test_settings_without_a_theory_have_a_portrait_around_their_edges(tmp_path, capsys):
    words = ["--model", "two", "--loss", "mse", "--optimizer", "momentum", "--beta", "0.5", "--noise", "0.1", "--steps", "300"]
    assert run("toy", *SMALL, *words, "--out", tmp_path) == 0
    assert "no regime with a predicted exponent" in " ".join(capsys.readouterr().out.split())
    assert "nothing is judged" in (tmp_path / "report.html").read_text()
    portrait = open_portrait(tmp_path / "two-mse-momentum-beta0.5-noise0.1-T300.zarr")
    trained = (portrait["final_excess"] <= 0.01).values
    assert trained.any(axis=1).all()
    assert not trained[:, [0, -1]].any()


def test_settings_reach_the_experiment_and_its_judge(tmp_path, capsys):
    words = ["--loss", "mse", "--depth", "1", "--schedule", "warmup_cosine", "--warmup", "0.2", "--start", "3", "--target", "-0.5"]
    assert run("toy", *SMALL, *words, "--out", tmp_path, "--quiet") == 0
    (store,) = tmp_path.glob("one-L1-mse-sgd-warmup_cosine-*-start3-target-0.5-T1000.zarr")
    experiment = ToyExperiment.of(json.loads(open_portrait(store).attrs["description"]))
    assert experiment == ToyExperiment(OneParameter(1, 3.0, -0.5), "mse", schedule=WarmupCosine(0.2))
    assert run("judge", store) == 0
    assert "SUPPORTED" in capsys.readouterr().out


def test_judge_reads_a_stored_portrait(written, tmp_path, capsys):
    assert run("judge", written / "one-L5-mse-sgd-T1000.zarr", "--out", tmp_path / "judged") == 0
    assert "eta_max" in capsys.readouterr().out
    assert {"report.html", "verdicts.json", "one-L5-mse-sgd-T1000-judged.png"} <= {p.name for p in (tmp_path / "judged").iterdir()}


def test_judge_names_both_thresholds_and_what_lazyrich_toy_does_further(written, capsys):
    run("judge", written / "one-L5-mse-sgd-T1000.zarr", "--rho", "0.1")
    printed = capsys.readouterr().out
    assert "those at rho = 0.1. The outcomes in pictures were measured at rho = 0.01." in printed
    assert ("lazyrich toy bisects" in printed) == ("UNDECIDED" in printed)


def test_judge_exits_with_1_where_a_verdict_is_contradicted(written, tmp_path, capsys):
    import shutil

    from validation import save_portrait

    path = shutil.copytree(written / "one-L5-mse-sgd-T1000.zarr", tmp_path / "forged.zarr")
    forged = open_portrait(path)
    # the same outcomes, described as those of depth 2: its rich eta_max would be gamma, not gamma^(2/5)
    description = json.loads(forged.attrs["description"])
    description["model"]["depth"] = 2
    save_portrait(forged.assign_attrs(name_experiment(description)), path, overwrite=True)
    assert run("judge", path) == 1
    assert "CONTRADICTED" in capsys.readouterr().out


def test_judge_writes_nothing_into_a_store(written, capsys):
    store = written / "one-L5-mse-sgd-T1000.zarr"
    before = sorted(store.rglob("*"))
    for out in (store, store / "judged"):
        assert run("judge", store, "--out", out) == 2
        assert "out must be outside of stores" in capsys.readouterr().err
    assert sorted(store.rglob("*")) == before


def test_judge_leaves_no_folder_behind_when_it_refuses(tmp_path, capsys):
    from toymodels import OneParameter
    from validation import Plane, save_portrait, sweep

    plane = Plane.log(gamma=(1e-2, 1e-1), eta=(1e-4, 1e1), per_decade=2)
    trained = save_portrait(sweep(ToyExperiment(OneParameter(3), steps=20), plane), tmp_path / "trained.nc")
    silent = save_portrait(sweep(ToyExperiment(OneParameter(3), "mse", "momentum", 20, noise=0.1), plane), tmp_path / "silent.nc")
    assert run("judge", trained, "--tolerance", "-1", "--out", tmp_path / "judged") == 2
    assert "tolerance must be" in capsys.readouterr().err
    assert run("judge", silent, "--out", tmp_path / "judged") == 2
    assert "there is nothing to judge" in capsys.readouterr().err
    assert not (tmp_path / "judged").exists()
    assert run("judge", trained, "--out", trained) == 2
    assert "it is not a folder" in capsys.readouterr().err


def test_predict_prints_the_edges(capsys):
    assert run("predict", "--model", "one", "--depth", "5", "--loss", "mse") == 0
    assert "2/5" in capsys.readouterr().out


@pytest.mark.parametrize("words", [
    ["toy", "--depth", "2.5"], ["predict", "--steps", "999.5"], ["toy", "--points", "100000000"], ["toy", "--gamma", "1e-300", "1e300"],
    ["toy", "--depth", "0"], ["toy", "--depth", "x"], ["toy", "--loss", "hinge"], ["toy", "--gamma", "1", "0.1"],
    ["toy", "--gamma", "nan", "1"], ["toy", "--gamma", "-1", "1"], ["toy", "--gamma", "1"], ["toy", "--eta", "0", "1"],
    ["toy", "--steps", "0"], ["toy", "--rho", "2"], ["toy", "--points", "1"], ["toy", "--tolerance", "0"], ["toy", "--what"],
    ["toy", "--optimizer", "lion"], ["toy", "--model", "three"], ["tay"], ["predict", "--depth", "0"], ["predict", "--rho", "0"],
    ["predict", "--format", "xml"], ["judge"], ["judge", "/nowhere"], ["judge", "."],
    ["toy", "--beta", "0.5"], ["toy", "--optimizer", "momentum", "--beta", "1"], ["toy", "--optimizer", "adam", "--epsilon", "-1"],
    ["toy", "--warmup", "0.1"], ["toy", "--start", "1", "2"], ["toy", "--model", "two", "--start", "1"],
    ["toy", "--depth", "2", "--start", "0"], ["toy", "--noise", "-1"], ["toy", "--batch", "0"], ["toy", "--target", "nan"],
])
def test_misuse_exits_with_2_says_why_and_writes_nothing(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*words) == 2
    captured = capsys.readouterr()
    assert captured.err.strip()
    assert "Traceback" not in captured.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_trained(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert run("toy", "--out", tmp_path / "file" / "out") == 2
    assert "cannot write to" in capsys.readouterr().err
    assert run("toy", "--out", tmp_path / "file") == 2
    assert (tmp_path / "file").read_text() == "mine"


# each process of the command writes its number when it begins to measure
ANNOUNCED = """
import os, pathlib, sys, lazyrich
from toymodels import ToyExperiment
ours = ToyExperiment.measure

def measure(self, *args):
    (pathlib.Path("measuring") / str(os.getpid())).touch()
    return ours(self, *args)

ToyExperiment.measure = measure
lazyrich.main()
"""


def start_measuring(tmp_path, *words, processes=1):
    """Start the command, and return it when so many of its processes are measuring."""
    (tmp_path / "measuring").mkdir()
    # background jobs of a shell may ignore interrupts, and children inherit that
    process = subprocess.Popen([sys.executable, "-c", ANNOUNCED, *words], cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    while len(list((tmp_path / "measuring").iterdir())) < processes:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def test_an_interrupt_ends_it_at_once_and_leaves_what_can_be_gone_on_with(tmp_path, capsys):
    # enough steps for many minutes; the interrupt comes once a tile is being measured
    process = start_measuring(tmp_path, "toy", "--loss", "cross_entropy", "--steps", "3000000", "--points", "256", "--out", "out")
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()      # it does not wait for the sweep
    assert process.returncode == 130
    assert "interrupted" in error
    assert "Traceback" not in error
    (store,) = (tmp_path / "out").iterdir()
    assert run("sweep", "status", store) == 0
    assert "0 failed" in capsys.readouterr().out


def test_an_interrupted_sweep_is_gone_on_with(tmp_path, monkeypatch, capsys):
    words = ["toy", *SMALL, "--loss", "mse", "--quiet", "--out", tmp_path]
    measured, ours = [], ToyExperiment.measure

    def measure(self, gamma, eta):
        if np.size(eta) == 64 and len(gamma) == 8:        # a tile, and no bisection
            measured.append(gamma[0])
            if len(measured) == 4:
                raise KeyboardInterrupt
        return ours(self, gamma, eta)

    monkeypatch.setattr(ToyExperiment, "tile", (8, 1 << 20))
    monkeypatch.setattr(ToyExperiment, "measure", measure)
    assert run(*words) == 130
    store = tmp_path / "one-L5-mse-sgd-T1000.zarr"
    assert run("sweep", "status", store) == 0
    assert "3 of 8 tiles done, 0 failed, 5 left" in capsys.readouterr().out
    assert run("judge", store) == 0                       # what there is of it
    assert run(*words) == 0
    assert len(measured) == 4 + 5
    assert run("sweep", "status", store) == 0
    assert "8 of 8 tiles done" in capsys.readouterr().out
    assert run(*words) == 0
    assert len(measured) == 4 + 5


def test_a_failed_tile_is_reported_and_measured_again(tmp_path, monkeypatch, capsys):
    words, ours, crash = ["toy", *SMALL, "--loss", "mse", "--quiet", "--out", tmp_path], ToyExperiment.measure, [True]

    def measure(self, gamma, eta):
        if crash[0] and len(gamma) == 32 and gamma[0] > 1:
            raise RuntimeError("the tile is cursed")
        return ours(self, gamma, eta)

    monkeypatch.setattr(ToyExperiment, "tile", (32, 1 << 20))
    monkeypatch.setattr(ToyExperiment, "measure", measure)
    assert run(*words) == 1
    assert "1 tiles failed" in (text := capsys.readouterr().err)
    assert "--retry-failed" in text
    assert run("sweep", "status", tmp_path / "one-L5-mse-sgd-T1000.zarr") == 1
    assert "the tile is cursed" in capsys.readouterr().out
    crash[0] = False
    assert run(*words) == 1
    assert run(*words, "--retry-failed") == 0


def test_the_edges_may_be_finer_than_the_rest(tmp_path):
    assert run("toy", *SMALL, "--loss", "mse", "--quiet", "--refine", "2", "--out", tmp_path) == 0
    portrait = open_portrait(tmp_path / "one-L5-mse-sgd-T1000.zarr")
    assert dict(portrait.sizes) == {"gamma": 253, "eta": 253}
    assert 0.05 < portrait.attrs["share_of_full_grid"] < 0.4


@pytest.mark.parametrize(("words", "named"), [
    (("--workers", "0"), "workers"), (("--cluster", "here"), "cluster"), (("--refine", "9"), "refine"),
    (("--cluster", "tcp://127.0.0.1:1", "--workers", "2"), "workers")])
def test_how_to_sweep_is_checked_at_once(tmp_path, words, named, capsys):
    assert run("toy", *SMALL, "--out", tmp_path / "out", *words) == 2
    assert named in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["toy", "deep"])
def test_options_are_given_by_name_only(command, capsys):
    assert run(command, "3", "--quiet") == 2
    assert "Unused" in capsys.readouterr().err
    assert run(command, "--help") == 0
    words = capsys.readouterr().out
    assert "[ARGS]" not in words
    assert words.index("--gamma") < words.index("--workers")       # the experiment before the machine


def test_help_imports_no_package():
    code = ("import sys, lazyrich; lazyrich.run(['--help']); "
            "print('LOADED', *[m for m in ('numpy', 'numba', 'sympy', 'xarray', 'matplotlib', 'torch') if m in sys.modules])")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.rstrip().endswith("LOADED")
    for name in ("toy", "deep", "predict", "judge", "sweep"):
        assert name in out


@pytest.mark.parametrize("command", ["toy", "deep", "predict", "judge", "figure", "campaign", "make-mnist1m"])
def test_every_command_has_help_with_an_example(command, capsys):
    assert run(command, "--help") == 0
    assert f"lazyrich {command}" in capsys.readouterr().out.split("Example", 1)[1]


def test_another_s_report_is_left_as_it_is(written, tmp_path, capsys):
    for name in ("report.html", "verdicts.json"):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text("mine")
        assert run("judge", written / "one-L5-mse-sgd-T1000.zarr", "--out", folder) == 2
        assert run("toy", *SMALL, "--out", folder) == 2
        assert "was not written by lazyrich" in capsys.readouterr().err
        assert [p.read_text() for p in folder.iterdir()] == ["mine"]


def test_a_whole_curve_s_verdict_stands_in_the_json(written):
    content = json.loads((written / "verdicts.json").read_text())
    curves = [row for section in content["sections"] for row in section["verdicts"] if row["regime"].startswith("whole curve")]
    assert {row["edge"] for row in curves} == {"eta_min", "eta_max"}
    assert all(row["outcome"] == "SUPPORTED" and row["interval"][1] < 0.05 and row["predicted"] is None for row in curves)


def test_a_curve_outside_of_its_range_is_not_judged(tmp_path, capsys):
    # at T = 100 the measured divergence of L = 1 lies 60% above the edge of stability: that is no contradiction
    assert run("toy", *SMALL, "--depth", "1", "--loss", "mse", "--steps", "100", "--strict", "--out", tmp_path) == 0
    assert "not judged at T = 100" in " ".join(capsys.readouterr().out.split())


def test_an_internal_error_is_not_reported_as_a_verdict(written, monkeypatch, capsys):
    def broken(*_, **__):
        raise RuntimeError("broken")

    monkeypatch.setattr("validation.edges.locate", broken)
    assert run("judge", written / "one-L5-mse-sgd-T1000.zarr") == 70
    assert "internal error" in capsys.readouterr().err


def test_both_losses_beside_each_other_give_what_one_after_the_other_gives(written, tmp_path):
    """In a process of its own the first loss is trained in a fork (here other threads run, and it is not): the same to the last bit."""
    done = subprocess.run([sys.executable, "-m", "lazyrich", "toy", *SMALL, "--out", "forked"], cwd=tmp_path, capture_output=True,
                          text=True, check=True)
    assert done.stdout.index("MSE") < done.stdout.index("cross-entropy")
    for loss in ("mse", "cross_entropy"):
        a, b = (open_portrait(folder / f"one-L5-{loss}-sgd-T1000.zarr") for folder in (tmp_path / "forked", written))
        np.testing.assert_array_equal(a["final_excess"], b["final_excess"])
    rows = [json.loads((folder / "verdicts.json").read_text())["sections"] for folder in (tmp_path / "forked", written)]
    assert [s["verdicts"] for s in rows[0]] == [s["verdicts"] for s in rows[1]]


def test_an_interrupt_reaches_the_child_process(tmp_path):
    process = start_measuring(tmp_path, "toy", "--steps", "3000000", "--points", "256", "--out", "out",
                              processes=min(2, len(os.sched_getaffinity(0))))
    process.send_signal(signal.SIGINT)      # to the parent alone, as `kill` does; a terminal signals both
    _, error = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in error
    for store in (tmp_path / "out").iterdir():
        assert run("sweep", "status", store) == 0


def test_what_goes_wrong_beside_is_raised_here(monkeypatch):
    from toymodels import background

    monkeypatch.setattr(background, "_can_fork", lambda: True)
    with background.run_in_child(divmod, 7, 2) as answer:
        assert answer() == (3, 1)
    with background.run_in_child(divmod, 1, 0) as answer, pytest.raises(ZeroDivisionError):
        answer()
    with background.run_in_child(os._exit, 3) as answer, pytest.raises(RuntimeError, match="ended without a result"):
        answer()


def test_figures_for_a_paper(tmp_path, capsys):
    out = tmp_path / "new"
    assert lazyrich.run(["toy", "--model", "two", "--loss", "mse", "--points", "24", "--quiet", "--out", str(out),
                         "--format", "svg", "--width", "3.3", "--rescale", "gamma2"]) == 0
    [store] = out.glob("*.zarr")
    assert {p.name for p in out.glob("*.svg")} == {p.with_suffix(".svg").name for p in out.glob("*.png")}
    assert lazyrich.run(["judge", str(store), "--out", str(tmp_path / "judged"), "--format", "pdf", "--rescale", "eta_crit"]) in (0, 1)
    assert len(list((tmp_path / "judged").glob("*.pdf"))) == 2
    for wrong, words in ((["--rescale", "eta_opt"], "rescale must be one of 'gamma2', 'eta_min'"), (["--width", "1"], "width must be"),
                         (["--format", "bmp"], "format")):
        assert lazyrich.run(["judge", str(store), *wrong]) == 2
        assert words in capsys.readouterr().err.lower()
