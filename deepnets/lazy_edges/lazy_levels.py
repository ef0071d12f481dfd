"""Predict the levels of an experiment's lazy edges from the tangent kernel at initialization; say why an edge is absent."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from deepnets.batched.copies_stack import widen
from deepnets.behaviour import name_error
from deepnets.centered.functional import trainable
from deepnets.device import threads_for
from deepnets.experiment import DeepExperiment
from deepnets.kernels.training_kernel import TrainingKernel, changes_between_calls
from deepnets.lazy_edges.level import AGREE, LazyLevel, Levels, SeedLevel
from deepnets.lazy_edges.lower_edge import FlowCurve, Modes
from deepnets.lazy_edges.upper_edge import critical_level, largest_eigenvalue
from deepnets.preflight import check_samples
from deepnets.tasks.task import draw_batch, place_like, select_inputs
from deepnets.theory import explain_silence, predict
from validation.arguments import Misuse, whole

EDGES = ("eta_min", "eta_crit")
MORE = 4              # times as many samples, where the first do not determine eta_min
LEAST_BATCH = 32      # below, the noise of batches moves the edges, by more than a quarter at 16
NO_UPPER_EDGE = ("the cross-entropy flattens as the outputs grow, so that no eigenvalue at initialization bounds the rates that train, and "
                 "no curvature later on gives the bound within a factor 2")
OVERSHOOT = "with momentum the loss exceeds its first value in transients below the rate at which the kernel loses stability"
SOURCES = {"eta_min": "eqs. 2 and 8, gradient descent in the tangent kernel at initialization",
           "eta_crit": "Section 3.3, 2 gamma^2 over the tangent kernel's largest eigenvalue"}
LABELS = {"eta_min": r"$\eta_\mathrm{min}$ of the kernel", "eta_crit": r"$\eta_\mathrm{crit}$ of the kernel"}


class Abstention(Exception):
    """Why no level is predicted."""


def levels(experiment: DeepExperiment, samples: int = 384) -> Levels:
    """Predict eta_min and eta_crit of a lazy network, prefactors included, without a free parameter.

    A lazy network is linear in its parameters: its outputs follow gradient descent in the tangent kernel at theta_0 over samples and
    outputs, with the parameters' rates as weights, in the module's own mode. With half the squared error ``eta_crit = 2 gamma**2/(N
    lambda_1)``, N lambda_1 the largest eigenvalue of the kernel with these rates, and eta_min comes from the residual's modes; with
    the cross-entropy eta_min comes from the kernel's gradient flow, and eta_crit does not exist. Training keeps drawing batches, so the
    kernel is that of `samples` fresh ones, of four times as many for eta_min where that is not enough; an edge for which a quarter of
    them gives a level further off than a factor 1.3 is absent. A task that returns one batch at every step is measured on that batch,
    and leaves no such doubt.

    Parameters
    ----------
    experiment : of any network that trains; its seeds, T (the last of several) and rho count, and eta is in its units.
    samples : of the kernel, at least 8.

    Returns
    -------
    Levels : a dict of `Prediction` by edge, NaN outside the lazy regime; `abstained` says why others are absent, `attrs["convergence"]`
        how far a level depends on the samples, and `report()` both. Of other T and rho a prediction is NaN where it would be absent;
        with the cross-entropy also below the experiment's rho.

    Raises
    ------
    Misuse : what the experiment refuses; samples or outputs that are not finite, or do not fit into memory.

    References
    ----------
    Jacot et al., NeurIPS 2018; the paper's Sections 3.1 and 3.3.

    Examples
    --------
    A linear model on a fixed batch, whose kernel is the Gram matrix of its two samples, with eigenvalues 9 and 1 over two outputs:

    >>> import torch, deepnets, validation
    >>> x, y = torch.diag(torch.tensor([3.0, 1.0])), torch.tensor([[1.0], [0.0]])
    >>> class Two:
    ...     in_shape, out_features, classes = (2,), 1, None
    ...     def batch(self, seed, step, size): return x, y
    ...     def held_out(self): return x, y
    ...     def describe(self): return {"name": "two"}
    >>> line = deepnets.DeepExperiment(lambda seed: torch.nn.Linear(2, 1, bias=False), Two(), batch_size=2, steps=100)
    >>> found = deepnets.levels(line)
    >>> (found["eta_crit"]([1e-6, 1.0]) * 1e12).round(9).tolist()
    [0.444444444, nan]
    """
    if not isinstance(experiment, DeepExperiment):
        raise Misuse(f"experiment must be a deepnets.DeepExperiment, not {experiment!r}")
    whole("samples", samples, 8)
    steps, rho = experiment.horizons[-1], experiment.rho
    attrs: dict[str, Any] = {"steps": steps, "rho": rho, "samples": samples, "convergence": {}}
    if why := _exclude(experiment):
        return Levels({}, dict.fromkeys(EDGES, why), attrs)
    abstained = {"eta_crit": reason} if (reason := _exclude_upper(experiment)) else {}
    found: dict[str, list[SeedLevel]] = {edge: [] for edge in EDGES if edge not in abstained}
    try:
        for seed in experiment.seeds:
            for edge, of_seed in _measure_seed(experiment, seed, samples, tuple(found)).items():
                found[edge].append(of_seed)
    except Abstention as why_not:
        return Levels({}, {**dict.fromkeys(EDGES, str(why_not)), **abstained}, attrs)
    window = predict(experiment.network, experiment.loss, experiment.optimizer)["eta_min"].window("lazy")
    assert window is not None
    predicted = {}
    for edge, seeds in found.items():
        level = LazyLevel(name=edge, label=LABELS[edge], source=SOURCES[edge], lazy_below=window[1], seeds=tuple(seeds))
        factor = level.compare_samples(steps, rho)
        if factor <= AGREE:
            predicted[edge], attrs["convergence"][edge] = level, factor
        else:
            abstained[edge] = _explain_absence(level, steps, rho, samples)
    return Levels(predicted, abstained, attrs)


def _exclude(experiment: DeepExperiment) -> str | None:
    """Return why no level of an experiment is predicted before anything is measured, or None."""
    if silence := explain_silence(experiment.loss, experiment.optimizer, experiment.centred):
        return f"the theory {silence.partition(': it ')[2]}"
    if experiment.optimizer.power != 2:
        return f"the steps of {experiment.optimizer.name} are not linear in the gradient, and no kernel describes them"
    if experiment.schedule.name != "constant":
        return "the rate follows a schedule"
    if experiment.loss.name != "mse" and experiment.optimizer.memories:
        return "the gradient flow of the cross-entropy is integrated for plain gradient descent alone, not with momentum"
    return None


def _exclude_upper(experiment: DeepExperiment) -> str | None:
    """Return why eta_crit is not predicted although eta_min may be, or None."""
    if experiment.loss.name != "mse":
        return NO_UPPER_EDGE
    return OVERSHOOT if experiment.optimizer.memories else None


def _explain_absence(level: LazyLevel, steps: int, rho: float, samples: int) -> str:
    """Return why a measured level is not given."""
    ratio = level.compare_samples(steps, rho)
    if np.isfinite(ratio):
        count = MORE * samples if level.name == "eta_min" else samples
        return f"{count} samples do not determine it: a quarter of them gives a level that differs by a factor {ratio:.3g}"
    return f"no rate at which the kernel's steps are stable reaches an excess of {rho:g} within {steps} steps"


def _measure_seed(experiment: DeepExperiment, seed: int, samples: int, edges: tuple[str, ...]) -> dict[str, SeedLevel]:
    """Return the levels of one seed, or raise `Abstention`."""
    with torch.random.fork_rng(devices=[experiment.device] if experiment.device.startswith("cuda") else []):
        module = experiment.theta_0(seed)
    if any(p.is_complex() for p in trainable(module).values()):
        raise Abstention("parameters are complex")
    rates = experiment.recipe(module).rates
    module = widen(module)
    fixed = _draw_constant_batch(experiment, seed)
    if fixed is None and experiment.batch_size < LEAST_BATCH:
        raise Abstention(f"batches of {experiment.batch_size} samples are too noisy for a kernel to describe training, from "
                         f"{LEAST_BATCH} on it does")
    if fixed is not None:
        return {edge: SeedLevel(level) for edge, level in _measure_levels(experiment, module, rates, fixed, edges).items()}
    check_samples("samples", MORE * samples, experiment.task, experiment.loss)
    batch = draw_batch(experiment.task, seed, 0, MORE * samples, experiment.loss)

    def measure(count: int, edges: tuple[str, ...]) -> dict[str, Callable[[int, float], float]]:
        some = slice(0, count)
        return _measure_levels(experiment, module, rates, (select_inputs(batch[0], some), batch[1][some]), edges)

    all_of_them, quarter = measure(samples, edges), measure(samples // MORE, edges)
    found = {edge: SeedLevel(all_of_them[edge], quarter[edge]) for edge in edges}
    if not found["eta_min"].compare_samples(experiment.horizons[-1], experiment.rho) <= AGREE:
        found["eta_min"] = SeedLevel(measure(MORE * samples, ("eta_min",))["eta_min"], all_of_them["eta_min"])
    return found


def _draw_constant_batch(experiment: DeepExperiment, seed: int) -> tuple[Any, torch.Tensor] | None:
    """Return the batch of a task that has the same one at every step, else None."""
    first, second = (draw_batch(experiment.task, seed, step, experiment.batch_size, experiment.loss) for step in (0, 1))
    if not all(torch.isfinite(t).all() for t in tree_leaves(first)):
        raise Misuse(f"task must return finite inputs and targets, and of seed {seed}, step 0, some are NaN or infinite")
    pairs = zip(tree_leaves(first), tree_leaves(second), strict=True)
    return first if all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs) else None


def _measure_levels(experiment: DeepExperiment, module: nn.Module, rates: dict[str, float], batch: tuple[Any, torch.Tensor],
                    edges: tuple[str, ...]) -> dict[str, Callable[[int, float], float]]:
    """Return each edge's level as a function of (T, rho), on one batch, or raise `Abstention`."""
    like = next(iter(trainable(module).values()))
    x, y = place_like(batch[0], like), experiment.loss.target(batch[1], experiment.task.out_features, like.dtype)
    with threads_for(sum(p.numel() for p in trainable(module).values()), len(y), experiment.device):
        return _measure_on(experiment, module, rates, x, place_like(y, like), edges)


