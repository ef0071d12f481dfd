"""`lazyrich tune`: the richness and the rate at which a network trains best, in a given number of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deepnets.own_options import OwnOptions
from validation.whole_numbers import Whole


def tune(
    options: Annotated[OwnOptions, Parameter(name="*")],
    *,
    runs: float = 24,
    seeds: str = "1",
    steps: Whole = 1000,
    store: Path | None = None,
) -> int:
    """Search for the richness and the rate of the least held-out loss. Safe to interrupt: rerun the same command to resume.

    Parameters
    ----------
    runs
        Full-run equivalents that may be spent, at least 4; short runs and measurements of the start are counted.
    seeds
        How many seeds (3 means 0,1,2), or which, with commas.
    steps
        T, the number of steps of a full run.
    store
        The file of the trials; if not given, lazyrich-tune.json. The same search resumes from it, also with more runs.
    """
    from deepnets.tuning.tuner import tune as tune_network

    given = options.arguments(seeds)
    found = tune_network(**given, runs=runs, steps=steps, store=store or Path("lazyrich-tune.json"), progress=not options.quiet)
    options.print_answer(found)
    return 0
