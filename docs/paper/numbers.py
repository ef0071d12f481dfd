"""The numbers of the methods note, computed while the site is built."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from gallery import network_exponents
from gallery.findings import format_table
from toymodels import edge_accuracy
from toymodels.theory import misprints
from validation.judging.verdict import VerdictOutcome

TABLES = Path(__file__).resolve().parent.parent / "tables"
OPTIMIZERS = {"sgd": "SGD", "signsgd": "SignSGD", "adam": "Adam", "momentum": "heavy ball"}
LOSSES = {"mse": "MSE", "cross_entropy": "cross-entropy"}


def trace_edges() -> list[tuple[edge_accuracy.Line, np.ndarray]]:
    """Return the rows of the theory's table that have a tolerance, with traced over predicted where both exist."""
    rows = edge_accuracy.measure_lines(tuple(edge_accuracy.list_lines()))
    return [(line, ratio[np.isfinite(ratio)]) for line, _, ratio in rows if line.tolerance is not None]


def tabulate_edges() -> str:
    """Return, for each loss, optimizer and edge, how many edges were traced, and how far they depart from the prediction."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for line, ratio in trace_edges():
        optimizer = line.optimizer if isinstance(line.optimizer, str) else line.optimizer.name
        groups.setdefault((LOSSES[line.loss], OPTIMIZERS[optimizer], f"`{line.edge}`"), []).extend(ratio - 1)
    rows = [(*group, len(off), f"{np.median(np.abs(off)):.0e}", f"{np.abs(off).max():.0e}") for group, off in groups.items()]
    return format_table(("loss", "optimizer", "edge", "traced", "relative departure, median", "largest"), rows)


def count_edges() -> int:
    """Return how many points of edges were traced and compared."""
    return sum(ratio.size for _, ratio in trace_edges())


def count_misprints() -> int:
    """Return the number of the paper's misprints that are checked."""
    return len(misprints.list_errata())


def count_rich_verdicts(outcome: str) -> int:
    """Return how many rich exponents of networks have this outcome."""
    return Counter(verdict.outcome for row, _, verdict in network_exponents.measured_exponents(regime="rich"))[VerdictOutcome(outcome)]


def read_coverage(which: str) -> str:
    """Return the least or the mean coverage of the judge's interval, in per cent, from the stored simulation."""
    least, mean = re.search(r"covers ([\d.]+) to [\d.]+, ([\d.]+) on average", (TABLES / "judge_coverage.md").read_text()).groups()
    return f"{100 * float({'least': least, 'mean': mean}[which]):.1f}"


def read_wrong_claims() -> str:
    """Return the largest share of draws, in per cent, in which a neighbouring depth's exponent was SUPPORTED."""
    shares = re.findall(r"at most ([\d.]+) \|$", (TABLES / "judge_coverage.md").read_text(), re.MULTILINE)
    return f"{100 * max(map(float, shares)):.1f}"
