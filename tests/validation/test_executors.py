"""Whoever measures the tiles, the portrait is the same; tiles that raise or kill fail, the others are measured."""

import asyncio
import multiprocessing
import os
import re
import signal
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import PLANE, Sleeper, lines
from validation import Misuse, Plane, open_portrait, sweep, sweep_status
from validation.executors import Workers, dask, processes, slurm
from validation.sweeping.clusters import DaskCluster, DaskTasks, Job, JobQueue, _is_nowhere
from validation.sweeping.run_sweep import TilesFailed
from validation.sweeping.scheduler import WorkLost

HALF = Plane(PLANE.gamma[:9], PLANE.eta[:20])      # 3 x 5 tiles
ILL = (PLANE.gamma[3], PLANE.gamma[3])             # one row of five tiles: those with gammas 3 to 5


@pytest.fixture(scope="module")
def whole():
    return sweep(Sleeper(), HALF)


def same(a, b):
    xr.testing.assert_identical(a.drop_attrs(), b.drop_attrs())


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as made:
            yield made


def test_threads(whole, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        same(sweep(Sleeper(), HALF, executor=pool, store=tmp_path / "p.zarr"), whole)
        assert pool.submit(int).result() == 0       # it is the caller's, and not closed


def test_processes(whole, tmp_path):
    log = tmp_path / "log"
    same(sweep(Sleeper(0.02, str(log)), HALF, executor=processes(2), store=tmp_path / "p.zarr"), whole)
    assert len({pid for pid, _ in lines(log)}) == 2


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="needs POSIX signals")
def test_ctrl_c_does_not_reach_the_workers():
    """The terminal sends it to all processes; the threads that start these block it from the first moment."""
    pool, cluster = processes(1)(), None
    try:
        pool.submit(os.getpid).result()
        assert signal.SIGINT in pool._threads.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()
        pytest.importorskip("distributed")
        cluster = dask(None, 1)()
        assert signal.SIGINT in cluster.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result(timeout=60)
    finally:
        pool.close()
        if cluster is not None:
            cluster.close()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as own:      # a caller's own processes are interrupted
        assert signal.SIGINT not in own.submit(signal.pthread_sigmask, signal.SIG_BLOCK, []).result()


def test_an_existing_dask_cluster(whole, tmp_path, cluster):
    import distributed

    same(sweep(Sleeper(), HALF, executor=dask(cluster.scheduler_address), store=tmp_path / "p.zarr"), whole)
    with distributed.Client(cluster, set_as_default=False) as client:
        same(sweep(Sleeper(), HALF, executor=client.get_executor(pure=False)), whole)
        assert Workers(client.get_executor(pure=False)).in_flight == 2


@pytest.mark.slow
def test_jobs(whole, tmp_path):
    pytest.importorskip("submitit")
    queue = slurm(tmp_path / "jobs", tiles_per_job=8, jobs=2, cluster="local", timeout_min=5)
    same(sweep(Sleeper(), HALF, executor=queue, store=tmp_path / "p.zarr"), whole)
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 2


@pytest.mark.parametrize("outcome", [7, RuntimeError("lost")])
def test_a_jobs_outcome_is_read_once(outcome):
    reads = []

    class Slow:
        def done(self):
            return True

        def result(self):
            reads.append(1)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

    job = Job(Slow())
    for _ in range(3):
        assert job.done()
        if isinstance(outcome, Exception):
            assert job.exception() is outcome
            with pytest.raises(RuntimeError, match="lost"):
                job.result()
        else:
            assert job.exception() is None
            assert job.result() == 7
    assert reads == [1]


class Silent:
    """An executor that has ended without failing its futures, as a cluster does whose workers are all gone."""

    apart, in_flight, lost = True, 3, True

    def submit(self, function, *arguments):
        return Future()

    def close(self):
        pass


def test_work_that_an_executor_never_finishes_is_done_by_another(whole, tmp_path):
    executors = iter([Silent()])
    with ThreadPoolExecutor(2) as pool:
        same(sweep(Sleeper(), HALF, executor=lambda: next(executors, pool), store=tmp_path / "p.zarr"), whole)
    with pytest.raises(Misuse, match=r"executor broke \(BrokenExecutor: it has no workers left\)"):
        sweep(Sleeper(), HALF, executor=Silent())


