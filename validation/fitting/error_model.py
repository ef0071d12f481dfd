"""What brackets say of a curve's coefficients when the scatter, and its correlation along the axis, are unknown.

Errors are normal with covariance ``v rho^|i-j|``, the mean distance of neighbours being 1. The variance v is the scatter's and a cell's,
``s^2 + h^2/12``, and never less than the cell's; its prior is flat in log v, which gives Student's interval for points. Networks at
several gammas share weights and batches, and a cell's error drifts along gamma on a lattice: rho is 0 with probability 1/3, and
otherwise has the density ``(1 - rho)^(-1/2)`` up to 0.98. (This prior was chosen on points with rho = 0, 0.2, 0.5 and 0.8; docs/judge.md
has the coverage on other data.) All are averaged over, so that a coefficient follows a mixture of normal distributions, with the
restricted likelihood of Patterson & Thompson (Biometrika 58, 545, 1971).

Seeds: s and rho follow from what sets them apart. Their mean has the variance of independent seeds, or, as likely, any above it: what
the seeds share, such as data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

RHO = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
INDEPENDENT = 1 / 3    # prior probability of rho = 0
VARIANCES, SHARED = 40, 12      # grid points of v, and of what seeds share
LEAST = 0.03           # of the residual variance: a smaller v is out of the question
LEAST_APART = 0.1      # of a cell's variance, the least between seeds: seeds in one cell may differ unseen
NEGLIGIBLE = 1e-7      # weight


def _prior() -> np.ndarray:
    rims = np.concatenate([[0.0], 0.5 * (RHO[1:] + RHO[:-1]), [0.99]])
    # the exact integral of (1 - rho)^(-1/2) over each interval
    mass = -np.diff(np.sqrt(1 - rims))
    mass[0] = 0.0
    mass *= (1 - INDEPENDENT) / mass.sum()
    mass[0] = INDEPENDENT
    return mass


PRIOR = _prior()


@dataclass(frozen=True)
class Mixture:
    """A mixture of normal distributions: weights, means and standard deviations, each of shape (k,)."""

    weight: np.ndarray
    mean: np.ndarray
    sd: np.ndarray

    def below(self, value: float) -> float:
        """Return the probability of lying below a value."""
        return float(self.weight @ ndtr((value - self.mean) / self.sd))

    def quantile(self, q: float) -> float:
        """Return the value below which lies the probability q."""
        # the widest component may be negligible: go outwards from the bulk
        middle = float(self.weight @ self.mean)
        step = float(np.sqrt(self.weight @ (self.sd**2 + (self.mean - middle)**2)))
        low, high = middle - step, middle + step
        while self.below(low) > q:
            low -= step
            step *= 2
        while self.below(high) < q:
            high += step
            step *= 2
        return float(brentq(lambda value: self.below(value) - q, low, high, xtol=1e-6 * (high - low) + 1e-300))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval that holds the probability `level`."""
        return self.quantile(0.5 - 0.5 * level), self.quantile(0.5 + 0.5 * level)

    def excludes_zero_at(self) -> float:
        """Return the highest level at which the central interval leaves out zero."""
        return abs(2 * self.below(0.0) - 1)


def _correlate(places: tuple[float, ...]) -> np.ndarray:
    """Return ``rho^|i-j|`` for every rho, (K, n, n)."""
    x = np.array(places)
    apart = np.abs(x[:, None] - x) / np.mean(np.diff(x))
    return np.stack([rho**apart if rho else np.eye(x.size) for rho in RHO])


