"""`lazyrich where`: what it prints and draws, the forms of networks and data, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import deepnets
import lazyrich
from deepnets.network_factory import build_network
from deepnets.own_options import read_network, read_task
from deepnets.place.neighbourhood import survey_neighbourhood
from validation import Misuse
from validation.plotting.place_plane import draw_place

MINE = """
import torch
from torch import nn
import deepnets

class Net(nn.Sequential):
    def __init__(self, width=8):
        super().__init__(nn.Linear(16, width), nn.Tanh(), nn.Linear(width, 1))

class Needs(nn.Linear):
    def __init__(self, width):
        super().__init__(16, width)

class Raises(nn.Module):
    def __init__(self):
        raise RuntimeError("broken")

def seeded(seed):
    return Net(seed + 4)

def samples(n, seed):
    x = torch.randn(n, 16, generator=torch.Generator().manual_seed(seed))
    return [(x, torch.sin(x[:, :1]))]

def loaders():
    return samples(300, 0), samples(50, 1)

def broken():
    raise KeyError("x")

def nan():
    x = samples(300, 0)[0][0]
    x[3] = torch.nan
    return [(x, x[:, :1])], samples(50, 1)

module, frozen, spec = Net(), Net().requires_grad_(False), deepnets.MLP(16, 8, 2, 1)
wide, number = nn.Linear(64, 10), 3
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(words, capsys):
    code = lazyrich.run(["where", *words.split(), "--quiet", "--device", "cpu"])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_it_prints_what_the_function_returns_and_draws_the_plane(folder, capsys, monkeypatch):
    words = "mine.py:Net --data mine.py:loaders --optimizer adam --eta 3e-4 --seeds 1"
    code, out, _ = run(f"{words} --json --out drawn", capsys)
    assert code == 0
    expected = deepnets.where(read_network("mine.py:Net"), read_task("mine.py:loaders"), optimizer="adam", eta=3e-4, seeds=(0,),
                              device="cpu")
    assert json.loads(out) == json.loads(json.dumps(expected.describe()))
    assert [p.name for p in (folder / "drawn").iterdir()] == ["place.png"]
    monkeypatch.setattr("deepnets.place.placement.where", lambda **given: expected)
    assert run(words, capsys) == (0, f"{expected.report()}\n", "")


def test_brackets_around_a_network_grow_with_gamma_as_the_lazy_edge(folder):
    arguments = {"task": read_task("mine.py:loaders"), "batch_size": 64, "seeds": (0,), "device": "cpu"}
    place = deepnets.where(torch.nn.Linear(16, 1, bias=False), **arguments)
    around = survey_neighbourhood(place, torch.nn.Linear(16, 1, bias=False), steps=200, **arguments)
    assert [b[0] for b in around.brackets] == [0.1, 1.0, 10.0]
    for gamma, low, high in around.brackets:      # a linear network: all rates scale with gamma squared
        assert low / 1.4 < around.levels["eta_crit"] * gamma**2 < high * 1.4
    assert around.lazy_below == np.inf


def test_the_figure_has_a_bar_for_each_bracket_and_lines_to_the_end_of_the_lazy_regime():
    brackets = ((0.1, 0.001, 0.002), (1.0, 0.1, 0.2))
    [ax] = draw_place(brackets, 30.0, (20.0, 40.0), {"eta_min": 0.01, "eta_crit": 0.2}, 9.0, 0.003, 0.03).axes
    bars = sorted(map(tuple, np.concatenate([c.get_segments() for c in ax.collections]).reshape(-1, 4).round(9).tolist()))
    assert bars == [(0.1, 0.001, 0.1, 0.002), (1.0, 0.1, 1.0, 0.2)]
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    ends = {name: xy[-1] for name, xy in lines.items() if "lazy" in name and "crossing" not in name}
    assert sorted(tuple(np.round(xy, 9)) for xy in ends.values()) == [(9.0, 0.81), (9.0, 16.2)]
    assert lines["the given rate"].tolist() == [[1.0, 0.003]]
    [empty] = draw_place((), None, None, {}, None, None, None).axes
    assert "no rate" in empty.texts[0].get_text()


@pytest.mark.parametrize(("words", "sentence"), [
    ("mine.py:Needs --data digits", "class without required arguments"),
    ("mine.py:Raises --data digits", "fails with RuntimeError: broken"),
    ("mine.py:frozen --data mine.py:loaders", "network must have trainable"),
    ("mine.py:number --data digits", "not 3"),
    ("mine.py:missing --data digits", "'missing' in mine.py is not there"),
    ("other.py:Net --data digits", "there is no file 'other.py'"),
    ("mine.py:Net --data digits", "network must take the task's inputs"),
    ("mine.py:Net --data mine.py:broken", "fails with KeyError"),
    ("mine.py:Net --data mine.py:nan", "finite inputs"),
    ("mine.py:Net --data mine.py:number", "data must be one of"),
    ("mine.py:Net --data nothing", "data must be one of"),
    ("mine.py:Net --data none.npz", "No such file"),
    ("mine.py:Net --data short.npz", "as many x as y"),
    ("mine.py:Net --data junk.npz", "must be an .npz file"),
    ("mine.py:Net --data mine.py:loaders --eta 0", "eta must be finite and above zero"),
    ("mine.py:Net --data mine.py:loaders --loss other", "loss must be"),
    ("mine.py:Net --data mine.py:loaders --seeds 0", "seeds must be"),
    ("mine.py:Net --data mine.py:loaders --out mine.py", "cannot write to mine.py"),
    ("mine.py:Net --data mine.py:loaders --out . --width 1", "width must be")])
def test_bad_input_is_one_sentence_and_writes_nothing(words, sentence, folder, capsys):
    np.savez("short.npz", x=np.ones((9, 16)), y=np.ones(4))
    (folder / "junk.npz").write_text("junk")
    before = sorted(folder.iterdir())
    code, out, err = run(words, capsys)
    assert (code, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err
    assert sorted(folder.iterdir()) == before


def test_networks_are_classes_functions_modules_and_specifications(folder):
    first, again, other = (build_network(read_network("mine.py:Net"), seed)[0].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert build_network(read_network("mine.py:seeded"), 3)[0].out_features == 7
    assert isinstance(read_network("mine.py:module"), torch.nn.Module)
    assert read_network("mine.py:spec") == deepnets.MLP(16, 8, 2, 1)


def test_arrays_with_and_without_held_out_samples(folder):
    x, y = np.arange(40.0).reshape(20, 2).astype("f4"), np.arange(20) % 3
    np.savez("plain.npz", x=x, y=y)
    np.savez("parted.npz", x=x, y=y, x_held_out=x[:3], y_held_out=y[:3])
    np.testing.assert_array_equal(read_task("plain.npz").held_out()[0], x[4::5])
    assert len(read_task("plain.npz").y) == 16
    np.testing.assert_array_equal(read_task("parted.npz").held_out()[1], y[:3])
    np.savez("other.npz", x=x)
    with pytest.raises(Misuse, match="holds x and no y"):
        read_task("other.npz")


def test_its_help_imports_no_torch():
    code = ("import sys, lazyrich; lazyrich.run(['where', '--help']); "
            "assert not {'torch', 'xarray', 'matplotlib', 'numpy'} & set(sys.modules)")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert "--optimizer" in found.stdout
