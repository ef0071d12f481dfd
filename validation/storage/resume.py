"""Open a store for a sweep: create it, resume it, or extend it to a larger plane or more seeds; refuse another experiment's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from validation.arguments import Misuse
from validation.experiment import FINGERPRINT, are_of_one_experiment, drop_extensible, read_description
from validation.outcome import Outcome
from validation.plane import Plane
from validation.portrait import REQUIRED, empty, empty_like, read_failures
from validation.storage.atomic import clear_drafts, lock, make_folder, recover, resolve_target, staging_folder
from validation.storage.attributes import as_json
from validation.storage.files import COMPLETE, open_portrait, refuse_inside_store, refuse_other
from validation.storage.memory_store import MemoryStore
from validation.storage.overwriting import discard, former_path, restore
from validation.storage.tiles import Layout, Status, find_absent, locate_points
from validation.storage.zarr_metadata import read_attrs, write_attrs
from validation.storage.zarr_store import PROVISIONAL, ZarrStore, has_runs, write_store


def open_store(path: Path, layout: Layout, attrs: dict[str, Any], overwrite: bool = False,
               variables: tuple[str, ...] = ()) -> ZarrStore | MemoryStore:
    """Return the store at `path`, created or extended to hold a layout's plane and seeds; its content is preserved.

    Parameters
    ----------
    path : a new folder, or one that a sweep or `save_portrait` has written.
    layout : the requested plane, seeds and tiles; a store that is created or extended gets these tiles.
    attrs : of the portrait; ``description`` is compared with the stored one.
    variables : of a store that is created, beside the required ones.
    overwrite : whether a portrait of another experiment or plane is replaced; it is kept next to the store until that has a tile.

    Returns
    -------
    ZarrStore, or, for a complete portrait that `save_portrait` has written, a MemoryStore with its content; the file stays as it is.

    Raises
    ------
    Misuse : the store is another experiment's, has a point that the plane lacks, is of another version, or is no store.
    """
    path = resolve_target("store", path)
    refuse_inside_store("store", path.parent)
    try:
        make_folder(path.parent)
    except OSError as error:
        raise Misuse(f"cannot write to {path.parent}: {error.strerror or error}") from error
    with lock(path):
        recover(path, staging_folder(path))
        if overwrite or not path.exists():
            restore(path, has_runs)
        if not path.exists() or (overwrite and is_other(path, attrs, layout.plane.digest)):
            former = former_path(path) if path.exists() else None
            discard(path)        # there only where its removal was cut short
            leading = {} if layout.seeds is None else {"seed": list(layout.seeds)}
            names = tuple(dict.fromkeys((*REQUIRED, *variables)))
            write_store(path, empty(layout.plane, leading, names, template=True), layout, as_json(attrs | {PROVISIONAL: 1}), former=former)
            return ZarrStore(path)
        if not (path / "zarr.json").is_file():
            raise Misuse(f"store must be free or a portrait, but {path} is something else; it is left as it is")
        if not are_of_one_experiment(read_attrs(path), attrs):
            restore(path, has_runs)
        stored = read_attrs(path)
        check_experiment(path, stored, attrs)
        if "store_version" not in stored:
            return _open_portrait(path, layout, attrs)
        store = ZarrStore(path)
        clear_drafts(path)
        blank = PROVISIONAL in store.attrs and not store.has_runs()
        if (store.layout.seeds is None) != (layout.seeds is None) and not blank:
            raise Misuse(f"experiment must have seeds that are measured one at a time if and only if the one in {path} has")
        wanted = _join(path, store.layout.plane, store.layout.seeds, layout)
        if wanted is not None:
            if blank:
                leading = {} if wanted.seeds is None else {"seed": list(wanted.seeds)}
                write_store(path, empty(wanted.plane, leading, template=True), wanted, store.attrs | _describe(attrs, wanted))
            else:
                portrait, runs = _read_good_tiles(store)
                write_store(path, extend(portrait, wanted), wanted, store.attrs | _describe(attrs, wanted), runs)
            store = ZarrStore(path)
        elif FINGERPRINT in json.loads(attrs["description"]) and FINGERPRINT not in json.loads(stored["description"]):
            write_attrs(path, store.attrs | _describe(attrs, store.layout))      # written before there were fingerprints
            store = ZarrStore(path)
        return store


def is_other(path: Path, attrs: dict[str, Any], plane: str | None) -> bool:
    """Return whether the portrait at `path` is of another experiment, or of another plane than that of the digest `plane`.

    Raises
    ------
    Misuse : it is no portrait, and must not be overwritten.
    """
    refuse_other(path)
    stored = read_attrs(path)
    return not are_of_one_experiment(stored, attrs) or (plane is not None and stored.get("plane") != plane)


def select_points(portrait: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Return the points of a portrait that belong to a layout, in the layout's order, with its seeds."""
    source = _plane_of(portrait)
    if layout.seeds is not None and tuple(portrait["seed"].values.tolist()) != layout.seeds:
        portrait = portrait.sel(seed=list(layout.seeds))
    if source.digest == layout.plane.digest:
        return portrait
    rows, columns = locate_points(layout.plane, source)
    found = empty_like(layout.plane, portrait)
    for name in found.data_vars:
        found[name].values[...] = portrait[name].values[..., rows[:, None], columns]
    return found.assign_attrs(portrait.attrs)


def _plane_of(portrait: xr.Dataset) -> Plane:
    return Plane(portrait["gamma"].values, portrait["eta_value" if "eta_value" in portrait else "eta"].values)


