"""Plant laws in random searches, each run with a width and a rate of its own, and count how often their exponent is found and covered.

Run ``python -m tests.benchmarks.planted_searches [searches] [seed]`` to write docs/tables/planted_searches.md: 900 searches take half a
minute on one core.

Log width is uniform over a factor of 16, 32 or 64, log rate over four decades; 80, 200 or 500 runs. With u = ln(eta/eta_opt), log loss is
``c (e^(r u) - r u - 1)`` plus a power law of the width and noise of 0.003, 0.03 or 0.1; runs diverge 1 to 3 octaves above the best rate.
The exponent is any from -1 to 1; claimed are the true one and one that is 1/2 away.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from tests.benchmarks.planted_runs import write_share
from validation import judge, judge_runs, read_runs
from validation.storage.atomic import publish

FOLDER = Path(__file__).parent.parent.parent / "docs" / "tables"
RUNS = (80, 200, 500)
NOISE = (0.003, 0.03, 0.1)


@dataclass(frozen=True)
class Found:
    """What was found of one search; the exponent is NaN where none was fitted."""

    runs: int
    noise: float
    exponent: float
    interval: tuple[float, float]
    true: float
    outcome: str
    wrong: bool          # whether a wrong claim was SUPPORTED
    bends: bool


def draw_search(rng: np.random.Generator, runs: int, noise: float) -> tuple[float, xr.Dataset]:
    """Return an exponent and a search whose best rates follow it."""
    exponent, span = float(np.round(rng.uniform(-1, 1), 2)), float(np.log10(rng.choice([16, 32, 64])))
    sharpness, height, reach = rng.uniform(0.3, 1.2), 10 ** rng.uniform(-1.5, 0), rng.uniform(1, 3)
    x, rate = rng.uniform(0, span, runs), rng.uniform(-2, 2, runs)
    u = np.log(10) * (rate - exponent * (x - span / 2) - rng.uniform(-0.3, 0.3))
    loss = height * (np.exp(np.minimum(sharpness * u, 50)) - sharpness * u - 1) + rng.normal(0, noise, runs)
    loss = np.where(u > np.log(2) * reach, np.inf, np.exp(np.minimum(loss, 300)) * 10 ** (rng.uniform(-0.4, 0) * x))
    return exponent, read_runs({"width": 64 * 10**x, "lr": 10**rate, "loss": loss}, "width", "lr", "loss")


def judge_search(runs: int, noise: float, rng: np.random.Generator) -> Found:
    """Draw a search and judge it."""
    true, search = draw_search(rng, runs, noise)
    [found] = judge_runs(search, true)
    law, verdict = found.fits["eta_opt"], found.verdicts["eta_opt"]
    wrong = judge(law, true + 0.5, rivals=(true,)).outcome == "SUPPORTED"
    return Found(runs, noise, law.exponent, law.interval, true, str(verdict.outcome), wrong, "bends" in law.reason)


def simulate(number: int, seed: int) -> list[Found]:
    """Return what is found of searches; numbers of runs and noises take turns."""
    return [judge_search(RUNS[i % 3], NOISE[i // 3 % 3], np.random.default_rng([seed, i])) for i in range(number)]


def summarize(searches: list[Found]) -> str:
    """Return the table by numbers of runs and noise."""
    head = ("runs", "noise of log loss", "exponent fitted", "interval covers", "half-width, median", "true claim SUPPORTED",
            "true claim CONTRADICTED", "a wrong one SUPPORTED", "bends, in words")
    text = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for runs, noise in [*((runs, noise) for runs in RUNS for noise in NOISE), (None, None)]:
        some = [found for found in searches if runs is None or (found.runs, found.noise) == (runs, noise)]
        fitted = [found for found in some if np.isfinite(found.exponent)]
        covered = sum(found.interval[0] <= found.true <= found.interval[1] for found in fitted)
        half = f"{np.median([np.ptp(found.interval) for found in fitted]) / 2:.3f}" if fitted else ""
        shares = [np.mean([found.outcome == word for found in some]) for word in ("SUPPORTED", "CONTRADICTED")]
        text.append(f"| {'all' if runs is None else runs} | {'' if noise is None else noise} | {len(fitted)} of {len(some)} "
                    f"| {write_share(covered, len(fitted)) if fitted else ''} | {half} | {shares[0]:.0%} | {shares[1]:.1%} "
                    f"| {np.mean([found.wrong for found in some]):.1%} | {np.mean([found.bends for found in some]):.1%} |")
    return "\n".join(text)


def main(number: int = 900, seed: int = 21) -> None:
    """Write the table."""
    table = summarize(simulate(number, seed))
    publish(FOLDER / "planted_searches.md", f"{table}\n\n{number} searches.\n".encode())
    print(table)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
