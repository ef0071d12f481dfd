"""One table of exponents: predicted, of the toy, of networks on a CPU, of networks on a GPU, and the paper's claim."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import toymodels
import validation
from deepnets.theory import predict
from gallery.exponents import exponents
from pieces.verdicts import rows

PAPER = {"eta_min": ("2", "1"), "eta_crit": ("2", ""), "eta_max": ("2", "2/L")}
GAMMAS, STEPS = tuple(np.geomspace(1e-5, 1e5, 21)), 1000
CATAPULTS, LONG = tuple(np.geomspace(1e-5, 1e-2, 7)), 30_000       # a catapult of cross-entropy takes its time to settle

Key = tuple[str, str, int, str, str]


def side_by_side(folder: Path) -> list[tuple[str, ...]]:
    """Return the rows (loss, optimizer, L, edge, regime, paper, predicted, toy, CPU, GPU); what was not measured is a dash."""
    there = list(rows(folder))
    gpu = {row.key: f"{_told(row.measured, row.interval)} {row.outcome}" for row in there if row.key and not row.device.startswith("CPU")}
    cpu: dict[Key, str] = {}
    for row, law, verdict in exponents(schedule="constant"):
        # the first row of a kind is the table's own; those after it look again, wider, longer or further out
        cpu.setdefault((row.loss, row.optimizer, row.depth, row.edge, row.regime), f"{_told(law.exponent, law.interval)} {verdict.outcome}")
    return [(loss, optimizer, str(depth), edge, regime, _paper(loss, optimizer, edge, regime),
             str(predict(depth, loss, optimizer)[edge].exponent(regime)),
             *(found.get((loss, optimizer, depth, edge, regime), "–") for found in (_toys(depth, loss, optimizer), cpu, gpu)))
            for loss, optimizer, depth, edge, regime in sorted(set(cpu) | set(gpu), key=_order)]


def _order(key: Key) -> tuple:
    loss, optimizer, depth, edge, regime = key
    return optimizer != "sgd", optimizer, loss != "mse", depth, edge, regime


def _paper(loss: str, optimizer: str, edge: str, regime: str) -> str:
    """Return the exponent of the paper's Table 1 and Appendix F."""
    if optimizer != "sgd":
        return "1" if regime == "lazy" else "1/L"
    if (loss, edge, regime) == ("cross_entropy", "eta_max", "lazy"):
        return "1"
    return PAPER[edge][regime == "rich"]


@cache
def _toys(depth: int, loss: str, optimizer: str) -> dict[Key, str]:
    """Return the exponents of the toys' edges, traced: one parameter, and two where the paper asks them, for catapults."""
    if optimizer not in ("sgd", "signsgd"):
        return {}
    model = toymodels.OneParameter(depth)
    found = _traced(model, loss, optimizer, tuple(toymodels.predict(model, loss, optimizer)), STEPS, GAMMAS)
    if optimizer == "sgd":
        found |= _traced(toymodels.TwoParameter(), loss, optimizer, ("eta_crit", "eta_max") if loss == "cross_entropy" else ("eta_crit",),
                         LONG, CATAPULTS)
    return {(loss, optimizer, depth, *cell): told for cell, told in found.items()}


@cache
def _traced(model: Any, loss: str, optimizer: str, names: tuple[str, ...], steps: int, gammas: tuple[float, ...]) -> dict[Any, str]:
    claims = {name: claim for name, claim in toymodels.predict(model, loss, optimizer).items() if name in names}
    edges = validation.trace(toymodels.ToyExperiment(model, loss, optimizer, steps), np.array(gammas), list(claims))
    return {(a.edge, a.regime): f"{_told(a.fit.exponent, a.fit.interval)} {a.verdict.outcome}" for a in validation.assess(edges, claims)}


def _told(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def markdown(folder: Path, cell: Callable[[str], str] = str) -> str:
    """Return the table in markdown."""
    head = ("loss", "optimizer", "L", "edge", "regime", "the paper", "predicted", "toy", "networks, CPU", "networks, GPU")
    body = [tuple(cell(entry) for entry in row) for row in side_by_side(folder)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *body))
