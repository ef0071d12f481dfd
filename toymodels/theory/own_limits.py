"""Derive exact exponents of a model of one's own in a process of its own, which can be ended: sympy's limits may take for ever.

The process prints one result a line as it finds it, so that what is found before the time is up counts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from toymodels.own.model import Model
from toymodels.theory.derivation_cache import load_or_derive

SECONDS = 6          # of one core, so that a machine that does other work finds the same
PATIENCE = 60.0      # seconds by the clock


def derive_limits(model: Model, minimum: str | None) -> dict[str, Any]:
    """Return what sympy finds in `SECONDS` of computing: "start" and "minimum", each with "kernel" as text, "lazy" and "rich".

    A regime has its exponent, the power of its logarithm and its prefactor, as text.

    Parameters
    ----------
    model : of one's own.
    minimum : the output at which the loss is least, as an exact number; None: there is no text for it.
    """
    request = json.dumps({"model": model.describe(), "minimum": minimum}, sort_keys=True)
    try:
        return dict(json.loads(load_or_derive(f"own limits {request}", lambda: json.dumps(_derive_apart(request)))))
    except subprocess.TimeoutExpired as error:       # what a stopped machine has found is no result to be cached
        return _read((error.stdout or b"").decode())


def _derive_apart(request: str) -> dict[str, Any]:
    command = [sys.executable, "-c", "from toymodels.theory.own_limits import answer; answer()"]
    return _read(subprocess.run(command, input=request, capture_output=True, text=True, timeout=PATIENCE, check=False).stdout)


def _read(text: str) -> dict[str, Any]:
    """Return the results in the lines that the process printed."""
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if line.endswith("}"):
            for key, value in json.loads(line).items():
                found.setdefault(key, {}).update(value)
    return found


def answer() -> None:
    """Read a request from standard input and print the results; where the system can, it ends this process after `SECONDS`."""
    import sympy

    with suppress(ImportError):
        import resource

        spent = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, spent + SECONDS + 1))
    from toymodels.own.expressions import make_symbol

    request = json.load(sys.stdin)
    model = Model.of(request["model"])
    gamma = make_symbol("gamma")
    kernel = sum(sympy.diff(model.output, s) ** 2 for s in model.start)
    _print_scalings("start", sympy.simplify(kernel.xreplace(dict(model.start))))
    if len(model.start) > 1 or request["minimum"] is None:
        return
    [(w, begin)] = model.start.items()
    target = sympy.Rational(request["minimum"])
    positive = sympy.Symbol(w.name, positive=True)
    unknown = positive if begin.is_positive else w
    for solution in sympy.solve((model.output - target).xreplace({w: unknown}), unknown):
        star = sympy.simplify(kernel.xreplace({w: solution}))
        print(json.dumps({"minimum": {"parameter": str(solution), "kernel": str(star), "at 1": float(star.subs(gamma, 1))}}), flush=True)
        _print_scalings("minimum", star)
        return


def _print_scalings(name: str, kernel: Any) -> None:
    from toymodels.theory.asymptotics import derive_scaling, explicit_branch
    from toymodels.theory.symbols import letters

    print(json.dumps({name: {"kernel": str(kernel)}}), flush=True)
    written = next(iter(s for s in kernel.free_symbols if s.name == "gamma"), letters().gamma)
    for regime in ("lazy", "rich"):
        found = derive_scaling(explicit_branch(1 / kernel.xreplace({written: letters().gamma})), regime)
        print(json.dumps({name: {regime: [str(found.exponent), str(found.log_power), str(found.prefactor)]}}), flush=True)
