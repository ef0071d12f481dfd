"""Measure planes of held-out losses, and compare `deepnets.tune`'s search with other ways of choosing richness and rate on them.

Run ``python -m tests.benchmarks.tuning_regret measure [NAME ...]`` to measure the planes again into docs/data/kept (a minute each), and
``python -m tests.benchmarks.tuning_regret`` to print the tables that docs/tables stores; TPE needs optuna.

A plane is trained over 16 gammas and five rates a decade, with two seeds. Searches then read its losses, interpolated in logarithms,
with a diverged run as bad as three times the zero output. What a search measures before its runs is measured in truth, ten times, each with
other seeds, and counted. The regret is the best loss of full runs so far over the least loss of the plane, less one.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.interpolate import RegularGridInterpolator
from scipy.stats import norm

from deepnets import MLP, DeepExperiment, tasks
from deepnets.place.rate_ramp import RateRuns
from deepnets.tuning.ridge import Start, measure_start
from deepnets.tuning.search import SHORT, Point, search
from deepnets.tuning.surrogate import matern, saturate
from validation.experiment import name_experiment
from validation.provenance import collect_provenance
from validation.storage.netcdf import read_netcdf, write_netcdf

KEPT = Path(__file__).parents[2] / "docs" / "data" / "kept"
TABLES = Path(__file__).parents[2] / "docs" / "tables"
T, BATCH, SEEDS, REPETITIONS = 1000, 32, (0, 1), 10
GAMMA = np.logspace(-2, 3, 16)
PER_DECADE = 5
BUDGETS = (6, 8, 12, 16, 24)
FIRST_AT_RANDOM = 5    # points before a Gaussian process is fitted
NEAR_BEST = 1.0        # saturated excess of log loss, up to which an oracle predicts
ORACLE = (0.7, 0.8, 0.35)         # its kernel: standard deviation of log loss, decades of gamma and of eta
ORACLE_FAR, ORACLE_NOISE = 1.0, 0.06      # its mean, and the standard deviation of a run
LEARNED = 0.5          # of the zero output's loss: a case whose least loss is below is learned
SHARES = (5, 20)       # per cent of regret, within which planes are counted
WORST = 3.0            # times the zero output's loss: what a diverged run counts as
RANGE_STEPS = 100      # of the rate range test


def as_tabular(x: np.ndarray, y: np.ndarray) -> tasks.Task:
    """Return a task of standardized inputs (n, d), every fifth sample held out; y are classes, or targets that are standardized too."""
    x = ((x - x.mean(0)) / x.std(0)).astype("f4")
    if y.dtype.kind == "f":
        y = ((y - y.mean(0)) / y.std(0)).astype("f4").reshape(len(y), -1)
    apart = np.arange(len(x)) % 5 == 4
    return tasks.as_task(tasks.from_loader([(x[~apart], y[~apart])], [(x[apart], y[apart])]))


def load_table(name: str) -> tasks.Task:
    """Return one of scikit-learn's tables: breast_cancer (569 tumours), wine, diabetes."""
    from sklearn import datasets

    return as_tabular(*getattr(datasets, f"load_{name}")(return_X_y=True))


def make_table(name: str, samples: int, **options: float) -> tasks.Task:
    """Return samples of one of scikit-learn's generators, such as friedman2, moons or swiss_roll, in an order that they drew."""
    from sklearn import datasets

    return as_tabular(*getattr(datasets, f"make_{name}")(n_samples=samples, random_state=0, **options))


def plain(inputs: int, width: int, depth: int, outputs: int, parametrization: str = "standard", units: str = "relu") -> MLP:
    """Return a network, by default of ReLU units as torch scales it."""
    return MLP(inputs, width, depth, outputs, parametrization=parametrization, nonlinearity=units)