@lru_cache(maxsize=256)
def _inverses(places: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the inverse of ``rho^|i-j|`` for every rho, (K, n, n), and the logarithm of its determinant, (K,)."""
    matrices = _correlate(places)
    return np.linalg.inv(matrices), np.linalg.slogdet(matrices)[1]


@lru_cache(maxsize=256)
def _axes(places: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues of ``rho^|i-j|`` for every rho, (K, n), and its eigenvectors, (K, n, n)."""
    values, vectors = np.linalg.eigh(_correlate(places))
    return np.maximum(values, 0.0), vectors


def average_over_errors(x: np.ndarray, middle: np.ndarray, cell: float, columns: np.ndarray, wanted: np.ndarray, shared: bool = True,
                        weight: np.ndarray | None = None, seeds: np.ndarray | None = None) -> list[Mixture]:
    """Return what the data tell of combinations of a curve's coefficients.

    Parameters
    ----------
    x : shape (n,), increasing; only distances count.
    middle : shape (n,), the brackets' middles, means over seeds.
    cell : the brackets' width, root mean square.
    columns : shape (n, p), the curve is their sum with unknown coefficients.
    wanted : shape (m, p), the combinations.
    shared : whether errors may be correlated along x; False: they are independent.
    weight : shape (n,), what a row counts for (a one-sided row less than 1).
    seeds : shape (S, n), each seed's middles, NaN in the rows that are not two-sided in every seed; None: one seed.

    Returns
    -------
    list : a `Mixture` for each combination.
    """
    n = x.size
    few = slice(None) if shared else slice(1)
    inverse, log_det = (part[few] for part in _inverses(tuple(x.tolist())))
    prior = np.log(PRIOR[few]) if shared else np.zeros(1)
    root = np.ones(n) if weight is None else np.sqrt(weight)
    free = max(1.0, (float(n) if weight is None else float(weight.sum())) - columns.shape[1])
    cell2 = max(cell**2 / 12, 1e-24)

    design = columns * root[:, None]
    guess, *_ = np.linalg.lstsq(design, middle * root, rcond=None)
    rest = (middle - columns @ guess) * root                              # small: no cancellation in the sums of squares
    pulled = np.swapaxes(inverse @ design, 1, 2)                        # (K, p, n)
    gram = pulled @ design
    spread = np.linalg.inv(gram)
    shift = np.einsum("kij,kj->ki", spread, pulled @ rest)
    squares = np.einsum("i,kij,j->k", rest, inverse, rest) - np.einsum("ki,ki->k", shift, pulled @ rest)
    squares = np.maximum(squares, 0.0)
    fixed = prior - 0.5 * (log_det + np.linalg.slogdet(gram)[1])        # (K,)

    whole = np.zeros(n, dtype=bool) if seeds is None else np.isfinite(seeds).all(axis=0)
    apart = np.zeros((1, n)) if seeds is None or whole.sum() < 2 else seeds[:, whole] - seeds[:, whole].mean(axis=0)
    count = len(apart)
    seen = [squares.min() / free, squares.max() / free]
    if count > 1:
        seen.append(float(apart.var(axis=1).sum()) / (count - 1))
    # flat in log v, from the cell's to where few degrees of freedom leave a thousandth
    low = max(cell2, LEAST * min(seen))
    v = np.geomspace(low, max(low, *seen) * 10 ** (1 + 8 / free), VARIANCES)
    if count == 1:
        variance = np.broadcast_to(v, (len(log_det), v.size))
        log = fixed[:, None] - 0.5 * (free * np.log(v) + squares[:, None] / v)
    else:
        log, variance = _tell_seeds_apart(apart, cell2, v, x[whole], few)
        log = fixed[:, None, None] + log[:, :, None] - 0.5 * (free * np.log(variance) + squares[:, None, None] / variance)
        log += np.log(np.r_[0.5, np.full(SHARED, 0.5 / SHARED)])
        variance = np.broadcast_to(variance, log.shape).reshape(len(log_det), -1)
        log = log.reshape(len(log_det), -1)
    found = np.exp(log - log.max())
    found /= found.sum()
    k, j = np.nonzero(found > NEGLIGIBLE)
    found = found[k, j] / found[k, j].sum()
    spreads = np.einsum("mi,kij,mj->mk", wanted, spread, wanted)
    means = wanted @ guess + (shift @ wanted.T)
    return [Mixture(found, means[k, m], np.sqrt(spreads[m, k] * variance[k, j])) for m in range(len(wanted))]


def _tell_seeds_apart(apart: np.ndarray, cell2: float, v: np.ndarray, x: np.ndarray, few: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return the log likelihood of what sets seeds apart, (K, V), and the variances that their mean may have, (1, V, 1 + SHARED)."""
    count = len(apart)
    values, vectors = (part[few] for part in _axes(tuple(x.tolist())))
    # (S-1, n): independent of each other, each with one seed's errors
    contrasts = np.linalg.svd(np.eye(count) - 1 / count)[0][:, :count - 1].T @ apart
    turned, level = contrasts @ vectors, vectors.sum(axis=1)             # (K, S-1, n), (K, n)
    # scatter makes the cells' errors of two seeds independent: their correlation is the characteristic function at one cell
    scatter2 = v - cell2
    alike = np.exp(-np.pi**2 / 3 * scatter2 / cell2)
    own = scatter2[None, :, None] * values[:, None] + cell2 * np.maximum(1 - alike, LEAST_APART)[None, :, None]      # (K, V, n)
    flat = np.einsum("kn,kvn->kv", level**2, 1 / own)
    squares = (np.einsum("kcn,kvn->kv", turned**2, 1 / own)
               - (np.einsum("kcn,kn,kvn->kvc", turned, level, 1 / own)**2).sum(axis=-1) / flat)
    log = -0.5 * ((count - 1) * (np.log(own).sum(axis=-1) + np.log(flat)) + squares)
    least = scatter2 / count + cell2 * (alike + (1 - alike) / count)
    return log, least[None, :, None] * np.r_[1.0, np.geomspace(1.0, 100.0, SHARED)]
