"""Predict the levels of an experiment's lazy edges from the tangent kernel at initialization; say why an edge is absent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from deepnets.batched.copies_stack import widen
from deepnets.behaviour import name_error
from deepnets.centered.functional import trainable
from deepnets.curvature.lanczos import basis_size
from deepnets.device import threads_for
from deepnets.experiment import DeepExperiment
from deepnets.kernels.training_kernel import TrainingKernel, changes_between_calls
from deepnets.lazy_edges.level import AGREE, LazyLevel, Levels, SeedLevel
from deepnets.lazy_edges.lower_edge import FlowCurve, Modes
from deepnets.lazy_edges.upper_edge import StabilityEdge, critical_level, largest_eigenvalue
from deepnets.memory import GB, Living, usable_memory
from deepnets.precision import arithmetic
from deepnets.preflight import check_samples
from deepnets.tasks.task import draw_batch, place_like, select_inputs
from deepnets.theory import explain_silence, predict
from validation.arguments import Misuse, whole
from validation.edges import WIDTH
from validation.prediction import RHO, STEPS

EDGES = ("eta_min", "eta_crit")
MORE = 4              # times as many samples as `samples`, which are to agree with them
LEAST_BATCH = 32      # below, the noise of batches moves the edges, by more than a quarter at 16
LARGE_BATCH = 128     # from here on it moves eta_crit less than the tolerance of a whole curve
FEW = 16              # samples, of whose kernel the memory is counted
CLAIMED = {"eta_min": 0.176, "eta_crit": 0.097}      # decades, factors 1.5 and 1.25; of eta_crit where batches are small
NO_UPPER_EDGE = ("the cross-entropy flattens as the outputs grow, so that no eigenvalue at initialization bounds the rates that train, and "
                 "no curvature later on gives the bound within a factor 2")
OVERSHOOT = "with momentum the loss exceeds its first value in transients below the rate at which the kernel loses stability"
SOURCES = {"eta_min": "eqs. 2 and 8, gradient descent in the tangent kernel at initialization",
           "eta_crit": "Section 3.3, 2 gamma^2 over the tangent kernel's largest eigenvalue"}
LABEL = "the tangent kernel's level"


class Abstention(Exception):
    """Why no level is predicted."""


def levels(experiment: DeepExperiment, samples: int = 384) -> Levels:
    """Predict eta_min and eta_crit of a lazy network, prefactors included, without a free parameter.

    A lazy network is linear in its parameters: its outputs follow gradient descent in the tangent kernel at theta_0 over samples and
    outputs, with the parameters' rates as weights, in the module's own mode. With half the squared error ``eta_crit = 2 gamma**2/(N
    lambda_1)``, N lambda_1 the largest eigenvalue of the kernel with these rates, and eta_min comes from the residual's modes; with
    the cross-entropy eta_min comes from the kernel's gradient flow, and eta_crit does not exist. Training keeps drawing batches, so the
    kernel is that of four times `samples` fresh ones. The mean of their quarters gives the bias of order 1/n in the number of samples,
    which is subtracted; an edge of which it is further off than a factor 1.3 is absent. So is eta_crit where runs may not show it: no rate
    below it reaches rho in T steps, or so few that, within the factor to which eta_min is known, they span less than 0.1 decades, the least
    width of a set; or batches are below 128 and the samples do not determine eta_min, because the noise of batches may then
    lift the loss above rho at lower rates. A task that returns one batch at every
    step is measured on that batch, and leaves no doubt about samples.

    The levels claim to hold within a factor 1.5 (eta_min), and within 0.05 decades (eta_crit) from batches of 128 samples on, a factor
    1.25 below.

    Parameters
    ----------
    experiment : of any network that trains; its seeds, T (the last of several) and rho count, and eta is in its units.
    samples : at least 8; the kernel is that of four times as many.

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
        level = LazyLevel(name=edge, label=LABEL, source=SOURCES[edge], lazy_below=window[1], seeds=tuple(seeds),
                          claimed_within=_choose_claim(edge, experiment.batch_size, seeds))
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


