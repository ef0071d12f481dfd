"""`python -m deepnets` on a bare machine: what it writes and prints, what it refuses, how it is interrupted and resumed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

import lazyrich
from deepnets import __main__ as front
from deepnets.cli_options import DeepOptions
from deepnets.observation.selection import ObserveOptions
from validation import open_portrait
from validation.cli_options import SweepOptions

SMALL = ["--width", "16", "--steps", "100", "--batch-size", "32", "--rho", "0.7", "--gamma", "1e-5", "1e-3",
         "--eta", "1e-9", "1e-2", "--per-decade", "3", "--device", "cpu", "--workers", "1"]
FEWER = [*SMALL[:SMALL.index("--per-decade") + 1], "2", *SMALL[SMALL.index("--per-decade") + 2:]]
BARE = """
import sys
for name in ("zarr", "cyclopts", "rich", "matplotlib", "numba", "dask", "jinja2", "h5netcdf", "netCDF4"):
    sys.modules[name] = None
from deepnets.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def run(folder, *words):
    return subprocess.run([sys.executable, "-c", BARE, *words], cwd=folder, capture_output=True, text=True, check=False)


def test_on_a_bare_machine(tmp_path):
    result = run(tmp_path, *SMALL, "--seeds", "3,5", "--out", "plane.nc")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("MLP, L = 3, digits, MSE, SGD, T = 100\nedge ")
    assert re.search(r"eta_crit +lazy .* 2\.0000 .* = IDENTITY", result.stdout)
    assert re.search(r"\n✓ eta_crit, .*: the tangent kernel's level is off by .*: SUPPORTED within 0.097", result.stdout)
    assert "sweeping: " in result.stderr
    assert "tracing: " in result.stderr
    portrait = open_portrait(tmp_path / "plane.nc")
    assert dict(portrait.sizes) == {"seed": 2, "gamma": 7, "eta": 22}
    assert portrait["seed"].values.tolist() == [3, 5]
    assert json.loads(portrait.attrs["description"])["network"]["width"] == 16
    for name in ("digest", "plane", "versions", "git_revision", "device", "dtype", "rho", "steps", "accuracy"):
        assert name in portrait.attrs
    assert [p.name for p in tmp_path.iterdir()] == ["plane.nc"]


def test_a_folder_on_a_bare_machine_gets_what_can_be_written_and_names_the_missing_libraries(tmp_path):
    words = [*FEWER, "--no-trace", "--out", "out"]
    result = run(tmp_path, *words)
    assert result.returncode == 0, result.stderr
    stem = "mlp-l3-digits-mse-sgd-t100"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{stem}.nc", "verdicts.json"]
    assert "No figures: matplotlib is not installed\nNo report.html: jinja2 is not installed\n" in result.stdout
    before = (tmp_path / "out" / f"{stem}.nc").read_bytes()
    # where all libraries are installed the same command goes on from that file, and draws
    assert front.main([*words[:-1], str(tmp_path / "out"), "--quiet"]) == 0
    assert (tmp_path / "out" / f"{stem}.nc").read_bytes() == before
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {f"{stem}.png", f"{stem}-edges.png", "report.html"}
    assert not (tmp_path / "out" / f"{stem}.zarr").exists()


def test_what_a_netcdf_portrait_cannot_do_is_refused(tmp_path, capsys):
    for words, name in ((["--refine", "1"], "refine"), (["--retry-failed"], "retry_failed")):
        assert front.main([*SMALL, *words, "--out", str(tmp_path / "plane.nc")]) == 2
        assert f"deepnets: {name} must be left out where the portrait is a netCDF file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_verdict_that_is_contradicted_is_an_exit_code_with_strict(tmp_path, monkeypatch, capsys):
    from fractions import Fraction

    from deepnets import pipeline

    words = [*SMALL, "--no-trace", "--out", str(tmp_path / "plane.nc")]
    assert front.main([*words, "--strict"]) == 0
    real = pipeline.predict
    monkeypatch.setattr(pipeline, "predict", lambda *a: {n: replace(p, lazy=Fraction(1)) for n, p in real(*a).items()})
    assert front.main(words) == 0
    assert "✗ CONTRADICTED" in capsys.readouterr().out
    assert front.main([*words, "--strict"]) == 1


def test_a_level_that_is_contradicted_is_an_exit_code_with_strict(tmp_path, monkeypatch, capsys):
    from deepnets.lazy_edges import lazy_levels

    words = [*FEWER, "--no-trace", "--out", str(tmp_path / "plane.nc"), "--strict"]
    monkeypatch.setattr(lazy_levels, "critical_level", lambda largest, outputs: 30 * outputs / largest)      # in place of 2
    assert front.main(words) == 1
    assert re.search(r"✗ eta_crit, .*\s*CONTRADICTED within", capsys.readouterr().out.replace("\n", " "))


