"""Opening a store to sweep on: a new one, one that has what is asked for, or one that has to grow; another experiment's is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.experiment import digest
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import empty, unrun
from validation.storage.atomic import locked
from validation.storage.files import open_portrait
from validation.storage.memory_store import Held
from validation.storage.tiles import Layout, Status, absent, places
from validation.storage.zarr_metadata import plain, recover, told
from validation.storage.zarr_store import Growing, grow, sweep_out


def opened(path: Path, layout: Layout, attrs: dict[str, Any]) -> Growing | Held:
    """Return the store at `path`, with room for a layout's plane and seeds; what it already holds is kept.

    Parameters
    ----------
    path : a folder to be, or one that a sweep or `save_portrait` has written.
    layout : what is asked for; its tiles are those of a store that is made, or grows.
    attrs : of the portrait; ``description`` is compared with the stored one.

    Returns
    -------
    Growing, or Held : a portrait that `save_portrait` has written and that is complete stays as it is.

    Raises
    ------
    Misuse : another experiment, a plane that lacks a stored point, something that is no store, one of another version.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Misuse(f"cannot write to {path.parent}: {error.strerror or error}") from error
    with locked(path):
        recover(path)
        if not path.exists():
            leading = {} if layout.seeds is None else {"seed": list(layout.seeds)}
            grow(path, empty(layout.plane, leading), layout, plain(attrs | {"provisional": 1}))
            return Growing(path)
        if not (path / "zarr.json").is_file():
            raise Misuse(f"store must be free or a portrait, but {path} is something else; it is left as it is")
        stored = told(path)
        check_experiment(path, stored, attrs)
        if "store_version" not in stored:
            return _from_saved(path, layout, attrs)
        store = Growing(path)
        sweep_out(path)
        if (store.layout.seeds is None) != (layout.seeds is None) and not store.attrs.get("provisional"):
            raise Misuse(f"experiment must be one that is asked for seed by seed if and only if that in {path} was")
        wanted = _together(path, store.layout.plane, store.layout.seeds, layout)
        if wanted is not None:
            if store.attrs.get("provisional"):
                leading = {} if wanted.seeds is None else {"seed": list(wanted.seeds)}
                grow(path, empty(wanted.plane, leading), wanted, store.attrs | _named(attrs, wanted))
            else:
                portrait, runs = _kept(store)
                grow(path, extended(portrait, wanted), wanted, store.attrs | _named(attrs, wanted), runs)
            store = Growing(path)
        return store


