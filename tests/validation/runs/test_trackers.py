"""Runs from the files of trackers, which their own releases wrote (write_tracker_files.py)."""

import contextlib
import re
import shutil
import sqlite3
import struct
from pathlib import Path

import numpy as np
import pytest

from validation import Misuse, edges_from_runs, read_runs

FILES = Path(__file__).parent / "files"
RATES = [0.001 * 2**i for i in range(9)]


@pytest.fixture
def database(tmp_path):
    def restore(name, change=""):
        path = tmp_path / f"{name} 100%.db"                              # a name that an address must quote
        with contextlib.closing(sqlite3.connect(path)) as base:
            base.executescript((FILES / f"{name}.sql").read_text() + change)
        return path

    return restore


def test_an_optuna_study(database):
    """The first of the trials whose objective was NaN has an intermediate NaN, the second has none."""
    path = database("optuna")
    runs = read_runs(path, x="width", eta="lr", loss="value", seed="seed", group="batch", study="widths")
    assert runs["x"].values.tolist() == [64, 128, 256, 64, 128, 256, 64, 128]          # choices, not their indices
    assert runs["eta"].values == pytest.approx(RATES[:8])
    assert runs["status"].values.tolist() == ["finished", "diverged", "unknown", "diverged", "unknown", "diverged", "unknown", "finished"]
    assert runs["tracker_status"].values.tolist() == ["COMPLETE", "FAIL", "FAIL", "FAIL", "FAIL", "COMPLETE", "PRUNED", "COMPLETE"]
    assert runs["loss"].values[[0, 7]].tolist() == [0.25, 0.125]
    assert runs["seed"].values.tolist() == ["0", "1"] * 4
    assert set(runs["group"].values.tolist()) == {"batch=32"}
    assert runs["run"].values[-1] == "trial 7"
    assert runs.attrs["dropped"] == ["trial 8: no width"]                # it waits
    pruned = read_runs(path, x="width", eta="lr", loss="value", study="widths", words={"pruned": "finished"})
    assert pruned["loss"].values[6] == 0.7                               # the last intermediate value
    same = read_runs(path, x="params_width", eta="params_lr", loss="value", seed="user_attrs_seed", study="widths")
    assert np.array_equal(same["loss"], runs["loss"], equal_nan=True)


def test_a_study_of_two_objectives_and_one_that_is_not_named(database):
    path = database("optuna")
    runs = read_runs(path, x="lr", eta="lr", loss="values_1", study="two objectives")
    assert (runs["loss"].item(), runs["eta"].item()) == (0.75, 0.5)
    with pytest.raises(Misuse, match=r"study must be the name of one study of .*; those with runs are 'two objectives', 'widths'"):
        read_runs(path, x="width", eta="lr", loss="value")
    with pytest.raises(Misuse, match=r"has no 'loss'; its columns are .*'value'"):
        read_runs(path, x="width", eta="lr", loss="loss", study="widths")


def test_an_mlflow_experiment(database):
    """A metric that was logged as NaN or infinity is diverged, however the run ended; a deleted run is left out."""
    runs = read_runs(database("mlflow"), x="width", eta="lr", loss="val/loss")
    assert runs["x"].values.tolist() == [64, 128, 256, 64, 128, 256, 64, 128]
    assert runs["eta"].values == pytest.approx(RATES[:8])
    assert runs["status"].values.tolist() == ["finished", "diverged", "diverged", "unknown", "unknown", "diverged", "unknown", "unknown"]
    assert runs["tracker_status"].values.tolist() == ["FINISHED"] * 2 + ["FAILED"] * 2 + ["KILLED", "FINISHED", "FINISHED", "RUNNING"]
    assert runs["loss"].values[0] == 0.25                                # the last step's
    assert runs["run"].values[0] == "run planned-0"
    edges = edges_from_runs(runs, trained_below=0.5)
    assert np.array_equal(edges["eta"].sel(edge="eta_max", gamma=64), [0.001, np.nan], equal_nan=True)


