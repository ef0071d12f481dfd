"""Faults of disks, files and experiments: every one ends with a sentence, and nothing that was measured is lost.

`CASES` is the table. A case prepares a folder, does something in it, and expects a sentence (a pattern of the `Misuse`); what lies in
the folder must be byte for byte what lay there before, unless the case has a function `left` that checks it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.validation.sweeping.sleepers import PLANE, Seeded, Sleeper, lines
from validation import Misuse, Plane, descend, executors, open_portrait, save_portrait, sweep, sweep_status, trace
from validation.cli_options import SweepOptions
from validation.experiment import name_experiment
from validation.outcome import Outcome
from validation.portrait import REQUIRED
from validation.storage import chunks, zarr_store
from validation.storage.files import check_writable
from validation.storage.observations import open_observables, save_observables
from validation.sweeping import clusters

SMALL = Plane(PLANE.gamma[:6], PLANE.eta[:8])           # 2 x 2 tiles
ONE = Plane(PLANE.gamma[:3], PLANE.eta[:4])             # one
LARGER = Plane(PLANE.gamma[:9], PLANE.eta[:8])          # 3 x 2
NAME = "p.zarr"


@dataclasses.dataclass(frozen=True)
class Five(Sleeper):
    """Portraits of exactly the five variables that every one has; rho and what else the edges need come with the runs."""

    def rules(self) -> dict[str, Any]:
        return {}

    def measure(self, gamma, eta):
        return super().measure(gamma, eta)[list(REQUIRED)].assign_attrs(rho=0.5, steps=1000, eta_max_of="highest")


@dataclasses.dataclass(frozen=True)
class FiveSeeded(Five):
    """The same with seeds."""

    seeds: tuple[int, ...] = (0,)

    def measure(self, gamma, eta):
        return super().measure(gamma, eta).expand_dims(seed=list(self.seeds))


class Altered(Sleeper):
    """A sleeper whose answers, description or seeds are changed by a function."""

    def __init__(self, change: Callable[[Any], Any] = lambda x: x, describe: Any = None, **more: Any) -> None:
        super().__init__()
        for name, value in {"change": change, "description": describe, **more}.items():
            object.__setattr__(self, name, value)

    def describe(self):
        return super().describe() if self.description is None else self.description()

    def measure(self, gamma, eta):
        return self.change(super().measure(gamma, eta))


class Odd(Sleeper):
    """A sleeper with odd rules."""

    def __init__(self, odd: Any) -> None:
        super().__init__()
        object.__setattr__(self, "odd", odd)

    def rules(self):
        return self.odd


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file below a folder; None for folders."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@lru_cache
def portrait_of(scale: float = 1.0, plane: Plane = SMALL) -> xr.Dataset:
    """Return a sleeper's portrait, which is not to be changed."""
    return sweep(Sleeper(scale=scale), plane)


def points(log: Path) -> int:
    return sum(n for _, n in lines(log))


def same(a: xr.Dataset, b: xr.Dataset) -> None:
    xr.testing.assert_identical(a.drop_attrs(), b.drop_attrs())


# surroundings: functions of an empty folder

def nothing(folder: Path) -> None:
    """An empty folder."""


def stored(folder: Path) -> None:
    """A store that is done."""
    sweep(Sleeper(), SMALL, store=folder / NAME)


def saved(folder: Path) -> None:
    """A portrait that was saved whole."""
    save_portrait(portrait_of(), folder / NAME)


def in_netcdf(folder: Path) -> None:
    """A portrait in a netCDF file."""
    save_portrait(portrait_of(), folder / "p.nc")


def foreign(folder: Path) -> None:
    """A zarr group of another project."""
    xr.Dataset({"theirs": ("x", np.arange(3.0))}, attrs={"description": "rain", "digest": "0"}).to_zarr(
        folder / NAME, consolidated=False)


def both(*steps: Callable[[Path], Any]) -> Callable[[Path], None]:
    """One thing after the other."""
    def prepare(folder: Path) -> None:
        for step in steps:
            step(folder)

    return prepare


def lost(name: str) -> Callable[[Path], None]:
    """A file or folder of the store removed."""
    def prepare(folder: Path) -> None:
        path = folder / NAME / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return prepare


def edited(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A JSON file of the store changed by hand."""
    def prepare(folder: Path) -> None:
        path = folder / NAME / name
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return prepare


def put(content: str, name: str = "zarr.json") -> Callable[[Path], None]:
    """A file of the store replaced by a text."""
    return lambda folder: (folder / NAME / name).write_text(content) and None


def attrs(**new: Any) -> Callable[[Path], None]:
    """Attributes edited by hand; those that are None are removed."""
    def change(content: dict[str, Any]) -> None:
        content["attributes"] = {k: v for k, v in (content["attributes"] | new).items() if v is not None}

    return edited("zarr.json", change)


def linked(name: str, target: str) -> Callable[[Path], None]:
    """A link."""
    return lambda folder: (folder / name).symlink_to(target)


# what is done: functions of the folder

def opened(folder: Path) -> Any:
    return open_portrait(folder / NAME)


def resumed(folder: Path) -> Any:
    return sweep(Sleeper(), SMALL, store=folder / NAME)


def status(folder: Path) -> Any:
    return str(sweep_status(folder / NAME))


def replaced(folder: Path) -> Any:
    return save_portrait(portrait_of(2), folder / NAME, overwrite=True)


def overwritten(folder: Path, experiment: Any = None, plane: Plane = SMALL, **options: Any) -> Any:
    return SweepOptions(overwrite=True, **options).run(experiment or Sleeper(scale=2), plane, folder / NAME, False)


def without_a_cluster(folder: Path) -> Any:
    """An overwriting sweep whose scheduler does not answer; half a second is waited for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "PATIENCE", 0.5)
        return overwritten(folder, cluster="tcp://127.0.0.1:9")


