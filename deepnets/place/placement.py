"""`where`: a network's distance from the crossing between lazy and rich, the highest rate at which it trains, and a rate to use."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from deepnets.experiment import DeepExperiment
from deepnets.losses import CrossEntropy, Loss
from deepnets.network_factory import as_network
from deepnets.optimizers import Optimizer
from deepnets.place.crossing import MOST_READINGS, Crossing, find_crossing
from deepnets.place.rate_ramp import CONSTANT, CONSTANT_RATES, RateBracket, bracket_rate
from deepnets.tasks import Task
from validation.arguments import positive
from validation.progress import Progress, bar

BORDER = 0.5        # decades from the crossing, between which a network is neither lazy nor rich
MARGIN = 3.0        # of the lower end of the bracket over the rate to use
WITHIN = {2: 2, 1: 4}      # a factor, by the power of the optimizer: brackets lie so near to the edges that they were compared with
COMPARED = 200      # steps of the runs whose edges brackets were compared with


@dataclass(frozen=True)
class Place:
    """Where a network lies in the plane of gamma and eta, at gamma = 1: the network as it is, centred.

    Attributes
    ----------
    regime : "lazy" (more than half a decade below the crossing), "rich" (as much above it) or "between"; None: abstained.
    decades : log10 of the network's gamma over that of the crossing; None: abstained.
    interval : (low, high), 95%, of the decades, over seeds; None: abstained.
    bracket : (low, high) of the highest rate at which it trains, in units of `DeepExperiment`; None: abstained.
    eta : a rate to use, a third of the bracket's lower end; None: abstained.
    given : the rate of the argument `eta`; None: there was none.
    ratio : the given rate over the middle of the bracket; None: one of them is missing.
    cost : steps: training steps of the ramp and constant rates, and gradients of batches of 96 samples in the search for the crossing.
    abstained : what was not determined, or does not follow, with a sentence each.
    crossing, rates : the measurements.
    setting : optimizer, batch size and steps, for the sentences.
    """

    regime: str | None
    decades: float | None
    interval: tuple[float, float] | None
    bracket: tuple[float, float] | None
    eta: float | None
    given: float | None
    ratio: float | None
    cost: int
    abstained: Mapping[str, str]
    crossing: Crossing = field(repr=False)
    rates: RateBracket = field(repr=False)
    setting: Mapping[str, Any] = field(repr=False)

    @property
    def sentence(self) -> str:
        """The answer in a few sentences."""
        return " ".join((self._state_regime(), self._state_rates()))

    def report(self) -> str:
        """Return the sentences, the cost, what was not determined, and what would change the answer, a line each."""
        lines = [self._state_regime(), self._state_rates(),
                 f"Cost: {self.rates.steps} training steps of batches of {self.setting['batch_size']}, {self.crossing.gradients} gradients "
                 f"of batches of 96, and {sum(len(r) for r in self.crossing.readings)} readings of the tangent kernel."]
        lines += [f"Not determined ({what}): {reason}." for what, reason in self.abstained.items()]
        lines.append("Another loss, task, batch size or optimizer changes the answer. It is that of the centred network: an output at "
                     "initialization that is not small is subtracted first.")
        return "\n".join(lines)

    def describe(self) -> dict[str, Any]:
        """Return the answer as JSON."""
        names = ("regime", "decades", "interval", "bracket", "eta", "given", "ratio", "cost", "sentence")
        return {n: getattr(self, n) for n in names} | {"abstained": dict(self.abstained), "setting": dict(self.setting)}

    def _state_regime(self) -> str:
        if self.decades is None:
            return (f"Lazy: {self.crossing.reason}." if self.regime else f"Regime not determined: {self.crossing.reason}.")
        side = "above" if self.decades >= 0 else "below"
        over = "" if self.interval is None else f" (95%: {self.interval[0]:+.2f} to {self.interval[1]:+.2f})"
        name = {"lazy": "Lazy", "rich": "Rich", "between": "Between lazy and rich"}[str(self.regime)]
        return f"{name}: gamma lies {abs(self.decades):.2f} decades {side} the crossing{over}."

    def _state_rates(self) -> str:
        s = self.setting
        if self.bracket is None:
            return f"Highest rate not determined: {self.abstained['bracket']}."
        text = (f"The highest rate at which it trains with {s['optimizer']}, batches of {s['batch_size']}, lies between "
                f"{self.bracket[0]:.3g} and {self.bracket[1]:.3g}, up to a factor of {s['within']}.")
        if self.ratio is not None:
            text += f" The given rate, {self.given:.3g}, is {self.ratio:.2g} times that."
        return f"{text} A rate to use: {self.eta:.2g}, a third of the lower end, for runs of {s['horizon']} steps."


def where(network: Any, task: Task, loss: str | Loss | Callable[..., Any] = "mse", optimizer: str | Optimizer = "sgd",
          eta: float | None = None, batch_size: int = 32, steps: int = 200, seeds: Sequence[int] = (0, 1, 2), width: int | None = None,
          device: str = "auto", progress: bool | Callable[[Progress], None] = False) -> Place:
    """Measure where a network lies between lazy and rich, and the highest rate at which it trains.

    The output is divided by gamma and the network trained by gradient flow until the loss has halved. The crossing is the gamma at which
    the tangent kernel then has changed by its own norm, found in at most six readings a seed. The network as it is has gamma = 1. The
    highest rate is measured, in at most 600 steps: a ramp of the rate, then four constant rates. No curvature predicts it.

    Parameters
    ----------
    network : a specification such as `deepnets.MLP`, a callable seed -> torch.nn.Module, or a module, which is copied; seeds of a module
        are those of its batches alone.
    task : one of `deepnets.tasks`, or an object with their methods.
    loss, optimizer, width, device : as of `DeepExperiment`.
    eta : the rate that is compared with the highest, in the optimizer's units for a module of one's own; None: none.
    batch_size : samples a step of the ramp and constant rates.
    steps : of the runs that the rate is for.
    seeds : of networks and batches; the rate is that of the first.
    progress : True: a progress bar on standard error; a function is called with the `Progress` each time. It counts measurements, at most.

    Returns
    -------
    Place : what could not be measured is None, with a sentence in `abstained`.

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed; what `DeepExperiment` refuses, a network without trainable parameters
        among it; data that are not finite.

    Examples
    --------
    A linear module is lazy at every gamma:

    >>> import torch, deepnets
    >>> place = deepnets.where(torch.nn.Linear(4, 4), deepnets.tasks.linear(), eta=1e-3, batch_size=16, seeds=(0,))
    >>> place.regime, place.decades
    ('lazy', None)
    """
    given = None if eta is None else float(positive("eta", eta))
    experiment = DeepExperiment(as_network(network), task, loss=loss, optimizer=optimizer, batch_size=batch_size, steps=steps,
                                seeds=seeds, width=width, device=device)
    experiment.check()
    with bar(MOST_READINGS * len(experiment.seeds) + 1 + CONSTANT_RATES, "measuring", "measurements", progress) as advance:
        return _measure_place(experiment, given, isinstance(network, nn.Module), advance)


def _measure_place(experiment: DeepExperiment, given: float | None, fixed: bool, advance: Callable[[], None]) -> Place:
    """Return the place of an experiment's network; `fixed`: all seeds have the same weights."""
    crossing = find_crossing(experiment, advance=advance)
    decades = None if crossing.gamma is None else -float(np.log10(crossing.gamma))
    interval = None if crossing.interval is None else (-float(np.log10(crossing.interval[1])), -float(np.log10(crossing.interval[0])))
    regime = "lazy" if crossing.linear else name_regime(decades)
    rates = RateBracket(np.nan, np.nan, 0, "a lazy network with cross-entropy has no upper edge: its loss stays bounded at every rate "
                        "until float numbers end") if has_no_upper_edge(experiment, regime) else bracket_rate(experiment, advance=advance)
    bracket = None if rates.reason else (rates.low, rates.high)
    return Place(regime, decades, interval, bracket, bracket and bracket[0] / MARGIN, given,
                 None if given is None or bracket is None else given / float(np.sqrt(bracket[0] * bracket[1])),
                 rates.steps + crossing.gradients, types.MappingProxyType(_explain(experiment, crossing, rates, fixed)),
                 crossing, rates,
                 types.MappingProxyType({"optimizer": experiment.optimizer.name, "within": WITHIN[experiment.optimizer.power],
                                         "batch_size": experiment.batch_size, "horizon": min(experiment.horizons[-1], COMPARED)}))


