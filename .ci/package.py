"""Build the sdist and, from it, the wheel; check both; install the wheel alone in a bare environment, and run it there.

Usage: python .ci/package.py [FOLDER]      on any system; what was built is left in the folder, if one is given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED = ("README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "tests/test_packaging.py", "docs/conf.py",
          "docs/findings.json")


def run(*words: object, **options: object) -> str:
    """Run a command and return what it prints; a failure ends the program."""
    print("$", *words, flush=True)
    done = subprocess.run([str(word) for word in words], text=True, stdout=subprocess.PIPE, check=False, **options)
    print(done.stdout, flush=True)
    if done.returncode:
        sys.exit(f"failed with exit code {done.returncode}")
    return done.stdout


def make_environment(folder: Path) -> Path:
    """Return the Python of a new environment."""
    run(sys.executable, "-m", "venv", folder)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def main(folder: str | None = None) -> None:
    """Build, check, install and run."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        place = Path(scratch)
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "MPLBACKEND": "agg",
                       "LAZYRICH_CACHE": str(place / "cache"), "NUMBA_CACHE_DIR": str(place / "numba")}
        os.environ.pop("PYTHONPATH", None)
        tools = make_environment(place / "tools")
        run(tools, "-m", "pip", "install", "--quiet", "build", "twine")
        run(tools, "-m", "build", "--outdir", place / "dist", ROOT)
        [sdist], [wheel] = (place / "dist").glob("*.tar.gz"), (place / "dist").glob("*.whl")
        run(tools, "-m", "twine", "check", "--strict", sdist, wheel)
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        if missing := [name for name in WANTED if name not in names]:
            sys.exit(f"the sdist lacks {', '.join(missing)}")
        bare = make_environment(place / "bare")
        run(bare, "-m", "pip", "install", "--quiet", wheel)
        run(bare, "-m", "pip", "check")
        command = [bare, "-m", "lazyrich"]
        run(*command, "--version", cwd=place)
        run(*command, "predict", "--model", "one", "--depth", "3", cwd=place)
        run(*command, "findings", "figure-06", cwd=place)
        run(*command, "toy", "--points", "12", "--gamma", "1e-2", "1e2", "--loss", "mse", "--quiet", "--out", "toy", cwd=place)
        if not list((place / "toy").glob("**/report.html")):
            sys.exit("lazyrich toy has written no report")
        if folder is not None:
            shutil.copytree(place / "dist", folder, dirs_exist_ok=True)
    print("the package is sound")


if __name__ == "__main__":
    main(*sys.argv[1:2])
