"""The lower edge of a lazy network: the least rate whose loss curve, of gradient descent in the kernel, reaches rho in T steps.

With half the squared error the residual's modes are independent, and Lanczos from the targets gives their rates and weights. With the
cross-entropy the outputs follow the gradient flow of the kernel, of which eta T is the time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp

from deepnets.curvature.lanczos import quadrature
from deepnets.losses import Loss
from deepnets.optimizers import Optimizer
from deepnets.run_outcomes import WINDOW

Map = Callable[[torch.Tensor], torch.Tensor]
NODES = 30           # of the quadrature: as 160 to four digits, at T = 200 and 1000
PER_DECADE = 10      # rates of the first scan
FINER = 33           # rates of each of the two that follow within its bracket
SLOWEST = 1e-3       # below the least rate that plain gradient descent can need: momentum needs less
EXACT = 1e-4         # relative error of the flow
POINTS = 200         # at which its loss is kept


@dataclass(frozen=True, eq=False)
class Modes:
    """The residual's modes under gradient descent on half the squared error.

    Attributes
    ----------
    rates : (J,), at least one above 0: eigenvalues of the kernel over the number of outputs.
    weights : (J,), each mode's share of the first loss.
    optimizer : plain gradient descent, or with momentum: its steps are linear in the gradient.
    """

    rates: np.ndarray
    weights: np.ndarray
    optimizer: Optimizer

    @classmethod
    def of(cls, kernel: Map, targets: torch.Tensor, optimizer: Optimizer) -> Modes:
        """Return the modes that the targets (n, ..., K), not all zero, excite, by Lanczos from them."""
        start = targets.reshape(1, -1)
        nodes, weights = quadrature(lambda v: kernel(v[0])[None] / start.numel(), start, NODES)
        return cls(nodes[0].clip(0), weights[0] / weights[0].sum(), optimizer)

    def excess(self, levels: np.ndarray, steps: int) -> np.ndarray:
        """Return the excess, of the mean of the last ten losses, after T steps at each ``eta/gamma**2``; (R,) both."""
        rates, weights, by = torch.from_numpy(self.rates), torch.from_numpy(self.weights), torch.from_numpy(levels)[:, None]
        window = min(WINDOW, steps + 1)
        if not self.optimizer.memories:      # every step has the same factor
            factor = (1 - by * self.optimizer.direction(rates, [], 0)).square()
            times = torch.arange(steps - window + 1, steps + 1)
            return ((factor[:, :, None] ** times).mean(-1) @ weights).numpy()
        residual = torch.ones(len(levels), len(rates), dtype=torch.float64)
        memory = [torch.zeros_like(residual) for _ in range(self.optimizer.memories)]
        total = torch.zeros(len(levels), dtype=torch.float64)
        for step in range(steps + 1):
            if step > steps - window:
                total += residual.square() @ weights
            if step < steps:
                residual = residual - by * self.optimizer.direction(rates * residual, memory, step)
        return (total / window).numpy()

    def find_level(self, steps: int, rho: float) -> float:
        """Return the least ``eta/gamma**2`` below ``2/lambda_1`` whose excess is at most rho after T steps; NaN if there is none."""
        top = 2 / self.rates.max()
        low = SLOWEST * (1 - rho) / (2 * steps * self.rates.max())      # (1 - a lambda)^(2 T) >= 1 - 2 a lambda T
        grid = np.geomspace(low, top, int(PER_DECADE * np.log10(top / low)) + 2)
        for _ in range(3):
            trained = self.excess(grid, steps) <= rho
            if not trained.any() or trained[0]:
                return np.nan
            first = int(np.argmax(trained))
            low, high = grid[first - 1], grid[first]
            grid = np.geomspace(low, high, FINER)
        return float(np.sqrt(low * high))


@dataclass(frozen=True, eq=False)
class FlowCurve:
    """The excess loss along the gradient flow of a kernel with the cross-entropy.

    Attributes
    ----------
    time : (S,), increasing, eta T/gamma**2.
    excess : (S,), decreasing from 1.
    longest_step : the eta/gamma**2 up to which steps follow the flow.
    """

    time: np.ndarray
    excess: np.ndarray
    longest_step: float

    @classmethod
    def of(cls, kernel: Map, targets: torch.Tensor, like: torch.Tensor, loss: Loss, largest: float, steps: int, rho: float) -> FlowCurve:
        """Integrate the flow from the zero output until the excess is rho, or until T of the longest steps have passed.

        Parameters
        ----------
        kernel : ``v (n K) -> K v``.
        targets : as `loss` takes them.
        like : (n, ..., K), like which v is made.
        loss : the cross-entropy.
        largest : the kernel's largest eigenvalue.
        """
        def outputs(f: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(f).to(like).reshape(like.shape)

        def drift(_: float, f: np.ndarray) -> np.ndarray:
            moved: np.ndarray = -kernel(loss.slope(outputs(f), targets).reshape(-1)).double().cpu().numpy()
            return moved

        def value(f: np.ndarray) -> float:
            return float(loss.value(outputs(f), targets))

        # the loss's second derivative in the outputs is at most 1/2 over the number of samples: no step overshoots below
        samples = like.numel() / like.shape[-1]
        longest = 2 * samples / largest
        first = value(np.zeros(like.numel()))

        def reach(_: float, f: np.ndarray) -> float:
            return value(f) / first - 0.9 * rho      # beyond rho, so that it is interpolated

        reach.terminal = True      # type: ignore[attr-defined]
        path = solve_ivp(drift, (0.0, steps * longest), np.zeros(like.numel()), "RK23", dense_output=True, events=reach, rtol=EXACT,
                         atol=EXACT)
        times = np.r_[0.0, np.geomspace(SLOWEST * path.t[-1], path.t[-1], POINTS)]
        return cls(times, np.array([value(path.sol(t)) / first for t in times]), longest)

    def find_level(self, steps: int, rho: float) -> float:
        """Return ``eta/gamma**2`` at which the mean of the last ten excesses is rho; NaN where the flow was not followed that far.

        The mean is taken as the excess in the middle of these steps.
        """
        middle = steps - (min(WINDOW, steps + 1) - 1) / 2
        if not self.excess[-1] <= rho < 1:
            return np.nan
        falling = np.minimum.accumulate(self.excess)
        level = float(np.interp(-np.log(rho), -np.log(falling), self.time)) / middle
        return level if level <= self.longest_step else np.nan
