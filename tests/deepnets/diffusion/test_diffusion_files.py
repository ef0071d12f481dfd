"""`lazyrich make-mnist1m`: the files it writes, the errors it reports, and that an interrupted run ends like one without interruption."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import lazyrich
from deepnets.diffusion import Drawing, Training, from_digits, from_idx, generate, load_sheet, training
from deepnets.diffusion.generation import estimate_needs
from deepnets.tasks import mnist_1m
from tests.deepnets.datasets_on_disk import idx_folder
from validation import Misuse

SMALL = Training(steps=8, batch_size=4, width=8)
FEW = Drawing(steps=2, shard=20, at_once=7)
WORDS = ["make-mnist1m", "--digits", "--steps", "8", "--batch-size", "4", "--width", "8", "--drawing-steps", "2", "--shard", "20",
         "--at-once", "7", "--device", "cpu"]


def run(*words):
    return lazyrich.run([str(w) for w in words])


def files(folder):
    """The contents of a folder, by name."""
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Return a folder that was generated without interruption."""
    folder = tmp_path_factory.mktemp("made") / "out"
    assert run(*WORDS, "--count", "50", "--out", folder, "--quiet") == 0
    return folder


def test_what_is_written_is_read_as_mnist_1m(made):
    assert set(files(made)) == {"mnist1m.json", "mnist1m-origin.json", "denoiser.pt", "samples.png",
                                *(f"mnist1m-{i:05d}.npz" for i in range(3))}
    task = mnist_1m(made)
    x, _ = task.batch(0, 0, 40)
    assert x.shape == (40, 1, 28, 28)
    index = json.loads((made / "mnist1m.json").read_text())
    assert [s["samples"] for s in index["shards"]] == [20, 20, 10]
    assert index["origin"]["originals"] == from_digits().describe()
    assert index["origin"]["upsampled"] == "drawn with 8 x 8 pixels, interpolated to 28 x 28"
    assert index["origin"]["training"]["steps"] == 8
    for i, n in enumerate((2, 2, 1)):
        with np.load(made / f"mnist1m-{i:05d}.npz", allow_pickle=False) as shard:
            assert np.bincount(shard["y"]).tolist() == [n] * 10
            assert (np.diff(shard["y"].astype(int)) < 0).any()        # mixed
    assert load_sheet(made).shape == (2, 10, 28, 28)


def test_idx_files_of_28_pixels(tmp_path):
    idx_folder(tmp_path / "idx", shown=40, held=20)
    generate(from_idx(tmp_path / "idx"), tmp_path / "out", 10, SMALL, FEW)
    assert mnist_1m(tmp_path / "out").in_shape == (1, 28, 28)
    assert "upsampled" not in json.loads((tmp_path / "out" / "mnist1m.json").read_text())["origin"]


class Stop(Exception):
    pass


def stopped_at(*moments):
    """Return a progress display that raises `Stop` once at each of these amounts."""
    left = list(moments)

    def show(progress):
        if left and (progress.total, progress.done) == left[0]:
            left.pop(0)
            raise Stop

    return show


