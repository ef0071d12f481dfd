"""Build the explorer: compile its kernel to WebAssembly with zig, and put kernel, scripts, styles and markup into one file.

Both results are in the repository, `kernel.wasm` and `explorer.html`, so that only who changes the kernel needs the compiler:
``pip install ziglang``, then ``python -m toymodels.explorer.build``.
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from validation.outcome import Outcome
from validation.plotting.style import COLOURS

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "source"
ZIG = "0.17.1"      # another version compiles to other bytes
FLAGS = ("-target", "wasm32-freestanding", "-mcpu=generic+simd128+bulk_memory", "-O3", "-ffp-contract=off", "-nostdlib", "-Wall", "-Wextra",
         "-Werror", "-Wl,--no-entry", "-Wl,--strip-all", "-Wl,--export=__heap_base")
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.MULTILINE)
REMARK = re.compile(r"^[ ]*//.*\n|^[ ]+|^\n", re.MULTILINE)      # what the browser does not need: indents, lines of comment, empty lines
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)


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


def bundle(main: str, generated: dict[str, str]) -> str:
    """Return one script of the module `main` and all that it imports, each in a scope of its own.

    Parameters
    ----------
    main : the name of a module of `source`, without its ending.
    generated : the texts of modules that are no files, by name.
    """
    scripts: dict[str, str] = {}

    def add(name: str) -> None:
        text = generated[name] if name in generated else (SOURCE / f"{name}.js").read_text()
        for found in IMPORT.finditer(text):
            if found[2] not in scripts:
                add(found[2])
        names = ", ".join(EXPORT.findall(text))
        text = IMPORT.sub(lambda found: f"const {{{found[1].replace(' as ', ': ')}}} = {found[2]}Module;\n", text)
        scripts[name] = f"const {name}Module = (() => {{\n{EXPORT.sub('', text)}return {{{names}}};\n}})();\n"

    add(main)
    return '"use strict";\n' + REMARK.sub("", "".join(scripts.values()))


def build_page() -> str:
    """Return the page: one HTML file that needs no other."""
    outcomes = [{"code": int(o), "name": o.label, "sentence": o.sentence, "colour": COLOURS[o]} for o in Outcome]
    kernel = base64.b64encode((FOLDER / "kernel.wasm").read_bytes()).decode()
    generated = {"outcomes": f"export const OUTCOMES = {json.dumps(outcomes)};\n",
                 "compiled": f'export const KERNEL = "{kernel}";\nexport const WORKER = {json.dumps(bundle("worker", {}))};\n'}
    page = (SOURCE / "page.html").read_text()
    page = page.replace("/* style.css */", (SOURCE / "style.css").read_text())
    return page.replace("/* scripts */", "\n" + bundle("page", generated))


if __name__ == "__main__":
    if find_zig() == ZIG:
        (FOLDER / "kernel.wasm").write_bytes(build_kernel())
    else:
        print(f"kernel.wasm stays as it is: to compile it, pip install ziglang=={ZIG}")
    (FOLDER / "explorer.html").write_text(build_page())
