"""combine(): a coarse sweep and a fine one around an edge give narrower brackets than either."""

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment
from validation import Misuse, Plane, combine, locate, open_portrait, save_portrait, sweep

EXPERIMENT = ToyExperiment(OneParameter(3), steps=200)


def test_a_second_sweep_narrows_the_brackets(tmp_path):
    coarse_plane = Plane.log((1e-3, 1e3), (1e-9, 1e3), per_decade=(2, 4))
    coarse = sweep(EXPERIMENT, coarse_plane)
    edges = locate(coarse)
    fine = sweep(EXPERIMENT, coarse_plane.refine(edges, "eta_max", per_decade=100))
    both = combine(coarse, fine)
    narrow = locate(both)
    width = [np.log10(e["eta"].sel(edge="eta_max", bound="upper") / e["eta"].sel(edge="eta_max", bound="lower")) for e in (edges, narrow)]
    assert (width[0].dropna("gamma") > 0.24).all()
    assert (width[1].dropna("gamma") < 0.0101).all()
    # every other edge is where it was
    np.testing.assert_array_equal(narrow["eta"].sel(edge="eta_min"), edges["eta"].sel(edge="eta_min"))
    assert (both["outcome"] != -1).sum() <= (coarse["outcome"] != -1).sum() + (fine["outcome"] != -1).sum()
    save_portrait(both, tmp_path / "both.zarr")
    np.testing.assert_array_equal(open_portrait(tmp_path / "both.zarr")["final_excess"], both["final_excess"])


def test_what_was_run_is_what_one_sweep_gives():
    a = sweep(EXPERIMENT, Plane([0.1, 1.0], [1e-3, 1e-2, 1e-1]))
    b = sweep(EXPERIMENT, Plane([1.0, 10.0], [1e-2, 1.0]))
    both = combine(a, b)
    np.testing.assert_array_equal(both["gamma"], [0.1, 1.0, 10.0])
    row = both.sel(gamma=1.0)
    np.testing.assert_array_equal(row["eta_value"], [1e-3, 1e-2, 1e-1, 1.0])
    whole = sweep(EXPERIMENT, Plane([1.0], [1e-3, 1e-2, 1e-1, 1.0]))
    np.testing.assert_array_equal(row["final_excess"], whole["final_excess"][0])
    assert (both.sel(gamma=10.0)["outcome"].values[2:] == -1).all()


def test_different_experiments_are_refused():
    plane = Plane([1.0], [1e-2, 1e-1])
    with pytest.raises(Misuse, match="portraits must be of one experiment"):
        combine(sweep(EXPERIMENT, plane), sweep(ToyExperiment(OneParameter(2), steps=200), plane))
    with pytest.raises(Misuse, match="portraits must be two or more"):
        combine(sweep(EXPERIMENT, plane))
    with pytest.raises(Misuse, match="must have the same variables"):
        combine(sweep(EXPERIMENT, plane), sweep(EXPERIMENT, plane).drop_vars("rose"))
