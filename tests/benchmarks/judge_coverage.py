"""Simulate measured edges, and count how often default calls of `fit` cover the true exponent and of `judge` err.

Run ``python -m tests.benchmarks.judge_coverage [draws] [configurations] [seed]`` to print the table by groups of configurations, which
docs/tables stores (250 draws of 96 configurations take ten minutes on one core); with a fourth argument, every configuration.

Configurations are drawn at random from what users measure: 5 to 25 gammas over 1.5 to 4 decades, cells of 0.01 to 0.2 decades,
scatter up to 0.2 decades with a correlation of neighbouring gammas of up to 0.8, 1 to 6 seeds. Of eight, one is censored at the top of
the grid, one has outliers (one row in ten scatters five times as much) and one crosses over (the local exponent falls from 4/L to
2/L at the first third of the window). The true exponent is 2/L, L = 2 to 8; claimed are 2/L, 2/(L - 1) and 2/(L + 1).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xarray as xr

from validation import edges_from_brackets, fit, judge
from validation.fitting.brackets import Rows, rows
from validation.fitting.line import least_squares
from validation.fitting.result import FitOutcome

KINDS = ("plain", "plain", "plain", "plain", "plain", "censored", "outliers", "crossover")


@dataclass(frozen=True)
class Configuration:
    """What is measured: see the module's first lines; `scatter` and `cell` in decades."""

    gammas: int
    decades: float
    cell: float
    scatter: float
    correlation: float
    seeds: int
    depth: int
    kind: str
    shifted: bool


@dataclass(frozen=True)
class Row:
    """The result of one configuration: rates over its draws."""

    configuration: Configuration
    coverage: float
    coverage_independent: float     # of Student's interval of independent rows
    half_width: float           # median
    wider: float                # median, over Student's interval of independent rows
    undecided: float            # fits that see a bend
    supported: float            # of the true claim
    contradicted: float         # of the true claim
    wrong: float                # a neighbour supported, the larger rate of the two


