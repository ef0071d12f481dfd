"""Verdicts told to people: the table on the terminal, a portrait's section of the report; computes nothing, knows no model."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import xarray as xr

from validation.assessment import Assessment
from validation.report import MARKS, Picture, Row, Section

COLOURS = {"SUPPORTED": "green", "CONTRADICTED": "red", "UNDECIDED": "yellow"}


def print_table(title: str, assessments: Iterable[Assessment]) -> None:
    """Print one line for each verdict: predicted, measured with its 95% interval, and what became of it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    for heading, side in (("edge", "left"), ("regime", "left"), ("gamma", "left"), ("n", "right"), ("limit", "right"),
                          ("predicted", "right"), ("measured", "right"), ("verdict", "left")):
        table.add_column(heading, justify=side, no_wrap=True)   # type: ignore[arg-type]
    for a in assessments:
        word = str(a.verdict.outcome)
        table.add_row(a.edge, a.regime, span(a.fit.window), str(a.fit.n), "log" if a.limit is None else str(a.limit),
                      f"{a.verdict.claimed:.4f}", measured(a), Text(f"{MARKS[word]} {word}", style=COLOURS[word]))
    console = Console()
    # a table is not for folding: where it is piped, it may be as wide as it likes
    console.print(table, width=None if console.is_terminal else 120)


def span(window: tuple[float, float]) -> str:
    """Return a window as text."""
    return f"{window[0]:.2g} to {window[1]:.2g}"


def measured(a: Assessment) -> str:
    """Return the measured exponent with half its 95% interval, to as many digits as that has."""
    half = (a.fit.interval[1] - a.fit.interval[0]) / 2
    if not 0 <= half < float("inf"):
        return "none"
    return f"{a.fit.exponent:.4f} ± {max(half, 1e-4):.4f}"


def section(title: str, portrait: xr.Dataset, pictures: Iterable[Picture], assessments: Iterable[Assessment],
            notes: Iterable[str] = ()) -> Section:
    """Return a portrait's part of the report."""
    rows, said = [], list(notes)
    for a in assessments:
        rows.append(Row.of(a.verdict, a.fit, a.regime))
        if a.note:
            said.append(f"{a.edge}, {a.regime}: {a.note}.")
    return Section(title=title, description=described(portrait), figures=tuple(pictures), rows=tuple(rows), notes=tuple(said))


def described(portrait: xr.Dataset) -> Mapping[str, Any]:
    """Return what a portrait's attributes say of its experiment, flat, and the plane it was measured on."""
    try:
        description = json.loads(portrait.attrs.get("description", "{}"))
    except (TypeError, ValueError):
        description = {}
    told: dict[str, Any] = {}
    for name, value in description.items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{v}" if k == "name" else f"{k} {v}" for k, v in value.items())
        told[str(name)] = value
    gamma = portrait["gamma"].values
    told["plane"] = f"{portrait.sizes['gamma']} gammas from {gamma[0]:g} to {gamma[-1]:g}, {portrait.sizes['eta']} rates each"
    return told


def provenance_of(portrait: xr.Dataset) -> dict[str, Any]:
    """Return the part of a portrait's attributes that says where it comes from."""
    return {k: portrait.attrs[k] for k in ("versions", "git_revision", "machine", "device", "dtype", "command", "created", "digest")
            if k in portrait.attrs}
