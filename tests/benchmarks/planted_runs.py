"""Plant laws in tables of runs, and count how often `validation.judge_runs` covers the true exponent and how often its verdicts err.

Run ``python -m tests.benchmarks.planted_runs [tables] [seed]`` to write docs/tables/planted_runs.md and planted_bends.md: 2160 tables take
two minutes on one core.

Tables are drawn at random from what people have: 4 to 8 widths in steps of 2; 3 to 12 rates in steps of 10^(1/4), 2 or 10^(1/2), the
same at all widths; fewer than 8 rates follow the best one in whole steps, as people who expect a law place them; 1 to 3 seeds; noise of
log loss of 0 to 0.1 by run, and as much by seed; one run in twenty lost. With u = ln(eta/eta_opt), log loss is
``c (e^(r u) - r u - 1)``, steeper to the right; runs diverge 1 to 3 octaves above the best rate. The exponents of every second table are 0,
-1/2, -1 and 2/3, the others any from -1 to 1; claimed are the true one and four wrong ones, 1/4 and 1/2 away. Where a law bends, its local
exponent moves by 1 over 6 to 8 or over 12 to 16 widths with 8 to 12 rates, which follow the best one (a bend outside of the grid is seen by
nobody), noise is at most 0.01, and its mean is claimed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from validation import Misuse, PowerLawFit, judge, judge_runs, read_runs
from validation.fitting.line import feasible_slopes
from validation.storage.atomic import publish

FOLDER = Path(__file__).parent.parent.parent / "docs" / "tables"
EXPONENTS = (Fraction(0), Fraction(-1, 2), Fraction(-1), Fraction(2, 3))
WRONG = (Fraction(-1, 2), Fraction(-1, 4), Fraction(1, 4), Fraction(1, 2))      # off the true exponent
STEPS = (10**0.25, 2.0, 10**0.5)
NOISE = (0.0, 0.003, 0.01, 0.03, 0.1)
LOST = 0.05
BELOW = 1.5        # a run is trained if its loss is at most this; the least loss is 1


@dataclass(frozen=True)
class Table:
    """What is planted: see the module's first lines."""

    exponent: Fraction
    bend: float          # of the local exponent over all widths
    widths: int
    rates: int
    step: float
    seeds: int
    noise: float
    sharpness: float     # r
    height: float        # c
    reach: float         # octaves from the best rate to divergence


@dataclass(frozen=True)
class Row:
    """One edge of one table, judged; the exponent is NaN where none was fitted."""

    table: Table
    edge: str
    exponent: float
    interval: tuple[float, float]
    outcome: str
    wrong: bool          # whether a wrong claim was SUPPORTED
    bends: bool          # whether the sentence is that it bends
    points: bool         # whether it is a fit to vertices, not to brackets
    straight: bool       # whether a straight line passes through all brackets


