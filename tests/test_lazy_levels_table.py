"""The stored table of lazy levels: how ratios are read and counted, and the limits that were set before it was measured."""

import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

sys.path.append(str(Path(__file__).parent.parent / "docs"))

from gallery import lazy_levels


def test_ratios_of_brackets_misses_and_abstentions():
    rows = xr.Dataset({name: ("row", values) for name, values in {
        "level": [3.0, 3.0, 3.0, np.nan], "lower": [0.9, 1.1, np.nan, np.nan], "upper": [1.0, np.nan, 0.5, np.nan]}.items()})
    found = lazy_levels.ratios(rows)
    assert found[0] == pytest.approx(np.sqrt(0.9))
    assert np.isinf(found[1:3]).all()
    assert lazy_levels.write_ratios(found) == "0.95, missed, missed, abstains"


def test_one_row_is_measured_stored_and_printed(tmp_path, monkeypatch):
    monkeypatch.setattr(lazy_levels, "DATA", tmp_path / "kept" / "lazy_levels.nc")
    monkeypatch.setitem(lazy_levels.CASES, "small", lazy_levels.Case(lazy_levels.MLP(16, 8, 2, 1), lambda: lazy_levels.tasks.teacher(16)))
    one = lazy_levels.measure("small", "mse", 128, 1)
    for name in ("small, mse, B = 128, seed 1", "small, mse, B = 128, seed 2", "small, mse, B = 128, seed 1"):
        lazy_levels.store_row(name, one, 1.0)
    stored = lazy_levels.load_rows()
    assert sorted(stored["row"].values) == ["small, mse, B = 128, seed 1", "small, mse, B = 128, seed 2"]
    assert stored.attrs["seconds"] == 3
    assert "git_revision" in stored.attrs
    ratio = lazy_levels.ratios(lazy_levels.select(stored, "mse", 128, "eta_crit", "small"))
    assert 0.6 < ratio[0] == ratio[1] < 1.5
    assert "| small | 0.5 | 136 |" in lazy_levels.tabulate_networks("mse", "128")
    assert f"| MSE | 128 | `eta_crit` | 2 | 0 | {ratio[0]:.2f} to {ratio[0]:.2f} | 0 |" in lazy_levels.tabulate_shares()


@pytest.mark.parametrize(("loss", "batch", "edge", "low", "high", "share"), [
    ("mse", 128, "eta_crit", 1 / 1.1, 1.1, 0.9), ("mse", 32, "eta_crit", 1 / 1.25, 1.25, 0.95), ("mse", 128, "eta_min", 0.7, 1.5, 0.9),
    ("mse", 32, "eta_min", 0.7, 1.5, 0.9), ("cross_entropy", 128, "eta_min", 0.7, 1.5, 0.9)])
def test_the_measured_levels_meet_the_limits(loss, batch, edge, low, high, share):
    stored = lazy_levels.load_rows()
    assert [name for name, *_ in lazy_levels.list_rows(loss, batch) if name not in stored["row"].values] == []
    rows = lazy_levels.select(stored, loss, batch, edge)
    found = lazy_levels.ratios(rows.sel(row=["MNIST" not in name for name in rows["row"].values]))
    given = found[~np.isnan(found)]
    assert given.size >= 33
    assert np.mean((given >= low) & (given <= high)) >= share


def test_levels_on_mnist_meet_the_limits_on_batches_of_128_and_are_withheld_on_smaller_ones():
    stored = lazy_levels.load_rows()
    cases = [f"MLP, MNIST, L = {depth}" for depth in (2, 3, 4)]
    large, small = (np.concatenate([lazy_levels.ratios(lazy_levels.select(stored, "mse", batch, "eta_crit", case)) for case in cases])
                    for batch in (128, 32))
    assert large.size == small.size == 9
    assert np.all((large >= 1 / 1.05) & (large <= 1.05))
    assert np.isnan(small).all()


def test_levels_predicted_again_keep_the_rates_of_their_runs(monkeypatch):
    monkeypatch.setitem(lazy_levels.CASES, "small", lazy_levels.Case(lazy_levels.MLP(16, 8, 2, 1), lambda: lazy_levels.tasks.teacher(16)))
    monkeypatch.setattr(lazy_levels, "locate", lambda portrait: pytest.fail("trained again"))
    former = xr.Dataset({"level": ("edge", [0.5, 20.0]), "lower": ("edge", [1.0, 0.9]), "upper": ("edge", [1.1, 1.0])},
                        {"edge": list(lazy_levels.EDGES)})
    again = lazy_levels.measure("small", "mse", 128, 1, former)
    for end in ("lower", "upper"):
        np.testing.assert_allclose(again[end] * again["level"], former[end] * former["level"])
    assert (again["level"] != former["level"]).all()