def measured(experiment: Any, name: str | None = NAME, **more: Any) -> Callable[[Path], Any]:
    return lambda folder: sweep(experiment, SMALL, store=None if name is None else folder / name, **more)


def blank_store(folder: Path) -> None:
    """Left is at most a store in which nothing was measured."""
    for path in folder.iterdir():
        assert (open_portrait(path)["outcome"] == -1).all()


UNTOUCHED = None
ENDLESS = "[" * 100_000 + "]" * 100_000
HEADLESS = re.escape("without metadata (zarr.json)")
ALTERED = "was altered after it was written: its attributes .rho, steps and others. have the digest"


@dataclasses.dataclass(frozen=True)
class Case:
    """What is done, in which surroundings, the expected sentence, and a check of what is left (None: all is untouched)."""

    name: str
    surroundings: Callable[[Path], Any]
    act: Callable[[Path], Any]
    sentence: str
    left: Callable[[Path], Any] | None = UNTOUCHED


def each(name: str, surroundings: Callable[[Path], Any], sentence: str,
         acts: tuple[Callable[[Path], Any], ...] = (opened, resumed, status)) -> list[Case]:
    """One case for each thing that may be done."""
    return [Case(f"{name}: {act.__name__}", surroundings, act, sentence) for act in acts]


OVERWRITE = [
    Case("a saved portrait over another project's group", foreign, replaced, "something else; it is left as it is"),
    Case("a sweep over another project's group", foreign, overwritten, "something else; it is left as it is"),
    Case("a check of a sweep over another project's group", foreign,
         lambda f: SweepOptions(overwrite=True).check(Sleeper(), f / NAME), "something else; it is left as it is"),
    Case("overwriting by a sweep that finds no cluster", stored, without_a_cluster,
         r"running Dask scheduler|needs the extra cluster"),
    Case("overwriting by a sweep whose first tile is misused", stored,
         lambda f: overwritten(f, Sleeper(scale=2, ill=(0, 1e9), how="misuse")), "the sleeper is misused"),
    Case("overwriting a saved portrait by a sweep whose answer is none", saved,
         lambda f: overwritten(f, Altered(lambda p: 3, lambda: {"a": 1})), "portrait must be an xarray.Dataset"),
]

MISSING = [case for prepare in (stored, saved) for case in [
    *each(f"metadata of a variable removed, {prepare.__name__}", both(prepare, lost("rose/zarr.json")), f"rose is missing, or {HEADLESS}",
          (opened, resumed)),
    *each(f"a variable removed, {prepare.__name__}", both(prepare, lost("rose")), f"rose is missing, or {HEADLESS}", (opened, resumed)),
    *each(f"metadata of gamma removed, {prepare.__name__}", both(prepare, lost("gamma/zarr.json")), f"gamma is missing, or {HEADLESS}",
          (opened, resumed)),
    *each(f"metadata of a variable removed, no list, {prepare.__name__}",
          both(prepare, attrs(stored_arrays=None, attrs_digest=None), lost("rose/zarr.json")), f"rose is missing, or {HEADLESS}",
          (opened, resumed))]]

DEEP = {"a": 1}
for _ in range(400):
    DEEP = {"a": DEEP}
EDITED = [case for prepare in (stored, saved) for case in [
    *each(f"rho edited, {prepare.__name__}", both(prepare, attrs(rho=0.3)), ALTERED),
    *each(f"an attribute added, {prepare.__name__}", both(prepare, attrs(steps=7)), ALTERED),
    *each(f"an attribute removed, {prepare.__name__}", both(prepare, attrs(rho=None)), ALTERED),
    *each(f"the description edited, {prepare.__name__}", both(prepare, attrs(description='{"witness": "toy"}')),
          "description's digest is '[0-9a-f]{16}', and digest is '[0-9a-f]{16}'"),
    *each(f"the description edited, no digest of attributes, {prepare.__name__}",
          both(prepare, attrs(description='{"witness": "toy"}', attrs_digest=None)), "a digest that are of two experiments"),
    *each(f"metadata too deep, {prepare.__name__}", both(prepare, put(ENDLESS)), "or a damaged one; it is left as it is"),
    *each(f"metadata a list, {prepare.__name__}", both(prepare, put("[]")), "or a damaged one; it is left as it is"),
]]

