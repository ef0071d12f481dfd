"""A bootstrap over gammas and seeds: the exponent's interval by another road, for comparison; knows rows, no likelihood.

`validation.fit` is the one to trust: a bootstrap of few gammas is too narrow by nature (a plain one over pairs covered 73%).
What it adds is freedom from the Gaussian: scatter with heavy tails, or that differs from gamma to gamma.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from scipy.special import stdtrit

from validation.arguments import whole
from validation.fitting.brackets import brackets, rows
from validation.fitting.powerlaw import fit
from validation.fitting.result import FitOutcome, PowerLawFit, undecided

LEAST = 5   # gammas


def bootstrap(edges: xr.Dataset, edge: str, window: tuple[float, float] | None = None, draws: int = 2000,
              seed: int = 0) -> PowerLawFit:
    """Return `validation.fit`'s exponent with intervals from a Bayesian bootstrap over gammas and, within them, seeds.

    Every draw weighs gammas and seeds by exponential weights (Rubin, Ann. Stat. 9, 130, 1981; no draw is degenerate, as it is
    when few gammas are resampled), places each edge uniformly in its bracket, and takes the weighted least-squares slope.
    The quantiles are widened to Student's with n - 2 degrees of freedom.

    Parameters
    ----------
    edges, edge, window : as for `validation.fit`.
    draws, seed : how many draws, and the generator's seed.

    Returns
    -------
    PowerLawFit : UNDECIDED where `validation.fit` is, below five gammas, or with a censored row, which has no middle.

    Raises
    ------
    Misuse : `validation.fit`'s, or fewer than 100 draws.
    """
    whole("draws", draws, 100)
    found = fit(edges, edge, window)
    if found.outcome is not FitOutcome.FITTED:
        return found
    known: dict[str, Any] = {"edge": found.edge, "window": found.window, "gamma": found.gamma, "n": found.n}
    if found.n < LEAST or found.n_censored:
        return undecided(f"a bootstrap takes {LEAST} gammas and no censored row; {found.n} were given, {found.n_censored} of "
                         "them censored", **known)
    gamma, values = brackets(edges, edge)
    log = np.log10(values[:, np.isin(gamma, found.gamma)])               # (seed, n, 2)
    whole_seed = ~np.isnan(log).any(axis=-1)                             # (seed, n)
    data = rows(edges, edge, found.window)
    # a row that only its seeds' median knows has no seed to draw
    lone = ~whole_seed.any(axis=0)
    log[0, lone, 0], log[0, lone, 1] = data.lower[lone], data.upper[lone]
    whole_seed[0, lone] = True

    rng = np.random.default_rng(seed)
    x = np.log10(found.gamma)
    weight = rng.exponential(size=(draws, found.n))                      # (draw, n)
    share = rng.exponential(size=(draws, *whole_seed.shape)) * whole_seed
    share = share / share.sum(axis=1, keepdims=True)                     # (draw, seed, n)
    low, width = np.where(whole_seed, log[..., 0], 0.0), np.where(whole_seed, log[..., 1] - log[..., 0], 0.0)
    y = (share * (low + width * rng.random(share.shape))).sum(axis=1)    # (draw, n)
    total = weight.sum(axis=1, keepdims=True)
    dx = x - (weight * x).sum(axis=1, keepdims=True) / total
    slopes = (weight * dx * y).sum(axis=1) / (weight * dx * dx).sum(axis=1)
    intervals = []
    for level, normal in ((0.95, 1.959964), (0.90, 1.644854)):
        wider = float(stdtrit(found.n - 2, 0.5 + level / 2)) / normal * float(np.sqrt(found.n / (found.n - 2)))
        ends = np.quantile(slopes, [0.5 - level / 2, 0.5 + level / 2]) - np.median(slopes)
        intervals.append((float(found.exponent + wider * ends[0]), float(found.exponent + wider * ends[1])))
    return replace(found, interval=intervals[0], interval90=intervals[1], method=f"Bayesian bootstrap, {draws} draws")
