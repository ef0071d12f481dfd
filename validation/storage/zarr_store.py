"""A portrait on disk that is written tile by tile and can be read at any moment, by plain `xarray.open_zarr` too.

A chunk is a tile. A tile's variables are written first, then its outcomes, then its status. So a tile that has outcomes has all the
rest, and a process killed at any moment leaves a valid store.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import REQUIRED
from validation.storage.atomic import lock, replace_path, staging_folder, write_bytes
from validation.storage.attributes import as_json
from validation.storage.chunks import Damaged, Field, read_bytes
from validation.storage.memory_store import MemoryStore, describe_difference
from validation.storage.overwriting import discard
from validation.storage.tiles import Key, Layout, Status
from validation.storage.zarr_metadata import (
    ARRAYS,
    LEDGER,
    VERSION,
    copy_foreign,
    create_store,
    find_missing,
    read_attrs,
    refuse_without_assertions,
    silence_zarr,
    write_attrs,
)

SYNC_SECONDS = 1.0      # at most once in so long a tile waits for the disk
PROVISIONAL = "provisional"     # an attribute: the variables are those that every portrait has, until the first tile is measured
OWN = ("store_version", "tile", "seeds_apart", PROVISIONAL, "coordinates", ARRAYS)     # attributes of the store, not of the portrait


class StoreReplaced(Exception):
    """Another process has replaced the store by a larger one; it has to be opened again."""


class ZarrStore:
    """An existing store; `validation.storage.resume.open_store` creates or extends one.

    What this process wrote or read is kept in memory, from where `load` returns it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._synced = -SYNC_SECONDS       # when a status was last written to the disk
        self._read_metadata()

    def _read_metadata(self) -> None:
        refuse_without_assertions(self.path)
        self.attrs = read_attrs(self.path)
        if self.attrs.get("store_version") != VERSION:
            raise Misuse(f"{self.path} is a store of version {self.attrs.get('store_version')!r}, and this program reads and writes "
                         f"version {VERSION}; it is left as it is")
        try:
            if missing := find_missing(self.path, self.attrs):
                raise Misuse(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, or without metadata (zarr.json); "
                             "restore the files, or measure it again in another store")
            with silence_zarr(), xr.open_zarr(self.path, consolidated=False, chunks=None) as opened:
                self.coords = opened.coords.to_dataset().load()
            metadata = [folder for folder in sorted(self.path.iterdir()) if (folder / "zarr.json").is_file() and folder.name != LEDGER]
            fields = [Field.of(f) for f in metadata if f.name not in self.coords.variables]
            self._generation = self._read_generation()
            self.fields = {f.name: f for f in fields if f.dims[-2:] == ("gamma", "eta")}
            rates = self.coords["eta_value"] if "eta_value" in self.coords else self.coords["eta"]
            seeds = tuple(self.coords["seed"].values.tolist()) if self.attrs["seeds_apart"] else None
            self.layout = Layout(Plane(self.coords["gamma"].values, rates.values), tuple(self.attrs["tile"]), seeds)
            self._check_fields()
        except Misuse as error:
            raise Misuse(f"the portrait at {self.path} is damaged: {error}") from error
        except Exception as error:
            raise Misuse(f"the portrait at {self.path} is damaged: {type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
        self._published = False
        self._memory: MemoryStore | None = None
        self._versions: dict[Key, tuple[int, int]] = {}       # of the tiles in memory

    def _check_fields(self) -> None:
        """Raise `Misuse` if the arrays' metadata do not fit the plane, the seeds and the tiles, which may take all memory there is."""
        if missing := [name for name in REQUIRED if name not in self.fields]:
            raise Misuse(f"{missing[0]} is missing")
        for name, field in self.fields.items():
            leading = [self.coords.sizes[d] for d in field.dims[:-2]]
            apart = [1 if d == "seed" and self.layout.seeds is not None else self.coords.sizes[d] for d in field.dims[:-2]]
            shape, chunk = (*leading, *self.layout.plane.shape), (*apart, *self.layout.tile)
            if field.shape != shape or field.chunk != chunk or field.dtype.kind not in "biuf":
                raise Misuse(f"{name} must have the shape {shape} in chunks of {chunk}, as plane and tile are, not {field.shape} in "
                             f"chunks of {field.chunk} (of {field.dtype})")

    def statuses(self) -> np.ndarray:
        """Return the current `Status` of every tile: int8 (seeds, rows, columns)."""
        statuses = np.zeros(self.layout.shape, np.int8)
        for key in self.layout:
            statuses[key] = self.status(key)
        return statuses

    def status(self, key: Key) -> Status:
        """Return the current status of a tile."""
        try:
            return Status(read_bytes(self._status_file(key))[0])
        except (OSError, IndexError, ValueError):
            return Status.TODO

    def values(self, key: Key) -> dict[str, np.ndarray] | None:
        """Return a tile's variables; None where nothing of it has been written.

        Raises
        ------
        Damaged : a chunk is missing or altered.
        """
        outcome = self.fields["outcome"]
        if not os.path.exists(outcome.file(self.path, self._chunk(outcome, key))) and self.status(key) == Status.TODO:
            return None
        return {name: field.read(self.path, self._chunk(field, key)) for name, field in self.fields.items()}

    def blank(self, key: Key) -> dict[str, np.ndarray]:
        """Return a tile's variables as they are where nothing has been measured."""
        return {name: np.full(f.extent(self._chunk(f, key)), f.fill, f.dtype) for name, f in self.fields.items()}

    def prepare(self, tile: xr.Dataset) -> None:
        """Create the arrays for the variables of the first tile that is measured; compare those of the later tiles with them.

        Raises
        ------
        Misuse : the variables differ from those of the tiles before.
        StoreReplaced : another process has replaced the store.
        """
        if LEDGER in tile.variables:
            raise Misuse(f"measure() must not return a variable with the name {LEDGER!r}: in a store it is that of the tiles' statuses")
        if PROVISIONAL not in self.attrs:
            self._compare(tile)
            return
        with self._lock():
            self.attrs = read_attrs(self.path)
            if PROVISIONAL not in self.attrs or self.has_runs():     # another process was first; or runs of an older version
                self._compare(tile)
            attrs = as_json(tile.attrs) | {k: v for k, v in self.attrs.items() if k != PROVISIONAL}
            attrs.pop("failures", None)
            if not describe_difference(self.fields, tile, self.layout.seeds, self.coords):
                self.attrs = attrs
                write_attrs(self.path, attrs)
                return
            failed = {key: self.note(key) for key in self.layout if self.status(key) == Status.FAILED}
            memory = MemoryStore(self.layout, {})
            memory.prepare(tile)
            assert memory.template is not None
            write_store(self.path, memory.template, self.layout, attrs)
            self._read_metadata()
            for key, note in failed.items():
                values = self.blank(key)
                values["outcome"][...] = Outcome.FAILED
                self.write(key, values, Status.FAILED, note)

    def _compare(self, tile: xr.Dataset) -> None:
        if difference := describe_difference(self.fields, tile, self.layout.seeds, self.coords):
            raise Misuse(f"measure() must return the same variables for every tile of {self.path}, but {difference}")

    def has_runs(self) -> bool:
        """Return whether anything has been measured that did not fail; what is damaged counts, as it may have been."""
        for key in self.layout:
            try:
                values = self.values(key)
            except Damaged:
                return True
            if values is not None and not np.isin(values["outcome"], (Outcome.UNRUN, Outcome.FAILED)).all():
                return True
        return False

    def publish(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None = None) -> None:
        """Write a tile, unless another process has finished it.

        Raises
        ------
        Misuse : it cannot be written; what was written before is untouched.
        StoreReplaced : another process has replaced the store.
        """
        with self._lock():
            if self.status(key) != Status.DONE:
                self.write(key, values, status, note)
                self._remember(key, values, status, note, self._version(key))
                if status != Status.FAILED and not self._published:
                    self._published = True
                    discard(self.path)      # which this store was to overwrite

    def verify(self, key: Key) -> None:
        """Read a tile that has a status.

        Raises
        ------
        Damaged : a chunk is missing or altered.
        """
        version, status = self._version(key), self.status(key)
        if status != Status.TODO and (values := self.values(key)) is not None:
            self._remember(key, values, status, self.note(key), version)

    def forget(self, key: Key) -> None:
        """Remove a damaged tile, so that it is measured again; nothing of it where its chunks could not be written anew."""
        with self._lock():
            chunks = [field.file(self.path, self._chunk(field, key)) for field in self.fields.values()]
            for file in chunks:
                os.makedirs(os.path.dirname(file), exist_ok=True)
            for file in (self._note_file(key), self._status_file(key), *chunks):
                Path(file).unlink(missing_ok=True)
            self._versions.pop(key, None)

    def note(self, key: Key) -> dict[str, Any]:
        """Return the notes on a tile: the ``traceback`` with which it failed, or its ``runs`` that crashed."""
        try:
            note = json.loads(read_bytes(self._note_file(key)))
        except (OSError, ValueError, RecursionError):
            return {}
        kinds = {"traceback": str, "runs": list}
        return {k: v for k, v in note.items() if isinstance(v, kinds.get(k, object))} if isinstance(note, dict) else {}

    def load(self) -> tuple[xr.Dataset, dict[Key, str]]:
        """Return what has been measured so far as a portrait, and the tiles that are damaged, with the damage.

        Tiles are read from disk unless they are in memory as they are on disk.
        """
        damaged: dict[Key, str] = {}
        for key in self.layout:
            version = self._version(key)
            if version is not None and version == self._versions.get(key):
                continue
            status = self.status(key)
            try:
                values = self.values(key)
            except Damaged as error:
                if status != Status.TODO:
                    damaged[key] = str(error)
                continue
            if values is not None:
                self._remember(key, values, status, self.note(key), version)
        return self._portrait_in_memory().portrait(), damaged

    def add(self, attrs: dict[str, Any]) -> None:
        """Add attributes."""
        with self._lock():
            self.attrs = read_attrs(self.path) | attrs      # another process may have added some
            write_attrs(self.path, self.attrs)

    def write(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None) -> None:
        """Write a tile, whatever is there; for a store that is locked or not yet in its place."""
        for name, field in sorted(self.fields.items(), key=lambda item: item[0] == "outcome"):
            field.write(self.path, self._chunk(field, key), values[name])
        if note:
            write_bytes(self._note_file(key), json.dumps(note).encode(), sync=True)
        elif os.path.exists(self._note_file(key)):
            os.unlink(self._note_file(key))
        # an empty status counts as "to do", and a tile whose chunks are whole is then done without being measured again
        now = time.monotonic()
        sync = status == Status.FAILED or now - self._synced >= SYNC_SECONDS
        write_bytes(self._status_file(key), bytes([status]), sync=sync)
        if sync:
            self._synced = now

    def _remember(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None,
                  version: tuple[int, int] | None) -> None:
        """Keep in memory what is on disk of a tile, with its version from before it was read."""
        self._portrait_in_memory().publish(key, values, status, note)
        if version is not None:
            self._versions[key] = version

    def _portrait_in_memory(self) -> MemoryStore:
        if self._memory is None:
            self._memory = MemoryStore(self.layout, {})
            self._memory.allocate(self.coords, self.fields)
        self._memory.attrs = {k: v for k, v in self.attrs.items() if k not in OWN}
        return self._memory

    def _version(self, key: Key) -> tuple[int, int] | None:
        """Return what changes whenever any process writes a tile; None where it has no status."""
        try:
            status = os.stat(self._status_file(key))
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Lock the store, check that it is still the one that was opened, and raise `Misuse` where the disk refuses a write."""
        try:
            with lock(self.path):
                if self._read_generation() != self._generation:
                    raise StoreReplaced
                yield
        except OSError as error:
            raise Misuse(f"cannot write {error.filename or self.path}: {error.strerror or error}; what was finished is kept, and the same "
                         "call resumes from there") from error

    def _read_generation(self) -> bytes:
        try:
            return read_bytes(f"{self.path}/{LEDGER}/zarr.json")
        except FileNotFoundError:
            return b""

    def _chunk(self, field: Field, key: Key) -> tuple[int, ...]:
        """Return the numbers of a tile's chunk of a variable."""
        leading = (key.seed if d == "seed" and self.layout.seeds is not None else 0 for d in field.dims[:-2])
        return (*leading, key.row, key.column)

    def _status_file(self, key: Key) -> str:
        return f"{self.path}/{LEDGER}/status/c/{key.seed}/{key.row}/{key.column}"

    def _note_file(self, key: Key) -> str:
        return f"{self.path}/{LEDGER}/failures/{key}.json"


def has_runs(path: Path) -> bool:
    """Return whether anything has been measured in the store at `path`; one that cannot be read counts, as it may hold runs."""
    try:
        return ZarrStore(path).has_runs()
    except Misuse:
        return True


def write_store(path: Path, template: xr.Dataset, layout: Layout, attrs: dict[str, Any], runs: Sequence[Any] = (),
                former: Path | None = None) -> None:
    """Write a store with the runs of a portrait, in the place of an existing one; to be called under `lock`.

    Parameters
    ----------
    path, layout, attrs : of the store.
    template : the portrait.
    runs : descriptions of the runs that crashed, which are noted with the first tile.
    former : where the existing one is kept; None: it is removed.

    Raises
    ------
    Misuse : it cannot be written; what was there is untouched.
    """
    with replace_path(path, staging_folder(path), former) as draft:
        create_store(draft, template, layout, attrs)
        if former is None and path.is_dir():
            copy_foreign(path, draft)
        empty = not (template["outcome"] != Outcome.UNRUN).values.any()
        if empty and not runs:
            return
        store, memory = ZarrStore(draft), MemoryStore(layout, {}, template)
        for key in () if empty else layout:
            values = memory.values(key)
            assert values is not None
            unrun = values["outcome"] == Outcome.UNRUN
            if not unrun.all():
                store.write(key, values, Status.TODO if unrun.any() else Status.DONE, None)
        if runs:
            write_bytes(store._note_file(Key(0, 0, 0)), json.dumps({"runs": list(runs)}).encode())
