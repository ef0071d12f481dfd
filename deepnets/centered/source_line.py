"""Name the line of a module at which differences could not be propagated, from the traceback."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from deepnets.centered.pair import Unsupported

# folders and files whose lines are not the user's
HIDDEN = (str(Path(torch.__file__).parent), str(Path(__file__).parent), str(Path(__file__).parents[1] / "wrapped_model.py"))


@contextmanager
def name_source_line() -> Iterator[None]:
    """Add the file and the line of the network's own code to the message of `Unsupported`, where the traceback has it."""
    try:
        yield
    except Unsupported as error:
        if not (where := find_source_line(error)):
            raise
        raise Unsupported(f"{error} ({where})") from error


def find_source_line(error: BaseException) -> str:
    """Return the innermost line of a module's own code in a traceback, as words; without one, the innermost module's class, if any."""
    while error.__cause__ is not None:
        error = error.__cause__
    line, kind = "", ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if isinstance(owner, nn.Module):
            kind = f"in {type(owner).__name__}"
        if kind and not frame.f_code.co_filename.startswith(HIDDEN):
            line = f"{frame.f_code.co_filename}, line {number}, in {frame.f_code.co_qualname}"
    return line or kind
