"""The examples in docstrings, which the API reference shows, run and return what they say."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def exemplary(root):
    """Return the modules whose docstrings have examples, by their dotted names."""
    found = [p for package in ("toymodels", "validation", "deepnets") for p in sorted((root / package).rglob("*.py"))]
    return [".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
            for p in found if re.search(r"^ *>>> ", p.read_text(), re.MULTILINE)]


@pytest.mark.parametrize("name", exemplary(ROOT))
def test_the_examples_of_docstrings_hold(name):
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted
    assert not done.failed


def test_examples_are_found(tmp_path):
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "a.py").write_text('"""A.\n\n>>> 1 + 1\n3\n"""\n')
    (tmp_path / "validation" / "b.py").write_text('"""B, no example: a >>> b."""\n')
    assert exemplary(tmp_path) == ["validation.a"]
    assert {"validation.fitting.powerlaw", "toymodels.theory.edge", "deepnets.centered.centered"} <= set(exemplary(ROOT))
