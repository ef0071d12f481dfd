"""Train a stack of runs and record it: the loss at every step, observables at chosen steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import nn

from deepnets.batched.state import Parameters, RunningStatistics, reference_tensor
from deepnets.centered import Unsupported
from deepnets.device import threads_for
from deepnets.experiment import DeepExperiment
from deepnets.kernels.layer_grams import layer_kernels
from deepnets.kernels.moved_networks import Runs
from deepnets.precision import arithmetic
from deepnets.tasks.task import check_batch, place_like
from deepnets.training import batch, find_divergence, train
from validation.arguments import Misuse, numbers, positive, whole


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The runs of one network that have not diverged, after a number of steps.

    Attributes
    ----------
    experiment : how they are trained.
    step : steps taken.
    which : (P,), their indices among all runs.
    module : holds theta_0.
    u : by parameter name, (P, *shape), in the precision of the training.
    gamma, eta : (P,), float64.
    running : the running statistics.
    x, y : the batch that all snapshots share; y as the loss takes it.
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
        """The runs as the functions of `deepnets.kernels` take them, in float64."""
        return Runs(self.module, self.u, torch.from_numpy(self.gamma), self.running)

    @cached_property
    def readout_kernel(self) -> np.ndarray:
        """The Gram matrix of what the readout reads, (P, n, n), as of `layer_kernels`."""
        return np.asarray(layer_kernels(self.runs, self.x).kernel.isel(layer=-1).values)


Variables = dict[str, xr.DataArray]      # by variable; the first dim is the run
Observable = Callable[[Snapshot], ArrayLike]


def watch(experiment: DeepExperiment, gamma: ArrayLike, eta: ArrayLike, at: Sequence[int], observe: Mapping[str, Observable],
          seed: int = 0, samples: tuple[torch.Tensor, torch.Tensor] | None = None) -> xr.Dataset:
    """Train P runs of an experiment, as its portraits do, and measure observables after chosen numbers of steps.

    Parameters
    ----------
    experiment : network, task and training; of its steps the last number. Its seeds, rho and curves make no difference.
    gamma, eta : (P,), > 0, of the runs, which are trained as one stack; a number serves all.
    at : increasing numbers of steps from 0 to T, after which a snapshot is taken.
    observe : by name, a function from a `Snapshot` to numbers (P, ...), such as those of `measures`.
    seed : of weights and stream.
    samples : (x, y), the batch of the task on which observables are measured; None: the batch of the first step.

    Returns
    -------
    Dataset
        `loss` (time, run), before every step and after the last, not finite from where a run diverged, and `zero_output_loss` (time), the
        loss of the zero output on the same batches; each observable (step, run, ...), NaN where a run had diverged. Coordinates gamma,
        eta (run).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.

    Examples
    --------
    >>> import deepnets
    >>> from deepnets.phenomena import measures, watch
    >>> e = deepnets.DeepExperiment(deepnets.MLP(64, 8, 3, 10), deepnets.tasks.digits(), steps=2, batch_size=16, device="cpu")
    >>> runs = watch(e, [0.1, 10.0], 0.01, at=(0, 2), observe={"alignment": measures.alignment()})
    >>> dict(runs.alignment.sizes), dict(runs.loss.sizes)
    ({'step': 2, 'run': 2}, {'time': 3, 'run': 2})
    """
    if not isinstance(experiment, DeepExperiment):
        raise Misuse(f"experiment must be a deepnets.DeepExperiment, not {type(experiment).__name__}")
    gammas, etas = _pair_up(gamma, eta)
    steps = snapshot_steps(at, experiment.horizons[-1])
    if not isinstance(observe, Mapping) or not all(isinstance(n, str) and callable(f) for n, f in observe.items()):
        raise Misuse(f"observe must be functions by name, not {observe!r}")
    if clash := {"loss", "zero_output_loss", "gamma", "eta", "step", "time", "run"} & set(observe):
        raise Misuse(f"observe must have names of its own, not {', '.join(sorted(clash))}")
    whole("seed", seed, 0)

    def measure(snapshot: Snapshot) -> Variables:
        found = {}
        for name, observable in observe.items():
            values = np.asarray(observable(snapshot), dtype=np.float64)
            if values.shape[:1] != snapshot.which.shape:
                raise Misuse(f"observe[{name!r}] must give numbers for each of the {len(snapshot.which)} runs of the snapshot, "
                             f"not of shape {values.shape}")
            found[name] = xr.DataArray(values, dims=("run", *(f"{name}_{i}" for i in range(values.ndim - 1))))
        return found

    recorded = record(experiment, gammas, etas, steps, measure, seed, samples)
    diverged_at_once = {name: (("step", "run"), np.full((len(steps), len(gammas)), np.nan)) for name in observe if name not in recorded}
    return recorded.assign(diverged_at_once)


def record(experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, steps: tuple[int, ...],
           measure: Callable[[Snapshot], Variables], seed: int, samples: tuple[torch.Tensor, torch.Tensor] | None) -> xr.Dataset:
    """Train runs as one stack; return their losses, and what `measure` finds in each snapshot.

    Parameters
    ----------
    experiment, seed, samples : as of `watch`.
    gamma, eta : (P,).
    steps : increasing, after which a snapshot is taken.
    measure : snapshot -> variables, each over (run, ...). It is not called where all runs have diverged.

    Returns
    -------
    Dataset, as of `watch`, with the dims, coordinates and attributes that `measure` gives its variables.
    """
    experiment.check()
    module = experiment.theta_0(seed)
    recipe = experiment.recipe(module)
    if recipe.method == "copies":
        raise Unsupported(f"observables are computed from differences, and {type(module).__name__} is trained as float64 copies: "
                          "method='pairs' names what keeps its differences from being propagated")
    if not recipe.centred:
        raise Misuse("centred must be True for observables, which are those of centred networks")
    stack, like = recipe.choose_stack(module, experiment.compile), reference_tensor(module)
    x, y = batch(recipe, seed, 0, like)
    if samples is not None:
        x, y = check_batch(recipe.task, samples, "samples", recipe.loss)
        x, y = place_like(x, like), place_like(recipe.loss.target(y, recipe.task.out_features, like.dtype), like)
    found: Variables = {}

    def take_snapshot(step: int, u: Parameters, g: torch.Tensor, running: RunningStatistics, alive: np.ndarray) -> None:
        if step not in steps:
            return
        finite = np.flatnonzero(~find_divergence(u, g, recipe.loss.value(stack.outputs(u, g, x, running), y)))
        if not len(finite):
            return
        rows, which = torch.from_numpy(finite).to(g.device), alive[finite]
        snapshot = Snapshot(experiment, step, which, module, {n: d[rows] for n, d in u.items()}, gamma[which], eta[which],
                            running.select_runs(rows), x, y)
        for name, values in measure(snapshot).items():
            if name not in found:
                empty = np.full((len(steps), len(gamma), *values.shape[1:]), np.nan)
                found[name] = xr.DataArray(empty, dims=("step", *values.dims), coords=values.coords, attrs=values.attrs)
            found[name].values[steps.index(step), which] = values.values

    with (torch.random.fork_rng(devices=[like.device] if like.is_cuda else []), arithmetic(experiment.precision, experiment.device),
          threads_for(sum(p.numel() for p in module.parameters()), experiment.batch_size, experiment.device)):
        trained = train(module, stack, recipe, gamma, eta, seed, take_snapshot, steps)
    losses = {"loss": (("time", "run"), trained.losses), "zero_output_loss": ("time", trained.zero_output_loss)}
    return xr.Dataset(losses, {"step": list(steps), "gamma": ("run", gamma), "eta": ("run", eta)},
                      {"seed": seed, "loss": experiment.loss.name, "optimizer": experiment.optimizer.name,
                       "schedule": experiment.schedule.name}).assign(found)


def _pair_up(gamma: ArrayLike, eta: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return gammas and etas of the runs, both (P,)."""
    g, rate = np.atleast_1d(positive("gamma", gamma)), np.atleast_1d(positive("eta", eta))
    if g.ndim > 1 or rate.ndim > 1 or (len(g) != len(rate) and 1 not in (len(g), len(rate))):
        raise Misuse(f"gamma and eta must be of one length, one for each run, not of shapes {g.shape} and {rate.shape}")
    g, rate = np.broadcast_arrays(g, rate)
    return g.copy(), rate.copy()


def snapshot_steps(at: ArrayLike, T: int) -> tuple[int, ...]:
    """Return the numbers of steps after which snapshots are taken, or raise `Misuse`: increasing, whole, from 0 to T."""
    steps = numbers("at", at)
    if (steps.ndim != 1 or not len(steps) or (steps != np.round(steps)).any() or (np.diff(steps) <= 0).any()
            or not 0 <= steps[0] <= steps[-1] <= T):
        raise Misuse(f"at must be increasing whole numbers of steps from 0 to {T}, not {at!r}")
    return tuple(int(t) for t in steps)
