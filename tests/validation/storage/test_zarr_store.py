"""A store that is written tile by tile: readable at any moment; damage, full and read-only disks are reported, and nothing is lost."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import PLANE, Seeded, Sleeper, lines
from validation import Misuse, Plane, open_portrait, save_portrait, sweep, sweep_status
from validation.progress import Progress
from validation.storage.resume import open_store
from validation.storage.tiles import Key, Layout, Status
from validation.storage.zarr_metadata import read_attrs, write_attrs
from validation.storage.zarr_store import ZarrStore
from validation.sweeping.scheduler import TilesDamaged

HALF = Plane(PLANE.gamma[:13], PLANE.eta[3:30])


@pytest.fixture(scope="module")
def whole():
    return sweep(Sleeper(), PLANE)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "p.zarr"
    sweep(Sleeper(), PLANE, store=path)
    return path


@pytest.fixture
def store(stored, tmp_path):
    return Path(shutil.copytree(stored, tmp_path / "p.zarr"))


def points(log):
    return sum(n for _, n in lines(log))


def same(a, b):
    xr.testing.assert_identical(a.drop_attrs(), b.drop_attrs())


def test_it_is_read_by_anyone_at_any_moment(tmp_path, whole):
    path, seen = tmp_path / "p.zarr", []

    def read(progress):
        if progress.done % 5 > 1:
            return
        with xr.open_zarr(path, consolidated=False, chunks=None) as plain:
            ran = (plain["outcome"].values >= 0)
            np.testing.assert_array_equal(plain["final_excess"].values[ran], whole["final_excess"].values[ran])
        assert np.isnan(plain["final_excess"].values[~ran]).all()
        assert (open_portrait(path)["outcome"].values >= 0).sum() == ran.sum()
        seen.append(int(ran.sum()))

    sweep(Sleeper(), PLANE, store=path, progress=read)
    read(Progress(77, done=0))
    assert len(set(seen)) > 25
    assert seen[-1] == np.prod(PLANE.shape)


def test_provenance_comes_before_the_first_tile(tmp_path):
    path = tmp_path / "p.zarr"

    class Reading(Sleeper):
        def measure(self, gamma, eta):
            attrs = read_attrs(path)
            assert {"description", "digest", "plane", "command", "git_revision", "versions", "device", "dtype"} <= attrs.keys()
            assert (open_portrait(path)["outcome"] == -1).all() or attrs.get("provisional") is None
            return super().measure(gamma, eta)

    portrait = sweep(Reading(), HALF, store=path)
    assert portrait.attrs["rho"] == 0.5


def test_zarr_reads_what_is_written_without_it(stored, whole):
    import zarr

    group = zarr.open_group(str(stored), mode="r")
    for name in ("outcome", "final_excess", "rose", "steps"):
        np.testing.assert_array_equal(group[name][...], whole[name])
        assert group[name].nchunks_initialized == group[name].nchunks
    assert (group["tiles/status"][...] == Status.DONE).all()


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped bit", "empty"])
def test_a_damaged_tile_is_reported_and_measured_again(store, tmp_path, whole, damage):
    log = tmp_path / "log"
    chunk = store / "final_excess" / "c" / "2" / "3"
    data = bytearray(chunk.read_bytes())
    if damage == "missing":
        chunk.unlink()
    else:
        data[len(data) // 2] ^= 16
        chunk.write_bytes({"truncated": data[:40], "empty": b"", "flipped bit": bytes(data)}[damage])
    where = re.escape("tile 0.2.3 (gamma 0.158489 to 0.398107, eta 0.00517947 to 0.0138950)".replace("0.0138950", "0.013895"))
    with pytest.raises(Misuse, match=f"is damaged: {where}: final_excess"):
        open_portrait(store)
    assert re.search(where, str(sweep_status(store)))
    with pytest.warns(TilesDamaged, match=where):
        same(sweep(Sleeper(log=str(log)), PLANE, store=store), whole)
    assert points(log) == 12
    same(open_portrait(store), whole)


def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path, whole, monkeypatch):
    path, log, left = tmp_path / "p.zarr", tmp_path / "log", [100]
    replace = os.replace

    def full(*names):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        replace(*names)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Misuse, match=r"cannot write .*p\.zarr: No space left on device; what was finished is kept"):
        sweep(Sleeper(log=str(log)), PLANE, store=path)
    monkeypatch.undo()
    kept = (open_portrait(path)["outcome"] >= 0).sum().item()
    assert 0 < kept < points(log)
    assert not [p for p in tmp_path.rglob("*.partial")]
    same(sweep(Sleeper(log=str(log)), PLANE, store=path), whole)
    assert points(log) <= np.prod(PLANE.shape) + 12


def mounted(path, *options):
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "none", path], capture_output=True).returncode:
        pytest.skip("only root mounts")


@pytest.mark.parametrize("size", ["100k", "900k"])
def test_a_disk_that_is_really_full(tmp_path, size):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted(disk, f"size={size}")
    try:
        with pytest.raises(Misuse, match=r"cannot write .*No space left on device"):
            sweep(Sleeper(), PLANE, store=disk / "p.zarr")
        assert not list(disk.rglob("*.partial"))
        if size == "900k":
            done = (open_portrait(disk / "p.zarr")["outcome"] >= 0).sum().item()
            assert 0 < done < np.prod(PLANE.shape)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_read_only_store_is_read_if_it_is_whole_and_else_refused(tmp_path, whole):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted(disk, "size=20m")
    try:
        sweep(Sleeper(), HALF, store=disk / "p.zarr")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        same(sweep(Sleeper(), HALF, store=disk / "p.zarr"), sweep(Sleeper(), HALF))
        with pytest.raises(Misuse, match=r"cannot write .*Read-only file system"):
            sweep(Sleeper(), PLANE, store=disk / "p.zarr")
        same(open_portrait(disk / "p.zarr"), sweep(Sleeper(), HALF))
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("broken", ["zarr.json", "outcome/zarr.json", "gamma/zarr.json"])
def test_damaged_metadata_are_reported(store, broken):
    (store / broken).write_text("{")
    for act in (open_portrait, sweep_status, lambda p: sweep(Sleeper(), PLANE, store=p)):
        with pytest.raises(Misuse, match=r"damaged"):
            act(store)


def test_a_store_of_another_version_is_left_as_it_is(store):
    write_attrs(store, read_attrs(store) | {"store_version": 7})
    for act in (open_portrait, sweep_status, lambda p: sweep(Sleeper(), PLANE, store=p)):
        with pytest.raises(Misuse, match="is a store of version 7, and this program reads and writes version 1"):
            act(store)


def test_another_experiment_is_refused_key_by_key(store, tmp_path):
    with pytest.raises(Misuse, match=re.escape("holds another: model.scale: given 1.0000000000000002, stored 1.0; choose another")):
        sweep(Sleeper(scale=1 + 2**-52), PLANE, store=store)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in ("notes", "file"):
        with pytest.raises(Misuse, match="store must be free or a portrait"):
            sweep(Sleeper(), PLANE, store=tmp_path / name)
    save_portrait(sweep(Sleeper(), HALF).drop_attrs(deep=False), tmp_path / "nameless.zarr")
    with pytest.raises(Misuse, match="has no description of one"):
        sweep(Sleeper(), HALF, store=tmp_path / "nameless.zarr")


def test_a_larger_plane_measures_what_is_new(tmp_path, whole):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    part = Plane(PLANE.gamma[1::3], PLANE.eta[5:40:2])
    sweep(Sleeper(log=str(log)), part, store=path)
    assert points(log) == np.prod(part.shape)
    same(sweep(Sleeper(log=str(log)), PLANE, store=path), whole)
    assert points(log) == np.prod(PLANE.shape)
    same(open_portrait(path), whole)
    assert open_portrait(path).attrs["plane"] == PLANE.digest
    same(sweep(Sleeper(log=str(log)), part, store=path), sweep(Sleeper(), part))       # contained: a part is returned
    same(open_portrait(path), whole)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    with pytest.raises(Misuse, match=re.escape(f"lacks its point gamma = {float(PLANE.gamma[0])!r}, eta = {float(PLANE.eta[0])!r}")):
        sweep(Sleeper(), Plane(PLANE.gamma + 1, PLANE.eta), store=path)


def test_a_smaller_plane_measures_no_more_than_itself(tmp_path, whole):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    attrs = {"description": json.dumps(Sleeper().describe()), "digest": sweep(Sleeper(), HALF).attrs["digest"]}
    open_store(path, Layout(PLANE, (3, 4)), attrs)
    same(sweep(Sleeper(log=str(log)), HALF, store=path), sweep(Sleeper(), HALF))
    assert points(log) == np.prod(HALF.shape)
    assert (open_portrait(path)["outcome"] >= 0).sum() == np.prod(HALF.shape)
    same(sweep(Sleeper(log=str(log)), PLANE, store=path), whole)
    assert points(log) == np.prod(PLANE.shape)


def test_axes_of_their_own_contain_a_common_one(tmp_path):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    own = Plane(HALF.gamma, np.sort(np.concatenate([np.tile(HALF.eta, (13, 1)), HALF.eta[0] * np.linspace(1.1, 1.5, 13)[:, None]], axis=1)))
    sweep(Sleeper(log=str(log)), HALF, store=path)
    same(sweep(Sleeper(log=str(log)), own, store=path), sweep(Sleeper(), own))
    assert points(log) == np.prod(own.shape)


def test_seeds_are_added_and_measured_one_by_one(tmp_path):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    sweep(Seeded(log=str(log), seeds=(4,)), HALF, store=path)
    both = sweep(Seeded(log=str(log), seeds=(0, 4)), HALF, store=path)
    assert points(log) == 2 * np.prod(HALF.shape)
    same(both, Seeded(seeds=(0, 4)).measure(HALF.gamma, HALF.eta))
    same(both, sweep(Seeded(seeds=(0, 4)), HALF))
    assert both["train_loss"].dims == ("seed", "step", "gamma", "eta")
    assert open_portrait(path)["seed"].values.tolist() == [4, 0]
    assert json.loads(open_portrait(path).attrs["description"])["seeds"] == [4, 0]
    same(sweep(Seeded(seeds=(0,)), HALF, store=path), sweep(Seeded(seeds=(0,)), HALF))
    larger = Plane(PLANE.gamma[:15], PLANE.eta[:33])
    same(sweep(Seeded(log=str(log), seeds=(0, 4, 9)), larger, store=path), sweep(Seeded(seeds=(0, 4, 9)), larger))
    assert points(log) == 3 * np.prod(larger.shape)


def test_a_saved_portrait_is_done_and_can_grow(tmp_path, whole):
    path, log = tmp_path / "p.zarr", tmp_path / "log"
    save_portrait(sweep(Sleeper(), HALF), path)
    same(sweep(Sleeper(log=str(log)), HALF, store=path), sweep(Sleeper(), HALF))
    assert points(log) == 0
    assert "store_version" not in read_attrs(path)
    same(sweep(Sleeper(log=str(log)), PLANE, store=path), whole)
    assert points(log) == np.prod(PLANE.shape) - np.prod(HALF.shape)
    same(open_portrait(path), whole)


def test_growth_killed_between_two_renames_is_put_back(store, tmp_path, whole):
    disk = store.with_name(".p.zarr.growing")
    disk.mkdir()
    os.replace(store, disk / "former")
    (disk / "draft").mkdir()
    same(sweep(Sleeper(log=str(tmp_path / "log")), PLANE, store=store), whole)
    assert points(tmp_path / "log") == 0
    assert not disk.exists()


def test_drafts_of_the_killed_are_cleared_away(store):
    draft = store / "outcome" / "c" / "0" / ".0.abc.partial"
    draft.write_bytes(b"half")
    sweep(Sleeper(), PLANE, store=store)
    assert not draft.exists()


def test_a_tile_of_other_variables_is_refused(store):
    class Other(Sleeper):
        def measure(self, gamma, eta):
            return super().measure(gamma, eta).drop_vars("rose")

    ZarrStore(store).forget(Key(0, 0, 0))
    with pytest.raises(Misuse, match=r"same variables for every tile of .* rose are in one of them only"):
        sweep(Other(), PLANE, store=store)
