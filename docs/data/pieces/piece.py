"""A piece of the campaign: parts that are measured and stored one after the other, and joined to one file at the end."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from gallery.campaign_files import read_data, write_data
from pieces.estimates import Cost, Machine
from validation.arguments import Misuse
from validation.experiment import hash_json
from validation.provenance import collect_provenance


@dataclass(frozen=True)
class Part:
    """One uninterrupted measurement, and a function that estimates its cost on a machine."""

    name: str
    measure: Callable[[], xr.Dataset]
    cost: Callable[[Machine], Cost]


@dataclass(frozen=True)
class Piece:
    """One file of the campaign.

    Attributes
    ----------
    item : of the campaign's list, "a" to "h".
    name : of the file.
    figure : of the paper.
    what : network, data and training; data that stand in for the paper's are named.
    description : all that the numbers depend on, as JSON.
    parts : measured in this order.
    along : the dimension along which the parts are joined.
    """

    item: str
    name: str
    figure: str
    what: str
    description: dict[str, Any] = field(repr=False)
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

    def run(self, folder: Path, device: str) -> Iterator[str]:
        """Measure the missing parts and yield a line for each; join them when all are stored."""
        for part in self.missing(folder):
            if device.startswith("cuda"):
                torch.cuda.reset_peak_memory_stats(device)
            begin = time.perf_counter()
            data = part.measure()
            seconds = time.perf_counter() - begin
            attrs = collect_provenance() | describe_machine(device) | {"seconds": seconds, "digest": self.digest}
            write_data(data.assign_attrs(attrs), self._path(folder, part))
            yield f"{self.name}, {part.name}: {seconds:.1f} s"
        if not self.is_complete(folder):
            self._join(folder)

    def _join(self, folder: Path) -> None:
        paths = [self._path(folder, p) for p in self.parts]
        parts = [read_data(path) for path in paths]
        whole = parts[0] if len(parts) == 1 else xr.concat(parts, self.along, combine_attrs="override", join="outer")
        whole.attrs |= {"item": self.item, "figure": self.figure, "what": self.what, "digest": self.digest,
                        "seconds": sum(p.attrs["seconds"] for p in parts), "peak_memory": max(p.attrs["peak_memory"] for p in parts)}
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
                return bool(data.attrs.get("digest") == self.digest)
        except Exception as error:        # scipy and xarray raise many kinds of errors on a broken file
            raise Misuse(f"{path} cannot be read ({type(error).__name__}); move it away to measure it again") from error


def describe_machine(device: str) -> dict[str, Any]:
    """Return the device, its driver and the peak memory that was in use on it, in bytes."""
    if not device.startswith("cuda"):
        return {"device": f"CPU, {platform.machine()}", "driver": "none",
                "peak_memory": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)}
    driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return {"device": torch.cuda.get_device_name(device), "driver": f"CUDA driver {driver}, runtime {torch.version.cuda}",
            "peak_memory": float(torch.cuda.max_memory_allocated(device))}
