"""Measured over predicted levels of the lazy edges, over networks and seeds: `python -m tests.benchmarks.lazy_levels --batch 128`.

Each network is trained at gamma = 1e-4 at rates around its predicted levels. Nothing is chosen by what is measured: networks, tasks, T,
rho and seeds are fixed here. A level that is missed by more than the rates that were trained counts as missed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from deepnets import CNN, MLP, DeepExperiment, ResidualMLP, ViT, levels, tasks
from validation import locate

GAMMA, STEPS, RHO = 1e-4, 200, 0.5
AROUND = {"eta_min": np.geomspace(0.45, 2.2, 22), "eta_crit": np.geomspace(0.6, 1.5, 24)}      # times the predicted rate


class Attentive(nn.Module):
    """One of torch's own attention blocks over the eight rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.read = nn.Linear(8, 16), nn.Linear(16, 10)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (batch, 10)."""
        return self.read(self.block(self.embed(x.reshape(-1, 8, 8))).mean(1))  # type: ignore[no-any-return]


def with_norm(norm: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a network of three of torch's own layers, with a norm after the first two."""
    def build(seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), norm(64), nn.ReLU(), nn.Linear(64, 64), norm(64), nn.ReLU(), nn.Linear(64, 10))
    return build


def index() -> tuple[Any, Any]:
    """Return an MLP and a single-index task."""
    task = tasks.single_index(16, 2)
    return MLP(16, 64, 3, task.out_features), task


def teacher() -> tuple[Any, Any]:
    """Return an MLP and a teacher."""
    task = tasks.teacher(16)
    return MLP(16, 64, 3, task.out_features), task


def on_digits(network: Any) -> Callable[[], tuple[Any, Any]]:
    """Return a network with scikit-learn's digits, as a function."""
    return lambda: (network, tasks.digits())


CASES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "MLP, L = 2": on_digits(MLP(64, 64, 2, 10)), "MLP, L = 3": on_digits(MLP(64, 64, 3, 10)), "MLP, L = 4": on_digits(MLP(64, 64, 4, 10)),
    "MLP, N = 256": on_digits(MLP(64, 256, 3, 10)), "MLP, NTK": on_digits(MLP(64, 64, 3, 10, parametrization="ntk")),
    "MLP, tanh": on_digits(MLP(64, 64, 3, 10, nonlinearity="tanh")), "residual MLP": on_digits(ResidualMLP(64, 32, 2, 10)),
    "MLP, single index": index, "MLP, teacher": teacher, "own, torch's default": on_digits(with_norm(lambda n: nn.Identity())),
    "own, LayerNorm": on_digits(with_norm(nn.LayerNorm)), "own, BatchNorm": on_digits(with_norm(nn.BatchNorm1d)),
    "own, attention": on_digits(lambda seed: Attentive()), "CNN": on_digits(CNN((1, 8, 8), 8, 10)),
    "ViT": on_digits(ViT((1, 8, 8), 16, 10, patch=4, blocks=1))}


@dataclass(frozen=True)
class Row:
    """One network, seed and edge: `ratio` of the measured to the predicted rate, NaN where it was missed, None of an abstention."""

    case: str
    seed: int
    edge: str
    ratio: float | None
    convergence: float
    seconds: float


def measure(case: str, seed: int, batch: int, loss: str) -> list[Row]:
    """Predict the levels of one network, train it around them, and return a row for each edge."""
    network, task = CASES[case]()
    experiment = DeepExperiment(network, task, loss, steps=STEPS, batch_size=batch, seeds=(seed,), rho=RHO)
    begin = time.process_time()
    found = levels(experiment)
    seconds = time.process_time() - begin
    rows = []
    for edge in ("eta_min", "eta_crit") if loss == "mse" else ("eta_min",):
        if edge not in found:
            rows.append(Row(case, seed, edge, None, np.nan, seconds))
            continue
        eta = found[edge]([GAMMA], STEPS, RHO) * AROUND[edge]
        bracket = locate(experiment.measure(np.array([GAMMA]), eta))["eta"].sel(edge=edge).values.reshape(-1)
        ratio = float(np.sqrt(bracket.prod()) / found[edge]([GAMMA], STEPS, RHO)[0])
        rows.append(Row(case, seed, edge, ratio, found.attrs["convergence"][edge], seconds))
    return rows


def summarise(rows: Iterable[Row], edge: str) -> str:
    """Return shares of one edge in words."""
    of_edge = [r for r in rows if r.edge == edge]
    given = np.array([r.ratio for r in of_edge if r.ratio is not None])
    if not len(given):
        return f"{edge}: {len(of_edge)} cases, all abstained from"
    spans = {"within 10%": (0.9, 1.1), "within 25%": (0.75, 1.25), "0.7 to 1.5": (0.7, 1.5)}
    shares = ", ".join(f"{name} {np.mean((given >= low) & (given <= high)):.0%}" for name, (low, high) in spans.items())
    return (f"{edge}: {len(of_edge)} cases, {len(of_edge) - len(given)} abstained from; measured over predicted "
            f"{np.nanmin(given):.2f} to {np.nanmax(given):.2f}, {int(np.isnan(given).sum())} outside the rates trained; {shares}")


def main() -> None:
    """Measure, and print the table as it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--loss", choices=("mse", "cross_entropy"), default="mse")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"| network, B = {options.batch}, {options.loss}, T = {STEPS} | edge | measured / predicted, by seed | quarter of the samples "
          "| CPU s |")
    print("| --- | --- | --- | --- | --- |")
    rows: list[Row] = []
    for case in options.cases:
        if options.loss == "cross_entropy" and CASES[case]()[1].classes is None:
            continue
        new = [row for seed in range(options.seeds) for row in measure(case, seed, options.batch, options.loss)]
        rows += new
        for edge in dict.fromkeys(r.edge for r in new):
            some = [r for r in new if r.edge == edge]
            ratios = ", ".join("abstains" if r.ratio is None else "missed" if np.isnan(r.ratio) else f"{r.ratio:.2f}" for r in some)
            quarter = ", ".join("-" if np.isnan(r.convergence) else f"{r.convergence:.2f}" for r in some)
            print(f"| {case} | {edge} | {ratios} | {quarter} | {np.median([r.seconds for r in some]):.1f} |", flush=True)
    print("\n".join(["", *(summarise(rows, edge) for edge in dict.fromkeys(r.edge for r in rows))]))


if __name__ == "__main__":
    main()
