"""Run a page of the gallery outside the site: list the pages, collect the figures and findings of one."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gallery.assertions import examine_block
from gallery.findings import Finding, Findings
from gallery.kept_data import set_scale
from validation.arguments import Misuse

SCRIPTS = Path(__file__).parent / "scripts"
SCALES = ("small", "measured", "missing", "paper")
LONGEST = ("plot_super_consistency.py", "plot_figure_14_15.py")       # minutes each: one of them must not be left alone at the end


@dataclass
class Page:
    """The figures of a page in the order of their making, its findings, and the assertion that failed, if any."""

    name: str
    figures: list[Any] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    broken: str = ""


def names() -> dict[str, Path]:
    """Return the scripts by all their names: "17" and "18" for plot_figure_17_18.py, "table-1" for plot_table_1.py."""
    scripts: dict[str, Path] = {}
    for path in sorted(SCRIPTS.glob("plot_*.py")):
        stem = path.stem.removeprefix("plot_")
        numbers = re.findall(r"_0*(\d+)", stem) if stem.startswith("figure") else [stem.replace("_", "-")]
        scripts |= dict.fromkeys(numbers, path)
    return dict(sorted(scripts.items(), key=lambda item: (not item[0].isdigit(), item[0].zfill(2))))


def sort_by_cost(file: str) -> tuple[bool, str]:
    """Return the key of the order in which the site runs the pages, two at a time: the longest first."""
    return file not in LONGEST, file


def page_name(path: Path) -> str:
    """Return the name of a script's page, with which the names of its pictures begin."""
    return path.stem.removeprefix("plot_").replace("_", "-")


def title(path: Path) -> str:
    """Return the title of a script's page."""
    return re.search(r'^r?"""\n?(.+)$', path.read_text(), re.MULTILINE)[1]     # type: ignore[index]


def script(name: str) -> Path:
    """Return the script of a figure.

    Raises
    ------
    Misuse : there is no page of this name; the message lists the names.
    """
    scripts = names()
    if name not in scripts:
        raise Misuse(f"figure must be one of {', '.join(scripts)}, not {name!r}")
    return scripts[name]


def run_page(name: str, scale: str = "small") -> Page:
    """Run a page block by block, as sphinx-gallery does, at a scale that its script reads as `scale`.

    "measured" is the small scale, where what is kept in the repository is measured again, and "missing" that where it is measured if its
    file is missing (`gallery.kept_data`).
    A failed assertion ends the page and stands in `broken`; the figures made until then are returned.
    """
    path = script(name)
    if scale not in SCALES:
        raise Misuse(f"scale must be one of {', '.join(SCALES)}, not {scale!r}")
    with set_scale(scale):
        return _run(path, "small" if scale in ("measured", "missing") else scale)


def _run(path: Path, scale: str) -> Page:
    page = Page(page_name(path))
    space: dict[str, Any] = {"__name__": "__main__", "__file__": str(path), "scale": scale}
    line = 0
    for block in re.split(r"^(?=# %%)", path.read_text(), flags=re.MULTILINE):
        try:
            exec(compile("\n" * line + block, str(path), "exec", dont_inherit=True), space)      # line numbers stay those of the file
        except AssertionError as error:
            at = next(frame for frame in reversed(traceback.extract_tb(error.__traceback__)) if frame.filename == str(path))
            page.broken = f"{path.name}, line {at.lineno}: {at.line} does not hold" + (f": {error}" if str(error) else "")
        if not page.broken:
            examine_block(block, space)
        page.figures += [v for v in space.values() if type(v).__name__ == "Figure" and not any(v is f for f in page.figures)]
        if page.broken:
            break
        line += block.count("\n")
    page.findings = [row for value in space.values() if isinstance(value, Findings) for row in value.rows]
    return page
