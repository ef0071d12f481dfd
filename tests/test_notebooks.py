"""The notebooks: without outputs, harmless where lazyrich is installed, and with links to the repository that is published.

They are run while the site is built.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.fixture
def ext(monkeypatch):
    """Import a module of the site's extensions."""
    pytest.importorskip("sphinx", reason="the site's tools are not installed")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    yield lambda name: importlib.import_module(f"ext.{name}")
    for name in [n for n in sys.modules if n == "ext" or n.startswith("ext.")]:
        del sys.modules[name]


def cells(path, kind="code"):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def test_there_are_four():
    assert [path.stem for path in NOTEBOOKS] == ["existing_runs", "own_network", "own_toy", "start"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_output_is_stored_and_each_figure_says_what_it_shows(path):
    book = json.loads(path.read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            if re.search(r"^(validation\.plot|draw)_", "".join(cell["source"]), re.MULTILINE):
                assert len(cell["metadata"]["mystnb"]["image"]["alt"]) > 40


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_cell_installs_only_where_lazyrich_is_missing(path):
    first, *others = cells(path)
    *_, condition, command = first.splitlines()
    assert condition == 'if find_spec("toymodels") is None:'
    assert command.startswith("    %pip install")
    assert not [text for text in others if "%pip" in text]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_has_a_title_and_checks_itself(path):
    code = cells(path)
    for text in code:
        ast.parse(re.sub(r"^( *)%.*$", r"\1pass", text, flags=re.MULTILINE))
    assert cells(path, "markdown")[0].startswith("# ")
    assert any(re.search(r"^ *assert ", text, re.MULTILINE) for text in code)


def test_links_lead_to_the_repository_that_the_workflow_names(ext, monkeypatch):
    monkeypatch.setenv("GITHUB_REPOSITORY", "Someone/rich")
    monkeypatch.setenv("GITHUB_REF_NAME", "v0.2.0")
    found = ext("publication").find_repository()
    assert found.site == "https://someone.github.io/rich/"
    links = ext("notebooks").write_links("start", found)
    assert 'href="https://colab.research.google.com/github/Someone/rich/blob/gh-pages/v0.2.0/_notebooks/start.ipynb"' in links
    assert 'href="https://mybinder.org/v2/gh/Someone/rich/v0.2.0?urlpath=lab/tree/docs/notebooks/start.ipynb"' in links
    for path in NOTEBOOKS:
        book = ext("notebooks").address_install(path.read_text(), found)
        assert '"lazyrich[deep] @ git+https://github.com/Someone/rich@v0.2.0"' in "".join(json.loads(book)["cells"][1]["source"])
        assert len(json.loads(book)["cells"]) == len(json.loads(path.read_text())["cells"])


def test_without_a_repository_nothing_links_to_one(ext, monkeypatch, tmp_path):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    for text, expected in (("", None), ('Repository = "https://github.com/a/b.git"', "https://github.com/a/b")):
        (tmp_path / "pyproject.toml").write_text(f"[project.urls]\n{text}\n")
        monkeypatch.setattr(ext("publication"), "ROOT", tmp_path)
        found = ext("publication").find_repository()
        assert (found and found.address) == expected
    links = ext("notebooks").write_links("start", None)
    assert "http" not in links
    assert 'href="../_notebooks/start.ipynb"' in links
    text = NOTEBOOKS[0].read_text()
    assert ext("notebooks").address_install(text, None) == text
