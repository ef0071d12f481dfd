"""The campaign: its list of pieces, its estimates, resuming after an interruption, and a tiny run of every piece."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import deepnets
import lazyrich

DATA = Path(__file__).parent.parent / "docs" / "data"
sys.path.append(str(DATA))

import campaign  # noqa: E402
from gallery.campaign_files import draw_campaign, read_data, write_data  # noqa: E402
from pieces.estimates import H200, Cost, machine, training_cost  # noqa: E402
from pieces.piece import Part, Piece  # noqa: E402
from pieces.results import rows  # noqa: E402


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


def test_an_interrupted_piece_resumes_and_a_complete_one_is_not_measured_again(tmp_path):
    calls = []
    with pytest.raises(KeyboardInterrupt):
        list(counting(calls, values=(1.0, None)).run(tmp_path, "cpu"))
    assert calls == [0, 1]
    piece = counting(calls)
    assert len(piece.missing(tmp_path)) == 1
    list(piece.run(tmp_path, "cpu"))
    assert calls == [0, 1, 1]
    assert piece.is_complete(tmp_path)
    assert list(piece.run(tmp_path, "cpu")) == []
    with xr.open_dataset(tmp_path / "a-counted.nc", engine="scipy") as data:
        assert data.x.values.tolist() == [1.0, 2.0]
        assert {"device", "driver", "versions", "git_revision", "seconds", "peak_memory", "digest", "figure"} <= set(data.attrs)
    assert not list((tmp_path / ".parts").iterdir())


def test_a_piece_that_has_changed_is_measured_again(tmp_path):
    calls = []
    list(counting(calls).run(tmp_path, "cpu"))
    other = counting(calls, description={"n": 3})
    assert not other.is_complete(tmp_path)
    list(other.run(tmp_path, "cpu"))
    assert calls == [0, 1, 0, 1]


def test_a_failed_piece_does_not_stop_the_others_and_the_time_limit_ends_the_run(tmp_path, capsys):
    def crash():
        raise RuntimeError("gone")
    bad = Piece("a", "a-bad", "", "", {}, (Part("0", crash, lambda on: Cost(0, 0, 0)),))
    calls = []
    assert campaign.run([bad, counting(calls)], tmp_path, "cpu", np.inf) == campaign.FAILED
    assert calls == [0, 1]
    assert campaign.run([counting(calls, "a-late")], tmp_path, "cpu", 0.0) == campaign.DONE
    assert calls == [0, 1, 0]
    assert "1 pieces are left" in capsys.readouterr().out


def test_the_list_has_every_item():
    chosen = list(campaign.list_pieces("tiny", "cpu"))
    assert {p.item for p in chosen} == set("abcdefgh")
    assert len({p.name for p in chosen}) == len({p.digest for p in chosen}) == len(chosen)
    assert [p.item for p in chosen][:2] == ["a", "b"]


def test_an_unknown_piece_is_refused_with_the_list(capsys):
    assert campaign.main(["--scale", "tiny", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err
    assert campaign.main(["--scale", "full", "--device", "cpu", "--data", "nowhere", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err


def test_the_command_line_runs_a_piece_and_reports_it_as_done(capsys, tmp_path):
    assert lazyrich.run(["campaign", "--scale", "tiny", "--only", "b-mlp-L3-mse-seed0", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "b-mlp-L3-mse-seed0.nc").exists()
    assert lazyrich.run(["campaign", "--scale", "tiny", "--only", "b-mlp-L3-mse-seed0", "--out", str(tmp_path), "--dry-run"]) == 0
    assert "| done |" in capsys.readouterr().out


def test_only_portraits_measured_on_a_gpu_are_drawn(tmp_path, capsys):
    assert campaign.main(["--scale", "tiny", "--device", "cpu", "--out", str(tmp_path), "--only", "b-mlp-L", "a-"]) == 0
    assert draw_campaign("1c", folder=tmp_path) is None
    assert "Not measured on a GPU yet" in capsys.readouterr().out
    for path in tmp_path.glob("*.nc"):
        write_data(read_data(path).assign_attrs(device="NVIDIA of a test"), path)
    titles = [ax.get_title() for ax in draw_campaign("1c", folder=tmp_path).axes]
    assert titles == ["MLP of width 8\nL = 3, MSE, digits"]
    figure = draw_campaign("1c", "23", folder=tmp_path)
    assert len(figure.axes) == 4
    assert figure.get_label().startswith("Portraits that the campaign measured on NVIDIA of a test (4)")
    assert draw_campaign("2", folder=tmp_path) is None


def test_operations_are_those_of_the_matrix_products():
    """Two operations per weight and sample: once the products with W_0; for each run those with u, and the gradients with respect to u;
    in all layers but the first also W_0 times the difference of its inputs, and the gradients with respect to these."""
    network, batch, runs, steps = deepnets.MLP(64, 32, 3, 10), 16, 5, 7
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch, device="cpu")
    first, others = 64 * 32, 32 * 32 + 32 * 10
    expected = 2 * steps * batch * (runs * (2 * first + 4 * others) + first + others)
    assert training_cost(H200, experiment, runs).operations == pytest.approx(expected)


@pytest.mark.slow
def test_an_estimate_on_this_cpu_is_within_a_factor_of_ten_of_the_measured_time():
    network = deepnets.MLP(64, 256, 3, 10)
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=30, batch_size=256, device="cpu")
    gamma, eta = np.logspace(-2, 2, 4), np.logspace(-3, 0, 4)
    experiment.measure(gamma[:1], eta[:1])
    begin = time.process_time()       # of all threads: other processes do not count
    experiment.measure(gamma, eta)
    measured = (time.process_time() - begin) / torch.get_num_threads()
    assert 0.1 < training_cost(machine("cpu"), experiment, 16).seconds / measured < 10


@pytest.mark.slow
def test_every_part_is_estimated_to_fit_into_eight_minutes_and_the_memory_of_an_h200():
    for piece in campaign.list_pieces("full", "cpu", shapes=True):
        for part in piece.parts:
            cost = part.cost(H200)
            assert 0 < cost.seconds < 480, (piece.name, part.name)
            assert 0 < cost.memory < H200.available, (piece.name, part.name)


@pytest.mark.slow
@pytest.mark.timeout(1200)      # minutes on a slow machine
def test_every_piece_runs_at_the_tiny_scale(tmp_path):
    assert campaign.main(["--scale", "tiny", "--device", "cpu", "--out", str(tmp_path)]) == 0
    assert all(p.is_complete(tmp_path) for p in campaign.list_pieces("tiny", "cpu"))
    assert max(path.stat().st_size for path in tmp_path.glob("*.nc")) < 4e6
    assert {row.name[0] for row in rows(tmp_path)} >= {"a", "g"}      # planes this small have no exponents, and no run trains