ODD = [case for name, change, sentence in [
    ("tile missing", attrs(tile=None, attrs_digest=None), "is damaged: KeyError: 'tile'"),
    ("tile [1, 1]", attrs(tile=[1, 1], attrs_digest=None), "must have the shape .* in chunks of"),
    ("tile huge", attrs(tile=[10**9, 10**9], attrs_digest=None), "must have the shape .* in chunks of"),
    ("tile a text", attrs(tile="all", attrs_digest=None), "is damaged: tile must be a pair"),
    ("seeds_apart missing", attrs(seeds_apart=None, attrs_digest=None), "is damaged: KeyError: 'seeds_apart'"),
    ("seeds_apart without seeds", attrs(seeds_apart=1, attrs_digest=None), "is damaged: KeyError"),
    ("shape huge", edited("rose/zarr.json", lambda m: m.update(shape=[10**9, 10**9])), "is damaged: ValueError: conflicting sizes"),
    ("chunk huge", edited("rose/zarr.json", lambda m: m["chunk_grid"]["configuration"].update(chunk_shape=[10**9, 10**9])),
     "rose must have the shape .6, 8. in chunks"),
    ("type of text", edited("rose/zarr.json", lambda m: m.update(data_type="nothing")), "is damaged: ValueError"),
    ("dims of one array", edited("steps/zarr.json", lambda m: m.update(dimension_names=["a", "b"])), "is damaged"),
    ("an array's metadata too deep", put(ENDLESS, "rose/zarr.json"), "is damaged: RecursionError"),
] for case in each(name, both(stored, change), sentence)]

EXPERIMENTS = [Case(f"describe() returns {name}: {where}", nothing, measured(Altered(describe=lambda d=description: d), where),
                    r"describe\(\) must return a dictionary of texts") for where in (NAME, None) for name, description in [
    ("a list", [1]), ("a list of pairs", [("a", 1)]), ("None", 3.5), ("NaN", {"a": float("nan")}), ("an object", {"a": object()}),
    ("a set", {"a": {1}}), ("itself", (lambda d: d.update(a=d) or d)({}))]]
EXPERIMENTS += [Case(f"measure() returns {name}: {where}", nothing, measured(Altered(change), where), sentence, blank_store)
                for where in (NAME, None) for name, change, sentence in [
    ("a list", list, "portrait must be an xarray.Dataset, not list"),
    ("None", lambda p: None, "portrait must be an xarray.Dataset, not NoneType"),
    ("other gammas", lambda p: p.assign_coords(gamma=p.gamma * 1.5), "of the gamma it was given, not of others: gamma"),
    ("a gamma off by a bit", lambda p: p.assign_coords(gamma=np.nextafter(p.gamma, 1)), "of the gamma it was given, not of others"),
    ("other rates", lambda p: p.assign_coords(eta=p.eta * 2), "of the eta it was given, not of others: eta"),
    ("other rates of each gamma", lambda p: p.assign_coords(eta_value=(("gamma", "eta"), np.outer(p.gamma + 1, p.eta))),
     "of the eta it was given, not of others: eta"),
    ("fewer gammas", lambda p: p.isel(gamma=[0]), "portrait of the shape"),
    ("a variable named '..'", lambda p: p.rename(rose=".."), "must have names of files"),
    ("a variable named 'a/b'", lambda p: p.rename(rose="a/b"), "must have names of files"),
    ("a variable named ''", lambda p: p.rename(rose=""), "must have names of files"),
    ("a variable named 3", lambda p: p.rename(rose=3), "must have names of files"),
    ("a variable with a long name", lambda p: p.rename(rose="r" * 300), "must have names of files, of at most 200 bytes"),
    ("a variable named '__r'", lambda p: p.rename(rose="__r"), "must have names of files"),
    ("a variable of texts", lambda p: p.assign(rose=p.rose.astype(str)), "must return numbers, but rose holds"),
    ("a variable of objects", lambda p: p.assign(rose=p.rose.astype(object)), "must return numbers, but rose holds"),
    ("complex numbers", lambda p: p.assign(final_excess=p.final_excess + 0j), "must hold numbers, not complex"),
]]
EXPERIMENTS += [
    Case("measure() returns a variable named 'tiles'", nothing, measured(Altered(lambda p: p.rename(rose="tiles"))),
         "must not return a variable with the name 'tiles'", blank_store),
    Case("a portrait with a variable named 'a/b' is saved", nothing,
         lambda f: save_portrait(portrait_of().rename(rose="a/b"), f / NAME), "must have names of files"),
    *[Case(f"seeds {seeds!r}: {where}", nothing, measured(dataclasses.replace(Seeded(), seeds=seeds), where), "seeds must be")
      for where in (NAME, None) for seeds in ((), (1, 1), ("a",), (0.5,), 3)],
    Case("a seed other than the requested one", nothing,
         measured(Altered(seeds=(0, 1), with_seeds=lambda s: Altered(lambda p: p.expand_dims(seed=[9])))),
         "of the seed it was given, not of others: seed [01] was requested, and .9. are in the answer", blank_store),
    Case("sys.exit() without a store", nothing, measured(Altered(lambda p: sys.exit(3)), None), r"measure\(\) called sys.exit\(3\)"),
]
EXPERIMENTS += [
    Case(f"rules() returns {rules!r}", nothing, lambda f, r=rules: sweep(Odd(r), SMALL, store=f / NAME),
         r"rules\(\) must return a dictionary") for rules in ([1], None, "rho")]
