"""Run a command line to its exit code, on standard streams that are safe to write to.

A stream may be closed, be a broken pipe or a full device, or have an encoding that lacks our symbols.
"""

from __future__ import annotations

import atexit
import codecs
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from validation.interrupts import INTERRUPTED, end_program, handle_interrupts, print_interrupt
from validation.printable import print_text

DONE, CONTRADICTED, MISUSE, BUG = 0, 1, 2, 70

ASCII = {
    "✓": "+", "✗": "x", "±": "+-", "…": "...", "–": "-", "—": "-", "─": "-", "━": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+",
    "╺": "-", "╸": "-", "█": "#", "▏": "|", "•": "*", "·": ".", "×": "x", "η": "eta", "γ": "gamma", "ρ": "rho", "≥": ">=", "≤": "<=",
    "→": "->", "’": "'", "‘": "'", "“": '"', "”": '"'}
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
UNWRITABLE = (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT)


def run_program(name: str, run: Callable[[], int]) -> NoReturn:
    """Run a command line on prepared streams and exit with its code, which `run` returns."""
    try:
        handle_interrupts(name)     # by SIGTERM as by Ctrl-C: nothing half-written is left, and no process goes on
        atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)      # called last: all is done, and the exit code remains
        prepare_streams()
        os.environ["MPLBACKEND"] = "agg"        # no command shows a window, and matplotlib cannot be imported with an unknown backend
        try:
            code = run()
        except SystemExit as end:       # of argparse, which has printed
            code = end.code if isinstance(end.code, int) else DONE
        if why := flush_streams():
            code = code or MISUSE
            print(f"{name}: the output could not be written: {why}", file=sys.stderr)
            flush_streams()
    except KeyboardInterrupt:       # before the command or after it; or a second one, while the first one's processes are ended
        code = INTERRUPTED
    if code == INTERRUPTED:
        end_program(name)
    sys.exit(code)


def catch_errors(name: str, call: Callable[[], Any], explain: Callable[[Exception], str | None] = lambda error: None) -> int:
    """Call a command and return its exit code, which is that of its error if it raises one; the error is printed in a sentence.

    Parameters
    ----------
    name : the program's, before its messages.
    call : returns an exit code, or anything else for 0.
    explain : returns the sentence for a misuse that is no `Misuse`, or None for a bug.
    """
    try:
        result = call()
    except KeyboardInterrupt:
        print_interrupt(name)
        return INTERRUPTED
    except BrokenPipeError:
        return DONE         # nobody reads what is left to print
    except Exception as error:
        if isinstance(error, OSError) and is_of_a_stream(error):
            print(f"{name}: the output could not be written: {error.strerror}", file=sys.stderr)
            return MISUSE
        # recognised by its name, so that `lazyrich --help` need not import the module that defines it
        sentence = str(error) if type(error).__name__ == "Misuse" else explain(error) or _explain_system(error)
        if sentence is not None:
            print_text(f"{name}: {sentence}", sys.stderr)
            return MISUSE
        print_text(traceback.format_exc().rstrip(), sys.stderr)
        print(f"{name}: internal error, please report it with the traceback above", file=sys.stderr)
        return BUG
    return result if isinstance(result, int) else DONE


def _explain_system(error: Exception) -> str | None:
    """Return the sentence for what the system refuses to any program, or None."""
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        return f"the system refuses more: {error.strerror}"
    threads = os.environ.get("NUMBA_NUM_THREADS", "1")
    if isinstance(error, ValueError) and threads.lstrip("-").isdigit() and int(threads) < 1:
        return f"the environment variable NUMBA_NUM_THREADS must be at least 1, not {threads}"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the current folder was removed; change to another one"
    return None


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
