"""Observables along the best rates of a portrait, kept in a file beside it, as the command lines want them; measures nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.experiment import DeepExperiment
from deepnets.observation.detection import detected, sentences
from deepnets.observation.observe_runs import LARGEST, describe, fitting, observe, offered, probe
from deepnets.observation.scaling_laws import fits, laws
from deepnets.observation.selection import A_DECADE, ObserveOptions, named
from validation.outcome import Outcome
from validation.portrait import rates
from validation.storage.observations import open_observables, read_description, save_observables


def best(portrait: xr.Dataset, per_decade: int = A_DECADE) -> tuple[np.ndarray, np.ndarray]:
    """Return gammas and the best rate of each, both (P,): where the final excess, the median over seeds, is least.

    Only runs that trained without a catapult are looked at: of the lazy regime the best ones are often catapulted, and then not lazy.
    Gammas at which there is none are left out, and of the others those that are not the nearest to one of `per_decade` points a decade.
    """
    final = portrait["final_excess"].where(portrait["outcome"] == Outcome.CONVERGED, np.inf)
    if "horizon" in final.dims:
        final = final.isel(horizon=-1)
    values = final.median([d for d in final.dims if d not in ("gamma", "eta")]).transpose("gamma", "eta").values
    column, each = values.argmin(1), np.arange(len(values))
    trained = np.isfinite(values[each, column])
    gammas, etas = portrait["gamma"].values[trained], rates(portrait)[each, column][trained]
    if not len(gammas):
        return gammas, etas
    place = np.log10(gammas) * per_decade
    marks = np.arange(np.floor(place[0]), np.ceil(place[-1]) + 1)
    near = np.abs(place[:, None] - marks).argmin(0)
    kept = np.unique(near[np.abs(place[near] - marks) < 0.5])
    return gammas[kept], etas[kept]


def check(experiment: DeepExperiment, observing: ObserveOptions, path: Path, overwrite: bool = False) -> None:
    """Refuse, before a portrait is swept for it, what cannot be observed afterwards.

    Raises
    ------
    Misuse : observables that the experiment does not have; looks after its last step; too little memory; a file in the way that is of
        another experiment, or of other looks.
    """
    at = observing.at(experiment.horizons[-1])
    batch, _ = probe(experiment, observing.observe_samples)
    fitting(experiment, offered(experiment, observing.names, batch), 1, batch)
    there = read_description(path)
    if there is not None and not overwrite:
        held = there["observed"]
        wanted = describe(experiment, np.array(held["gamma"]), np.array(held["eta"]), at, observing.observe_samples, LARGEST)
        open_observables(path, wanted)


def along(portrait: xr.Dataset, experiment: DeepExperiment, observing: ObserveOptions, path: Path, progress: bool,
          overwrite: bool = False) -> tuple[xr.Dataset | None, list[str]]:
    """Return what is observed of the runs that `best` chooses from a portrait, kept in the file `path`, and what there is to say of it.

    Where no run trains there is nothing to observe, and None is returned.
    """
    gamma, eta = best(portrait)
    if not len(gamma):
        return None, ["nothing is observed: no run of the portrait trains without a catapult"]
    at = observing.at(experiment.horizons[-1])
    seen = kept(path, experiment, gamma, eta, at, observing.names, observing.observe_samples, progress, overwrite)
    line = f"Observed, at the best rates without a catapult of {len(gamma)} gammas from {gamma[0]:.3g} to {gamma[-1]:.3g}"
    return seen, [f"{line}: {'; '.join(sentences(seen))}", *(law.sentence for law in fits(seen, laws(experiment.describe())))]


def kept(path: Path, experiment: DeepExperiment, gamma: np.ndarray, eta: np.ndarray, at: Sequence[int], names: Sequence[str],
         samples: int | None, progress: bool, overwrite: bool = False) -> xr.Dataset:
    """Return what `observe` gives from the file `path`, which is made where there is none; observables that it lacks are added to it.

    Raises
    ------
    Misuse : the file is another experiment's, or of other runs, looks or samples; it is no such file.
    """
    description = describe(experiment, gamma, eta, at, samples, LARGEST)
    there = open_observables(path, description, overwrite)
    before = () if there is None else tuple(there.attrs["names"].split(","))
    missing = [n for n in offered(experiment, names, probe(experiment, samples)[0]) if n not in before]
    if there is not None and not missing:
        return there
    made = observe(experiment, gamma, eta, at, missing, samples, progress=progress)
    if there is not None:
        made = made.assign({n: v for n, v in there.data_vars.items() if n not in made})
        made = detected(made.assign_attrs(names=",".join(named([*before, *missing]))))
    save_observables(made, path)
    return made