EXPERIMENTS += [
    Case("numbers of sixteen bytes", nothing, measured(Altered(lambda p: p.assign(rose=p.rose.astype("longdouble")))),
         "rose must hold numbers of at most 8 bytes", lambda f: None),
    Case("a hidden variable", nothing, measured(Altered(lambda p: p.rename(rose=".rose"))), "must have names of files", blank_store),
    *[Case(f"a portrait with {kind} is saved in {name}", nothing,
           lambda f, k=kind, n=name: save_portrait(portrait_of().assign(rose=portrait_of().rose.astype(k)), f / n), "cannot be written to")
      for kind, name in (("longdouble", "p.nc"), ("longdouble", NAME), ("complex128", "p.nc"), ("datetime64[ns]", NAME))]]


def other_horizons() -> Altered:
    """An experiment whose tiles have other horizons from call to call."""
    calls = []

    def change(portrait):
        calls.append(1)
        return portrait.expand_dims(horizon=[10 * len(calls), 1000])

    return Altered(change)


EXPERIMENTS += [
    Case(f"other horizons than the first tile's: {where}", nothing, lambda f, w=where: measured(other_horizons(), w)(f),
         r"horizon is \[20, 1000\], and was \[10, 1000\]", lambda f: None) for where in (NAME, None)]
EXPERIMENTS += [
    Case("other gammas in a descent", nothing,
         lambda f: descend(Altered(lambda p: p.assign_coords(gamma=p.gamma * 2)), SMALL.gamma, (1e-4, 1e2)), "of the gamma it was given"),
    Case("other rates in a trace", nothing,
         lambda f: trace(Altered(lambda p: p.assign_coords(eta_value=rates_twice(p))), SMALL.gamma, "eta_max", eta=(1e-4, 1e2)),
         "of the eta it was given"),
]


def rates_twice(portrait: xr.Dataset) -> Any:
    own = portrait["eta_value"] if "eta_value" in portrait else portrait["eta"].broadcast_like(portrait["outcome"])
    return (("gamma", "eta"), 2 * own.values)


