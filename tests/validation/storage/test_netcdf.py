"""A portrait as one netCDF file: what is written is read, by plain xarray too, and what is no portrait is refused."""

import numpy as np
import pytest
import xarray as xr

import validation
from validation import Misuse, Plane
from validation.experiment import name_experiment
from validation.portrait import empty


def portrait(stagger=False):
    made = empty(Plane.log((1e-2, 1e1), (1e-3, 1e2), 3, stagger=stagger), {"seed": [0, 4]},
                 ("outcome", "final_excess", "tail_excess", "peak_excess", "steps", "rose", "final_accuracy"))
    made["final_excess"].values[0, 0, :2] = [np.inf, 0.25]
    made["rose"].values[1, 2, 3] = True
    return made.assign_attrs(rho=0.1, steps=1000, eta_max_of="highest", **name_experiment({"γ": 1}))


@pytest.mark.parametrize("stagger", [False, True])
def test_what_is_written_is_read(tmp_path, stagger):
    path = validation.save_portrait(portrait(stagger), tmp_path / "p.nc")
    back = validation.open_portrait(path)
    xr.testing.assert_identical(back, portrait(stagger))
    assert {n: v.dtype for n, v in back.data_vars.items()} == {n: v.dtype for n, v in portrait(stagger).data_vars.items()}
    assert [p.name for p in tmp_path.iterdir()] == ["p.nc"]
    with xr.open_dataset(path) as plain:
        assert plain["outcome"].attrs["flag_meanings"] == back["outcome"].attrs["flag_meanings"]


def test_a_portrait_is_replaced_only_with_overwrite_and_other_files_never(tmp_path):
    path = tmp_path / "p.nc"
    validation.save_portrait(portrait(), path)
    with pytest.raises(Misuse, match="must be free"):
        validation.save_portrait(portrait(), path)
    validation.save_portrait(portrait().assign_attrs(rho=0.2), path, overwrite=True)
    assert validation.open_portrait(path).attrs["rho"] == 0.2
    (tmp_path / "mine.nc").write_text("mine")
    with pytest.raises(Misuse, match="something else"):
        validation.save_portrait(portrait(), tmp_path / "mine.nc", overwrite=True)
    with pytest.raises(Misuse, match="netCDF file"):
        validation.open_portrait(tmp_path / "mine.nc")


def test_a_cut_or_foreign_file_is_refused(tmp_path):
    path = validation.save_portrait(portrait(), tmp_path / "p.nc")
    path.write_bytes(path.read_bytes()[:400])
    with pytest.raises(Misuse, match="is damaged: its bytes do not have the checksum"):
        validation.open_portrait(path)
    xr.Dataset({"a": ("b", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="scipy")
    with pytest.raises(Misuse, match="dim 'gamma'"):
        validation.open_portrait(tmp_path / "other.nc")
