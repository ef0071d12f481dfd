"""A portrait on disk that grows tile by tile, each published whole, readable at any moment by plain `xarray.open_zarr`; knows no model.

The chunk is the tile. A tile's variables are written first, its outcomes after them, its status last: what has an outcome has the rest,
and whatever is killed leaves a valid store.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.outcome import Outcome
from validation.plane import Plane
from validation.storage.atomic import locked
from validation.storage.chunks import DRAFT, Damaged, Field, get, put
from validation.storage.memory_store import Held, differing
from validation.storage.tiles import Key, Layout, Status
from validation.storage.zarr_metadata import LEDGER, VERSION, build, plain, quiet, retell, taking_the_place_of, told

OWN = ("store_version", "tile", "seeds_apart", "provisional", "coordinates")     # attributes that are the store's, not the portrait's


class Moved(Exception):
    """Another process has replaced the store meanwhile, to extend it: open it again."""


class Growing:
    """The store at a path; see `validation.storage.resume` for who makes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_metadata()

    def _read_metadata(self) -> None:
        self.attrs = told(self.path)
        if self.attrs.get("store_version") != VERSION:
            raise Misuse(f"{self.path} is a store of version {self.attrs.get('store_version')!r}, and this program reads and writes "
                         f"version {VERSION}; it is left as it is")
        try:
            with quiet(), xr.open_zarr(self.path, consolidated=False, chunks=None) as opened:
                self.coords = opened.coords.to_dataset().load()
            metadata = [folder for folder in sorted(self.path.iterdir()) if (folder / "zarr.json").is_file() and folder.name != LEDGER]
            fields = [Field.of(f) for f in metadata if f.name not in self.coords.variables]
            self._mark = self._generation()
        except Exception as error:
            raise Misuse(f"the portrait at {self.path} is damaged: {type(error).__name__}: {str(error).splitlines()[0]}") from error
        self.fields = {f.name: f for f in fields if f.dims[-2:] == ("gamma", "eta")}
        if "outcome" not in self.fields:
            raise Misuse(f"the portrait at {self.path} is damaged: outcome is missing")
        rates = self.coords["eta_value"] if "eta_value" in self.coords else self.coords["eta"]
        seeds = tuple(self.coords["seed"].values.tolist()) if self.attrs["seeds_apart"] else None
        self.layout = Layout(Plane(self.coords["gamma"].values, rates.values), tuple(self.attrs["tile"]), seeds)

    def statuses(self) -> np.ndarray:
        """Return the `Status` of every tile, as of now: int8 (seeds, rows, columns)."""
        found = np.zeros(self.layout.shape, np.int8)
        for key in self.layout:
            found[key] = self.status(key)
        return found

    def status(self, key: Key) -> Status:
        """Return what has become of a tile, as of now."""
        try:
            return Status(get(self._status(key))[0])
        except (OSError, IndexError, ValueError):
            return Status.TODO

    def values(self, key: Key) -> dict[str, np.ndarray] | None:
        """Return a tile's variables; None where it has not been begun.

        Raises
        ------
        Damaged : it is not what was written.
        """
        outcome = self.fields["outcome"]
        if not os.path.exists(outcome.file(self.path, self._at(outcome, key))) and self.status(key) == Status.TODO:
            return None
        return {name: field.read(self.path, self._at(field, key)) for name, field in self.fields.items()}

    def blank(self, key: Key) -> dict[str, np.ndarray]:
        """Return a tile's variables where nothing has been measured."""
        return {name: np.full(f.extent(self._at(f, key)), f.fill, f.dtype) for name, f in self.fields.items()}

    def prepare(self, tile: xr.Dataset) -> None:
        """Make room for the variables of the first tile that is measured.

        Raises
        ------
        Misuse : they are not those of the tiles before it.
        Moved : another process has replaced the store.
        """
        different = differing(self.fields, tile, self.layout.seeds)
        if not different:
            return
        if not self.attrs.get("provisional"):
            raise Misuse(f"measure() must return the same variables for every tile of {self.path}, but {different}")
        with self._held():
            failed = {key: self.note(key) for key in self.layout if self.status(key) == Status.FAILED}
            attrs = plain(tile.attrs) | {k: v for k, v in self.attrs.items() if k != "provisional"}
            attrs.pop("failures", None)
            held = Held(self.layout, {})
            held.prepare(tile)
            assert held.template is not None
            grow(self.path, held.template, self.layout, attrs)
            self._read_metadata()
            for key, note in failed.items():
                values = self.blank(key)
                values["outcome"][...] = Outcome.FAILED
                self._write(key, values, Status.FAILED, note)

    def publish(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None = None) -> None:
        """Write a tile, unless another process has done so.

        Raises
        ------
        Misuse : it cannot be written; what was there is still there.
        Moved : another process has replaced the store.
        """
        with self._held():
            if self.status(key) != Status.DONE:
                self._write(key, values, status, note)

    def forget(self, key: Key) -> None:
        """Take a damaged tile back to what is to do."""
        with self._held():
            for file in (self._note(key), self._status(key), *(f.file(self.path, self._at(f, key)) for f in self.fields.values())):
                Path(file).unlink(missing_ok=True)

    def note(self, key: Key) -> dict[str, Any]:
        """Return what is noted of a tile: the ``traceback`` with which it failed, or its ``runs`` that crashed."""
        try:
            return dict(json.loads(get(self._note(key))))
        except (OSError, ValueError):
            return {}

    def load(self) -> tuple[xr.Dataset, dict[Key, str]]:
        """Return what has been measured so far as a portrait, and the tiles that are damaged, with the reason."""
        held = Held(self.layout, {k: v for k, v in self.attrs.items() if k not in OWN})
        held.take(self.coords, self.fields)
        damaged: dict[Key, str] = {}
        for key in self.layout:
            status = self.status(key)
            try:
                values = self.values(key)
            except Damaged as error:
                if status != Status.TODO:
                    damaged[key] = str(error)
                continue
            if values is not None:
                held.publish(key, values, status, self.note(key))
        return held.portrait(), damaged

    def add(self, attrs: dict[str, Any]) -> None:
        """Add to the attributes."""
        with self._held():
            self.attrs |= attrs
            retell(self.path, self.attrs)

    def _write(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None) -> None:
        for name, field in sorted(self.fields.items(), key=lambda item: item[0] == "outcome"):
            field.write(self.path, self._at(field, key), values[name])
        if note:
            put(self._note(key), json.dumps(note).encode())
        elif os.path.exists(self._note(key)):
            os.unlink(self._note(key))
        put(self._status(key), bytes([status]))

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Lock the store, see that it is still the one that was opened, and say in one sentence what the disk says in a number."""
        try:
            with locked(self.path):
                if self._generation() != self._mark:
                    raise Moved
                yield
        except OSError as error:
            raise Misuse(f"cannot write {self.path}: {error.strerror or error}; what was finished is kept, and the same call goes on "
                         "from there") from error

    def _generation(self) -> bytes:
        try:
            return get(f"{self.path}/{LEDGER}/zarr.json")
        except FileNotFoundError:
            return b""

    def _at(self, field: Field, key: Key) -> tuple[int, ...]:
        """Return the numbers of a tile's chunk of a variable."""
        leading = (key.seed if d == "seed" and self.layout.seeds is not None else 0 for d in field.dims[:-2])
        return (*leading, key.row, key.column)

    def _status(self, key: Key) -> str:
        return f"{self.path}/{LEDGER}/status/c/{key.seed}/{key.row}/{key.column}"

    def _note(self, key: Key) -> str:
        return f"{self.path}/{LEDGER}/failures/{key}.json"


