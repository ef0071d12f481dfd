"""What sympy derived once, kept on disk: exponents and apexes, under a digest of everything they were derived from.

Derivations are fast, but importing sympy and deriving a portrait's exponents takes a second, and the answers never change while
the theory's own source does not. The file lies in ``$LAZYRICH_CACHE``, else ``$XDG_CACHE_HOME/lazyrich``, else ``~/.cache/lazyrich``;
where it cannot be read or written, things are derived anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from validation.storage.atomic import write_bytes


def load_or_derive(question: str, derive: Callable[[], str]) -> str:
    """Return the answer to a question: from disk where the same theory has answered it before, else derived and kept.

    Parameters
    ----------
    question : names all that the answer depends on, beyond the theory's source; empty: nothing is kept.
    derive : () -> the answer as text.
    """
    if not question:
        return derive()
    answers = _answers()
    if question not in answers:
        answers[question] = derive()
        _keep(answers)
    return answers[question]


@cache
def _place() -> Path:
    """Return the file of this very theory: its name is a digest of the sources and of sympy's version."""
    here = Path(__file__).resolve().parent
    sources = sorted([*here.glob("*.py"), here.parent / "models.py", here.parent / "losses.py"])
    mark = hashlib.sha256(version("sympy").encode())
    for source in sources:
        mark.update(source.read_bytes())
    own = os.environ.get("LAZYRICH_CACHE")
    home = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lazyrich"
    return home / f"theory-{mark.hexdigest()[:16]}.json"


@cache
def _answers() -> dict[str, str]:
    """Return what was on disk when it was first asked for, and all that has been answered since."""
    return _read()


def _read() -> dict[str, str]:
    """Return what is on disk; nothing where it cannot be read."""
    try:
        kept = json.loads(_place().read_text())
        return {str(k): str(v) for k, v in kept.items()}
    except (OSError, ValueError, AttributeError, RuntimeError):
        return {}


def _keep(answers: dict[str, str]) -> None:
    """Write all answers, with those that other processes wrote meanwhile; a disk that does not take them is no reason to stop."""
    try:
        place = _place()
        answers.update({k: v for k, v in _read().items() if k not in answers})
        write_bytes(place, json.dumps(answers).encode())
    except (OSError, RuntimeError):
        return
