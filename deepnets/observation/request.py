"""What is to be observed: which runs, after which steps, on which batch; checked before training."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from deepnets.batched.state import zero_differences
from deepnets.curvature.hessian import Curvature
from deepnets.curvature.lanczos import basis_size
from deepnets.curvature.points import points_from_stack
from deepnets.experiment import ON_A_CORE, DeepExperiment
from deepnets.memory import count_fitting_runs, estimate
from deepnets.observation.observables import PARTS
from deepnets.observation.selection import USUAL, order_names, usual_steps
from deepnets.phenomena.recorder import snapshot_steps
from deepnets.preflight import check_samples
from deepnets.tasks.task import check_batch
from validation.arguments import Misuse, axis, positive, whole

SAMPLES = 128
LARGEST = 12      # eigenvalues: ten classes' outliers, and what comes after them
PROBE = 0         # the seed with which the batch is drawn from the task's stream, whatever the seed of a run
Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Request:
    """Runs of an experiment, one at each gamma, and when and on which batch they are measured.

    Attributes
    ----------
    experiment : how they are trained, with each of its seeds.
    gamma, eta : (P,), gamma increasing.
    steps : increasing, after which a snapshot is taken.
    samples : the batch (x, y), or its number of samples; None: the usual one (`observe`).
    k : how many eigenvalues.
    """

    experiment: DeepExperiment
    gamma: np.ndarray
    eta: np.ndarray
    steps: tuple[int, ...]
    samples: int | Batch | None = None
    k: int = LARGEST

    @classmethod
    def parse(cls, experiment: DeepExperiment, gamma: ArrayLike, eta: ArrayLike, at: Sequence[int] | None,
              samples: int | Batch | None, k: int) -> Request:
        """Return the request that the arguments of `observe` make, or raise `Misuse`."""
        if not isinstance(experiment, DeepExperiment):
            raise Misuse(f"experiment must be a deepnets.DeepExperiment, not {type(experiment).__name__}")
        whole("k", k)
        gammas = axis("gamma", gamma)
        etas = np.atleast_1d(positive("eta", eta))
        if etas.shape not in (gammas.shape, (1,)):
            raise Misuse(f"eta must be one number, or one for each of the {len(gammas)} gammas, not of shape {etas.shape}")
        T = experiment.horizons[-1]
        steps = usual_steps(T) if at is None else snapshot_steps(at, T)
        return cls(experiment, gammas, np.broadcast_to(etas, gammas.shape), steps, samples, k)

    @cached_property
    def same_batch(self) -> bool:
        """Whether training sees the same batch at every step."""
        if not isinstance(self.experiment.task.in_shape, tuple):
            raise Misuse("observables are measured of networks whose input is one tensor, and this task's inputs are several")
        first: Any
        second: Any
        first, second = (self.experiment.task.batch(PROBE, step, self.experiment.batch_size)[0] for step in (0, 1))
        return first.shape == second.shape and torch.equal(first, second)

    @cached_property
    def batch(self) -> Batch:
        """The batch (x, y) on which observables are measured."""
        task, size, samples = self.experiment.task, self.experiment.batch_size, self.samples
        if samples is not None and not isinstance(samples, int | np.integer):
            return check_batch(task, samples, "samples", self.experiment.loss)
        if samples is None:
            samples = size if self.same_batch else max(SAMPLES, size)
        check_samples("samples", whole("samples", samples, 2), task, self.experiment.loss)
        return check_batch(task, task.batch(PROBE, 0, samples), "batch()", self.experiment.loss)

    def describe(self) -> dict[str, Any]:
        """Return what determines the numbers, as JSON. The observables are not part of it: a file may be extended by more."""
        samples: Any = self.samples
        if isinstance(samples, tuple | list):
            hashes = [hashlib.sha256(np.ascontiguousarray(t.detach().cpu().numpy()).tobytes()).hexdigest()[:16] for t in samples]
            samples = {"given": hashes}
        elif samples is not None:
            samples = int(samples)
        return self.experiment.describe() | {"observed": {
            "gamma": self.gamma.tolist(), "eta": self.eta.tolist(), "at": list(self.steps), "samples": samples, "k": self.k,
            "of_seeds": list(self.experiment.seeds)}}

    def select(self, names: Sequence[str] | str | None) -> tuple[str, ...]:
        """Return the observables of these names; of "all", and of the usual ones (None), those that the experiment has.

        Raises
        ------
        Misuse : an unknown name; one that the experiment does not have.
        """
        entered = [names] if isinstance(names, str) else list(USUAL if names is None else names)
        wanted, excluded = order_names(entered), {}
        if self.experiment.optimizer.power != 2:
            excluded["sharpness"] = f"in units of 2/eta it is defined for SGD and momentum, not for {self.experiment.optimizer.name}"
        y = self.batch[1]
        if y.ndim > 1 + y.is_floating_point():
            excluded |= dict.fromkeys(("alignment", "agreement"),
                                      "it needs one target for each sample, but this task has one at each place")
        if "all" not in entered and names is not None:
            for name in (n for n in excluded if n in wanted):
                raise Misuse(f"observe must leave {name} out: {excluded[name]}")
        return tuple(n for n in wanted if n not in excluded)

    def count_runs_that_fit(self, names: Sequence[str]) -> int:
        """Return how many runs are trained and measured at once, at least one.

        Raises
        ------
        Misuse : one run by itself needs more memory than is free.
        """
        experiment = self.experiment
        experiment.check()
        module = experiment.theta_0(experiment.seeds[0])
        recipe = experiment.recipe(module)
        runs = min(len(self.gamma), count_fitting_runs(module, recipe, experiment.device, estimate(module, recipe)))
        if experiment.device == "cpu":
            runs = min(runs, ON_A_CORE)
        for part in {PARTS[name] for name in names if name in PARTS}:
            while True:
                u = zero_differences(module, runs)
                points = points_from_stack(module, u, np.ones(runs), self.batch, experiment.loss, "float64")
                parameters = sum(d[0].numel() for d in u.values())
                try:
                    Curvature(points, part, columns=basis_size(parameters, self.k, "both"))
                    break
                except Misuse:
                    if runs == 1:
                        raise
                    runs //= 2
        return runs
