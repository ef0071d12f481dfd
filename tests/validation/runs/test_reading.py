"""Runs from JSON, frames and dicts; what is unknown, diverged or dropped."""

import json

import numpy as np
import pandas as pd
import pytest

from validation import Misuse, read_runs

NAMES = {"x": "width", "eta": "lr", "loss": "loss"}
ROWS = [{"width": 64, "lr": 0.1, "loss": 0.5}, {"width": 64, "lr": 0.2, "loss": float("nan")}, {"width": 128, "lr": 0.1},
        {"width": 128, "lr": 1e-3, "loss": [3.0, 2.0, 1.0]}, {"width": 128, "lr": 2, "loss": None}]
EXPECTED = ["finished", "diverged", "unknown", "finished", "unknown"]


@pytest.mark.parametrize("text", [
    json.dumps(ROWS), "\n".join(map(json.dumps, ROWS)) + "\n\n", json.dumps({f"run{i}": row for i, row in enumerate(ROWS)}),
    json.dumps({name: [row.get(name) for row in ROWS] for name in ("width", "lr", "loss")}),
    json.dumps({name: {str(i): row.get(name) for i, row in enumerate(ROWS)} for name in ("width", "lr", "loss")}),
], ids=["list", "lines", "index", "columns", "pandas"])
def test_json_of_every_shape(tmp_path, text):
    path = tmp_path / "runs.json"
    path.write_text(text)
    runs = read_runs(path, **NAMES)
    assert runs["status"].values.tolist() == EXPECTED
    assert runs["x"].values.tolist() == [64, 64, 128, 128, 128]
    assert runs["eta"].values.tolist() == [0.1, 0.2, 0.1, 1e-3, 2]
    assert np.array_equal(runs["loss"], [0.5, np.inf, np.nan, 1.0, np.nan], equal_nan=True)


def test_nested_names_are_joined_by_dots(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text('{"config": {"model": {"width": 64}, "lr": 0.1}, "summary": {"val/loss": 1}}\n')
    runs = read_runs(path, x="config.model.width", eta="config.lr", loss="summary.val/loss")
    assert (runs["x"].item(), runs["loss"].item(), runs.attrs["axis"]) == (64, 1, "config.model.width")


@pytest.mark.parametrize(("text", "message"), [
    ('{"width": 64, "lr": 0.1, "loss": 1}\n{"width": 64, "lr": 0.1, "lo', "row 2: Unterminated string"),
    ('[{"width": 64, "lr": 1e400, "loss": 1}]', "row 1, column 'lr': '1e400' is beyond the largest"),
    ('[{"width": 64, "lr": true, "loss": 1}]', "row 1, column 'lr': True is true or false"),
    ('[{"width": 64, "lr": 0.1, "lr": 0.2, "loss": 1}]', "key 'lr' twice"),
    ('{"width": 1}\n{"lr": 0.1, "lr": 0.2}', "row 2 has the key 'lr' twice"),
    ('[{"a": {"b": 1}, "a.b": 2, "width": 1, "lr": 1, "loss": 1}]', "key 'a.b' twice"),
    ('[{"width": 64, "lr": {"max": 1}, "loss": 1}]', "has no 'lr'.*'lr.max'"),
    ('[1, 2]', "row 1 must be an object, .* not '1'"), ("[", "row 1: Expecting value"), ("[" * 10**5, "nested too deeply"),
    ('{"width": [64, 64], "lr": [0.1], "loss": [1, 2]}', r"columns have \[1, 2\] entries"),
])
def test_json_that_is_refused(tmp_path, text, message):
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(Misuse, match=message):
        read_runs(path, **NAMES)


def test_a_frame_and_a_dict_of_arrays():
    """NaN of an array is an empty cell; infinity is a value. Of a curve the last value counts."""
    columns = {"width": np.array([64, 64, 128]), "lr": [0.1, "0.2", 0.1], "loss": np.array([0.5, np.nan, np.inf])}
    for source in (columns, pd.DataFrame(columns)):
        runs = read_runs(source, **NAMES)
        assert runs["status"].values.tolist() == ["finished", "unknown", "diverged"]
        assert runs["eta"].values.tolist() == [0.1, 0.2, 0.1]
    curves = read_runs(columns | {"loss": np.array([[3, 2], [3, np.inf], [3, np.nan]])}, **NAMES)
    assert curves["status"].values.tolist() == ["finished", "diverged", "unknown"]
    masked = read_runs(columns | {"loss": np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])}, **NAMES)
    assert masked["status"].values.tolist() == ["finished", "unknown", "finished"]
    nullable = pd.DataFrame({**columns, "loss": pd.array([1, None, 3], dtype="Int64")})
    assert read_runs(nullable, **NAMES)["status"].values.tolist() == ["finished", "unknown", "finished"]


