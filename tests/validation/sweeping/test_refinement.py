"""Refinement: the edges of the full fine grid, at a fraction of its runs."""

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import PLANE, Sleeper, lines
from toymodels import OneParameter, ToyExperiment, TwoParameter
from validation import Misuse, Plane, locate, open_portrait, refined_sweep, sweep, sweep_status
from validation.sweeping.refinement import double

COARSE = Plane.log((1e-3, 1e3), (1e-8, 1e6), per_decade=4)


@pytest.mark.parametrize(("model", "loss"), [(OneParameter(2), "mse"), (OneParameter(4), "mse"), (TwoParameter(), "mse"),
                                             (OneParameter(3), "cross_entropy")])
def test_edges_are_those_of_the_full_grid_at_a_quarter_of_its_runs(model, loss):
    experiment = ToyExperiment(model, loss)
    refined, full = refined_sweep(experiment, COARSE, 2), sweep(experiment, double(double(COARSE)))
    assert (refined["outcome"] != -1).mean() == refined.attrs["share_of_full_grid"] < 0.25
    for name in ("final_excess", "outcome"):
        ran = (refined["outcome"] != -1).values
        np.testing.assert_array_equal(refined[name].values[ran], full[name].values[ran])
    cell = 1 / 16 + 1e-9
    for edge in ("eta_min", "eta_crit", "eta_max", "eta_div"):
        ours, theirs = (np.log10(locate(p)["eta"].sel(edge=edge)) for p in (refined, full))
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
        assert np.nanmax(np.abs(ours - theirs)) <= cell
        assert (ours.fillna(0) == theirs.fillna(0)).mean() > 0.97
        width = (ours.sel(bound="upper") - ours.sel(bound="lower")).values
        assert np.nanmax(width) <= cell                     # as sharp as the resolution near edges says
    assert refined.attrs["resolution_near"] == [16, 16]
    assert refined.attrs["resolution_far"] == [4, 4]
    assert refined.attrs["resolution"] == "16 x 16 points a decade of gamma and eta near edges, 4 x 4 elsewhere"


def test_a_doubled_plane_holds_the_old_one_and_the_means_between():
    for plane in (COARSE, Plane.log((1e-2, 1e2), (1e-4, 1e2), per_decade=3, stagger=True)):
        fine = double(plane)
        assert fine.shape == tuple(2 * n - 1 for n in plane.shape)
        np.testing.assert_array_equal(fine.gamma[::2], plane.gamma)
        np.testing.assert_array_equal(fine.eta[..., ::2][::2] if fine.eta.ndim == 2 else fine.eta[::2], plane.eta)
        np.testing.assert_allclose(np.diff(np.log(fine.gamma)), np.log(plane.gamma[1] / plane.gamma[0]) / 2)
    np.testing.assert_allclose(double(Plane.log(per_decade=4)).eta, Plane.log(per_decade=8).eta, rtol=1e-12)


def test_a_refined_store_goes_on_where_it_was_and_can_be_filled(tmp_path):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    coarse, fine = PLANE, double(PLANE)
    memory = refined_sweep(Sleeper(), coarse, 1)

    class Interrupted(Sleeper):
        def measure(self, gamma, eta):
            if len(lines(log)) == 120:
                raise KeyboardInterrupt
            return super().measure(gamma, eta)

    with pytest.raises(KeyboardInterrupt):
        refined_sweep(Interrupted(log=str(log)), coarse, 1, store=path)
    refined = refined_sweep(Sleeper(log=str(log)), coarse, 1, store=path)
    xr.testing.assert_identical(refined.drop_attrs(), memory.drop_attrs())
    ran = int((refined["outcome"] != -1).sum())
    measured = sum(n for _, n in lines(log))
    assert ran <= measured < ran + np.prod(Sleeper.tile)       # of the tile under way, what was measured before the interrupt came
    xr.testing.assert_identical(open_portrait(path).drop_attrs(), memory.drop_attrs())
    assert open_portrait(path).attrs["share_of_full_grid"] == ran / np.prod(fine.shape)
    assert sweep_status(path).sparse > 0
    assert sweep_status(path).left == 0
    refined_sweep(Sleeper(log=str(log)), coarse, 1, store=path)
    assert sum(n for _, n in lines(log)) == measured
    xr.testing.assert_identical(sweep(Sleeper(log=str(log)), fine, store=path).drop_attrs(), sweep(Sleeper(), fine).drop_attrs())
    assert sum(n for _, n in lines(log)) == np.prod(fine.shape) + measured - ran


def test_no_levels_is_a_sweep():
    xr.testing.assert_identical(refined_sweep(Sleeper(), PLANE, 0).drop_attrs(), sweep(Sleeper(), PLANE).drop_attrs())


@pytest.mark.parametrize(("arguments", "words"), [({"levels": -1}, "levels must be"), ({"rho": 2}, "rho must be")])
def test_misuse_is_refused(arguments, words):
    with pytest.raises(Misuse, match=words):
        refined_sweep(Sleeper(), PLANE, **arguments)
