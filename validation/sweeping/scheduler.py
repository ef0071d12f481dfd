"""One round over the tiles that a store lacks: handed out, received, tried again or given up; knows no model."""

from __future__ import annotations

import json
import random
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.executors import Workers, lost
from validation.outcome import Outcome
from validation.progress import bar
from validation.provenance import provenance
from validation.storage.chunks import Damaged
from validation.storage.memory_store import Held
from validation.storage.tiles import Key, Layout, Piece, Status, places
from validation.storage.zarr_store import Growing
from validation.sweeping.worker import Raised, Request, attempted, attempted_there, measured, measured_there, packed

TRIES = 2            # a tile that raises so often is given up
DEATHS = 3           # and one that so many workers died of, with no other tile beside it
VAIN = 10            # workers that may die before any tile is done
PATIENCE = 1.0       # seconds between looks at the workers


class TilesDamaged(UserWarning):
    """Some tiles of a store are not what was written; they are measured again."""


class Round:
    """The measuring of all that a store lacks: which tiles wait, which are under way, how often each went wrong."""

    def __init__(self, experiment: Any, layout: Layout, wanted: np.ndarray | None, shelf: Held | Growing, workers: Workers,
                 pending: dict[Any, list[tuple[Key, list[Piece]]]], retry_failed: bool) -> None:
        self.shelf, self.workers, self.pending, self.retry = shelf, workers, pending, retry_failed
        self.experiment = experiment
        self.parcel: bytes | None = None
        self.asked, self.mask = _asked(layout, wanted, shelf.layout)
        self.raised: Counter[Key] = Counter()
        self.deaths: Counter[Key] = Counter()
        self.waiting: deque[Key] = deque()
        self.alone: deque[Key] = deque()      # tiles whose worker died in company: they are tried with nothing beside them
        self.finished = self.died = 0
        self.retried: set[Key] = set()
        self.handed_out: dict[Any, float] = {}

    def measure(self, progress: bool | Callable[..., None]) -> None:
        """Measure until nothing is left; what is done when an interrupt comes is kept."""
        self._discard_damaged()
        todo = [key for key in self.asked if self._open(key)]
        if not todo:
            return
        if isinstance(self.shelf, Growing):
            _note_origin(self.shelf)
            random.SystemRandom().shuffle(todo)      # two processes on one store seldom take the same tile
        self.waiting.extend(todo)
        with bar(len(self.asked), "sweeping", "tiles", progress, before=len(self.asked) - len(todo)) as self.advance:
            arrived: dict[Any, list[tuple[Key, list[Piece]]]] = {}
            try:
                while self.waiting or self.alone or self.pending:
                    self._hand_out()
                    arrived = {f: self.pending.pop(f) for f in self.workers.finished(self.pending, PATIENCE) if _arrived(f)}
                    if arrived and not self.workers.here:
                        self._hand_out()                # nobody waits while what has come is written
                    while arrived:
                        future, batch = next(iter(arrived.items()))
                        self._receive(future, batch)
                        del arrived[future]
                    for future in [f for f in self.pending if f.done() and not _arrived(f)]:
                        if future in self.pending:      # else it was lost with another
                            self._receive(future, self.pending.pop(future))
            except KeyboardInterrupt:
                for future, batch in (arrived | {f: b for f, b in self.pending.items() if f.done()}).items():
                    self._receive(future, batch, last=True)
                raise

    def _open(self, key: Key) -> bool:
        status = self.shelf.status(key)
        return status in (Status.TODO, Status.SPARSE) or (self.retry and status == Status.FAILED)

    def _discard_damaged(self) -> None:
        if isinstance(self.shelf, Held):
            return
        damaged = {}
        for key in self.asked:
            try:
                if self.shelf.status(key) != Status.TODO:
                    self.shelf.values(key)
            except Damaged as error:
                damaged[key] = str(error)
                self.shelf.forget(key)
        if damaged:
            told = "; ".join(f"{self.shelf.layout.extent(k)}: {why}" for k, why in damaged.items())
            warnings.warn(f"{len(damaged)} damaged tiles of {self.shelf.path} are measured again: {told}", TilesDamaged, stacklevel=5)

    def _missing(self, key: Key) -> np.ndarray | None:
        """Return the points of a tile that are still to be measured; None where another process has done them meanwhile."""
        status = self.shelf.status(key)
        if status == Status.DONE or (status == Status.FAILED and key not in self.retried and not self.retry):
            return None
        rows, columns = self.shelf.layout.slices(key)
        wanted = self.mask[rows, columns]
        try:
            values = self.shelf.values(key)
        except Damaged:         # cut off while it grew: it has no status yet
            assert isinstance(self.shelf, Growing)
            self.shelf.forget(key)
            values = None
        if values is None:
            return wanted.copy()
        outcome = values["outcome"]
        todo = outcome == Outcome.UNRUN
        if status == Status.FAILED:
            todo |= outcome == Outcome.FAILED
        return wanted & todo.reshape(-1, *outcome.shape[-2:]).any(axis=0)

    def _hand_out(self) -> None:
        """Hand out tiles until the workers have enough; those that workers died of one at a time, last."""
        while self.waiting and len(self.pending) < self.workers.in_flight:
            batch: list[tuple[Key, list[Piece]]] = []
            while self.waiting and len(batch) < (1 if batch and self.deaths[batch[0][0]] else self.workers.batch):
                if self.deaths[self.waiting[0]] and batch:
                    break
                self._take(self.waiting.popleft(), batch)
            if batch:
                self._submit(batch)
            if self.workers.here:
                return          # done already: publish it before the next
        while self.alone and not self.waiting and not self.pending:
            batch = []
            self._take(self.alone.popleft(), batch)
            if batch:
                self._submit(batch)

    def _take(self, key: Key, batch: list[tuple[Key, list[Piece]]]) -> None:
        missing = self._missing(key)
        if missing is not None and missing.any():
            batch.append((key, self.shelf.layout.pieces(key, missing)))
            return
        if missing is not None and self.shelf.status(key) == Status.TODO and (values := self.shelf.values(key)) is not None:
            self.shelf.publish(key, values, _reached(values), self.shelf.note(key))
        self.advance()

    def _submit(self, batch: list[tuple[Key, list[Piece]]]) -> None:
        seeds = self.shelf.layout.seeds
        requests = [Request(None if seeds is None else seeds[key.seed], [(p.gamma, p.eta) for p in pieces]) for key, pieces in batch]
        lenient = isinstance(self.shelf, Growing)
        if self.workers.here:
            future = self.workers.submit(attempted if lenient else measured, self.experiment, requests)
        else:
            self.parcel = self.parcel or packed(self.experiment)
            future = self.workers.submit(attempted_there if lenient else measured_there, self.parcel, requests)
        self.pending[future] = batch
        self.handed_out[future] = time.monotonic()

    def _receive(self, future: Any, batch: list[tuple[Key, list[Piece]]], last: bool = False) -> None:
        try:
            answers = future.result()
        except Exception as error:
            if last:
                return
            if not lost(error):
                raise
            self._bury(error, batch)
            return
        self.workers.heed(time.monotonic() - self.handed_out.pop(future, time.monotonic()), len(batch))
        for (key, pieces), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Raised):
                self._excuse(key, answer)
            else:
                self._publish(key, pieces, answer)

    def _publish(self, key: Key, pieces: Sequence[Piece], portraits: Sequence[xr.Dataset]) -> None:
        self.shelf.prepare(portraits[0])
        values = self.shelf.values(key)
        values = self.shelf.blank(key) if values is None else values
        runs = list(self.shelf.note(key).get("runs", []))
        for piece, portrait in zip(pieces, portraits, strict=True):
            for name in values:
                values[name][..., piece.rows[:, None], piece.columns] = portrait.variables[name].values
            runs += json.loads(portrait.attrs.get("failures", "[]"))
        self.shelf.publish(key, values, _reached(values), {"runs": runs} if runs else None)
        self.finished += 1
        self.advance()

    def _excuse(self, key: Key, raised: Raised) -> None:
        """Try a tile that raised again, or give it up."""
        if raised.error is not None:
            raise raised.error
        self.raised[key] += 1
        if self.raised[key] < TRIES:
            self.retried.add(key)
            self.waiting.append(key)
        else:
            self._give_up(key, raised.text)

    def _bury(self, error: Exception, batch: list[tuple[Key, list[Piece]]]) -> None:
        """Take back the tiles of a worker that died; give up the one that workers keep dying of."""
        self.died += 1
        self.advance(0, deaths=1)
        company = list(batch)
        if not self.workers.apart or getattr(self.workers, "lost", False):
            for other in [f for f in self.pending if not _arrived(f)]:          # all that was there broke with it
                company += self.pending.pop(other)
        if not self.workers.renew():
            raise Misuse(f"executor broke ({type(error).__name__}: {error}); what was finished is kept. Give a function that makes an "
                         "executor, such as validation.executors.processes(), and a broken one is replaced") from error
        if self.died >= VAIN and not self.finished:
            raise Misuse(f"executor's workers die before they finish anything: {type(error).__name__}: {error}") from error
        single = len(company) == 1
        final = type(error).__name__ == "KilledWorker"          # Dask has counted its deaths
        for key, _ in company:
            self.deaths[key] += 1 if single or not self.deaths[key] else 0
            if single and (final or self.deaths[key] >= DEATHS):
                self._give_up(key, f"its worker died {self.deaths[key]} times; the last time: {type(error).__name__}: {error}")
            elif single or self.workers.apart or self.deaths[key] < 1:
                self.waiting.append(key)
            else:
                self.alone.append(key)

    def _give_up(self, key: Key, text: str) -> None:
        shelf = self.shelf
        if isinstance(shelf, Held):         # without a store there is nowhere to tell of it
            raise RuntimeError(f"{shelf.layout.extent(key)} failed: {text}")
        missing = self._missing(key)
        if missing is None:
            return
        values = shelf.values(key)
        values = shelf.blank(key) if values is None else values
        values["outcome"][..., missing] = Outcome.FAILED
        runs = shelf.note(key).get("runs", [])
        shelf.publish(key, values, Status.FAILED, {"traceback": text} | ({"runs": runs} if runs else {}))
        self.advance(failed=1)


