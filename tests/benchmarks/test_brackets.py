"""The tables of brackets and of crossings over width are those of the stored measurements, and count and fit as they say."""

import numpy as np
import pytest
import xarray as xr

from tests.benchmarks.place_of_networks import (
    CROSSINGS,
    SLOPE_TABLE,
    TABLE,
    fit_slope,
    list_cases,
    read_brackets,
    summarize_brackets,
    summarize_slopes,
)
from validation.storage.netcdf import read_netcdf


def test_the_table_is_that_of_the_stored_cases_and_each_is_measured_once():
    stored = read_brackets()
    assert sorted(stored["case"].values) == sorted(name for name, *_ in list_cases())
    assert TABLE.read_text().splitlines() == list(summarize_brackets(stored))
    assert float(stored["steps"].max()) <= 600


def test_misses_abstentions_and_cases_without_an_edge_are_counted():
    names = [name for name, *_ in list_cases()]
    rows = {"low": np.full(len(names), 1.0), "high": np.full(len(names), 4.0), "edge": np.full(len(names), 2.0),
            "trained": np.full(len(names), 9.0), "steps": np.full(len(names), 600.0)}
    rows["low"][0] = rows["high"][0] = np.nan      # an abstention, of SGD
    rows["trained"][1], rows["edge"][1] = 0, np.nan      # no edge to compare with
    rows["edge"][2] = np.nan      # an edge beyond the grid
    rows["edge"][3:6] = 4.4, 0.45, 5.0      # the middle is within 2.2, 4.4 and 2.5, the bracket within 1.1, 2.2 and 1.25
    sgd, adam = list(summarize_brackets(xr.Dataset({k: ("case", v) for k, v in rows.items()}, {"case": names})))[2:4]
    assert sgd.split(" | ")[1:5] == ["27", "1", "1", "21 of 25"]
    assert sgd.split(" | ")[8] == "23 of 25, factor 2"
    assert adam.split(" | ")[1:5] == ["27", "0", "0", "27 of 27"]


def test_the_slopes_over_width_are_those_of_the_stored_crossings():
    stored = read_netcdf(CROSSINGS)
    assert SLOPE_TABLE.read_text().splitlines() == list(summarize_slopes(stored))
    wide = stored["gamma"].sel(width=[128, 256, 512])
    for parametrization, theory in (("mup", 0.0), ("ntk", 0.5)):
        _, low, high = fit_slope(wide["width"].values, wide.sel(parametrization=parametrization).values)
        assert low < theory < high
        assert high - low < 0.25      # so narrow that it excludes the other's exponent


def test_a_planted_slope_and_bend_lie_in_their_intervals():
    width = np.array([32, 64, 128, 256, 512])
    x = np.log(width)[:, None]
    noise = 0.1 * np.random.default_rng(0).normal(size=(5, 6))
    value, low, high = fit_slope(width, np.exp(0.4 * x + noise))
    assert low < 0.4 < high
    assert value == pytest.approx((low + high) / 2)
    assert high - low < 0.1
    _, low, high = fit_slope(width, np.exp(0.4 * x + 0.2 * (x - x.mean()) ** 2 + noise), 2)
    assert low < 0.2 < high
