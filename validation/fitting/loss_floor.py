"""Fit ``L = E + A t^-b``, a power law of the loss over time that ends on a floor, to means in bins of log time.

The data are means of log10 loss over the steps of each bin, and the law is averaged over the same steps. Neighbouring steps are
correlated, so that a bin's mean is known the better, the more correlation times it holds: the covariance of the bins is that of white
noise and an AR(1) process, with the variance, the first autocorrelation and the integrated correlation time of the steps' residuals.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.stats import f as fisher

NODES = 8           # of the quadrature over a bin's steps
LEAST_BINS = 6
FINEST = 1e-5       # decades, the least scatter of a step: what the quadrature does not resolve
FLATTEST, STEEPEST = 1e-6, 20.0     # b; beyond, an interval is open
NONE = 1e-7         # of the least loss: a floor that is none
ALL = (True, True, True)


@dataclass(frozen=True)
class Bins:
    """Steps in bins of log time.

    Attributes
    ----------
    x, y : (steps,), log10 of time and loss.
    of : (steps,), the bin of each step, without gaps.
    """

    x: np.ndarray
    y: np.ndarray
    of: np.ndarray

    @property
    def count(self) -> np.ndarray:
        """Steps in each bin, (n,)."""
        return np.bincount(self.of)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the means of values (steps,) over each bin, (n,)."""
        return np.bincount(self.of, values) / self.count


class FloorLaw:
    """E + A t^-b, E >= 0 and b > 0, fitted to bins by generalized least squares; intervals are computed when they are needed.

    The residuals' scale is 1 or, if larger, that of the bins about the law. Fisher's F with the bins' degrees of freedom gives the cuts.

    Attributes
    ----------
    exponent, floor : -b and E.
    centre, level : log10 t, and log10 A t^-b there.
    scatter : standard deviation of log10 loss of a bin about the law.
    straight : p of the power law without a floor.
    down : p of it against a curve that falls ever faster, which no floor explains.
    local : local exponents at both ends of the window, of the parabola through the bins.
    """

    def __init__(self, bins: Bins, independent: bool = False):
        """Fit the law; `independent` rows, of a run each, have one unknown variance in place of the covariance of neighbouring steps."""
        covariance = _equal_variances if independent else _covariance
        self._law = law = _Law(bins)
        n = bins.count.size
        spare = n - 3
        law.whiten(covariance(bins, bins.y - np.polyval(np.polyfit(law.x, law.y, 3), bins.x)))
        line, (parabola, cost) = law.polynomial(1), law.polynomial(2)
        self.down = float(fisher.sf((line[1] - cost) / max(1.0, cost / spare), 1, spare)) if parabola[0] < 0 else 1.0
        best = law.search()
        for _ in range(2):      # the covariance is that of the residuals about the law, on which it hardly depends
            law.whiten(covariance(bins, bins.y - law.steps(best)))
            best = law.descend(best, ALL)
        self._best, self._cost = best, law.cost(best)
        self._scale, self._spare = max(1.0, self._cost / spare), spare
        self.straight = float(fisher.sf(max(law.polynomial(1)[1] - self._cost, 0.0) / self._scale, 1, spare))
        parabola = law.polynomial(2)[0]
        self.local = float(np.polyval(np.polyder(parabola), law.x[0])), float(np.polyval(np.polyder(parabola), law.x[-1]))
        self.exponent, self.floor = -float(best[1]), float(np.exp(best[2])) if best[2] > law.least else 0.0
        self.centre, self.level = law.x0, float(best[0] / np.log(10))
        rest = bins.mean(bins.y - law.steps(best))
        self.scatter = float(np.sqrt(rest @ rest / spare))

    def _threshold(self, level: float) -> float:
        return self._cost + self._scale * float(fisher.ppf(level, 1, self._spare))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return (low, high) of the exponent -b by the profile likelihood; low is infinite where b is not bounded."""
        ends = [self._law.end(self._best, 1, self._threshold(level), limit) for limit in (STEEPEST, FLATTEST)]
        return -ends[0], -ends[1]

    def floor_interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return (low, high) of E; low is 0 where the data do not exclude it."""
        low, high = (self._law.end(self._best, 2, self._threshold(level), limit) for limit in (self._law.least, self._law.most))
        return float(np.exp(low)) if low > self._law.least else 0.0, float(np.exp(high))