def draw_tables(number: int, seed: int, bend: float = 0.0) -> Iterator[Table]:
    """Yield tables; exponents, steps and seeds take turns."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        exponent = EXPONENTS[i // 2 % 4] if i % 2 else Fraction(int(rng.integers(-100, 101)), 100)
        widths, rates = int(rng.integers(4, 9)), int(rng.integers(3, 13))
        if bend:
            widths, rates = int(rng.integers(*((6, 9), (12, 17))[i // 2 % 2])), int(rng.integers(8, 13))
        noise = float(rng.choice(NOISE[:3] if bend else NOISE))
        yield Table(exponent, bend * (-1) ** (i // 4), widths, rates, STEPS[i // 8 % (2 if bend else 3)], 1 + i // 24 % 3, noise,
                    float(rng.uniform(0.3, 1.2)), float(10 ** rng.uniform(-1.5, 0)), float(rng.uniform(1, 3)))


def draw_runs(rng: np.random.Generator, t: Table) -> xr.Dataset:
    """Return one table of runs."""
    x, step = np.arange(t.widths) * np.log10(2), np.log10(t.step)
    z = 2 * x / x[-1] - 1
    law = float(t.exponent) * x + 0.25 * t.bend * (z**2 - 1) * x[-1]
    middle = law.mean() + rng.uniform(-0.5, 0.5) * step
    grid, own = step * (np.arange(t.rates) - (t.rates - 1) / 2) + middle, rng.normal(0, t.noise, t.seeds)
    columns: dict[str, list[Any]] = {name: [] for name in ("width", "lr", "loss", "status", "seed")}
    for width, best in zip(64 * 2.0 ** np.arange(t.widths), law, strict=True):
        for log in grid + round((best - middle) / step) * step * (t.rates < 8 or t.bend != 0):
            u = np.log(10) * (log - best)
            for seed in range(t.seeds):
                value = t.height * (np.exp(min(t.sharpness * u, 50.0)) - t.sharpness * u - 1) + own[seed] + rng.normal(0, t.noise)
                status = "crashed" if rng.random() < LOST else "diverged" if u > np.log(2) * t.reach else "finished"
                for name, cell in zip(columns, (width, 10**log, np.exp(min(value, 300.0)), status, seed), strict=True):
                    columns[name].append(cell)
    return read_runs(columns, "width", "lr", "loss", status="status", seed="seed" if t.seeds > 1 else None)


def judge_table(t: Table, rng: np.random.Generator) -> list[Row]:
    """Draw a table, and return both edges judged; none where no run finished."""
    try:
        [found] = judge_runs(draw_runs(rng, t), t.exponent, trained_below=BELOW)
    except Misuse:
        return []
    rows = []
    for edge, verdict in found.verdicts.items():
        law = found.fits[edge]
        wrong = any(judge(law, t.exponent + off, rivals=(t.exponent,)).outcome == "SUPPORTED" for off in WRONG)
        rows.append(Row(t, edge, law.exponent, law.interval, str(verdict.outcome), wrong, "bends" in law.reason,
                        law.method.startswith("vertices"), _is_straight(law)))
    return rows


def _is_straight(law: PowerLawFit) -> bool:
    low = np.log10(np.where(np.isnan(law.lower), 0.0, law.lower), where=~np.isnan(law.lower), out=np.full(law.n, -np.inf))
    high = np.log10(np.where(np.isnan(law.upper), 1.0, law.upper), where=~np.isnan(law.upper), out=np.full(law.n, np.inf))
    least, largest = feasible_slopes(np.log10(law.gamma), low, high)
    return least <= largest


def simulate(number: int, seed: int, bend: float = 0.0) -> list[Row]:
    """Return the rows of all tables."""
    return [row for i, t in enumerate(draw_tables(number, seed, bend)) for row in judge_table(t, np.random.default_rng([seed, i]))]


GROUPS: dict[str, Callable[[Row], bool]] = {
    "all": lambda row: True,
    "vertices, noise": lambda row: row.points and row.table.noise > 0,
    "vertices, no noise": lambda row: row.points and row.table.noise == 0,
    "brackets": lambda row: not row.points,
    "one seed": lambda row: row.table.seeds == 1,
    "2 or 3 seeds": lambda row: row.table.seeds > 1,
    **{f"{n} rates": (lambda row, n=n: row.table.rates == n) for n in range(3, 13)},
}
EDGES = {"eta_opt": "best rate", "eta_max": "highest rate"}


def write_share(hits: int, number: int) -> str:
    """Return a share with its own 95% interval (Wilson, J. Am. Stat. Assoc. 22, 209, 1927) as text, in percent."""
    middle, z2 = hits / number, 1.96**2
    centre, half = middle + z2 / 2 / number, 1.96 * np.sqrt(middle * (1 - middle) / number + z2 / 4 / number**2)
    low, high = ((centre + sign * half) / (1 + z2 / number) for sign in (-1, 1))
    return f"{100 * middle:.1f}% ({100 * low:.1f} to {100 * high:.1f})"


def summarize_laws(rows: list[Row]) -> str:
    """Return the table of planted laws by edge and group; of the highest rate, whose brackets are fitted, all together."""
    head = ("edge", "tables", "exponent fitted", "interval covers", "half-width, median", "error, 95% below", "true claim SUPPORTED",
            "true claim CONTRADICTED", "a wrong one SUPPORTED", "bends, in words")
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for edge, name in EDGES.items():
        for group, belongs in GROUPS.items():
            some = [row for row in rows if row.edge == edge and belongs(row)]
            fitted = [row for row in some if np.isfinite(row.exponent)]
            if not fitted or (edge == "eta_max" and group != "all"):
                continue
            truth = np.array([float(row.table.exponent) for row in fitted])
            ends = np.array([row.interval for row in fitted])
            covered = int(np.sum((ends[:, 0] <= truth) & (truth <= ends[:, 1])))
            half, error = np.median(ends[:, 1] - ends[:, 0]) / 2, np.quantile(np.abs([row.exponent for row in fitted] - truth), 0.95)
            outcomes = [row.outcome for row in some]
            shares = [outcomes.count(word) / len(some) for word in ("SUPPORTED", "CONTRADICTED")]
            text.append(f"| {name} | {group} | {len(fitted)} of {len(some)} | {write_share(covered, len(fitted))} | {half:.2f} "
                        f"| {error:.2f} | {shares[0]:.0%} | {shares[1]:.1%} | {np.mean([row.wrong for row in some]):.1%} "
                        f"| {np.mean([row.bends for row in some]):.1%} |")
    return "\n".join(text)


def summarize_bends(rows: list[Row]) -> str:
    """Return the table of planted bends: how often the mean exponent, claimed of a straight law, does not pass."""
    head = ("edge", "widths", "tables", "bends, in words", "CONTRADICTED", "UNDECIDED for another reason", "SUPPORTED",
            "a straight line passes through all brackets")
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for edge, name in EDGES.items():
        for few in (True, False):
            some = [row for row in rows if row.edge == edge and np.isfinite(row.exponent) and (row.table.widths < 9) == few]
            shares = [f"{np.mean([not row.bends and row.outcome == word for row in some]):.0%}"
                      for word in ("CONTRADICTED", "UNDECIDED", "SUPPORTED")]
            bent, straight = sum(row.bends for row in some), np.mean([row.straight for row in some])
            text.append(f"| {name} | {'6 to 8' if few else '12 to 16'} | {len(some)} | {write_share(bent, len(some))} "
                        f"| {' | '.join(shares)} | {straight:.0%} |")
    return "\n".join(text)


def main(number: int = 2160, seed: int = 11) -> None:
    """Write both tables."""
    laws = summarize_laws(simulate(number, seed))
    publish(FOLDER / "planted_runs.md", f"{laws}\n\n{number} tables, drawn at random.\n".encode())
    bends = summarize_bends(simulate(number // 5, seed + 1, bend=1.0))
    publish(FOLDER / "planted_bends.md", f"{bends}\n\n{number // 5} tables, drawn at random.\n".encode())
    print(laws, bends, sep="\n\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