class Forgetful(ThreadPoolExecutor):
    """An executor that never does every third piece of work, as a cluster does that loses it with a worker."""

    apart, in_flight = True, 4

    def __init__(self, forgets=lambda count: count % 3 == 0):
        super().__init__(1)
        self.forgets, self.count, self.lost_work = forgets, 0, []

    def submit(self, function, *arguments):
        self.count += 1
        if self.forgets(self.count):
            self.lost_work.append(Future())
            return self.lost_work[-1]
        return super().submit(function, *arguments)

    def find_losses(self, pending):
        return [f for f in pending if f in self.lost_work]


class Remote:
    """The same, of another process: it hides that it is made of threads."""

    def __init__(self, *arguments):
        self.inner = Forgetful(*arguments)

    apart, in_flight = True, 4

    def submit(self, function, *arguments):
        return self.inner.submit(function, *arguments)

    def find_losses(self, pending):
        return self.inner.find_losses(pending)


@pytest.fixture
def hasty(monkeypatch):
    """Lost work is searched for after a fifth of a second."""
    monkeypatch.setattr("validation.sweeping.scheduler.SILENCE", 0.2)
    monkeypatch.setattr("validation.sweeping.scheduler.PATIENCE", 0.05)


def test_work_that_a_cluster_loses_is_handed_out_again(whole, tmp_path, hasty):
    with pytest.warns(WorkLost, match=r"pieces of work .* were lost by the cluster, which runs them nowhere; they are handed out again"):
        same(sweep(Sleeper(), HALF, executor=Remote(), store=tmp_path / "p.zarr"), whole)


def test_work_that_is_lost_again_and_again_fails(tmp_path, hasty):
    plane = Plane(HALF.gamma[:3], HALF.eta[:8])         # two tiles, the second of which never arrives
    with pytest.warns() as warned:
        portrait = sweep(Sleeper(), plane, executor=Remote(lambda count: count != 1), store=tmp_path / "p.zarr")
    assert (portrait["outcome"] == 8).sum() == 12
    assert "the cluster lost it 6 times" in str(sweep_status(tmp_path / "p.zarr"))
    assert {w.category for w in warned} == {WorkLost, TilesFailed}


def test_a_dask_task_is_lost_where_nobody_has_it():
    held = {"a": ["x"], "b": ["y"]}
    for key, state, worker, lost in (("x", "processing", "a", False), ("x", "processing", "b", True), ("x", "processing", "gone", True),
                                     ("z", "queued", "", False), ("z", "no-worker", "", False), ("z", "memory", "", True),
                                     ("z", "absent", "", True)):
        assert _is_nowhere(key, state, worker, held) is lost
    assert _is_nowhere("z", "queued", "", held | {"b": []})
    assert not _is_nowhere("z", "queued", "", {})      # without workers there is nobody to hand it to


def test_an_idle_dask_cluster_has_lost_what_it_was_never_given(cluster):
    import distributed

    with distributed.Client(cluster, set_as_default=False) as client:
        tasks = DaskTasks(client)
        held, lost = tasks.submit(time.sleep, 1.0), Future()
        time.sleep(0.3)
        tasks._tasks[lost] = SimpleNamespace(key="never")
        assert tasks.find_losses([held, lost]) == [lost]
        held.result(timeout=20)


@pytest.mark.parametrize(("state", "lost"), [("RUNNING", False), ("PENDING", False), ("UNKNOWN", True), ("CANCELLED by 0", True),
                                             (RuntimeError("no answer"), False)])
def test_a_job_that_the_queue_does_not_have_is_lost(state, lost):
    def get_state(job_id, mode):
        if isinstance(state, Exception):
            raise state
        return state

    job = Job(SimpleNamespace(done=lambda: False, job_id="7", watcher=SimpleNamespace(get_state=get_state)))
    queue = JobQueue.__new__(JobQueue)
    assert queue.find_losses([job]) == [job] * lost
    finished = Job(SimpleNamespace(done=lambda: True, job_id="7", watcher=job._job.watcher))
    assert queue.find_losses([finished]) == []


