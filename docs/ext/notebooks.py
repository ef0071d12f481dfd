"""Links above each notebook: to a copy that installs lazyrich from this repository, and to Colab and Binder where one is published.

The notebooks lie in ``docs/notebooks`` without outputs; myst-nb runs them while the site is built.
"""

from __future__ import annotations

import html
import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from ext.publication import Repository, find_repository

FOLDER = Path(__file__).parent.parent / "notebooks"
FROM_CLONE = '-e "../..[deep]"'         # of the first cell, which installs lazyrich where it is missing


def list_notebooks() -> list[str]:
    """Return the names of the notebooks."""
    return sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def address_install(text: str, repository: Repository | None) -> str:
    """Return a notebook's text with its first cell installing from the repository in place of a clone."""
    if repository is None:
        return text
    book = json.loads(text)
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = [line.replace(FROM_CLONE, f'"{repository.requirement}"') for line in cell["source"]]
            break
    return json.dumps(book, indent=1, ensure_ascii=False) + "\n"


def write_links(name: str, repository: Repository | None) -> str:
    """Return the links of one notebook as HTML, relative to its page."""
    links = {"Download this notebook": f"../_notebooks/{name}.ipynb"}
    if repository is not None:
        links |= {"Open it in Colab": repository.link_colab(name), "Open it in Binder": repository.link_binder(name)}
    return '<p class="notebook-links">' + " · ".join(f'<a href="{html.escape(a)}">{text}</a>' for text, a in links.items()) + "</p>"


def add_links(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Put the links below the title of a notebook's page."""
    folder, _, notebook = name.rpartition("/")
    if folder == "notebooks" and notebook in list_notebooks():
        section = next(doctree.findall(nodes.section))
        section.insert(1, nodes.raw("", write_links(notebook, find_repository()), format="html"))


def write_copies(app: Sphinx, error: Exception | None) -> None:
    """Write the notebooks to be downloaded and opened elsewhere into the built site."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_notebooks"
        target.mkdir(exist_ok=True)
        for name in list_notebooks():
            text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
            (target / f"{name}.ipynb").write_text(address_install(text, find_repository()), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", add_links)
    app.connect("build-finished", write_copies)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
