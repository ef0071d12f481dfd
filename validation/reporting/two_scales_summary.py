"""Present runs that were judged over two scales: tables on the terminal, a figure for each group, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from validation.judging.runs_over_two_scales import JudgedPlane
from validation.printable import print_text
from validation.provenance import collect_provenance
from validation.reporting.folder import name_section, publish_figure, write_folder
from validation.reporting.html import MARKS, Picture, Section, tabulate
from validation.reporting.runs_summary import MOST_NOTES, align_columns, describe_counts, identify_runs, list_pictures, write_ends


def print_judged_planes(judged: Iterable[JudgedPlane]) -> None:
    """Print for each group its runs, the best rate at each pair, both exponents and verdicts, and notes."""
    for one in judged:
        print_text(describe_counts(one.runs, one.group))
        print_text(align_columns(list_pairs(one)))
        print_text("\n".join(describe_plane(one)))
        for note in one.notes[:MOST_NOTES]:
            print_text(f"Note: {note}.")
        if len(one.notes) > MOST_NOTES:
            print_text(f"Note: {len(one.notes) - MOST_NOTES} more of these; --out writes them all.")


def list_pairs(judged: JudgedPlane) -> list[list[str]]:
    """Return the rows of a table, its head first: each pair of scales with its runs, the best rate and its bracket."""
    return [[*judged.law.fits, "runs", "best", "eta_opt"]] + [
        [f"{pair.x:g}", f"{pair.x2:g}", str(pair.runs), "-" if np.isnan(pair.best) else f"{pair.best:.3g}", write_ends(*pair.wide)]
        for pair in judged.pairs]


def describe_plane(judged: JudgedPlane) -> list[str]:
    """Return the law's sentence, and a line for each verdict."""
    return [judged.law.sentence, *(f"{MARKS[str(verdict.outcome)]} {verdict.sentence}" for verdict in judged.verdicts.values())]


def write_planes(stem: Path, origin: Path, runs: xr.Dataset, judged: Sequence[JudgedPlane], format: str = "png",
                 width: float = 7.6) -> None:
    """Write a figure for each group and its part of the folder's report.html and verdicts.json; arguments as of `write_runs`."""
    from validation.plotting.run_points import draw_two_scales

    title, identity, parts = f"Runs of {Path(origin).name}", identify_runs(origin, runs), []
    for name, one in zip(list_pictures(stem.name, judged), judged, strict=True):
        heading = title if one.group is None else f"{title}, {one.group}"
        figure = draw_two_scales(one, heading, width)
        picture, file = publish_figure(stem.with_name(f"{name}.png"), figure, format)
        shown = Picture(picture, f"{heading}: the best rate over each of two scales, moved along the fitted law to the middle of the other",
                        "The best rate over each scale", file)
        head, *lines = list_pairs(one)
        facts = {"runs": describe_counts(one.runs, one.group).partition(": ")[2]} | {
            f"{head[0]} = {line[0]}, {head[1]} = {line[1]}": f"best {line[3]}, eta_opt {line[4]}" for line in lines}
        rows = tuple(tabulate(verdict, one.law.fits[scale]) for scale, verdict in one.verdicts.items())
        notes = (f"{one.law.sentence}.", *(f"{note}." for note in one.notes))
        parts.append(name_section(Section(heading, facts, (shown,), rows, notes), name, identity))
    write_folder(stem.parent, title, parts, collect_provenance())
