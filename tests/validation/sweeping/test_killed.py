"""Sweeps whose workers and main process are killed at random moments end as if nobody had been killed, bit for bit."""

import contextlib
import multiprocessing
import os
import random
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import PLANE, Sleeper, lines, run
from validation import open_portrait, sweep
from validation.storage.resume import open_store
from validation.storage.tiles import Layout, Status

FEW, KILLS = 8, 22
PATIENT = pytest.mark.skipif(not os.environ.get("LAZYRICH_PATIENT"), reason="takes minutes; LAZYRICH_PATIENT=1 runs it")


def context():
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.validation.sweeping.sleepers", "validation.storage.resume", "zarr.codecs", "numcodecs"])
    return made


@pytest.fixture(scope="module")
def whole():
    return sweep(Sleeper(), PLANE)


def started(*arguments):
    process = context().Process(target=run, args=arguments)
    process.start()
    return process


def harried(store, log, executor, share_of_mains, seed, kills):
    """Sweep until it is done, killing all the while, but no more than so many; return how many were killed."""
    chance, killed, heard = random.Random(seed), 0, 0
    while True:
        main = started(store, log, executor)
        while main.is_alive():
            main.join(0.002)
            if killed >= kills or len(lines(log)) < heard + chance.randint(1, 4):
                continue
            time.sleep(chance.uniform(0, 0.02))
            heard = len(lines(log))
            if chance.random() < share_of_mains:
                main.kill()
                main.join()
                killed += 1
            else:
                victim = chance.choice(lines(log)[-2:])[0]
                with contextlib.suppress(ProcessLookupError):
                    if victim != main.pid:
                        os.kill(victim, signal.SIGKILL)
                        killed += 1
        if main.exitcode == 0:
            return killed
        assert main.exitcode == -signal.SIGKILL


def check(store, log, whole):
    """Compare with the uninterrupted portrait; what three workers died of by chance is measured again first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        swept = sweep(Sleeper(), PLANE, store=store, retry_failed=True)
    xr.testing.assert_identical(swept.drop_attrs(), whole.drop_attrs())
    xr.testing.assert_identical(open_portrait(store).drop_attrs(), whole.drop_attrs())
    with xr.open_zarr(store, consolidated=False, chunks=None) as plain:
        xr.testing.assert_identical(plain.load().drop_attrs(), whole.drop_attrs())
    assert not [p for p in Path(store).parent.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize(("executor", "mains", "kills"), [
    ("serial", 1.0, FEW), ("processes", 0.3, FEW), pytest.param("serial", 1.0, KILLS, marks=PATIENT),
    pytest.param("processes", 0.3, KILLS, marks=PATIENT),
    # a job of submitit and a worker of Dask take seconds to start
    pytest.param("dask", 0.1, 3, marks=pytest.mark.slow), pytest.param("dask", 0.1, KILLS, marks=[pytest.mark.slow, PATIENT]),
    pytest.param("submitit", 0.15, 1, marks=pytest.mark.slow), pytest.param("submitit", 0.15, KILLS, marks=[pytest.mark.slow, PATIENT])])
def test_killed_again_and_again(tmp_path, whole, executor, mains, kills):
    if executor in ("dask", "submitit"):
        pytest.importorskip({"dask": "distributed"}.get(executor, executor))
    store, log = str(tmp_path / "p.zarr"), str(tmp_path / "log")
    assert harried(store, log, executor, mains, 5, kills) >= min(kills, 20)
    check(store, log, whole)


def test_two_processes_at_once(tmp_path, whole):
    store, log = str(tmp_path / "p.zarr"), str(tmp_path / "log")
    both = [started(store, log, "serial", 0.02) for _ in range(2)]
    for process in both:
        process.join()
    assert [p.exitcode for p in both] == [0, 0]
    tiles = 7 * 11
    assert len({pid for pid, _ in lines(log)}) == 2
    assert tiles <= len(lines(log)) <= 1.2 * tiles
    check(store, log, whole)


def test_a_store_that_another_process_extends_is_opened_again(tmp_path, whole):
    store, log = tmp_path / "p.zarr", tmp_path / "log"
    part = PLANE.__class__(PLANE.gamma[::2], PLANE.eta)
    first = context().Process(target=swept, args=(part, str(store), str(log)))
    first.start()
    while len(lines(log)) < 5:
        time.sleep(0.005)
    open_store(store, Layout(PLANE, (3, 4)), attrs_of(store))
    first.join()
    assert first.exitcode == 0
    half = open_store(store, Layout(PLANE, (3, 4)), attrs_of(store))
    assert half.layout.plane.digest == PLANE.digest
    assert set(np.unique(half.statuses())) == {Status.SPARSE}
    np.testing.assert_array_equal(half.load()[0]["final_excess"][::2], whole["final_excess"][::2])
    assert sum(n for _, n in lines(log)) <= 1.1 * np.prod(part.shape) + 12      # a tile or two were measured in vain


def swept(plane, store, log):
    sweep(Sleeper(0.01, log), plane, store=store)


def attrs_of(store):
    from validation.storage.zarr_metadata import read_attrs

    attrs = read_attrs(store)
    return {k: attrs[k] for k in ("description", "digest")}


def test_the_workers_of_a_killed_process_go_with_it(tmp_path):
    store, log = str(tmp_path / "p.zarr"), str(tmp_path / "log")
    main = started(store, log, "processes", 0.05)
    while len({pid for pid, _ in lines(log)}) < 2:
        time.sleep(0.005)
    main.kill()
    main.join()
    workers = {pid for pid, _ in lines(log)}
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in workers if alive(pid)]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_sweep_soon_and_keeps_what_is_finished(tmp_path, whole, sign):
    store, log = str(tmp_path / "p.zarr"), str(tmp_path / "log")
    main = started(store, log, "processes", 0.05)
    while len(lines(log)) < 12:
        time.sleep(0.005)
    os.kill(main.pid, sign)
    main.join(5)
    assert main.exitcode == 1
    done = (open_portrait(store)["outcome"] >= 0).sum().item()
    assert 60 < done < 400
    before = sum(n for _, n in lines(log))
    time.sleep(0.3)
    assert sum(n for _, n in lines(log)) == before       # the workers are gone
    run(store, log, "serial", 0.0)
    assert sum(n for _, n in lines(log)) - before == np.prod(PLANE.shape) - done
    check(store, log, whole)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_is_swallowed_ends_a_sweep_nevertheless(tmp_path, sign):
    """As a destructor or a library that catches everything swallows it; handlers are afterwards what they were."""
    class Swallower(Sleeper):
        def measure(self, gamma, eta):
            if len(lines(str(log))) == 3:
                with contextlib.suppress(KeyboardInterrupt):
                    signal.raise_signal(sign)
            return super().measure(gamma, eta)

    log, before = tmp_path / "log", signal.getsignal(sign)
    with pytest.raises(KeyboardInterrupt):
        sweep(Swallower(log=str(log)), PLANE, store=tmp_path / "p.zarr")
    assert signal.getsignal(sign) is before
    assert len(lines(str(log))) == 4
    assert (open_portrait(tmp_path / "p.zarr")["outcome"] >= 0).sum() == sum(n for _, n in lines(str(log)))
