"""What products with a Hessian take, counted on tensors without numbers before any is made; knows no Hessian."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from deepnets.curvature.points import Points
from deepnets.memory import Living

FEW, MANY = 2, 32      # samples; as many as there are where they are without numbers


@dataclass(frozen=True)
class Needs:
    """Bytes at the peak of one product: for each sample, and once."""

    sample: int
    shared: int

    def of(self, samples: int) -> int:
        """Return the bytes that so many samples need."""
        return self.shared + samples * self.sample


def needs(products: Callable[[Points], Callable[..., Any]], points: Points, sizes: Sequence[int], shapes: Sequence[torch.Size]) -> Needs:
    """Return what a product takes.

    Parameters
    ----------
    products : makes, for points, the function that takes (vectors by parameter, their shapes).
    points : P of them.
    sizes, shapes : of the parameters.
    """
    B = len(points.x)
    few, many = min(FEW, B), B
    try:
        least, most = (_peak(products, points, sizes, shapes, samples, "meta") for samples in (few, many))
    except Exception:      # a module that insists on numbers
        many = min(B, MANY)
        least, most = (_peak(products, points, sizes, shapes, samples, "cpu") for samples in (few, many))
    if many == few:
        return Needs(-(-most // many), 0)
    # the peak is the larger of several stages', each of which grows evenly: in between it lies below this line
    sample = max(1, -(-(most - least) // (many - few)))
    return Needs(sample, max(0, most - many * sample))


def _peak(products: Callable[[Points], Callable[..., Any]], points: Points, sizes: Sequence[int], shapes: Sequence[torch.Size],
          samples: int, device: str) -> int:
    def like(x: torch.Tensor, n: int | None = None) -> torch.Tensor:
        shape = x.shape if n is None else (n, *x.shape[1:])
        if device == "meta":
            return torch.empty(shape, dtype=x.dtype, device="meta")
        return (x if n is None else x[torch.arange(n) % len(x)]).to(device)

    small = replace(points, module=copy.deepcopy(points.module).to(device), x=like(points.x, samples),
                    y=like(points.y, samples), u={n: like(d) for n, d in points.u.items()},
                    drift={n: like(e) for n, e in points.drift.items()})
    P, dtype = len(points.gamma), next(iter(points.u.values())).dtype
    with torch.enable_grad(), torch.random.fork_rng(devices=[]), Living(device) as living:
        product = products(small)
        product([torch.zeros(P, n, dtype=dtype, device=device) for n in sizes], shapes)
    return living.most