def grow(path: Path, template: xr.Dataset, layout: Layout, attrs: dict[str, Any], runs: Sequence[Any] = ()) -> None:
    """Put a store at `path`, in the place of one that may be there, with what `template` holds; to be used while it is locked.

    Raises
    ------
    Misuse : it cannot be written; what was there is still there.
    """
    try:
        with taking_the_place_of(path) as draft:
            build(draft, template, layout, attrs)
            store = Growing(draft)
            held = Held(layout, {}, template)
            begun = (template["outcome"] != Outcome.UNRUN).values.any()
            for key in layout if begun else ():
                values = held.values(key)
                assert values is not None
                unrun = values["outcome"] == Outcome.UNRUN
                if not unrun.all():
                    store._write(key, values, Status.TODO if unrun.any() else Status.DONE, None)
            if runs:        # that crashed, in tiles that are no more: they are told with the first one
                put(store._note(Key(0, 0, 0)), json.dumps({"runs": list(runs)}).encode())
    except OSError as error:
        raise Misuse(f"cannot write {path}: {error.strerror or error}; what was there is still there") from error


def sweep_out(path: Path) -> None:
    """Remove the drafts of processes that were killed while they wrote; to be used while the store is locked."""
    for draft in path.rglob(f".*{DRAFT}"):
        draft.unlink(missing_ok=True)
