"""The campaign: its list, what it says it takes, that it goes on after a break, and that all of it runs, tiny."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import lazyrich

DATA = Path(__file__).parent.parent / "docs" / "data"
sys.path.append(str(DATA))

import campaign  # noqa: E402
from gallery.campaigned import on_a_gpu  # noqa: E402
from gallery.files import read, write  # noqa: E402
from pieces.estimates import H200  # noqa: E402
from pieces.piece import Cost, Part, Piece  # noqa: E402
from pieces.verdicts import rows  # noqa: E402


def counting(calls, name="a-counted", values=(1.0, 2.0), description=None):
    """A piece of two parts that notes each call."""
    def part(i, value):
        def measure():
            calls.append(i)
            if value is None:
                raise KeyboardInterrupt
            return xr.Dataset({"x": ("seed", [value])}, {"seed": [i]})
        return Part(str(i), measure, lambda on: Cost(1.0, 1.0, 1.0))
    return Piece("a", name, "1", "counted", description or {"n": 2}, tuple(part(i, v) for i, v in enumerate(values)))


def test_an_interrupted_piece_goes_on_and_a_done_one_is_left_alone(tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        list(counting(calls, values=(1.0, None)).run(tmp_path, "cpu"))
    assert calls == [0, 1]
    piece = counting(calls)
    assert len(piece.left(tmp_path)) == 1
    list(piece.run(tmp_path, "cpu"))
    assert calls == [0, 1, 1]
    assert piece.done(tmp_path)
    assert list(piece.run(tmp_path, "cpu")) == []
    with xr.open_dataset(tmp_path / "a-counted.nc", engine="scipy") as held:
        assert held.x.values.tolist() == [1.0, 2.0]
        assert {"device", "driver", "versions", "git_revision", "seconds", "peak_memory", "digest", "figure"} <= set(held.attrs)
    assert not list((tmp_path / ".parts").iterdir())


def test_a_piece_that_has_changed_is_measured_again(tmp_path):
    calls = []
    list(counting(calls).run(tmp_path, "cpu"))
    other = counting(calls, description={"n": 3})
    assert not other.done(tmp_path)
    list(other.run(tmp_path, "cpu"))
    assert calls == [0, 1, 0, 1]


def test_one_failure_leaves_the_others_and_time_that_is_up_ends_it(tmp_path, capsys):
    def crash():
        raise RuntimeError("gone")
    bad = Piece("a", "a-bad", "", "", {}, (Part("0", crash, lambda on: Cost(0, 0, 0)),))
    calls = []
    assert campaign.run([bad, counting(calls)], tmp_path, "cpu", np.inf) == campaign.FAILED
    assert calls == [0, 1]
    assert campaign.run([counting(calls, "a-late")], tmp_path, "cpu", 0.0) == campaign.DONE
    assert calls == [0, 1, 0]
    assert "1 pieces are left" in capsys.readouterr().out


def test_the_list_holds_every_item_and_figure():
    chosen = list(campaign.pieces("tiny", "cpu"))
    assert {p.item for p in chosen} == set("abcdefgh")
    assert len({p.name for p in chosen}) == len({p.digest for p in chosen}) == len(chosen)
    assert [p.item for p in chosen][:2] == ["a", "b"]


def test_a_name_that_is_none(capsys):
    assert campaign.main(["--scale", "tiny", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err
    assert campaign.main(["--scale", "full", "--device", "cpu", "--data", "nowhere", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err


def test_the_front_door_leads_there(capsys, tmp_path):
    assert lazyrich.run(["campaign", "--scale", "tiny", "--only", "b-mlp-L3-mse-seed0", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "b-mlp-L3-mse-seed0.nc").exists()
    assert lazyrich.run(["campaign", "--scale", "tiny", "--only", "b-mlp-L3-mse-seed0", "--out", str(tmp_path), "--dry-run"]) == 0
    assert "| done |" in capsys.readouterr().out


def test_portraits_of_a_gpu_stand_beside_the_pages_own(tmp_path, capsys):
    assert campaign.main(["--scale", "tiny", "--device", "cpu", "--out", str(tmp_path), "--only", "b-mlp-L", "a-"]) == 0
    assert on_a_gpu("1c", folder=tmp_path) is None          # a CPU's are none
    assert "Not measured on a GPU yet" in capsys.readouterr().out
    for path in tmp_path.glob("*.nc"):
        write(read(path).assign_attrs(device="NVIDIA of a test"), path)
    titles = [ax.get_title() for ax in on_a_gpu("1c", folder=tmp_path).axes]
    assert titles == ["MLP of width 8\nL = 3, MSE, digits"]
    figure = on_a_gpu("1c", "23", folder=tmp_path)
    assert len(figure.axes) == 4
    assert figure.get_label().startswith("4 portraits that the campaign measured on NVIDIA of a test")
    assert on_a_gpu("2", folder=tmp_path) is None


@pytest.mark.slow
def test_no_part_takes_eight_minutes_by_its_estimate():
    for piece in campaign.pieces("full", "cpu", shapes=True):
        for part in piece.parts:
            cost = part.cost(H200)
            assert 0 < cost.seconds < 480, (piece.name, part.name)
            assert 0 < cost.memory < H200.room, (piece.name, part.name)


@pytest.mark.slow
def test_all_of_it_runs_tiny(tmp_path):
    assert campaign.main(["--scale", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert all(p.done(tmp_path) for p in campaign.pieces("tiny", "cpu"))
    assert max(path.stat().st_size for path in tmp_path.glob("*.nc")) < 4e6
    assert {row.name[0] for row in rows(tmp_path)} >= {"a", "g"}      # of planes so small no exponent can be told, and no run trains
