"""A portrait in memory that is filled tile by tile."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.portrait import empty_like
from validation.storage.tiles import Key, Layout, Status


class MemoryStore:
    """What has been measured of a layout so far; the same methods as `validation.storage.zarr_store.ZarrStore`."""

    def __init__(self, layout: Layout, attrs: dict[str, Any], template: xr.Dataset | None = None) -> None:
        self.layout = layout
        self.attrs = attrs if template is None else template.attrs | attrs
        self.template = template
        self._arrays = {} if template is None else _arrays(template)
        self._statuses = np.zeros(layout.shape, np.int8)
        self._notes: dict[Key, dict[str, Any]] = {}

    def statuses(self) -> np.ndarray:
        """Return the `Status` of every tile: int8 (seeds, rows, columns)."""
        return self._statuses.copy()

    def status(self, key: Key) -> Status:
        """Return the status of a tile."""
        return Status(self._statuses[key])

    def note(self, key: Key) -> dict[str, Any]:
        """Return the notes on a tile."""
        return self._notes.get(key, {})

    def prepare(self, tile: xr.Dataset) -> None:
        """Create the arrays for the variables of the first tile that is measured; compare those of the later tiles with them.

        Raises
        ------
        Misuse : the variables differ from those of the tiles before.
        """
        if self.template is None:
            self.template = empty_like(self.layout.plane, tile, self.layout.seeds)
            self._arrays = _arrays(self.template)
            self.attrs = {k: v for k, v in tile.attrs.items() if k != "failures"} | self.attrs
        elif difference := describe_difference(self.template.data_vars, tile, self.layout.seeds, self.template):
            raise Misuse(f"measure() must return the same variables for every tile, but {difference}")

    def allocate(self, coords: xr.Dataset, fields: Mapping[str, Any]) -> None:
        """Create the arrays for the fields of a store."""
        data = {name: (f.dims, np.full(f.shape, f.fill, f.dtype)) for name, f in fields.items()}
        self.template = xr.Dataset(data, coords=coords.coords)
        for name, field in fields.items():
            self.template[name].attrs = field.attrs
        self._arrays = _arrays(self.template)

    def values(self, key: Key) -> dict[str, np.ndarray] | None:
        """Return a tile's variables; None before the first tile is measured."""
        return {n: array[_place(dims, self.layout, key)].copy() for n, (dims, array) in self._arrays.items()} or None

    def blank(self, key: Key) -> dict[str, np.ndarray]:
        """Return a tile's variables as they stand."""
        values = self.values(key)
        assert values is not None
        return values

    def publish(self, key: Key, values: dict[str, np.ndarray], status: Status, note: dict[str, Any] | None = None) -> None:
        """Write a tile."""
        assert self.template is not None
        for name, own in values.items():
            dims, array = self._arrays[name]
            array[_place(dims, self.layout, key)] = own
        self._statuses[key] = status
        self._notes[key] = note or {}

    def portrait(self) -> xr.Dataset:
        """Return the portrait as it stands, with the ``failures`` of its runs as an attribute."""
        assert self.template is not None
        runs = [run for key in sorted(self._notes) for run in self._notes[key].get("runs", [])]
        return self.template.assign_attrs(self.attrs | ({"failures": json.dumps(runs)} if runs else {}))


def _arrays(portrait: xr.Dataset) -> dict[str, tuple[tuple[Any, ...], np.ndarray]]:
    return {str(n): (v.dims, v.values) for n, v in portrait.data_vars.items() if n != "eta_value"}


def describe_difference(expected: Mapping[Any, Any], tile: xr.Dataset, seeds: tuple[int, ...] | None, coords: xr.Dataset) -> str:
    """Return in words how a tile's variables differ from the expected ones (anything with dims, shape, dtype); empty if they do not.

    The coordinates of further dims are compared too: without that, runs at other horizons would be stored under the first tile's.
    """
    own = {str(n): v for n, v in tile.variables.items() if n != "eta_value" and n not in tile.coords}
    names = {str(n) for n in expected if n != "eta_value"}
    if own.keys() != names:
        return f"{', '.join(sorted(own.keys() ^ names))} are in one of them only"
    for name, variable in own.items():
        before = expected[name]
        if tuple(variable.dims) != tuple(before.dims) or variable.dtype != before.dtype:
            return f"{name} has {variable.dims} of {variable.dtype}, and had {tuple(before.dims)} of {before.dtype}"
        leading = zip(variable.dims[:-2], variable.shape[:-2], before.shape[:-2], strict=True)
        for dim, now, then in leading:
            if now != (1 if dim == "seed" and seeds is not None else then):
                return f"{name} has {now} of {dim}, and had {then}"
    for dim in {str(d) for v in own.values() for d in v.dims[:-2]}:
        if dim in coords.coords and not (dim == "seed" and seeds is not None) and not tile[dim].variable.equals(coords[dim].variable):
            return f"{dim} is {tile[dim].values.tolist()}, and was {coords[dim].values.tolist()}"
    return ""


def _place(dims: tuple[Any, ...], layout: Layout, key: Key) -> tuple[slice, ...]:
    leading = [slice(key.seed, key.seed + 1) if d == "seed" and layout.seeds is not None else slice(None) for d in dims[:-2]]
    return (*leading, *layout.slices(key))
