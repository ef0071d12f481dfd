"""Label noise and Gaussian batches: measured over predicted edges, as the mean over streams with its standard error.

Run it as ``python -m tests.benchmarks.noisy_edges``; it prints ratios, a minute or two on a free machine.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from toymodels import OneParameter, ToyExperiment, TwoParameter
from toymodels.theory.noise_edges import almost_sure_edge, mean_square_edge, noisy_factor
from toymodels.theory.stability import numeric_sharpness
from validation import trace

LAZY = 1e-4


def measure_edge(model, gamma, steps=100_000, rho=0.01, noise=0.0, batch=None, seeds=16, reach=2.5):
    """Return the traced eta_max times the sharpness at the minimum, for each stream (seeds,)."""
    sharpness = numeric_sharpness(model, gamma)
    middle = noisy_factor(rho, noise, batch) / sharpness

    def one(seed):
        experiment = ToyExperiment(model, "mse", "sgd", steps, rho=rho, noise=noise, batch=batch, seed=seed)
        edges = trace(experiment, [gamma], "eta_max", rtol=1e-3, eta=(middle / reach, middle * reach), per_decade=20)
        return float(edges["eta"].mean("bound").item()) * sharpness

    with ThreadPoolExecutor(2) as pool:
        return np.array(list(pool.map(one, range(seeds))))


def measure_excess(model, gamma, a, noise, steps=100_000, seeds=16):
    """Return the stationary excess at ``eta h = a``, the mean over the last half of each stream (seeds,)."""
    from toymodels import trajectory

    eta = a / numeric_sharpness(model, gamma)
    return np.array([float(trajectory(model, "mse", "sgd", gamma, eta, steps, noise=noise, seed=s)["excess"][steps // 2:].mean())
                     for s in range(seeds)])


def measure_mean_square(batch, streams=400_000):
    """Return ``eta h`` at which the mean square of an ensemble neither grows nor shrinks in one step, and its standard error.

    One step, since the mean of a product of many factors with heavy tails does not converge.
    """
    from toymodels.randomness import draw_batch_factors

    m = draw_batch_factors(0, streams, batch)
    second = (m**2).mean() / m.mean()
    return 2 / second, 2 / second**2 * (m**2).std() / np.sqrt(streams)


def show(name, found, predicted):
    """Print one ratio."""
    ratio = found / predicted
    print(f"{name:<52} {ratio.mean() - 1:+.4f} +- {ratio.std(ddof=1) / np.sqrt(len(ratio)):.4f}  ({len(ratio)} streams)", flush=True)


def main(quick=False):
    """Print every ratio."""
    for sigma in (0.03, 0.1, 0.3, 1.0):
        a = noisy_factor(0.01, sigma, None)
        show(f"stationary excess, sigma = {sigma}, eta h = {a:.3g}", measure_excess(OneParameter(1), LAZY, a, sigma, seeds=32),
             a * sigma**2 / (2 - a))
    for sigma in (0.03, 0.1, 0.3, 1.0):
        for model in (OneParameter(1), OneParameter(3)):
            found = measure_edge(model, LAZY, noise=sigma, seeds=64 if sigma == 1 else 16)      # eta h is small: few independent times
            show(f"eta_max, sigma = {sigma}, L = {model.depth}, lazy", found, noisy_factor(0.01, sigma, None))
    for batch in (1, 2, 4, 16, 64, 256):
        found, error = measure_mean_square(batch)
        print(f"mean-square edge, B = {batch:<34} {found / mean_square_edge(batch) - 1:+.4f} +- {error / mean_square_edge(batch):.4f}")
    for batch in (1, 4, 16, 64, 256):
        show(f"eta_max, B = {batch}, L = 1", measure_edge(OneParameter(1), 1.0, batch=batch, seeds=8), almost_sure_edge(batch))
    if quick:
        return
    for model in (OneParameter(2), OneParameter(3), OneParameter(5), TwoParameter()):
        for gamma in (1e-2, 1e-1, 1.0, 10.0, 1e3):
            name = f"two, gamma = {gamma:g}" if isinstance(model, TwoParameter) else f"L = {model.depth}, gamma = {gamma:g}"
            for sigma in (0.1, 1.0):
                found = measure_edge(model, gamma, noise=sigma, seeds=6, reach=8)
                show(f"eta_max, sigma = {sigma}, {name}", found, noisy_factor(0.01, sigma, None))
            for batch in (1, 16):
                show(f"eta_max, B = {batch}, {name}", measure_edge(model, gamma, batch=batch, seeds=6, reach=8), almost_sure_edge(batch))


if __name__ == "__main__":
    main("quick" in sys.argv)
