"""Bracket the highest rate at which a network trains: a ramp of the rate finds its size, four constant rates its bracket.

A rate that overshoots may train later, and the loss of one that trains may rise again. The constant rates therefore take a large share of
the 200 steps to which their verdict is extended: after 60 steps, that on Adam's rates was too often another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from deepnets.batched.state import reference_tensor, zero_differences
from deepnets.experiment import DeepExperiment
from deepnets.run_outcomes import CATAPULT_PEAK
from deepnets.training import batch, compute_zero_output_loss, train

RAMP, CONSTANT = 120, 120          # steps of the ramp, and at a constant rate
CONSTANT_RATES = 4
RAMP_DECADES = (-4.0, 3.0)         # about the rate whose first step, along the slope, would take all of the loss
STRIDE = 4.0                       # between constant rates, until one trains and one does not: their middle is within a factor 2 of both
SMOOTH, TAIL = 5, 10               # steps over which an excess is averaged, in a ramp and at the end of a constant rate
RISE = 1.2                         # over the least excess of the ramp
STILL_FALLING = 0.9                # the last average over those of ten to twenty steps before


@dataclass(frozen=True)
class RateBracket:
    """The bracket of the highest rate that trains.

    Attributes
    ----------
    low, high : the highest rate that was seen to train, and the lowest above it that did not; NaN if abstained.
    steps : of training that were taken.
    reason : a sentence, why there is no bracket; empty if there is one.
    """

    low: float
    high: float
    steps: int
    reason: str = ""


def bracket_rate(experiment: DeepExperiment, gamma: float = 1.0, advance: Callable[[], None] = lambda: None) -> RateBracket:
    """Bracket the highest rate eta at which an experiment's centred network trains at a gamma, in at most 600 steps.

    Parameters
    ----------
    experiment : network, task, loss, optimizer, batch size and rho; the first of its seeds is trained. Its steps and schedule are not used.
    gamma : above zero.
    advance : called after each of the five runs.

    Returns
    -------
    RateBracket : low trained to an excess of rho in 120 steps or still fell to it, without a catapult; high did not. It abstains where the
        loss does not rise at any rate of the ramp, or the constant rates all train, or none does.

    Raises
    ------
    Misuse : what the experiment refuses.
    """
    runs = RateRuns(experiment, gamma, advance)
    scale = runs.measure_scale()
    if not (np.isfinite(scale) and scale > 0):
        return RateBracket(np.nan, np.nan, 0, "the gradient vanishes or is not finite at initialization, so that no rate trains")
    rates = scale * np.logspace(*RAMP_DECADES, RAMP)
    excess = runs.average(rates)
    end = find_rise(excess, rates, experiment.rho)
    if end is None:
        return RateBracket(np.nan, np.nan, runs.steps, f"the loss did not rise at any rate of a ramp up to {rates[-1]:.3g}: there is "
                           "no upper edge to bracket")
    bracket = bisect_rate(runs.trains, end, lambda: runs.steps)
    if bracket.reason and excess.min() > experiment.rho:
        return replace(bracket, reason=f"the loss fell to {excess.min():.2g} of the zero output's during a ramp, not to "
                       f"{experiment.rho:g}, and no constant rate did better: so few steps do not train the network")
    return bracket


def bisect_rate(trains: Callable[[float], bool], start: float, count: Callable[[], int]) -> RateBracket:
    """Try four rates: from a start up or down by factors of 4 until one trains and one does not, then the middle of the two, in log eta.

    Parameters
    ----------
    trains : whether a rate trains.
    start : the first rate.
    count : returns the steps taken.
    """
    low, high = np.nan, np.nan
    eta = start
    for _ in range(CONSTANT_RATES):
        if trains(eta):
            low = eta
        else:
            high = eta
        eta = high / STRIDE if np.isnan(low) else low * STRIDE if np.isnan(high) else float(np.sqrt(low * high))
    if np.isnan(low):
        return RateBracket(np.nan, np.nan, count(), f"none of {CONSTANT_RATES} constant rates from {start:.3g} down to {high:.3g} trained "
                           f"in {CONSTANT} steps: training takes longer, or a warm-up")
    if np.isnan(high):
        return RateBracket(np.nan, np.nan, count(), f"all of {CONSTANT_RATES} constant rates from {start:.3g} up to {low:.3g} trained: "
                           "there is no upper edge near the ramp's end")
    return RateBracket(low, high, count())


def find_rise(excess: np.ndarray, rates: np.ndarray, rho: float) -> float | None:
    """Return the rate of a ramp at which the excess rises for good, above rho and 1.2 times its least; None: it does not.

    Parameters
    ----------
    excess : (n,), before the step of each rate; infinite from where the run diverged.
    rates : (n,).
    """
    least = int(np.argmin(excess))
    above = np.flatnonzero(excess[least:] > max(rho, RISE * excess[least]))
    return float(rates[least + above[0]]) if len(above) else None


class RateRuns:
    """Runs of one network at one gamma, at rates that change from step to step, and the number of steps taken."""

    def __init__(self, experiment: DeepExperiment, gamma: float, advance: Callable[[], None] = lambda: None) -> None:
        self.experiment, self.gamma, self.advance = experiment, gamma, advance
        self.seed, self.steps = experiment.seeds[0], 0

    def average(self, rates: np.ndarray) -> np.ndarray:
        """Return the excess before each step, averaged over five steps; infinite once the run has diverged."""
        loss, zero = self.train(rates)
        means = [np.convolve(np.concatenate([np.full(SMOOTH - 1, values[0]), values]), np.full(SMOOTH, 1 / SMOOTH), "valid")
                 for values in (loss, zero)]
        excess = np.divide(means[0], means[1])[:-1]
        first_bad = np.argmax(~np.isfinite(excess)) if not np.isfinite(excess).all() else len(excess)
        return np.where(np.arange(len(excess)) < first_bad, excess, np.inf)

    def trains(self, eta: float) -> bool:
        """Return whether the last ten losses at a constant rate average to at most rho, or still fall to it without a catapult before."""
        loss, zero = self.train(np.full(CONSTANT, eta))
        if not np.isfinite(loss).all():
            return False
        excess = np.convolve(loss, np.ones(TAIL), "valid") / np.convolve(zero, np.ones(TAIL), "valid")
        slow = excess.max() <= CATAPULT_PEAK and excess[-1] < STILL_FALLING * excess[-1 - 2 * TAIL:-1 - TAIL].mean()
        return bool(excess[-1] <= self.experiment.rho or slow)

    def train(self, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Train from theta_0 with a rate for each step; return the losses (steps + 1,), and those of the zero output, above the least."""
        e = self.experiment
        module = e.theta_0(self.seed)
        recipe = replace(e.recipe(module), factors=rates, horizons=None, curves=(), engine="stack")
        with torch.random.fork_rng(devices=[e.device] if e.device.startswith("cuda") else []):
            result = train(module, recipe.choose_stack(module), recipe, np.full(1, self.gamma), np.ones(1), self.seed)
        self.steps += len(rates)
        self.advance()
        return result.losses[:, 0] - e.loss.least, result.zero_output_loss - e.loss.least

    def measure_scale(self) -> float:
        """Return the rate whose first step would take all of the loss if the loss were linear."""
        e = self.experiment
        module = e.theta_0(self.seed)
        recipe = e.recipe(module)
        stack, reference = recipe.choose_stack(module), reference_tensor(module)
        x, y = batch(recipe, self.seed, 0, reference)
        u = zero_differences(module, 1)
        with torch.no_grad(), torch.random.fork_rng(devices=[e.device] if e.device.startswith("cuda") else []):
            _, gradient = stack.gradients(u, reference.new_full((1,), self.gamma), x, y, recipe.loss, stack.start(1))
            optimizer = recipe.optimizer
            fall = sum(recipe.rates[n] * float((g * optimizer.direction(g.clone(), [torch.zeros_like(g) for _ in range(optimizer.memories)],
                                                                       0)).sum()) for n, g in gradient.items())
        first = float(compute_zero_output_loss(recipe, y, reference)) - e.loss.least
        return first / fall * self.gamma**optimizer.power if fall > 0 else np.nan
