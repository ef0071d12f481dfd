"""Present runs that were judged: tables on the terminal, a figure, and each group's section of the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation.experiment import hash_json
from validation.fitting.brackets import rows
from validation.judging.runs_that_exist import JudgedRuns
from validation.printable import print_text
from validation.provenance import collect_provenance
from validation.reporting.folder import name_section, publish_figure, write_folder
from validation.reporting.html import MARKS, Picture, Section, tabulate
from validation.runs.brackets_of_runs import find_runs_at, write_rate
from validation.runs.run_status import DIVERGED, FINISHED, UNKNOWN

MOST_NOTES = 12          # sentences on the terminal; a report has all
MOST_ROWS = 40           # of a table there
NAMES = {"eta_opt": "the best rate", "eta_max": "the highest rate that trains", "eta_min": "the lowest rate that trains"}


def print_judged_runs(judged: Iterable[JudgedRuns]) -> None:
    """Print for each group its runs, the brackets at each x, exponents, verdicts, what was dropped, and what to run next."""
    for one in judged:
        print_text(describe_runs(one))
        print_text(tabulate_brackets(one))
        print_text("\n".join(describe_laws(one)))
        for note in one.notes[:MOST_NOTES]:
            print_text(f"Note: {note}.")
        if len(one.notes) > MOST_NOTES:
            print_text(f"Note: {len(one.notes) - MOST_NOTES} more of these; --out writes them all.")
        for sentence in one.next_runs:
            print_text(f"Next: {sentence}.")


def describe_runs(judged: JudgedRuns) -> str:
    """Return in one line how many runs there are, over what, and how they ended."""
    return describe_counts(judged.runs, judged.group)


def describe_counts(runs: xr.Dataset, group: str | None) -> str:
    """Return in one line how many runs there are, over what, and how they ended."""
    x, eta, status = (runs[name].values for name in ("x", "eta", "status"))
    ends = ", ".join(f"{count} {word}" for word in (FINISHED, DIVERGED, UNKNOWN) if (count := int((status == word).sum())))
    scales = f"{runs.attrs.get('axis', 'x')} {x.min():g} to {x.max():g}"
    if "x2" in runs:
        scales += f", {runs.attrs['axis2']} {float(runs['x2'].min()):g} to {float(runs['x2'].max()):g}"
    return (f"{Path(str(runs.attrs.get('source', 'runs'))).name}{'' if group is None else f', {group}'}: {x.size} runs, {scales}, "
            f"{runs.attrs.get('eta_name', 'eta')} {eta.min():.3g} to {eta.max():.3g}; {ends}")


def list_brackets(judged: JudgedRuns) -> list[list[str]]:
    """Return the rows of a table, its head first: at each x the runs, the best rate and the brackets of all edges."""
    runs = judged.runs if judged.binned is None else judged.binned
    name, form = str(runs.attrs.get("axis", "x")), "g"
    if judged.binned is not None:
        name, form = f"{name} (bin)", ".4g"
    head = [name, "runs", DIVERGED, UNKNOWN, "best", *judged.edges]
    best = judged.edges["eta_opt"]["best"]
    brackets = {name: {x: (low, high) for x, low, high in zip(data.gamma, data.lower, data.upper, strict=True)}
                for name, data in ((name, rows(edges, name)) for name, edges in judged.edges.items())}
    lines = [head]
    for x, rate in zip(best["gamma"].values, best.values, strict=True):
        status = runs["status"].values[find_runs_at(runs, x)]
        lines.append([format(x, form), str(status.size), str((status == DIVERGED).sum()), str((status == UNKNOWN).sum()),
                      "-" if np.isnan(rate) else f"{rate:.3g}", *(_write_bracket(found.get(x)) for found in brackets.values())])
    return lines


def tabulate_brackets(judged: JudgedRuns) -> str:
    """Return the first rows of `list_brackets` in plain text."""
    lines = list_brackets(judged)
    more = len(lines) - 1 - MOST_ROWS
    return align_columns(lines[:MOST_ROWS + 1]) + (f"\n{more} more of these; --out writes them all" if more > 0 else "")


def align_columns(lines: list[list[str]]) -> str:
    """Return the rows of a table in plain text, columns aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def _write_bracket(ends: tuple[float, float] | None) -> str:
    """Return a bracket, ends in decades, as text; "-" for none."""
    if ends is None:
        return "-"
    return write_ends(*(10**end if np.isfinite(end) else np.nan for end in ends))


