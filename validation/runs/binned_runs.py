"""Read the best rate of runs in bins of x, where x lies on a continuous scale, as in a random search."""

from __future__ import annotations

import numpy as np
import xarray as xr

from validation.arguments import Misuse
from validation.edges import edges_from_brackets
from validation.fitting.scattered_rates import find_binned_rates, split_evenly
from validation.runs.brackets_of_runs import convert_accuracy
from validation.runs.run_status import FINISHED

LEAST_RATES = 3    # rates at one x, of which one may be bracketed
SCATTERED = 12     # values of x, from which on runs with fewer rates each are binned
PER_BIN = 25       # finished runs
BINS = (4, 8)      # unless a number is given
LEAST_PER_BIN = 8
HALF = 1.96        # standard errors, half of a bracket


def choose_bins(runs: xr.Dataset, bins: int | None = None) -> int | None:
    """Return in how many bins of x runs are to be read; None: x has few values, each with several rates.

    Parameters
    ----------
    runs : as from `validation.read_runs`.
    bins : the number that was given. None: runs with twelve values of x or more, half of which have fewer than three rates, are binned:
        25 finished runs in each bin, and 4 to 8 bins.

    Raises
    ------
    Misuse : bins that are no whole number from 3, or with fewer than 8 finished runs each.
    """
    finished = int((runs["status"].values == FINISHED).sum())
    if bins is None:
        if not detect_scattered_x(runs) or finished < BINS[0] * LEAST_PER_BIN:
            return None
        return int(np.clip(finished // PER_BIN, *BINS))
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 3:
        raise Misuse(f"bins must be a whole number from 3, not {bins!r}")
    if finished < 3 * LEAST_PER_BIN:
        raise Misuse(f"bins must be None for {finished} finished runs: three bins take {3 * LEAST_PER_BIN}")
    if finished < bins * LEAST_PER_BIN:
        raise Misuse(f"bins must be at most {finished // LEAST_PER_BIN}, not {bins}: a bin takes {LEAST_PER_BIN} finished runs, and "
                     f"there are {finished}")
    return int(bins)


def detect_scattered_x(runs: xr.Dataset) -> bool:
    """Return whether x has twelve values or more, half of which have fewer than three rates."""
    _, of = np.unique(runs["x"].values, return_inverse=True)
    rates = np.array([np.unique(runs["eta"].values[of == i]).size for i in range(int(of.max()) + 1)])
    return bool(rates.size >= SCATTERED and np.median(rates) < LEAST_RATES)


def optimum_in_bins(runs: xr.Dataset, bins: int, accuracy: bool = False) -> tuple[xr.Dataset, xr.Dataset]:
    """Return the best rate in bins of x with equal counts of finished runs, and the runs moved to their bins' centres.

    Parameters
    ----------
    runs : as from `validation.read_runs`, of one group; losses above zero.
    bins : their number.
    accuracy : as of `validation.optimum_from_runs`.

    Returns
    -------
    tuple of a dataset as of `validation.optimum_from_runs`, whose brackets are 95% intervals of each bin's best rate, and of the runs with
    x at their bin's centre and the rate moved along the fitted law, unmoved where none was found.

    Raises
    ------
    Misuse : a loss that is not above zero.
    """
    axis, what = str(runs.attrs.get("axis", "x")), str(runs.attrs.get("eta_name", "eta"))
    given = convert_accuracy(runs) if accuracy else runs
    x, loss = np.log10(runs["x"].values), given["loss"].values
    seen = (runs["status"].values == FINISHED) & np.isfinite(loss)
    if (loss[seen] <= 0).any():
        raise Misuse(f"runs must have losses above zero, but {runs['loss'].attrs.get('long_name', 'the loss')} is "
                     f"{loss[seen][loss[seen] <= 0][0]:g}")
    of = split_evenly(x[seen], bins)
    rates = np.log10(runs["eta"].values)
    found = find_binned_rates(x[seen], rates[seen], np.log10(loss[seen]), of)
    low, high = (10 ** (found.place + side * HALF * found.error) for side in (-1, 1))
    edges = edges_from_brackets(10**found.centre, low, high, "eta_opt", None, axis)
    lost = int(np.isnan(found.place).sum())
    values = np.unique(runs["x"].values).size
    notes = [f"{axis} has {values} values: the best {what} is read in {bins} bins of {axis} with {seen.sum() // bins} finished runs or one "
             "more, whose rates are moved along the fitted law to the bin's centre"]
    if lost:
        why = "its runs end on one side of it, or are too few near it (fewer bins have more each)" if lost < bins else (
            "the runs near it are too few or too noisy, or end on one side")
        notes.append(f"in {lost} of {bins} bins of {axis} there is no best {what}: {why}")
    nothing = np.zeros(bins)                                             # no grid of rates, no error by it
    best = edges.assign(
        interpolated=edges["eta"], best=("gamma", 10**found.place, {"long_name": f"best {what}"}), vertex=("gamma", 10**found.place),
        error=("gamma", found.error), shape_error=("gamma", nothing), step=("gamma", nothing), phase=("gamma", nothing))
    best.attrs.update(axis=axis, notes=notes, runs_to_add=[])
    borders = np.array([x[seen][of == i].max() for i in range(bins - 1)])
    centre = found.centre[np.searchsorted(borders, x)]
    slope = 0.0 if np.isnan(found.exponent) else found.exponent
    return best, runs.assign(x=("run", 10**centre, runs["x"].attrs), eta=("run", 10 ** (rates + slope * (centre - x)), runs["eta"].attrs))