@pytest.fixture
def client():
    """A stand-in for Dask's client, with a running event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield SimpleNamespace(loop=SimpleNamespace(asyncio_loop=loop), status="running", threads=2,
                          submit=lambda function, *arguments, pure: (function, arguments))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_dask_task_whose_result_was_lost_ends_with_its_error(client):
    async def gather(task, asynchronous):
        raise RuntimeError("killed again")         # in distributed, where the second run of a task whose result was lost fails

    client.gather, client.nthreads = gather, lambda: {"a": 1}
    with pytest.raises(RuntimeError, match="killed again"):
        DaskTasks(client).submit(int).result(timeout=20)


def test_missing_workers_of_a_local_dask_cluster_are_started_again(client, monkeypatch):
    clock, scaled = [1000.0], []
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    cluster = DaskCluster.__new__(DaskCluster)
    DaskTasks.__init__(cluster, client)
    cluster._cluster, cluster._workers, cluster._populated = SimpleNamespace(scale=scaled.append), 2, clock[0]
    for workers, count, lost in (({"a": 1, "b": 1}, 0, False), ({"a": 1}, 1, False), ({}, 2, False), ({}, 3, True), ({"a": 1}, 4, False)):
        clock[0] += 40
        client.nthreads = lambda workers=workers: workers
        assert cluster.lost is lost
        assert scaled == [2] * count


class Breaking:
    """A pool in which everything breaks after a few pieces of work, as a process pool does."""

    _max_workers = 2

    def __init__(self, after):
        self.after = after

    def submit(self, function, *arguments):
        future = Future()
        self.after -= 1
        if self.after < 0:
            future.set_exception(BrokenExecutor("a process was terminated abruptly"))
        else:
            future.set_result(function(*arguments))
        return future

    def shutdown(self, wait, cancel_futures):
        self.after = -1


def test_a_broken_pool_is_replaced_if_it_can_be(whole, tmp_path):
    deaths = []
    made = sweep(Sleeper(), HALF, tmp_path / "p.zarr", lambda: Breaking(4), progress=lambda state: deaths.append(state.deaths))
    same(made, whole)
    assert deaths[-1] >= 3
    with pytest.raises(Misuse, match=r"executor broke .*terminated abruptly.* Give a function that returns an executor"):
        sweep(Sleeper(), HALF, executor=Breaking(4), store=tmp_path / "q.zarr")
    assert (open_portrait(tmp_path / "q.zarr")["outcome"] >= 0).sum() == 4 * 12
    with pytest.raises(Misuse, match="workers die before they finish anything"):
        sweep(Sleeper(), HALF, executor=lambda: Breaking(0), store=tmp_path / "r.zarr")
    with pytest.raises(RuntimeError, match=r"tile 0\.0\.0 .* failed: its worker died 3 times"):
        sweep(Sleeper(), HALF, executor=lambda: Breaking(0))


@pytest.mark.parametrize("executor", [None, processes(2)])
def test_tiles_that_raise_twice_fail_and_can_be_retried(tmp_path, whole, executor):
    path, log, cure = tmp_path / "p.zarr", tmp_path / "log", tmp_path / "cure"
    experiment = Sleeper(log=str(log), ill=ILL, cure=str(cure))
    with pytest.warns(TilesFailed, match=r"5 of 15 tiles failed; .* sweep\(\.\.\., retry_failed=True\)"):
        portrait = sweep(experiment, HALF, store=path, executor=executor)
    assert portrait.attrs["tiles_failed"] == 5
    assert len(lines(log)) == 15 + 5
    np.testing.assert_array_equal((portrait["outcome"] == 8).any("eta"), [False] * 3 + [True] * 3 + [False] * 3)
    same(portrait.isel(gamma=[0, 1, 2, 6, 7, 8]), whole.isel(gamma=[0, 1, 2, 6, 7, 8]))
    status = sweep_status(path)
    assert (status.done, status.failed, status.left) == (10, 5, 0)
    assert all("RuntimeError: the sleeper is ill" in text and "Traceback" in text for text in status.failures.values())
    assert "RuntimeError: the sleeper is ill" in str(status)
    with pytest.warns(TilesFailed):
        sweep(experiment, HALF, store=path)                  # failed tiles are not measured again
    assert len(lines(log)) == 20
    cure.touch()
    same(sweep(experiment, HALF, store=path, retry_failed=True), whole)
    assert len(lines(log)) == 25
    assert sweep_status(path).failures == {}
    same(open_portrait(path), whole)


def test_tiles_that_kill_their_workers_fail(tmp_path, whole):
    path, log, cure = tmp_path / "p.zarr", tmp_path / "log", tmp_path / "cure"
    experiment = Sleeper(log=str(log), ill=ILL, how="die", cure=str(cure))
    with pytest.warns(TilesFailed, match="5 of 15"):
        portrait = sweep(experiment, HALF, store=path, executor=processes(2))
    assert len(lines(log)) == 10 + 3 * 5
    assert all("its worker died 3 times" in text for text in sweep_status(path).failures.values())
    assert (portrait["outcome"] == 8).sum() == 5 * 12
    cure.touch()
    same(sweep(experiment, HALF, store=path, retry_failed=True), whole)


@pytest.mark.slow
def test_a_common_pool_loses_only_the_tile_that_kills_it(tmp_path, whole):
    one = Plane(HALF.gamma[:6], HALF.eta[:4])          # two tiles, of which the second kills
    with pytest.warns(TilesFailed, match="1 of 2"):
        portrait = sweep(Sleeper(ill=ILL, how="die"), one, store=tmp_path / "p.zarr",
                         executor=lambda: ProcessPoolExecutor(2, get_context("forkserver")))
    same(portrait.isel(gamma=slice(3)), whole.isel(gamma=slice(3), eta=slice(4)))


@pytest.mark.parametrize("executor", [None, processes(1)])
def test_misuse_is_raised_at_once(tmp_path, executor):
    log = tmp_path / "log"
    with pytest.raises(Misuse, match=r"^the sleeper is misused$"):
        sweep(Sleeper(log=str(log), ill=(0, 1e9), how="misuse"), HALF, store=tmp_path / "p.zarr", executor=executor)
    assert len(lines(log)) <= 2


def test_without_a_store_what_is_raised_is_raised():
    with pytest.raises(RuntimeError, match="the sleeper is ill"):
        sweep(Sleeper(ill=ILL), HALF)


def test_an_unknown_scheduler_is_waited_for_with_a_word(monkeypatch, capsys):
    """The address is printed before the wait; then comes one sentence."""
    distributed = pytest.importorskip("distributed")
    client, printed = distributed.Client, []

    def connect(*given, **how):
        printed.append(capsys.readouterr().err)
        return client(*given, **how)

    monkeypatch.setattr(distributed, "Client", connect)
    monkeypatch.setattr("validation.sweeping.clusters.PATIENCE", 0.5)
    with pytest.raises(Misuse, match=r"running Dask scheduler, .* not 'tcp://no-such-host\.invalid:8786'"):
        dask("tcp://no-such-host.invalid:8786")()
    assert printed == ["connecting to tcp://no-such-host.invalid:8786 (for at most 0.5 s)\n"]


def test_what_cannot_be_sent_is_refused(tmp_path):
    class Locked(Sleeper):
        def __reduce__(self):
            return threading.Lock, (threading.Lock(),)

    with pytest.raises(Misuse, match="experiment must be one that can be sent to another process"):
        sweep(Locked(), HALF, store=tmp_path / "p.zarr", executor=processes(1))


@pytest.mark.parametrize(("call", "words"), [
    (lambda: sweep(Sleeper(), HALF, executor=3), "executor must have submit()"),
    (lambda: sweep(Sleeper(), HALF, executor=lambda: 3), "returned 3"),
    (lambda: processes(0), "workers must be a whole number from 1 to 1000000, not 0"),
    (lambda: processes(10**6), "workers must fit into memory, and 1000000 needs 1e+05 GB"),
    (lambda: dask(None, 10**6), "workers must fit into memory"),
    (lambda: processes(gpus=-1), "gpus must be a whole number from 1 to 1000000, not -1"),
    (lambda: dask("tcp://127.0.0.1:1", 2), "workers must be left out"),
    (lambda: slurm("jobs", tiles_per_job=0), "tiles_per_job must be"),
    (lambda: slurm("jobs")(), "slurm: "),
])
def test_misuse_of_executors(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Misuse, match=re.escape(words)):
        call()
