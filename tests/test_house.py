"""The house as planned: arrows, names, first lines, what an import loads, and what the wheel holds.

The plan is drawn from the sources themselves. Each checker is a function of a folder: it can be shown a bad house.
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("validation", "toymodels", "deepnets", "lazyrich")
ARROWS = {"lazyrich": {"toymodels", "deepnets", "validation"}, "toymodels": {"validation"}, "deepnets": {"validation"},
          "validation": set()}
STRANGERS = {"validation": {"numba", "sympy", "mpmath", "torch"}, "toymodels": {"torch"},
             "deepnets": {"numba", "sympy"}, "lazyrich": set()}
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc"}
LAZY = re.compile(rf"({'|'.join(ROOMS)})(\.\w+)*:\w+")   # an entry point as text, "toymodels.cli:main"


def modules(root):
    """Every module of the house under `root`: its dotted name -> its path."""
    paths = [p for room in ROOMS for p in (root / room).rglob("*.py")] + list(root.glob("lazyrich.py"))
    return {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in sorted(paths)}


def imports(name, path, known, top=False):
    """The dotted names that a module imports, in any way; with `top`, only those run by importing it."""
    found, package = set(), name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node):
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
        if top and deferred:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                stem = package.split(".")
                base = ".".join(filter(None, [*stem[: len(stem) - node.level + 1], base]))
            for alias in node.names:
                found.add(f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not top and LAZY.fullmatch(node.value):
            found.add(node.value.partition(":")[0])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def wrong_arrows(root):
    """Every import that is no arrow of the plan, as "who -> whom"."""
    known = modules(root)
    wrong = []
    for name, path in known.items():
        room = name.partition(".")[0]
        for target in sorted(imports(name, path, known)):
            other = target.partition(".")[0]
            if other != room and (other in {*ROOMS, "tests", "docs"} - ARROWS[room] or other in STRANGERS[room]):
                wrong.append(f"{name} -> {target}")
            if other == "matplotlib" and name != "validation.plotting.figures":
                wrong.append(f"{name} -> {target}")
    return wrong


def circle(root):
    """The modules of one circle of imports, or nothing."""
    known = modules(root)
    graph = {name: imports(name, path, known, top=True) & known.keys() - {name} for name, path in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def drawers(root):
    """Every module whose name says nothing of what lives in it."""
    return [name for name in modules(root) if DRAWERS & set(name.lower().strip("_").replace("_", ".").split("."))]


def silent(root):
    """Every module whose first line is not a docstring's."""
    texts = {name: path.read_text() for name, path in modules(root).items()}
    return [name for name, text in texts.items()
            if not text.startswith('"""') or not (ast.get_docstring(ast.parse(text)) or "").strip()]


def test_imports_point_down():
    assert not wrong_arrows(ROOT)


def test_no_circle():
    assert not circle(ROOT)


def test_no_drawers():
    assert not drawers(ROOT)


def test_every_first_line_says_what_lives_there():
    assert not silent(ROOT)


def test_the_checkers_see_the_house():
    names = set(modules(ROOT))
    assert {"validation", "validation.plotting.figures", "toymodels.models", "lazyrich"} <= names
    assert "validation.arguments" in imports("validation.plotting.figures", ROOT / "validation/plotting/figures.py", names)


def plant(root, **files):
    for name, text in files.items():
        path = root / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return root


@pytest.mark.parametrize(("name", "text", "arrow"), [
    ("validation__a", "import toymodels", "validation.a -> toymodels"),
    ("validation__a", "def f():\n    from toymodels.models import OneParameter", "validation.a -> toymodels.models"),
    ("validation__a", "from lazyrich import main", "validation.a -> lazyrich"),
    ("validation__a", "import numba", "validation.a -> numba"),
    ("validation__b__c", "from ... import toymodels", ""),
    ("toymodels__a", "import deepnets.training", "toymodels.a -> deepnets.training"),
    ("toymodels__a", "def f():\n    import torch.nn", "toymodels.a -> torch.nn"),
    ("toymodels__a", "import importlib\nimportlib.import_module('deepnets')", "toymodels.a -> deepnets"),
    ("toymodels__a", "commands = ['deepnets.cli:main']", "toymodels.a -> deepnets.cli"),
    ("toymodels__a", "from matplotlib import pyplot", "toymodels.a -> matplotlib"),
    ("toymodels__a", "from tests import x", "toymodels.a -> tests"),
    ("deepnets__a", "try:\n    import toymodels\nexcept ImportError: pass", "deepnets.a -> toymodels"),
    ("deepnets__a", "import validation, torch", ""),
    ("lazyrich", "import toymodels, deepnets, validation", ""),
])
def test_a_wrong_arrow_is_seen(tmp_path, name, text, arrow):
    assert wrong_arrows(plant(tmp_path, **{name: text})) == [arrow] * bool(arrow)


def test_a_circle_is_seen(tmp_path):
    plant(tmp_path, validation__a="from validation import b", validation__b="def f():\n    import validation.a")
    assert not circle(tmp_path)
    assert set(circle(plant(tmp_path, validation__b="from . import a"))) == {"validation.a", "validation.b"}


def test_a_drawer_and_a_silent_module_are_seen(tmp_path):
    plant(tmp_path, validation__utils='"""x."""', toymodels___helpers='"""x."""', deepnets__commonplace='"""x."""')
    assert drawers(tmp_path) == ["toymodels._helpers", "validation.utils"]
    plant(tmp_path, validation__a='# comment\n"""x."""', validation__b='""" """', validation__c="x = 1")
    assert silent(tmp_path) == ["validation.a", "validation.b", "validation.c"]


@pytest.mark.parametrize(("room", "absent"), [("validation", "numba sympy torch zarr matplotlib"),
                                              ("toymodels", "torch sympy matplotlib"),
                                              ("lazyrich", "torch sympy matplotlib numba")])
def test_importing_a_room_stays_light(room, absent):
    code = f"import sys, {room}; print(*sorted(set({absent.split()}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == []


@pytest.mark.slow
def test_the_wheel_holds_every_room(tmp_path):
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", tmp_path, ROOT],
                   check=True)
    [wheel] = tmp_path.glob("lazyrich-*.whl")
    held = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    sources = subprocess.run(["git", "ls-files", *ROOMS[:3], "lazyrich.py"], cwd=ROOT, capture_output=True, text=True)
    wanted = set(sources.stdout.split()) or {str(p.relative_to(ROOT)) for p in modules(ROOT).values()}
    assert wanted <= held
    assert "validation/reporting/report.html.j2" in held
    gallery = {f"lazyrich_gallery/{p.relative_to(ROOT / 'docs')}" for p in (ROOT / "docs" / "gallery").rglob("*.py")
               if "generated" not in p.parts}
    assert gallery <= held
    assert {n.partition("/")[0] for n in held} == {*ROOMS[:3], "lazyrich.py", "lazyrich_gallery"}
