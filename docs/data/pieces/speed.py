"""Piece a: the time of a plane of 21 x 21 networks in each precision, and its share of the device's arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import xarray as xr

from pieces.estimates import Cost, Machine
from pieces.piece import Part, Piece
from pieces.scale import Scale


def speed(scale: Scale, device: str) -> Iterator[Piece]:
    """Yield the benchmark as one piece, one part for each precision."""
    from tests.benchmarks.network_plane import precisions, size

    of = size(device, tiny=scale.name == "tiny")
    parts = tuple(Part(name, partial(_measure, of, name, device), partial(_cost, of, name)) for name in precisions(device))
    yield Piece("a", "a-plane", "", f"a plane of {of.points} x {of.points} MLPs of width {of.network.width}, on drawn numbers",
                {"points": of.points, "network": of.network.describe(), "batch": of.batch, "steps": of.total}, parts, along="precision")


def _measure(of: Any, precision: str, device: str) -> xr.Dataset:
    from tests.benchmarks.network_plane import timed

    row, _ = timed(of, precision, device)
    return xr.Dataset({name: ("precision", [float(value)]) for name, value in row.items()}, {"precision": [precision]},
                      {"steps": of.steps})


def _cost(of: Any, precision: str, on: Machine) -> Cost:
    operations = of.floor * (of.total if on.kind == "cuda" else of.steps)
    return Cost(operations, operations / on.rates[precision],
                5 * of.points**2 * 8 * sum(s.shape[0] * s.shape[1] for s in of.network.scalings()))
