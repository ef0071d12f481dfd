"""Write verdicts and figures as one self-contained HTML page, and the verdicts as JSON.

All text from a dataset is escaped. Files are written under a temporary name and renamed.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from validation.arguments import Misuse, choose
from validation.fitting.result import count_decimals, write_exponent, write_place
from validation.printable import escape_controls, shorten
from validation.storage.atomic import publish

OUTCOMES = ("SUPPORTED", "CONTRADICTED", "UNDECIDED", "IDENTITY")
MARKS = {"SUPPORTED": "✓", "CONTRADICTED": "✗", "UNDECIDED": "?", "IDENTITY": "="}   # a verdict is never shown by its colour alone
WHOLE = "whole curve, decades off"      # in place of a regime
KINDS = {"image/png": b"\x89PNG", "image/svg+xml": b"<?xml"}


@dataclass(frozen=True)
class Picture:
    """A figure as it stands in a report.

    Attributes
    ----------
    image : the bytes of a PNG or SVG file, as from `validation.plotting.figures.image`.
    alt : a description for readers who cannot see it.
    caption : a line beneath it.
    file : the name of its file, next to the report.
    """

    image: bytes
    alt: str
    caption: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        if not any(self.image.startswith(start) for start in KINDS.values()):
            raise Misuse(f"image must be the bytes of a PNG or SVG file, not {self.image[:8]!r}...")
        if not self.alt.strip():
            raise Misuse("alt must describe the picture; it is empty")

    @property
    def uri(self) -> str:
        """The picture as a data URI: as an image, an SVG cannot run a script."""
        kind = next(kind for kind, start in KINDS.items() if self.image.startswith(start))
        return f"data:{kind};base64,{base64.b64encode(self.image).decode()}"


def tabulate(verdict: Any, fit: Any = None, regime: str | None = None) -> dict[str, Any]:
    """Return one line of the table of verdicts, by column; `verdicts.json` has the same keys.

    Parameters
    ----------
    verdict : a `Verdict`.
    fit : the `PowerLawFit` that it judged, for ``window`` and ``n``, the gammas that were fitted; None: those that a whole curve
        covers, of ``among`` gammas with an edge.
    regime : "lazy", "rich", or any text; None: the verdict's own.

    Raises
    ------
    Misuse : an outcome that is not one of these of a verdict.
    """
    outcome = choose("outcome", str(getattr(verdict.outcome, "name", verdict.outcome)), OUTCOMES)
    n, among = verdict.covered or (None, None)
    return {"edge": str(verdict.edge), "axis": getattr(fit, "axis", "gamma"),
            "regime": regime or verdict.regime or "", "window": getattr(fit, "span", verdict.span),
            "n": getattr(fit, "n", n), "among": among, "predicted": verdict.claimed, "measured": verdict.measured,
            "interval": verdict.interval, "tolerance": verdict.tolerance, "excluded": [str(rival) for rival in verdict.excluded],
            "not_excluded": [str(rival) for rival in verdict.not_excluded], "outcome": outcome, "sentence": verdict.sentence}


@dataclass(frozen=True)
class Section:
    """One portrait's part of a report.

    Attributes
    ----------
    title : its heading.
    description : name -> value: model, loss, optimizer, T, rho, plane, ...
    figures, rows, notes : its content, in this order; rows as from `tabulate`.
    portrait : the portrait's name among those of the folder.
    identity : by what the portrait is known again, see `validation.reporting.folder`.
    provenance : its own, where that of the whole report is another's.
    """

    title: str
    description: Mapping[str, Any] = field(default_factory=dict)
    figures: tuple[Picture, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    portrait: str = ""
    identity: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: str | os.PathLike[str], title: str, sections: Iterable[Section],
                 provenance: Mapping[str, Any] | None = None) -> Path:
    """Write one HTML page that needs nothing but itself, and return its path.

    Parameters
    ----------
    path : the file; an existing one is replaced whole, or not at all.
    title : the page's heading.
    sections : one for each portrait.
    provenance : name -> value: versions, revision, command line, device, date.

    Raises
    ------
    Misuse : the file cannot be written.
    """
    import jinja2

    sections = tuple(sections)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=escape_controls,
                               loader=jinja2.PackageLoader("validation.reporting", "."))
    environment.filters.update(plain=_plain, predicted=_write_prediction, measured=_write_measurement, count=_write_count, window=_window,
                               axis=_name_axis)
    counts = Counter(row["outcome"] for section in sections for row in section.rows)
    page = environment.get_template("report.html.j2").render(
        title=title, sections=sections, provenance=provenance or {}, marks=MARKS,
        counts={word: counts[word] for word in OUTCOMES if counts[word]})
    return publish(path, page.encode())


def write_verdicts(path: str | os.PathLike[str], title: str, sections: Iterable[Section],
                  provenance: Mapping[str, Any] | None = None) -> Path:
    """Write the verdicts as JSON, numbers in full precision and null for what is not finite, and return the path."""
    content = {"generator": "lazyrich", "title": title, "provenance": dict(provenance or {}), "sections": [
        {"title": s.title, "description": dict(s.description), "verdicts": [dict(r) for r in s.rows], "notes": list(s.notes),
         "portrait": s.portrait, "identity": s.identity, "provenance": dict(s.provenance),
         "pictures": [{"file": p.file, "alt": p.alt, "caption": p.caption} for p in s.figures if p.file]} for s in sections]}
    text = json.dumps(_jsonable(content), indent=1, allow_nan=False, ensure_ascii=False)
    # control characters and lone surrogates stand in texts alone, where JSON can escape them
    text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    return publish(path, f"{text}\n".encode())


def _write_prediction(row: Mapping[str, Any]) -> str:
    """Return the predicted exponent with the decimals of the measured one; an en dash for none."""
    value = row["predicted"]
    return "–" if value is None or not math.isfinite(value) else f"{value:.{count_decimals(row['measured'] or 0.0, _read_interval(row))}f}"


def _write_measurement(row: Mapping[str, Any]) -> str:
    """Return what was measured, with its interval, as text: an exponent, or between how many decades a whole curve is off."""
    value, interval = row["measured"], _read_interval(row)
    if value is None or not math.isfinite(value):
        return "–"
    if row["regime"] == WHOLE and interval is not None:
        return f"{interval[0]:.3g} to {interval[1]:.3g}"
    return write_exponent(value, interval)


def _read_interval(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return a row's interval, of which JSON has None for an end at infinity."""
    interval = row["interval"]
    return None if interval is None or None in interval else (interval[0], interval[1])


def _write_count(row: Mapping[str, Any]) -> str:
    """Return the number of gammas of a verdict, and of how many with an edge they are, where that is known."""
    return "–" if row["n"] is None else str(row["n"]) if row.get("among") is None else f"{row['n']} of {row['among']}"


def _name_axis(section: Section) -> str:
    """Return the axis of a section's windows: gamma, or that of its rows."""
    axis = next((str(row["axis"]) for row in section.rows if "axis" in row), "gamma")
    return "γ" if axis == "gamma" else axis


def _window(value: Any) -> str:
    """Return a window of gammas as text, nothing where there is none."""
    if value is None or any(v is None or math.isnan(v) for v in value):
        return ""
    return " to ".join(map(write_place, value))


def _plain(value: Any) -> str:
    """Return a dataset's attribute as text."""
    if value is None:
        return "–"
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    return shorten(value if isinstance(value, str) else json.dumps(_jsonable(value), ensure_ascii=False))


def _jsonable(value: Any) -> Any:
    """Return `value` in JSON's own types: exact where it can be, as text where it must."""
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        return [_jsonable(v) for v in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)
