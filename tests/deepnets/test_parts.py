"""Measurements in parts: resumed after an interruption, joined to one file, measured again when their description changes."""

import numpy as np
import pytest
import xarray as xr

from deepnets.cost import H200, Cost
from deepnets.parts import Part, Piece, list_costs, measure_pieces
from validation import Misuse, Outcome


def counting(calls, name="a-counted", values=(1.0, 2.0), description=None):
    """A piece of two parts that notes each call."""
    def part(i, value):
        def measure():
            calls.append(i)
            if value is None:
                raise KeyboardInterrupt
            return xr.Dataset({"x": ("seed", [value])}, {"seed": [i]})
        return Part(str(i), measure, lambda on: Cost(1.0, 1.0, 1.0))
    return Piece(name, {"figure": "1", "what": "counted"}, description or {"n": 2}, tuple(part(i, v) for i, v in enumerate(values)))


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
        assert {"device", "driver", "versions", "git_revision", "seconds", "peak_memory", "piece_digest", "figure"} <= set(data.attrs)
    assert not list((tmp_path / ".parts").iterdir())


def test_a_piece_that_has_changed_is_measured_again(tmp_path):
    calls = []
    list(counting(calls).run(tmp_path, "cpu"))
    other = counting(calls, description={"n": 3})
    assert not other.is_complete(tmp_path)
    list(other.run(tmp_path, "cpu"))
    assert calls == [0, 1, 0, 1]


def test_a_broken_part_is_refused_with_its_name(tmp_path):
    (tmp_path / ".parts").mkdir()
    (tmp_path / ".parts" / "a-counted-0.nc").write_bytes(b"CDF\x01 cut short")
    with pytest.raises(Misuse, match=r"a-counted-0\.nc cannot be read .* move it away"):
        counting([]).missing(tmp_path)


def test_a_failed_piece_does_not_stop_the_others_and_the_time_limit_ends_the_run(tmp_path, capsys):
    def crash():
        raise RuntimeError("gone")
    bad = Piece("a-bad", {}, {}, (Part("0", crash, lambda on: Cost(0, 0, 0)),))
    calls = []
    assert not measure_pieces([bad, counting(calls)], tmp_path, "cpu")
    assert calls == [0, 1]
    assert measure_pieces([counting(calls, "a-late")], tmp_path, "cpu", minutes=0.0)
    assert calls == [0, 1, 0]
    assert "1 pieces are left" in capsys.readouterr().out


def test_a_part_that_does_not_fit_into_the_time_left_is_skipped(tmp_path, monkeypatch):
    """Estimates of 1 s for parts that take 10 s: of 25 s, the first two parts use 20, and a third would end after 30."""
    clock, calls = [0.0], []
    monkeypatch.setattr("deepnets.parts.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("deepnets.parts.time.perf_counter", lambda: clock[0])

    def measure(i):
        calls.append(i)
        clock[0] += 10
        return xr.Dataset({"x": ("seed", [1.0])}, {"seed": [i]})

    parts = tuple(Part(str(i), lambda i=i: measure(i), lambda on: Cost(1, 1, 1)) for i in range(3))
    piece = Piece("a-slow", {"figure": "1", "what": "slow"}, {}, parts)
    assert measure_pieces([piece], tmp_path, "cpu", minutes=25 / 60)
    assert calls == [0, 1]
    assert [p.name for p in piece.missing(tmp_path)] == ["2"]


def test_a_part_whose_runs_failed_is_not_stored(tmp_path):
    def portrait(failed):
        outcome = np.zeros(10, np.int8)
        outcome[:failed] = Outcome.FAILED
        return xr.Dataset({"outcome": ("seed", outcome)}, {"seed": np.arange(10)})

    with pytest.raises(RuntimeError, match="20% of the runs failed"):
        list(Piece("a-failed", {}, {}, (Part("0", lambda: portrait(2), lambda on: Cost(1, 1, 1)),)).run(tmp_path, "cpu"))
    assert not list(tmp_path.glob("**/*.nc"))


def test_costs_of_what_is_missing(tmp_path):
    piece = counting([])
    table = list_costs([piece], tmp_path, H200)
    assert "| a-counted | 1 | counted | 2 of 2 | 2e-12 | 2 | 1e-09 |" in table
    assert "1 pieces; 0.0333 minutes left by these estimates, the longest part 0.017 minutes." in table
    list(piece.run(tmp_path, "cpu"))
    assert "| a-counted | 1 | counted | done |" in list_costs([piece], tmp_path, H200)
