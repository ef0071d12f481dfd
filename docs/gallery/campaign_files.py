"""Read the netCDF files of the campaign on a GPU, and draw their portraits for the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

from deepnets.parts import read_data
from deepnets.theory import theory_of
from gallery.portraits import draw_side_by_side

CAMPAIGN = Path(__file__).parent.parent / "data" / "campaign"


def read_experiments(folder: Path) -> Iterator[tuple[str, xr.Dataset]]:
    """Yield the experiments of a folder by name, each over its seeds, of which a portrait has one in each file."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.nc")):
        files.setdefault(path.stem.partition("-seed")[0], []).append(path)
    for name, paths in files.items():
        seeds = [read_data(path) for path in paths]
        yield name, seeds[0] if len(seeds) == 1 else xr.concat(seeds, "seed", combine_attrs="override")


def draw_campaign(*numbers: str, folder: Path = CAMPAIGN) -> Any:
    """Draw the campaign's portraits of the paper's figures with these numbers, such as "1c"; return None where there are none."""
    panels, devices = {}, set()
    for _, data in read_experiments(folder):
        attrs = data.attrs
        if set(numbers) & set(attrs.get("figure", "").split(", ")) and "outcome" in data and not attrs["device"].startswith("CPU"):
            panels[attrs["what"].replace(", ", "\n", 1)] = data, theory_of(json.loads(attrs["description"]))[1]
            devices.add(attrs["device"])
    if not panels:
        print("Not measured on a GPU yet; `lazyrich campaign` measures it.")
        return None
    figure, _ = draw_side_by_side(panels)
    figure.set_label(f"Portraits that the campaign measured on {', '.join(sorted(devices))} ({len(panels)}), with the predicted slopes")
    return figure
