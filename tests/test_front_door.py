"""Bad input at the command line: one sentence, exit code 2, nothing written; streams that cannot be written; signals."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lazyrich
import toymodels
from deepnets.__main__ import main as deepnets_main
from validation import Plane, interrupts, open_portrait, save_portrait, sweep, sweep_status
from validation.arguments import Misuse, numbers, whole
from validation.estimates import announce
from validation.plotting import figures
from validation.reporting import streams
from validation.storage import zarr_metadata
from validation.storage.atomic import publish

ROOT = Path(lazyrich.__file__).parent
TOY = "toy --points 8 --gamma 1e-2 1e2 --quiet --loss mse"
DEEP = "deep --quiet --gamma 1e-2 1"

# command, and a part of the sentence that refuses it
REFUSED = [
    ("toy 2 local 0", "Unused Tokens"),
    ("deep 2 local 0", "Unused Tokens"),
    ("toy --gamma 1 2 3", "Unused Tokens"),
    ("toy --nonsense", "Unknown option"),
    ("nonsense", "Unknown command"),
    (f"{TOY} --steps 0", "steps"),
    (f"{TOY} --steps 2.5", "whole number"),
    (f"{TOY} --steps 100000000000000", "steps must fit into memory"),
    (f"{TOY} --steps {10**22}", "steps must be a whole number from 1 to"),
    (f"{TOY} --depth 0", "depth"),
    (f"{TOY} --depth {10**30}", "depth must be a whole number from 1 to 1000"),
    ("toy --points 8 --gamma 1e-2 1e2 --depth 1001", "depth must be a whole number from 1 to 1000"),
    (f"{TOY} --rho nan", "rho"),
    (f"{TOY} --rho 1", "rho"),
    (f"{TOY} --tolerance nan", "tolerance"),
    (f"{TOY} --tolerance -1", "tolerance"),
    (f"{TOY} --eta 2 1", "eta must increase"),
    (f"{TOY} --eta nan 1", "eta"),
    (f"{TOY} --eta 0 1", "eta"),
    (f"{TOY} --eta 1e300 1.7e308", "eta"),
    ("toy --points 8 --loss mse --gamma 1e250 1e260", "where the search for edges begins, out of the range of numbers"),
    ("toy --points 8 --loss mse --gamma 1e-200 1e-190", "puts the predicted edges out of the range of numbers"),
    (f"{TOY} --workers 0", "workers"),
    (f"{TOY} --workers 500000", "workers must fit into memory"),
    (f"{TOY} --workers {10**30}", "workers must be a whole number from 1 to"),
    (f"{TOY} --cluster local --workers 500000", "workers must fit into memory"),
    (f"{DEEP} --workers 500000", "workers must fit into memory"),
    (f"{TOY} --cluster nowhere", "cluster"),
    (f"{TOY} --refine 9", "refine"),
    ("toy --points 7", "points"),
    ("toy --points 99999", "points"),
    ("toy --model two --depth 3", "depth"),
    (f"{DEEP} --task single-index --dim 0", "dim must be a whole number from 1"),
    (f"{DEEP} --task single-index --dim 1000000000", "dim"),
    (f"{DEEP} --dim 3", "dim is for the synthetic tasks"),
    (f"{DEEP} --width 2147483648", "width"),
    (f"{DEEP} --width 0", "width"),
    (f"{DEEP} --depth 100000", "depth"),
    (f"{DEEP} --per-decade 1000000", "per_decade"),
    (f"{DEEP} --batch-size 99999999999", "99999999999 samples need"),
    (f"{DEEP} --steps 100000000000000", "steps must fit into memory"),
    (f"{DEEP} --steps {10**22}", "steps must be a whole number from 1 to"),
    (f"{DEEP} --seeds 0,0", "seeds must differ"),
    (f"{DEEP} --seeds 4,{10**40}", "seeds"),
    (f"{DEEP} --seeds 0", "seeds"),
    (f"{DEEP} --seeds -1", "seeds"),
    (f"{DEEP} --accuracy 2", "accuracy"),
    (f"{DEEP} --tolerance 0", "tolerance"),
    (f"{DEEP} --network mlp --heads 3", "heads"),
    (f"{DEEP} --task text", "transformer"),
    ("judge /nowhere/at/all", "/nowhere/at/all"),
    ("judge .", "path must be the path of a file or folder"),
    ("sweep status /nowhere/at/all", "/nowhere/at/all"),
    ("where", "requires an argument"),
    ("where none.py:net --data digits", "there is no file"),
    ("where none.py:net --data digits --batch-size 0", "batch_size"),
    ("tune none.py:net --data digits", "there is no file"),
    ("tune none.py:net --data nothing", "data must be one of"),
    ("tune none.py:net --data digits --optimizer none", "optimizer"),
    ("figure 99", "99"),
    ("figure --scale huge", "scale"),
    ("predict --depth 0", "depth"),
    (f"predict --depth {10**30}", "depth must be a whole number from 1 to 1000"),
    (f"predict --model one --derive --depth {10**30}", "depth must be a whole number from 1 to 1000"),
    ("predict --steps 0", "steps"),
    (f"predict --steps {10**30}", "steps must be a whole number from 1 to"),
    (f"{TOY} --out ~nobody-of-this-name/out", "out cannot be reached"),
    ("judge ~nobody-of-this-name/p.zarr", "path cannot be reached"),
    ("make-mnist1m --digits --count 100 --drawing-steps 1000000000000 --out o", "drawing_steps must fit into memory"),
    (f"make-mnist1m --digits --count 100 --steps {10**22} --out o", "steps must be a whole number from 1 to"),
    (f"make-mnist1m --digits --count 100 --seed {10**40} --out o", "seed must be a whole number from 0 to"),
    ("make-mnist1m --digits --count 100 --width 80000000000 --out o", "width must be a whole number from 1 to"),
    ("make-mnist1m --digits --count 100 --width 1048576 --out o", "out of memory"),
    (f"make-mnist1m --digits --count {10**27} --out o", "count must be smaller"),
    ("predict --rho 2", "rho"),
    ("predict --derive", "derive needs a model"),
    ("campaign --dry-run --minutes nan", "minutes"),
    ("campaign --dry-run --minutes -1", "minutes"),
    ("campaign --dry-run --only zzz", "zzz"),
]


@pytest.mark.parametrize(("command", "part"), REFUSED)
def test_bad_input_is_refused_in_a_sentence_and_writes_nothing(command, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert lazyrich.run(command.split()) == 2
    printed = " ".join(capsys.readouterr())
    assert part in printed
    assert "Traceback" not in printed
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


OUT = ["toy --points 8 --quiet --loss mse", "deep --quiet --gamma 1e-2 1", "figure 6", "make-mnist1m --digits --count 100",
       "campaign --scale tiny --device cpu", "judge p.nc"]


@pytest.mark.parametrize("command", OUT)
@pytest.mark.parametrize("out", ["file", "file/below"])
def test_where_nothing_can_be_written_is_found_before_any_work(command, out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    experiment = toymodels.ToyExperiment(toymodels.OneParameter(3), steps=20)
    save_portrait(sweep(experiment, Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2)), "p.nc")
    for place in ("toymodels.ToyExperiment.measure", "deepnets.DeepExperiment.measure", "deepnets.diffusion.generation.train",
                  "deepnets.parts.Piece.run", "validation.judging.assessment.fit"):
        monkeypatch.setattr(place, None)
    assert lazyrich.run([*command.split(), "--out", out]) == 2
    assert re.search("cannot write to file|it is not a folder|file is not a folder", capsys.readouterr().err)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_home_in_a_path_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    plane = Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2)
    experiment = toymodels.ToyExperiment(toymodels.OneParameter(3), steps=20)
    portrait = sweep(experiment, plane, store="~/swept.zarr")
    save_portrait(portrait, "~/saved.nc")
    assert sweep_status("~/swept.zarr").done
    xr.testing.assert_identical(open_portrait("~/saved.nc")["outcome"], open_portrait("~/swept.zarr")["outcome"])
    assert lazyrich.run(["judge", "~/saved.nc", "--out=~/judged"]) == 0
    assert lazyrich.run([*TOY.split(), "--steps", "20", "--out=~/toy"]) == 0
    assert lazyrich.run(["sweep", "status", "~/swept.zarr"]) == 0
    assert sorted(p.name for p in (tmp_path / "home").glob("[!.]*")) == ["judged", "saved.nc", "swept.zarr", "toy"]
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize(("seconds", "words"), [(59, ""), (61, "the sweep takes about 1 min 1 s"), (7300, "about 2 h 1 min"),
                                                (1e6, "about 12 days"), (1e12, "about 3.17e+04 years")])
def test_work_of_more_than_a_minute_is_announced(seconds, words, capsys):
    announce("the sweep", seconds)
    out, error = capsys.readouterr()
    assert (out, words in error, bool(error)) == ("", True, bool(words))


def test_a_long_sweep_is_announced_at_both_doors(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("validation.cli_options.SweepOptions.run", interrupt)
    for command in ("toy --points 512 --steps 1000000 --quiet --loss mse", f"{DEEP} --steps 1000000"):
        assert lazyrich.run(command.split()) == 130
        assert re.search("the sweep takes about .*(min|h|days)", capsys.readouterr().err), command


@pytest.mark.parametrize(("name", "judged", "status", "part"), [
    ("zarr.json", 2, 2, "p.zarr is no"), ("outcome", 2, 2, "outcome is missing"), ("outcome/c/0/0", 2, 1, "outcome is missing"),
    ("tiles/status/c", 0, 0, "0 of 1 tiles done")])
def test_a_link_to_nothing_in_a_store(name, judged, status, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    experiment = toymodels.ToyExperiment(toymodels.OneParameter(3), steps=20)
    sweep(experiment, Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2), store="p.zarr")
    path = tmp_path / "p.zarr" / name
    path.rename(tmp_path / "moved")
    path.symlink_to("/nowhere/at/all")
    for command, code in (("judge p.zarr", judged), ("sweep status p.zarr", status)):
        assert lazyrich.run(command.split()) == code
    out, error = capsys.readouterr()
    assert part in out + error
    assert error.count("\n") == (judged == 2) + (status == 2)


def test_a_trajectory_beyond_memory_is_refused():
    with pytest.raises(Misuse, match="steps must fit into memory"):
        toymodels.trajectory(toymodels.OneParameter(2), steps=10**13)


def test_the_drafts_of_killed_processes_go_when_the_file_is_written_again(tmp_path):
    old, new, others = (tmp_path / f".{name}.{c * 32}.partial" for name, c in (("a.png", "0"), ("a.png", "1"), ("b.png", "0")))
    folder, young = (tmp_path / f".p.nc.{c * 8}.staging" for c in "ab")
    for draft in (old, new, others):
        draft.write_text("half")
    for draft in (folder, young):
        draft.mkdir()
        (draft / "draft").write_text("half")
    for draft in (old, others, folder):
        os.utime(draft, (0, 0))
    publish(tmp_path / "a.png", b"whole")
    save_portrait(sweep(toymodels.ToyExperiment(toymodels.OneParameter(3), steps=20), Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2)),
                  tmp_path / "p.nc")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.png", "p.nc", new.name, others.name, young.name])


def test_a_number_from_a_range_and_masked_arrays():
    assert whole("n", 3, 1, 3) == 3
    with pytest.raises(Misuse, match="n must be a whole number from 1 to 3, not 4"):
        whole("n", 4, 1, 3)
    with pytest.raises(Misuse, match="without a mask"):
        numbers("x", np.ma.masked_array([1.0, 2.0], [False, True]))
    assert numbers("x", np.ma.masked_array([1.0, 2.0], [False, False])).tolist() == [1.0, 2.0]


def command(words, **how):
    """Start the command in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "lazyrich", *words.split()], stdout=how.pop("stdout", subprocess.PIPE),
                            stderr=how.pop("stderr", subprocess.PIPE), **how)


