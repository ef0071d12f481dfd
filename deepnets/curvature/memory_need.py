"""Count the memory of products with a Hessian before they are computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from deepnets.curvature.points import Points
from deepnets.memory import Living, count_cheaply

FEW, MANY = 2, 32      # samples of two counts; the second is of the whole batch, unless its tensors would be too large


@dataclass(frozen=True)
class Needs:
    """Peak bytes of one product: for each sample, and independent of their number."""

    sample: int
    shared: int

    def of(self, samples: int) -> int:
        """Return the bytes for a number of samples."""
        return self.shared + samples * self.sample


def needs(products: Callable[[Points], Callable[..., Any]], points: Points, sizes: Sequence[int], shapes: Sequence[torch.Size]) -> Needs:
    """Return the memory of one product.

    Parameters
    ----------
    products : points -> the function that computes a product, of (vectors by parameter, their shapes).
    points : P of them.
    sizes, shapes : of the parameters.
    """
    B = len(points.x)

    def count(device: str, limit: int | None) -> list[tuple[int, int]]:
        many = min(B, MANY) if device == "cpu" and limit is None else B
        return [(n, _peak(products, points, sizes, shapes, n, device, limit)) for n in (min(FEW, B), many)]

    (few, least), (many, most) = count_cheaply(count)
    if many == few:
        return Needs(-(-most // many), 0)
    # the peak is the maximum over stages, each linear in the samples: it is convex, and below this line in between
    sample = max(1, -(-(most - least) // (many - few)))
    return Needs(sample, max(0, most - many * sample))


def _peak(products: Callable[[Points], Callable[..., Any]], points: Points, sizes: Sequence[int], shapes: Sequence[torch.Size],
          samples: int, device: str, limit: int | None) -> int:
    def like(x: torch.Tensor, n: int | None = None) -> torch.Tensor:
        shape = x.shape if n is None else (n, *x.shape[1:])
        if device == "meta":
            return torch.empty(shape, dtype=x.dtype, device="meta")
        return (x if n is None else x[torch.arange(n) % len(x)]).to(device)

    small = replace(points, module=copy.deepcopy(points.module).to(device), x=like(points.x, samples),
                    y=like(points.y, samples), u={n: like(d) for n, d in points.u.items()},
                    drift={n: like(e) for n, e in points.drift.items()})
    P, dtype = len(points.gamma), next(iter(points.u.values())).dtype
    with torch.enable_grad(), torch.random.fork_rng(devices=[]), Living(device, limit) as living:
        product = products(small)
        product([torch.zeros(P, n, dtype=dtype, device=device) for n in sizes], shapes)
    return living.most
