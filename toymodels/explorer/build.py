"""Build the explorer: compile its kernel to WebAssembly with zig, and put kernel, scripts, styles and markup into one file.

Both results are in the repository, `kernel.wasm` and `explorer.html`, so that only who changes the kernel needs the compiler:
``pip install ziglang``, then ``python -m toymodels.explorer.build``.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
ZIG = "0.17.1"      # another version compiles to other bytes
FLAGS = ("-target", "wasm32-freestanding", "-mcpu=generic+simd128+bulk_memory", "-O3", "-ffp-contract=off", "-nostdlib", "-Wall", "-Wextra",
         "-Werror", "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--export=__heap_base")


def find_zig() -> str | None:
    """Return the version of the compiler that is installed, or None."""
    try:
        return importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError:
        return None


def build_kernel() -> bytes:
    """Return the kernel, compiled from `kernel.c`."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "kernel.wasm"
        environment = os.environ | {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
        subprocess.run([sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", target, "kernel.c"], check=True, cwd=FOLDER, env=environment)
        return target.read_bytes()


if __name__ == "__main__":
    if find_zig() == ZIG:
        (FOLDER / "kernel.wasm").write_bytes(build_kernel())
    else:
        print(f"kernel.wasm stays as it is: to compile it, pip install ziglang=={ZIG}")
