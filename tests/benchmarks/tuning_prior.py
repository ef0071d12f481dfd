"""Estimate what `deepnets.tune`'s surrogate expects before it observes anything, from the measured planes.

Run ``python -m tests.benchmarks.tuning_prior`` to print the constants of greatest likelihood over points of the twenty planes that were
known; `deepnets.tuning.surrogate` has them, rounded. A minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from deepnets.tuning.search import REACH, SHORT
from deepnets.tuning.surrogate import APART, COMMON, DEPTH, FAR, NOISE, SATURATION, VALLEY, WIDTH, matern
from tests.benchmarks.tuning_regret import KNOWN_CASES, Plane, read_planes

POINTS, STARTS, RATES = 60, (0, 3, 6), (-2.6, 0.3)      # drawn about each of some starts; decades over the ridge
ROUNDS = 30                                             # of the optimizer


@dataclass(frozen=True)
class Sample:
    """Points (n, 2) of a plane in the coordinates of the search, and saturated excesses (2n,), of full runs and then of short ones."""

    power: int
    points: np.ndarray
    excess: np.ndarray


def draw_samples(planes: dict[str, Plane]) -> list[Sample]:
    """Draw points of each plane about three of its starts."""
    source, samples = np.random.default_rng(0), []
    for plane in planes.values():
        least = [float(plane.read_all(share).min()) for share in (1, SHORT)]
        for repetition in STARTS:
            start = plane.start(repetition)
            points = np.array([source.uniform(-REACH[0], REACH[0], POINTS), source.uniform(*RATES, POINTS)]).T
            gammas = start.gamma * 10 ** points[:, 0]
            etas = np.array([start.edge(g) * 10**y for g, y in zip(gammas, points[:, 1], strict=True)])
            inside = np.all([plane.gamma[0] < np.log10(gammas), np.log10(gammas) < plane.gamma[-1],
                             plane.eta[0] < np.log10(etas), np.log10(etas) < plane.eta[-1]], axis=0)
            logs = [np.log([plane.read(g, e, share) for g, e in zip(gammas[inside], etas[inside], strict=True)]) - np.log(best)
                    for share, best in zip((1, SHORT), least, strict=True)]
            samples.append(Sample(start.power, points[inside], SATURATION * -np.expm1(-np.concatenate(logs) / SATURATION)))
    return samples


def compute_loss(constants: Sequence[float], samples: Sequence[Sample]) -> float:
    """Return the negative log likelihood of a point, of constants in the order of `collect_constants`."""
    far, depth, valley, width = constants[0:2], constants[2:4], dict(zip((2, 1), constants[4:6], strict=True)), constants[6]
    common, apart, noise = (np.exp(constants[i:j]) for i, j in ((7, 10), (10, 13), (13, 14)))
    total = 0.0
    for sample in samples:
        bump = np.exp(-((sample.points[:, 1] - valley[sample.power]) / width) ** 2 / 2)
        rest = sample.excess - np.concatenate([far[f] - depth[f] * bump for f in (1, 0)])
        shared, own = matern(sample.points, sample.points, *common), matern(sample.points, sample.points, *apart)
        covariance = np.block([[shared + own, shared], [shared, shared]]) + (noise[0] ** 2 + 1e-8) * np.eye(len(rest))
        factor = np.linalg.cholesky(covariance)
        total += 0.5 * float(np.sum(np.linalg.solve(factor, rest) ** 2)) + float(np.sum(np.log(np.diag(factor))))
    return total / sum(len(s.excess) for s in samples)


def collect_constants() -> np.ndarray:
    """Return the surrogate's constants: means, valleys and width, then logarithms of the kernels' and the noise."""
    return np.array([*FAR, *DEPTH, *VALLEY.values(), WIDTH, *np.log([*COMMON, *APART, NOISE])])


if __name__ == "__main__":
    drawn = draw_samples(read_planes(KNOWN_CASES))
    found = minimize(compute_loss, collect_constants(), args=(drawn,), method="L-BFGS-B", options={"maxiter": ROUNDS})
    print("FAR {:.2f} {:.2f}, DEPTH {:.2f} {:.2f}, VALLEY {:.2f} {:.2f}, WIDTH {:.2f}".format(*found.x[:7]))
    print("COMMON {:.2f} {:.2f} {:.2f}, APART {:.2f} {:.2f} {:.2f}, NOISE {:.3f}".format(*np.exp(found.x[7:])))
    print(f"negative log likelihood of a point: {found.fun:.4f}, of the stored constants {compute_loss(collect_constants(), drawn):.4f}")
