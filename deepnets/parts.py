"""Measure a dataset in parts of minutes, each stored when it is done; resume after an interruption, and join the parts to one file.

For measurements longer than a machine can be had at a time. The file is netCDF of the classic format, which needs scipy alone.
"""

from __future__ import annotations

import functools
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from deepnets.cost import Cost, Machine, find_machine
from deepnets.device import describe_device
from validation.arguments import Misuse
from validation.experiment import hash_json
from validation.outcome import Outcome
from validation.printable import print_text
from validation.provenance import collect_provenance
from validation.storage.files import check_writable, open_portrait, save_portrait
from validation.storage.netcdf import read_netcdf, write_netcdf
from validation.storage.observations import rename_variables

MOST_FAILED = 0.1          # share of failed runs; a part with more is not stored
PIECE = "piece_digest"     # the attribute; "digest" is that of a portrait's experiment


@dataclass(frozen=True)
class Part:
    """One uninterrupted measurement, and a function that estimates its cost on a machine."""

    name: str
    measure: Callable[[], xr.Dataset]
    cost: Callable[[Machine], Cost]


@dataclass(frozen=True)
class Piece:
    """One file of results, measured in parts.

    Attributes
    ----------
    name : of the file.
    attrs : further attributes of the file.
    description : all that the numbers depend on, as JSON; another description is another measurement.
    parts : measured in this order.
    along : the dimension along which the parts are joined.
    """

    name: str
    attrs: Mapping[str, Any]
    description: Mapping[str, Any] = field(repr=False)
    parts: tuple[Part, ...] = field(repr=False)
    along: str = "seed"

    @property
    def digest(self) -> str:
        """The digest of what is measured, independent of the machine."""
        return hash_json([self.name, self.description, self.along])

    def is_complete(self, folder: Path) -> bool:
        """Return whether the folder holds the whole piece with this digest."""
        return self._matches(folder / f"{self.name}.nc")

    def missing(self, folder: Path) -> list[Part]:
        """Return the parts that are not measured yet."""
        return [] if self.is_complete(folder) else [p for p in self.parts if not self._matches(self._path(folder, p))]

    def run(self, folder: Path, device: str, skip: Callable[[Part], bool] | None = None,
            report: Callable[[Part, float], None] | None = None) -> Iterator[str]:
        """Measure the missing parts and yield a line for each; join them when all are stored.

        `skip` chooses parts that are left for another time, and `report` receives each measured part and its seconds.

        Each part's attributes give the versions, the device, the seconds that it took and its peak memory.

        Raises
        ------
        Misuse : a stored part or piece cannot be read, or nothing can be written.
        RuntimeError : more than a tenth of a part's runs failed; it is not stored.
        """
        for part in self.missing(folder):
            if skip is not None and skip(part):
                continue
            if device.startswith("cuda"):
                torch.cuda.reset_peak_memory_stats(device)
            begin = time.perf_counter()
            data = part.measure()
            seconds = time.perf_counter() - begin
            _refuse_failures(data)
            if report is not None:
                report(part, seconds)
            attrs = collect_provenance() | describe_device(device) | {"seconds": seconds, PIECE: self.digest}
            write_data(data.assign_attrs(attrs), self._path(folder, part))
            yield f"{self.name}, {part.name}: {seconds:.1f} s"
        if not self.is_complete(folder) and not self.missing(folder):
            self._join(folder)

    def _join(self, folder: Path) -> None:
        paths = [self._path(folder, p) for p in self.parts]
        parts = [read_data(path) for path in paths]
        whole = parts[0] if len(parts) == 1 else xr.concat(parts, self.along, combine_attrs="override", join="outer")
        whole.attrs |= {**self.attrs, PIECE: self.digest, "seconds": sum(p.attrs["seconds"] for p in parts),
                        "peak_memory": max(p.attrs["peak_memory"] for p in parts)}
        write_data(whole, folder / f"{self.name}.nc")
        for path in paths:
            path.unlink()

    def _path(self, folder: Path, part: Part) -> Path:
        return folder / ".parts" / f"{self.name}-{part.name}.nc"

    def _matches(self, path: Path) -> bool:
        if not path.exists():
            return False
        try:
            with xr.open_dataset(path, engine="scipy") as data:
                return self.digest in (data.attrs.get(PIECE), data.attrs.get("digest"))      # the latter in files written before
        except Exception as error:        # scipy and xarray raise many kinds of errors on a broken file
            raise Misuse(f"{path} cannot be read ({type(error).__name__}); move it away to measure it again") from error


