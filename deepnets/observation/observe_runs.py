"""Observables of runs along a line of rates, one run a gamma: trained and looked at; knows no portrait, no file and no figure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from deepnets.batched.state import zero_differences
from deepnets.curvature.hessian import Curvature
from deepnets.curvature.lanczos import basis_size
from deepnets.curvature.points import of_stack
from deepnets.experiment import ON_A_CORE, DeepExperiment
from deepnets.kernels.similarity import agreement
from deepnets.memory import at_once, estimate
from deepnets.observation.detection import detected
from deepnets.observation.observables import PARTS, Measuring
from deepnets.observation.selection import USUAL, named, usual_steps
from deepnets.phenomena.recorder import steps_of, watch
from deepnets.preflight import check_samples
from deepnets.tasks.task import check_batch
from validation.arguments import Misuse, axis, positive, whole
from validation.experiment import digest
from validation.progress import Progress, bar
from validation.provenance import collect_provenance

SAMPLES = 128
LARGEST = 12      # eigenvalues: ten classes' outliers, and what comes after them
PROBE = 0         # the seed with which the batch to look at is drawn from the task's stream, whatever the seed of a run


def observe(experiment: DeepExperiment, gamma: Any, eta: Any, at: Sequence[int] | None = None,
            names: Sequence[str] | str | None = None, samples: Any = None, k: int = LARGEST,
            progress: bool | Callable[[Progress], None] = False) -> xr.Dataset:
    """Train a run at each gamma, with each of the experiment's seeds, and measure observables after chosen numbers of steps.

    Parameters
    ----------
    experiment : how they are trained, as its portraits are.
    gamma, eta : (P,), gamma increasing; a number of eta serves all. `best_rates.best` gives those of a portrait.
    at : increasing numbers of steps from 0 to T; None: 0 and two a decade up to T.
    names : which of `deepnets.observation.selection.NAMES`, measured in float64; "all", or None for the usual ones, hessian, sharpness,
        alignment and weights: those of them that the experiment has.
    samples : the batch that all looks share, (x, y), or how many samples of the task's stream; None: 128 (the batch size, if that is
        larger), and the training's own batch if it is the same at every step.
    k : how many eigenvalues.
    progress : as of `validation.sweep`.

    Returns
    -------
    Dataset
        The observables over (seed, step, run, ...), each with long_name and units, NaN where a run had diverged; `loss` (seed, time, run),
        before every step and after the last, and `at_rest` (seed, time), the loss of the zero output on the same batches; what the
        detectors of `deepnets.phenomena` find, over (seed, run). Coordinates gamma and eta (run,).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; before training: too little memory.
    Unsupported : the network's operation that differences cannot be propagated through.

    Examples
    --------
    >>> import deepnets
    >>> e = deepnets.DeepExperiment(deepnets.MLP(64, 8, 3, 10), deepnets.tasks.digits(), steps=2, batch_size=16, device="cpu")
    >>> told = deepnets.observe(e, [0.1, 10.0], 0.01, at=(0, 2), names=("alignment", "weights"))
    >>> dict(told.alignment.sizes), told.weights.attrs["units"]
    ({'seed': 1, 'step': 2, 'run': 2, 'norm': 3}, 'theta')
    """
    if not isinstance(experiment, DeepExperiment):
        raise Misuse(f"experiment must be a deepnets.DeepExperiment, not {type(experiment).__name__}")
    whole("k", k)
    gammas = axis("gamma", gamma)
    etas = np.atleast_1d(positive("eta", eta))
    if etas.shape not in (gammas.shape, (1,)):
        raise Misuse(f"eta must be one number, or one for each of the {len(gammas)} gammas, not of shape {etas.shape}")
    etas = np.broadcast_to(etas, gammas.shape)
    T = experiment.horizons[-1]
    steps = usual_steps(T) if at is None else steps_of(at, T)
    batch, same = probe(experiment, samples)
    wanted = offered(experiment, names, batch)
    together = fitting(experiment, wanted, len(gammas), batch, k)
    pieces = np.array_split(np.arange(len(gammas)), -(-len(gammas) // together))
    made = []
    with bar(len(steps) * len(pieces) * len(experiment.seeds), "observing", "looks", progress) as advance:
        for seed in experiment.seeds:
            parts = [_piece(experiment, wanted, k, gammas[which], etas[which], steps, seed, batch, advance) for which in pieces]
            made.append(_agreeing(xr.concat(parts, "run", data_vars="minimal", coords="minimal", combine_attrs="override"), batch[1],
                                  experiment.task.classes))
    told = xr.concat(made, "seed", data_vars="all", coords="minimal", combine_attrs="override").assign_coords(seed=list(experiment.seeds))
    told["loss"].attrs = {"long_name": "loss on the batch of each step", "units": "1"}
    told["at_rest"].attrs = {"long_name": "loss of the zero output on the same batch", "units": "1"}
    description = describe(experiment, gammas, etas, steps, samples, k)
    told.attrs = collect_provenance() | experiment.rules() | {
        "description": json.dumps(description, sort_keys=True), "digest": digest(description), "names": ",".join(wanted),
        "samples": len(batch[0]), "steps": T, "same_batch": int(same), "measured_in": "float64"}
    return detected(told)


def describe(experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: Sequence[int], samples: Any, k: int) -> dict[str, Any]:
    """Return what determines the numbers, as JSON; which observables there are is not part of it, as more may be added."""
    if isinstance(samples, tuple | list):
        marks = [hashlib.sha256(np.ascontiguousarray(t.detach().cpu().numpy()).tobytes()).hexdigest()[:16] for t in samples]
        samples = {"given": marks}
    elif samples is not None:
        samples = int(samples)
    return experiment.describe() | {"observed": {"gamma": gamma.tolist(), "eta": eta.tolist(), "at": list(at), "samples": samples, "k": k,
                                                 "of_seeds": list(experiment.seeds)}}


def probe(experiment: DeepExperiment, samples: Any) -> tuple[tuple[torch.Tensor, torch.Tensor], bool]:
    """Return the batch to look with, as `observe` says, and whether training sees the same batch at every step."""
    task, size = experiment.task, experiment.batch_size
    first, second = (task.batch(PROBE, step, size)[0] for step in (0, 1))
    same = first.shape == second.shape and torch.equal(first, second)
    if samples is not None and not isinstance(samples, int | np.integer):
        return check_batch(task, samples, "samples"), same
    if samples is None:
        samples = size if same else max(SAMPLES, size)
    check_samples("samples", whole("samples", samples, 2), task)
    return check_batch(task, task.batch(PROBE, 0, samples), "batch()"), same


def offered(experiment: DeepExperiment, names: Sequence[str] | str | None, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[str, ...]:
    """Return the observables of these names; of "all", and of the usual ones (None), those that this experiment has.

    Raises
    ------
    Misuse : an unknown name; one that this experiment does not have.
    """
    told = [names] if isinstance(names, str) else list(USUAL if names is None else names)
    wanted, without = named(told), {}
    if experiment.optimizer.power != 2:
        without["sharpness"] = f"in units of 2/eta it is SGD's and momentum's, not {experiment.optimizer.name}'s"
    if batch[1].ndim > 1 + batch[1].is_floating_point():
        without |= dict.fromkeys(("alignment", "agreement"), "it wants one target for each sample, and this task tells each place")
    for name in without if "all" not in told and names is not None else ():
        if name in wanted:
            raise Misuse(f"observe must leave {name} out: {without[name]}")
    return tuple(n for n in wanted if n not in without)


def fitting(experiment: DeepExperiment, names: Sequence[str], runs: int, batch: tuple[torch.Tensor, torch.Tensor], k: int = LARGEST) -> int:
    """Return how many runs are trained and looked at together, at least one.

    Raises
    ------
    Misuse : one run by itself needs more memory than is free.
    """
    module = experiment.theta_0(experiment.seeds[0])
    recipe = experiment.recipe(module)
    together = min(runs, at_once(module, recipe, experiment.device, estimate(module, recipe)))
    if experiment.device == "cpu":
        together = min(together, ON_A_CORE)
    x, y = batch
    for part in {PARTS[name] for name in names if name in PARTS}:
        while True:
            u = zero_differences(module, together)
            points = of_stack(module, u, np.ones(together), (x, y), experiment.loss, "float64")
            parameters = sum(d[0].numel() for d in u.values())
            try:
                Curvature(points, part, columns=basis_size(parameters, k, "both"))
                break
            except Misuse:
                if together == 1:
                    raise
                together //= 2
    return together


def _piece(experiment: DeepExperiment, names: tuple[str, ...], k: int, gamma: np.ndarray, eta: np.ndarray, at: tuple[int, ...], seed: int,
           batch: tuple[torch.Tensor, torch.Tensor], advance: Callable[[], Any]) -> xr.Dataset:
    """Return what is seen of runs that are trained together, over (step, run, ...)."""
    measuring = Measuring(names, experiment, k, advance)
    watched = watch(experiment, gamma, eta, at, measuring.observe, seed, batch).drop_vars("seen")
    return watched.assign(measuring.told(tuple(at), len(gamma)))


def _agreeing(told: xr.Dataset, y: torch.Tensor, classes: int | None) -> xr.Dataset:
    """Return the same with the runs' outputs replaced by their correlations."""
    if "outputs" not in told:
        return told
    outputs = told["outputs"].transpose("step", "run", "sample", "output").values
    labels = None if classes is None else (y.argmax(-1) if y.is_floating_point() else y)
    made = np.full((*outputs.shape[:2], outputs.shape[1]), np.nan)
    for made_at, f in zip(made, outputs, strict=True):
        alive = np.flatnonzero(np.isfinite(f).all((1, 2)))
        if len(alive) > 1:
            made_at[np.ix_(alive, alive)] = agreement(f[alive], labels)["all" if labels is None else "correct"]
    of = "outputs" if labels is None else "outputs on each sample's own class"
    return told.drop_vars("outputs").assign(agreement=(("step", "run", "other"), made, {
        "long_name": f"correlation over the samples of two runs' {of}", "units": "1"}))
