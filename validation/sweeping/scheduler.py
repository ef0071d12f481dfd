"""Measure the tiles that a store lacks: submit them to workers, write the results, retry what failed."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.executors import Workers, is_worker_loss
from validation.experiment import Experiment
from validation.outcome import Outcome
from validation.portrait import read_failures
from validation.progress import Progress, bar
from validation.provenance import collect_provenance
from validation.storage.chunks import Damaged
from validation.storage.memory_store import MemoryStore
from validation.storage.tiles import Key, Layout, Piece, Status, locate_points
from validation.storage.zarr_store import ZarrStore
from validation.sweeping.worker import Raised, Request, measure_tiles, pack, try_tiles, unpack_and_measure, unpack_and_try
from validation.user_warnings import warn_user

TRIES = 2            # a tile fails when it has raised so often
DEATHS = 3           # and when so many workers have died of it alone
VAIN = 10            # deaths of workers before any tile is done, after which the sweep ends
LOSSES = 5           # and when a cluster has lost it more often than that
SILENCE = 10.0       # seconds without any result before lost work is searched for, at least,
MANY = 5             # and so many times the median time of a piece of work; as often in that time it is searched for
PATIENCE = 1.0       # seconds between two checks of the workers


class TilesDamaged(UserWarning):
    """Some tiles of a store are damaged; they are measured again."""


class WorkLost(UserWarning):
    """A cluster has lost pieces of work, without a word; they are handed out again."""


class Round:
    """One pass over the tiles that a store lacks: which are waiting, which are pending, how often each has failed."""

    def __init__(self, experiment: Experiment, layout: Layout, wanted: np.ndarray | None, store: MemoryStore | ZarrStore, workers: Workers,
                 pending: dict[Any, list[tuple[Key, list[Piece]]]], retry_failed: bool, unchecked: bool) -> None:
        self.store, self.workers, self.pending, self.retry, self.unchecked = store, workers, pending, retry_failed, unchecked
        self.experiment = experiment
        self.packed: bytes | None = None
        self.requested, self.mask = _select_tiles(layout, wanted, store.layout)
        self.raised: Counter[Key] = Counter()
        self.deaths: Counter[Key] = Counter()
        self.waiting: deque[Key] = deque()
        self.alone: deque[Key] = deque()      # tiles that were pending when a common pool broke: each is tried alone
        self.finished = self.died = 0
        self.retried: set[Key] = set()
        self.submitted: dict[Any, float] = {}
        self.durations: deque[float] = deque(maxlen=64)      # of pieces of work, in seconds
        self.arrived = self.queried = time.monotonic()       # the last result, and the last query for lost work
        self.suspected: set[Any] = set()
        self.handed_out: Counter[Key] = Counter()

    def measure(self, progress: bool | Callable[[Progress], None], repeat_interrupt: Callable[[], None]) -> None:
        """Measure until nothing is left; on an interrupt, write what is finished.

        Parameters
        ----------
        progress : as of `sweep`.
        repeat_interrupt : called before each piece of work, it raises an interrupt that has come and was swallowed.
        """
        self._forget_damage()
        todo = [key for key in self.requested if self._open(key)]
        if not todo:
            return
        if self.unchecked:
            self.experiment.check()
        if isinstance(self.store, ZarrStore):
            _record_provenance(self.store)
            random.SystemRandom().shuffle(todo)      # so that two processes on one store seldom take the same tile
        self.waiting.extend(todo)
        with bar(len(self.requested), "sweeping", "tiles", progress, before=len(self.requested) - len(todo)) as self.advance:
            results: dict[Any, list[tuple[Key, list[Piece]]]] = {}
            try:
                while self.waiting or self.alone or self.pending:
                    repeat_interrupt()
                    self._submit_waiting()
                    results = {f: self.pending.pop(f) for f in self.workers.wait(self.pending, PATIENCE) if _has_result(f)}
                    if results and not self.workers.local:
                        self._submit_waiting()          # so that no worker is idle while the results are written
                    while results:
                        future, batch = next(iter(results.items()))
                        self._receive(future, batch)
                        del results[future]
                    for future in [f for f in self.pending if f.done() and not _has_result(f)]:
                        if future in self.pending:      # else it was lost with another
                            self._receive(future, self.pending.pop(future))
                    self._hand_out_again()
                    if self.pending and self.workers.lost:
                        self._requeue(BrokenExecutor("it has no workers left"), [])
            except KeyboardInterrupt:
                for future, batch in (results | {f: b for f, b in self.pending.items() if f.done()}).items():
                    self._receive(future, batch, last=True)
                raise

    def _open(self, key: Key) -> bool:
        status = self.store.status(key)
        return status in (Status.TODO, Status.SPARSE) or (self.retry and status == Status.FAILED)

    def _forget_damage(self) -> None:
        if isinstance(self.store, MemoryStore):
            return
        damaged = {}
        for key in self.requested:
            try:
                self.store.verify(key)
            except Damaged as error:
                damaged[key] = str(error)
                self.store.forget(key)
        if damaged:
            which = "; ".join(f"{self.store.layout.extent(k)}: {why}" for k, why in damaged.items())
            warn_user(f"{len(damaged)} damaged tiles of {self.store.path} are measured again: {which}", TilesDamaged)

    def _missing(self, key: Key) -> np.ndarray | None:
        """Return the missing points of a tile; None where another process has finished it."""
        status = self.store.status(key)
        if status == Status.DONE or (status == Status.FAILED and key not in self.retried and not self.retry):
            return None
        rows, columns = self.store.layout.slices(key)
        wanted = self.mask[rows, columns]
        try:
            values = self.store.values(key)
        except Damaged:         # an unfinished write, which has no status
            assert isinstance(self.store, ZarrStore)
            self.store.forget(key)
            values = None
        if values is None:
            return wanted.copy()
        outcome = values["outcome"]
        todo = outcome == Outcome.UNRUN
        if status == Status.FAILED:
            todo |= outcome == Outcome.FAILED
        return wanted & todo.reshape(-1, *outcome.shape[-2:]).any(axis=0)

    def _submit_waiting(self) -> None:
        """Submit tiles until the workers have enough; at the end, one at a time, those that a pool may have died of."""
        while self.waiting and len(self.pending) < self.workers.in_flight:
            batch: list[tuple[Key, list[Piece]]] = []
            while self.waiting and len(batch) < (1 if batch and self.deaths[batch[0][0]] else self.workers.batch):
                if self.deaths[self.waiting[0]] and batch:
                    break
                self._take(self.waiting.popleft(), batch)
            if batch:
                self._submit(batch)
            if self.workers.local:
                return          # done already: write it before the next
        while self.alone and not self.waiting and not self.pending:
            batch = []
            self._take(self.alone.popleft(), batch)
            if batch:
                self._submit(batch)

    def _take(self, key: Key, batch: list[tuple[Key, list[Piece]]]) -> None:
        missing = self._missing(key)
        if missing is not None and missing.any():
            batch.append((key, self.store.layout.pieces(key, missing)))
            return
        if missing is not None and self.store.status(key) == Status.TODO and (values := self.store.values(key)) is not None:
            self.store.publish(key, values, _finished_status(values), self.store.note(key))
        self.advance()

    def _submit(self, batch: list[tuple[Key, list[Piece]]]) -> None:
        seeds = self.store.layout.seeds
        requests = [Request(None if seeds is None else seeds[key.seed], [(p.gamma, p.eta) for p in pieces]) for key, pieces in batch]
        lenient = isinstance(self.store, ZarrStore)
        if self.workers.local:
            future = self.workers.submit(try_tiles if lenient else measure_tiles, self.experiment, requests)
        else:
            self.packed = self.packed or pack(self.experiment)
            future = self.workers.submit(unpack_and_try if lenient else unpack_and_measure, self.packed, requests)
        self.pending[future] = batch
        self.submitted[future] = time.monotonic()

    def _receive(self, future: Any, batch: list[tuple[Key, list[Piece]]], last: bool = False) -> None:
        try:
            answers = future.result()
        except Exception as error:
            if last:
                return
            if not is_worker_loss(error):
                raise
            self._requeue(error, batch)
            return
        self.arrived = time.monotonic()
        self.durations.append(self.arrived - self.submitted.pop(future, self.arrived))
        self.workers.record_time(self.durations[-1], len(batch))
        for (key, pieces), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Raised):
                self._retry(key, answer)
            else:
                self._publish(key, pieces, answer)

    def _publish(self, key: Key, pieces: Sequence[Piece], portraits: Sequence[xr.Dataset]) -> None:
        self.store.prepare(portraits[0])
        runs = list(self.store.note(key).get("runs", []))
        for portrait in portraits:
            runs += read_failures(portrait.attrs)
        if pieces[0].columns.size == math.prod(s.stop - s.start for s in self.store.layout.slices(key)):      # the whole tile
            values = {str(name): variable.values for name, variable in portraits[0].data_vars.items() if name != "eta_value"}
        else:
            found = self.store.values(key)
            values = self.store.blank(key) if found is None else found
            for piece, portrait in zip(pieces, portraits, strict=True):
                for name in values:
                    values[name][(..., *piece.select())] = portrait.variables[name].values
        self.store.publish(key, values, _finished_status(values), {"runs": runs} if runs else None)
        self.finished += 1
        self.advance()

    def _hand_out_again(self) -> None:
        """Hand out again what the executor no longer holds, after nothing has arrived for many times the usual time of a piece of work.

        Two queries in a row must find a piece of work lost: between them it may have gone from one place to another.
        """
        now, silence = time.monotonic(), SILENCE
        if self.durations:
            silence = max(silence, MANY * sorted(self.durations)[len(self.durations) // 2])
        if not self.pending or now - self.arrived < silence or now - self.queried < silence / MANY:
            return
        found = set(self.workers.find_losses(list(self.pending)))
        self.queried = time.monotonic()
        lost, self.suspected = [f for f in self.pending if f in found & self.suspected], found
        if not lost:
            return
        keys = [key for future in lost for key, _ in self.pending[future]]
        warn_user(f"{len(lost)} pieces of work ({len(keys)} tiles) were lost by the cluster, which runs them nowhere; they are handed out "
                  "again", WorkLost)
        for future in lost:
            self.submitted.pop(future, None)
            batch = self.pending.pop(future)
            with contextlib.suppress(Exception):
                future.cancel()
            for key, _ in batch:
                self.handed_out[key] += 1
                if self.handed_out[key] > LOSSES:
                    self._fail(key, f"the cluster lost it {self.handed_out[key]} times")
                else:
                    self.waiting.append(key)
        self.arrived = time.monotonic()

    def _retry(self, key: Key, raised: Raised) -> None:
        """Put a tile that raised back into the queue, or fail it after `TRIES` attempts."""
        if raised.error is not None:
            raise raised.error
        self.raised[key] += 1
        if self.raised[key] < TRIES:
            self.retried.add(key)
            self.waiting.append(key)
        else:
            self._fail(key, raised.text)

    def _requeue(self, error: Exception, batch: list[tuple[Key, list[Piece]]]) -> None:
        """Requeue the tiles of a worker that died; fail a tile that has killed `DEATHS` workers."""
        self.died += 1
        self.advance(0, deaths=1)
        company = list(batch)
        if not self.workers.apart or self.workers.lost:
            for other in [f for f in self.pending if not _has_result(f)]:          # all pending work is lost with it
                company += self.pending.pop(other)
        if not self.workers.renew():
            raise Misuse(f"executor broke ({type(error).__name__}: {error}); what was finished is kept. Give a function that returns "
                         "an executor, such as validation.executors.processes(), and a broken one is replaced") from error
        if self.died >= VAIN and not self.finished:
            raise Misuse(f"executor's workers die before they finish anything: {type(error).__name__}: {error}") from error
        single = len(company) == 1
        final = type(error).__name__ == "KilledWorker"          # Dask has already retried it
        for key, _ in company:
            self.deaths[key] += 1 if single or not self.deaths[key] else 0
            if single and (final or self.deaths[key] >= DEATHS):
                self._fail(key, f"its worker died {self.deaths[key]} times; the last time: {type(error).__name__}: {error}")
            elif single or self.workers.apart or self.deaths[key] < 1:
                self.waiting.append(key)
            else:
                self.alone.append(key)

    def _fail(self, key: Key, text: str) -> None:
        store = self.store
        if isinstance(store, MemoryStore):         # which cannot keep the traceback
            raise RuntimeError(f"{store.layout.extent(key)} failed: {text}")
        missing = self._missing(key)
        if missing is None:
            return
        values = store.values(key)
        values = store.blank(key) if values is None else values
        values["outcome"][..., missing] = Outcome.FAILED
        runs = store.note(key).get("runs", [])
        store.publish(key, values, Status.FAILED, {"traceback": text} | ({"runs": runs} if runs else {}))
        self.advance(failed=1)


def _select_tiles(layout: Layout, wanted: np.ndarray | None, stored: Layout) -> tuple[list[Key], np.ndarray]:
    """Return the tiles of a store that hold requested points, and which points of its plane are requested."""
    wanted = np.ones(layout.plane.shape, bool) if wanted is None else np.asarray(wanted, bool)
    mask = np.zeros(stored.plane.shape, bool)
    rows, columns = locate_points(layout.plane, stored.plane)
    mask[rows[:, None], columns] = wanted
    seeds = range(stored.shape[0]) if stored.seeds is None or layout.seeds is None else [stored.seeds.index(s) for s in layout.seeds]
    return [key for key in stored if key.seed in seeds and mask[stored.slices(key)].any()], mask


def _has_result(future: Any) -> bool:
    """Return whether a future is done and holds a result."""
    return bool(future.done() and not (isinstance(future, Future) and future.cancelled()) and future.exception() is None)


def _finished_status(values: dict[str, np.ndarray]) -> Status:
    return Status.SPARSE if (values["outcome"] == Outcome.UNRUN).any() else Status.DONE


def _record_provenance(store: ZarrStore) -> None:
    """Record in a store's attributes which other revision and versions resume it."""
    here = {k: v for k, v in collect_provenance().items() if k in ("git_revision", "versions")}
    if any(store.attrs.get(k) != v for k, v in here.items()):
        try:
            recorded = list(json.loads(store.attrs.get("also_measured_by", "[]")))
        except (TypeError, ValueError, RecursionError):
            recorded = []
        if here not in recorded:
            store.add({"also_measured_by": json.dumps([*recorded, here])})
