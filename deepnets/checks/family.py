"""Networks of several sizes as experiments alike in all else; knows no check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from deepnets.experiment import DeepExperiment
from validation.misuse import Misuse, whole
from validation.verdict import LEAST_GAMMAS

TRAINING = tuple(f.name for f in fields(DeepExperiment) if f.name not in ("network", "task", "width"))


def family(network_of_size: Any, name: str, sizes: Any, task: Any, rate_width: Callable[[int], int] | None,
           training: dict[str, Any]) -> dict[int, DeepExperiment]:
    """Return an experiment for each size.

    Parameters
    ----------
    network_of_size : size -> a specification, or a callable seed -> torch.nn.Module.
    name : "width" or "blocks".
    sizes : whole numbers, increasing, at least four.
    task : one of `deepnets.tasks`.
    rate_width : size -> the N of the rate N eta; None: the specification's own, and 1 of a module of one's own.
    training : further fields of `DeepExperiment`.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """
    argument = name if name.endswith("s") else f"{name}s"
    if isinstance(sizes, str | bytes) or not isinstance(sizes, Sequence | np.ndarray) or len(sizes) < LEAST_GAMMAS:
        raise Misuse(f"{argument} must be a sequence of at least {LEAST_GAMMAS} increasing whole numbers, not {sizes!r}")
    made = [whole(argument, n) for n in sizes]
    if (np.diff(made) <= 0).any():
        raise Misuse(f"{argument} must increase, not {sizes!r}")
    if isinstance(network_of_size, type) or hasattr(network_of_size, "build") or not callable(network_of_size):
        raise Misuse(f"network_of_{name} must be a callable {name} -> network, such as lambda n: deepnets.MLP(64, n, 3, 10), "
                     f"not {network_of_size!r}")
    if rate_width is not None and not callable(rate_width):
        raise Misuse(f"rate_width must be a callable {name} -> N, or None, not {rate_width!r}")
    unknown = sorted(training.keys() - set(TRAINING))
    if unknown:
        raise Misuse(f"{unknown[0]} is no argument of this check, nor one of DeepExperiment's {', '.join(TRAINING)}")
    experiments = {n: DeepExperiment(network_of_size(n), task, width=None if rate_width is None else rate_width(n), **training)
                   for n in made}
    seeds = next(iter(experiments.values())).seeds
    if len(seeds) < 2:
        raise Misuse(f"seeds must hold at least two, over which there is an interval, not {seeds!r}")
    return experiments
