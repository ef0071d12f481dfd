"""A stack of runs trained while it is looked at: losses of every step, observables at chosen ones; knows no phenomenon."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from deepnets.batched.stack import choose_stack
from deepnets.batched.state import Parameters, RunningStatistics
from deepnets.device import threads_for
from deepnets.experiment import DeepExperiment
from deepnets.kernels.layer_grams import layer_kernels
from deepnets.kernels.moved_networks import Runs
from deepnets.precision import arithmetic
from deepnets.tasks.task import check_batch, place_like
from deepnets.training import batch, diverged, train
from validation.arguments import Misuse, numbers, positive, whole


@dataclass(frozen=True, eq=False)
class Look:
    """Runs of one network as they are after so many steps, none of them diverged.

    Attributes
    ----------
    experiment : how they are trained.
    step : steps taken.
    which : (P,), which of the runs they are.
    module : holds theta_0.
    u : by parameter name, (P, *shape), in the precision of the training.
    gamma, eta : (P,), float64.
    running : the running statistics.
    x, y : the batch that all looks share; y as the loss takes it.
    """

    experiment: DeepExperiment
    step: int
    which: np.ndarray
    module: nn.Module
    u: Parameters
    gamma: np.ndarray
    eta: np.ndarray
    running: RunningStatistics
    x: torch.Tensor
    y: torch.Tensor

    @cached_property
    def runs(self) -> Runs:
        """The runs as kernels and movement take them, in float64."""
        return Runs(self.module, self.u, torch.from_numpy(self.gamma), self.running)

    @cached_property
    def readout_kernel(self) -> np.ndarray:
        """The kernel of what the readout sees, (P, n, n), as of `layer_kernels`."""
        return np.asarray(layer_kernels(self.runs, self.x).kernel.isel(layer=-1).values)


Observable = Callable[[Look], Any]


def watch(experiment: DeepExperiment, gamma: Any, eta: Any, at: Sequence[int], observe: Mapping[str, Observable], seed: int = 0,
          samples: tuple[torch.Tensor, torch.Tensor] | None = None) -> xr.Dataset:
    """Train P runs of an experiment, as its portraits do, and look at them after chosen numbers of steps.

    Parameters
    ----------
    experiment : network, task and training; of its steps the last number. Its seeds, rho and curves make no difference.
    gamma, eta : (P,), > 0, of the runs, which are trained as one stack; a number serves all.
    at : increasing numbers of steps from 0 to T, after which to look.
    observe : by name, a function from a `Look` to numbers (P, ...), such as those of `measures`.
    seed : of weights and stream.
    samples : (x, y) of the task to look with; None: the batch of the first step.

    Returns
    -------
    Dataset
        `loss` (time, run), before every step and after the last, not finite from where a run diverged, and `at_rest` (time), the loss of
        the zero output on the same batches; each observable (step, run, ...), NaN where a run had diverged. Coordinates gamma, eta (run).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import deepnets
    >>> from deepnets.phenomena import measures, watch
    >>> e = deepnets.DeepExperiment(deepnets.MLP(64, 8, 3, 10), deepnets.tasks.digits(), steps=2, batch_size=16, device="cpu")
    >>> watched = watch(e, [0.1, 10.0], 0.01, at=(0, 2), observe={"alignment": measures.alignment()})
    >>> dict(watched.alignment.sizes), dict(watched.loss.sizes)
    ({'step': 2, 'run': 2}, {'time': 3, 'run': 2})
    """
    if not isinstance(experiment, DeepExperiment):
        raise Misuse(f"experiment must be a deepnets.DeepExperiment, not {type(experiment).__name__}")
    gammas, etas = _runs(gamma, eta)
    T = experiment.horizons[-1]
    steps = steps_of(at, T)
    if not isinstance(observe, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in observe.items()):
        raise Misuse(f"observe must be functions by name, not {observe!r}")
    if taken := {"loss", "at_rest", "gamma", "eta", "step", "time", "run"} & set(observe):
        raise Misuse(f"observe must have names of its own, not {', '.join(sorted(taken))}")
    module = experiment.theta_0(whole("seed", seed, 0))
    recipe, stack, like = experiment.recipe(module), choose_stack(module, experiment.compile), next(module.parameters())
    x, y = batch(recipe, seed, 0, like)
    if samples is not None:
        x, y = check_batch(recipe.task, samples, "samples")
        x, y = place_like(x, like), place_like(recipe.loss.target(y, recipe.task.out_features, like.dtype), like)
    seen: dict[str, np.ndarray] = {}

    def look(step: int, u: Parameters, g: torch.Tensor, running: RunningStatistics, alive: np.ndarray) -> None:
        if step not in steps:
            return
        fine = np.flatnonzero(~diverged(u, g, recipe.loss.value(stack.outputs(u, g, x, running), y)))
        if not len(fine):
            return
        kept, which = torch.from_numpy(fine).to(g.device), alive[fine]
        told = Look(experiment, step, which, module, {n: d[kept] for n, d in u.items()}, gammas[which], etas[which],
                    running.select_runs(kept), x, y)
        for name, observable in observe.items():
            values = np.asarray(observable(told), dtype=np.float64)
            if values.shape[:1] != which.shape:
                raise Misuse(f"observe[{name!r}] must give numbers for each of the {len(which)} runs it sees, not of shape {values.shape}")
            held = seen.setdefault(name, np.full((len(steps), len(gammas), *values.shape[1:]), np.nan))
            held[steps.index(step), which] = values

    with (torch.random.fork_rng(devices=[like.device] if like.is_cuda else []), arithmetic(experiment.precision, experiment.device),
          threads_for(sum(p.numel() for p in module.parameters()), experiment.batch_size, experiment.device)):
        trained = train(module, stack, recipe, gammas, etas, seed, look)
    made: dict[str, Any] = {"loss": (("time", "run"), trained.losses), "at_rest": ("time", trained.at_rest)}
    for name in observe:
        values = seen.get(name, np.full((len(steps), len(gammas)), np.nan))
        made[name] = (("step", "run", *(f"{name}_{i}" for i in range(values.ndim - 2))), values)
    return xr.Dataset(made, {"step": list(steps), "gamma": ("run", gammas), "eta": ("run", etas)},
                      {"seed": seed, "loss": experiment.loss.name,
                       "optimizer": experiment.optimizer.name, "schedule": experiment.schedule.name})


def _runs(gamma: Any, eta: Any) -> tuple[np.ndarray, np.ndarray]:
    g, rate = np.atleast_1d(positive("gamma", gamma)), np.atleast_1d(positive("eta", eta))
    if g.ndim > 1 or rate.ndim > 1 or (len(g) != len(rate) and 1 not in (len(g), len(rate))):
        raise Misuse(f"gamma and eta must be of one length, one for each run, not of shapes {g.shape} and {rate.shape}")
    g, rate = np.broadcast_arrays(g, rate)
    return g.copy(), rate.copy()


def steps_of(at: Any, T: int) -> tuple[int, ...]:
    """Return the numbers of steps after which to look, or raise `Misuse`: increasing, whole, from 0 to T."""
    steps = numbers("at", at)
    if (steps.ndim != 1 or not len(steps) or (steps != np.round(steps)).any() or (np.diff(steps) <= 0).any()
            or not 0 <= steps[0] <= steps[-1] <= T):
        raise Misuse(f"at must be increasing whole numbers of steps from 0 to {T}, not {at!r}")
    return tuple(int(t) for t in steps)
