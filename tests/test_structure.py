"""The structure as planned: imports, layers, names, first lines, and what an import loads.

The plan is compared with the sources themselves. Each checker is a function of a folder, so that it can be tried on a bad tree.
"""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("validation", "toymodels", "deepnets", "lazyrich")
ARROWS = {"lazyrich": {"toymodels", "deepnets", "validation"}, "toymodels": {"validation"}, "deepnets": {"validation"},
          "validation": set()}
# within a package, from the top down: what stands in a line may import what stands in it and below it
LAYERS = {
    "validation": ["cli_options", "reporting", "plotting", "judging", "runs", "fitting", "tracing", "executors sweeping machine_code",
                   "storage own_files", "traced_runs", "edges", "portrait",
                   "estimates experiment outcome plane prediction progress provenance",
                   "arguments lazy_names user_warnings printable interrupts whole_numbers"],
    "deepnets": ["__main__ cli where_cli tune_cli", "pipeline netcdf_sweep parts", "diffusion", "own_options cli_options", "observation",
                 "phenomena", "checks", "tuning", "place",
                 "cost", "lazy_edges", "experiment preflight network_check bound_copies", "run_variables", "own_loss", "network_edges",
                 "theory titles", "stored_description", "kernels", "curvature", "memory failed_runs work torch_groups",
                 "training fused folded_training",
                 "run_outcomes held_out",
                 "batched", "networks tasks", "centered", "optimizers schedules losses precision device run_arguments network_factory "
                 "wrapped_model", "behaviour module_state"],
    "toymodels": ["orbit_cli explorer", "cli predict_cli edge_accuracy", "period_changes default_rates", "orbits orbit_diagram",
                  "simulate mode_experiment built_in own_kernels",
                  "theory", "run_outcomes orbit_kernels mode_kernels training_kernels", "kernels",
                  "losses models modes optimizers schedules own", "arithmetic compilation background randomness threads"],
}
FORBIDDEN = {"validation": {"numba", "sympy", "mpmath", "torch"}, "toymodels": {"torch"},
             "deepnets": {"sympy"}, "lazyrich": set()}
EMPTY_NAMES = {"util", "utils", "common", "helper", "helpers", "misc"}
LAZY = re.compile(rf"({'|'.join(PACKAGES)})(\.\w+)*:\w+")   # an entry point as text, "toymodels.cli:main"


def modules(root):
    """Every module of the packages under `root`: its dotted name -> its path."""
    paths = [p for package in PACKAGES for p in (root / package).rglob("*.py")] + list(root.glob("lazyrich.py"))
    return {".".join(p.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): p for p in sorted(paths)}


def imports(name, path, known, top=False, types=True):
    """The dotted names that a module imports, in any way; with `top`, only those run by importing it; `types`: also for annotations."""
    found, package = set(), name if path.name == "__init__.py" else name.rpartition(".")[0]

    def visit(node):
        for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        deferred = for_types or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if (top and deferred) or (for_types and not types):
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
    """Every import across packages that the plan does not allow, as "who -> whom"."""
    known = modules(root)
    wrong = []
    for name, path in known.items():
        package = name.partition(".")[0]
        for target in sorted(imports(name, path, known)):
            other = target.partition(".")[0]
            if other != package and (other in {*PACKAGES, "tests", "docs"} - ARROWS[package] or other in FORBIDDEN[package]):
                wrong.append(f"{name} -> {target}")
            if other == "matplotlib" and name != "validation.plotting.figures":
                wrong.append(f"{name} -> {target}")
    return wrong


def climbing(root):
    """Every import within a package that goes up its layers (those for annotations may), and every module that has no layer."""
    known, wrong = modules(root), []
    for package, layers in LAYERS.items():
        level = {unit: i for i, line in enumerate(layers) for unit in line.split()}
        for name, path in known.items():
            unit = name.split(".")[1] if name.startswith(f"{package}.") else None
            if unit is None:
                continue
            if unit not in level:
                wrong.append(f"{name} has no layer")
                continue
            for target in sorted(imports(name, path, known, types=False)):
                parts = target.split(".")
                if parts[0] == package and len(parts) > 1 and level.get(parts[1], len(layers)) < level[unit]:
                    wrong.append(f"{name} -> {target}")
    return wrong


