"""`lazyrich tune`: the richness and the rate at which a network trains best, in a given number of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from deepnets.own_options import OwnOptions
from validation.whole_numbers import Whole


def tune(
    network: str,
    *,
    options: Annotated[OwnOptions, Parameter(name="*")],
    runs: float = 24,
    seeds: str = "1",
    steps: Whole = 1000,
    store: Path | None = None,
    json: bool = False,
    quiet: bool = False,
) -> int:
    """Search for the richness and the rate of the least held-out loss. Safe to interrupt: rerun the same command to resume.

    Parameters
    ----------
    network
        The network, as mine.py:Net: a torch.nn.Module, a class or function that makes one (without arguments, or of the seed), or a
        specification such as deepnets.MLP(...).
    runs
        Full-run equivalents that may be spent, at least 4; short runs and measurements of the start are counted.
    seeds
        How many seeds (3 means 0,1,2), or which, with commas.
    steps
        T, the number of steps of a full run.
    store
        The file of the trials; if not given, lazyrich-tune.json. The same search resumes from it, also with more runs.
    json
        Print the answer as JSON.
    quiet
        Show no progress bar.
    """
    from json import dumps

    from deepnets.tuning.tuner import tune as tune_network
    from validation.printable import print_text

    given = options.arguments(network, seeds)
    found = tune_network(**given, runs=runs, steps=steps, store=store or Path("lazyrich-tune.json"), progress=not quiet)
    print_text(dumps(found.describe(), indent=2) if json else found.report())
    return 0
