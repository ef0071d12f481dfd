"""What a page of the gallery claims and what was found, with numbers and verdicts; printed, and kept for the table of all figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from validation import Verdict
from validation.arguments import Misuse


@dataclass(frozen=True)
class Finding:
    """One row: of which figure, what is claimed, what was measured, between which ends, and what became of the claim."""

    figure: str
    what: str
    claim: str
    measured: float
    interval: tuple[float, float]
    verdict: str

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        number, ends = in_words(self.measured, self.interval)
        return f"{self.figure}: {self.what}: claimed {self.claim}, measured {number}{f', interval {ends}' if ends else ''}: {self.verdict}"


def in_words(measured: float, interval: Sequence[float]) -> tuple[str, str]:
    """Return a number and its interval as text, with as many digits as tell its ends apart; the interval of an exact number is empty."""
    low, high = interval
    digits = 3
    if 0 < high - low < math.inf:
        digits = math.floor(math.log10(max(abs(low), abs(high)))) - math.floor(math.log10(high - low)) + 2
    measured, low, high = (f"{x:.{min(max(digits, 3), 8)}g}" for x in (measured, low, high))    # type: ignore[assignment]
    return str(measured), "" if interval[0] == interval[1] else f"{low} to {high}"


def over_seeds(values: Any, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Return the mean over seeds and its interval by Student's t; a single value has no ends."""
    x = np.asarray(values, dtype=float).ravel()
    mean = float(x.mean())
    half = math.inf if len(x) < 2 else float(student.ppf(0.5 + level / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return mean, (mean - half, mean + half)


@dataclass
class Findings:
    """The findings of one page, in the order in which they were made. Each is printed as it comes."""

    rows: list[Finding] = field(default_factory=list)

    def judged(self, figure: str, what: str, verdict: Verdict) -> Finding:
        """Add an exponent or a curve that `validation` has judged."""
        return self._add(figure, what, f"{verdict.claimed:.4g} +- {verdict.tolerance:g}", verdict.measured, verdict.interval,
                         verdict.outcome.value)

    def within(self, figure: str, what: str, measured: Any, low: float = -math.inf, high: float = math.inf) -> Finding:
        """Add a number of which the claim is a range, from `low` to `high`, ends included.

        `measured` is one value per seed, of which the mean counts and its 95% interval, or one number that is exact, such as a count.
        SUPPORTED where the interval lies in the range, CONTRADICTED where it lies outside, else UNDECIDED.
        """
        values = np.atleast_1d(np.asarray(measured, dtype=float))
        value, ends = over_seeds(values) if len(values) > 1 else (float(values[0]), (float(values[0]),) * 2)
        return self.bounded(figure, what, value, ends, low, high)

    def bounded(self, figure: str, what: str, measured: float, interval: Sequence[float], low: float = -math.inf,
                high: float = math.inf) -> Finding:
        """Add a number with an interval of its own, of which the claim is a range."""
        if not (math.isfinite(low) or math.isfinite(high)):
            raise Misuse("low or high must be given: a claim that every number meets is none")
        left, right = map(float, interval)
        if low <= left and right <= high:
            verdict = "SUPPORTED"
        elif right < low or left > high:
            verdict = "CONTRADICTED"
        else:
            verdict = "UNDECIDED"
        claim = f"{low:.4g} to {high:.4g}" if math.isfinite(low) and math.isfinite(high) else (
            f"at least {low:.4g}" if math.isfinite(low) else f"at most {high:.4g}")
        return self._add(figure, what, f"{low:.4g}" if low == high else claim, float(measured), (left, right), verdict)

    def _add(self, figure: str, what: str, claim: str, measured: float, interval: tuple[float, float], verdict: str) -> Finding:
        made = Finding(figure, what, claim, measured, interval, verdict)
        self.rows.append(made)
        print(made.sentence)
        return made

    def write(self, path: Path) -> None:
        """Write the rows as JSON."""
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=1))
