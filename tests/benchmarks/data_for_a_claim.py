"""Simulate how much data a claim of 2/L takes: the half-width that it needs, the seeds that reach it, and what more gammas do instead.

Run ``python -m tests.benchmarks.data_for_a_claim [draws]`` to print both tables (docs/tables stores them): some ten minutes on one core.
"""

from __future__ import annotations

import sys
from fractions import Fraction

import numpy as np

from tests.benchmarks.judge_coverage import Configuration, draw_edges
from validation import fit, judge
from validation.judging.rivals import choose_tolerance, neighbours

SCATTER, CELL, DECADES = 0.05, 0.025, 2.0
GAMMAS, SEEDS = (5, 9, 17, 33), (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
OFTEN = 0.8        # of the draws


def configure(gammas: int, correlation: float, seeds: int, depth: int) -> Configuration:
    """Return the data of one cell of a table."""
    return Configuration(gammas, DECADES, CELL, SCATTER, correlation, seeds, depth, "plain", False)


def count_seeds(depth: int, correlation: float, draws: int) -> int | None:
    """Return the least number of seeds with which 2/L is SUPPORTED in most draws; None beyond 32."""
    for seeds in SEEDS:
        rng = np.random.default_rng([depth, seeds, round(10 * correlation)])
        c = configure(9, correlation, seeds, depth)
        outcomes = [judge(fit(draw_edges(rng, c), "eta_max"), Fraction(2, depth)).outcome for _ in range(draws)]
        if outcomes.count("SUPPORTED") >= OFTEN * draws:
            return seeds
    return None


def median_half_width(gammas: int, correlation: float, seeds: int, draws: int) -> float:
    """Return the median half-width of the 95% interval."""
    rng = np.random.default_rng([gammas, seeds, round(10 * correlation)])
    c = configure(gammas, correlation, seeds, 3)
    return float(np.median([0.5 * np.ptp(fit(draw_edges(rng, c), "eta_max").interval) for _ in range(draws)]))


def tabulate_claims(draws: int) -> str:
    """Return the first table: depth, nearest rival, tolerance, and the seeds that 2/L takes."""
    text = ["| L | claim | nearest rival | tolerance | seeds, independent gammas | seeds, correlation 0.5 | seeds, correlation 0.8 |",
            "|---|---|---|---|---|---|---|"]
    for depth in range(2, 9):
        claim = Fraction(2, depth)
        rivals = neighbours(2, depth)
        nearest = min(rivals, key=lambda rival: abs(rival - claim))
        seeds = [count_seeds(depth, correlation, draws) for correlation in (0, 0.5, 0.8)]
        text.append(f"| {depth} | {claim} | {nearest} | {choose_tolerance(float(claim), tuple(rivals)):.3f} "
                    f"| {' | '.join('> 32' if s is None else str(s) for s in seeds)} |")
    return "\n".join(text)


def tabulate_widths(draws: int) -> str:
    """Return the second table: the half-width by gammas and seeds."""
    text = ["| seeds | correlation | " + " | ".join(f"{n} gammas" for n in GAMMAS) + " |", "|---|---|" + "---|" * len(GAMMAS)]
    for seeds in (1, 2, 4, 8):
        for correlation in (0.0, 0.8):
            widths = [median_half_width(n, correlation, seeds, draws) for n in GAMMAS]
            text.append(f"| {seeds} | {correlation:g} | " + " | ".join(f"{w:.3f}" for w in widths) + " |")
    return "\n".join(text)


def main(draws: int = 100) -> None:
    """Print both tables."""
    print(tabulate_claims(draws))
    print()
    print(tabulate_widths(draws))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