def draw_configurations(number: int, seed: int) -> Iterator[Configuration]:
    """Yield configurations; one, two or three, and four to six seeds take turns, and so do no correlation, any, and one of 0.5 to 0.8."""
    rng, turns = np.random.default_rng(seed), Counter[str]()
    for i in range(number):
        kind = KINDS[i % len(KINDS)]
        turn = turns[kind]
        turns[kind] += 1
        seeds = (1, int(rng.integers(2, 4)), int(rng.integers(4, 7)))[turn % 3]
        correlation = (0.0, float(rng.uniform(0, 0.8)), float(rng.uniform(0.5, 0.8)))[turn // 3 % 3]
        yield Configuration(int(rng.integers(5, 26)), float(rng.uniform(1.5, 4.0)), float(10 ** rng.uniform(-2, np.log10(0.2))),
                            float(rng.uniform(0, 0.2)), correlation, seeds, int(rng.integers(2, 9)), kind,
                            bool(rng.integers(2)))


def draw_edges(rng: np.random.Generator, c: Configuration) -> xr.Dataset:
    """Return one measured edge."""
    x = np.linspace(0, c.decades, c.gammas)
    noise = rng.standard_normal((c.seeds, c.gammas))
    if c.kind == "outliers":
        noise *= np.where(rng.random(noise.shape) < 0.1, 5.0, 1.0)
    for i in range(1, c.gammas):
        noise[:, i] = c.correlation * noise[:, i - 1] + np.sqrt(1 - c.correlation**2) * noise[:, i]
    slope = 2 / c.depth
    line = slope * x + rng.uniform(0, c.cell)
    if c.kind == "crossover":
        line -= slope * 0.3 * np.log10(1 + 10 ** ((c.decades / 3 - x) / 0.3))
    y = line + c.scatter * noise
    phase = c.cell * (0.6180339887 * np.arange(c.gammas) % 1) * c.shifted
    low = np.floor((y - phase) / c.cell) * c.cell + phase
    high = low + c.cell
    if c.kind == "censored":
        end = slope * c.decades * 0.8                                    # of the grid in eta
        low, high = np.where(low >= end, end, low), np.where(high > end, np.nan, high)
    gamma = np.tile(10**x, c.seeds)
    return edges_from_brackets(gamma, 10 ** low.ravel(), 10 ** high.ravel(), "eta_max",
                               np.repeat(np.arange(c.seeds), c.gammas) if c.seeds > 1 else None)


def simulate(c: Configuration, draws: int, seed: int = 0) -> Row:
    """Return the rates of one configuration."""
    rng = np.random.default_rng([seed, c.gammas, c.seeds, round(1e4 * c.cell), round(1e4 * c.scatter)])
    truth, neighbours = 2 / c.depth, [2 / other for other in (c.depth - 1, c.depth + 1)]
    covered, independent, half, wider, outcomes, fits = [], [], [], [], [], []
    for _ in range(draws):
        edges = draw_edges(rng, c)
        found = fit(edges, "eta_max")
        if np.isfinite(found.exponent):
            covered.append(found.interval[0] <= truth <= found.interval[1])
            half.append(0.5 * np.ptp(found.interval))
            slope, other = fit_independent(rows(edges, "eta_max"))
            independent.append(abs(slope - truth) <= other)
            wider.append(half[-1] / other)
        fits.append(found.outcome is FitOutcome.FITTED)
        outcomes.append([judge(found, claim).outcome for claim in (truth, *neighbours)])
    rate = np.array([[[o == word for o in row] for row in outcomes] for word in ("SUPPORTED", "CONTRADICTED")]).mean(axis=1)
    return Row(c, float(np.mean(covered)), float(np.mean(independent)), float(np.median(half)), float(np.median(wider)),
               1 - float(np.mean(fits)), float(rate[0, 0]), float(rate[1, 0]),
               float(rate[0, 1:].max()))


def fit_independent(data: Rows) -> tuple[float, float]:
    """Return slope and half-width of the 95% interval by least squares on the two-sided rows' middles, with s^2 >= cell^2/12."""
    seen = data.take(~data.censored)
    return least_squares(seen.x, seen.middle, seen.width, 0.95)[:2]


GROUPS = {
    "one seed, independent": lambda c: c.kind == "plain" and c.seeds == 1 and c.correlation == 0,
    "one seed, correlated": lambda c: c.kind == "plain" and c.seeds == 1 and c.correlation > 0,
    "2 or 3 seeds, independent": lambda c: c.kind == "plain" and c.seeds in (2, 3) and c.correlation == 0,
    "2 or 3 seeds, correlated": lambda c: c.kind == "plain" and c.seeds in (2, 3) and c.correlation > 0,
    "4 to 6 seeds, independent": lambda c: c.kind == "plain" and c.seeds > 3 and c.correlation == 0,
    "4 to 6 seeds, correlated": lambda c: c.kind == "plain" and c.seeds > 3 and c.correlation > 0,
    "partly censored": lambda c: c.kind == "censored",
    "with outliers": lambda c: c.kind == "outliers",
    "crossing over": lambda c: c.kind == "crossover",
}


def summarize(found: list[Row]) -> str:
    """Return the table by groups."""
    head = ("data", "configurations", "covers", "Student's covers", "width over Student's", "bend seen", "true claim CONTRADICTED",
            "neighbour SUPPORTED")
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, belongs in GROUPS.items():
        some = [row for row in found if belongs(row.configuration)]
        if not some:
            continue
        coverage = [row.coverage for row in some]
        covers = "" if name == "crossing over" else f"{min(coverage):.2f} to {max(coverage):.2f}, mean {np.mean(coverage):.3f}"
        student = [row.coverage_independent for row in some]
        plain = "" if name == "crossing over" else f"{min(student):.2f} to {max(student):.2f}"
        text.append(f"| {name} | {len(some)} | {covers} | {plain} | {np.median([row.wider for row in some]):.1f} "
                    f"| {np.mean([row.undecided for row in some]):.3f} | at most {max(row.contradicted for row in some):.3f} "
                    f"| at most {max(row.wrong for row in some):.3f} |")
    return "\n".join(text)


def main(draws: int = 250, number: int = 96, seed: int = 1, every: int = 0) -> None:
    """Print the table."""
    found = []
    for c in draw_configurations(number, seed):
        found.append(simulate(c, draws, seed))
        if every:
            print(found[-1], flush=True)
    print(summarize(found))
    straight = [row for row in found if row.configuration.kind != "crossover"]
    coverage = [row.coverage for row in straight]
    print(f"\n{len(found)} configurations, {draws} draws each. Without a crossover the interval covers {min(coverage):.3f} to "
          f"{max(coverage):.3f}, {np.mean(coverage):.3f} on average.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
