"""Results told to people: the table on the terminal, the figures, a portrait's section of the report; computes nothing itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.judging.assessment import Assessment
from validation.judging.verdict import Verdict
from validation.plotting.anchored_laws import anchored
from validation.reporting.html import MARKS, Picture, Row, Section, verdicts_json, write_report
from validation.storage.atomic import publish

WHOLE = "whole curve, decades off"
NOTHING = "no regime with a predicted exponent lies in this plane"
SHOWN = {"outcome": "outcomes of training", "final_excess": "final loss", "peak_excess": "largest loss"}
COLOURS = {"SUPPORTED": "green", "CONTRADICTED": "red", "UNDECIDED": "yellow"}


HEADINGS = ("edge", "regime", "gamma", "n", "limit", "slope", "measured", "verdict")
RIGHT = ("n", "limit", "slope", "measured")      # columns of numbers
LEGEND = "limit: the predicted exponent at the regime's end; slope: the prediction's over these gammas"


def print_table(title: str, assessments: Iterable[Assessment]) -> None:
    """Print one line for each verdict: predicted, measured with its 95% interval, outcome; in plain text where rich is not installed."""
    lines = [(a.edge, a.regime, span(a.fit.window), str(a.fit.n), "log" if a.limit is None else str(a.limit), f"{a.verdict.claimed:.4f}",
              measured(a), str(a.verdict.outcome)) for a in assessments]
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(_plain_table(title, lines))
        return
    console = Console()
    if not lines:
        console.print(f"{title}: {NOTHING}")
        return
    # narrow enough, with its numbers, for 80 columns
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in RIGHT else "left", no_wrap=True)
    for *cells, word in lines:
        table.add_row(*cells, Text(f"{MARKS[word]} {word}", style=COLOURS[word]))
    console.print(table)
    console.print(LEGEND, style="dim")


def _plain_table(title: str, lines: Sequence[tuple[str, ...]]) -> str:
    """Return the table of verdicts without colours."""
    if not lines:
        return f"{title}: {NOTHING}"
    rows = [HEADINGS, *((*cells, f"{MARKS[word]} {word}") for *cells, word in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join([title, *(" ".join(cell.rjust(w) if name in RIGHT else cell.ljust(w) for name, cell, w in
                                        zip(HEADINGS, row, widths, strict=True)).rstrip() for row in rows), LEGEND])


def print_curves(curves: Iterable[Verdict]) -> None:
    """Print one line for each whole curve that was judged."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    for verdict in curves:
        word = str(verdict.outcome)
        line = Text.assemble((f"{MARKS[word]} ", COLOURS[word]), verdict.sentence)
        console.print(line, highlight=False)


def span(window: tuple[float, float]) -> str:
    """Return a window as text."""
    return f"{window[0]:.1e}..{window[1]:.1e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e").replace(".0e", "e")


def measured(a: Assessment) -> str:
    """Return the measured exponent with half its 95% interval, to as many digits as that has."""
    half = (a.verdict.interval[1] - a.verdict.interval[0]) / 2
    if not 0 <= half < float("inf"):
        return "none"
    return f"{a.verdict.measured:.4f} ± {max(half, 1e-4):.4f}"


def draw(stem: Path, title: str, portrait: xr.Dataset, edges: xr.Dataset | None, predictions: Mapping[str, Any],
         assessments: Sequence[Assessment], variables: Iterable[str] = ("outcome",)) -> list[Picture]:
    """Write a portrait's figures beside each other, ``stem.png``, ``stem-final.png``, ..., and return them for a report.

    Parameters
    ----------
    stem : the files' path without an ending.
    variables : of the portrait, one figure each, with the predicted edges drawn over it (exponents without a level at the measured
        one); then one of the edges, if any was seen.
    """
    from validation.plotting import figures

    predictions = anchored(predictions, assessments)
    pictures = []
    for variable in variables:
        what = SHOWN.get(variable, variable.replace("_", " "))
        suffix = "" if variable == "outcome" else "-" + variable.removesuffix("_excess")
        image = figures.image(figures.portrait_figure(portrait, predictions, variable, title))
        publish(stem.with_name(stem.name + suffix + ".png"), image)
        pictures.append(Picture(image, f"{title}: {what} over gamma and eta, with the predicted edges", what.capitalize()))
    if edges is not None and assessments and np.isfinite(edges["eta"]).any():
        figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments])
        image = figures.image(figure)
        publish(stem.with_name(stem.name + "-edges.png"), image)
        pictures.append(Picture(image, f"{title}: edges, fits and predictions over gamma, with residuals in decades",
                                "Measured edges, fitted power laws and predictions"))
    return pictures


def draw_observed(stem: Path, title: str, observed: xr.Dataset, laws: Mapping[str, Any]) -> list[Picture]:
    """Write the figures of observables beside each other, ``stem-hessian.png``, ..., and return them for a report; `laws` are drawn in."""
    from validation.plotting import figures
    from validation.plotting.observables import observed_figures

    pictures = []
    for name, (figure, words) in observed_figures(observed, laws).items():
        image = figures.image(figure)
        publish(stem.with_name(f"{stem.name}-{name}.png"), image)
        pictures.append(Picture(image, f"{title}: {words}", words[0].upper() + words[1:]))
    return pictures


def write(folder: Path, title: str, portrait: xr.Dataset, edges: xr.Dataset, predictions: Mapping[str, Any],
          assessments: Sequence[Assessment], curves: Sequence[Verdict] = ()) -> None:
    """Write one portrait's figures, report.html and verdicts.json to a folder."""
    pictures = draw(folder / "portrait", title, portrait, edges, predictions, assessments)
    parts = [section(title, portrait, pictures, assessments, curves)]
    write_report(folder / "report.html", title, parts, provenance_of(portrait))
    verdicts_json(folder / "verdicts.json", title, parts, provenance_of(portrait))


def section(title: str, portrait: xr.Dataset, pictures: Iterable[Picture], assessments: Iterable[Assessment],
            curves: Iterable[Verdict] = (), notes: Iterable[str] = ()) -> Section:
    """Return a portrait's part of the report: a row for each exponent, a line for each whole curve."""
    rows, said = [], list(notes)
    for a in assessments:
        rows.append(Row.of(a.verdict, a.fit, a.regime))
        if a.note:
            said.append(f"{a.edge}, {a.regime}: {a.note}.")
    rows += [Row(v.edge, WHOLE, None, None, float("nan"), v.measured, v.interval, v.outcome, v.sentence) for v in curves]
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