def test_interrupted_twice_in_training_and_twice_in_drawing_it_ends_bit_for_bit_the_same(made, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EVERY", 0.0)
    show = stopped_at((8, 3), (8, 6), (50, 27), (50, 47))
    for _ in range(4):
        with pytest.raises(Stop):
            generate(from_digits(), tmp_path, 50, SMALL, FEW, progress=show)
        assert "mnist1m.json" not in files(tmp_path)
    assert {"mnist1m-00000.npz", "mnist1m-00001.npz"} == {n for n in files(tmp_path) if n.endswith("npz")}
    generate(from_digits(), tmp_path, 50, SMALL, FEW, progress=show)
    whole, resumed = files(made), files(tmp_path)
    for name in ("mnist1m.json", *(n for n in whole if n.endswith("npz"))):
        assert resumed[name] == whole[name], name
    one, other = (torch.load(f / "denoiser.pt", weights_only=True) for f in (made, tmp_path))
    assert one["step"] == other["step"] == 8
    for part in ("denoiser", "mean"):
        for name, weights in one[part].items():
            assert torch.equal(weights, other[part][name])


def test_training_resumes_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EVERY", 0.0)
    done = []

    def show(progress):
        done.append(progress.done)

    with pytest.raises(Stop):
        training.train(from_digits(), SMALL, tmp_path / "d.pt", progress=stopped_at((8, 5)))
    training.train(from_digits(), SMALL, tmp_path / "d.pt", progress=show)
    assert done == [5, 6, 7, 8]


def test_a_state_in_the_former_format_is_resumed(tmp_path):
    """Format 1 had other names for the description and one layer of each block, in the same order."""
    path, half = tmp_path / "d.pt", Training(steps=4, batch_size=4, width=8)
    training.train(from_digits(), half, path)
    stored = torch.load(path, weights_only=True)
    former = {key: ({n.replace("modulation", "former"): t for n, t in value.items()} if key in ("denoiser", "mean") else value)
              for key, value in zip(("format", "former", *training.KEYS[2:]), stored.values(), strict=True)}
    torch.save(former | {"format": "lazyrich denoiser 1"}, path)
    resumed, whole = training.train(from_digits(), SMALL, path), training.train(from_digits(), SMALL)
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


@pytest.mark.slow
def test_killed_and_interrupted_from_outside(tmp_path):
    """Signals arrive while the state is saved after every step, and it stays whole; SIGINT ends with 130."""
    state = tmp_path / "out" / "denoiser.pt"
    words = [w if w != "8" or WORDS[i - 1] == "--width" else "100000" for i, w in enumerate(WORDS)]
    code = "import sys; from deepnets.diffusion import training; training.EVERY = 0.0; import lazyrich; lazyrich.main(sys.argv[1:])"
    steps = 0
    for sent, expected in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        before = state.stat().st_mtime_ns if steps else 0
        process = subprocess.Popen([sys.executable, "-c", code, *words, "--out", str(state.parent), "--quiet"],
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        while process.poll() is None and not (state.exists() and state.stat().st_mtime_ns > before):
            time.sleep(0.02)
        process.send_signal(sent)
        assert process.wait(60) == expected
        steps, former = torch.load(state, weights_only=True)["step"], steps
        assert steps > former


def test_more_images_may_be_drawn_and_the_old_stay(made, tmp_path):
    generate(from_digits(), tmp_path, 40, SMALL, FEW)
    before = files(tmp_path)
    generate(from_digits(), tmp_path, 50, SMALL, FEW)
    after = files(tmp_path)
    assert after["mnist1m.json"] == files(made)["mnist1m.json"] != before["mnist1m.json"]
    assert all(after[n] == before[n] for n in before if n.endswith("npz"))
    for fewer in (20, 45):
        with pytest.raises(Misuse, match=f"count must be at least what .* holds already, not {fewer}"):
            generate(from_digits(), tmp_path, fewer, SMALL, FEW)


def test_a_training_that_diverges_is_reported_and_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "add_noise", lambda x, e, phi: (x, e * np.inf))
    with pytest.raises(Misuse, match=r"rate must be smaller than 0.0005: by step 8"):
        generate(from_digits(), tmp_path, 20, SMALL, FEW)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "message"), [
    (["--seed", "1"], "seed: given 1, stored 0"), (["--guidance", "0.5"], "guidance: given 0.5, stored 0.0"),
    (["--steps", "9"], "steps: given 9, stored 8"), (["--batch-size", "5"], "batch_size: given 5, stored 4"),
])
def test_a_folder_of_other_settings_is_refused(made, words, message, capsys):
    before = files(made)
    given = [w for i, w in enumerate(WORDS) if words[0] not in (w, WORDS[i - 1])]
    assert run(*given, "--count", "50", "--out", made, "--quiet", *words) == 2
    assert message in capsys.readouterr().err
    assert files(made) == before


@pytest.mark.parametrize(("words", "message"), [
    (["--out", "o"], "data must be a folder"), (["--out", "o", "--digits", "somewhere"], "but not both"),
    (["nowhere", "--out", "o"], "not found in nowhere"), (["--digits", "--out", "o", "--width", "12"], "width must be a multiple of 8"),
    (["--digits", "--out", "o", "--count", "3"], "count must be"), (["--digits", "--out", "o", "--count", "2.5"], "whole number"),
    (["--digits", "--out", "o", "--count", "10003"], "at least 5 images for the last file"), (["--digits"], "out"),
    (["--digits", "--out", "o", "--device", "abacus"], "device must be one of"),
    (["--digits", "--out", "o", "--batch-size", "100000000"], "out of memory: training needs"),
    (["--digits", "--out", "o", "--count", "10000000000000"], "count must be smaller: "),
])
def test_misuse_is_reported_and_exits_with_2(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("make-mnist1m", *words) == 2
    printed = capsys.readouterr()
    assert message in " ".join((printed.err + printed.out).split())
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.parametrize("spoilt", [b"", b"no state at all", "cut"])
def test_a_damaged_state_is_refused_by_name(made, tmp_path, spoilt):
    path = tmp_path / "denoiser.pt"
    path.write_bytes((made / "denoiser.pt").read_bytes()[:5000] if spoilt == "cut" else spoilt)
    with pytest.raises(Misuse, match=r"denoiser\.pt is not a saved denoiser"):
        training.train(from_digits(), SMALL, path)


def test_a_truncated_shard_is_refused(made, tmp_path):
    for name, data in files(made).items():
        (tmp_path / name).write_bytes(data[:-100] if name == "mnist1m-00001.npz" else data)
    with pytest.raises(Misuse, match=r"mnist1m-00001\.npz"):
        generate(from_digits(), tmp_path, 50, SMALL, FEW)


def test_memory_grows_with_the_batch():
    """Twice the images have twice the activations; the parameters are those of the module."""
    parameters, learning, drawn = estimate_needs(Training(batch_size=64, width=16), Drawing(at_once=64), 8)
    assert parameters == sum(p.numel() for p in Training(width=16).build_denoiser(8).parameters())
    more = estimate_needs(Training(batch_size=128, width=16), Drawing(at_once=128), 8)
    fixed = 5 * 4 * parameters
    assert more[1] - fixed == pytest.approx(2 * (learning - fixed), rel=0.1)
    assert drawn < learning < more[1]
