"""Record where a result comes from: versions, git revision, command line, machine, time."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

NO_COMMAND = "LAZYRICH_NO_COMMAND"
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S*|\S+@\S+|[\w.-]+:\d{2,5}|\[[0-9a-f:]+\](:\d+)?|\d+\.\d+\.\d+\.\d+(:\d+)?", re.IGNORECASE)
LIBRARIES = ("lazyrich", "numpy", "scipy", "numba", "sympy", "torch", "xarray", "zarr")


def collect_provenance() -> dict[str, Any]:
    """Return versions, git revision (with "+dirty" after local changes), command line, machine and time, all as strings.

    The command line has no folders, users or addresses; with the environment variable LAZYRICH_NO_COMMAND it is left out.
    """
    command = {} if os.environ.get(NO_COMMAND) else {"command": " ".join(map(remove_private, sys.argv))}
    return dict(_collect_constant()) | command | {"created": datetime.now(UTC).isoformat(timespec="seconds")}


def remove_private(argument: str) -> str:
    """Return an argument of a command line without folders, addresses and the names of user and machine."""
    option, equals, value = argument.partition("=")
    if not (equals and option.startswith("-")):
        option, equals, value = "", "", argument
    if ADDRESS.fullmatch(value):
        return f"{option}{equals}ADDRESS"
    if re.search(r"[/\\]", value) or value.startswith("~"):
        value = re.split(r"[/\\]", value.rstrip("/\\"))[-1]
        value = "" if value.startswith("~") else value
    for name, instead in _list_private_names():
        value = re.sub(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", instead, value)
    return f"{option}{equals}{value}"


def _list_private_names() -> list[tuple[str, str]]:
    """Return the names of the user and of the machine, with what stands for them."""
    names = [(os.environ.get(v, ""), "USER") for v in ("USER", "LOGNAME", "USERNAME")]
    names += [(os.path.basename(os.path.expanduser("~")), "USER"), (platform.node(), "HOST")]
    return [(name, instead) for name, instead in names if len(name) > 1]


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
