"""Another module with the name of one of the packages: a sentence says which, and what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def start(folder, *arguments):
    """Run Python with a folder before this one on its path."""
    path = os.pathsep.join(map(str, (folder, ROOT)))
    return subprocess.run([sys.executable, *arguments], cwd=ROOT.anchor, env=os.environ | {"PYTHONPATH": path}, capture_output=True,
                          text=True, check=False)


@pytest.mark.parametrize("as_package", [False, True])
@pytest.mark.parametrize("package", ["toymodels", "deepnets"])
def test_a_package_names_the_module_that_is_in_the_way(tmp_path, package, as_package):
    other = tmp_path / ("validation/__init__.py" if as_package else "validation.py")
    other.parent.mkdir(exist_ok=True)
    other.write_text("")
    found = start(tmp_path, "-c", f"import {package}")
    assert found.returncode == 1
    assert f"ImportError: {package} needs lazyrich's package 'validation', and Python finds {other} for it" in found.stderr


@pytest.mark.parametrize("name", ["validation", "toymodels", "deepnets"])
def test_the_command_names_the_module_that_is_in_the_way(tmp_path, name):
    (tmp_path / f"{name}.py").write_text("")
    found = start(tmp_path, "-m", "lazyrich", "--help")
    assert found.returncode == 2
    assert found.stderr.startswith(f"lazyrich: Python finds {tmp_path / name}.py for lazyrich's package {name!r}")
    (tmp_path / f"{name}.py").unlink()
    (tmp_path / name).mkdir()      # a folder without code, too, if nothing comes after it
    assert start(tmp_path, "-m", "lazyrich", "--help").returncode == 0


def test_a_module_that_is_missing_for_another_reason_is_named_by_python(tmp_path):
    found = start(tmp_path, "-c", "import sys; sys.modules['numpy'] = None; import toymodels; toymodels.OneParameter")
    assert "needs lazyrich's package" not in found.stderr
    assert found.returncode == 1
