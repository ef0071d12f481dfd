"""Present results: the table on the terminal, the figures, and each portrait's section of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.experiment import read_description
from validation.fitting.result import count_decimals, write_exponent
from validation.judging.assessment import Assessment
from validation.judging.verdict import Verdict
from validation.plotting.anchored_laws import anchor_laws
from validation.prediction import Prediction
from validation.printable import escape_controls, print_text
from validation.reporting.folder import identify, name_section, publish_figure, write_folder
from validation.reporting.html import MARKS, WHOLE, Picture, Section, tabulate

NOTHING = "no regime with a predicted exponent has four gammas in this plane"
SHOWN = {"outcome": "outcomes of training", "final_excess": "final loss", "peak_excess": "largest loss"}
COLOURS = {"SUPPORTED": "green", "CONTRADICTED": "red", "UNDECIDED": "yellow", "IDENTITY": "blue"}


HEADINGS = ("edge", "regime", "gamma", "n", "limit", "slope", "measured", "verdict")
RIGHT = ("n", "limit", "slope", "measured")      # columns of numbers
LEGEND = ("n: number of gammas; limit: the predicted exponent far in the regime; slope: the predicted one over these gammas; "
          "measured: with its 95% interval, the wider side, rounded up")


def print_table(title: str, assessments: Iterable[Assessment]) -> None:
    """Print one line for each verdict: predicted and measured exponent, outcome; in plain text without rich."""
    assessments = list(assessments)
    lines = [(a.edge, a.regime, format_window(a.fit.span), str(a.fit.n), "log" if a.limit is None else format_limit(a.limit),
              _write_claim(a.verdict), write_exponent(a.verdict.measured, a.verdict.interval), str(a.verdict.outcome))
             for a in assessments]
    try:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print_text("\n".join([_plain_table(title, lines), *describe_rivals(assessments)]))
        return
    console, title = Console(), escape_controls(title)
    if not lines:
        console.print(f"{title}: {NOTHING}", markup=False)
        return
    # narrow enough, with its numbers, for 80 columns
    table = Table(title=Text(title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in RIGHT else "left", no_wrap=True)
    for *cells, word in lines:
        table.add_row(*(Text(escape_controls(cell)) for cell in cells), Text(f"{MARKS[word]} {word}", style=COLOURS[word]))
    console.print(table)
    for line in describe_rivals(assessments):
        console.print(escape_controls(line), highlight=False, markup=False)
    console.print(LEGEND, style="dim")


def _plain_table(title: str, lines: Sequence[tuple[str, ...]]) -> str:
    """Return the table of verdicts without colours."""
    if not lines:
        return f"{title}: {NOTHING}"
    rows = [HEADINGS, *((*cells, f"{MARKS[word]} {word}") for *cells, word in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join([title, *(" ".join(cell.rjust(w) if name in RIGHT else cell.ljust(w) for name, cell, w in
                                        zip(HEADINGS, row, widths, strict=True)).rstrip() for row in rows), LEGEND])


def describe_rivals(assessments: Iterable[Assessment]) -> list[str]:
    """Return one line for each edge of which rivals are known: the nearest excluded ones on either side, and those not excluded."""
    found = []
    for a in assessments:
        verdict, limit = a.verdict, 0 if a.limit is None else a.limit
        if not np.isfinite(verdict.measured) or not verdict.rivals:
            continue
        below, above = ([r for r in verdict.excluded if side * (r - limit) > 0] for side in (-1, 1))
        nearest = [str(r) for r in (*below[-1:], *above[:1])]
        words = ([f"{' and '.join(nearest)} excluded"] if nearest else []) + (
            [f"{', '.join(map(str, verdict.not_excluded))} not excluded"] if verdict.not_excluded else [])
        found.append(f"{a.edge} {a.regime}: {'; '.join(words)}")
    return found


def _write_claim(verdict: Verdict) -> str:
    return f"{verdict.claimed:.{count_decimals(verdict.measured, verdict.interval)}f}"


def print_curves(curves: Iterable[Verdict]) -> None:
    """Print one line for each whole curve that was judged; in plain text without rich."""
    curves = list(curves)
    try:
        from rich.console import Console
        from rich.text import Text
    except ImportError:
        print_text("\n".join(f"{MARKS[str(v.outcome)]} {v.sentence}" for v in curves))
        return
    console = Console()
    for verdict in curves:
        word = str(verdict.outcome)
        line = Text.assemble((f"{MARKS[word]} ", COLOURS[word]), escape_controls(verdict.sentence))
        console.print(line, highlight=False)


def format_window(window: tuple[float, float]) -> str:
    """Return a window as text."""
    return f"{window[0]:.1e}..{window[1]:.1e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e").replace(".0e", "e")


def format_limit(limit: Any) -> str:
    """Return an exact exponent as a fraction, and a measured one with four decimals."""
    return str(limit) if limit.denominator < 1000 else f"{float(limit):.4f}"


def draw(stem: Path, title: str, portrait: xr.Dataset, edges: xr.Dataset | None, predictions: Mapping[str, Any],
         assessments: Sequence[Assessment], variables: Iterable[str] = ("outcome",), format: str = "png", width: float = 7.6,
         rescale: str | None = None, levels: Mapping[str, Prediction] | None = None, curves: Iterable[Verdict] = ()) -> list[Picture]:
    """Write a portrait's figures, ``stem.png``, ``stem-final.png``, ..., and return them for a report.

    Parameters
    ----------
    stem : the files' path without an ending.
    variables : of the portrait, one figure each, with the predicted edges drawn over it (power laws without a prefactor at the measured
        one); then one of the edges, if any was found.
    format : "pdf" or "svg" writes the figures in that format too.
    width, rescale : as of `validation.plotting.figures.portrait_figure`; where an edge without a predicted prefactor was not fitted, the
        rates are not divided by it, and the caption says so.
    levels : as of `anchor_laws`.
    curves : the verdicts on whole curves.
    """
    from validation.plotting import figures

    predictions = anchor_laws(predictions, assessments, levels)
    pictures, remark = [], ""
    if rescale not in (None, "gamma2", *predictions):      # the portrait is not lost with its unit
        remark, rescale = f"; the rates are not divided by {rescale}, which was not fitted", None
    for variable in variables:
        what = SHOWN.get(variable, variable.replace("_", " "))
        suffix = "" if variable == "outcome" else "-" + variable.removesuffix("_excess")
        figure = figures.portrait_figure(portrait, predictions, variable, title, width, rescale)
        image, file = publish_figure(stem.with_name(f"{stem.name}{suffix}.png"), figure, format)
        pictures.append(Picture(image, f"{title}: {what} over gamma and eta, with the predicted edges", what.capitalize() + remark, file))
    if edges is not None and assessments and np.isfinite(edges["eta"]).any():
        figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments], curves)
        image, file = publish_figure(stem.with_name(f"{stem.name}-edges.png"), figure, format)
        pictures.append(Picture(image, f"{title}: edges, fits and predictions over gamma, with residuals in decades",
                                "Measured edges, fitted power laws and predictions", file))
    return pictures


def draw_observables(stem: Path, title: str, observed: xr.Dataset, laws: Mapping[str, Any], format: str = "png") -> list[Picture]:
    """Write the figures of observables, ``stem-hessian.png``, ..., with the predicted `laws`, and return them; `format` as of `draw`."""
    from validation.plotting import observables

    pictures = []
    for name, (figure, words) in observables.draw_observables(observed, laws).items():
        image, file = publish_figure(stem.with_name(f"{stem.name}-{name}.png"), figure, format)
        pictures.append(Picture(image, f"{title}: {words}", words[0].upper() + words[1:], file))
    return pictures


def write(stem: Path, origin: Path, title: str, portrait: xr.Dataset, edges: xr.Dataset, predictions: Mapping[str, Any],
          assessments: Sequence[Assessment], curves: Sequence[Verdict] = (), notes: Sequence[str] = (), **options: Any) -> None:
    """Write the figures of the portrait at `origin`, ``stem.png``, ..., and its part of the folder's report.html and verdicts.json.

    `options` are the last of `draw`.
    """
    pictures = draw(stem, title, portrait, edges, predictions, assessments, curves=curves, **options)
    part = name_section(build_section(title, portrait, pictures, assessments, curves, notes), stem.name, identify(origin, portrait))
    write_folder(stem.parent, title, [part], provenance_of(portrait))


def build_section(title: str, portrait: xr.Dataset, pictures: Iterable[Picture], assessments: Iterable[Assessment],
                  curves: Iterable[Verdict] = (), notes: Iterable[str] = ()) -> Section:
    """Return a portrait's part of the report: a row for each exponent, a line for each whole curve."""
    rows, remarks = [], list(notes)
    for a in assessments:
        rows.append(tabulate(a.verdict, a.fit, a.regime))
        if a.note:
            remarks.append(f"{a.edge}, {a.regime}: {a.note}.")
    if rows:
        remarks.append("Measured exponents stand with their 95% intervals: the wider side, rounded up. Windows are those of the "
                       "gammas that were fitted.")
    rows += [tabulate(v, regime=WHOLE) | {"predicted": float("nan")} for v in curves]
    return Section(title=title, description=describe_portrait(portrait), figures=tuple(pictures), rows=tuple(rows), notes=tuple(remarks))


def describe_portrait(portrait: xr.Dataset) -> Mapping[str, Any]:
    """Return the experiment's description from a portrait's attributes, flattened, and the plane it was measured on."""
    facts: dict[str, Any] = {}
    for name, value in (read_description(portrait.attrs) or {}).items():
        if isinstance(value, Mapping):
            value = ", ".join(f"{v}" if k == "name" else f"{k} {v}" for k, v in value.items())
        facts[str(name)] = value
    gamma = portrait["gamma"].values
    facts["plane"] = f"{portrait.sizes['gamma']} gammas from {gamma[0]:g} to {gamma[-1]:g}, {portrait.sizes['eta']} rates each"
    return facts


def provenance_of(portrait: xr.Dataset) -> dict[str, Any]:
    """Return the attributes of a portrait that record its provenance."""
    return {k: portrait.attrs[k] for k in ("versions", "git_revision", "machine", "device", "dtype", "command", "created", "digest")
            if k in portrait.attrs}
