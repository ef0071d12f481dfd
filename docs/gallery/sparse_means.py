r"""Sparse means in noise: a task whose best richness is finite, and derived.

Each of K numbers s_k is estimated from n noisy observations. A share of the s_k is standard normal, the others are zero. The network is
the two-sided diagonal one of Woodworth et al. (arXiv 2002.09277, depth 2), f_k = (a_k^2 - b_k^2)/2 times x_k, with a_k = b_k = 1 at
initialization. The inputs are signs, so that x_k^2 = 1 and no f_k feels another. On repeated data gradient flow moves f_k towards the mean
m_k of its observations by df/dtau = 2 sqrt(1 + gamma^2 f^2) (m - f), with tau = eta t/(K gamma^2).

A lazy network shrinks every m_k by the same factor, a rich one removes the small m_k and leaves the large ones as they are. The posterior
mean of s_k lies between: it shrinks small m_k more than large ones, and by a smooth curve. So with the best stopping time the risk is
least at a gamma between. If no s_k is zero, the posterior mean is a uniform shrinkage, and the lazy end is best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from torch import nn

NODES = 61               # of each Gaussian quadrature
DECADES = (-9.0, 3.0)    # of the stopping time tau that are searched


class TwoSided(nn.Module):
    """The network ``f_k(x) = (a_k^2 - b_k^2) x_k/2``; inputs and outputs (batch, K)."""

    def __init__(self, modes: int) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(modes)), nn.Parameter(torch.ones(modes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the outputs, (batch, K)."""
        return x * (self.a * self.a - self.b * self.b) / 2


@dataclass(frozen=True)
class SparseMeans:
    """The task.

    Attributes
    ----------
    modes : K, the numbers to be estimated.
    share : of them that are not zero, standard normal.
    noise : standard deviation of the mean of the `samples` observations; one observation's is sqrt(samples) times that.
    samples : n, observations of repeated data.
    """

    modes: int = 512
    share: float = 0.3
    noise: float = 0.5
    samples: int = 8

    def draw_means(self, seed: int) -> np.ndarray:
        """Return s, (K,)."""
        source = np.random.default_rng([61, seed])
        return source.standard_normal(self.modes) * (source.random(self.modes) < self.share)

    def draw(self, seed: int, part: int, count: int, noisy: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Return inputs and targets, both (count, K) float32, a pure function of the arguments.

        Parameters
        ----------
        seed : of s.
        part : of the data; parts are independent.
        count : of the samples.
        noisy : whether targets are observed with noise.
        """
        source = np.random.default_rng([62, seed, part])
        x = source.choice(np.array([-1.0, 1.0], np.float32), (count, self.modes))
        y = x * self.draw_means(seed)
        if noisy:
            y = y + self.noise * np.sqrt(self.samples) * source.standard_normal(y.shape)
        return torch.from_numpy(x), torch.from_numpy(y.astype(np.float32))

    def compute_risk(self, gamma: float, tau: float) -> float:
        """Return the mean of (f - s)^2 over that of s^2, after a gradient flow of time `tau` on repeated data."""
        z, weight = np.polynomial.hermite_e.hermegauss(NODES)
        weight = weight / weight.sum()
        signal = follow_flow(z[:, None] + self.noise * z, gamma, tau) - z[:, None]           # (s, noise)
        of_signal = weight @ signal**2 @ weight
        of_zero = weight @ follow_flow(self.noise * z, gamma, tau) ** 2
        return float(of_signal + (1 / self.share - 1) * of_zero)

    def find_least_risk(self, gamma: float) -> float:
        """Return the risk at the best stopping time."""
        grid = np.linspace(*DECADES, 97)
        values = [self.compute_risk(gamma, 10**t) for t in grid]
        i = int(np.argmin(values))
        around = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
        return float(min(values[i], minimize_scalar(lambda t: self.compute_risk(gamma, 10**t), bounds=around, method="bounded").fun))

    def find_best_richness(self) -> float:
        """Return the gamma of the least risk at the best stopping time, between 1e-3 and 1e3."""
        decades = np.linspace(-3, 3, 25)
        values = [self.find_least_risk(10**g) for g in decades]
        i = int(np.argmin(values))
        around = decades[max(i - 1, 0)], decades[min(i + 1, len(decades) - 1)]
        return float(10 ** minimize_scalar(lambda g: self.find_least_risk(10**g), bounds=around, method="bounded").x)


def follow_flow(mean: ArrayLike, gamma: float, tau: float) -> np.ndarray:
    """Return f after a time `tau` of gradient flow towards `mean`, of any shape, from f = 0.

    The solution of df/dtau = 2 sqrt(1 + gamma^2 f^2) (mean - f): with gamma f = sinh v, S = gamma mean, R = sqrt(1 + S^2) and
    w = tanh(v/2), R tau = artanh((S w + 1)/R) - artanh(1/R).
    """
    S = gamma * np.asarray(mean, dtype=np.float64)
    safe = np.where(S == 0, 1.0, S)
    R = np.sqrt(1 + safe**2)
    start = np.log((R + 1) / np.abs(safe))                  # artanh(1/R), without cancellation
    w = (R * np.tanh(R * tau + start) - 1) / safe
    return np.where(S == 0, 0.0, 2 * w / (1 - w**2) / gamma)
