"""The wheel: what it holds, the command as it is installed from it, and what happens beside another distribution named `validation`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("validation", "toymodels", "deepnets")
pytestmark = pytest.mark.slow


def build(project, folder):
    """Build the wheel of a project, without its dependencies."""
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", folder, project], check=True)
    [wheel] = folder.glob("*.whl")
    return wheel


def install(wheel, folder):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--upgrade", "--target", folder, wheel]
    subprocess.run(command, check=True, capture_output=True)


def start(folder, *words):
    """Run the installed command, or Python, from a folder that is no clone."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.run([sys.executable, *words], cwd=folder.parent, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """The wheel of another distribution that has a package `validation`."""
    project = tmp_path_factory.mktemp("other")
    (project / "validation").mkdir()
    (project / "validation" / "__init__.py").write_text("def validate(form):\n    return bool(form)\n")
    (project / "pyproject.toml").write_text('[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\n'
                                            'name = "form-checks"\nversion = "1"\n[tool.hatch.build.targets.wheel]\n'
                                            'only-include = ["validation"]\n')
    return build(project, tmp_path_factory.mktemp("others"))


def test_it_holds_every_package_and_the_gallery(wheel):
    content = {n for n in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in n}
    listed = subprocess.run(["git", "ls-files", *PACKAGES, "lazyrich.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    sources = set(listed.stdout.split()) or {str(p.relative_to(ROOT)) for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    assert len(sources) > 200
    assert sources <= content
    assert "validation/reporting/report.html.j2" in content
    gallery = {f"lazyrich_gallery/{p.relative_to(ROOT / 'docs')}" for p in (ROOT / "docs" / "gallery").rglob("*.py")
               if "generated" not in p.parts}
    assert gallery | {"lazyrich_gallery/findings.json"} <= content
    assert {n.partition("/")[0] for n in content} == {*PACKAGES, "lazyrich.py", "lazyrich_gallery"}


def test_its_metadata_are_those_of_the_project(wheel):
    archive = zipfile.ZipFile(wheel)
    [name] = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (metadata["Name"], metadata["Version"]) == ("lazyrich", project["version"])
    assert metadata.get_payload().startswith("# lazyrich\n")
    assert any(n.endswith("LICENSE") for n in archive.namelist())


def test_the_command_works_as_installed(wheel, tmp_path):
    install(wheel, tmp_path / "site")
    found = start(tmp_path / "site", "-m", "lazyrich", "findings", "figure-06", "eta_max", "rich")
    assert found.returncode == 0, found.stderr
    assert "SUPPORTED" in found.stdout
    assert start(tmp_path / "site", "-m", "lazyrich", "figure").stdout.count("Figure") > 20


def test_a_distribution_that_was_installed_over_it_is_named(wheel, other, tmp_path):
    site = tmp_path / "site"
    install(wheel, site)
    with zipfile.ZipFile(other) as archive:       # as pip does into an environment: it overwrites, and does not say so
        archive.extractall(site)
    found = start(site, "-m", "lazyrich", "predict")
    assert found.returncode == 2
    assert found.stderr == (f"lazyrich: another distribution (form-checks) has overwritten lazyrich's package 'validation' in "
                            f"{site / 'validation'}: install lazyrich in an environment of its own\n")


def test_it_works_where_it_is_installed_last(wheel, other, tmp_path):
    site = tmp_path / "site"
    install(other, site)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert start(site, "-m", "lazyrich", "predict", "--model", "one", "--depth", "3").returncode == 0
