"""Compile the library that lets a CPU-only torch report a CUDA device, once for each version of torch and of the source."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import runpy
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).with_name("guard.cpp")


class CannotBuild(Exception):
    """Why the library cannot be compiled on this machine."""


def build_library() -> Path:
    """Return the compiled library, from the cache where it is there; raise `CannotBuild` with the reason where it cannot be compiled."""
    version = runpy.run_path(str(_find_torch() / "version.py"))      # torch itself takes seconds to load
    if version["cuda"] is not None or version.get("hip") is not None:
        raise CannotBuild("the pretended device needs a torch built without CUDA")
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise CannotBuild("the pretended device needs a C++ compiler")
    name = hashlib.sha256(SOURCE.read_bytes() + version["__version__"].encode()).hexdigest()[:16]
    folder = Path(os.environ.get("LAZYRICH_CACHE") or tempfile.gettempdir()) / "pretended_device"
    library = folder / f"guard-{name}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _compile(compiler, library)
    return library


def _find_torch() -> Path:
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _compile(compiler: str, library: Path) -> None:
    root = _find_torch()
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        target = Path(scratch) / "guard.so"
        command = [compiler, "-O0", "-shared", "-fPIC", "-std=c++20", f"-I{root / 'include'}", str(SOURCE), f"-L{root / 'lib'}",
                   "-Wl,--no-as-needed", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{root / 'lib'}", "-o", str(target)]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode:
            raise CannotBuild(f"the pretended device does not compile against this torch: {run.stderr.strip().splitlines()[0]}")
        target.replace(library)
