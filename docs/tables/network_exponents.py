"""Exponents of networks on digits, over seeds, with intervals and verdicts: measured once, kept as brackets, judged at every build.

Run ``python docs/tables/network_exponents.py`` to measure what is not yet in docs/data/network_exponents.nc (all of it takes about an
hour and a half on one core); ``--again 'mse sgd L=2'`` measures the rows whose name starts so once more. Judging takes a second.

Each row is one edge over two decades of gamma. A coarse scan at the middle gamma finds its level; then half a decade to each side
of the claimed line is swept at 20 rates a decade or 40.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.theory import predict
from deepnets.titles import LOSSES, OPTIMIZERS
from validation import Plane, edges_from_brackets, fit, judge, locate, sweep
from validation.fitting.powerlaw import PowerLawFit
from validation.judging.verdict import Verdict
from validation.provenance import collect_provenance

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data" / "network_exponents.nc"
LAZY, RICH, RICHER = (1e-5, 1e-3), (1e1, 1e3), (1e2, 1e4)
GAMMAS, DECADES = 9, 0.5
TOLERANCE = 0.05
RHO = 0.5


@dataclass(frozen=True)
class Row:
    """One exponent to be measured; `claim` is the theory's."""

    loss: str
    optimizer: str
    depth: int
    edge: str
    regime: str
    window: tuple[float, float]
    criterion: str = "excess"
    schedule: str = "constant"
    width: int = 32
    batch: int = 32
    seeds: int = 5
    steps: int = 1000
    per_decade: int = 20

    @property
    def name(self) -> str:
        """A name that no other row has."""
        schedule = "" if self.schedule == "constant" else f" {self.schedule}"
        steps = "" if self.steps == 1000 else f" T={self.steps}"
        width = "" if self.width == self.batch else f" N={self.width}"
        return f"{self.loss} {self.optimizer} L={self.depth}{schedule}{steps}{width} {self.edge} {self.window[0]:.0e}..{self.window[1]:.0e}"

    @property
    def claim(self) -> float:
        """The theory's exponent."""
        return float(predict(self.depth, self.loss, self.optimizer)[self.edge].exponent(self.regime))


def rows() -> Iterator[Row]:
    """Yield the rows of the table."""
    for depth in (2, 3, 4):
        for loss, more in (("mse", {"per_decade": 40}), ("cross_entropy", {"width": 64, "batch": 64, "seeds": 3})):
            accuracy = {"criterion": "accuracy"} if loss == "cross_entropy" else {}
            yield Row(loss, "sgd", depth, "eta_crit", "lazy", LAZY, **more)
            yield Row(loss, "sgd", depth, "eta_max", "lazy", LAZY, **more, **accuracy)
            yield Row(loss, "sgd", depth, "eta_min", "lazy", LAZY, **more)
            yield Row(loss, "sgd", depth, "eta_max", "rich", RICH, **more)
            yield Row(loss, "sgd", depth, "eta_min", "rich", RICH, **more)
        for optimizer in ("signsgd", "adam"):
            yield Row("mse", optimizer, depth, "eta_max", "lazy", LAZY)
            yield Row("mse", optimizer, depth, "eta_max", "rich", RICH)
        yield Row("mse", "sgd", depth, "eta_crit", "lazy", LAZY, schedule="warmup_cosine")
        yield Row("mse", "sgd", depth, "eta_max", "rich", RICH, schedule="warmup_cosine")
    yield Row("mse", "sgd", 2, "eta_min", "rich", RICHER, per_decade=40)
    # what came out elsewhere than predicted, with more steps, wider, or further out
    yield Row("mse", "sgd", 4, "eta_min", "rich", RICH, seeds=3, steps=4000)
    for width in (64, 128):
        yield Row("mse", "sgd", 4, "eta_min", "rich", RICH, width=width, seeds=3, steps=300)
    yield Row("mse", "adam", 4, "eta_max", "rich", RICHER)
    yield Row("cross_entropy", "sgd", 4, "eta_max", "rich", RICH, width=64, batch=64, seeds=3, steps=3000)


