"""Plant curves of the loss over gamma, and count how often the best gamma is covered, and how many gammas are left.

Run ``python -m tests.benchmarks.best_gamma_coverage [draws]`` to print the table that docs/tables stores (1000 draws take half a minute).

Ten seeds, nine gammas over six decades. A curve is a line, flat, a parabola in log gamma, or flat up to a knee; seeds scatter in common,
along gamma (correlation 0.8 of neighbours), independently, or with heavy tails (Student's t of 3 degrees of freedom). Compared are
`gallery.best_richness.find_best` with a tolerance of 0, and the usual bootstrap over seeds of the least point of a smooth curve (a parabola
through the least mean and two gammas on each side; 200 resamples, 95% of its least points, rounded outwards to the grid).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from gallery.best_richness import find_best
from gallery.findings import format_table

KINDS = ("independent", "in common", "along gamma", "heavy tails")
SEEDS, SCATTER, RESAMPLES = 10, 0.05, 200       # scatter in decades of the loss
DECADES = np.linspace(-3, 3, 9)
CURVES = {"line": -0.02 * DECADES, "weak line": -0.004 * DECADES, "flat but for the middle": -0.01 * (abs(DECADES) < 0.1),
          "parabola": 0.01 * (DECADES - 0.75) ** 2, "weak parabola": 0.002 * (DECADES - 0.75) ** 2,
          "flat up to a knee": 0.03 * np.maximum(DECADES - 0.75, 0) - 0.0005 * DECADES}


def draw_scatter(kind: str, source: np.random.Generator) -> np.ndarray:
    """Return the scatter of a kind, (seed, gamma), of standard deviation `SCATTER`."""
    shape = SEEDS, len(DECADES)
    if kind == "heavy tails":
        return SCATTER * source.standard_t(3, shape) / np.sqrt(3)
    e = SCATTER * source.standard_normal(shape)
    if kind == "along gamma":
        for i in range(1, shape[1]):
            e[:, i] = 0.8 * e[:, i - 1] + 0.6 * e[:, i]
    return e + (3 * SCATTER * source.standard_normal((SEEDS, 1)) if kind == "in common" else 0)


def bootstrap(losses: np.ndarray, source: np.random.Generator) -> np.ndarray:
    """Return which gammas lie in the bootstrap's interval of the least point of a smooth curve, bool (gamma,)."""
    least = []
    for which in source.integers(0, len(losses), (RESAMPLES, len(losses))):
        mean = losses[which].mean(0)
        i = int(np.argmin(mean))
        near = slice(max(i - 2, 0), i + 3)
        a, b, _ = np.polyfit(DECADES[near], mean[near], 2)
        least.append(np.clip(-b / (2 * a) if a > 0 else DECADES[i], DECADES[near][0], DECADES[near][-1]))
    low, high = np.quantile(least, [0.025, 0.975])
    step = DECADES[1] - DECADES[0]
    return (low - step < DECADES) & (high + step > DECADES)


def measure(find: Callable[[np.ndarray], np.ndarray], curve: np.ndarray, kind: str, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return how often the set covers the best gamma, and its mean number of gammas."""
    source = np.random.default_rng(seed)
    found = np.array([find(curve + draw_scatter(kind, source)) for _ in range(draws)])
    return float(found[:, int(np.argmin(curve))].mean()), float(found.sum(1).mean())


def tabulate(draws: int) -> str:
    """Return the table: coverage and number of gammas, by curve and scatter."""
    source, rows = np.random.default_rng(1), []
    for name, curve in CURVES.items():
        for kind in KINDS:
            one = measure(lambda x: find_best(x, 0.0), curve, kind, draws)
            other = measure(lambda x: bootstrap(x, source), curve, kind, max(draws // 10, 2))
            rows.append((name, kind, *(f"{coverage:.3f}, {count:.1f}" for coverage, count in (one, other))))
    return format_table(("curve", "scatter of seeds", "compared with every other", "bootstrap of the least point"), rows)


if __name__ == "__main__":
    print(tabulate(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
