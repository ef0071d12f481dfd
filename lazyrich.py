"""The front door: the command line, and the only file that knows every room.

Every command is registered by its place as a string, so that `lazyrich --help` imports none of them.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from cyclopts import App, CycloptsError

DONE, CONTRADICTED, MISUSE, INTERRUPTED = 0, 1, 2, 130


def _version() -> str:
    from importlib.metadata import version

    return version("lazyrich")


app = App(
    name="lazyrich",
    help="Which learning rates eta train at which feature-learning strength gamma, why, and with which exponents.",
    version=_version,
    result_action="return_value",
)
app.command("toymodels.command:toy", name="toy",
            help="Simulate a toy model over the plane, find its edges, fit, judge against the theory, draw.")
app.command("toymodels.predict_command:predict", name="predict",
            help="The predicted edges and exponents of a model, as a table, LaTeX or JSON.")
app.command("judging:judge", name="judge", help="Hold a stored portrait against the theory that its own attributes name.")


def main(words: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 CONTRADICTED (`judge`, or `--strict`), 2 misuse, 130 interrupted."""
    code = run(words)
    sys.stdout.flush()
    sys.stderr.flush()
    if code == INTERRUPTED:
        os._exit(code)      # a kernel may still be running in another thread; nothing on disk waits for it
    sys.exit(code)


def run(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        result: Any = app(words, exit_on_error=False, print_error=True)
    except CycloptsError:
        return MISUSE       # cyclopts has printed what was given and what is allowed
    except KeyboardInterrupt:
        print("lazyrich: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - what is left to print has no reader
        return DONE
    except ValueError as error:
        if type(error).__name__ != "Misuse":
            raise
        print(f"lazyrich: {error}", file=sys.stderr)
        return MISUSE
    return result if isinstance(result, int) else DONE


if __name__ == "__main__":
    main()
