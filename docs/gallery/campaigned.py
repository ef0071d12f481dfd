"""What the campaign on a GPU has left in docs/data/campaign: its files by experiment, and their portraits beside a page's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from deepnets.theory import theory_of
from gallery.files import read
from gallery.portraits import side_by_side

CAMPAIGN = Path(__file__).parent.parent / "data" / "campaign"


def together(folder: Path) -> Iterator[tuple[str, list[xr.Dataset]]]:
    """Yield the experiments of a folder by name, each with its files: one a seed, or a single one."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.nc")):
        found.setdefault(path.stem.partition("-seed")[0], []).append(path)
    for name, paths in found.items():
        yield name, [read(path) for path in paths]


def portrait_of(files: list[xr.Dataset]) -> xr.Dataset:
    """Return the portrait over the seeds of one experiment."""
    return xr.concat(files, "seed", combine_attrs="override")


def on_a_gpu(*numbers: str, folder: Path = CAMPAIGN) -> Any:
    """Draw the portraits that a GPU has measured of the paper's figures of these numbers, such as "1c"; None where there are none."""
    panels, devices = {}, set()
    for _, files in together(folder):
        attrs = files[0].attrs
        measures_again = set(numbers) & set(attrs.get("figure", "").split(", "))
        if measures_again and "outcome" in files[0] and not attrs["device"].startswith("CPU"):
            panels[attrs["what"].replace(", ", "\n", 1)] = portrait_of(files), theory_of(json.loads(attrs["description"]))[1]
            devices.add(attrs["device"])
    if not panels:
        print("Not measured on a GPU yet; `lazyrich campaign` does it.")
        return None
    figure, _ = side_by_side(panels)
    many = "The portrait" if len(panels) == 1 else f"{len(panels)} portraits"
    figure.set_label(f"{many} that the campaign measured on {', '.join(sorted(devices))}, with the predicted slopes over "
                     f"{'it' if len(panels) == 1 else 'them'}")
    return figure
