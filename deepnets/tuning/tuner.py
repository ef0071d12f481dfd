"""`tune`: the richness and the rate at which a network trains best, in a given number of runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from deepnets.experiment import DeepExperiment
from deepnets.losses import Loss
from deepnets.network_factory import as_network
from deepnets.optimizers import Optimizer
from deepnets.tasks import Task
from deepnets.tuning.ridge import Start, measure_start
from deepnets.tuning.search import SHORT, Point, search
from deepnets.tuning.trial_store import Trial, TrialStore
from validation.arguments import between, whole
from validation.progress import Progress, bar

NEAR = 0.05             # of the best loss: what else is that good is listed
WORSE = 1.5             # times the best loss: from there on a rate is outside of the margin
ALIKE = 0.1             # decades of gamma within which rates are compared with the best
SHARE_OF_START = 0.25   # of the runs, that the search for the crossing may take
CURVE = 8               # points of the held-out loss over the steps, between which its value at those of a short run is interpolated
LEAST_RUNS, LEAST_STEPS = 4, 50


@dataclass(frozen=True)
class Tuned:
    """The best richness and rate that a search has found.

    Attributes
    ----------
    gamma, eta : the best point, in units of `DeepExperiment`; None: no full run was finite.
    loss : held out, there, the mean over the seeds.
    near : (gamma, eta, loss) of all full runs within 5% of that loss, the best first.
    margin : the factor over eta of the lowest higher rate, along the ridge at about the same gamma, whose loss was 1.5 times as large or
        infinite; None: none was tried.
    path : (spent, best loss so far), after each full run.
    spent : full-run equivalents, the measurements of the start included: T steps at one point, with every seed.
    runs : the full-run equivalents that were allowed.
    start : what was measured first.
    trials : all runs, short ones among them.
    setting : optimizer, steps, batch size, seeds, for the sentences.
    """

    gamma: float | None
    eta: float | None
    loss: float
    near: tuple[tuple[float, float, float], ...]
    margin: float | None
    path: tuple[tuple[float, float], ...]
    spent: float
    runs: float
    start: Start = field(repr=False)
    trials: tuple[Trial, ...] = field(repr=False)
    setting: dict[str, Any] = field(repr=False)

    @property
    def sentence(self) -> str:
        """The answer in a sentence."""
        s = self.setting
        if self.gamma is None or self.eta is None:
            return f"No run of {s['steps']} steps had a finite loss, of {len(self.path)} that were tried."
        return (f"The best of {len(self.path)} full runs is gamma = {self.gamma:.3g}, eta = {self.eta:.3g} ({s['optimizer']}, "
                f"{s['steps']} steps of {s['batch_size']}): held-out loss {self.loss:.4g}.")

    def report(self) -> str:
        """Return the answer, what else is near, the margin, the cost and the path, a line each."""
        lines = [self.sentence]
        if self.near:
            others = "; ".join(f"gamma = {g:.3g}, eta = {e:.3g}: {loss / self.loss - 1:+.1%}" for g, e, loss in self.near[1:6])
            lines.append(f"Within {NEAR:.0%} of it: {others or 'no other run'}.")
            lines.append(f"Margin: a rate {self.margin:.2g} times as high had a loss at least {WORSE:g} times as large."
                         if self.margin is not None else "Margin: no higher rate at about this gamma failed.")
        lines.append(f"Start: gamma = {self.start.gamma:.3g}, where the network crosses from lazy to rich." if self.start.crossed
                     else "Start: gamma = 1, since the crossing between lazy and rich was not found.")
        lines += [f"Not determined: {note}." for note in self.start.notes]
        lines.append(f"Cost: {self.spent:.2f} of {self.runs:g} full-run equivalents, of which {self.setting['start_cost']:.2f} to find the "
                     f"start and {sum(t.steps < self.setting['steps'] for t in self.trials)} short runs.")
        lines.append("Path: " + ", ".join(f"{loss:.4g} after {spent:.1f}" for spent, loss in _steps_of(self.path)) + ".")
        lines.append("The loss is that of one set of held-out samples, which the search has seen; noise between seeds is not in it. The "
                     "network is centred: deepnets.Centered(module, gamma).export() trains outside at this point.")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """Return the answer as JSON; infinite losses are None."""
        def finite(x: float | None) -> float | None:
            return x if x is not None and np.isfinite(x) else None

        return {"gamma": self.gamma, "eta": self.eta, "loss": finite(self.loss), "near": [list(n) for n in self.near],
                "margin": self.margin, "path": [[s, finite(loss)] for s, loss in self.path], "spent": self.spent, "runs": self.runs,
                "sentence": self.sentence, "setting": self.setting,
                "trials": [[t.gamma, t.eta, t.steps, finite(t.loss)] for t in self.trials]}


def tune(network: Any, task: Task, loss: str | Loss | Callable[..., Any] = "mse", optimizer: str | Optimizer = "sgd", runs: float = 24,
         batch_size: int = 32, steps: int = 1000, seeds: Sequence[int] = (0,), store: str | os.PathLike[str] | None = None,
         progress: bool | Callable[[Progress], None] = False, device: str = "auto") -> Tuned:
    """Search for the richness gamma and the rate eta of the least held-out loss, with a given number of runs.

    The search starts where the network crosses from lazy to rich, at the rate at which the loss rises during a ramp. Eight short runs
    of a sixth of the steps, trained together, are spread over four decades of gamma. Then a Gaussian process of all losses, those that
    full runs had after a sixth of their steps among them, proposes each run. Its own measurements are counted.

    Parameters
    ----------
    network : a specification such as `deepnets.MLP`, a callable seed -> torch.nn.Module, or a module, which is copied.
    task, loss, optimizer, batch_size, device : as of `DeepExperiment`.
    runs : full-run equivalents that may be spent, at least 4: T steps at one point, with every seed.
    steps : T, at least 50.
    seeds : of networks and batches; losses are means over them, and the start is measured with the first.
    store : a file, which is written after each batch of runs; the same search goes on from it, also with more runs. None: none.
    progress : True: a progress bar on standard error, in steps of training; a function is called with the `Progress` each time.

    Returns
    -------
    Tuned : with `sentence` and `report()`.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; what `DeepExperiment` refuses; the store of another experiment.

    Examples
    --------
    >>> import deepnets
    >>> found = deepnets.tune(deepnets.MLP(8, 8, 2, 1), deepnets.tasks.teacher(8), runs=6, steps=60)
    >>> found.spent <= 6
    True
    """
    between("runs", runs, LEAST_RUNS - 1e-9, np.inf)
    whole("steps", steps, LEAST_STEPS)
    experiment = DeepExperiment(as_network(network), task, loss=loss, optimizer=optimizer, steps=steps, batch_size=batch_size, seeds=seeds,
                                device=device, curves=CURVE)
    experiment.check()
    record = TrialStore(store, experiment.describe())
    with bar(round(runs * steps), "tuning", "steps", progress) as advance:
        unit = steps * experiment.batch_size * len(experiment.seeds)      # gradients of single samples in a full run
        if record.start is None:
            record.start = measure_start(experiment, SHARE_OF_START * runs * unit).describe()
            record.write()
        start = Start.read(record.start)
        advance(round(start.cost / unit * steps))
        if not start.edges:
            return _summarize(experiment, start, [], start.cost / unit, runs)
        trials = _Training(experiment, record, runs - start.cost / unit, advance)
        search(start, trials)
    return _summarize(experiment, start, trials.made, start.cost / unit, runs)


class _Training:
    """The runs of the search, trained or read from the store, and what remains to be spent."""

    def __init__(self, experiment: DeepExperiment, record: TrialStore, remaining: float, advance: Callable[[int], None]) -> None:
        self.experiment, self.record, self.remaining, self.advance = experiment, record, remaining, advance
        self.made: list[Trial] = []

    def train(self, points: Sequence[Point], share: int) -> np.ndarray:
        """Train runs of 1/share of the steps together, and return their losses, (points, 2), at the end and after those of a short run."""
        full = self.experiment.horizons[-1]
        steps = max(1, full // share)
        missing = [p for p in points if self.record.find(*p, steps) is None]
        if missing:
            self.record.add(_train_points(replace(self.experiment, steps=steps), missing, max(1, full // SHORT)))
        found = [trial for p in points if (trial := self.record.find(*p, steps)) is not None]
        self.made += found
        self.remaining -= len(points) * steps / full
        self.advance(len(points) * steps)
        return np.array([(t.loss, t.early) for t in found])


def _train_points(experiment: DeepExperiment, points: Sequence[Point], short: int) -> list[Trial]:
    """Train runs at points together, those of one gamma, and those of distinct gammas, as one stack; `short`: the steps of a short run."""
    gammas = sorted({g for g, _ in points})
    rates = {g: sorted({e for h, e in points if h == g}) for g in gammas}
    groups = [gammas] if len({len(r) for r in rates.values()}) == 1 else [[g] for g in gammas]
    found: dict[Point, tuple[np.ndarray, float]] = {}
    for group in groups:
        portrait = experiment.measure(np.array(group), np.array([rates[g] for g in group]))
        losses = portrait["held_out_loss"].transpose("gamma", "eta", "seed", "step").values.astype(float)
        losses = np.where(np.isfinite(losses), losses, np.inf)
        for i, g in enumerate(group):
            for j, e in enumerate(rates[g]):
                found[g, e] = losses[i, j, :, -1], interpolate_curve(portrait["step"].values, losses[i, j].mean(0), short)
    return [Trial(g, e, experiment.horizons[-1], tuple(found[g, e][0].tolist()), found[g, e][1]) for g, e in points]


def interpolate_curve(steps: np.ndarray, losses: np.ndarray, step: int) -> float:
    """Return the loss at a step, interpolated in logarithms between those beside it; infinite if one of these is."""
    after = min(int(np.searchsorted(steps, step)), len(steps) - 1)
    before = after if steps[after] <= step else max(after - 1, 0)
    if before == after or not np.isfinite(losses[[before, after]]).all() or losses[[before, after]].min() <= 0:
        return float(losses[after])
    return float(np.exp(np.interp(np.log(step), np.log(steps[[before, after]]), np.log(losses[[before, after]]))))


def _summarize(experiment: DeepExperiment, start: Start, trials: Sequence[Trial], start_cost: float, runs: float) -> Tuned:
    """Return the result of a search."""
    steps = experiment.horizons[-1]
    spent, best, path = start_cost, np.inf, []
    for t in trials:
        spent += t.steps / steps
        if t.steps == steps:
            best = min(best, t.loss)
            path.append((spent, best))
    setting = {"optimizer": experiment.optimizer.name, "steps": steps, "batch_size": experiment.batch_size,
               "seeds": list(experiment.seeds), "start_cost": start_cost}
    full = sorted((t for t in trials if t.steps == steps and np.isfinite(t.loss)), key=lambda t: t.loss)
    if not full:
        return Tuned(None, None, np.inf, (), None, tuple(path), spent, runs, start, tuple(trials), setting)
    first = full[0]
    near = tuple((t.gamma, t.eta, t.loss) for t in full if t.loss <= (1 + NEAR) * first.loss)
    return Tuned(first.gamma, first.eta, first.loss, near, _find_margin(start, full[0], trials), tuple(path), spent, runs, start,
                 tuple(trials), setting)


def _find_margin(start: Start, best: Trial, trials: Sequence[Trial]) -> float | None:
    """Return the factor over the best rate of the lowest higher one, along the ridge, that failed at about the same gamma."""
    height = best.eta / start.edge(best.gamma)
    factors = [t.eta / start.edge(t.gamma) / height for t in trials
               if t.steps == best.steps and abs(np.log10(t.gamma / best.gamma)) <= ALIKE and t.loss > WORSE * best.loss]
    higher = [f for f in factors if f > 1]
    return min(higher) if higher else None


def _steps_of(path: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points of a path at which the best loss fell, and the last."""
    fell = [p for i, p in enumerate(path) if i == 0 or p[1] < path[i - 1][1]]
    return fell if not path or fell[-1] == path[-1] else [*fell, path[-1]]
