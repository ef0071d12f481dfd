"""Read whole numbers of the command line, and nothing else: the parser's own reading rounds 2.5 to 2."""

from __future__ import annotations

from typing import Annotated, Any


def _read_whole(kind: Any, tokens: Any) -> int:
    """Return the whole number that is written."""
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"it must be a whole number, not {tokens[0].value!r}") from None


try:
    from cyclopts import Parameter

    Whole = Annotated[int, Parameter(converter=_read_whole)]
except ImportError:      # argparse reads whole numbers as it should
    Whole = int          # type: ignore[misc]