class _Law:
    """ln of A t^-b at the middle of the window, b and ln E: parameters (3,), with the law's means over bins and their least squares."""

    def __init__(self, bins: Bins):
        self.bins = bins
        self.x, self.y = bins.mean(bins.x), bins.mean(bins.y)
        self.x0 = float(self.x.mean())
        self.least, self.most = (float(np.log(10) * self.y.min() + np.log(f)) for f in (NONE, 10.0))
        first = np.concatenate([[0], np.cumsum(bins.count)])
        nodes, weights = zip(*(_quadrature(int(c)) for c in bins.count), strict=True)
        at = np.array(nodes) + first[:-1, None]
        # time between two steps, for nodes that are none
        self.u = np.log10(np.interp(at, np.arange(bins.x.size), 10**bins.x)) - self.x0            # (n, NODES)
        self.weights = np.array(weights)

    def whiten(self, cov: np.ndarray) -> None:
        self.white = np.linalg.inv(np.linalg.cholesky(cov))
        self.target = self.white @ self.y

    def steps(self, p: np.ndarray) -> np.ndarray:
        """Return the law at every step."""
        return np.log10(np.exp(p[0] - np.log(10) * p[1] * (self.bins.x - self.x0)) + np.exp(p[2]))

    def residuals(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the whitened residuals (n,) and their derivatives by the parameters (n, 3)."""
        power = p[0] - np.log(10) * p[1] * self.u
        both = np.logaddexp(power, p[2])
        share = np.exp(power - both)                                                              # of the power law in the loss
        weighted = self.weights * share
        level = weighted.sum(1)
        columns = np.stack([level / np.log(10), -np.einsum("nk,nk->n", weighted, self.u), (1 - level) / np.log(10)], axis=1)
        mean = np.einsum("nk,nk->n", self.weights, both) / np.log(10)
        return self.white @ mean - self.target, self.white @ columns

    def cost(self, p: np.ndarray) -> float:
        rest = self.residuals(p)[0]
        return float(rest @ rest)

    def polynomial(self, degree: int) -> tuple[np.ndarray, float]:
        """Return the polynomial in log10 t through the bins, and its cost."""
        columns = self.white @ np.vander(self.x, degree + 1)
        c, *_ = np.linalg.lstsq(columns, self.target, rcond=None)
        rest = columns @ c - self.target
        return c, float(rest @ rest)

    def search(self) -> np.ndarray:
        """Return the best parameters: a scan of b and of the floor's share at the last bin, then descents from the three best."""
        b, ratio = (grid.ravel() for grid in np.meshgrid(np.geomspace(0.05, 4, 14), np.log([1e-4, 0.03, 0.1, 0.3, 1, 3, 10, 100])))
        power = -np.log(10) * b[:, None, None] * self.u
        floor = ratio - np.log(10) * b * self.u[-1, -1]
        mean = (self.weights * np.logaddexp(power, floor[:, None, None])).sum(2) / np.log(10) @ self.white.T      # (scan, n)
        one = self.white.sum(1)
        level = (self.target - mean) @ one / (one @ one)
        cost = ((self.target - mean - level[:, None] * one)**2).sum(1)
        starts = [np.array([np.log(10) * level[i], b[i], floor[i] + np.log(10) * level[i]]) for i in np.argsort(cost)[:3]]
        line = self.polynomial(1)[0]
        starts.append(np.array([np.log(10) * np.polyval(line, self.x0), max(-line[0], 1e-3), self.least]))
        return min((self.descend(p, ALL) for p in starts), key=self.cost)

    def descend(self, p: np.ndarray, free: tuple[bool, ...], rounds: int = 60) -> np.ndarray:
        """Return the parameters of least cost, by Levenberg and Marquardt's method; those that are not free stay."""
        low, high = np.array([-np.inf, FLATTEST, self.least]), np.array([np.inf, STEEPEST, self.most])
        p = np.clip(p, low, high)
        rest, slopes = self.residuals(p)
        cost, damping = float(rest @ rest), 1e-3
        for _ in range(rounds):
            gradient = slopes.T @ rest
            move = np.array(free) & ~((p <= low) & (gradient > 0)) & ~((p >= high) & (gradient < 0))      # not out of bounds
            gradient, gram = gradient[move], slopes[:, move].T @ slopes[:, move]
            tried = p.copy()
            tried[move] -= np.linalg.solve(gram + damping * np.diag(gram.diagonal() + 1e-12), gradient)
            tried = np.minimum(np.maximum(tried, low), high)
            if abs(gradient @ (p - tried)[move]) < 1e-5 + 1e-7 * cost:      # nothing is to be gained
                break
            new_rest, new_slopes = self.residuals(tried)
            new = float(new_rest @ new_rest)
            if new < cost:
                p, rest, slopes, cost, damping = tried, new_rest, new_slopes, new, max(0.1 * damping, 1e-9)
            else:
                damping *= 8
        return p

    def end(self, best: np.ndarray, which: int, cut: float, limit: float) -> float:
        """Return where the profile of one parameter crosses the cut on the limit's side; the limit, or infinity for b, if nowhere."""
        _, slopes = self.residuals(best)
        others = np.delete(slopes, which, axis=1)
        alone = slopes[:, which] - others @ np.linalg.lstsq(others, slopes[:, which], rcond=None)[0]
        error = np.sqrt((cut - self.cost(best)) / max(float(alone @ alone), 1e-12))
        side = np.sign(limit - best[which])
        step = side * float(np.clip(error, 1e-9, 4.0 if which == 2 else 1.0))      # there already, if the cost were a parabola
        state, inside, below = best, float(best[which]), self.cost(best) - cut
        while inside != limit:
            outside = inside + step if (limit - inside - step) * side > 0 else limit
            moved = self.fix(state, which, outside)
            above = self.cost(moved) - cut
            if above > 0:
                break
            state, below, step = moved, above, 0.5 * step if inside == best[which] else 2 * step
            inside = outside
        else:
            return np.inf if limit == STEEPEST else 0.0 if limit == FLATTEST else limit
        for turn in range(30):      # regula falsi, in the form named after Illinois; a bisection every third time
            if abs(outside - inside) <= 1e-3 * abs(outside - best[which]):
                break
            middle = (inside * above - outside * below) / (above - below) if turn % 3 < 2 else 0.5 * (inside + outside)
            tried = self.fix(state, which, middle)
            excess = self.cost(tried) - cut
            if excess > 0:
                outside, above, below = middle, excess, 0.5 * below
            else:
                state, inside, below, above = tried, middle, excess, 0.5 * above
        return float(outside)

    def fix(self, p: np.ndarray, which: int, value: float) -> np.ndarray:
        """Return the parameters of least cost with one of them fixed, by a descent from p: along a profile, its neighbour's."""
        start = p.copy()
        start[which] = value
        return self.descend(start, tuple(i != which for i in range(3)))


def _quadrature(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (NODES,), and weights, whose weighted sum is the mean over 0 .. count - 1 of any polynomial of degree 2 NODES - 1.

    It is Gauss's, of the discrete Chebyshev polynomials (Golub & Welsch 1969; the recurrence: DLMF 18.22). Few steps are their own nodes.
    """
    if count <= NODES:
        rest = np.zeros(NODES - count)
        return np.concatenate([np.arange(count), rest]), np.concatenate([np.full(count, 1 / count), rest])
    k = np.arange(1, NODES)
    beta = k**2 * (count**2 - k**2) / (4 * (4 * k**2 - 1))
    at, vectors = np.linalg.eigh(np.diag(np.full(NODES, 0.5 * (count - 1))) + np.diag(np.sqrt(beta), 1) + np.diag(np.sqrt(beta), -1))
    return at, vectors[0]**2


def _covariance(bins: Bins, rest: np.ndarray) -> np.ndarray:
    """Return the covariance of the bins' means, from residuals (steps,) whose size is a power of time."""
    count = bins.count
    size = np.sqrt(np.maximum(bins.mean(rest**2), FINEST**2))
    dx = bins.mean(bins.x) - bins.x.mean()
    trend, level = np.polyfit(dx, np.log10(size), 1, w=np.sqrt(count))
    # late bins hold most steps: a trend that may be chance is not carried on to the early ones
    chance = np.sqrt(correlation_time(rest / size[bins.of], 3.0) / 2 / (count @ dx**2)) / np.log(10)
    trend *= max(0.0, 1 - (2 * chance / trend)**2) if trend else 0.0
    size = np.maximum(10 ** (level + trend * dx), FINEST)
    scaled, n = rest / size[bins.of], rest.size
    near = float(scaled[1:] @ scaled[:-1] / (scaled @ scaled))
    near = float(np.clip(near + (1 + 4 * near) / n, 0.0, 1 - 2 / n))          # its bias beside a fitted trend (Kendall 1954)
    time = correlation_time(scaled, 3.0)
    loss = 1 - min(3 * time / n, 0.5)      # the law's three parameters follow the noise: it is larger and longer than the residuals
    time = max(time / loss, (1 + near) / (1 - near))
    # the time's own squared error is 2 (2 M + 1)/n of itself for a sum over M lags (Sokal 1997), here 3 times as many as the time
    wider = 1 / loss + 2 * (6 * time + 1) / n
    # white noise and an AR(1) process, with the residuals' first autocorrelation and the integrated time: differences of neighbouring
    # steps depend on the one, means of many steps on the other
    r = 1 - 2 * near / (time - 1) if near > 0 else 0.0
    share = near / r if r > 0 else 1.0
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    fall = (1 - r**count) / (1 - r)
    gap = start[None, :] - (start + count - 1)[:, None]                      # from the last step of one to the first of a later one
    cov = np.where(gap > 0, r ** np.maximum(gap, 0.0) * fall[:, None] * fall, 0.0)
    cov = cov + cov.T + np.diag(count * (1 + r) / (1 - r) - 2 * r * (1 - r**count) / (1 - r)**2)
    return (share * cov + np.diag((1 - share) * count)) * np.outer(size / count, size / count) * wider


def _equal_variances(bins: Bins, rest: np.ndarray) -> np.ndarray:
    """Return the covariance of rows that are independent, at the least scatter: the residuals' scale is fitted."""
    return FINEST**2 * np.eye(bins.count.size)


def correlation_time(rest: np.ndarray, times: float = 5.0) -> float:
    """Return the integrated correlation time, 1 + 2 sum of the autocorrelations, in steps; at least 1.

    The sum ends at the first lag that is `times` the sum so far (Sokal's rule).
    """
    n = rest.size
    rest = rest - rest.mean()
    acf = irfft(np.abs(rfft(rest, next_fast_len(2 * n, True)))**2)[:n]
    lags = 2 * np.cumsum(acf / max(acf[0], 1e-300)) - 1
    window = np.flatnonzero(np.arange(n) >= times * lags)
    return float(np.clip(lags[window[0]] if window.size else n / times, 1.0, n / times))
