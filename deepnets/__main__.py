"""`python -m deepnets`: the plane of `lazyrich deep` on a bare machine: torch, numpy, scipy and xarray are enough.

Everything is plain text, and the portrait one netCDF file, which `lazyrich judge` takes on another machine. The file is written anew
after each block of gammas: what an interruption leaves is the portrait of the gammas that are finished, and the same command goes on.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import xarray as xr

from deepnets.cli_options import Setting
from deepnets.network_edges import plan, read, slug, theory_of, traced, unclaimed
from deepnets.observation.selection import Observing
from validation.arguments import Misuse
from validation.experiment import digest
from validation.plane import Plane
from validation.progress import bar
from validation.storage.files import check_writable, open_portrait, save_portrait
from validation.sweeping.run_sweep import sweep

DONE, MISUSE, INTERRUPTED = 0, 2, 130


def main(words: list[str] | None = None) -> int:
    """Train, write, tell; return the exit code: 0 done, 2 misuse, 130 interrupted."""
    try:
        told = vars(_parser().parse_args(words))
        out, overwrite = told.pop("out"), told.pop("overwrite")
        observing = Observing(**{field.name: told.pop(field.name) for field in fields(Observing)})
        return _run(Setting(**told), observing, out, overwrite)
    except Misuse as error:
        print(f"deepnets: {error}", file=sys.stderr)
        return MISUSE
    except KeyboardInterrupt:
        print("deepnets: interrupted", file=sys.stderr)
        return INTERRUPTED


def _run(setting: Setting, observing: Observing, out: Path | None, overwrite: bool) -> int:
    from validation.judging.assessment import assess

    experiment, plane = setting.experiment(), setting.plane()
    description = experiment.describe()
    title, claims = theory_of(description)
    target = (out or Path(slug(description))).with_suffix(".nc")
    beside = target.with_name(f"{target.stem}-observed.nc")
    if observing.names:
        from deepnets.observation import best_rates

        best_rates.check(experiment, observing, beside, overwrite)
    check_writable(target.parent)
    portrait = _swept(experiment, plane, target, overwrite, setting.accuracy)
    edges, found = read(portrait, claims)
    regimes = [] if setting.no_trace else plan(portrait, claims)
    if regimes:
        with bar(sum(r.runs(len(experiment.seeds)) for r in regimes), "tracing", "runs") as advance:
            edges, found = traced(experiment, regimes, claims, advance)
    print(f"{title}\n{_brackets(edges)}")
    for assessment in assess(edges, found, setting.tolerance):
        print(assessment.verdict.sentence)
    print("\n".join([*unclaimed(edges, found), f"Written to {target}"]))
    if observing.names:
        seen, more = best_rates.along(portrait, experiment, observing, beside, True, overwrite)
        print("\n".join([*more, *([f"Observables written to {beside}"] if seen is not None else [])]))
    return DONE


def _swept(experiment: Any, plane: Plane, target: Path, overwrite: bool, accuracy: float) -> xr.Dataset:
    """Return the portrait, swept in blocks of gammas, the file being written after each; gammas that the file holds are not run again."""
    done: xr.Dataset | None = None
    if target.exists() and not overwrite:
        done = open_portrait(target)
        known = digest(experiment.describe()), _first(plane, done.sizes["gamma"]).digest
        if known != (done.attrs.get("digest"), done.attrs.get("plane")) or done["seed"].values.tolist() != list(experiment.seeds):
            raise Misuse(f"out already holds another portrait, {target}; choose another file with --out, or replace it with --overwrite")
    rows, total, start = experiment.tile[0], len(plane.gamma), 0 if done is None else done.sizes["gamma"]
    with bar(total, "sweeping", "gammas", before=start) as advance:
        for first in range(start, total, rows):
            last = min(first + rows, total)
            block = sweep(experiment, Plane(*plane.part(slice(first, last), slice(None)))).assign_attrs(accuracy=accuracy)
            done = block if done is None else xr.concat([done, block], "gamma", combine_attrs="override", data_vars="minimal")
            done.attrs["plane"] = _first(plane, last).digest
            save_portrait(done, target, overwrite=True)
            advance(last - first)
    assert done is not None
    return done


def _first(plane: Plane, count: int) -> Plane:
    """Return the part of a plane that holds its first gammas."""
    return Plane(*plane.part(slice(0, count), slice(None)))


def _brackets(edges: xr.Dataset) -> str:
    """Return the edges as a table in plain text, the median over the seeds."""
    eta = edges["eta"].median("seed") if "seed" in edges["eta"].dims else edges["eta"]
    names = [str(n) for n in edges["edge"].values if eta.sel(edge=n).notnull().any()]
    lines = ["gamma".ljust(11) + "".join(n.ljust(25) for n in names)]
    for gamma in edges["gamma"].values:
        cells = []
        for name in names:
            low, high = (float(eta.sel(edge=name, gamma=gamma, bound=b)) for b in ("lower", "upper"))
            cells.append("-" if np.isnan(low) and np.isnan(high) else f"{low:.4g} to {high:.4g}")
        lines.append(f"{gamma:<11.4g}" + "".join(c.ljust(25) for c in cells).rstrip())
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    """Return a parser whose options are the fields of `Setting` and `Observing`, with their texts."""
    parser = argparse.ArgumentParser(prog="python -m deepnets", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                     description="Train networks over the plane of gamma and eta; tell edges, fits and verdicts; write "
                                                 "the portrait as netCDF. The same as `lazyrich deep`, without its dependencies.")
    for record in (Setting, Observing):
        _add(parser, record)
    parser.add_argument("--out", type=Path, metavar="FILE", help="the netCDF file; if not given, named after the experiment")
    parser.add_argument("--overwrite", action="store_true", help="replace another experiment's portrait that lies in the way")
    return parser


def _add(parser: argparse.ArgumentParser, record: type) -> None:
    """Add an option for each field of a record, with its text."""
    texts = dict(re.findall(r"^    (\w+)\n        (.+)$", record.__doc__ or "", re.MULTILINE))
    hints = get_type_hints(record)
    for field in fields(record):
        option, how = f"--{field.name.replace('_', '-')}", {"default": field.default, "help": texts[field.name].replace("%", "%%")}
        kinds = [k for k in (get_args(hints[field.name]) if get_origin(hints[field.name]) in (Union, UnionType) else
                             (hints[field.name],)) if k is not type(None)]
        kind = kinds[0]
        if kind is bool:
            parser.add_argument(option, action="store_true", help=texts[field.name])
        elif get_origin(kind) is Literal:
            parser.add_argument(option, choices=get_args(kind), **how)
        elif get_origin(kind) is tuple:
            parser.add_argument(option, nargs=2, type=float, metavar=("LOW", "HIGH"), **how)
        else:
            parser.add_argument(option, type=kind, metavar=field.name.upper(), **how)


if __name__ == "__main__":
    sys.exit(main())
