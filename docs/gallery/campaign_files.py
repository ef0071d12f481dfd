"""Read and write the netCDF files of the campaign on a GPU, and draw their portraits for the pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import xarray as xr

import validation
from deepnets.theory import theory_of
from gallery.portraits import draw_side_by_side
from validation.storage.atomic import replace_path
from validation.storage.observations import rename_variables

CAMPAIGN = Path(__file__).parent.parent / "data" / "campaign"


def write_data(data: xr.Dataset, path: Path) -> None:
    """Write a portrait or another dataset as netCDF of the classic format, the whole file or none."""
    if "outcome" in data:
        validation.save_portrait(data, path, overwrite=True)
    else:
        with replace_path(path) as draft:
            data.to_netcdf(draft, engine="scipy")


def read_data(path: Path) -> xr.Dataset:
    """Return what `write_data` wrote, in memory."""
    data = xr.load_dataset(path, engine="scipy")
    return validation.open_portrait(path) if "outcome" in data else rename_variables(data)


def read_experiments(folder: Path) -> Iterator[tuple[str, list[xr.Dataset]]]:
    """Yield the experiments of a folder by name, each with its files, one for each seed."""
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.nc")):
        files.setdefault(path.stem.partition("-seed")[0], []).append(path)
    for name, paths in files.items():
        yield name, [read_data(path) for path in paths]


def join_seeds(files: list[xr.Dataset]) -> xr.Dataset:
    """Return the portrait over the seeds of one experiment."""
    return xr.concat(files, "seed", combine_attrs="override")


def draw_campaign(*numbers: str, folder: Path = CAMPAIGN) -> Any:
    """Draw the campaign's portraits of the paper's figures with these numbers, such as "1c"; return None where there are none."""
    panels, devices = {}, set()
    for _, files in read_experiments(folder):
        attrs = files[0].attrs
        if set(numbers) & set(attrs.get("figure", "").split(", ")) and "outcome" in files[0] and not attrs["device"].startswith("CPU"):
            panels[attrs["what"].replace(", ", "\n", 1)] = join_seeds(files), theory_of(json.loads(attrs["description"]))[1]
            devices.add(attrs["device"])
    if not panels:
        print("Not measured on a GPU yet; `lazyrich campaign` measures it.")
        return None
    figure, _ = draw_side_by_side(panels)
    figure.set_label(f"Portraits that the campaign measured on {', '.join(sorted(devices))} ({len(panels)}), with the predicted slopes")
    return figure
