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

from gallery.borders import NEAR, find_border, find_exponent_border
from validation import Verdict
from validation.arguments import Misuse

MOST_SEEDS = 200


@dataclass(frozen=True)
class Finding:
    """One claim of a figure, the measured number with its interval, the verdict, and what the judge adds to it.

    `seeds` is the number of values whose mean was compared, 0 where the interval has another source or there is none. `asserted` is what
    the assertions of the page demand of the row: "its verdict", "not CONTRADICTED" or "nothing" (`gallery.assertions`).
    `claimed` is the claim as a range of numbers. `clearance` is the smallest move of the interval's ends, in half-widths, that would give
    another verdict, infinite for an exact number, and `sides` are the verdicts on both sides of that border (`gallery.borders`).
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
    clearance: float = math.inf
    sides: tuple[str, str] = ("", "")

    def meets(self, verdict: str) -> bool:
        """Return whether the row has a verdict, or is so near the border between its own and that one that rounding may move it."""
        if self.verdict == verdict:
            return True
        # an IDENTITY is SUPPORTED by construction: both have the same border
        both, sides = ({"SUPPORTED" if name == "IDENTITY" else name for name in pair} for pair in ((self.verdict, verdict), self.sides))
        return self.clearance < NEAR and both == sides

    @property
    def name(self) -> str:
        """The figure and what is measured."""
        return f"{self.figure}: {self.what}"

    @property
    def sentence(self) -> str:
        """The finding in one line."""
        number, ends = format_interval(self.measured, self.interval)
        interval = f", interval {ends}" if ends else ""
        return f"{self.name}: claimed {self.claim}, measured {number}{interval}: {self.verdict}{self.more}"


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

    def add_verdict(self, figure: str, what: str, verdict: Verdict, by_construction: bool = False) -> Finding:
        """Add an exponent or a curve with the verdict of `validation.judge` or `validation.judge_curve`.

        `by_construction`: the claim holds by construction, so that IDENTITY stands in place of SUPPORTED.
        """
        more = verdict.sentence.partition(f": {verdict.outcome}")[2]
        return self.add(Finding(figure, what, f"{verdict.claimed:.4g} +- {verdict.tolerance:.3g}", verdict.measured, verdict.interval,
                                "IDENTITY" if by_construction and verdict.outcome == "SUPPORTED" else verdict.outcome.value, more,
                                claimed=(verdict.claimed - verdict.tolerance, verdict.claimed + verdict.tolerance),
                                **find_exponent_border(verdict)._asdict()))

    def check(self, figure: str, what: str, measured: ArrayLike, low: float = -math.inf, high: float = math.inf,
              by_construction: bool = False) -> Finding:
        """Compare a number with the claimed range from `low` to `high`, ends included.

        `measured` is one value per seed (their mean is compared, with its 95% interval), or one exact number, such as a count.
        SUPPORTED if the interval lies in the range, CONTRADICTED if it lies outside, else UNDECIDED; IDENTITY in place of SUPPORTED if
        the claim holds `by_construction`.
        """
        values = np.atleast_1d(np.asarray(measured, dtype=float))
        value, ends = over_seeds(values) if len(values) > 1 else (float(values[0]), (float(values[0]),) * 2)
        return self.check_interval(figure, what, value, ends, low, high, len(values) if len(values) > 1 else 0, by_construction)

    def check_interval(self, figure: str, what: str, measured: float, interval: Sequence[float], low: float = -math.inf,
                       high: float = math.inf, seeds: int = 0, by_construction: bool = False) -> Finding:
        """Compare a number that has its own interval with the claimed range from `low` to `high`.

        `seeds` says that the interval is Student's of so many values: an UNDECIDED row then says how many would decide.
        `by_construction` is as for `check`.
        """
        if not (math.isfinite(low) or math.isfinite(high)):
            raise Misuse("low or high must be given: every number would meet a claim without either")
        left, right = map(float, interval)
        inside, outside = low <= left and right <= high, right < low or left > high
        claim = f"{low:.4g} to {high:.4g}" if math.isfinite(low) and math.isfinite(high) else (
            f"at least {low:.4g}" if math.isfinite(low) else f"at most {high:.4g}")
        verdict = ("IDENTITY" if by_construction else "SUPPORTED") if inside else "CONTRADICTED" if outside else "UNDECIDED"
        more = f"; {count_seeds(float(measured), right - float(measured), seeds, low, high)}" if seeds and verdict == "UNDECIDED" else ""
        return self.add(Finding(figure, what, f"{low:.4g}" if low == high else claim, float(measured), (left, right), verdict, more, seeds,
                                claimed=(low, high),
                                **find_border(verdict, float(measured), (left, right), low, high)._asdict()))

    def add(self, finding: Finding) -> Finding:
        """Add a finding that is already judged."""
        self.rows.append(finding)
        if self.printed:
            print(finding.sentence)
        return finding

    def demand(self, *, undecided: Sequence[str] = (), contradicted: Sequence[str] = (), identity: Sequence[str] = (),
               stored: Sequence[str] = ()) -> None:
        """Demand that every row is SUPPORTED, but those named, which have the verdict under which they are named.

        A row so near the border of its range that another processor may move it (`Finding.meets`) may also have the verdict beyond,
        unless its runs are stored.

        Parameters
        ----------
        undecided, contradicted, identity : names of rows, or parts of them that stand in the names of all rows meant: figure, colon, what.
        stored : likewise, of the rows whose runs are not made while the page is built, and are the same on every processor.

        Raises
        ------
        AssertionError : a row has another verdict.
        Misuse : a name is that of no row, or a row is named twice.
        """
        wanted = {"UNDECIDED": undecided, "CONTRADICTED": contradicted, "IDENTITY": identity}
        named = [part for parts in (*wanted.values(), stored) for part in parts]
        if absent := [part for part in named if not any(part in row.name for row in self.rows)]:
            raise Misuse(f"no row has {absent[0]!r} in its name; the rows are {'; '.join(row.name for row in self.rows)}")
        failed = []
        for row in self.rows:
            verdicts = [verdict for verdict, parts in wanted.items() for part in parts if part in row.name] or ["SUPPORTED"]
            if len(verdicts) > 1:
                raise Misuse(f"{row.name!r} is named {len(verdicts)} times: {', '.join(verdicts)}")
            fixed = any(part in row.name for part in stored)
            if row.verdict != verdicts[0] and (fixed or not row.meets(verdicts[0])):
                failed.append(f"demanded is {verdicts[0]} of {row.sentence}")
        if failed:
            raise AssertionError("\n".join(failed))

    def write(self, path: Path) -> None:
        """Write the rows as JSON."""
        path.write_text(json.dumps([asdict(row) for row in self.rows], indent=1))
