"""Simulate edges on grids and measure how often the intervals of fits cover the true exponent.

Run ``python -m tests.benchmarks.interval_coverage [replications]`` to print the table; 400 replications take
some ten minutes on one core. The tests run the same simulation with fewer.

Edges follow ``log10 eta = b log10 gamma + a + scatter`` over two decades of gamma, a is drawn anew each time, and a grid of
cells in eta turns each into a bracket. Grids: *aligned*, every gamma on one eta axis; *shifted*, gamma i's axis moved by
0.618 i cells (what `Plane.log(stagger=True)` does); *unaligned*, every axis moved at random.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np

from validation.fitting.line import feasible_slopes, fit_line, least_squares

DECADES = 2.0
SCATTER, PER_DECADE, GAMMAS = (0.0, 0.05, 0.2), (1, 2, 4, 8), (4, 6, 8, 12, 21)
GRIDS = ("aligned", "shifted", "unaligned")
SLOPES = (2.0, 2 / 3, 0.4)


@dataclass(frozen=True)
class Row:
    """The result of one configuration; widths and bias in cells per decade of gamma spanned (slope times DECADES / cell)."""

    scatter: float
    per_decade: int
    gammas: int
    grid: str
    slope: float
    coverage: float      # of fit's 95% interval
    bias: float          # of fit's exponent
    bias_error: float
    width: float         # mean, of fit's interval
    best_width: float    # of the narrowest method that covers and needs no declaration
    best: str
    plain: float         # coverage of ordinary least squares on the middles
    declared: float      # width with deterministic=True, where nothing scatters; NaN elsewhere


def draw(rng: np.random.Generator, gammas: int, per_decade: float, scatter: float, grid: str,
         slope: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, lower and upper (gammas,) of one simulated edge, in decades."""
    cell = 1 / per_decade
    x = np.linspace(0, DECADES, gammas)
    y = slope * x + rng.uniform(0, cell) + rng.normal(0, scatter, gammas)
    phase = {"aligned": np.zeros(gammas), "shifted": cell * (0.6180339887 * np.arange(gammas) % 1),
             "unaligned": rng.uniform(0, cell, gammas)}[grid]
    k = np.floor((y - phase) / cell)
    return x, k * cell + phase, (k + 1) * cell + phase


def ordinary_least_squares(x: np.ndarray, lower: np.ndarray, upper: np.ndarray, cells: bool = False) -> tuple[float, float]:
    """Return the interval of least squares on the middles; with `cells`, s^2 is at least cell^2/12."""
    slope, half, _ = least_squares(x, 0.5 * (lower + upper), (upper - lower) * cells, 0.95)
    return slope - half, slope + half


OTHERS = {"least squares": ordinary_least_squares, "floored least squares": partial(ordinary_least_squares, cells=True),
          "feasible slopes": feasible_slopes}


def simulate(replications: int, scatter: float, per_decade: int, gammas: int, grid: str, slope: float, seed: int = 0) -> Row:
    """Return what one configuration gives over many draws."""
    rng = np.random.default_rng([seed, int(1000 * scatter), per_decade, gammas, GRIDS.index(grid), int(1000 * slope)])
    unit = DECADES * per_decade
    hits, wide = {name: 0 for name in ("fit", *OTHERS)}, {name: 0.0 for name in ("fit", *OTHERS)}
    errors = np.empty(replications)
    for r in range(replications):
        rows = draw(rng, gammas, per_decade, scatter, grid, slope)
        line = fit_line(*rows, levels=(0.95,))
        errors[r] = line.slope - slope
        for name, (low, high) in [("fit", line.intervals[0.95]), *((name, f(*rows)) for name, f in OTHERS.items())]:
            hits[name] += low - 1e-9 <= slope <= high + 1e-9
            wide[name] += max(high - low, 0.0) / replications * unit
    enough = coverage_floor(replications)
    # feasible slopes are valid only for edges declared deterministic: they have a column of their own
    valid = {name: wide[name] for name in hits if hits[name] / replications >= enough and name != "feasible slopes"}
    best = min(valid or wide, key=lambda name: wide[name])
    return Row(scatter, per_decade, gammas, grid, slope, hits["fit"] / replications, float(errors.mean()) * unit,
               float(errors.std() / np.sqrt(replications)) * unit, wide["fit"], wide[best], best,
               hits["least squares"] / replications, np.nan if scatter else wide["feasible slopes"])


def coverage_floor(replications: int) -> float:
    """Return 93% less two Monte Carlo errors."""
    return 0.93 - 2 * float(np.sqrt(0.93 * 0.07 / replications))


def configurations() -> Iterator[tuple[float, int, int, str, float]]:
    """Yield scatter, points a decade of eta, gammas, grid and slope; the slopes take turns."""
    for i, (scatter, per_decade, gammas, grid) in enumerate(product(SCATTER, PER_DECADE, GAMMAS, GRIDS)):
        yield scatter, per_decade, gammas, grid, SLOPES[(i + i // 3 + i // 15) % 3]


def main(replications: int = 400) -> None:
    """Print the table."""
    print("| scatter | eta a decade | gammas | grid | slope | covers | plain OLS covers | bias (cells) | width (cells) "
          "| over the narrowest valid | over `deterministic` |")
    print("|" + "---|" * 11)
    done = []
    for configuration in configurations():
        row = simulate(replications, *configuration)
        done.append(row)
        print(f"| {row.scatter:g} | {row.per_decade} | {row.gammas} | {row.grid} | {row.slope:.3g} | {row.coverage:.1%} "
              f"| {row.plain:.0%} | {row.bias:+.3f} | {row.width:.2f} | {row.width / row.best_width:.2f} ({row.best}) "
              f"| {'' if row.scatter else f'{row.width / row.declared:.2f}'} |", flush=True)
    enough = [row for row in done if row.gammas >= 6]
    print(f"\n{len(done)} configurations, {replications} draws each: coverage {min(r.coverage for r in done):.1%} at worst, "
          f"{np.mean([r.coverage for r in done]):.1%} on average "
          f"(plain least squares {min(r.plain for r in done):.0%} at worst); "
          f"from six gammas the interval is at most {max(r.width / r.best_width for r in enough):.2f} times as wide as "
          "the narrowest valid method's, and where nothing scatters at most "
          f"{np.nanmax([r.width / r.declared for r in enough]):.2f} times as wide as if that were declared.")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