def shut_down(folder: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        pass
    sweep(Sleeper(), SMALL, store=folder / NAME, executor=pool)


EXPERIMENTS.append(Case("an executor that was shut down", nothing, shut_down, "executor broke .*cannot schedule new futures after shutdown",
                        blank_store))

ACTS = {"a sweep": lambda p: sweep(Sleeper(), SMALL, store=p), "a saved portrait": lambda p: save_portrait(portrait_of(), p),
        "an opened one": open_portrait, "a status": sweep_status}
PATHS = [Case(f"{what} at {name}", nothing, lambda f, act=act, path=path: act(path(f) if callable(path) else path), sentence)
         for what, act in ACTS.items() for name, path, sentence in [
    ("''", "", "must be the path of a file or folder"), ("'.'", ".", "must be the path of a file or folder"),
    ("'..'", "..", "must be the path of a file or folder"), ("'/'", "/", "must be the path of a file or folder"),
    ("NUL", "a\0b", "must be the path of a file or folder"), ("a number", 3, "must be the path of a file or folder"),
    ("a long name", lambda f: f / ("n" * 300), "must have a name of at most 230 bytes"),
    ("too many folders", lambda f: "/".join([str(f), *["folder"] * 2000]), "cannot be reached: File name too long")]]
LINKS = [Case(f"{what} at a link to itself", lambda f: (f / "loop").symlink_to("loop"), lambda f, act=act: act(f / "loop"),
              "cannot be reached: |something else|nothing at") for what, act in ACTS.items()]

INSIDE = [
    Case("results written into a store", stored, lambda f: check_writable(f / NAME), "out must be outside of stores"),
    Case("results written below a saved portrait", saved, lambda f: check_writable(f / NAME / "a" / "b"), "out must be outside of stores"),
    Case("results written into a store by a link", both(stored, linked("out", NAME)), lambda f: check_writable(f / "out"),
         "out must be outside of stores"),
    Case("results written below a store by a link", both(saved, linked("out", f"{NAME}/outcome/c")),
         lambda f: check_writable(f / "out" / "a"), "out must be outside of stores"),
    Case("a portrait saved into a store by a link", both(stored, linked("out", NAME)),
         lambda f: save_portrait(portrait_of(), f / "out" / "q.nc"), "outside of stores"),
    Case("a sweep into a store by a link", both(stored, linked("out", NAME)),
         lambda f: sweep(Sleeper(), SMALL, store=f / "out" / "q.zarr"), "outside of stores"),
    Case("a portrait saved into a store", stored, lambda f: save_portrait(portrait_of(), f / NAME / "q.nc"), "outside of stores"),
    Case("a sweep into a store", stored, lambda f: sweep(Sleeper(), SMALL, store=f / NAME / "deeper" / "q.zarr"), "outside of stores"),
]



def dangling(name: str) -> Callable[[Path], None]:
    """A file or folder of the store replaced by a link to nothing."""
    def prepare(folder: Path) -> None:
        lost(name)(folder)
        (folder / NAME / name).symlink_to("/nowhere/at/all")

    return prepare


NOWHERE = [case for prepare in (stored, saved) for name, sentence, acts in [
    ("zarr.json", "no portrait|is none|something else", (opened, resumed, status)), ("rose", "rose is missing", (opened, resumed)),
    ("rose/zarr.json", "rose is missing", (opened, resumed)), ("gamma/zarr.json", "gamma is missing", (opened, resumed)),
    ("rose/c/0", "rose (is|are) missing|chunks of rose are missing", (opened,))]
    for case in each(f"{name} a link to nothing, {prepare.__name__}", both(prepare, dangling(name)), sentence, acts)]
NOWHERE += [Case(f"{name} a link to nothing: resumed", both(stored, dangling(name)), resumed, f"cannot write .*{name}")
            for name in ("rose/c", "rose/c/0", "tiles/status", "tiles/status/c")]

CASES = [*OVERWRITE, *MISSING, *EDITED, *ODD, *EXPERIMENTS, *PATHS, *LINKS, *INSIDE, *NOWHERE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_fault_has_its_sentence_and_loses_nothing(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    case.surroundings(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises((Misuse, RuntimeError), match=case.sentence) as caught:
        case.act(tmp_path)
    assert type(caught.value) is Misuse or "sys.exit" in case.sentence
    assert "\n" not in str(caught.value)
    if case.left is UNTOUCHED:
        assert snapshot(tmp_path) == before
    else:
        case.left(tmp_path)


@pytest.mark.parametrize("note", [
    "[]", "3", '"text"', "null", "{", "[[1, 2]]", '{"traceback": 3}', '{"traceback": ""}', '{"runs": 7}', ENDLESS])
def test_notes_of_any_shape_are_read(tmp_path, note):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sweep(Sleeper(ill=(SMALL.gamma[0], SMALL.gamma[0])), SMALL, store=tmp_path / NAME)
        for path in (tmp_path / NAME / "tiles" / "failures").glob("*.json"):
            if path.name != "zarr.json":
                path.write_text(note)
        assert "2 failed" in str(sweep_status(tmp_path / NAME))
        assert (open_portrait(tmp_path / NAME)["outcome"] == Outcome.FAILED).sum() == 24
        same(sweep(Sleeper(), SMALL, store=tmp_path / NAME, retry_failed=True), portrait_of())


@pytest.mark.parametrize(("experiment", "more"), [(Five, {"plane": LARGER}), (FiveSeeded, {"seeds": (0, 3)})])
def test_five_variables_are_enough_for_a_store(tmp_path, experiment, more):
    path, log = tmp_path / NAME, tmp_path / "log"
    sweep(experiment(log=str(log)), SMALL, store=path)
    for stored_attrs in (open_portrait(path).attrs, json.loads((path / "zarr.json").read_text())["attributes"]):
        assert {"rho", "steps", "eta_max_of", "description", "digest"} <= stored_attrs.keys()
        assert "provisional" not in stored_attrs
    before, first = points(log), open_portrait(path)
    plane = more.pop("plane", SMALL)
    larger = experiment(log=str(log), **more)
    with pytest.raises(KeyboardInterrupt):
        sweep(larger, plane, store=path, progress=interrupt_at(1))
    interrupted = open_portrait(path)
    kept = interrupted.sel(gamma=SMALL.gamma, **({"seed": [0]} if more else {}))
    same(kept, first)
    same(sweep(larger, plane, store=path), sweep(experiment(**more), plane))
    assert points(log) == before * (np.prod(plane.shape) // np.prod(SMALL.shape) if not more else 2) or points(log) == np.prod(plane.shape)


def interrupt_at(count: int) -> Callable[[Any], None]:
    """A progress function that interrupts the sweep when so many tiles were finished."""
    seen = []

    def progress(state: Any) -> None:
        seen.append(state)
        if len(seen) > count:
            raise KeyboardInterrupt

    return progress


def test_a_store_that_an_older_version_left_provisional_is_extended(tmp_path):
    path, log = tmp_path / NAME, tmp_path / "log"
    sweep(Five(), SMALL, store=path)
    attrs(provisional=1, rho=None, steps=None, eta_max_of=None, attrs_digest=None, stored_arrays=None)(tmp_path)
    same(sweep(Five(log=str(log)), SMALL, store=path), sweep(Five(), SMALL))
    assert points(log) == 0
    larger = sweep(Five(log=str(log)), LARGER, store=path)
    same(larger, sweep(Five(), LARGER))
    assert points(log) == np.prod(LARGER.shape) - np.prod(SMALL.shape)
    assert (larger.attrs["rho"], larger.attrs["steps"]) == (0.5, 1000)
    # and other variables than its runs have are refused, not started anew
    attrs(provisional=1, attrs_digest=None, stored_arrays=None)(tmp_path)
    with pytest.raises(Misuse, match="same variables"):
        sweep(Sleeper(), PLANE, store=path)
    same(open_portrait(path).sel(gamma=LARGER.gamma, eta=LARGER.eta), larger)


def test_what_a_sweep_overwrites_is_there_until_its_first_tile(tmp_path):
    path, old = tmp_path / NAME, portrait_of()
    seen = []

    class Watching(Sleeper):
        def measure(self, gamma, eta):
            seen.append(sorted(p.name for p in tmp_path.iterdir()))
            if len(seen) == 1:
                same(open_portrait(tmp_path / f".{NAME}.former"), old)
            return super().measure(gamma, eta)

    stored(tmp_path)
    same(overwritten(tmp_path, Watching(scale=2)), portrait_of(2))
    assert seen == [[f".{NAME}.former", NAME], *[[NAME]] * 3]
    same(open_portrait(path), portrait_of(2))
    with warnings.catch_warnings():         # nothing of a third one can be measured: the second is kept, next to the notes
        warnings.simplefilter("ignore")
        overwritten(tmp_path, Sleeper(scale=3, ill=(0, 1e9)))
    assert sweep_status(path).failed == 4
    same(open_portrait(tmp_path / f".{NAME}.former"), portrait_of(2))
    same(sweep(Sleeper(scale=2), SMALL, store=path), portrait_of(2))
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("then", ["opened", "resumed", "overwritten again"])
def test_a_portrait_renamed_away_by_a_killed_sweep_is_put_back(tmp_path, then):
    stored(tmp_path)
    path = tmp_path / NAME
    old = open_portrait(path)
    os.replace(path, tmp_path / f".{NAME}.former")
    if then == "opened":                 # killed before there was another store
        same(opened(tmp_path), old)
    elif then == "resumed":              # killed before its first tile
        with pytest.raises(Misuse, match="sleeper is misused"):
            sweep(Sleeper(scale=2, ill=(0, 1e9), how="misuse"), SMALL, store=tmp_path / "q.zarr")
        os.replace(tmp_path / "q.zarr", path)
        same(resumed(tmp_path), old)
    else:
        with pytest.raises(Misuse, match="sleeper is misused"):
            overwritten(tmp_path, Sleeper(scale=2, ill=(0, 1e9), how="misuse"))
        same(opened(tmp_path), old)
    assert [p.name for p in tmp_path.iterdir()] == [NAME]


CALLS = [(os, "replace"), (os, "mkdir"), (shutil, "rmtree"), (os, "unlink"), (os, "rmdir")]


@pytest.mark.parametrize(("error", "lasting", "late"), [
    (OSError(5, "Input/output error"), False, False), (OSError(5, "Input/output error"), True, False), (KeyboardInterrupt(), False, True)],
    ids=["an error", "an error from then on", "Ctrl-C after the call"])
@pytest.mark.parametrize("act", [lambda f: save_portrait(portrait_of(2, ONE), f / NAME, overwrite=True),
                                 lambda f: overwritten(f, plane=ONE), lambda f: sweep(Sleeper(), SMALL, store=f / NAME)],
                         ids=["save_portrait", "overwriting sweep", "growing store"])
def test_nothing_is_lost_by_an_error_at_any_call(tmp_path, error, lasting, late, act):
    """Every call of the system that renames or removes fails in turn; afterwards the old runs or the new ones can be opened."""
    old, new = portrait_of(plane=ONE), [portrait_of(2, ONE), portrait_of()]
    begin = save_portrait(old, tmp_path / "begin" / NAME).parent
    for fails in range(200):
        folder = shutil.copytree(begin, tmp_path / str(fails))
        with pytest.MonkeyPatch.context() as patch:
            count = inject(patch, folder, fails, error, lasting, late)
            with contextlib.suppress(Misuse, OSError, KeyboardInterrupt):
                act(folder)
        found = open_portrait(folder / NAME)
        former = folder / f".{NAME}.former"
        parts = [found, open_portrait(former)] if former.exists() else [found]
        assert any(contains(part, old) or any(contains(n, part) and (part["outcome"] >= 0).any() for n in new) for part in parts), fails
        if count() <= fails:
            return
    raise AssertionError("more calls than expected")


def inject(patch: pytest.MonkeyPatch, folder: Path, fails: int, error: BaseException, lasting: bool, late: bool) -> Callable[[], int]:
    """Let the call number `fails` on what lies in a folder, and with `lasting` all after it, raise; with `late` after its work is done.

    Calls inside of a portrait are not counted: it is not yet, or no longer, in its place. Nor are those of zarr's threads, which no
    interrupt reaches.
    """
    calls = [0]
    for module, name in CALLS:
        def faulty(*given: Any, call: Any, **more: Any) -> Any:
            places = [Path(p).relative_to(folder) for p in given if isinstance(p, str | Path) and folder in Path(p).parents]
            if threading.current_thread() is not threading.main_thread() or not any(len(p.parts) <= 2 for p in places):
                return call(*given, **more)
            calls[0] += 1
            wrong = calls[0] - 1 == fails or (lasting and calls[0] - 1 > fails)
            if wrong and not late:
                raise error
            result = call(*given, **more)
            if wrong:
                raise error
            return result

        patch.setattr(module, name, partial(faulty, call=getattr(module, name)))
    return lambda: calls[0]


def contains(whole: xr.Dataset, part: xr.Dataset) -> bool:
    """Return whether every run of a portrait is one of another portrait, to the bit."""
    if not (np.isin(part.gamma, whole.gamma).all() and np.isin(part.eta, whole.eta).all()):
        return False
    ran = (part["outcome"] >= 0).values
    cut = whole.sel(gamma=part.gamma, eta=part.eta)
    return all(np.array_equal(cut[n].values[ran], part[n].values[ran]) for n in REQUIRED)


@pytest.mark.parametrize("kind", ["portrait", "observables"])
def test_every_altered_byte_of_a_netcdf_file_is_noticed(tmp_path, kind):
    path = tmp_path / "p.nc"
    if kind == "portrait":
        save_portrait(sweep(Sleeper(), Plane(PLANE.gamma[:2], PLANE.eta[:3])), path)
        act = open_portrait
    else:
        save_observables(xr.Dataset({"a": ("x", np.arange(5.0))}, attrs={"description": "{}"}), path)
        act = partial(open_observables, description={})
    act(path)
    content = path.read_bytes()
    for place in range(0, len(content), 7):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1:])
        with pytest.raises(Misuse):
            act(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs a file that cannot be read, whoever reads it")
def test_a_file_that_cannot_be_read_is_refused():
    with pytest.raises(Misuse, match="/proc/self/mem cannot be read: Input/output error"):
        open_portrait("/proc/self/mem")


def test_a_netcdf_file_of_before_opens(tmp_path):
    portrait = portrait_of()
    portrait.to_netcdf(tmp_path / "p.nc", engine="scipy", format="NETCDF3_64BIT",
                       encoding={str(n): {"_FillValue": None} for n in portrait.variables})
    xr.testing.assert_identical(open_portrait(tmp_path / "p.nc"), portrait)


def test_an_edited_netcdf_description_is_refused_also_without_a_checksum(tmp_path):
    portrait = portrait_of().assign_attrs(description='{"witness": "toy"}')
    with pytest.raises(Misuse, match="a digest that are of two experiments"):
        save_portrait(portrait, tmp_path / "p.nc")
    portrait.to_netcdf(tmp_path / "p.nc", engine="scipy")
    with pytest.raises(Misuse, match="a digest that are of two experiments"):
        open_portrait(tmp_path / "p.nc")


def test_a_store_of_before_opens_and_gets_its_digest(tmp_path):
    stored(tmp_path)
    portrait = open_portrait(tmp_path / NAME)
    attrs(attrs_digest=None, stored_arrays=None, rho=0.4)(tmp_path)
    assert open_portrait(tmp_path / NAME).attrs["rho"] == 0.4
    same(sweep(Sleeper(), LARGER, store=tmp_path / NAME), portrait_of(plane=LARGER))
    same(open_portrait(tmp_path / NAME).sel(gamma=SMALL.gamma), portrait)
    attrs(rho=0.3)(tmp_path)
    with pytest.raises(Misuse, match=ALTERED):
        opened(tmp_path)


@pytest.mark.parametrize("executor", [None, lambda: ThreadPoolExecutor(1), executors.processes(1)])
def test_sys_exit_in_a_worker_fails_its_tile(tmp_path, executor):
    experiment = Exiting(ill=(SMALL.gamma[0], SMALL.gamma[0]))
    with pytest.warns(UserWarning, match="2 of 4 tiles failed"):
        portrait = sweep(experiment, SMALL, store=tmp_path / NAME, executor=executor)
    assert (portrait["outcome"] == Outcome.FAILED).sum() == 24
    assert "measure() called sys.exit(0)" in str(sweep_status(tmp_path / NAME))


@dataclasses.dataclass(frozen=True)
class Exiting(Sleeper):
    """A sleeper that ends its process, as if all were well."""

    def measure(self, gamma, eta):
        try:
            return super().measure(gamma, eta)
        except RuntimeError:
            sys.exit(0)


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / NAME
    link.symlink_to(Path("there") / "real.zarr")
    sweep(Sleeper(), SMALL, store=link)
    save_portrait(portrait_of(2), link, overwrite=True)
    same(sweep(Sleeper(scale=2), LARGER, store=link), sweep(Sleeper(scale=2), LARGER))
    assert link.is_symlink()
    assert sorted(p.name for p in tmp_path.rglob("*.zarr")) == [NAME, "real.zarr"]
    assert [p.name for p in (tmp_path / "there").iterdir()] == ["real.zarr"]


@pytest.mark.parametrize("name", [b"p\xff.zarr", "p\udcfe.zarr", b"plain", " ", "é" * 100], ids=range(5))
@pytest.mark.parametrize("suffix", ["", ".nc"])
def test_any_name_that_a_file_may_have(tmp_path, name, suffix):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name) + suffix.encode())
    if isinstance(name, str):
        path = os.fsdecode(path)
    if suffix:
        save_portrait(portrait_of(), path)
    else:
        sweep(Sleeper(), SMALL, store=path)
    same(open_portrait(path), portrait_of())


def test_folders_in_folders(tmp_path):
    path = Path(tmp_path, *["f"] * 1100, NAME)
    try:
        sweep(Sleeper(), SMALL, store=path)
        same(open_portrait(path), portrait_of())
    finally:
        subprocess.run(["rm", "-r", tmp_path / "f"], check=True)        # shutil.rmtree, and pytest with it, calls itself for every folder


def test_metadata_and_status_are_on_the_disk_before_they_have_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_store, "SYNC_SECONDS", 0.0)
    synced, renamed = set(), []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.add(os.fstat(handle).st_ino), fsync(handle))[1])

    def watch(source: Any, target: Any) -> None:
        for path in [Path(source), *Path(source).rglob("*")]:
            if path.is_file():
                renamed.append((str(target), path.name, path.stat().st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    sweep(Sleeper(), SMALL, store=tmp_path / NAME)
    save_portrait(portrait_of(), tmp_path / "p.nc")
    needed = [(target, name, inode) for target, name, inode in renamed
              if name == "zarr.json" or target.endswith((".nc", "zarr.json")) or "/status/c/" in target]
    needed = [entry for entry in needed if "/draft/" not in entry[0]]       # these are synced before the draft gets its name
    assert len(needed) > 10
    assert not [entry for entry in needed if entry[2] not in synced]


def test_tiles_wait_for_the_disk_once_a_second_and_a_lost_status_loses_no_run(tmp_path, monkeypatch):
    synced, log = [], tmp_path / "log"
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))[1])
    monkeypatch.setattr(zarr_store, "SYNC_SECONDS", 3600.0)
    with pytest.warns(UserWarning, match="failed"):
        sweep(Sleeper(ill=(LARGER.gamma[-1], LARGER.gamma[-1])), LARGER, store=tmp_path / NAME)
    assert len([path for path in synced if "/status/c/" in path]) == 3       # of six tiles the first, and the two that failed
    for path in (tmp_path / NAME / "tiles" / "status" / "c" / "0").rglob("*"):
        if path.is_file() and path.read_bytes() == b"\1":
            path.write_bytes(b"")
    assert sweep_status(tmp_path / NAME).left == 4
    same(sweep(Sleeper(log=str(log)), LARGER, store=tmp_path / NAME, retry_failed=True), portrait_of(plane=LARGER))
    assert points(log) == 24


