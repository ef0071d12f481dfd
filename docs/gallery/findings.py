"""Record what is claimed and what was measured, with intervals and verdicts, and format tables of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student

from validation import Verdict
from validation.arguments import Misuse

MOST_SEEDS = 200


@dataclass(frozen=True)
class Finding:
    """One claim of a figure, the measured number with its interval, the verdict, and what the judge adds to it.

    `seeds` is the number of values whose mean was compared, 0 where the interval has another source or there is none. `asserted` is what
    the assertions of the page demand of the row: "its verdict", "not CONTRADICTED" or "nothing" (`gallery.assertions`).
    `claimed` is the claim as a range of numbers.
    """

    figure: str
    what: str
    claim: str
    measured: float
    interval: tuple[float, float]
    verdict: str
    more: str = ""
    seeds: int = 0
    asserted: str = "nothing"
    claimed: tuple[float, float] = (-math.inf, math.inf)

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        number, ends = format_interval(self.measured, self.interval)
        interval = f", interval {ends}" if ends else ""
        return f"{self.figure}: {self.what}: claimed {self.claim}, measured {number}{interval}: {self.verdict}{self.more}"


def format_interval(measured: float, interval: Sequence[float]) -> tuple[str, str]:
    """Return a number and its interval as text, with enough digits to distinguish the ends; an exact number has an empty interval."""
    low, high = interval
    digits = 3
    if 0 < high - low < math.inf:
        digits = math.floor(math.log10(max(abs(low), abs(high)))) - math.floor(math.log10(high - low)) + 2
    number, *ends = (f"{x:.{min(max(digits, 3), 8)}g}" for x in (measured, low, high))
    return number, "" if low == high else " to ".join(ends)


def format_table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table in markdown."""
    first, *others = ["| " + " | ".join(map(str, line)) + " |" for line in (head, *rows)]
    return "\n".join([first, "|" + "---|" * len(head), *others])


def over_seeds(values: ArrayLike, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Return the mean over seeds and its interval by Student's t, infinite for a single value."""
    x = np.asarray(values, dtype=float).ravel()
    mean = float(x.mean())
    half = math.inf if len(x) < 2 else float(student.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return mean, (mean - half, mean + half)


def count_seeds(mean: float, half: float, seeds: int, low: float, high: float) -> str:
    """Say how many values like these would decide between inside and outside of a range, if their mean and scatter stay.

    `half` is the half-width of Student's 95% interval of `seeds` values.
    """
    deviation = half * math.sqrt(seeds) / student.ppf(0.975, seeds - 1)
    gap = min(abs(mean - low), abs(mean - high))
    enough = next((n for n in range(seeds + 1, MOST_SEEDS + 1) if student.ppf(0.975, n - 1) * deviation / math.sqrt(n) < gap), None)
    return f"more than {MOST_SEEDS} values would decide" if enough is None else f"about {enough} values in place of {seeds} would decide"


@dataclass
class Findings:
    """The findings of one page in order; each is printed when it is added, unless `printed` is False."""

    rows: list[Finding] = field(default_factory=list)
    printed: bool = True

    def add_verdict(self, figure: str, what: str, verdict: Verdict) -> Finding:
        """Add an exponent or a curve with the verdict of `validation.judge` or `validation.judge_curve`."""
        more = verdict.sentence.partition(f": {verdict.outcome}")[2]
        return self.add(Finding(figure, what, f"{verdict.claimed:.4g} +- {verdict.tolerance:.3g}", verdict.measured, verdict.interval,
                                verdict.outcome.value, more,
                                claimed=(verdict.claimed - verdict.tolerance, verdict.claimed + verdict.tolerance)))

    def check(self, figure: str, what: str, measured: ArrayLike, low: float = -math.inf, high: float = math.inf) -> Finding:
        """Compare a number with the claimed range from `low` to `high`, ends included.

        `measured` is one value per seed (their mean is compared, with its 95% interval), or one exact number, such as a count.
        SUPPORTED if the interval lies in the range, CONTRADICTED if it lies outside, else UNDECIDED.
        """
        values = np.atleast_1d(np.asarray(measured, dtype=float))
        value, ends = over_seeds(values) if len(values) > 1 else (float(values[0]), (float(values[0]),) * 2)
        return self.check_interval(figure, what, value, ends, low, high, len(values) if len(values) > 1 else 0)

    def check_interval(self, figure: str, what: str, measured: float, interval: Sequence[float], low: float = -math.inf,
                       high: float = math.inf, seeds: int = 0) -> Finding:
        """Compare a number that has its own interval with the claimed range from `low` to `high`.

        `seeds` says that the interval is Student's of so many values: an UNDECIDED row then says how many would decide.
        """
        if not (math.isfinite(low) or math.isfinite(high)):
            raise Misuse("low or high must be given: every number would meet a claim without either")
        left, right = map(float, interval)
        inside, outside = low <= left and right <= high, right < low or left > high
        claim = f"{low:.4g} to {high:.4g}" if math.isfinite(low) and math.isfinite(high) else (
            f"at least {low:.4g}" if math.isfinite(low) else f"at most {high:.4g}")
        verdict = "SUPPORTED" if inside else "CONTRADICTED" if outside else "UNDECIDED"
        more = f"; {count_seeds(float(measured), right - float(measured), seeds, low, high)}" if seeds and verdict == "UNDECIDED" else ""
        return self.add(Finding(figure, what, f"{low:.4g}" if low == high else claim, float(measured), (left, right), verdict, more, seeds,
                                claimed=(low, high)))

    def add(self, finding: Finding) -> Finding:
        """Add a finding that is already judged."""
        self.rows.append(finding)
        if self.printed:
            print(finding.sentence)
        return finding

    def write(self, path: Path) -> None:
        """Write the rows as JSON."""
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=1))
