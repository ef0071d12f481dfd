"""Make text from files, descriptions and arguments safe to print, to draw and to raise: no control characters, no markup, no megabytes."""

from __future__ import annotations

import unicodedata
from typing import IO

LONGEST = 2000      # characters of a message


def escape_controls(text: object, keep: str = "") -> str:
    r"""Return text in which control characters, escape sequences, lone surrogates and invisible marks are written as "\x1b".

    Parameters
    ----------
    text : converted to a string.
    keep : control characters that stay, such as line feeds.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in text)


def escape_math(text: object) -> str:
    """Return text that matplotlib draws as it is: a pair of dollars would begin a formula."""
    return escape_controls(text, "\n").replace("$", r"\$")


def shorten(text: str, most: int = LONGEST) -> str:
    """Return text with its middle left out where it has more than `most` characters."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most // 3
    return f"{text[:head]} ... ({len(text) - head - tail} characters) ... {text[-tail:]}"


def print_text(text: object, file: IO[str] | None = None, flush: bool = False) -> None:
    """Print lines of text without control characters."""
    print(escape_controls(text, "\n"), file=file, flush=flush)