def unreadable(store: Path, error: OSError) -> Callable[[pytest.MonkeyPatch], None]:
    """Let the chunks of one variable not be read."""
    def read(path, read=chunks.read_bytes):
        if "/rose/c/" in str(path):
            raise error
        return read(path)

    return lambda patch: patch.setattr(chunks, "read_bytes", read)


def grown(folder: Path) -> Any:
    return sweep(Sleeper(), LARGER, store=folder / NAME)


@pytest.mark.parametrize("act", [opened, resumed, grown, status])
@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), OSError(5, "Input/output error"), PermissionError(13, "Denied")],
                         ids=lambda e: e.strerror)
def test_what_cannot_be_read_now_is_not_thrown_away(tmp_path, act, error):
    """A file that cannot be opened is no damaged one: damaged tiles are removed and measured again."""
    stored(tmp_path)
    before = snapshot(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        unreadable(tmp_path / NAME, error)(patch)
        with pytest.raises(Misuse, match=f"rose/c/.* cannot be read: {error.strerror}"):
            act(tmp_path)
    assert snapshot(tmp_path) == before


def test_what_somebody_puts_into_a_store_is_kept(tmp_path):
    path = tmp_path / NAME
    stored(tmp_path)
    (path / "notes.md").write_text("mine")
    (path / "more").mkdir()
    (path / "more" / "data.csv").write_text("1,2")
    (path / "link").symlink_to("notes.md")
    before = snapshot(tmp_path)
    for act in (replaced, overwritten, partial(overwritten, experiment=Sleeper(), plane=ONE)):
        with pytest.raises(Misuse, match=r"also holds link, more, notes\.md, which"):
            act(tmp_path)
    assert snapshot(tmp_path) == before
    same(grown(tmp_path), portrait_of(plane=LARGER))
    same(opened(tmp_path), portrait_of(plane=LARGER))
    assert (path / "notes.md").read_text() == "mine"
    assert (path / "more" / "data.csv").read_text() == "1,2"
    assert os.readlink(path / "link") == "notes.md"


def test_the_names_of_experiments_are_stable():
    assert name_experiment({"b": 1, "a": (2,)})["description"] == '{"a": [2], "b": 1}'
    assert name_experiment({"a": [2], "b": 1}) == name_experiment({"b": 1, "a": (2,)})
    assert len(name_experiment({3: 1})["digest"]) == 16