def _measure_on(experiment: DeepExperiment, module: nn.Module, rates: dict[str, float], x: Any, y: torch.Tensor,
                    edges: tuple[str, ...]) -> dict[str, Callable[[int, float], float]]:
    try:
        kernel = TrainingKernel(module, x, rates)
        if not torch.isfinite(kernel.outputs).all():
            raise Misuse("network must have finite outputs at initialization, and some are NaN or infinite")
        if changes_between_calls(module, x):
            raise Abstention("the network's outputs change from one call to the next, by dropout or by a state of its own")
        largest = largest_eigenvalue(kernel, kernel.outputs)
    except (RuntimeError, NotImplementedError) as error:
        raise Abstention(f"the network's kernel cannot be computed: {name_error(error)}") from error
    if not largest > 0:
        raise Abstention("the network's outputs do not depend on its parameters at initialization")
    found: dict[str, Callable[[int, float], float]] = {}
    if "eta_crit" in edges:
        critical = critical_level(largest, kernel.outputs.numel())
        found["eta_crit"] = lambda steps, rho: critical
    if experiment.loss.name == "mse":
        if not y.any():
            raise Abstention("the targets are zero, as the outputs are at initialization")
        found["eta_min"] = lru_cache(Modes.of(kernel, y, experiment.optimizer).find_level)
    else:
        curve = FlowCurve.of(kernel, y, kernel.outputs.shape, experiment.loss, largest, experiment.horizons[-1], experiment.rho)
        found["eta_min"] = curve.find_level
    return found
