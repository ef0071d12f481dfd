"""Make the standard streams safe to write to: one that is closed, one that is a broken pipe, one whose encoding lacks our symbols."""

from __future__ import annotations

import codecs
import errno
import os
import sys

ASCII = {
    "✓": "+", "✗": "x", "±": "+-", "…": "...", "–": "-", "—": "-", "─": "-", "━": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
    "╺": "-", "╸": "-", "█": "#", "▏": "|", "•": "*", "·": ".", "×": "x", "η": "eta", "γ": "gamma", "ρ": "rho", "≥": ">=", "≤": "<=",
    "→": "->", "’": "'", "‘": "'", "“": '"', "”": '"'}
UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT)


def prepare_streams() -> None:
    """Open streams that are closed on the null device, and let symbols that an encoding lacks be written in ASCII."""
    codecs.register_error("lazyrich", _write_in_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:                      # closed by the caller: print would write to the other stream
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the rest of the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="lazyrich")


def _write_in_ascii(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for the characters that cannot be encoded, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start:error.end]
    return "".join(ASCII.get(c, "?" if c.isprintable() else repr(c)[1:-1]) for c in part), error.end


def flush_streams() -> str | None:
    """Flush both streams; return why one could not be written, or None. A broken pipe is no reason: nobody reads what is left."""
    why = None
    for name in ("stdout", "stderr"):
        try:
            getattr(sys, name).flush()
        except BrokenPipeError:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - what is buffered must not be flushed again
        except OSError as error:
            why = error.strerror
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    return why


def is_of_a_stream(error: OSError) -> bool:
    """Return whether an error comes from writing to a standard stream, and not from a file."""
    return error.filename is None and error.errno in UNWRITABLE