def _choose_claim(edge: str, batch_size: int, seeds: Sequence[SeedLevel]) -> float | None:
    """Return the decades within which a level is claimed to hold; None: those of a whole curve."""
    exact = batch_size >= LARGE_BATCH or all(not seed.of_quarters for seed in seeds)
    return None if edge == "eta_crit" and exact else CLAIMED[edge]


def _explain_absence(level: LazyLevel, steps: int, rho: float, samples: int) -> str:
    """Return why a measured level is not given."""
    stable = [seed.level for seed in level.seeds if isinstance(seed.level, StabilityEdge)]
    critical = [edge.critical for edge in stable]
    ratio = max(map(_compare_critical, level.seeds)) if critical else level.compare_samples(steps, rho)
    if ratio > AGREE:
        return f"{MORE * samples} samples do not determine it: a quarter of them gives a level that differs by a factor {ratio:.3g}"
    if not critical:
        return f"no rate at which the kernel's steps are stable reaches an excess of {rho:g} within {steps} steps"
    hidden = f"the kernel loses stability at {np.exp(np.mean(np.log(critical))):.3g} gamma^2, and runs may not show it: "
    lower = [edge.lower for edge in stable]
    if any(isinstance(of, LowerOfTrained) and of.hides_edge(steps, rho) for of in lower):
        return (f"{hidden}small batches raise the loss below it, and {MORE * samples} samples do not determine whether it then reaches an "
                f"excess of {rho:g} within {steps} steps")
    return f"{hidden}no rate more than {stable[0].margin:.2g} decades below it reaches an excess of {rho:g} within {steps} steps"


def _compare_critical(seed: SeedLevel) -> float:
    """Return the factor between the stability edges of all samples and of a quarter of them, whether or not runs show them."""
    return replace(seed, level=_forget_visibility(seed.level)).compare_samples(STEPS, RHO)


def _measure_seed(experiment: DeepExperiment, seed: int, samples: int, edges: tuple[str, ...]) -> dict[str, SeedLevel]:
    """Return the levels of one seed, or raise `Abstention`."""
    with torch.random.fork_rng(devices=[experiment.device] if experiment.device.startswith("cuda") else []):
        module = experiment.theta_0(seed)
    if any(p.is_complex() for p in trainable(module).values()):
        raise Abstention("parameters are complex")
    rates = experiment.recipe(module).rates
    fixed = _draw_constant_batch(experiment, seed)
    if fixed is None and experiment.batch_size < LEAST_BATCH:
        raise Abstention(f"batches of {experiment.batch_size} samples are too noisy for a kernel to describe training, from "
                         f"{LEAST_BATCH} on it does")
    if fixed is not None:
        return {edge: SeedLevel(level) for edge, level in _measure_levels(experiment, widen(module), rates, fixed, edges, WIDTH).items()}
    check_samples("samples", MORE * samples, experiment.task, experiment.loss)
    if any(p.dtype != torch.float32 for p in trainable(module).values()):
        module = widen(module)      # rounding in float32 is small beside what samples leave open, in less it is not
    x, y = draw_batch(experiment.task, seed, 0, MORE * samples, experiment.loss)
    parts = [slice(i * samples, (i + 1) * samples) for i in range(MORE)]
    quarters = [(select_inputs(x, part), y[part]) for part in parts]
    margin = WIDTH + CLAIMED["eta_min"]
    of_all, *of_quarters = (_measure_levels(experiment, module, rates, batch, edges, margin) for batch in ((x, y), *quarters))
    found = {edge: SeedLevel(of_all[edge], tuple(_forget_visibility(of[edge]) for of in of_quarters)) for edge in edges}
    if isinstance(stable := of_all.get("eta_crit"), StabilityEdge):
        lower = LowerOfTrained(found["eta_min"], experiment.batch_size)
        found["eta_crit"] = replace(found["eta_crit"], level=replace(stable, lower=lower))
    return found