def test_observables_on_a_bare_machine(tmp_path):
    words = ["--width", "4", "--steps", "20", "--rho", "0.97", "--gamma", "1e-3", "1e-1", "--eta", "1e-6", "10", "--per-decade", "2",
             "--no-trace", "--device", "cpu", "--workers", "1", "--out", "plane.nc", "--observe", "weights,alignment",
             "--observe-at", "0,T"]
    result = run(tmp_path, *words, "--observe-samples", "16")
    assert result.returncode == 0, result.stderr
    assert "Observed, at the best rates" in result.stdout
    assert "Written to plane.nc, plane-observed.nc" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plane-observed.nc", "plane.nc"]


def test_the_file_is_the_sweep_and_lazyrich_judges_it(tmp_path, capsys):
    words = [*SMALL, "--no-trace", "--out", str(tmp_path / "plane.nc")]
    assert front.main(words) == 0
    first = capsys.readouterr().out
    options = DeepOptions(width=16, steps=100, rho=0.7, gamma=(1e-5, 1e-3), eta=(1e-9, 1e-2), per_decade=3, device="cpu")
    portrait, plane = open_portrait(tmp_path / "plane.nc"), options.plane()
    whole = options.experiment().measure(plane.gamma, plane.eta)
    assert (portrait["outcome"].values == whole["outcome"].values).all()
    assert portrait["eta_value"].values == pytest.approx(plane.eta)
    assert lazyrich.run(["judge", str(tmp_path / "plane.nc"), "--out", str(tmp_path / "judged")]) == 0
    assert "eta_crit lazy " in capsys.readouterr().out
    assert (tmp_path / "judged" / "report.html").exists()
    before = (tmp_path / "plane.nc").read_bytes()
    assert front.main(words) == 0       # nothing is left to do
    assert capsys.readouterr().out == first
    assert (tmp_path / "plane.nc").read_bytes() == before
    assert front.main([*words, "--steps", "7"]) == 2
    assert "already holds another portrait" in capsys.readouterr().err
    assert front.main([*words, "--steps", "7", "--overwrite"]) == 0


def test_an_interrupted_sweep_is_resumed(tmp_path):
    words = [*FEWER, "--no-trace", "--out", "plane.nc"]
    straight = run(tmp_path, *words[:-1], "straight.nc")
    assert straight.returncode == 0, straight.stderr
    process = subprocess.Popen([sys.executable, "-c", BARE, *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), env=os.environ)
    for _ in range(12000):
        if (tmp_path / "plane.nc").exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.rstrip().endswith("deepnets: interrupted")
    assert "Traceback" not in error
    portrait = open_portrait(tmp_path / "plane.nc")
    assert 0 < portrait.sizes["gamma"] < 5
    assert run(tmp_path, *words).returncode == 0
    whole, other = (open_portrait(tmp_path / name) for name in ("plane.nc", "straight.nc"))
    for name in whole.data_vars:
        np.testing.assert_array_equal(whole[name], other[name])
    assert whole.attrs["plane"] == other.attrs["plane"]


@pytest.mark.parametrize(("words", "named"), [
    (["--steps", "0"], "steps"), (["--steps", "2.5"], "steps"), (["--seeds", "0"], "seeds"), (["--seeds", "1,x"], "seeds"),
    (["--heads", "2"], "heads is an option of"), (["--data", "x"], "data is for tasks"),
    (["--task", "mnist", "--data", "/nowhere"], "nowhere"),
    (["--network", "transformer"], "text"), (["--task", "text", "--network", "transformer"], "--data"), (["--device", "cuda:77"], "device"),
    (["--gamma", "1", "0.1"], "gamma"), (["--eta", "0", "1"], "eta"), (["--rho", "2"], "rho"), (["--accuracy", "1.5"], "accuracy"),
    (["--loss", "hinge"], "hinge"), (["--precision", "tf32", "--device", "cpu"], "tf32"), (["--network", "vit", "--depth", "3"], "depth"),
    (["--network", "cnn", "--depth", "1"], "depth"), (["--task", "teacher", "--loss", "cross_entropy"], "cross_entropy"),
    (["--network", "cnn", "--task", "teacher", "--dim", "15"], "images"),
])
def test_misuse(words, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = front.main(words)
    except SystemExit as stopped:      # argparse's own
        code = stopped.code
    assert code == 2
    assert named in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_portrait_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "mine.nc").write_text("mine")
    for words in ([], ["--overwrite"]):
        assert front.main([*SMALL, *words, "--out", str(tmp_path / "mine.nc")]) == 2
    assert (tmp_path / "mine.nc").read_text() == "mine"
    assert "mine.nc" in capsys.readouterr().err


def test_every_option_has_its_text(capsys):
    with pytest.raises(SystemExit):
        front.main(["--help"])
    text = capsys.readouterr().out
    for name in [*DeepOptions.__dataclass_fields__, *SweepOptions.__dataclass_fields__, *ObserveOptions.__dataclass_fields__]:
        assert f"--{name.replace('_', '-')}" in text
    assert "the number of weight matrices" in text


def test_both_commands_have_the_same_options(capsys):
    with pytest.raises(SystemExit):
        front.main(["--help"])
    options, common = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)), {"--help", "--version"}
    assert lazyrich.run(["deep", "--help"]) == 0
    assert options - common == set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - common
    assert len(options) > 30
