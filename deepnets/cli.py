"""`lazyrich deep`: the options of the command line, handed to the pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deepnets.cli_options import DeepOptions
from deepnets.observation.selection import ObserveOptions
from validation.cli_options import SweepOptions
from validation.plotting.figure_options import NetworkFigureOptions


def deep(
    *,
    options: Annotated[DeepOptions, Parameter(name="*")] = DeepOptions(),  # noqa: B008 - frozen
    sweep_options: Annotated[SweepOptions, Parameter(name="*")] = SweepOptions(),  # noqa: B008 - frozen
    observe_options: Annotated[ObserveOptions, Parameter(name="*")] = ObserveOptions(),  # noqa: B008 - frozen
    figure_options: Annotated[NetworkFigureOptions, Parameter(name="*")] = NetworkFigureOptions(),  # noqa: B008 - frozen
    out: Path | None = None,
    strict: bool = False,
    quiet: bool = False,
) -> int:
    """Train a network over the plane, find its edges, fit, judge against the predicted exponents and levels, draw.

    Parameters
    ----------
    out
        The folder to write to, or a file ending in .nc for the portrait alone; if not given, lazyrich-deep/ and the experiment's name.
    strict
        Exit with 1 if a verdict is CONTRADICTED.
    quiet
        Print no progress bar and no table.
    """
    from deepnets.pipeline import run_pipeline

    return run_pipeline(options, sweep_options, observe_options, figure_options, out, strict, quiet)