def part(portrait: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Return the points of a portrait that are a layout's, in its order, with its seeds."""
    source = _plane_of(portrait)
    if layout.seeds is not None and tuple(portrait["seed"].values.tolist()) != layout.seeds:
        portrait = portrait.sel(seed=list(layout.seeds))
    if source.digest == layout.plane.digest:
        return portrait
    rows, columns = places(layout.plane, source)
    found = unrun(layout.plane, portrait)
    for name in found.data_vars:
        found[name].values[...] = portrait[name].values[..., rows[:, None], columns]
    return found.assign_attrs(portrait.attrs)


def _plane_of(portrait: xr.Dataset) -> Plane:
    return Plane(portrait["gamma"].values, portrait["eta_value" if "eta_value" in portrait else "eta"].values)


def _from_saved(path: Path, layout: Layout, attrs: dict[str, Any]) -> Growing | Held:
    """Return a store made of a portrait that `save_portrait` wrote; the portrait itself where it has all that is asked for."""
    portrait = open_portrait(path)
    seeds = tuple(portrait["seed"].values.tolist()) if layout.seeds is not None and "seed" in portrait.dims else None
    wanted = _together(path, _plane_of(portrait), seeds, layout)
    if wanted is None and not (portrait["outcome"] == Outcome.UNRUN).any():
        kept = Held(Layout(_plane_of(portrait), _plane_of(portrait).shape, seeds), {}, portrait)
        for key in kept.layout:
            kept.publish(key, kept.blank(key), Status.DONE)
        return kept
    wanted = wanted or Layout(_plane_of(portrait), layout.tile, seeds)
    kept_attrs = {k: v for k, v in portrait.attrs.items() if k not in ("complete", "failures")}
    runs = json.loads(portrait.attrs.get("failures", "[]"))
    grow(path, extended(portrait, wanted), wanted, plain(kept_attrs | _named(attrs, wanted)), runs)
    return Growing(path)


def _together(path: Path, plane: Plane, seeds: tuple[int, ...] | None, layout: Layout) -> Layout | None:
    """Return the layout that holds what is stored and what is asked for; None where what is stored holds it."""
    more = () if layout.seeds is None else tuple(s for s in layout.seeds if s not in (seeds or ()))
    every = None if layout.seeds is None else (*(seeds or ()), *more)
    if absent(layout.plane, plane) is None:
        return Layout(plane, layout.tile, every) if more else None
    if (point := absent(plane, layout.plane)) is not None:
        raise Misuse(f"plane must contain the one in {path}, or be contained in it, but lacks its point gamma = {point[0]!r}, "
                     f"eta = {point[1]!r}; choose another store")
    return Layout(layout.plane, layout.tile, every)


def _kept(store: Growing) -> tuple[xr.Dataset, list[Any]]:
    """Return what a store has measured, without the tiles that are damaged or failed, and which of its runs crashed."""
    portrait, _ = store.load()
    for key in store.layout:
        if store.status(key) == Status.FAILED:
            rows, columns = store.layout.slices(key)
            seed = {} if store.layout.seeds is None else {"seed": [key.seed]}
            block = portrait["outcome"].isel(seed | {"gamma": rows, "eta": columns})
            portrait["outcome"][seed | {"gamma": rows, "eta": columns}] = block.where(block != Outcome.FAILED, Outcome.UNRUN)
    return portrait, json.loads(portrait.attrs.get("failures", "[]"))


def extended(portrait: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Return a portrait on a larger plane, with more seeds after its own; what is new is unrun."""
    whole = unrun(layout.plane, portrait, layout.seeds)
    rows, columns = places(_plane_of(portrait), layout.plane)
    for name, variable in whole.data_vars.items():
        own = tuple(slice(portrait.sizes[str(d)]) for d in variable.dims[:-2])
        part_of = variable.values[own]
        part_of[..., rows[:, None], columns] = portrait[name].values
    return whole.assign_attrs(portrait.attrs)


def _named(attrs: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Return the attributes that say what a store holds: those of the experiment and the plane, with all the seeds."""
    description = json.loads(attrs["description"])
    if layout.seeds is not None and "seeds" in description:
        description["seeds"] = list(layout.seeds)
    return {"description": json.dumps(description, sort_keys=True), "digest": attrs["digest"], "plane": layout.plane.digest}


def check_experiment(path: Path, stored: dict[str, Any], attrs: dict[str, Any]) -> None:
    """Refuse a store of another experiment, with the difference key by key."""
    if stored.get("digest") == attrs["digest"]:
        return
    try:
        before = json.loads(stored["description"])
    except (KeyError, ValueError, TypeError):
        raise Misuse(f"store must be this experiment's, but {path} does not say whose it is; it is left as it is") from None
    now = json.loads(attrs["description"])
    told_before, told_now = _flat(_lasting(before)), _flat(_lasting(now))
    different = [f"{k}: given {told_now.get(k, 'nothing')!r}, stored {told_before.get(k, 'nothing')!r}"
                 for k in sorted(told_before.keys() | told_now.keys())
                 if k not in told_before or k not in told_now or told_before[k] != told_now[k]]
    if not different and digest(before) == attrs["digest"]:
        return
    raise Misuse(f"store must be this experiment's, but {path} holds another: {'; '.join(different)}; choose another store")


def _lasting(description: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in description.items() if k not in ("seed", "seeds", "plane")}


def _flat(description: Any, name: str = "") -> dict[str, Any]:
    """Return nested descriptions as one dictionary of dotted names."""
    if not isinstance(description, dict) or not description:
        return {name: description}
    return {k: v for key, value in description.items() for k, v in _flat(value, f"{name}.{key}" if name else str(key)).items()}