def _refuse_failures(data: xr.Dataset) -> None:
    """Raise RuntimeError if more than a tenth of a portrait's runs failed."""
    if "outcome" in data:
        share = float((data["outcome"] == Outcome.FAILED).mean())
        if share > MOST_FAILED:
            raise RuntimeError(f"{share:.0%} of the runs failed: {data.attrs.get('failures', '')[:1000]}")


class _Pace:
    """Whether a part fits into the time that is left: its estimate times what was measured over what was estimated so far."""

    def __init__(self, machine: Callable[[], Machine], end: float) -> None:
        self.machine, self.end = functools.cache(machine), end
        self.estimated = self.measured = 0.0

    def exceeds(self, part: Part) -> bool:
        """Return whether a part would take longer than there is time."""
        if self.end == float("inf"):
            return False
        ratio = self.measured / self.estimated if self.estimated else 1.0
        return time.monotonic() + part.cost(self.machine()).seconds * ratio > self.end

    def record(self, part: Part, seconds: float) -> None:
        """Add a measured part."""
        if self.end < float("inf"):
            self.estimated += part.cost(self.machine()).seconds
            self.measured += seconds


def list_costs(pieces: Iterable[Piece], folder: Path, on: Machine) -> str:
    """Return the table of pieces with the estimated costs of their missing parts on a machine, in markdown.

    It has a column for each of the attributes ``figure`` and ``what``.
    """
    lines = ["| piece | figure | what | parts left | TFLOP | seconds | GB |", "|" + "---|" * 7]
    seconds = []
    for piece in pieces:
        costs = [part.cost(on) for part in piece.missing(folder)]
        seconds += [cost.seconds for cost in costs]
        total = sum(costs, Cost(0, 0, 0))
        entry = ("done", "", "", "") if not costs else (
            f"{len(costs)} of {len(piece.parts)}", f"{total.operations / 1e12:.3g}", f"{total.seconds:.3g}", f"{total.memory / 1e9:.3g}")
        lines.append(f"| {piece.name} | {piece.attrs['figure']} | {piece.attrs['what']} | {' | '.join(entry)} |")
    return "\n".join([*lines, "", f"{len(lines) - 2} pieces; {sum(seconds) / 60:.3g} minutes left by these estimates, the longest part "
                                  f"{max(seconds, default=0) / 60:.2g} minutes."])


def measure_pieces(pieces: Sequence[Piece], folder: Path, device: str, minutes: float = float("inf")) -> bool:
    """Measure the missing parts until the time is up, print a line for each, and return whether none failed.

    A piece that fails does not stop the others; its traceback is printed. A part that does not fit into the time left is skipped: its
    estimate is corrected by how long the parts before it took. The first part is measured whatever its estimate.
    """
    if not minutes >= 0:
        raise Misuse(f"minutes must be a number of at least zero, not {minutes!r}")
    folder = check_writable(folder)
    end, succeeded = time.monotonic() + 60 * minutes, True
    pace = _Pace(lambda: find_machine(device), end)
    for number, piece in enumerate(pieces, start=1):
        try:
            for line in piece.run(folder, device, lambda part: pace.measured > 0 and pace.exceeds(part), pace.record):
                print(f"[{number}/{len(pieces)}] {line}", flush=True)
                if time.monotonic() > end and piece.missing(folder):
                    break
        except Misuse:
            raise
        except Exception:
            print_text(traceback.format_exc().rstrip(), sys.stderr)
            print(f"[{number}/{len(pieces)}] {piece.name} failed; the other pieces continue", file=sys.stderr, flush=True)
            succeeded = False
        if time.monotonic() > end or (piece is pieces[-1] and any(not p.is_complete(folder) for p in pieces) and succeeded
                                      and end < float("inf")):
            left = sum(not p.is_complete(folder) for p in pieces)
            print(f"{minutes:g} minutes are up; {left} pieces are left: rerun the same command to resume")
            break
    return succeeded


def write_data(data: xr.Dataset, path: Path) -> None:
    """Write a portrait or another dataset as netCDF of the classic format, the whole file or none."""
    if "outcome" in data:
        save_portrait(data, path, overwrite=True)
    else:
        write_netcdf(data, path)


def read_data(path: Path) -> xr.Dataset:
    """Return what `write_data` wrote, in memory."""
    data = read_netcdf(path)
    return open_portrait(path) if "outcome" in data else rename_variables(data)