def has_no_upper_edge(experiment: DeepExperiment, regime: str | None) -> bool:
    """Return whether the loss stays bounded at every rate, as that of a lazy network with cross-entropy."""
    return regime == "lazy" and isinstance(experiment.loss, CrossEntropy)


def name_regime(decades: float | None) -> str | None:
    """Return the regime at so many decades above the crossing."""
    if decades is None:
        return None
    return "lazy" if decades < -BORDER else "rich" if decades > BORDER else "between"


def _explain(experiment: DeepExperiment, crossing: Crossing, rates: RateBracket, fixed: bool) -> dict[str, str]:
    """Return what was not determined, or does not follow, with a sentence each, without its full stop."""
    reasons = {"decades": crossing.reason} if crossing.reason else {}
    if not crossing.reason and crossing.interval is None:
        reasons["interval"] = "one seed has no interval"
    elif fixed and not crossing.reason:
        reasons["initialization"] = ("the interval is over batches alone; with a callable seed -> module it is over initializations as "
                                     "well")
    if experiment.optimizer.power == 1 and not crossing.linear:
        reasons["geometry"] = (f"the crossing is that of gradient flow, as SGD follows it; how much {experiment.optimizer.name} moves the "
                               "kernel is not measured")
    if rates.reason:
        reasons["bracket"] = rates.reason
    elif experiment.horizons[-1] > COMPARED:
        reasons["horizon"] = (f"brackets, from {CONSTANT_RATES} runs of {CONSTANT} steps, were compared with edges at {COMPARED} steps; "
                              "longer training may need a lower rate")
    return reasons