@dataclass(frozen=True)
class Case:
    """A network, its task, loss and optimizer, log10 of the first and last rate, and the batch size."""

    what: str
    network: MLP
    task: Callable[[], tasks.Task]
    loss: str
    optimizer: str
    rates: tuple[int, int]
    batch: int = BATCH

    def experiment(self, seeds: Sequence[int] = SEEDS) -> DeepExperiment:
        """Return the experiment of these seeds."""
        return DeepExperiment(self.network, self.task(), loss=self.loss, optimizer=self.optimizer, steps=T, batch_size=self.batch,
                              seeds=seeds, curves=25, device="cpu")


FIRST_CASES = {
    "digits-sgd": Case("digits, cross-entropy, L = 3, N = 96, SGD", plain(64, 96, 3, 10), tasks.digits, "cross_entropy", "sgd", (-6, 3)),
    "digits-adam": Case("digits, MSE, L = 4, N = 64, Adam", plain(64, 64, 4, 10), tasks.digits, "mse", "adam", (-6, 2)),
    "digits-adamw": Case("digits, cross-entropy, L = 2, N = 128, AdamW", plain(64, 128, 2, 10), tasks.digits, "cross_entropy", "adamw",
                         (-6, 2)),
    "teacher-sgd": Case("teacher, 16 inputs, L = 3, N = 64, SGD", plain(16, 64, 3, 1), lambda: tasks.teacher(16), "mse", "sgd", (-6, 3)),
    "teacher-adam": Case("teacher, 32 inputs, L = 4, N = 48, Adam", plain(32, 48, 4, 1), lambda: tasks.teacher(32), "mse", "adam", (-6, 2)),
    "single-index-adam": Case("single index of degree 2, 16 inputs, L = 2, N = 64, Adam", plain(16, 64, 2, 1),
                              lambda: tasks.single_index(16, 2), "mse", "adam", (-6, 2)),
    "single-index-momentum": Case("single index of degree 3, 10 inputs, L = 3, N = 64, momentum", plain(10, 64, 3, 1),
                                  lambda: tasks.single_index(10, 3), "mse", "momentum", (-7, 2)),
    "multi-index-mup": Case("multi-index, 16 inputs, L = 3, N = 64, muP, SGD", plain(16, 64, 3, 1, "mup"), lambda: tasks.multi_index(16),
                            "mse", "sgd", (-7, 2)),
    "linear-sgd": Case("linear, 16 inputs, L = 3, N = 64, SGD", plain(16, 64, 3, 16), lambda: tasks.linear(dim=16, out_features=16),
                       "mse", "sgd", (-6, 3)),
    "tumours-sgd": Case("tumours, cross-entropy, L = 3, N = 32, SGD", plain(30, 32, 3, 2), lambda: load_table("breast_cancer"),
                        "cross_entropy", "sgd", (-6, 3)),
}
LATER_CASES = {
    "wine-sgd": Case("wine, cross-entropy, L = 3, N = 48, SGD, batch 16", plain(13, 48, 3, 3), lambda: load_table("wine"), "cross_entropy",
                     "sgd", (-6, 4), 16),
    "diabetes-adam": Case("diabetes, MSE, L = 2, N = 64, Adam", plain(10, 64, 2, 1), lambda: load_table("diabetes"), "mse", "adam",
                          (-6, 2)),
    "friedman-sgd": Case("Friedman's second function, MSE, L = 3, N = 64, SGD, batch 64", plain(4, 64, 3, 1),
                         lambda: make_table("friedman2", 1000), "mse", "sgd", (-6, 4), 64),
    "moons-momentum": Case("moons, cross-entropy, L = 4, N = 48, momentum", plain(2, 48, 4, 2), lambda: make_table("moons", 800, noise=0.1),
                           "cross_entropy", "momentum", (-7, 3)),
    "tumours-momentum": Case("tumours, MSE, L = 2, N = 64, momentum", plain(30, 64, 2, 2), lambda: load_table("breast_cancer"), "mse",
                             "momentum", (-7, 3)),
    "digits-tanh": Case("digits, cross-entropy, L = 5, N = 48, tanh, Adam", plain(64, 48, 5, 10, units="tanh"), tasks.digits,
                        "cross_entropy", "adam", (-6, 2)),
    "multi-index-ntk": Case("multi-index, 24 inputs, L = 4, N = 80, NTK, Adam", plain(24, 80, 4, 1, "ntk"), lambda: tasks.multi_index(24),
                            "mse", "adam", (-6, 2)),
    "swiss-roll-gelu": Case("swiss roll, MSE, L = 4, N = 48, GELU, SGD", plain(3, 48, 4, 1, units="gelu"),
                            lambda: make_table("swiss_roll", 1000), "mse", "sgd", (-6, 4)),
    "digits-mup": Case("digits, MSE, L = 3, N = 96, muP, SGD, batch 64", plain(64, 96, 3, 10, "mup"), tasks.digits, "mse", "sgd", (-6, 4),
                       64),
    "teacher-adamw": Case("teacher, 24 inputs, L = 5, N = 48, AdamW", plain(24, 48, 5, 1), lambda: tasks.teacher(24), "mse", "adamw",
                          (-6, 2)),
}
NEWEST_CASES = {
    "friedman-adam": Case("Friedman's first function, MSE, L = 3, N = 64, Adam", plain(10, 64, 3, 1), lambda: make_table("friedman1", 1000),
                          "mse", "adam", (-6, 2)),
    "friedman-nesterov": Case("Friedman's third function, MSE, L = 2, N = 96, Nesterov", plain(4, 96, 2, 1),
                              lambda: make_table("friedman3", 1000), "mse", "nesterov", (-7, 3)),
    "circles-sgd": Case("circles, cross-entropy, L = 3, N = 48, SGD", plain(2, 48, 3, 2),
                        lambda: make_table("circles", 800, noise=0.1, factor=0.5), "cross_entropy", "sgd", (-6, 4)),
    "clusters-adamw": Case("clusters in 20 dimensions, cross-entropy, L = 4, N = 64, AdamW, batch 64", plain(20, 64, 4, 2),
                           lambda: make_table("classification", 1000), "cross_entropy", "adamw", (-6, 2), 64),
    "s-curve-tanh": Case("S curve, MSE, L = 3, N = 64, tanh, momentum", plain(3, 64, 3, 1, units="tanh"),
                         lambda: make_table("s_curve", 1000), "mse", "momentum", (-7, 3)),
    "quantiles-lion": Case("three shells, cross-entropy, L = 3, N = 64, Lion", plain(2, 64, 3, 3),
                           lambda: make_table("gaussian_quantiles", 1000), "cross_entropy", "lion", (-7, 1)),
    "hastie-mup": Case("Hastie's radial classes, MSE, L = 3, N = 64, muP, SGD", plain(10, 64, 3, 1, "mup"),
                       lambda: make_table("hastie_10_2", 1000), "mse", "sgd", (-7, 3)),
    "single-index-ntk": Case("single index of degree 2, 20 inputs, L = 4, N = 64, NTK, SGD", plain(20, 64, 4, 1, "ntk"),
                             lambda: tasks.single_index(20, 2), "mse", "sgd", (-6, 4)),
    "multi-index-gelu": Case("multi-index, 12 inputs, L = 3, N = 64, GELU, Adam", plain(12, 64, 3, 1, units="gelu"),
                             lambda: tasks.multi_index(12), "mse", "adam", (-6, 2)),
    "sparse-linear-adamw": Case("four of ten inputs, linear, MSE, L = 2, N = 64, AdamW", plain(10, 64, 2, 1),
                                lambda: make_table("sparse_uncorrelated", 500), "mse", "adamw", (-6, 2)),
    "iris-momentum": Case("iris, cross-entropy, L = 3, N = 32, momentum, batch 16", plain(4, 32, 3, 3), lambda: load_table("iris"),
                          "cross_entropy", "momentum", (-7, 3), 16),
    "digits-nesterov": Case("digits, MSE, L = 4, N = 64, Nesterov", plain(64, 64, 4, 10), tasks.digits, "mse", "nesterov", (-7, 3)),
}
KNOWN_CASES = FIRST_CASES | LATER_CASES      # when the search took its present form
CASES = KNOWN_CASES | NEWEST_CASES


