"""What the site says about the code, said by the code: directives that render tables and references when the site is built."""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import pkgutil
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

LITERAL = re.compile(r"(``.+?``|`[^`]+`_?|:math:`[^`]+`)")
ITEMISED = {"Parameters", "Attributes", "Raises"}


class Rendered(SphinxDirective):
    """A directive whose body is MyST text made by a function of its one argument."""

    optional_arguments = 1
    final_argument_whitespace = True
    makers: ClassVar[dict] = {}

    def run(self) -> list[nodes.Node]:
        text = self.makers[self.name](*self.arguments)
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def cell(text: str) -> str:
    """Return text that stays in its cell of a table and is read as it stands."""
    return re.sub(r"([|*_<>\[\]])", r"\\\1", " ".join(text.split()))


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def modules(package: str) -> list[str]:
    """Return a package's modules, and their own, in the order of their names."""
    root = importlib.import_module(package)
    return [m.name for m in pkgutil.walk_packages(root.__path__, f"{package}.")]


def first_line(name: str) -> str:
    """Return the first line of a module's docstring, read from its source: a list of rooms need not enter them."""
    return ast.get_docstring(ast.parse(Path(find_spec(name).origin).read_text())).split("\n\n")[0]


def outcomes() -> str:
    from validation.outcome import PRECEDENCE, Outcome
    from validation.plotting.style import COLOURS

    rows = [(f'<span style="background:{COLOURS[o]};border:1px solid #888">&emsp;</span>', f"`{o.label}`", f"{int(o)}",
             cell(o.sentence)) for o in sorted(Outcome)]
    order = ", ".join(o.label for o in PRECEDENCE)
    return table(("", "outcome", "code", "what happened"), rows) + f"\n\nThe first that fits, in this order: {order}.\n"


def variables() -> str:
    from validation.portrait import REQUIRED, VARIABLES

    return table(("variable", "type", "unrun", "what it is", "always there"), [
        (f"`{name}`", dtype, str(fill), cell(text), "yes" if name in REQUIRED else "")
        for name, (dtype, fill, text) in VARIABLES.items()])


def edges() -> str:
    import validation.edges

    return inspect.getdoc(validation.edges).partition("\n\n")[2].replace("``", "`").replace("`WIDTH`",
                                                                                          f"{validation.edges.WIDTH:g}")


def prose(name: str) -> str:
    """Return what a module, or after a colon a thing in it, says of itself, up to its sections."""
    module, _, thing = name.partition(":")
    there = importlib.import_module(module)
    text = inspect.getdoc(getattr(there, thing) if thing else there).split("\nParameters\n")[0].split("\nAttributes\n")[0]
    paragraphs = text.split("\n\n") if thing else text.split("\n\n")[1:]   # a module's first line is about its place in the house
    parts = [re.split(r"(``.+?``|`[^`]+`)", " ".join(p.split())) for p in paragraphs]
    for part in parts:
        part[::2] = [re.sub(r"([*_<>\[\]|$])", r"\\\1", words) for words in part[::2]]
    text = "\n\n".join("".join(part).replace("``", "`") for part in parts)
    return re.sub(r"\\\*(\w+)\\\*", r"*\1*", text)


def coverage() -> str:
    """Return the table that `docs/tables/interval_coverage.py` printed last."""
    printed = Path(__file__).parent / "tables" / "interval_coverage.md"
    return printed.read_text() if printed.exists() else "`python docs/tables/interval_coverage.py` prints the table, in some ten minutes."


def loaded(script: str):
    """Return a script of docs/tables as a module."""
    place = importlib.util.spec_from_file_location(f"tables_{script}", Path(__file__).parent / "tables" / f"{script}.py")
    made = importlib.util.module_from_spec(place)
    sys.modules[place.name] = made        # dataclasses look their module up
    place.loader.exec_module(made)
    return made


def confirmed() -> str:
    """Return the table of predicted against simulated edges, traced while the page is built; a row that misses fails the build."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        missed = loaded("edges").main()
    if missed:
        raise ValueError(f"predicted and simulated edges differ by more than is asked:\n{printed.getvalue()}")
    return printed.getvalue()


def rooms(package: str) -> str:
    rows = [(f"`{name}`", cell(first_line(name).replace("``", "")).replace("`", "")) for name in modules(package)]
    return table(("module", "what lives there"), rows) if rows else "Not built yet."


def api(package: str) -> str:
    # what a package exports is indexed where it lives; some of it bears the name of its module
    packages = {name.rpartition(".")[0] for name in modules(package)}
    options = {name: "   :members:" + "\n   :no-index:" * (name in packages) for name in modules(package)}
    return "\n\n".join(f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{told}\n```" for name, told in options.items())


def errata() -> str:
    from toymodels.theory.misprints import render_page

    return render_page().split("\n", 1)[1]   # the title stands in the page


def exponents(depth: str) -> str:
    """Return the paper's tables of exponents with their prefactors, as sympy derives them."""
    from toymodels import OneParameter
    from toymodels.theory.table import list_paper_tables

    def law(cell) -> str:
        return "" if cell is None else f"${cell.latex()}$"

    parts = []
    for title, rows in list_paper_tables(int(depth)).items():
        parts += [f"### {title}", table(("model", "loss", "edge", "lazy", "rich"), [
            ("one" if isinstance(row.model, OneParameter) else "two", row.loss.replace("_", "-"), f"`{row.edge.name}`",
             law(row.cells["lazy"]), law(row.cells["rich"])) for row in rows])]
    return "\n\n".join(parts)


