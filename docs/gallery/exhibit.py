"""Runs one script of the gallery outside the site, and hands out its figures and findings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from gallery.findings import Finding, Findings
from validation.arguments import Misuse

SCRIPTS = Path(__file__).parent / "scripts"
SCALES = ("small", "paper")


@dataclass
class Exhibit:
    """What a script made: its figures in the order in which it made them, its findings, and what of it did not hold."""

    name: str
    figures: list[Any] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    broken: str = ""


def names() -> dict[str, Path]:
    """Return the scripts by all their names: "17" and "18" for plot_figure_17_18.py, "table-1" for plot_table_1.py."""
    found: dict[str, Path] = {}
    for path in sorted(SCRIPTS.glob("plot_*.py")):
        stem = path.stem.removeprefix("plot_")
        numbers = re.fullmatch(r"figure((_\d+)+)", stem)
        for name in numbers[1].split("_")[1:] if numbers else [stem.replace("_", "-")]:
            found[name.lstrip("0")] = path
    return dict(sorted(found.items(), key=lambda item: (not item[0].isdigit(), item[0].zfill(2))))


def title(path: Path) -> str:
    """Return the title of a script's page."""
    return re.search(r'^r?"""\n?(.+)$', path.read_text(), re.MULTILINE)[1]     # type: ignore[index]


def script(name: str) -> Path:
    """Return the script of a figure, or raise `Misuse` with the names that there are."""
    scripts = names()
    if name not in scripts:
        raise Misuse(f"figure must be one of {', '.join(scripts)}, not {name!r}")
    return scripts[name]


def exhibit(name: str, scale: str = "small") -> Exhibit:
    """Run the script of a figure, block by block as the site does, at a scale that the script reads as `scale`.

    An assertion of the page that does not hold ends it, and is told in `broken`; what was drawn until then is kept.
    """
    path = script(name)
    if scale not in SCALES:
        raise Misuse(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    text, made = path.read_text(), Exhibit(path.stem.removeprefix("plot_").replace("_", "-"))
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(path), "scale": scale}
    starts = [0, *(m.start() for m in re.finditer(r"^# %%", text, re.MULTILINE)), len(text)]
    for start, end in pairwise(starts):
        above = "\n" * text.count("\n", 0, start)       # line numbers stay those of the file
        try:
            exec(compile(above + text[start:end], str(path), "exec", dont_inherit=True), space)
        except AssertionError as error:
            line = error.__traceback__.tb_next.tb_lineno if error.__traceback__ and error.__traceback__.tb_next else 0
            made.broken = f"{path.name}, line {line}: {text.splitlines()[line - 1].strip()} does not hold"
        made.figures += [v for v in space.values() if type(v).__name__ == "Figure" and not any(v is f for f in made.figures)]
        if made.broken:
            break
    made.findings = [row for value in space.values() if isinstance(value, Findings) for row in value.rows]
    return made