def _open_portrait(path: Path, layout: Layout, attrs: dict[str, Any]) -> ZarrStore | MemoryStore:
    """Turn a portrait that `save_portrait` wrote into a store; leave it as it is if it is complete and has all that is requested."""
    portrait = open_portrait(path)
    seeds = tuple(portrait["seed"].values.tolist()) if layout.seeds is not None and "seed" in portrait.dims else None
    wanted = _join(path, _plane_of(portrait), seeds, layout)
    if wanted is None and not (portrait["outcome"] == Outcome.UNRUN).any():
        complete = MemoryStore(Layout(_plane_of(portrait), _plane_of(portrait).shape, seeds), {}, portrait)
        for key in complete.layout:
            complete.publish(key, complete.blank(key), Status.DONE)
        return complete
    wanted = wanted or Layout(_plane_of(portrait), layout.tile, seeds)
    own = {k: v for k, v in portrait.attrs.items() if k not in (COMPLETE, "failures")}
    runs = read_failures(portrait.attrs)
    write_store(path, extend(portrait, wanted), wanted, as_json(own | _describe(attrs, wanted)), runs)
    return ZarrStore(path)


def _join(path: Path, plane: Plane, seeds: tuple[int, ...] | None, layout: Layout) -> Layout | None:
    """Return the layout of what is stored and what is requested together; None where the stored one is enough."""
    more = () if layout.seeds is None else tuple(s for s in layout.seeds if s not in (seeds or ()))
    every = None if layout.seeds is None else (*(seeds or ()), *more)
    if find_absent(layout.plane, plane) is None:
        return Layout(plane, layout.tile, every) if more else None
    if (point := find_absent(plane, layout.plane)) is not None:
        raise Misuse(f"plane must contain the one in {path}, or be contained in it, but lacks its point gamma = {point[0]!r}, "
                     f"eta = {point[1]!r}; choose another store")
    return Layout(layout.plane, layout.tile, every)


def _read_good_tiles(store: ZarrStore) -> tuple[xr.Dataset, list[Any]]:
    """Return what a store has measured, without damaged and failed tiles, and the descriptions of the runs that crashed."""
    portrait, _ = store.load()
    for key in store.layout:
        if store.status(key) == Status.FAILED:
            rows, columns = store.layout.slices(key)
            seed = {} if store.layout.seeds is None else {"seed": [key.seed]}
            block = portrait["outcome"].isel(seed | {"gamma": rows, "eta": columns})
            portrait["outcome"][seed | {"gamma": rows, "eta": columns}] = block.where(block != Outcome.FAILED, Outcome.UNRUN)
    return portrait, read_failures(portrait.attrs)


def extend(portrait: xr.Dataset, layout: Layout) -> xr.Dataset:
    """Return a portrait on a larger plane, with more seeds after its own; the new points are unrun."""
    whole = empty_like(layout.plane, portrait, layout.seeds)
    rows, columns = locate_points(_plane_of(portrait), layout.plane)
    for name, variable in whole.data_vars.items():
        own = tuple(slice(portrait.sizes[str(d)]) for d in variable.dims[:-2])
        target = variable.values[own]
        target[..., rows[:, None], columns] = portrait[name].values
    return whole.assign_attrs(portrait.attrs)


def _describe(attrs: dict[str, Any], layout: Layout) -> dict[str, Any]:
    """Return the attributes that describe the experiment and the plane of a store, with all the seeds."""
    description = json.loads(attrs["description"])
    if layout.seeds is not None and "seeds" in description:
        description["seeds"] = list(layout.seeds)
    return {"description": json.dumps(description, sort_keys=True), "digest": attrs["digest"], "plane": layout.plane.digest}


def check_experiment(path: Path, stored: dict[str, Any], attrs: dict[str, Any]) -> None:
    """Raise `Misuse` if a store is another experiment's, listing the differences key by key."""
    if are_of_one_experiment(stored, attrs):
        return
    before = read_description(stored)
    if before is None:
        raise Misuse(f"store must be this experiment's, but {path} has no description of one; it is left as it is")
    fingerprint = before.pop(FINGERPRINT, None)
    now = json.loads(attrs["description"])
    found = now.pop(FINGERPRINT, None)
    old, new = _flatten(drop_extensible(before)), _flatten(drop_extensible(now))
    different = [f"{k}: given {new.get(k, 'nothing')!r}, stored {old.get(k, 'nothing')!r}"
                 for k in sorted(old.keys() | new.keys())
                 if k not in old or k not in new or old[k] != new[k]]
    if fingerprint is not None and found is not None and fingerprint != found:
        different.append(_compare_fingerprints(now, found, fingerprint))
    raise Misuse(f"store must be this experiment's, but {path} holds another: {'; '.join(different)}; choose another store")


def _compare_fingerprints(description: dict[str, Any], given: Any, stored: Any) -> str:
    """Return in words how the parameters and buffers of a network differ from those that a store was trained with."""
    name = description.get("network", {}).get("name", "")
    what = f"the parameters of the network {name!r} differ in their"
    old, new = (_flatten({kind: f.get(kind) for kind in ("parameters", "buffers")}) for f in (stored, given))
    shapes = [f"{key.partition('.')[2]}: given {new.get(key, 'nothing')}, stored {old.get(key, 'nothing')}"
              for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    if not shapes:
        return f"{what} values at theta_0, with the same names and shapes"
    return f"{what} shapes ({', '.join(shapes[:4])}{', ...' if len(shapes) > 4 else ''})"


def _flatten(description: Any, name: str = "") -> dict[str, Any]:
    """Return a nested description as one dictionary with dotted names."""
    if not isinstance(description, dict) or not description:
        return {name: description}
    return {k: v for key, value in description.items() for k, v in _flatten(value, f"{name}.{key}" if name else str(key)).items()}
