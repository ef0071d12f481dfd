"""`python -m deepnets`: the command `lazyrich deep` for a machine without cyclopts, zarr or Dask; its portrait is a netCDF file there."""

from __future__ import annotations

from validation.interrupts import handle_interrupts

if __name__ == "__main__":
    handle_interrupts("deepnets")

import argparse
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from deepnets.cli_options import DeepOptions
from deepnets.observation.selection import ObserveOptions
from deepnets.pipeline import run_pipeline
from validation.cli_options import SweepOptions
from validation.plotting.figure_options import NetworkFigureOptions
from validation.reporting.streams import catch_errors, run_program

T = TypeVar("T")
RECORDS = (DeepOptions, SweepOptions, ObserveOptions, NetworkFigureOptions)


def main(words: list[str] | None = None) -> int:
    """Run the pipeline and return the exit code: 0 done, 1 tiles failed (or, with --strict, CONTRADICTED), 2 misuse, 130 interrupted."""
    return catch_errors("deepnets", lambda: _run(words))


def _run(words: list[str] | None) -> int:
    given = vars(_build_parser().parse_args(words))
    return run_pipeline(_build(DeepOptions, given), _build(SweepOptions, given), _build(ObserveOptions, given),
                        _build(NetworkFigureOptions, given), **given)


class _Parser(argparse.ArgumentParser):
    """A parser that does not suppress the error of a stream to which its long help cannot be written, as argparse does."""

    def _print_message(self, message: str, file: Any = None) -> None:
        print(message, end="", file=file or sys.stderr)


def _build(record: type[T], given: dict[str, Any]) -> T:
    """Return a record of options, whose fields are taken out of `given`."""
    return record(**{field.name: given.pop(field.name) for field in fields(record)})      # type: ignore[arg-type]


def _build_parser() -> argparse.ArgumentParser:
    """Return a parser whose options are the fields of the records, with their help texts."""
    parser = _Parser(prog="python -m deepnets", formatter_class=argparse.ArgumentDefaultsHelpFormatter,
                                     description="Train a network over the plane of gamma and eta, find its edges, fit, judge against the "
                                                 "predicted exponents and levels, draw. The same as `lazyrich deep`; libraries that are "
                                                 "missing cost only what they would write.")
    for record in RECORDS:
        _add_options(parser, record)
    parser.add_argument("--out", type=Path, metavar="PATH", help="the folder to write to, or a file ending in .nc for the portrait alone; "
                                                                 "if not given, lazyrich-deep/ and the experiment's name")
    parser.add_argument("--strict", action="store_true", help="exit with 1 if a verdict is CONTRADICTED")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no table")
    return parser


def _add_options(parser: argparse.ArgumentParser, record: type) -> None:
    """Add an option for each field of a record, with the text of its docstring."""
    # python -OO has no docstrings
    texts = dict(re.findall(r"^    (\w+)\n        (.+)$", record.__doc__ or "", re.MULTILINE))
    hints = get_type_hints(record)
    for field in fields(record):
        option, how = f"--{field.name.replace('_', '-')}", {"default": field.default, "help": texts.get(field.name, "").replace("%", "%%")}
        union = get_origin(hints[field.name]) in (Union, UnionType)
        kind = next(k for k in (get_args(hints[field.name]) if union else (hints[field.name],)) if k is not type(None))
        if kind is bool:
            parser.add_argument(option, action="store_true", help=texts.get(field.name))
        elif get_origin(kind) is Literal:
            parser.add_argument(option, choices=get_args(kind), **how)
        elif get_origin(kind) is tuple:
            parser.add_argument(option, nargs=2, type=float, metavar=("LOW", "HIGH"), **how)
        else:
            parser.add_argument(option, type=kind, metavar=field.name.upper(), **how)


if __name__ == "__main__":
    run_program("deepnets", main)