def measure(row: Row) -> xr.DataArray:
    """Return the brackets of a row's edge, (seed, gamma, bound)."""
    from deepnets import MLP, DeepExperiment, tasks

    def experiment(seeds: int) -> DeepExperiment:
        return DeepExperiment(MLP(64, row.width, row.depth, 10), tasks.digits(), row.loss, row.optimizer, row.schedule, row.steps,
                              row.batch, tuple(range(seeds)), device="cpu")

    gamma = np.geomspace(*row.window, GAMMAS)
    middle = gamma[GAMMAS // 2]
    coarse = experiment(1).measure(np.array([middle]), middle**row.claim * np.logspace(-3, 5, 65))
    level = locate(coarse, criterion=row.criterion)["eta"].sel(edge=row.edge).squeeze().values
    plane = Plane.around(lambda g: np.sqrt(level.prod()) * (g / middle) ** row.claim, gamma, DECADES, row.per_decade)
    return locate(sweep(experiment(row.seeds), plane), criterion=row.criterion)["eta"].sel(edge=row.edge, drop=True)


def judged(row: Row, data: xr.Dataset) -> tuple[PowerLawFit, Verdict]:
    """Return the fit and the verdict of a row from its brackets."""
    points = data.sel(row=row.name)
    points = points.isel(point=np.flatnonzero(points["gamma"].notnull().values))
    edges = edges_from_brackets(points["gamma"], points["lower"], points["upper"], row.edge, points["seed"])
    law = fit(edges.assign_attrs(rho=RHO, steps=row.steps), row.edge, window=row.window)
    claim = row.claim
    if row.window == RICHER and row.edge == "eta_min":
        # eta_min ~ gamma log(c gamma), whose slope is 1 + 1/log(c gamma): c is what the window one decade below tells
        below = judged(replace(row, window=RICH), data)[0].exponent
        claim = 1 + 1 / (1 / (below - 1) + np.log(RICHER[0] / RICH[0]))
    return law, judge(law, claim, TOLERANCE)


def kept() -> xr.Dataset | None:
    """Return what has been measured: gamma, seed, lower and upper, each (row, point), NaN where a row has fewer points."""
    return xr.load_dataset(DATA, engine="scipy") if DATA.exists() else None


def keep(row: Row, brackets: xr.DataArray) -> None:
    """Add a row's brackets to what is kept, in place of an older measurement."""
    brackets = brackets.transpose("seed", "gamma", "bound")
    gamma, seed = (x.values.ravel().astype(float) for x in xr.broadcast(brackets["gamma"], brackets["seed"]))
    # gamma runs slowest in what broadcast gives
    ends = brackets.transpose("gamma", "seed", "bound").values.reshape(-1, 2)
    points = {"gamma": gamma, "seed": seed, "lower": ends[:, 0], "upper": ends[:, 1]}
    one = xr.Dataset({name: (("row", "point"), values[None]) for name, values in points.items()},
                     {"row": [row.name], "point": np.arange(len(ends))})
    former = kept()
    if former is not None:
        one = xr.concat([former.drop_sel(row=[r for r in former["row"].values if r == row.name]), one], "row", join="outer")
    one.attrs = {"title": "edges of MLPs on digits", "rho": RHO} | collect_provenance()
    draft = DATA.with_suffix(".draft")
    one.to_netcdf(draft, engine="scipy")
    draft.replace(DATA)


def table() -> str:
    """Return the table in markdown, judged from the brackets that are kept."""
    data = kept()
    lines = ["| loss | optimizer | $L$ | edge | $\\gamma$ | $N$ | $B$ | $T$ | seeds | predicted | measured | 95% interval | verdict |",
             "|" + "---|" * 13]
    for row in rows():
        if data is None or row.name not in data["row"].values:
            continue
        law, verdict = judged(row, data)
        schedule = "" if row.schedule == "constant" else ", warm-up and cosine"
        by = ", by accuracy" if row.criterion == "accuracy" else ""
        low, high = (f"$10^{{{np.log10(end):.0f}}}$" for end in row.window)
        lines.append(f"| {LOSSES[row.loss]}{schedule} | {OPTIMIZERS[row.optimizer]} | {row.depth} | `{row.edge}`{by} "
                     f"| {low} to {high} | {row.width} | {row.batch} | {row.steps} | {row.seeds} | {verdict.claimed:.3f} "
                     f"| {law.exponent:.3f} | {law.interval[0]:.3f} to {law.interval[1]:.3f} | {verdict.outcome} |")
    return "\n".join(lines)


def main(again: str | None = None) -> None:
    """Measure what is missing, or the rows whose name starts with `again`, and print the table."""
    import torch

    torch.set_num_threads(1)
    for row in rows():
        data = kept()
        missing = data is None or row.name not in data["row"].values
        if missing if again is None else row.name.startswith(again):
            keep(row, measure(row))
            print(row.name, judged(row, kept())[1].sentence, file=sys.stderr, flush=True)
    print(table())


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--again") + 1] if "--again" in sys.argv else None)