def test_a_database_that_is_refused(tmp_path, database):
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE results (lr)")
        base.commit()
    with pytest.raises(Misuse, match="of Optuna or MLflow; its tables are results"):
        read_runs(path, x="width", eta="lr", loss="loss")
    good = database("mlflow")
    with pytest.raises(Misuse, match="delimiter must be None for a database"):
        read_runs(good, x="width", eta="lr", loss="val/loss", delimiter=";")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(good.read_bytes()[:1500] + b"\xff" * 2000)
    with pytest.raises(Misuse, match="cannot be read as a database"):
        read_runs(damaged, x="width", eta="lr", loss="val/loss")


@pytest.mark.parametrize("kind", ["named", "two"])
def test_event_files_with_the_names_of_their_folders(kind):
    """torch's old and new style of scalars. The third run ended at step 1, the fourth of the same width at step 2: it is unknown."""
    runs = read_runs(FILES / "events" / kind, x="width", eta="lr", loss="val/loss", pattern=r"width(?P<width>\d+)_lr(?P<lr>[\d.]+)")
    runs = runs.sortby(["x", "eta"])
    assert runs["x"].values.tolist() == [64, 64, 128, 128]
    assert runs["eta"].values.tolist() == [0.001, 0.002, 0.001, 0.002]
    assert runs["status"].values.tolist() == ["finished", "diverged", "unknown", "finished"]
    assert runs["loss"].values[[0, 3]].tolist() == [0.25, 0.125]
    assert runs["run"].values[0] == "run width64_lr0.001"


@pytest.mark.parametrize("loss", ["val/loss", "final"])
def test_event_files_with_hyperparameters(loss):
    """torch writes these into a folder of their own, with an end that is a success; the curve is in the folder above. False is 0."""
    runs = read_runs(FILES / "events" / "hparams", x="width", eta="lr", loss=loss, group=["optimizer", "bias"])
    runs = runs.sortby(["x", "eta"])
    assert runs["x"].values.tolist() == [64, 64, 128, 128]
    assert runs["eta"].values == pytest.approx([0.001, 0.002, 0.001, 0.002])
    assert runs["status"].values.tolist() == ["finished", "diverged", "finished", "finished"]
    assert runs["loss"].values[[0, 2, 3]].tolist() == [0.25, 0.5, 0.125]
    assert set(runs["group"].values.tolist()) == {"optimizer=sgd, bias=0"}
    assert set(runs["tracker_status"].values.tolist()) == {"SUCCESS"}


def test_an_event_file_that_is_cut_off_or_damaged(tmp_path):
    [file] = (FILES / "events" / "named" / "width64_lr0.001").iterdir()
    pattern = r"width(?P<width>\d+)_lr(?P<lr>[\d.]+)"
    copy = tmp_path / "width64_lr0.001" / file.name
    copy.parent.mkdir()
    shutil.copy(file, copy)
    data = copy.read_bytes()

    def loss():
        return read_runs(tmp_path, x="width", eta="lr", loss="val/loss", pattern=pattern)["loss"].item()

    assert loss() == 0.25
    copy.write_bytes(data[:-3])                                          # the last record is not whole
    assert loss() == 0.5
    at = data.rindex(struct.pack("<f", 0.25))
    copy.write_bytes(data[:at] + struct.pack("<f", 0.125) + data[at + 4:])
    with pytest.raises(Misuse, match="is damaged: the checksum of its record"):
        loss()
    copy.write_bytes(b"\1" + data[1:])
    with pytest.raises(Misuse, match="must be an event file, but the checksum"):
        loss()


def test_a_pattern_that_does_not_fit():
    for pattern, message in ((r"w(?P<width>\d+)_x(?P<lr>.*)", "does not fit"), ("(", "regular expression"), ("width", "named groups")):
        with pytest.raises(Misuse, match=message):
            read_runs(FILES / "events" / "named", x="width", eta="lr", loss="val/loss", pattern=pattern)
    with pytest.raises(Misuse, match=re.escape("has no 'width'; its columns are 'val/loss'")):
        read_runs(FILES / "events" / "named", x="width", eta="lr", loss="val/loss")