def write_ends(lower: float, upper: float) -> str:
    """Return a bracket, in units of eta and NaN where open, as text; "-" for none."""
    if np.isnan([lower, upper]).all():
        return "-"
    low, high = ("" if np.isnan(end) else write_rate(end) for end in (lower, upper))
    return f"{low} to {high}" if low and high else f"> {low}" if low else f"< {high}"


def describe_laws(judged: JudgedRuns) -> list[str]:
    """Return a line for each exponent: the verdict where there is one, otherwise the fit."""
    lines = []
    for edge, law in judged.fits.items():
        verdict = judged.verdicts.get(edge)
        lines.append(law.sentence if verdict is None else f"{MARKS[str(verdict.outcome)]} {verdict.sentence}")
    return lines


def list_pictures(stem: str, judged: Sequence[object]) -> list[str]:
    """Return the names of the pictures, without an ending: the stem itself where there is one group."""
    return [stem] if len(judged) == 1 else [f"{stem}-{i}" for i in range(1, len(judged) + 1)]


def identify_runs(path: Path, runs: xr.Dataset) -> tuple[str, str]:
    """Return by what a table is known again: digests of its place and of its runs."""
    return hash_json(str(path.resolve())), hash_json([runs[name].values.astype(str).tolist() for name in ("x", "eta", "loss", "status")])


def write_runs(stem: Path, origin: Path, runs: xr.Dataset, judged: Sequence[JudgedRuns], format: str = "png", width: float = 7.6) -> None:
    """Write a figure for each group, ``stem.png`` or ``stem-1.png``, ..., and its part of the folder's report.html and verdicts.json.

    Parameters
    ----------
    stem : the figures' path without an ending.
    origin : the table's file.
    runs, judged : all runs, and what `validation.judge_runs` returned for them.
    format : "pdf" or "svg" writes the figures in that format too.
    width : of the figures in inches.
    """
    from validation.plotting.run_points import draw_judged_runs

    title = f"Runs of {Path(origin).name}"
    parts = []
    identity = identify_runs(origin, runs)
    for name, one in zip(list_pictures(stem.name, judged), judged, strict=True):
        heading = title if one.group is None else f"{title}, {one.group}"
        figure = draw_judged_runs(one, heading, width)
        picture, file = publish_figure(stem.with_name(f"{name}.png"), figure, format)
        runs_of = one.runs.attrs
        shown = Picture(picture, f"{heading}: runs by outcome over {runs_of.get('axis', 'x')} and {runs_of.get('eta_name', 'eta')}, with "
                        "brackets and fitted power laws", "Runs by outcome, brackets and fits", file)
        parts.append(name_section(Section(heading, describe_table(one), (shown,), tuple(_list_rows(one)), tuple(_list_notes(one))),
                                  name, identity))
    write_folder(stem.parent, title, parts, collect_provenance())


def describe_table(judged: JudgedRuns) -> Mapping[str, Any]:
    """Return the facts of a table for a report: columns, counts, and the brackets at each x."""
    attrs = judged.runs.attrs
    facts = {"x": attrs.get("axis", "x"), "learning rate": attrs.get("eta_name", "eta"), "loss": attrs.get("loss_name", "loss"),
             "runs": describe_runs(judged).partition(": ")[2]}
    head, *lines = list_brackets(judged)
    for x, *cells in lines:
        facts[f"{head[0]} = {x}"] = ", ".join(f"{name} {cell}" for name, cell in zip(head[1:], cells, strict=True))
    return facts


def _list_rows(judged: JudgedRuns) -> list[Mapping[str, Any]]:
    return [tabulate(verdict, judged.fits[edge]) for edge, verdict in judged.verdicts.items()]


def _list_notes(judged: JudgedRuns) -> list[str]:
    measured = [f"{law.sentence}." for edge, law in judged.fits.items() if edge not in judged.verdicts]
    return [*measured, *(f"{note}." for note in judged.notes), *(f"What to run next: {sentence}." for sentence in judged.next_runs),
            " ".join(f"{edge} is {NAMES[edge]}." for edge in judged.edges)]
