"""Train a run at each gamma and measure observables after chosen steps: `deepnets.observe`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike

from deepnets.experiment import DeepExperiment
from deepnets.kernels.similarity import agreement
from deepnets.observation.detect import detect_phenomena
from deepnets.observation.observables import MEASURES
from deepnets.observation.request import LARGEST, Request
from deepnets.phenomena.recorder import Snapshot, Variables, record
from validation.experiment import digest
from validation.progress import Progress, bar
from validation.provenance import collect_provenance


def observe(experiment: DeepExperiment, gamma: ArrayLike, eta: ArrayLike, at: Sequence[int] | None = None,
            names: Sequence[str] | str | None = None, samples: int | tuple[torch.Tensor, torch.Tensor] | None = None, k: int = LARGEST,
            progress: bool | Callable[[Progress], None] = False) -> xr.Dataset:
    """Train a run at each gamma, with each of the experiment's seeds, and measure observables after chosen numbers of steps.

    Parameters
    ----------
    experiment : how they are trained, as its portraits are.
    gamma, eta : (P,), gamma increasing; a number of eta serves all. `best_rate_runs.find_best_rates` returns those of a portrait.
    at : increasing numbers of steps from 0 to T; None: 0 and two a decade up to T.
    names : which of `deepnets.observation.selection.NAMES`, measured in float64; "all", or None for the usual ones, hessian, sharpness,
        alignment and weights: those of them that the experiment has.
    samples : the batch (x, y) on which all snapshots are measured, or how many samples of the task's stream; None: 128 (the batch size, if
        that is larger), and the training's own batch if it is the same at every step.
    k : how many eigenvalues.
    progress : as of `validation.sweep`.

    Returns
    -------
    Dataset
        The observables over (seed, step, run, ...), each with long_name and units, NaN where a run had diverged; `loss` (seed, time, run),
        before every step and after the last, and `zero_output_loss` (seed, time), the loss of the zero output on the same batches; what
        the detectors of `deepnets.phenomena` find, over (seed, run). Coordinates gamma and eta (run,).

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; before training: too little memory.
    Unsupported : the network's operation that differences cannot be propagated through.

    Examples
    --------
    >>> import deepnets
    >>> e = deepnets.DeepExperiment(deepnets.MLP(64, 8, 3, 10), deepnets.tasks.digits(), steps=2, batch_size=16, device="cpu")
    >>> observed = deepnets.observe(e, [0.1, 10.0], 0.01, at=(0, 2), names=("alignment", "weights"))
    >>> dict(observed.alignment.sizes), observed.weights.attrs["units"]
    ({'seed': 1, 'step': 2, 'run': 2, 'norm': 3}, 'theta')
    """
    request = Request.parse(experiment, gamma, eta, at, samples, k)
    return observe_request(request, request.select(names), progress)


def observe_request(request: Request, names: tuple[str, ...], progress: bool | Callable[[Progress], None] = False) -> xr.Dataset:
    """Return what `observe` does for a request and the observables `names`, which the experiment has."""
    experiment, (_, y) = request.experiment, request.batch
    runs = len(request.gamma)
    pieces = np.array_split(np.arange(runs), -(-runs // request.count_runs_that_fit(names)))
    seeds = []
    with bar(len(request.steps) * len(pieces) * len(experiment.seeds), "observing", "snapshots", progress) as advance:
        def measure(snapshot: Snapshot) -> Variables:
            found: Variables = {}
            for name in names:
                found |= MEASURES[name](snapshot, request.k)
            advance()
            return found

        for seed in experiment.seeds:
            parts = [record(experiment, request.gamma[piece], request.eta[piece], request.steps, measure, seed, request.batch)
                     for piece in pieces]
            joined = xr.concat(parts, "run", data_vars="minimal", coords="minimal", combine_attrs="override")
            seeds.append(_correlate_outputs(joined, y, experiment.task.classes))
    observed = xr.concat(seeds, "seed", data_vars="all", coords="minimal", combine_attrs="override")
    observed = observed.assign_coords(seed=list(experiment.seeds))
    observed["loss"].attrs = {"long_name": "loss on the batch of each step", "units": "1"}
    observed["zero_output_loss"].attrs = {"long_name": "loss of the zero output on the same batch", "units": "1"}
    description = request.describe()
    observed.attrs = collect_provenance() | experiment.rules() | {
        "description": json.dumps(description, sort_keys=True), "digest": digest(description), "names": ",".join(names),
        "samples": len(y), "steps": experiment.horizons[-1], "same_batch": int(request.same_batch), "measured_in": "float64"}
    return detect_phenomena(observed)


def _correlate_outputs(observed: xr.Dataset, y: torch.Tensor, classes: int | None) -> xr.Dataset:
    """Return the same with the runs' outputs replaced by their correlations."""
    if "outputs" not in observed:
        return observed
    outputs = observed["outputs"].transpose("step", "run", "sample", "output").values
    labels = None if classes is None else (y.argmax(-1) if y.is_floating_point() else y)
    correlations = np.full((*outputs.shape[:2], outputs.shape[1]), np.nan)
    for at_step, f in zip(correlations, outputs, strict=True):
        alive = np.flatnonzero(np.isfinite(f).all((1, 2)))
        if len(alive) > 1:
            at_step[np.ix_(alive, alive)] = agreement(f[alive], labels)["all" if labels is None else "correct"]
    of = "outputs" if labels is None else "outputs on each sample's own class"
    return observed.drop_vars("outputs").assign(agreement=(("step", "run", "other"), correlations, {
        "long_name": f"correlation over the samples of two runs' {of}", "units": "1"}))
