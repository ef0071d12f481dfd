"""The campaign: its list of pieces, its estimates, and a tiny run of every kind of piece."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import lazyrich
from deepnets.cost import H200
from deepnets.curvature import spectra
from deepnets.networks.mlp import StackOfLayers
from deepnets.parts import read_data, write_data
from deepnets.phenomena import measures

DATA = Path(__file__).parent.parent / "docs" / "data"
sys.path.append(str(DATA))

import campaign  # noqa: E402
from gallery.campaign_files import draw_campaign  # noqa: E402
from pieces.results import judge_files  # noqa: E402


def test_the_list_has_every_item():
    chosen = list(campaign.list_pieces("tiny", "cpu"))
    assert {p.name for p in chosen} >= set(TWINS)
    assert {p.attrs["item"] for p in chosen} == set("abcdefgh")
    assert len({p.name for p in chosen}) == len({p.digest for p in chosen}) == len(chosen)
    assert [p.attrs["item"] for p in chosen][:2] == ["a", "b"]


def test_an_unknown_piece_is_refused_with_the_list(capsys):
    assert campaign.main(["--scale", "tiny", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err
    assert campaign.main(["--scale", "full", "--device", "cpu", "--data", "nowhere", "--only", "z"]) == 2
    assert "b-mlp-L3-mse-seed0" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code", "words"), [
    (KeyboardInterrupt(), 130, "campaign: interrupted"), (ZeroDivisionError("odd"), 70, "campaign: internal error"),
    (OSError(28, "No space left on device"), 2, "campaign: the output could not be written: No space left on device")])
def test_the_script_ends_as_every_command_does(error, code, words, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr(campaign, "list_pieces", fail)
    assert campaign.main(["--dry-run", "--device", "cpu"]) == code
    assert words in capsys.readouterr().err


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
    assert titles == ["MLP of width 16\nL = 3, MSE, digits"]
    figure = draw_campaign("1c", "23", folder=tmp_path)
    assert len(figure.axes) == 4
    assert figure.get_label().startswith("Portraits that the campaign measured on NVIDIA of a test (4)")
    assert draw_campaign("2", folder=tmp_path) is None


# networks whose width or depth varies are run in one parametrization: the other differs by a word that is given to the same network
TWINS = () if os.environ.get("LAZYRICH_PATIENT") else (
    "g-mlp-width-mup", "g-residual-cnn-width-ntk", "g-vit-width-ntk", "g-transformer-width-ntk", "g-residual-mlp-depth-mup")


# one gamma of ResNets, spectra of residual networks and comparisons of sizes are not cut further
LONG = ("e-resnet18", "f-residual", "g-")


@pytest.mark.slow
def test_every_part_is_estimated_to_fit_into_twenty_seconds_and_the_memory_of_an_h200():
    for piece in campaign.list_pieces("full", "cpu", shapes=True):
        for part in () if piece.name in TWINS else piece.parts:
            cost = part.cost(H200)
            assert 0 < cost.seconds < (180 if piece.name.startswith(LONG) else 20), (piece.name, part.name)
            assert 0 < cost.memory < H200.available, (piece.name, part.name)


@pytest.fixture
def cheap_sharpness(monkeypatch):
    """A largest eigenvalue of 1 for all networks but MLPs of two layers: Lanczos' method on others is tested by itself, and took half of
    the time."""
    def find_spectra(module, u, gamma, *rest, **more):
        if isinstance(module, StackOfLayers) and len(module.layers) == 2:
            return spectra(module, u, gamma, *rest, **more)
        return SimpleNamespace(eigenvalues=xr.DataArray(np.ones((len(gamma), 1))))

    if not os.environ.get("LAZYRICH_PATIENT"):
        monkeypatch.setattr(measures, "spectra", find_spectra)


@pytest.mark.slow
@pytest.mark.timeout(1200)      # minutes on a slow machine
@pytest.mark.usefixtures("cheap_sharpness")
def test_every_kind_of_piece_runs_at_the_tiny_scale(tmp_path):
    names = [p.name for p in campaign.list_pieces("tiny", "cpu") if p.name not in TWINS]
    assert campaign.main(["--scale", "tiny", "--device", "cpu", "--out", str(tmp_path), "--only", *names]) == 0
    assert all(p.is_complete(tmp_path) for p in campaign.list_pieces("tiny", "cpu") if p.name in names)
    assert max(path.stat().st_size for path in tmp_path.glob("*.nc")) < 4e6
    assert {name[0] for name, *_ in judge_files(tmp_path)} >= {"a", "g"}      # planes this small have no exponents, and no run trains