@dataclass(frozen=True, eq=False)
class LowerOfTrained:
    """eta_min as far as it decides whether runs show the stability edge.

    The noise of small batches raises the loss already below this edge. Whether it stays below rho can be predicted only where the samples
    determine the loss, as on them eta_min; else the rates that train may end below the edge.

    Attributes
    ----------
    seed : eta_min of one seed.
    batch_size : of training.
    """

    seed: SeedLevel
    batch_size: int

    def __call__(self, steps: int, rho: float) -> float:
        """Return ``eta/gamma**2``; NaN where there is none, or where batches are small and the samples do not determine it."""
        if self.seed.compare_samples(steps, rho) <= AGREE:
            return self.seed.extrapolate(steps, rho)
        return np.nan if self.batch_size < LARGE_BATCH else self.seed.level(steps, rho)

    def hides_edge(self, steps: int, rho: float) -> bool:
        """Return whether there is one on all samples, and it is not used because they do not determine it."""
        return bool(np.isnan(self(steps, rho)) and np.isfinite(self.seed.level(steps, rho)))


def _forget_visibility(level: Callable[[int, float], float]) -> Callable[[int, float], float]:
    """Return a level, that of the stability edge also where runs do not show it."""
    return (lambda steps, rho: level.critical) if isinstance(level, StabilityEdge) else level


def _draw_constant_batch(experiment: DeepExperiment, seed: int) -> tuple[Any, torch.Tensor] | None:
    """Return the batch of a task that has the same one at every step, else None."""
    first, second = (draw_batch(experiment.task, seed, step, experiment.batch_size, experiment.loss) for step in (0, 1))
    if not all(torch.isfinite(t).all() for t in tree_leaves(first)):
        raise Misuse(f"task must return finite inputs and targets, and of seed {seed}, step 0, some are NaN or infinite")
    pairs = zip(tree_leaves(first), tree_leaves(second), strict=True)
    return first if all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs) else None


def _measure_levels(experiment: DeepExperiment, module: nn.Module, rates: dict[str, float], batch: tuple[Any, torch.Tensor],
                    edges: tuple[str, ...], margin: float) -> dict[str, Callable[[int, float], float]]:
    """Return each edge's level as a function of (T, rho), on one batch, or raise `Abstention`."""
    like = next(iter(trainable(module).values()))
    x, y = place_like(batch[0], like), experiment.loss.target(batch[1], experiment.task.out_features, like.dtype)
    with threads_for(sum(p.numel() for p in trainable(module).values()), len(y), experiment.device), arithmetic(
            "float32", experiment.device):
        return _measure_on(experiment, module, rates, x, place_like(y, like), edges, margin)


def _measure_on(experiment: DeepExperiment, module: nn.Module, rates: dict[str, float], x: Any, y: torch.Tensor,
                    edges: tuple[str, ...], margin: float) -> dict[str, Callable[[int, float], float]]:
    try:
        _refuse_lack_of_memory(module, x, rates, experiment.device)
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
    if experiment.loss.name != "mse":
        curve = FlowCurve.of(kernel, y, kernel.outputs, experiment.loss, largest, experiment.horizons[-1], experiment.rho)
        return {"eta_min": curve.find_level}
    if not y.any():
        raise Abstention("the targets are zero, as the outputs are at initialization")
    lower = lru_cache(Modes.of(kernel, y, experiment.optimizer).find_level)
    found: dict[str, Callable[[int, float], float]] = {"eta_min": lower}
    if "eta_crit" in edges:
        found["eta_crit"] = StabilityEdge(critical_level(largest, kernel.outputs.numel()), lower, margin)
    return found


def _refuse_lack_of_memory(module: nn.Module, x: Any, rates: dict[str, float], device: str) -> None:
    """Raise `Abstention` if a kernel's graphs and its Krylov vectors do not fit into memory; they are made of a few samples and counted."""
    samples = len(tree_leaves(x)[0])
    few = select_inputs(x, slice(0, FEW))
    with Living(torch.device(device).type) as living:
        outputs = TrainingKernel(module, few, rates).outputs
    vectors = outputs.numel() * outputs.element_size() * basis_size(outputs.numel(), 1, "largest")
    need = samples / min(FEW, samples) * (living.most + vectors)
    if need > (usable := usable_memory(device)):
        raise Abstention(f"the kernel of {samples} samples needs about {need / GB:.3g} GB, and {usable / GB:.3g} GB are free")