def test_any_frame_with_columns_is_read():
    """As of polars."""
    class Column:
        def __init__(self, cells):
            self.cells = cells

        def __len__(self):
            return len(self.cells)

        def to_list(self):
            return self.cells

    class Frame:
        columns = ("width", "lr", "loss")

        def __getitem__(self, name):
            return Column({"width": [64, 64], "lr": [0.1, 0.2], "loss": [None, 0.5]}[name])

    assert read_runs(Frame(), **NAMES)["status"].values.tolist() == ["unknown", "finished"]


def test_a_frame_that_is_refused():
    frame = pd.DataFrame([[64, 0.1, 0.2, 1]], columns=["width", "lr", "lr", "loss"])
    with pytest.raises(Misuse, match="several that are called 'lr'"):
        read_runs(frame, **NAMES)
    with pytest.raises(Misuse, match=r"one length, not 2 \('width'\), 1 \('lr'\), 1 \('loss'\)"):
        read_runs({"width": [1, 2], "lr": [1], "loss": [1]}, **NAMES)
    with pytest.raises(Misuse, match="'width' must be a sequence"):
        read_runs({"width": 64, "lr": [1], "loss": [1]}, **NAMES)
    with pytest.raises(Misuse, match="source must be a path, a frame or a dict"):
        read_runs([1, 2], **NAMES)
    with pytest.raises(Misuse, match="delimiter must be None for a frame"):
        read_runs({"width": [1], "lr": [1], "loss": [1]}, **NAMES, delimiter=";")


@pytest.mark.parametrize(("word", "loss", "status"), [
    ("finished", "0.5", "finished"), ("FINISHED", "nan", "diverged"), ("finished", "-inf", "diverged"), ("finished", "", "unknown"),
    ("crashed", "nan", "unknown"), ("crashed", "0.5", "unknown"), ("killed", "inf", "unknown"), ("failed", "", "unknown"),
    ("running", "0.5", "unknown"), ("diverged", "", "diverged"), ("diverged", "0.5", "diverged"), ("", "0.5", "unknown"),
    ("meltdown", "", "diverged"), ("converged", "0.5", "finished"),
])
def test_unknown_is_not_diverged(tmp_path, word, loss, status):
    path = tmp_path / "runs.csv"
    path.write_text(f"width,lr,loss,state\n64,0.1,{loss},{word}\n")
    runs = read_runs(path, **NAMES, status="state", words={"Meltdown": "diverged"})
    assert runs["status"].item() == status
    assert runs["tracker_status"].item() == word
    assert np.array_equal(runs["loss"].item(), {"finished": 0.5, "diverged": np.inf, "unknown": np.nan}[status], equal_nan=True)


def test_a_word_that_is_in_no_table_is_refused(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("width,lr,loss,state\n64,0.1,1,ok\n64,0.1,1,meltdown\n")
    with pytest.raises(Misuse, match=r"row 3, column 'state': 'meltdown' is not a status; .* words=\{'meltdown': "):
        read_runs(path, **NAMES, status="state")
    with pytest.raises(Misuse, match="must be one of 'finished', 'diverged', 'unknown'"):
        read_runs(path, **NAMES, status="state", words={"meltdown": "bad"})


def test_a_run_without_x_or_eta_is_dropped_and_named_and_seeds_and_groups_are_text(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("width,lr,loss,seed,batch,data\n64,0.1,1,0,32,a\n,0.1,1,1,32,a\n64,NA,1,2.0,32,a\n128,0.2,nan,one,64,b\n")
    runs = read_runs(path, **NAMES, seed="seed", group=["batch", "data"])
    assert runs.attrs["dropped"] == ["row 3: no width", "row 4: no lr"]
    assert runs["run"].values.tolist() == ["row 2", "row 5"]
    assert runs["seed"].values.tolist() == ["0", "one"]
    assert runs["group"].values.tolist() == ["batch=32, data=a", "batch=64, data=b"]
    assert {name: runs.attrs[name] for name in ("axis", "eta_name", "loss_name")} == {
        "axis": "width", "eta_name": "lr", "loss_name": "loss"}


def test_a_path_that_cannot_be_read(tmp_path):
    with pytest.raises(Misuse, match="cannot be read: No such file"):
        read_runs(tmp_path / "none.csv", **NAMES)
    with pytest.raises(Misuse, match="cannot be read: embedded null byte"):
        read_runs("a\0b", **NAMES)
    with pytest.raises(Misuse, match=r"a folder of TensorBoard event files; .* has none"):
        read_runs(tmp_path, **NAMES)
