"""Train a stack of MLPs as one writes it in JAX: `vmap` over runs within `scan`, two copies of the network and their difference.

Runs in an environment of its own, with jax and numpy alone: reads lines of JSON (width, batch, depth, runs, steps, precision) and answers
each with the wall and CPU seconds of one training, after a first one that compiles.
"""

import json
import os
import sys
import time
from itertools import pairwise

os.environ.setdefault("JAX_ENABLE_X64", "1")

import jax
import jax.numpy as jnp
import numpy as np

PLANS = {}


def plan(width, batch, depth, runs, steps, precision):
    """Return a function that trains once."""
    kind, rng = jnp.dtype(precision), np.random.default_rng(0)
    sizes = [64, *[width] * (depth - 1), 10]
    start = [jnp.array(rng.standard_normal(shape), kind) for shape in pairwise(sizes)]
    x, y = (jnp.array(rng.standard_normal((1797, n)), kind) for n in (64, 10))
    gamma = jnp.array(np.logspace(-5, 0, runs), kind)
    eta = 0.1 * gamma**2
    which = jnp.array(rng.integers(0, 1797, (steps, batch)))

    def apply(theta, h):
        for i, w in enumerate(theta):
            h = (h if i == 0 else jax.nn.relu(h)) @ w / np.sqrt(w.shape[0]).astype(kind)
        return h

    def loss(theta, g, inputs, targets):
        return jnp.mean(((apply(theta, inputs) - apply(start, inputs)) / g - targets) ** 2) / 2

    def step(theta, rows):
        def move(theta, g, e):
            value, slope = jax.value_and_grad(loss)(theta, g, x[rows], y[rows])
            return [w - e * s for w, s in zip(theta, slope, strict=True)], value
        return jax.vmap(move)(theta, gamma, eta)

    train = jax.jit(lambda theta: jax.lax.scan(step, theta, which))
    theta = [jnp.broadcast_to(w, (runs, *w.shape)) for w in start]
    return lambda: jax.block_until_ready(train(theta))


def main():
    """Answer line by line."""
    for line in sys.stdin:
        if line not in PLANS:
            PLANS[line] = plan(**json.loads(line))
            PLANS[line]()
        walls, cpus, begin = [], [], time.perf_counter()
        while not walls or time.perf_counter() - begin < 0.25:
            wall, cpu = time.perf_counter(), time.process_time()
            PLANS[line]()
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        print(json.dumps({"wall": min(walls), "cpu": min(cpus), "version": jax.__version__}), flush=True)


if __name__ == "__main__":
    main()
