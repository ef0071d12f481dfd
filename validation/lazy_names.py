"""Import a package's public names when they are first used; they are listed once, in its stub `__init__.pyi`.

Type checkers, editors and the running program read the same list. The idea and the name of `attach` come from the package lazy_loader
(Scientific Python, SPEC 1), which is not needed here.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from importlib import import_module
from os.path import splitext


def attach(package: str, file: str) -> tuple[Callable[[str], object], Callable[[], list[str]], list[str]]:
    """Return ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Parameters
    ----------
    package, file : its ``__name__`` and ``__file__``; the stub lies next to the file. Every line of the stub after the docstring is
        ``from module import Name as Name``.
    """
    with open(f"{splitext(file)[0]}.pyi", encoding="utf-8") as stub:      # without pathlib, a third of the import's time
        imports = [node for node in ast.parse(stub.read()).body if isinstance(node, ast.ImportFrom)]
    origin = {alias.name: node.module for node in imports if node.module for alias in node.names}
    public = sorted(origin)

    def get(name: str) -> object:
        if name not in origin:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = origin[name]
        value = import_module(f"{package}.{name}") if module == package else getattr(import_module(module), name)
        setattr(import_module(package), name, value)
        return value

    return get, lambda: list(public), public