def test_a_closed_pipe_is_no_contradiction(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with command("predict --format json", stdout=writer, cwd=tmp_path) as process:
            error = process.stderr.read()
    finally:
        os.close(writer)
    assert (process.returncode, error) == (0, b"")


def test_misuse_with_closed_streams_is_still_misuse(tmp_path):
    words = f"exec {sys.executable} -m lazyrich predict --depth 0 >&- 2>&-"
    assert subprocess.run(["sh", "-c", words], cwd=tmp_path, env=os.environ).returncode == 2


class Full(io.StringIO):
    """A stream on a full device."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def inside_this_process(monkeypatch):
    """Let a program leave the handlers of this process as they are."""
    monkeypatch.setattr(streams, "handle_interrupts", lambda _: None)
    monkeypatch.setattr(streams.atexit, "register", lambda *_: None)
    monkeypatch.setattr(interrupts, "_printed", [])


@pytest.mark.parametrize(("words", "out", "code", "error"), [
    ("--help", None, 0, ""), ("--network η", "ascii", 2, "invalid choice: 'eta'"),
    ("--help", "full", 2, "deepnets: the output could not be written: No space left on device")])
def test_streams_of_the_command_for_few_packages(words, out, code, error, tmp_path, monkeypatch):
    inside_this_process(monkeypatch)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="ascii"))
    monkeypatch.setattr(sys, "stdout", Full() if out == "full" else None)
    with pytest.raises(SystemExit) as end:
        streams.run_program("deepnets", lambda: deepnets_main(words.split()))
    assert end.value.code == code
    sys.stdout.close()      # the null device, where there was none
    sys.stderr.flush()
    assert error in written.getvalue().decode()
    assert bool(written.getvalue()) == bool(error)


def test_without_assertions_stores_are_refused_and_files_are_not(tmp_path, monkeypatch, capsys):
    """As under python -O, which is simulated by the compiled function: a process would compile every library anew."""
    monkeypatch.chdir(tmp_path)
    portrait = sweep(toymodels.ToyExperiment(toymodels.OneParameter(3), steps=20), Plane.log((1e-2, 1e-1), (1e-4, 1e1), 2), store="p.zarr")
    save_portrait(portrait, "p.nc")
    refuse = zarr_metadata.refuse_without_assertions
    refuse("p.zarr")
    optimized: dict[str, object] = {"Misuse": Misuse, "Path": Path}
    exec(compile(inspect.getsource(refuse), "optimized", "exec", optimize=1), optimized)
    for module in list(sys.modules.values()):
        if getattr(module, "refuse_without_assertions", None) is refuse:
            monkeypatch.setattr(module, "refuse_without_assertions", optimized["refuse_without_assertions"])
    sentence = "zarr cannot be used under python -O or PYTHONOPTIMIZE"
    for words, code in (("toy --points 8 --steps 20 --quiet --loss mse --out toy", 2), ("judge p.zarr", 2), ("judge p.nc --out judged", 0)):
        assert lazyrich.run(words.split()) == code
        assert (sentence in capsys.readouterr().err) == (code == 2)
    save_portrait(open_portrait("p.nc"), "q.nc")
    for path in ("q.zarr", "p.zarr"):
        with pytest.raises(Misuse, match=sentence):
            save_portrait(portrait, path, overwrite=True)
    monkeypatch.undo()
    xr.testing.assert_identical(open_portrait(tmp_path / "p.zarr"), portrait)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "toy") == ["judged", "p.nc", "p.zarr", "q.nc"]


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), OSError(23, "Too many open files in system"),
                                   OSError(12, "Cannot allocate memory")], ids=lambda e: e.strerror)
def test_what_the_system_refuses_is_no_bug(error, capsys):
    def fail():
        raise error

    assert streams.catch_errors("lazyrich", fail) == 2
    assert capsys.readouterr().err == f"lazyrich: the system refuses more: {error.strerror}\n"


def test_a_current_folder_that_was_removed_is_named(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert lazyrich.run(TOY.split()) == 2
    assert capsys.readouterr().err == "lazyrich: the current folder was removed; change to another one\n"


def test_a_backend_for_windows_is_not_used(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "nonsense")
    inside_this_process(monkeypatch)
    with pytest.raises(SystemExit):
        streams.run_program("lazyrich", lambda: 0 if os.environ["MPLBACKEND"] == "agg" else 70)
    assert os.environ["MPLBACKEND"] == "agg"


def test_no_threads_at_all_are_refused(monkeypatch, capsys):
    def import_numba():
        raise ValueError("Number of threads specified must be > 0.")

    for number, code in (("0", 2), ("-1", 2), ("2", 70)):
        monkeypatch.setenv("NUMBA_NUM_THREADS", number)
        assert streams.catch_errors("lazyrich", import_numba) == code
        assert ("NUMBA_NUM_THREADS must be at least 1" in capsys.readouterr().err) == (code == 2)


def test_a_user_s_latex_that_is_not_there_is_named(monkeypatch):
    from matplotlib import rc_context

    monkeypatch.setenv("PATH", "")
    with rc_context({"text.usetex": True}):
        figure = figures.blank(2, 2)
        figure.text(0.5, 0.5, "x")
        with pytest.raises(Misuse, match=r"figures need LaTeX where matplotlib's text.usetex is set"):
            figures.image(figure)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_named(tmp_path):
    with open("/dev/full", "w") as full, command("predict --format json", stdout=full, cwd=tmp_path) as process:
        error = process.stderr.read().decode()
    assert process.returncode == 2
    assert "could not be written: No space left on device" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_symbols_that_an_encoding_lacks_are_written_in_ascii(encoding, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    streams.prepare_streams()
    print("✓ 2 ± 1 η \u2603")
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert text.strip() == ("✓ 2 ± 1 η \u2603" if encoding == "utf-8" else f"+ 2 {'±' if encoding == 'cp1252' else '+-'} 1 eta ?")


def test_a_garbled_cache_of_the_theory_changes_no_exponent(tmp_path, monkeypatch):
    from toymodels.theory import derivation_cache

    monkeypatch.setenv("LAZYRICH_CACHE", str(tmp_path))
    for loaded in (False, True):
        monkeypatch.setattr(derivation_cache, "_LOADED", {})
        edge = toymodels.predict(toymodels.OneParameter(3))["eta_max"]
        assert edge.fraction("rich") * 3 == 2
        if not loaded:
            for path in tmp_path.rglob("*.json"):
                entry = json.loads(path.read_text())
                path.write_text(json.dumps({k: v if k == "digest" else "1/7 0" for k, v in entry.items()}))


@pytest.mark.parametrize(("start", "module", "name"), [
    ("-m lazyrich --help", "cyclopts", "lazyrich"), ("-m lazyrich --help", "pathlib", "lazyrich"), ("-m lazyrich --help", "ast", ""),
    ("-m deepnets --help", "xarray", "deepnets"),
    (f"{ROOT / 'docs' / 'data' / 'campaign.py'} --help", "xarray", "campaign")])
def test_an_interrupt_while_modules_are_imported_ends_the_program(start, module, name, tmp_path):
    (tmp_path / f"{module}.py").write_text("raise KeyboardInterrupt")
    # Python itself may have imported it
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules.pop({module!r}, None)")
    run = subprocess.run([sys.executable, *start.split()], env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
                         capture_output=True, text=True, cwd=ROOT)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", f"{name}: interrupted\n" if name else "")


@pytest.mark.parametrize("place", ["prepare_streams", "flush_streams", "run"])
def test_an_interrupt_before_or_after_the_command_ends_the_program(place, monkeypatch, capsys):
    class Ended(Exception):
        """The process would be ended."""

    def end(code):
        raise Ended(code)

    def interrupt():
        raise KeyboardInterrupt

    inside_this_process(monkeypatch)
    monkeypatch.setattr(os, "_exit", end)
    if place != "run":
        monkeypatch.setattr(streams, place, interrupt)
    with pytest.raises(Ended, match="130"):
        streams.run_program("lazyrich", interrupt if place == "run" else lambda: 0)
    assert capsys.readouterr().err == "lazyrich: interrupted\n"


SWALLOWED = {
    "a bare except": """
try:
    signal.raise_signal(signal.SIGINT)
except:
    pass
time.sleep(60)""",
    "a destructor": """
class Odd:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
Odd()
time.sleep(60)""",
    "a loop that catches it": """
for _ in range(60):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        time.sleep(1)"""}


@pytest.mark.parametrize("how", SWALLOWED)
def test_an_interrupt_that_is_swallowed_ends_the_program_nevertheless(how):
    code = f"import signal, time, validation.interrupts as i\ni.handle_interrupts('lazyrich')\nbegin = time.time(){SWALLOWED[how]}"
    begin = time.monotonic()
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (run.returncode, run.stdout, run.stderr) == (130, "", "lazyrich: interrupted\n")
    assert time.monotonic() - begin < 20


def read(path, missing=""):
    """A file's text, or `missing` where there is none."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return missing


@pytest.mark.skipif(sys.platform != "linux", reason="the child is forked on Linux alone")
@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGKILL])
def test_no_child_trains_on_when_the_command_is_ended(ended_by, tmp_path):
    with command("toy --steps 3000000 --points 64 --quiet --out out", cwd=tmp_path, start_new_session=True) as process:
        children = f"/proc/{process.pid}/task/{process.pid}/children"
        end = time.monotonic() + 60
        while not (child := read(children).split()) and time.monotonic() < end:
            time.sleep(0.05)
        os.kill(process.pid, ended_by)
        process.communicate(timeout=60)
    assert process.returncode == (130 if ended_by == signal.SIGTERM else -9)
    end = time.monotonic() + 10
    while (alive := [c for c in child if "Z" not in read(f"/proc/{c}/stat", "- - Z").split()[2]]) and time.monotonic() < end:
        time.sleep(0.05)
    assert not alive
