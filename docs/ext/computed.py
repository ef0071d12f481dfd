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
from sphinx.util.docutils import SphinxDirective

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


def list_findings() -> str:
    """Return the table of all figures: the claims, the measured numbers and the verdicts."""
    rows = []
    for path in dict.fromkeys(names().values()):
        link = f"[{escape(title(path))}](gallery/generated/{path.stem}.rst)"
        file = DOCS / "gallery" / "generated" / f"{path.stem}.findings.json"
        for row in json.loads(file.read_text()) if file.exists() else []:       # a site may be built without running all pages
            rows.append((link, row["figure"], escape(row["what"]), row["claim"], *format_interval(row["measured"], row["interval"]),
                         row["verdict"]))
            link = ""
    return format_table(("page", "figure", "what", "claimed", "ours", "interval", "verdict"), rows) if rows else "No page was run."


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
