"""Warn at the line of the user's file from which the packages were called, however deep the call."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from validation.printable import escape_controls, shorten

# whose frames are passed over; torch and contextlib wrap functions of ours
INSIDE = ("validation", "toymodels", "deepnets", "lazyrich", "torch", "contextlib")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn as `warnings.warn` does, at the nearest frame outside the packages, or at the caller if there is none (in a worker process)."""
    frame: FrameType | None = sys._getframe(1)
    level = 2
    while frame is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] in INSIDE:
        frame, level = frame.f_back, level + 1
    warnings.warn(shorten(escape_controls(message, "\n")), category, stacklevel=2 if frame is None else level)
