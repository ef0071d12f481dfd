"""Observe the run of the best rate at each gamma of a portrait, cached in a netCDF file next to the portrait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from deepnets.experiment import DeepExperiment
from deepnets.observation.detect import describe_phenomena, detect_phenomena
from deepnets.observation.observe_runs import observe_request
from deepnets.observation.request import Request
from deepnets.observation.scaling_laws import fit_laws, predict_laws
from deepnets.observation.selection import PER_DECADE, ObserveOptions, order_names
from validation.fitting.best_rate import MISSING
from validation.outcome import Outcome
from validation.portrait import rates
from validation.storage.observations import open_observables, read_description, save_observables


def find_best_rates(portrait: xr.Dataset, per_decade: int = PER_DECADE) -> tuple[np.ndarray, np.ndarray]:
    """Return gammas and the best rate of each, both (P,): where the final excess, the median over seeds, is least.

    Only runs that trained without a catapult count: in the lazy regime the best ones are often catapulted, and then not lazy. A seed whose
    run is missing reports nothing about its rate. Gammas without a run that counts are left out. Of the others,
    those nearest to a grid of `per_decade` points a decade are returned.
    """
    if "horizon" in portrait.dims:
        portrait = portrait.isel(horizon=-1)
    outcome = portrait["outcome"]
    seeds = [d for d in outcome.dims if d not in ("gamma", "eta")]
    missing = outcome.isin(MISSING)
    final = portrait["final_excess"].where(outcome == Outcome.CONVERGED, np.inf).where(~missing | missing.all(seeds))
    values = final.median(seeds).transpose("gamma", "eta").values
    column, rows = values.argmin(1), np.arange(len(values))
    trained = np.isfinite(values[rows, column])
    gammas, etas = portrait["gamma"].values[trained], rates(portrait)[rows, column][trained]
    if not len(gammas):
        return gammas, etas
    position = np.log10(gammas) * per_decade
    grid = np.arange(np.floor(position[0]), np.ceil(position[-1]) + 1)
    nearest = np.abs(position[:, None] - grid).argmin(0)
    near = np.unique(nearest[np.abs(position[nearest] - grid) < 0.5])
    return gammas[near], etas[near]


def check_request(experiment: DeepExperiment, options: ObserveOptions, path: Path, overwrite: bool = False) -> None:
    """Refuse, before a portrait is swept, what could not be observed afterwards.

    Raises
    ------
    Misuse : observables that the experiment does not have; snapshots after its last step; too little memory; an existing file that is
        of another experiment, or of other snapshots.
    """
    request = _request(experiment, options, np.ones(1), np.ones(1))
    request.count_runs_that_fit(request.select(options.names))
    stored = read_description(path)
    if stored is not None and not overwrite:
        runs = stored["observed"]
        open_observables(path, _request(experiment, options, np.array(runs["gamma"]), np.array(runs["eta"])).describe())


def observe_portrait(portrait: xr.Dataset, experiment: DeepExperiment, options: ObserveOptions, path: Path, progress: bool,
                     overwrite: bool = False) -> tuple[xr.Dataset | None, list[str]]:
    """Observe the runs of the best rates of a portrait, and report them.

    Parameters
    ----------
    portrait : of `experiment`.
    options : the command-line options.
    path : the file in which the observables are cached.
    progress : whether to draw a progress bar.
    overwrite : replace a file of another experiment or of other runs.

    Returns
    -------
    Dataset or None : as of `deepnets.observe`; None where no run trains without a catapult.
    list of str : sentences on phenomena and scaling laws.

    Raises
    ------
    Misuse : as of `load_or_observe`.
    """
    gamma, eta = find_best_rates(portrait)
    if not len(gamma):
        return None, ["nothing is observed: no run of the portrait trains without a catapult"]
    observed = load_or_observe(path, _request(experiment, options, gamma, eta), options.names, progress, overwrite)
    runs = f"Observed, at the best rates without a catapult of {len(gamma)} gammas from {gamma[0]:.3g} to {gamma[-1]:.3g}"
    laws = fit_laws(observed, predict_laws(experiment))
    return observed, [f"{runs}: {'; '.join(describe_phenomena(observed))}", *(law.sentence for law in laws)]


def load_or_observe(path: Path, request: Request, names: Sequence[str], progress: bool, overwrite: bool = False) -> xr.Dataset:
    """Return the observables from the file `path`, after those that it lacks have been measured and added to it.

    Raises
    ------
    Misuse : the file is another experiment's, or of other runs, snapshots or samples; it is no such file.
    """
    stored = open_observables(path, request.describe(), overwrite)
    stored_names = () if stored is None else tuple(stored.attrs["names"].split(","))
    missing = tuple(n for n in request.select(names) if n not in stored_names)
    if stored is not None and not missing:
        return stored
    observed = observe_request(request, missing, progress)
    if stored is not None:
        observed = observed.assign({n: v for n, v in stored.data_vars.items() if n not in observed})
        observed = detect_phenomena(observed.assign_attrs(names=",".join(order_names([*stored_names, *missing]))))
    save_observables(observed, path)
    return observed


def _request(experiment: DeepExperiment, options: ObserveOptions, gamma: np.ndarray, eta: np.ndarray) -> Request:
    return Request(experiment, gamma, eta, options.at(experiment.horizons[-1]), options.observe_samples)
