"""Record where a result comes from: versions, git revision, command line, machine, time."""

from __future__ import annotations

import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LIBRARIES = ("lazyrich", "numpy", "scipy", "numba", "sympy", "torch", "xarray", "zarr")


def collect_provenance() -> dict[str, Any]:
    """Return versions, git revision (with "+dirty" after local changes), command line, machine and time, all as strings."""
    return dict(_collect_constant()) | {"command": " ".join(sys.argv), "created": datetime.now(UTC).isoformat(timespec="seconds")}


@lru_cache(maxsize=1)
def _collect_constant() -> tuple[tuple[str, str], ...]:
    """Return what does not change during the process."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return (("versions", f"python {platform.python_version()}, " + ", ".join(found)),
            ("git_revision", _revision()),
            ("machine", f"{platform.system()} {platform.machine()}"))


def _revision() -> str:
    """Return the revision of the checkout that contains this file, or "unknown" where it is installed without one."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        if not git("ls-files", "validation/provenance.py", Path(__file__).name):
            return "unknown"      # the installation lies in another repository
        return git("rev-parse", "HEAD") + ("+dirty" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
