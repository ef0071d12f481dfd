"""Slopes of measured quantities over network size, judged against zero."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from deepnets.experiment import DeepExperiment
from validation.arguments import Misuse, whole
from validation.fitting.result import FitOutcome, PowerLawFit, build_undecided_fit
from validation.judging.verdict import LEAST_GAMMAS, Verdict, VerdictOutcome, judge


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


def judge_no_slope(quantity: str, size: str, sizes: np.ndarray, values: np.ndarray, tolerance: float, base: float = 10.0,
               off: np.ndarray | float = 0.0, missing: str = "it was not found") -> Verdict:
    """Judge whether a quantity is independent of the size, by the rules of `validation.judge`.

    Every seed has one least-squares slope of log10 value on log size; the interval of their mean is Student's, as the networks and
    streams of the seeds are independent.

    Parameters
    ----------
    quantity, size : names, for the sentence.
    sizes : (n,), > 0, increasing.
    values : (seed, n), > 0; with a value that is zero or not finite the verdict is UNDECIDED.
    tolerance : the slope that still counts as none.
    base : of the logarithm of the sizes: 10, or 2 for decades a doubling.
    off : broadcast to (seed, n), decades by which a value may be off either way (a bracket's half-width): the interval is widened by
        the largest change of the slope that this allows.
    missing : why a value is missing, for the sentence.
    """
    valid = np.isfinite(values) & (values > 0)
    seeds = len(values)
    where = f"{quantity}, {size} {sizes[0]:g} to {sizes[-1]:g} ({seeds} seeds)"
    if not valid.all():
        s, i = np.argwhere(~valid)[0]
        fit = build_undecided_fit(f"{missing}, at {size} {sizes[i]:g} with seed no. {s + 1}", edge=quantity, axis=size)
        words = fit.reason
    else:
        fit = _slope(quantity, size, sizes, np.log10(values), base, np.broadcast_to(np.asarray(off, float), values.shape))
        half = 0.5 * (fit.interval[1] - fit.interval[0])
        words = f"slope {fit.exponent:.3f} +- {half:.3f} (95%)"
    verdict = judge(fit, 0.0, tolerance)
    # the judge's sentence is about denser grids; here more seeds decide
    sentence = f"{where}: {words}: {verdict.outcome} within {tolerance:g} of slope 0"
    return replace(verdict, how_much_denser=None, sentence=sentence)


def _slope(quantity: str, size: str, sizes: np.ndarray, log: np.ndarray, base: float, off: np.ndarray) -> PowerLawFit:
    """Return the mean over seeds of the slopes of `log` (seed, n), with its intervals; sizes take the place of gamma."""
    seeds, n = log.shape
    x = np.log(sizes) / np.log(base)
    dx = x - x.mean()
    weight = dx / (dx @ dx)
    slopes = log @ weight                                                   # (seed,)
    slope, error = float(slopes.mean()), float(slopes.std(ddof=1) / np.sqrt(seeds))
    turned = float((off @ np.abs(weight)).mean())
    halves = [float(stdtrit(seeds - 1, q)) * error + turned for q in (0.975, 0.95)]
    rest = log - log.mean(1, keepdims=True) - slopes[:, None] * dx
    scatter = max(float(np.sqrt((rest**2).sum() / (seeds * (n - 2)))), 1e-12)
    middle = 10 ** log.mean(0)
    return PowerLawFit(exponent=slope, interval=(slope - halves[0], slope + halves[0]), interval90=(slope - halves[1], slope + halves[1]),
                       prefactor=float(10 ** (log.mean() - slope * x.mean())), window=(float(sizes[0]), float(sizes[-1])), n=n,
                       n_censored=0, outcome=FitOutcome.FITTED, scatter=scatter, gamma=np.asarray(sizes, float), lower=middle, upper=middle,
                       method="slopes of seeds, Student's interval of their mean", edge=quantity, axis=size)


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