def public_names(root):
    """The public names of each package and of its subpackages, as their stubs and `__all__` list them: package -> names."""
    found = {p.parent: [a.asname or a.name for n in ast.parse(p.read_text()).body if isinstance(n, ast.ImportFrom) for a in n.names]
             for p in sorted(root.rglob("__init__.pyi")) if p.relative_to(root).parts[0] in PACKAGES}
    for path in modules(root).values():
        if path.name == "__init__.py" and path.parent not in found:
            lists = [n.value for n in ast.parse(path.read_text()).body
                     if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
            found[path.parent] = [e.value for value in lists if isinstance(value, ast.List | ast.Tuple) for e in value.elts]
    return {".".join(folder.relative_to(root).parts): names for folder, names in found.items()}


def two_meanings(root):
    """Every module that bears the name of a public function or class of its package; a module may itself be the public name."""
    public = {(package.partition(".")[0], name) for package, names in public_names(root).items() for name in names}
    themselves = {f"{n.module}.{a.name}" for p in root.rglob("__init__.py*") if p.suffix in (".py", ".pyi")
                  for n in ast.parse(p.read_text()).body
                  if isinstance(n, ast.ImportFrom) and n.module == ".".join(p.parent.relative_to(root).parts) for a in n.names}
    return [name for name in modules(root) if (name.partition(".")[0], name.rpartition(".")[2]) in public and name not in themselves]


def circle(root):
    """The modules of one circle of imports, or nothing."""
    known = modules(root)
    graph = {name: imports(name, path, known, top=True) & known.keys() - {name} for name, path in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def empty_names(root):
    """Every module whose name says nothing of its contents."""
    return [name for name in modules(root) if EMPTY_NAMES & set(name.lower().strip("_").replace("_", ".").split("."))]


def undocumented(root):
    """Every module whose first line is not a docstring's."""
    texts = {name: path.read_text() for name, path in modules(root).items()}
    return [name for name, text in texts.items()
            if not text.startswith('"""') or not (ast.get_docstring(ast.parse(text)) or "").strip()]


def test_imports_point_down():
    assert not wrong_arrows(ROOT)


def test_no_circle():
    assert not circle(ROOT)


def test_imports_stay_in_their_layers():
    assert not climbing(ROOT)


def test_no_module_bears_the_name_of_a_public_function():
    assert not two_meanings(ROOT)


@pytest.mark.parametrize("package", PACKAGES[:3])
def test_dir_shows_exactly_the_public_names(package):
    listed = public_names(ROOT)[package]
    assert len(set(listed)) == len(listed)
    code = (f"import {package} as p; before = dir(p); [getattr(p, n) for n in before]; "
            "assert before == dir(p) == sorted(p.__all__); print(*before)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == sorted(listed)


@pytest.mark.parametrize("package", ["deepnets.tasks", "deepnets.phenomena", "deepnets.diffusion", "deepnets.losses", "deepnets.optimizers",
                                     "deepnets.schedules"])
def test_dir_of_a_subpackage_shows_exactly_the_public_names(package):
    module = importlib.import_module(package)
    assert dir(module) == sorted(module.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error():
    import validation

    with pytest.raises(AttributeError, match="module 'validation' has no attribute 'nothing'"):
        _ = validation.nothing


def test_no_empty_names():
    assert not empty_names(ROOT)


def test_every_first_line_says_what_the_module_does():
    assert not undocumented(ROOT)


def test_the_checkers_see_the_tree():
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


def test_a_climbing_import_and_a_module_without_a_layer_are_seen(tmp_path):
    plant(tmp_path, validation__storage__a="def f():\n    from validation.fitting.b import c",
          validation__fitting__b="import validation.storage.a")
    assert climbing(tmp_path) == ["validation.storage.a -> validation.fitting.b"]
    assert climbing(plant(tmp_path, validation__elsewhere="")) == ["validation.elsewhere has no layer",
                                                                  "validation.storage.a -> validation.fitting.b"]


def test_a_module_with_a_functions_name_is_seen(tmp_path):
    plant(tmp_path, validation__sweep="", validation__parts="", deepnets__sweep="", validation__deep__trace="")
    stub = "from validation import parts as parts\nfrom validation.a import sweep as sweep\n"
    (tmp_path / "validation" / "__init__.pyi").write_text(stub)
    (tmp_path / "validation" / "deep" / "__init__.py").write_text('__all__ = ["trace"]')
    assert two_meanings(tmp_path) == ["validation.deep.trace", "validation.sweep"]


def test_an_empty_name_and_an_undocumented_module_are_seen(tmp_path):
    plant(tmp_path, validation__utils='"""x."""', toymodels___helpers='"""x."""', deepnets__commonplace='"""x."""')
    assert empty_names(tmp_path) == ["toymodels._helpers", "validation.utils"]
    plant(tmp_path, validation__a='# comment\n"""x."""', validation__b='""" """', validation__c="x = 1")
    assert undocumented(tmp_path) == ["validation.a", "validation.b", "validation.c"]


@pytest.mark.parametrize(("package", "absent"), [("validation", "numba sympy torch zarr matplotlib"),
                                              ("toymodels", "torch sympy matplotlib"),
                                              ("deepnets", "numba llvmlite sympy matplotlib"),
                                              ("lazyrich", "torch sympy matplotlib numba")])
def test_importing_a_package_stays_light(package, absent):
    code = f"import sys, {package}; print(*sorted(set({absent.split()}) & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split() == []