def derivation(what: str) -> str:
    """Return the steps from a model's definition to its edges, each as sympy returned it; `what` is "one 5 mse sgd" or "two mse sgd"."""
    from toymodels import OneParameter, TwoParameter
    from toymodels.theory.derivation_steps import derive_steps

    *model, loss, optimizer = what.split()
    chosen = TwoParameter() if model == ["two"] else OneParameter(depth=int(model[1]))
    return "\n\n".join(step.latex() for step in derive_steps(chosen, loss, optimizer))


def docstring(app, what, name, obj, options, lines) -> None:
    """Turn one of our docstrings into reStructuredText: they are numpy's, and written to be read in a terminal.

    Under ``Parameters``, ``Attributes`` and ``Raises`` an item is ``name, other : text``; nothing is markup but backticks.
    """
    if not lines:
        return
    made: list[str] = []
    section = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if after and set(after) == {"-"} and len(after) == len(line.rstrip()):
            section = line.strip()
            made += [f".. rubric:: {section}", ""]
        elif line and set(line) == {"-"} and section:
            continue
        elif section in ITEMISED and (item := re.match(r"(\w[\w, ]*?) : (.*)", line)):
            made.append(f"* **{item[1]}**: {escaped(item[2])}")
        elif section in ITEMISED and line.startswith("    "):
            made.append(f"  {escaped(line.strip())}")
        else:
            made.append(escaped(line))
    lines[:] = [*made, ""]


def escaped(line: str) -> str:
    """Return a line in which nothing is markup but what stands in backticks, and the directives."""
    if line.lstrip().startswith((".. ", ">>>")):
        return line
    parts = LITERAL.split(line)
    parts[::2] = [re.sub(r"(\*|\||(?<=\w)_(?=\W|$))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


class GalleryOrder:
    """The order of the gallery's pages, and of their making: the table, figures by number, then open questions."""

    # super-consistency comes after Figures 17 to 22, which are of widths too
    BESIDE: ClassVar[dict] = {"plot_table_1.py": "plot_figure_00", "plot_super_consistency.py": "plot_figure_22"}

    def __init__(self, src_dir) -> None:
        """Take what sphinx-gallery gives."""

    def __call__(self, filename) -> str:
        """Return what a page is sorted by."""
        name = Path(filename).name
        return self.BESIDE.get(name, name)


def gallery_figures(block, block_vars, gallery_conf) -> str:
    """Keep every new figure of a gallery script's block; its label is the text for who cannot see it."""
    from matplotlib.figure import Figure
    from sphinx_gallery.scrapers import figure_rst

    from validation.plotting.figures import image

    paths, texts = [], []
    for value in list(block_vars["example_globals"].values()):
        if isinstance(value, Figure) and not hasattr(value, "kept"):
            value.kept = True
            paths.append(next(block_vars["image_path_iterator"]))
            texts.append(value.get_label())
            assert texts[-1], f"{block_vars['src_file']}: every figure needs a label"
            Path(paths[-1]).write_bytes(image(value))
    _keep_findings(block_vars)
    return figure_rst(paths, gallery_conf["src_dir"], ". ".join(texts))


def _keep_findings(block_vars) -> None:
    """Write what a script has found so far beside its page, for the table of all figures."""
    from gallery import Findings

    target = Path(block_vars["target_file"]).with_suffix(".findings.json")
    for value in block_vars["example_globals"].values():
        if isinstance(value, Findings):
            value.write(target)


def findings() -> str:
    """Return the table of all figures: what is claimed, what we found, and the verdict."""
    from gallery.exhibit import names, title
    from gallery.findings import in_words

    generated = Path(__file__).parent / "gallery" / "generated"
    rows = []
    for path in dict.fromkeys(names().values()):
        found = generated / f"{path.stem}.findings.json"
        link = f"[{cell(title(path))}](gallery/generated/{path.stem}.rst)"
        for row in json.loads(found.read_text()) if found.exists() else []:
            rows.append((link, row["figure"], cell(row["what"]), row["claim"], *in_words(row["measured"], row["interval"]), row["verdict"]))
            link = ""
    return table(("page", "figure", "what", "claimed", "ours", "interval", "verdict"), rows) if rows else "Nothing was run."


def render(app, maker) -> None:
    """Make a directive of a function, under its name."""
    Rendered.makers[maker.__name__] = maker
    app.add_directive(maker.__name__, Rendered)


def setup(app) -> dict:
    for maker in (findings, outcomes, variables, edges, prose, coverage, confirmed, rooms, api, errata, exponents, derivation):
        render(app, maker)
    app.connect("autodoc-process-docstring", docstring)
    return {"parallel_read_safe": True}
