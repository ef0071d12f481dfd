"""What checks over network size share: the experiments, the record of verdicts, its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import xarray as xr

from deepnets.experiment import DeepExperiment
from validation.arguments import Misuse, whole
from validation.judging.verdict import LEAST_GAMMAS, Verdict, VerdictOutcome


@dataclass(frozen=True, eq=False)
class Check:
    """Result of a check; `print` shows it as a table.

    Attributes
    ----------
    name : "coordinate", "depth" or "transfer".
    verdicts : by quantity (a layer's name, "top eta" and the like); each holds slope, 95% interval and tolerance.
    unit : of slopes and tolerance, in words.
    data : `value` (quantity, seed, size), the measured values, NaN where missing; the last dim is "width" or "blocks".
    """

    name: str
    verdicts: dict[str, Verdict]
    unit: str
    data: xr.Dataset

    @property
    def outcome(self) -> VerdictOutcome:
        """SUPPORTED if every quantity's verdict is, CONTRADICTED if one is, else UNDECIDED."""
        return combine_outcomes(self.verdicts.values())

    @property
    def verdict(self) -> Verdict:
        """The verdict that decides: among those with the check's outcome, the one of the steepest slope."""
        deciding = [v for v in self.verdicts.values() if v.outcome is self.outcome]
        return max(deciding, key=lambda v: abs(np.nan_to_num(v.measured)))

    @property
    def slopes(self) -> dict[str, float]:
        """The mean slope over the seeds, by quantity."""
        return {q: v.measured for q, v in self.verdicts.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The slopes' 95% intervals, by quantity."""
        return {q: v.interval for q, v in self.verdicts.items()}

    def __str__(self) -> str:
        size = str(self.data["value"].dims[-1])
        sizes, seeds = self.data[size].values, self.data.sizes["seed"]
        column = max(10, *(len(q) + 2 for q in self.verdicts))
        head = (f"{self.name} check, {size} {sizes[0]} to {sizes[-1]}, {seeds} seeds: {self.outcome} within "
                f"{self.verdict.tolerance:g} ({self.unit})\n{'':<{column}}{'slope':>9}{'95% interval':>20}  verdict")
        return "\n".join([head, *(f"{q:<{column}}{v.measured:>9.3f}{f'{v.interval[0]:.3f} to {v.interval[1]:.3f}':>20}  {v.outcome}"
                                  for q, v in self.verdicts.items())])


def combine_outcomes(verdicts: Iterable[Verdict]) -> VerdictOutcome:
    """Return SUPPORTED if every verdict is, CONTRADICTED if one is, else UNDECIDED."""
    found = {v.outcome for v in verdicts}
    if VerdictOutcome.CONTRADICTED in found:
        return VerdictOutcome.CONTRADICTED
    return VerdictOutcome.SUPPORTED if found == {VerdictOutcome.SUPPORTED} else VerdictOutcome.UNDECIDED


def assemble_check(name: str, size: str, sizes: Iterable[int], seeds: Sequence[int], verdicts: dict[str, Verdict], unit: str,
            values: dict[str, np.ndarray]) -> Check:
    """Return the check, with the measured `values` (seed, n) of each quantity in one dataset."""
    data = xr.Dataset({"value": (("quantity", "seed", size), np.stack(list(values.values())))},
                      {"quantity": list(values), "seed": list(seeds), size: list(sizes)})
    return Check(name, verdicts, unit, data)


TRAINING = tuple(f.name for f in fields(DeepExperiment) if f.name not in ("network", "task", "width"))


def build_experiments(network_of_size: Any, name: str, sizes: Any, task: Any, rate_width: Callable[[int], int] | None,
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
    numbers = [whole(argument, n) for n in sizes]
    if (np.diff(numbers) <= 0).any():
        raise Misuse(f"{argument} must increase, not {sizes!r}")
    if isinstance(network_of_size, type) or hasattr(network_of_size, "build") or not callable(network_of_size):
        raise Misuse(f"network_of_{name} must be a callable {name} -> network, such as lambda n: deepnets.MLP(64, n, 3, 10), "
                     f"not {network_of_size!r}")
    if rate_width is not None and not callable(rate_width):
        raise Misuse(f"rate_width must be a callable {name} -> N, or None, not {rate_width!r}")
    unknown = sorted(training.keys() - set(TRAINING))
    if unknown:
        raise Misuse(f"{unknown[0]} is not an argument of this check, nor one of DeepExperiment's {', '.join(TRAINING)}")
    experiments = {n: DeepExperiment(network_of_size(n), task, width=None if rate_width is None else rate_width(n), **training)
                   for n in numbers}
    seeds = next(iter(experiments.values())).seeds
    if len(seeds) < 2:
        raise Misuse(f"seeds must be at least two, for an interval over seeds, not {seeds!r}")
    return experiments
