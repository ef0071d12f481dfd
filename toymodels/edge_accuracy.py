"""Compare predicted with simulated edges: `python -m toymodels.edge_accuracy` traces them and prints a table (a minute or two).

A row is one edge of one combination over many gammas: how far the traced edge departs from the predicted one, the tolerance, and
whether it is met. rho = 1e-4 and T >= 1e4 where a finite rho or T would shift the edge (eta_max). Rows without a tolerance are findings.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from toymodels.models import Model, OneParameter, TwoParameter
from toymodels.optimizers import HeavyBall, Optimizer
from toymodels.simulate import ToyExperiment
from toymodels.theory import predict
from validation.tracing import trace


def trace_over_prediction(model: Model, loss: str, optimizer: str | Optimizer, edge: str, gamma: ArrayLike, steps: int, rho: float,
                          per_decade: int = 40) -> np.ndarray:
    """Return a traced edge over the predicted one, (gamma,); NaN where one of them does not exist."""
    gamma = np.asarray(gamma, dtype=float)
    edges = trace(ToyExperiment(model, loss, optimizer, steps, rho=rho), gamma, edge, rtol=1e-6, per_decade=per_decade)
    traced = edges["eta"].sel(edge=edge).transpose("gamma", "bound").values.mean(1)
    return np.asarray(traced / predict(model, loss, optimizer)[edge](gamma, steps, rho))


@dataclass(frozen=True)
class Line:
    """One row: an edge, the gammas at which it is traced, and the relative tolerance (None: a finding)."""

    model: Model
    loss: str
    optimizer: str | Optimizer
    edge: str
    gamma: tuple[float, ...]
    steps: int
    rho: float
    tolerance: float | None

    def measure(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the gammas with a prediction (n,), and traced over predicted (n,)."""
        prediction = predict(self.model, self.loss, self.optimizer)[self.edge]
        gamma = np.array([g for g in self.gamma if g <= prediction.closing_point(self.steps, self.rho) / 3])
        gamma = gamma[np.isfinite(prediction(gamma, self.steps, self.rho))]
        return gamma, trace_over_prediction(self.model, self.loss, self.optimizer, self.edge, gamma, self.steps, self.rho)


def list_lines() -> list[Line]:
    """Return the table's rows."""
    wide = tuple(10.0 ** np.arange(-6, 7))
    lazy, rich = tuple(g for g in wide if g <= 0.01), tuple(g for g in wide if g >= 1)
    rows = []
    for loss in ("mse", "cross_entropy"):
        for depth in range(1, 7):
            one = OneParameter(depth)
            rows += [Line(one, loss, "sgd", "eta_min", wide, steps, 0.01, 0.005) for steps in (1_000, 100_000)]
            rows += [Line(one, loss, "sgd", "eta_max", wide, 10_000, 1e-4, 0.003)]
        rows += [Line(TwoParameter(), loss, "sgd", "eta_min", wide, steps, 0.01, 0.005) for steps in (1_000, 100_000)]
    two = TwoParameter()
    rows += [
        Line(OneParameter(2), "mse", "sgd", "eta_div", wide, 10_000, 1e-4, 1e-3),
        Line(OneParameter(2), "cross_entropy", "sgd", "eta_div", lazy, 10_000, 1e-4, 0.01),
        Line(two, "mse", "sgd", "eta_div", wide, 10_000, 1e-4, 1e-5),
        # longer: a catapult that lands just below the edge of stability takes 1/(2 - eta K) steps to settle, a hole in the set
        Line(two, "mse", "sgd", "eta_max", wide, 100_000, 1e-4, 1e-3),
        Line(two, "mse", "sgd", "eta_crit", (*lazy, 0.03, 30.0, *rich[2:]), 10_000, 1e-4, 0.002),
        Line(two, "mse", "sgd", "eta_crit", (0.05, 0.2, 1.0, 3.0), 10_000, 1e-4, None),
        Line(two, "cross_entropy", "sgd", "eta_crit", (*lazy, 0.03, 30.0, *rich[2:]), 10_000, 1e-4, None),
        Line(two, "cross_entropy", "sgd", "eta_max", lazy[:-1], 30_000, 0.01, 0.01),
        Line(two, "cross_entropy", "sgd", "eta_max", rich, 10_000, 1e-4, 0.003),
        Line(two, "cross_entropy", "sgd", "eta_settle", tuple(10.0 ** np.arange(-6, -2.4, 0.25)), 30_000, 0.01, 0.02),
        Line(two, "cross_entropy", "sgd", "eta_settle", tuple(10.0 ** np.arange(-6, -2.9, 0.25)), 100_000, 1e-4, 0.02),
    ]
    for loss in ("mse", "cross_entropy"):
        for model in (OneParameter(5), two):
            rows += [Line(model, loss, "signsgd", "eta_min", wide, 1_000, 0.01, 0.005),
                     Line(model, loss, "signsgd", "eta_max", wide, 1_000, 0.01, None)]
        rows += [Line(model, loss, "adam", "eta_min", lazy[:-1], 1_000, 0.01, 0.01) for model in (OneParameter(5), two)]
    rows += [Line(OneParameter(depth), "mse", "momentum", edge, lazy, 10_000, 1e-4, 0.005)
             for depth in (1, 2, 5) for edge in ("eta_min", "eta_max")]
    for loss in ("mse", "cross_entropy"):
        for model in (OneParameter(5), two):
            # momentum's memory 1/(1 - beta) is a tenth, or the whole, of T; and beyond the lazy limit
            rows += [Line(model, loss, HeavyBall(beta), "eta_min", lazy[:-1], 1_000, 0.01, 0.005) for beta in (0.99, 0.999)]
            rows += [Line(model, loss, HeavyBall(0.9), "eta_min", (0.1, 1.0, 10.0, 1e3), 1_000, 0.01, 0.06)]
    return rows


@cache
def measure_lines(lines: tuple[Line, ...]) -> list[tuple[Line, np.ndarray, np.ndarray]]:
    """Trace rows once in a process; return each with its gammas and with traced over predicted, NaN where there is no edge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(line, *line.measure()) for line in lines]


def compare_all() -> str:
    """Trace every row and return the table in markdown.

    Raises
    ------
    ArithmeticError : a row is out of tolerance; the message is the table.
    """
    text, failed = ["| model | loss | optimizer | edge | T | rho | gammas | n | traced/predicted - 1 | tolerance | |", "|" + "---|" * 11], 0
    for line, gamma, ratio in measure_lines(tuple(list_lines())):
        measured = np.isfinite(ratio)
        departure = ratio[measured] - 1
        met = bool(measured.any()) and np.abs(departure).max() <= (np.inf if line.tolerance is None else line.tolerance)
        failed += not met and line.tolerance is not None
        extent = f"{gamma[measured].min():.0e} .. {gamma[measured].max():.0e}" if measured.any() else "none"
        spread = f"{departure.min():+.1e} .. {departure.max():+.1e}" if measured.any() else "none"
        verdict = ("finding", "") if line.tolerance is None else (f"{line.tolerance:g}", "yes" if met else "**no**")
        text.append(f"| {line.model!r} | {line.loss} | {line.optimizer} | {line.edge} | {line.steps} | {line.rho:g} | {extent} "
                    f"| {measured.sum()}/{measured.size} | {spread} | {' | '.join(verdict)} |")
    table = "\n".join([*text, "", f"{failed} rows are out of tolerance."])
    if failed:
        raise ArithmeticError(f"traced and predicted edges differ by more than the tolerance:\n{table}")
    return table


if __name__ == "__main__":
    print(compare_all())
