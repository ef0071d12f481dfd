"""sweep(): the same whoever does the tiles, with the provenance that a portrait must carry."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from toymodels import OneParameter, ToyExperiment
from validation import Misuse, Plane, combine, locate, open_portrait, sweep
from validation.experiment import digest

PLANE = Plane.log((1e-2, 1e2), (1e-4, 1e2), per_decade=(3, 7), stagger=True)


class InTiles(ToyExperiment):
    """The same experiment, in small tiles."""

    tile = (4, 5)


def values(portrait):
    return portrait.drop_attrs(deep=False)


def test_tiles_and_executors_change_nothing():
    whole = sweep(ToyExperiment(OneParameter(3), steps=60), PLANE)
    experiment = InTiles(OneParameter(3), steps=60)
    xr.testing.assert_identical(values(sweep(experiment, PLANE)), values(whole))
    with ThreadPoolExecutor(2) as pool:
        xr.testing.assert_identical(values(sweep(experiment, PLANE, executor=pool)), values(whole))
    assert whole["outcome"].dims == ("gamma", "eta")
    np.testing.assert_array_equal(whole["eta_value"], PLANE.eta)


def test_horizons_come_first():
    portrait = sweep(InTiles(OneParameter(2), steps=(10, 60)), PLANE)
    assert portrait["final_excess"].dims == ("horizon", "gamma", "eta")
    np.testing.assert_array_equal(portrait["horizon"], [10, 60])
    assert portrait.attrs["steps"] == [10, 60]


class WithCurves(InTiles):
    """The same runs, with the curve eta * step, and a note on every tile that this is the one with so many pixels."""

    def measure(self, gamma, eta):
        portrait = super().measure(gamma, eta)
        step = xr.DataArray([1, 4, 9], dims="step", name="step")
        rate = portrait["eta_value"] if "eta_value" in portrait else portrait["eta"]
        curve = (rate * step * xr.ones_like(portrait["gamma"])).transpose("step", "gamma", "eta").drop_vars("eta_value", errors="ignore")
        portrait["train_loss"] = curve.variable
        return portrait.assign_coords(step=step).assign_attrs(failures=json.dumps([portrait["outcome"].size]))


def test_curves_go_through_tiles_stores_and_combinations(tmp_path):
    experiment = WithCurves(OneParameter(2), steps=(10, 20))
    plane = Plane([0.1, 1.0, 2.0, 3.0, 4.0, 5.0], np.geomspace(1e-3, 1, 7))
    portrait = sweep(experiment, plane, store=tmp_path / "p.zarr")
    assert portrait["train_loss"].dims == ("step", "gamma", "eta")
    np.testing.assert_array_equal(portrait["step"], [1, 4, 9])
    np.testing.assert_array_equal(portrait["train_loss"], np.array([1, 4, 9])[:, None, None] * np.ones((6, 1)) * plane.eta)
    assert sum(json.loads(portrait.attrs["failures"])) == portrait["outcome"].size
    opened = open_portrait(tmp_path / "p.zarr")
    assert opened["train_loss"].dims == ("step", "gamma", "eta")
    xr.testing.assert_equal(opened[list(portrait.data_vars)], portrait)
    np.testing.assert_array_equal(locate(portrait)["eta"], locate(portrait.drop_vars(["train_loss", "step"]))["eta"])
    finer = combine(portrait, sweep(experiment, Plane([1.0], [0.5, 0.7])))
    row = finer["train_loss"].sel(gamma=1.0, step=4).values
    np.testing.assert_allclose(row, 4 * finer["eta_value"].sel(gamma=1.0))


def test_a_portrait_says_where_it_comes_from():
    experiment = ToyExperiment(OneParameter(3), steps=60)
    portrait = sweep(experiment, PLANE)
    assert ToyExperiment.of(json.loads(portrait.attrs["description"])) == experiment
    assert portrait.attrs["digest"] == digest(experiment.describe())
    assert portrait.attrs["rho"] == 0.01
    assert portrait.attrs["dtype"] == "float64"
    assert portrait.attrs["device"] == "cpu"
    assert "numpy" in portrait.attrs["versions"]
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+dirty)?", portrait.attrs["git_revision"])


def test_the_digest_distinguishes_experiments_and_leaves_out_seeds():
    a, b = ToyExperiment(OneParameter(3)), ToyExperiment(OneParameter(3), rho=0.010000000000000002)
    assert digest(a.describe()) != digest(b.describe())
    assert digest({"x": 1, "seeds": [0]}) == digest({"x": 1, "seeds": [0, 1], "plane": "p"})


def test_a_store_is_a_portrait_and_existing_means_done(tmp_path):
    experiment = ToyExperiment(OneParameter(2), steps=20)
    portrait = sweep(experiment, PLANE, store=tmp_path / "p.zarr")
    xr.testing.assert_identical(values(portrait), values(sweep(experiment, PLANE)))
    xr.testing.assert_equal(open_portrait(tmp_path / "p.zarr")[list(portrait.data_vars)], portrait)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "p.zarr").rglob("*")}
    xr.testing.assert_identical(sweep(experiment, PLANE, store=tmp_path / "p.zarr"), portrait)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "p.zarr").rglob("*")} == before


def test_a_progress_bar_counts_the_tiles(capsys):
    sweep(InTiles(OneParameter(2), steps=20), PLANE, progress=True)
    tiles = len(list(PLANE.tiles(4, 5)))
    assert f"{tiles}/{tiles}" in capsys.readouterr().err


class Broken:
    """An experiment whose measurements lack a variable."""

    def describe(self):
        return {}

    def measure(self, gamma, eta):
        return ToyExperiment(OneParameter(2), steps=5).measure(gamma, eta).drop_vars("tail_excess")


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sweep(Broken(), PLANE), "portrait must have the variable 'tail_excess'"),
    (lambda: sweep(3, PLANE), "experiment must have describe() and measure(gamma, eta)"),
    (lambda: sweep(Broken(), "plane"), "plane must be a validation.Plane"),
    (lambda: sweep(Broken(), PLANE, executor=3), "executor must have submit()"),
])
def test_misuse_is_refused(call, words):
    with pytest.raises(Misuse, match=re.escape(words)):
        call()
