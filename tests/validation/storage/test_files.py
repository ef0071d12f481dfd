"""A portrait on disk: whole or not at all, read by anyone, refused when damaged."""

import shutil

import numpy as np
import pytest
import xarray as xr

from toymodels import OneParameter, ToyExperiment
from validation import Misuse, Plane, open_portrait, save_portrait, sweep

PLANE = Plane.log((1e-2, 1e2), (1e-4, 1e2), per_decade=(2, 4))


@pytest.fixture(scope="module")
def portrait():
    return sweep(ToyExperiment(OneParameter(3), steps=50), PLANE)


def test_what_is_saved_comes_back_to_the_last_bit(portrait, tmp_path):
    path = save_portrait(portrait, tmp_path / "deep" / "one.zarr")
    again = open_portrait(path)
    again.attrs.pop("complete")
    xr.testing.assert_identical(again[list(portrait.data_vars)], portrait)
    assert again["outcome"].dtype == np.int8
    assert again["outcome"].attrs["flag_values"] == list(range(-1, 9))
    assert again["outcome"].attrs["flag_meanings"].split()[3] == "converged"


def test_plain_xarray_reads_it(portrait, tmp_path):
    path = save_portrait(portrait, tmp_path / "one.zarr")
    with xr.open_zarr(path, consolidated=False, chunks=None) as plain:
        np.testing.assert_array_equal(plain["outcome"], portrait["outcome"])


def test_nothing_is_overwritten_unasked(portrait, tmp_path):
    path = save_portrait(portrait, tmp_path / "one.zarr")
    with pytest.raises(Misuse, match="path must be free"):
        save_portrait(portrait, path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    for name in ("notes.txt", "folder"):
        with pytest.raises(Misuse, match="something else; it is left as it is"):
            save_portrait(portrait, tmp_path / name, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    save_portrait(portrait.isel(gamma=slice(2)), path, overwrite=True)
    assert open_portrait(path).sizes["gamma"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "notes.txt", "one.zarr"]


def test_a_failed_write_leaves_what_was_there(portrait, tmp_path, monkeypatch):
    path = save_portrait(portrait, tmp_path / "one.zarr")

    def broken(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_zarr", broken)
    with pytest.raises(Misuse, match="No space left on device"):
        save_portrait(portrait, path, overwrite=True)
    monkeypatch.undo()
    assert open_portrait(path).sizes == portrait.sizes
    assert [p.name for p in tmp_path.iterdir()] == ["one.zarr"]


def test_what_is_no_portrait_is_refused(tmp_path):
    with pytest.raises(Misuse, match="there is nothing at"):
        open_portrait(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    for name in ("", "file"):
        with pytest.raises(Misuse, match="is none"):
            open_portrait(tmp_path / name)
    other = xr.Dataset({"a": ("x", np.zeros(3))})
    other.to_zarr(tmp_path / "other.zarr", consolidated=False)
    with pytest.raises(Misuse, match="must have the dim 'gamma'"):
        open_portrait(tmp_path / "other.zarr")


@pytest.mark.parametrize("damage", ["missing chunk", "truncated chunk", "flipped bit", "truncated metadata", "missing array"])
def test_damage_is_reported(portrait, tmp_path, damage):
    path = save_portrait(portrait, tmp_path / "one.zarr")
    chunk = next(p for p in sorted((path / "final_excess" / "c").rglob("*")) if p.is_file())
    if damage == "missing chunk":
        chunk.unlink()
    elif damage == "truncated chunk":
        chunk.write_bytes(chunk.read_bytes()[:40])
    elif damage == "flipped bit":
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 16
        chunk.write_bytes(bytes(data))
    elif damage == "truncated metadata":
        (path / "zarr.json").write_text((path / "zarr.json").read_text()[:50])
    else:
        shutil.rmtree(path / "final_excess")
    with pytest.raises(Misuse, match=r"damaged|cannot be read|must have the variable 'final_excess'"):
        open_portrait(path)


def test_a_folder_that_cannot_be_written_is_refused(portrait, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Misuse, match="cannot write to"):
        save_portrait(portrait, tmp_path / "file" / "one.zarr")
