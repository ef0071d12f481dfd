"""Measure exponents of networks on digits; fit and judge them from the stored brackets.

Run ``python docs/gallery/network_exponents.py`` to measure the rows that docs/data/network_exponents.nc lacks (all of them take about
an hour and a half on one core); ``--again 'mse sgd L=2'`` measures the rows whose name starts so once more. Judging takes a second.

Each row is one edge over two decades of gamma. A coarse scan at the middle gamma finds its level; then half a decade on each side
of the claimed line is swept at 20 or 40 rates a decade.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from deepnets.theory import predict
from deepnets.titles import LOSSES, OPTIMIZERS
from validation import Plane, edges_from_brackets, fit, judge, locate, sweep
from validation.fitting.powerlaw import PowerLawFit
from validation.judging.verdict import Verdict
from validation.provenance import collect_provenance

DATA = Path(__file__).resolve().parent.parent / "data" / "network_exponents.nc"
LAZY, RICH, RICHER = (1e-5, 1e-3), (1e1, 1e3), (1e2, 1e4)
GAMMAS, DECADES = 9, 0.5
TOLERANCE = 0.05
RHO = 0.5


@dataclass(frozen=True)
class Row:
    """One exponent: an edge of MLPs of ReLUs on digits, and how it is measured."""

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
        """The row's unique name in the stored brackets."""
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
    # the contradicted rows again: with more steps, wider, or at larger gamma
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


def judge_row(row: Row, data: xr.Dataset) -> tuple[PowerLawFit, Verdict]:
    """Return the fit and the verdict of a row from its stored brackets."""
    points = data.sel(row=row.name)
    points = points.isel(point=np.flatnonzero(points["gamma"].notnull().values))
    edges = edges_from_brackets(points["gamma"], points["lower"], points["upper"], row.edge, points["seed"])
    law = fit(edges.assign_attrs(rho=RHO, steps=row.steps), row.edge, window=row.window)
    claim = row.claim
    if row.window == RICHER and row.edge == "eta_min":
        # eta_min ~ gamma log(c gamma), of slope 1 + 1/log(c gamma); c follows from the slope in the window one decade below
        below = judge_row(replace(row, window=RICH), data)[0].exponent
        claim = 1 + 1 / (1 / (below - 1) + np.log(RICHER[0] / RICH[0]))
    return law, judge(law, claim, TOLERANCE)


def measured_exponents(**fields: Any) -> list[tuple[Row, PowerLawFit, Verdict]]:
    """Return the measured rows whose fields have these values, such as ``optimizer="adam", depth=3``, with fits and verdicts."""
    return [(row, *_fit_and_verdict(row)) for row in _stored_rows() if all(getattr(row, name) == value for name, value in fields.items())]


@cache
def _stored_rows() -> list[Row]:
    data = load_brackets()
    return [] if data is None else [row for row in rows() if row.name in data["row"].values]


@cache
def _fit_and_verdict(row: Row) -> tuple[PowerLawFit, Verdict]:
    return judge_row(row, load_brackets())


def load_brackets() -> xr.Dataset | None:
    """Return the stored brackets: gamma, seed, lower and upper, each (row, point), NaN where a row has fewer points."""
    return xr.load_dataset(DATA, engine="scipy") if DATA.exists() else None


def store_brackets(row: Row, brackets: xr.DataArray) -> None:
    """Store a row's brackets, in place of an older measurement."""
    brackets = brackets.transpose("seed", "gamma", "bound")
    gamma, seed = (x.values.ravel().astype(float) for x in xr.broadcast(brackets["gamma"], brackets["seed"]))
    # broadcast makes gamma the slowest dimension
    ends = brackets.transpose("gamma", "seed", "bound").values.reshape(-1, 2)
    points = {"gamma": gamma, "seed": seed, "lower": ends[:, 0], "upper": ends[:, 1]}
    one = xr.Dataset({name: (("row", "point"), values[None]) for name, values in points.items()},
                     {"row": [row.name], "point": np.arange(len(ends))})
    if (former := load_brackets()) is not None:
        one = xr.concat([former.drop_sel(row=[r for r in former["row"].values if r == row.name]), one], "row", join="outer")
    one.attrs = {"title": "edges of MLPs on digits", "rho": RHO} | collect_provenance()
    draft = DATA.with_suffix(".draft")
    one.to_netcdf(draft, engine="scipy")
    draft.replace(DATA)


def table() -> str:
    """Return the table of the stored rows in markdown."""
    head = ("loss", "optimizer", "$L$", "edge", "$\\gamma$", "$N$", "$B$", "$T$", "seeds", "predicted", "measured", "95% interval",
            "verdict")
    lines = [head, ("---",) * len(head)]
    for row, law, verdict in measured_exponents():
        schedule = "" if row.schedule == "constant" else ", warm-up and cosine"
        by = ", by accuracy" if row.criterion == "accuracy" else ""
        low, high = (f"$10^{{{np.log10(end):.0f}}}$" for end in row.window)
        lines.append((f"{LOSSES[row.loss]}{schedule}", OPTIMIZERS[row.optimizer], row.depth, f"`{row.edge}`{by}", f"{low} to {high}",
                      row.width, row.batch, row.steps, row.seeds, f"{verdict.claimed:.3f}", f"{law.exponent:.3f}",
                      f"{law.interval[0]:.3f} to {law.interval[1]:.3f}", verdict.outcome))
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def main(again: str | None = None) -> None:
    """Measure the missing rows, or those whose name starts with `again`, and print the table."""
    import torch

    torch.set_num_threads(1)
    for row in rows():
        data = load_brackets()
        missing = data is None or row.name not in data["row"].values
        if missing if again is None else row.name.startswith(again):
            store_brackets(row, measure(row))
            print(row.name, judge_row(row, load_brackets())[1].sentence, file=sys.stderr, flush=True)
    print(table())


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--again") + 1] if "--again" in sys.argv else None)
