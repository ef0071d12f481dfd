"""``computed``: MyST text that a function returns while the site is built.

The directive ``{computed} module:function words`` is replaced by it, a table or a section; the role of the same name by a line of it.

Tables of what is stable stand on the pages themselves, and `tests/test_tables_of_pages.py` compares them with the code.
"""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from gallery.assertions import DEMANDED
from gallery.borders import NEAR
from gallery.findings import format_interval, format_table
from gallery.pages import names, title

DOCS = Path(__file__).parent.parent


class Computed(SphinxDirective):
    """Call a function with words, and parse what it returns."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        function, *words = self.arguments[0].split()
        return self.parse_text_to_nodes(pkgutil.resolve_name(function)(*words), allow_section_headings=True)


def compute_inline(name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None,
                   content: Any = None) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Call a function with words, and return what it returns as plain text."""
    function, *words = text.split()
    return [nodes.Text(str(pkgutil.resolve_name(function)(*words)))], []


def escape(text: str) -> str:
    """Return a sentence of a docstring as one line of MyST: code stays code, nothing else is markup."""
    parts = re.split(r"(``.+?``|`[^`]+`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([|*_<>\[\]$])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("``", "`")


def list_modules(package: str) -> str:
    """List a package's modules with the first lines of their docstrings, read without importing them."""
    root = importlib.import_module(package)
    found = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.") if ".scripts" not in module.name]
    lines = {name: ast.get_docstring(ast.parse(Path(find_spec(name).origin).read_text())).split("\n\n")[0] for name in found}
    return format_table(("module", "what it does"), [(f"`{name}`", escape(line)) for name, line in lines.items()])


def read_findings() -> list[tuple[Path, list[dict[str, Any]]]]:
    """Return the scripts of the pages that were run, each with its findings; a site may be built without running all pages."""
    generated = DOCS / "gallery" / "generated"
    files = [(path, generated / f"{path.stem}.findings.json") for path in dict.fromkeys(names().values())]
    return [(path, json.loads(file.read_text())) for path, file in files if file.exists()]


def is_evidence(row: dict[str, Any]) -> bool:
    """Return whether a row supports its claim, and an assertion of its page would fail with any other verdict."""
    return bool(row["verdict"] == "SUPPORTED" and row["asserted"] == DEMANDED)


def list_findings() -> str:
    """Return the table of all figures: the claims, the measured numbers, their seeds, the verdicts, and what is asserted of them."""
    rows = []
    for path, findings in read_findings():
        link = f"[{escape(title(path))}](gallery/generated/{path.stem}.rst)"
        for row in findings:
            rows.append((link, row["figure"], escape(row["what"]), row["claim"], *format_interval(row["measured"], row["interval"]),
                         row["seeds"] or "", row["verdict"], row["asserted"]))
            link = ""
    head = ("page", "figure", "what", "claimed", "ours", "interval", "values", "verdict", "asserted")
    return format_table(head, rows) if rows else "No page was run."


def count_findings() -> str:
    """Return the table of how many rows have which verdict, and how many of them an assertion demands."""
    rows = [row for _, findings in read_findings() for row in findings]
    lines = [("SUPPORTED, and an assertion fails with any other verdict", sum(map(is_evidence, rows))),
             ("SUPPORTED, but no assertion demands it: no evidence", len(_without_evidence(rows))),
             *((f"{outcome}{words}", sum(row["verdict"] == outcome for row in rows)) for outcome, words in (
                 ("IDENTITY", ": holds by construction, no evidence"), ("UNDECIDED", ""), ("CONTRADICTED", "")))]
    return format_table(("verdict", "rows"), [*lines, ("all", len(rows))])


def list_without_evidence() -> str:
    """Return the table of the rows that are SUPPORTED though no assertion demands it, and how near the border of their range they are.

    Raises
    ------
    ExtensionError : one of them is not near: its page is to demand it.
    """
    undemanded = [row for _, findings in read_findings() for row in _without_evidence(findings)]
    if far := [row for row in undemanded if row["clearance"] >= NEAR]:
        raise ExtensionError("no assertion demands " + "; ".join(f"{row['figure']}: {row['what']}" for row in far))
    rows = [(row["figure"], escape(row["what"]), row["asserted"], f"{row['clearance']:.2g}") for row in undemanded]
    return format_table(("figure", "what", "asserted", "half-widths to the border"), rows) if rows else "There is none."


def name_nearness() -> str:
    """Return the share of the half-width within which a verdict counts as near the border of its range."""
    return f"{NEAR:.0%}"


def list_open_rows() -> str:
    """Return the table of the UNDECIDED rows, with what would decide them as far as the judge can say."""
    undecided = [row for _, findings in read_findings() for row in findings if row["verdict"] == "UNDECIDED"]
    rows = [(row["figure"], escape(row["what"]), row["claim"], *format_interval(row["measured"], row["interval"]),
             escape(_say_what_decides(row["more"]))) for row in undecided]
    return format_table(("figure", "what", "claimed", "ours", "interval", "what would decide"), rows) if rows else "There is none."


def _without_evidence(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row["verdict"] == "SUPPORTED" and not is_evidence(row)]


def _say_what_decides(more: str) -> str:
    """Return the parts of the judge's remark that say what would decide, or why nothing of the kind is known."""
    parts = [part.strip() for part in more.split(";")]
    return "; ".join(part for part in parts if part and not part.startswith(("within", "excludes"))) or "a measurement of another kind"


def list_campaign() -> str:
    """Return the numbers of the campaign's files, each claim judged while the page is built."""
    from pieces.results import judge_files

    rows = [(f"`{name}`", row.figure, escape(row.what), row.claim, *format_interval(row.measured, row.interval), row.verdict,
             escape(device)) for name, device, row in judge_files(DOCS / "data" / "campaign")]
    head = ("piece", "figure", "what", "claimed", "measured", "95% interval", "verdict", "device")
    return format_table(head, rows) if rows else "**Nothing is measured yet:** there was no GPU."


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("computed", Computed)
    app.add_role("computed", compute_inline)
    return {"parallel_read_safe": True}
