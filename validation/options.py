"""Types of the command line's options, where the parser's own reading is too kind; knows the parser, no model."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter


def _whole(kind: Any, tokens: Any) -> int:
    """Read a whole number, and nothing else: the parser's own reading rounds 2.5 to 2."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"it must be a whole number, not {tokens[0].value!r}") from None


Whole = Annotated[int, Parameter(converter=_whole)]