def _asked(layout: Layout, wanted: np.ndarray | None, stored: Layout) -> tuple[list[Key], np.ndarray]:
    """Return the tiles of a store that hold points of what is asked for, and which points of its plane these are."""
    wanted = np.ones(layout.plane.shape, bool) if wanted is None else np.asarray(wanted, bool)
    mask = np.zeros(stored.plane.shape, bool)
    rows, columns = places(layout.plane, stored.plane)
    mask[rows[:, None], columns] = wanted
    seeds = range(stored.shape[0]) if stored.seeds is None or layout.seeds is None else [stored.seeds.index(s) for s in layout.seeds]
    return [key for key in stored if key.seed in seeds and mask[stored.slices(key)].any()], mask


def _arrived(future: Any) -> bool:
    """Return whether a future is done and holds a result."""
    return bool(future.done() and not (isinstance(future, Future) and future.cancelled()) and future.exception() is None)


def _reached(values: dict[str, np.ndarray]) -> Status:
    return Status.SPARSE if (values["outcome"] == Outcome.UNRUN).any() else Status.DONE


def _note_origin(store: Growing) -> None:
    """Note by which other revisions and versions a store goes on."""
    here = {k: v for k, v in provenance().items() if k in ("git_revision", "versions")}
    if any(store.attrs.get(k) != v for k, v in here.items()):
        told = json.loads(store.attrs.get("also_measured_by", "[]"))
        if here not in told:
            store.add({"also_measured_by": json.dumps([*told, here])})
