"""Measure the plane around a network: brackets of the highest rate a decade of gamma below and above, and the levels of the lazy edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepnets.experiment import DeepExperiment
from deepnets.lazy_edges.lazy_levels import levels
from deepnets.network_factory import as_network
from deepnets.place.placement import BORDER, Place, has_no_upper_edge, name_regime
from deepnets.place.rate_ramp import CONSTANT_RATES, bracket_rate
from validation.progress import Progress, bar

AROUND = (0.1, 10.0)        # gammas beside that of the network itself, which is 1


@dataclass(frozen=True)
class Neighbourhood:
    """What is known of the plane around a network.

    Attributes
    ----------
    crossing, interval : the gamma between lazy and rich and its 95% interval; None where they are not known.
    brackets : (gamma, low, high) of the highest rate that trains.
    levels : of each lazy edge that is predicted, eta over gamma squared.
    lazy_below : the gamma up to which the network is lazy, half a decade below the crossing; None: not known.
    given, eta : the user's rate, and a rate to use, at gamma = 1; None: there is none.
    notes : sentences on what is missing.
    """

    crossing: float | None
    interval: tuple[float, float] | None
    brackets: tuple[tuple[float, float, float], ...]
    levels: dict[str, float]
    lazy_below: float | None
    given: float | None
    eta: float | None
    notes: tuple[str, ...] = ()


def survey_neighbourhood(place: Place, network: Any, progress: bool | Callable[[Progress], None] = False,
                         **arguments: Any) -> Neighbourhood:
    """Measure what is drawn around a network's place: two brackets more, and the levels of the lazy edges.

    Parameters
    ----------
    place : of the network.
    network : as of `deepnets.where`.
    progress : as of `deepnets.where`.
    arguments : the other arguments of `DeepExperiment`, as they were given to `deepnets.where`.
    """
    experiment = DeepExperiment(as_network(network), **arguments)
    crossing = place.crossing
    brackets = [] if place.bracket is None else [(1.0, *place.bracket)]
    notes: list[str] = []
    with bar(len(AROUND) * (1 + CONSTANT_RATES) + 1, "measuring the plane around it", "measurements", progress) as advance:
        for gamma in AROUND:
            decades = None if place.decades is None else place.decades + float(np.log10(gamma))
            if has_no_upper_edge(experiment, "lazy" if crossing.linear else name_regime(decades)):
                continue
            found = bracket_rate(experiment, gamma, advance)
            if found.reason:
                notes.append(f"No bracket at gamma = {gamma:g}: {found.reason}.")
            else:
                brackets.append((gamma, found.low, found.high))
        predicted = levels(experiment.with_seeds(experiment.seeds[:1]))
        advance()
    notes += [f"{edge} of the lazy network is not predicted: {why}." for edge, why in predicted.abstained.items()]
    lazy_below = float("inf") if crossing.linear else None if crossing.gamma is None else crossing.gamma * 10**-BORDER
    steps, rho = predicted.attrs["steps"], predicted.attrs["rho"]
    return Neighbourhood(crossing.gamma, crossing.interval, tuple(sorted(brackets)),
                         {edge: p.level(steps, rho) for edge, p in predicted.items()}, lazy_below, place.given, place.eta, tuple(notes))
