"""Sphinx directives that fill the pages with tables and texts from the code; each function here is a directive of its name."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parent.parent


class FromCode(SphinxDirective):
    """A directive whose body is the MyST text that a function makes of its argument."""

    optional_arguments = 1
    final_argument_whitespace = True
    functions: ClassVar[dict[str, Callable[..., str]]] = {}

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(self.functions[self.name](*self.arguments), allow_section_headings=True)


def escape(text: str) -> str:
    """Return a paragraph of a docstring as one line of MyST: code stays code, nothing else is markup."""
    parts = re.split(r"(``.+?``|`[^`]+`)", " ".join(text.split()))
    parts[::2] = [re.sub(r"([|*_<>\[\]$])", r"\\\1", part) for part in parts[::2]]
    return re.sub(r"\\\*(\w+)\\\*", r"*\1*", "".join(parts)).replace("``", "`")       # but an emphasised word is


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in markdown."""
    lines = [tuple(head), ("---",) * len(tuple(head)), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def prose(name: str) -> str:
    """Return a module's docstring after its first line, or (module:name) an object's up to its sections."""
    module, _, member = name.partition(":")
    found = importlib.import_module(module)
    text = re.split(r"\n(?:Parameters|Attributes|Returns|Raises)\n-", inspect.getdoc(getattr(found, member) if member else found) or "")[0]
    return "\n\n".join(map(escape, text.split("\n\n")[not member:]))


def summary(name: str) -> str:
    """Return the first paragraph of an object's docstring (module:name)."""
    return prose(name).split("\n\n")[0].removeprefix("Return ")


def module_list(package: str) -> str:
    """List a package's modules with the first lines of their docstrings, read without importing them."""
    root = importlib.import_module(package)
    names = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.") if ".scripts" not in module.name]
    lines = {name: ast.get_docstring(ast.parse(Path(find_spec(name).origin).read_text())).split("\n\n")[0] for name in names}
    return table(("module", "what it does"), [(f"`{name}`", escape(line)) for name, line in lines.items()])


def outcomes() -> str:
    from validation.outcome import PRECEDENCE, Outcome
    from validation.plotting.style import COLOURS

    rows = [(f'<span style="background:{COLOURS[o]};border:1px solid #888">&emsp;</span>', f"`{o.label}`", int(o), escape(o.sentence))
            for o in sorted(Outcome)]
    order = ", ".join(o.label for o in PRECEDENCE)
    return table(("", "outcome", "code", "what happened"), rows) + f"\n\nThe first that fits, in this order: {order}.\n"


def variables() -> str:
    from validation.portrait import REQUIRED, VARIABLES

    return table(("variable", "type", "unrun", "what it is", "always present"), [
        (f"`{name}`", dtype, fill, escape(text), "yes" if name in REQUIRED else "") for name, (dtype, fill, text) in VARIABLES.items()])


def coverage() -> str:
    """Return the table that `docs/tables/interval_coverage.py` printed."""
    return (DOCS / "tables" / "interval_coverage.md").read_text()


def edge_check() -> str:
    """Trace the edges while the page is built and compare them with the predictions; a row out of tolerance fails the build."""
    from tables.edges import markdown

    text, failed = markdown()
    if failed:
        raise ValueError(f"traced and predicted edges differ by more than the tolerance:\n{text}")
    return text


def errata() -> str:
    from toymodels.theory.misprints import render_page

    return render_page().split("\n", 1)[1]   # the page has its own title


def exponents(depth: str) -> str:
    """Return the paper's tables of exponents with their prefactors, as sympy derives them."""
    from toymodels import OneParameter
    from toymodels.theory.table import list_paper_tables

    def law(cell) -> str:
        return "" if cell is None else f"${cell.latex()}$"

    return "\n\n".join(f"### {title}\n\n" + table(("model", "loss", "edge", "lazy", "rich"), [
        ("one" if isinstance(row.model, OneParameter) else "two", row.loss.replace("_", "-"), f"`{row.edge.name}`",
         law(row.cells["lazy"]), law(row.cells["rich"])) for row in rows]) for title, rows in list_paper_tables(int(depth)).items())


def derivation(what: str) -> str:
    """Return the steps from a model's definition to its edges as sympy derives them; `what` is "one 5 mse sgd" or "two mse sgd"."""
    from toymodels import OneParameter, TwoParameter
    from toymodels.theory.derivation_steps import derive_steps

    *model, loss, optimizer = what.split()
    chosen = TwoParameter() if model == ["two"] else OneParameter(depth=int(model[1]))
    return "\n\n".join(step.latex() for step in derive_steps(chosen, loss, optimizer))


def findings() -> str:
    """Return the table of all figures: the claims, the measured numbers and the verdicts."""
    from gallery.findings import format_interval
    from gallery.pages import names, title

    rows = []
    for path in dict.fromkeys(names().values()):
        link = f"[{escape(title(path))}](gallery/generated/{path.stem}.rst)"
        file = DOCS / "gallery" / "generated" / f"{path.stem}.findings.json"
        for row in json.loads(file.read_text()) if file.exists() else []:       # a site may be built without running all pages
            rows.append((link, row["figure"], escape(row["what"]), row["claim"], *format_interval(row["measured"], row["interval"]),
                         row["verdict"]))
            link = ""
    return table(("page", "figure", "what", "claimed", "ours", "interval", "verdict"), rows) if rows else "No page was run."


def campaign_findings() -> str:
    """Return the numbers of the campaign's files, each claim judged while the page is built."""
    from pieces.results import rows

    measured = list(rows(DOCS / "data" / "campaign"))
    if not measured:
        return "**Nothing is measured yet:** there was no GPU."
    return table(("piece", "figure", "what", "claimed", "measured", "95% interval", "verdict", "device"), [
        (f"`{row.name}`", row.figure, escape(row.what), f"{row.claimed:.3g}", f"{row.measured:.3g}",
         f"{row.interval[0]:.3g} to {row.interval[1]:.3g}", row.outcome, escape(row.device)) for row in measured])


def register(app: Sphinx, *functions: Callable[..., str]) -> dict[str, bool]:
    """Register functions as directives of their names."""
    for function in functions:
        FromCode.functions[function.__name__] = function
        app.add_directive(function.__name__, FromCode)
    return {"parallel_read_safe": True}


def setup(app: Sphinx) -> dict[str, bool]:
    return register(app, prose, module_list, outcomes, variables, coverage, edge_check, errata, exponents, derivation, findings,
                    campaign_findings)
