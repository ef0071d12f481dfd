"""`python -m deepnets` as it is met on a bare machine: its file, its texts, its refusals, and how it stops and goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import lazyrich
from deepnets import __main__ as front
from deepnets.cli_options import Setting
from deepnets.observation.selection import Observing
from validation import open_portrait

SMALL = ["--width", "16", "--steps", "100", "--batch-size", "32", "--rho", "0.7", "--gamma", "1e-5", "1e-3",
         "--eta", "1e-9", "1e-2", "--per-decade", "3", "--device", "cpu"]
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
    told = run(tmp_path, *SMALL, "--seeds", "3,5", "--out", "plane.nc")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("MLP, L = 3, digits, MSE, SGD, T = 100\ngamma ")
    assert "eta_crit" in told.stdout
    assert "predicted 2, measured" in told.stdout
    assert "sweeping: " in told.stderr
    assert "tracing: " in told.stderr
    portrait = open_portrait(tmp_path / "plane.nc")
    assert dict(portrait.sizes) == {"seed": 2, "gamma": 7, "eta": 22}
    assert portrait["seed"].values.tolist() == [3, 5]
    assert json.loads(portrait.attrs["description"])["network"]["width"] == 16
    for name in ("digest", "plane", "versions", "git_revision", "device", "dtype", "rho", "steps", "accuracy"):
        assert name in portrait.attrs
    assert portrait["outcome"].dtype == np.int8
    assert [p.name for p in tmp_path.iterdir()] == ["plane.nc"]


def test_observables_on_a_bare_machine(tmp_path):
    words = ["--width", "4", "--steps", "20", "--rho", "0.97", "--gamma", "1e-3", "1e-1", "--eta", "1e-6", "10", "--per-decade", "2",
             "--no-trace", "--device", "cpu", "--out", "plane.nc", "--observe", "weights,alignment", "--observe-at", "0,T"]
    told = run(tmp_path, *words, "--observe-samples", "16")
    assert told.returncode == 0, told.stderr
    assert "Observed, at the best rates" in told.stdout
    assert "Observables written to plane-observed.nc" in told.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plane-observed.nc", "plane.nc"]


def test_the_file_is_the_sweep_and_lazyrich_judges_it(tmp_path, capsys):
    words = [*SMALL, "--no-trace", "--out", str(tmp_path / "plane")]
    assert front.main(words) == 0
    first = capsys.readouterr().out
    setting = Setting(width=16, steps=100, batch_size=32, rho=0.7, gamma=(1e-5, 1e-3), eta=(1e-9, 1e-2), per_decade=3, device="cpu")
    portrait, plane = open_portrait(tmp_path / "plane.nc"), setting.plane()
    whole = setting.experiment().measure(plane.gamma, plane.eta)
    assert (portrait["outcome"].values == whole["outcome"].values).all()
    assert portrait["eta_value"].values == pytest.approx(plane.eta)
    assert lazyrich.run(["judge", str(tmp_path / "plane.nc"), "--out", str(tmp_path / "judged")]) in (0, 1)
    assert "eta_crit lazy " in capsys.readouterr().out
    assert (tmp_path / "judged" / "report.html").exists()
    before = (tmp_path / "plane.nc").read_bytes()
    assert front.main(words) == 0       # nothing is left to do
    assert capsys.readouterr().out == first
    assert (tmp_path / "plane.nc").read_bytes() == before
    assert front.main([*words, "--steps", "7"]) == 2
    assert "already holds another portrait" in capsys.readouterr().err
    assert front.main([*words, "--steps", "7", "--overwrite"]) == 0


def test_what_an_interruption_leaves_is_kept_and_gone_on_from(tmp_path):
    words = [*SMALL, "--no-trace", "--out", "plane.nc"]
    straight = run(tmp_path, *words[:-1], "straight.nc")
    assert straight.returncode == 0, straight.stderr
    process = subprocess.Popen([sys.executable, "-m", "deepnets", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), env=os.environ)
    for _ in range(2400):
        if (tmp_path / "plane.nc").exists() or process.poll() is not None:
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.rstrip().endswith("deepnets: interrupted")
    assert "Traceback" not in error
    kept = open_portrait(tmp_path / "plane.nc")
    assert 0 < kept.sizes["gamma"] < 7
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


def test_a_foreign_file_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "mine.nc").write_text("mine")
    for words in ([], ["--overwrite"]):
        assert front.main([*SMALL, *words, "--out", str(tmp_path / "mine.nc")]) == 2
    assert (tmp_path / "mine.nc").read_text() == "mine"
    assert "mine.nc" in capsys.readouterr().err


def test_every_option_has_its_text(capsys):
    with pytest.raises(SystemExit):
        front.main(["--help"])
    told = capsys.readouterr().out
    for name in [*Setting.__dataclass_fields__, *Observing.__dataclass_fields__]:
        assert f"--{name.replace('_', '-')}" in told
    assert "the number of weight matrices" in told
