"""A piece of the campaign: parts that are measured one after the other, each kept when it is done, and joined to one file at the end."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from gallery.files import read, write
from validation.arguments import Misuse
from validation.experiment import hash_json
from validation.provenance import collect_provenance

PARTS = ".parts"       # of the folder of results: what is done of pieces that are not


@dataclass(frozen=True)
class Cost:
    """What a part takes, as estimated before it is run: operations, seconds on one device, and bytes at its peak."""

    operations: float
    seconds: float
    memory: float


@dataclass(frozen=True)
class Part:
    """What is measured without a break, and what it costs on an `estimates.Machine`."""

    name: str
    measure: Callable[[], xr.Dataset]
    cost: Callable[[Any], Cost]


@dataclass(frozen=True)
class Piece:
    """One file of the campaign.

    Attributes
    ----------
    item : of the campaign's list, "a" to "h".
    name : of the file.
    figure : the paper's, that it measures again.
    what : network, data and training, the data by their own name where they stand in for the paper's.
    description : all that its numbers depend on, as JSON would hold it.
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
        """A name for what is measured, whatever the machine."""
        return hash_json([self.name, self.description, self.along])

    def done(self, folder: Path) -> bool:
        """Return whether the folder holds this very piece."""
        return _is(folder / f"{self.name}.nc", self.digest)

    def left(self, folder: Path) -> list[Part]:
        """Return the parts that are not measured yet."""
        return [] if self.done(folder) else [p for p in self.parts if not _is(self._place(folder, p), self.digest)]

    def run(self, folder: Path, device: str) -> Iterator[str]:
        """Measure what is left, yielding a line for each part; the file is there once all of them are."""
        for part in self.left(folder):
            if device.startswith("cuda"):
                torch.cuda.reset_peak_memory_stats(device)
            begin = time.perf_counter()
            made = part.measure()
            told = collect_provenance() | _machine(device) | {"seconds": time.perf_counter() - begin, "digest": self.digest}
            write(made.assign_attrs(told), self._place(folder, part))
            yield f"{self.name}, {part.name}: {told['seconds']:.1f} s"
        if not self.done(folder):
            self._join(folder)

    def _join(self, folder: Path) -> None:
        places = [self._place(folder, p) for p in self.parts]
        parts = [read(place) for place in places]
        whole = parts[0] if len(parts) == 1 else xr.concat(parts, self.along, combine_attrs="override", join="outer")
        peaks = [p.attrs["peak_memory"] for p in parts]
        whole.attrs |= {"item": self.item, "figure": self.figure, "what": self.what, "digest": self.digest,
                        "seconds": sum(p.attrs["seconds"] for p in parts), "peak_memory": max(peaks)}
        write(whole, folder / f"{self.name}.nc")
        for place in places:
            place.unlink()

    def _place(self, folder: Path, part: Part) -> Path:
        return folder / PARTS / f"{self.name}-{part.name}.nc"


def _is(path: Path, digest: str) -> bool:
    if not path.exists():
        return False
    try:
        with xr.open_dataset(path, engine="scipy") as held:
            return bool(held.attrs.get("digest") == digest)
    except Exception as error:        # whatever scipy and xarray raise on a broken file means one thing
        raise Misuse(f"{path} cannot be read ({type(error).__name__}); move it away, and it is measured again") from error


def _machine(device: str) -> dict[str, Any]:
    """Return the device, its driver and the most memory that was in use on it."""
    if not device.startswith("cuda"):
        import resource

        return {"device": f"CPU, {platform.machine()}", "driver": "none",
                "peak_memory": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)}
    driver = getattr(torch._C, "_cuda_getDriverVersion", lambda: 0)()
    return {"device": torch.cuda.get_device_name(device), "driver": f"CUDA driver {driver}, runtime {torch.version.cuda}",
            "peak_memory": float(torch.cuda.max_memory_allocated(device))}
