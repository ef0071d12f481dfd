"""Cost of Hessian-vector products: 32 points of a plane at once and one by one, and the top 20 eigenvalues of a network of 1e5 parameters.

    python tests/benchmarks/hessian_cost.py [--tiny]

Best of several interleaved repetitions, on the CPU, with torch's number of threads (`spectrum` uses one for 1e5 parameters: a second one
helps little where cores are free, and slows down where they are not). One by one is measured twice: as in `spectrum`, where the graph is
kept from product to product, and anew for each product with `torch.func`'s forward-over-reverse.
"""

import argparse
import time

import numpy as np
import torch
from torch.func import grad, jvp

import deepnets
from deepnets.centered.propagation import propagate_pairs
from deepnets.curvature.hessian import Curvature
from deepnets.curvature.points import points_from_stack


def best(function, repeats):
    """Return the least time in seconds of several repetitions."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function()
        found.append(time.perf_counter() - begin)
    return min(found)


def afresh(module, u, gamma, x, y, loss):
    """Return the product by `torch.func`, whose graph is built anew each time."""
    def value(d):
        return loss.value(propagate_pairs(module, d, gamma, (x,))[0], y)
    return lambda v: jvp(grad(value), (u,), (v,))


def batched(points, width, batch, repeats):
    """Return seconds per point and product: all points at once; one by one with the graph kept; one by one anew."""
    module = deepnets.MLP(64, width, 3, 10).build(0).double()
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(batch, 64, generator=source, dtype=torch.float64), torch.randint(0, 10, (batch,), generator=source)
    gamma = np.logspace(-5, 0, points)
    u = {n: 0.3 * torch.randn(points, *p.shape, generator=source, dtype=torch.float64) for n, p in module.named_parameters()}
    together = Curvature(points_from_stack(module, u, gamma, (x, y), "mse", "module"))
    alone = [Curvature(points_from_stack(module, {n: d[i:i + 1] for n, d in u.items()}, gamma[i:i + 1], (x, y), "mse", "module"))
             for i in range(points)]
    made = together.points
    fresh = [afresh(made.module, {n: d[i] for n, d in made.u.items()}, float(gamma[i]), made.x, made.y, made.loss) for i in range(points)]
    v = torch.randn(points, together.n, generator=source, dtype=torch.float64)
    tangents = [{n: torch.randn(d.shape[1:], generator=source, dtype=torch.float64) for n, d in u.items()} for _ in range(points)]
    together(v)
    for i, curvature in enumerate(alone):
        curvature(v[i:i + 1])
    seconds = np.array([(best(lambda: together(v), 1), best(lambda: [c(v[i:i + 1]) for i, c in enumerate(alone)], 1),
                         best(lambda: [f(t) for f, t in zip(fresh, tangents, strict=True)], 1)) for _ in range(repeats)])
    return seconds.min(0) / points


def top(k, width, batch):
    """Return gamma, parameters, seconds, products and largest residual of the k largest eigenvalues."""
    module = deepnets.MLP(64, width, 3, 10).build(0).double()
    source = torch.Generator().manual_seed(0)
    x, y = torch.randn(batch, 64, generator=source, dtype=torch.float64), torch.randint(0, 10, (batch,), generator=source)
    u = {n: 0.3 * torch.randn(p.shape, generator=source, dtype=torch.float64) for n, p in module.named_parameters()}
    rows = []
    for gamma in (1e-6, 1.0, 1e4):
        placed = {n: d / max(1.0, gamma) for n, d in u.items()}
        begin = time.perf_counter()
        found = deepnets.spectrum(deepnets.Centered(module, gamma, "pairs"), placed, (x, y), "mse", k)
        rows.append((gamma, found.attrs["size"], time.perf_counter() - begin, found.attrs["products"], float(found.residuals.max())))
    return rows


def main(arguments=None):
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small networks, few points: whether it works")
    options = parser.parse_args(arguments)
    points, repeats = (4, 2) if options.tiny else (32, 12)
    print(f"Hessian-vector products in float64 of a 64-N-N-10 MLP by pairs, {points} points, {torch.get_num_threads()} threads; "
          "microseconds a point and product\n\n| N | batch | together | one by one, graph kept | ratio | one by one, afresh | ratio |\n"
          "|---|---|---|---|---|---|---|")
    for width, batch in ((8, 8),) if options.tiny else ((32, 32), (64, 32), (64, 128)):
        together, kept, fresh = 1e6 * batched(points, width, batch, repeats)
        print(f"| {width} | {batch} | {together:.0f} | {kept:.0f} | {kept / together:.1f} | {fresh:.0f} | {fresh / together:.1f} |",
              flush=True)
    k, width, batch = (3, 40, 16) if options.tiny else (20, 280, 256)
    print(f"\nTop {k} of the Hessian, batch {batch}\n\n| gamma | parameters | seconds | products | largest residual |\n"
          "|---|---|---|---|---|")
    for gamma, size, seconds, products, residual in top(k, width, batch):
        print(f"| {gamma:g} | {size} | {seconds:.2f} | {products} | {residual:.1e} |", flush=True)


if __name__ == "__main__":
    main()