def measure(name: str) -> xr.Dataset:
    """Train the plane of a case, and measure ten starts of the search and ten rate range tests."""
    case, begin = CASES[name], time.perf_counter()
    experiment = case.experiment()
    low, high = case.rates
    plane = experiment.measure(GAMMA, np.logspace(low, high, (high - low) * PER_DECADE + 1))
    losses = plane["held_out_loss"].mean("seed", skipna=False).transpose("step", "gamma", "eta")
    steps = losses["step"].values
    before = int(np.searchsorted(steps, T // SHORT)) - 1
    zero = float(np.nanmedian(losses.values[0][np.isfinite(losses.values[0])]))      # after a single step
    data = losses.isel(step=[before, before + 1, -1]).astype("f4").to_dataset(name="held_out_loss").reset_coords(drop=True)
    starts = [measure_start(case.experiment((100 + r,))) for r in range(REPETITIONS)]
    edges = np.full((REPETITIONS, 3, 2), np.nan)
    for r, start in enumerate(starts):
        edges[r, :len(start.edges)] = start.edges
    ranges = [find_steepest(case.experiment((100 + r,)), 10.0**low, 10.0**high) for r in range(REPETITIONS)]
    data = data.assign(start_gamma=("repetition", [s.gamma for s in starts]),
                       start_cost=("repetition", [s.cost / (T * case.batch) for s in starts]),
                       start_edges=(("repetition", "edge", "part"), edges), range_eta=("repetition", ranges))
    attrs = {"what": case.what, "power": experiment.optimizer.power, "zero_loss": zero, "seconds": round(time.perf_counter() - begin, 1),
             "notes": json.dumps([s.notes for s in starts])}
    return data.assign_attrs(attrs | name_experiment(experiment.describe()) | collect_provenance())


def find_steepest(experiment: DeepExperiment, low: float, high: float) -> float:
    """Return the rate at which the loss falls most steeply over the logarithm of the rate, during a ramp at gamma = 1."""
    rates = np.geomspace(low, high, RANGE_STEPS)
    excess = RateRuns(experiment, 1.0).average(rates)
    finite = np.flatnonzero(np.isfinite(excess))
    return float(rates[finite[int(np.argmin(np.gradient(excess[finite])))]])


class Plane:
    """The losses of a measured case, interpolated."""

    def __init__(self, data: xr.Dataset, depth: int) -> None:
        self.data, self.rich = data, int(data.attrs["power"]) / depth
        zero = float(data.attrs["zero_loss"])
        losses = data["held_out_loss"].transpose("step", "gamma", "eta").values.astype(float)
        clipped = np.log10(np.clip(np.where(np.isfinite(losses), losses, np.inf), 1e-9, WORST * zero))
        self.zero, self.final = zero, 10 ** clipped[-1]      # (gamma, eta)
        self.best = float(self.final.min())
        self.gamma, self.eta = (np.log10(data[n].values) for n in ("gamma", "eta"))
        self._interpolate = RegularGridInterpolator((np.log10(data["step"].values), self.gamma, self.eta), clipped, bounds_error=False,
                                                    fill_value=np.log10(WORST * zero))

    def read(self, gamma: float, eta: float, share: int = 1) -> float:
        """Return the loss at a point after 1/share of the steps."""
        return float(10 ** self._interpolate((np.log10(T // share), np.log10(gamma), np.log10(eta))))

    def read_all(self, share: int) -> np.ndarray:
        """Return the losses at all points of the plane, (gamma, eta), after 1/share of the steps."""
        gamma, eta = np.meshgrid(self.gamma, self.eta, indexing="ij")
        losses: np.ndarray = 10 ** self._interpolate((np.full(gamma.shape, np.log10(T // share)), gamma, eta))
        return losses

    def start(self, repetition: int) -> Start:
        """Return one of the measured starts; its cost is in full runs."""
        edges = self.data["start_edges"].values[repetition]
        edges = edges[np.isfinite(edges[:, 0])]
        return Start(float(self.data["start_gamma"][repetition]), tuple(map(tuple, edges)), int(self.data.attrs["power"]),
                     self.rich, float(self.data["start_cost"][repetition]))


class Search:
    """What a search has spent, and its best loss of full runs after each."""

    def __init__(self, plane: Plane, cost: float = 0.0) -> None:
        self.plane, self.remaining, self.path = plane, BUDGETS[-1] - cost, list[tuple[float, float]]()

    def train(self, points: Sequence[Point], share: int) -> np.ndarray:
        """Return losses of runs, (points, 2), at the end and after 1/SHORT of the steps, and count them."""
        found = [self.plane.read(*p, share) for p in points]
        for loss in found:
            self.remaining -= (T // share) / T
            if share == 1:
                self.path.append((BUDGETS[-1] - self.remaining, loss))
        return np.array([(loss, self.plane.read(*p, SHORT)) for loss, p in zip(found, points, strict=True)])

    def loss(self, budget: float) -> float:
        """Return the best loss of full runs that were finished within a budget; before the first, that of the zero output."""
        return min((loss for spent, loss in self.path if spent <= budget + 1e-6), default=self.plane.zero)


def search_by_tune(plane: Plane, repetition: int) -> Search:
    """`deepnets.tune`'s search, from a measured start."""
    start = plane.start(repetition)
    found = Search(plane, start.cost)
    search(start, found)
    return found


def search_at_random(plane: Plane, repetition: int) -> Search:
    """Points drawn evenly, in logarithms, over the plane."""
    search, source = Search(plane), np.random.default_rng(repetition)
    while search.remaining >= 1:
        search.train([(10 ** source.uniform(*plane.gamma[[0, -1]]), 10 ** source.uniform(*plane.eta[[0, -1]]))], 1)
    return search


def search_by_tpe(plane: Plane, repetition: int) -> Search:
    """Optuna's tree-structured Parzen estimator over the plane, with its default settings."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = Search(plane)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=repetition))

    def train(trial: optuna.Trial) -> float:
        gamma, eta = (trial.suggest_float(n, *map(float, 10 ** axis[[0, -1]]), log=True) for n, axis in
                      (("gamma", plane.gamma), ("eta", plane.eta)))
        return float(np.log10(search.train([(gamma, eta)], 1)[0, 0]))

    study.optimize(train, n_trials=BUDGETS[-1])
    return search


def search_by_gp(plane: Plane, repetition: int) -> Search:
    """Expected improvement of a Gaussian process over the plane whose lengths are fitted, after five points at random: no theory."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern, WhiteKernel

    search, source = Search(plane), np.random.default_rng(repetition)
    low, high = np.array([plane.gamma[[0, -1]], plane.eta[[0, -1]]]).T
    points, values = np.empty((0, 2)), np.empty(0)
    process = GaussianProcessRegressor(Matern((1.0, 1.0), (0.1, 10), nu=2.5) + WhiteKernel(0.01, (1e-4, 1)), normalize_y=True)
    while search.remaining >= 1:
        candidates = source.uniform(low, high, (1000, 2))
        chosen = 0
        if len(values) >= FIRST_AT_RANDOM:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                mean, deviation = process.fit(points, values).predict(candidates, return_std=True)
            z = (values.min() - mean) / deviation
            chosen = int(np.argmax(deviation * (z * norm.cdf(z) + norm.pdf(z))))
        at = candidates[chosen]
        points, values = np.vstack([points, at]), np.append(values, np.log10(search.train([tuple(10**at)], 1)[0, 0]))
    return search


def search_by_oracle(plane: Plane, repetition: int) -> Search:
    """The points of the plane, in the order of what all its other points predict there: all that can be known, but the noise of a run."""
    gamma, eta = np.meshgrid(plane.gamma, plane.eta, indexing="ij")
    excess = saturate(plane.final)
    near = excess < NEAR_BEST
    points = np.stack([gamma[near], eta[near] - plane.rich * gamma[near]], 1)
    inverse = np.linalg.inv(matern(points, points, *ORACLE) + ORACLE_NOISE**2 * np.eye(len(points)))
    left_out = excess[near] - inverse @ (excess[near] - ORACLE_FAR) / np.diag(inverse)      # the prediction without the point itself
    search = Search(plane)
    for i in np.argsort(left_out)[:BUDGETS[-1]]:
        search.train([(10 ** gamma[near][i], 10 ** eta[near][i])], 1)
    return search


def search_by_short_runs(plane: Plane, repetition: int) -> Search:
    """The points of the plane in the order of all its short runs, which are not counted: what short runs say without a model."""
    search = Search(plane)
    for i in np.argsort(plane.read_all(SHORT), axis=None)[:BUDGETS[-1]]:
        j, k = np.unravel_index(i, plane.final.shape)
        search.train([(10 ** plane.gamma[j], 10 ** plane.eta[k])], 1)
    return search


def sweep_rate(plane: Plane, repetition: int) -> Search:
    """Usual practice: gamma = 1, one rate a decade in random order, then thirds, sixths and twelfths of a decade around the best."""
    search, source = Search(plane), np.random.default_rng(repetition)
    rates = np.arange(plane.eta[0] + source.uniform(0, 1), plane.eta[-1], 1.0)
    source.shuffle(rates)
    _refine(search, rates, (1 / 3, 1 / 6, 1 / 12))
    return search


def sweep_about_range_test(plane: Plane, repetition: int) -> Search:
    """The rate range test at gamma = 1, rates a decade and half a decade about it, then thirds, sixths and twelfths around the best."""
    search = Search(plane, RANGE_STEPS / T)
    middle = float(np.log10(plane.data["range_eta"][repetition]))
    _refine(search, middle + np.array([0, -0.5, 0.5, -1, 1]), (1 / 3, 1 / 6, 1 / 12))
    return search


def _refine(search: Search, rates: np.ndarray, steps: Sequence[float]) -> None:
    """Train at gamma = 1 at rates, then beside the best, at smaller and smaller distances."""
    best = (np.inf, 0.0)

    def run(rate: float) -> None:
        nonlocal best
        if search.remaining >= 1:
            best = min(best, (float(search.train([(1.0, 10**rate)], 1)[0, 0]), rate))

    for rate in rates:
        run(float(rate))
    for step in steps:
        middle = best[1]
        for rate in (middle + step, middle - step):
            run(rate)


METHODS = {"random": search_at_random, "TPE": search_by_tpe, "expected improvement of a Gaussian process": search_by_gp,
           "usual practice: gamma = 1, eta swept": sweep_rate,
           "rate range test, then eta swept": sweep_about_range_test, "`deepnets.tune`": search_by_tune,
           "all short runs, not counted": search_by_short_runs, "an oracle": search_by_oracle}


def read_planes(cases: Iterable[str] = CASES) -> dict[str, Plane]:
    """Return the measured planes, those that there are."""
    stored = {name: KEPT / f"tuning-{name}.nc" for name in cases}
    return {name: Plane(read_netcdf(path), CASES[name].network.depth) for name, path in stored.items() if path.exists()}


def compute_losses(plane: Plane, method: str) -> np.ndarray:
    """Return the median over repetitions of a method's best loss at each budget."""
    searches = [METHODS[method](plane, r) for r in range(REPETITIONS)]
    return np.median([[s.loss(b) for b in BUDGETS] for s in searches], axis=0)


def tabulate_regrets(losses: dict[str, dict[str, np.ndarray]], planes: dict[str, Plane]) -> list[str]:
    """Return the table of regrets in per cent: mean, median and largest over the cases of the median over repetitions."""
    lines = ["| runs | " + " | ".join(map(str, BUDGETS)) + " |", "|---" * (len(BUDGETS) + 1) + "|"]
    for method, of_cases in losses.items():
        regrets = 100 * np.array([of_cases[name] / planes[name].best - 1 for name in planes])
        cells = [f"{mean:.0f} / {middle:.0f} / {worst:.0f}" for mean, middle, worst in
                 zip(regrets.mean(0), np.median(regrets, axis=0), regrets.max(0), strict=True)]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def tabulate_learned(losses: dict[str, dict[str, np.ndarray]], planes: dict[str, Plane]) -> list[str]:
    """Return the table of regrets over the cases that are learned: the least loss is below half the zero output's."""
    return tabulate_regrets(losses, {name: plane for name, plane in planes.items() if plane.best < LEARNED * plane.zero})


def tabulate_shares(losses: dict[str, dict[str, np.ndarray]], planes: dict[str, Plane]) -> list[str]:
    """Return the table of shares, in per cent: of the cases whose median regret is within 5% and within 20%."""
    lines = ["| runs | " + " | ".join(map(str, BUDGETS)) + " |", "|---" * (len(BUDGETS) + 1) + "|"]
    for method, of_cases in losses.items():
        regrets = 100 * np.array([of_cases[name] / planes[name].best - 1 for name in planes])
        shares = zip(*(100 * (regrets <= s).mean(0) for s in SHARES), strict=True)
        cells = [" / ".join(f"{share:.0f}" for share in at) for at in shares]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def tabulate_losses(losses: dict[str, dict[str, np.ndarray]], planes: dict[str, Plane]) -> list[str]:
    """Return the table of losses after 12 runs, case by case, with the best of the plane, how rare it is, and the cost of the start."""
    methods = list(losses)
    head = ["case", "zero output", "best of the plane", f"points within {SHARES[1]}%", *methods, "cost of the start, runs"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    at = BUDGETS.index(12)
    for name, plane in planes.items():
        cost = float(np.median(plane.data["start_cost"]))
        near = np.sum(plane.final <= (1 + SHARES[1] / 100) * plane.best)
        cells = [f"{plane.zero:.3g}", f"{plane.best:.3g}", f"{near} of {plane.final.size}"]
        cells += [f"{losses[m][name][at]:.3g}" for m in methods]
        lines.append(f"| {plane.data.attrs['what']} | {' | '.join(cells)} | {cost:.2f} |")
    return lines


PAGES = {"tuning_regret_newest.md": (tabulate_regrets, NEWEST_CASES), "tuning_regret_learned.md": (tabulate_learned, NEWEST_CASES),
         "tuning_regret.md": (tabulate_regrets, KNOWN_CASES), "tuning_shares.md": (tabulate_shares, NEWEST_CASES),
         "tuning_losses.md": (tabulate_losses, CASES)}


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:1] == ["measure"]:
        for name in words[1:] or CASES:
            data = measure(name)
            write_netcdf(data, KEPT / f"tuning-{name}.nc")
            print(f"{name}: {data.attrs['seconds']} s", flush=True)
    else:
        planes = read_planes()
        losses = {m: {name: compute_losses(plane, m) for name, plane in planes.items()} for m in METHODS}
        for file, (tabulate, cases) in PAGES.items():
            lines = tabulate(losses, {name: planes[name] for name in cases if name in planes})
            print(file, *lines, sep="\n", end="\n\n")
            (TABLES / file).write_text("\n".join(lines) + "\n")
