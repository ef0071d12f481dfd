"""Modules of the zoo whose operations depend on values: sparse experts, sorting, masks, loops that stop, numbers that are read."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.deepnets.zoo.entry import register

FAMILY = "data-dependent"
N = 24


@register("sparse mixture of experts", FAMILY, "vectors")
class SparseMixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(N, 3)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(N, 6), nn.GELU(), nn.Linear(6, 4)) for _ in range(3))

    def forward(self, x):
        weights, chosen = self.gate(x).softmax(-1).topk(2, -1)
        out = torch.zeros(len(x), 4, dtype=x.dtype, device=x.device)
        for i, expert in enumerate(self.experts):
            row, nth = torch.where(chosen == i)
            out[row] += weights[row, nth, None] * expert(x[row])
        return out


@register("experts with capacity (sort, one_hot)", FAMILY, "vectors")
class Capacity(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(N, 3), nn.Parameter(torch.randn(3, N, 6) / 5), nn.Parameter(torch.randn(3, 6, 4) / 3)

    def forward(self, x):
        p = self.gate(x).softmax(-1)
        order = p.max(-1).values.sort(descending=True).indices
        route = F.one_hot(p.argmax(-1), 3)
        position = torch.empty_like(route)
        position[order] = route[order].cumsum(0)
        route = route * (position <= 4)
        h = torch.einsum("bn,enh,be->beh", x, self.up, route.to(x.dtype))
        return torch.einsum("beh,eho,be->bo", torch.relu(h), self.down, p)


@register("rows selected by a mask", FAMILY, "sequences")
class Selected(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.score, self.head = nn.Linear(8, 8), nn.Linear(8, 1), nn.Linear(8, 4)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        keep = self.score(h)[..., 0] > 0
        of = torch.nonzero(keep)[:, 0]
        return self.head(torch.zeros(len(x), 8, dtype=h.dtype).index_add(0, of, h[keep]) / 4)


@register("argmax and one_hot", FAMILY, "vectors")
class Winner(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        return self.b(F.one_hot(h.argmax(-1), 8).to(h.dtype) * h)


@register("if on a value", FAMILY, "vectors")
class Branch(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        if h.mean() > 0.01:
            h = torch.tanh(h)
        return self.b(h)


@register("a value read (.item)", FAMILY, "vectors")
class Item(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        return self.b(torch.tanh(h / h.abs().max().item()))


@register("loop until it converges (DEQ)", FAMILY, "vectors")
class Equilibrium(nn.Module):
    def __init__(self):
        super().__init__()
        self.inject, self.w, self.head = nn.Linear(N, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        z, injected = torch.zeros(len(x), 8, dtype=x.dtype), self.inject(x)
        with torch.no_grad():
            for _ in range(100):
                last, z = z, torch.tanh(0.5 * self.w(z) + injected)
                if (z - last).norm() < 1e-10:
                    break
        return self.head(torch.tanh(0.5 * self.w(z) + injected))


@register("buckets (bucketize)", FAMILY, "vectors")
class Buckets(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.table, self.head = nn.Linear(N, 6), nn.Parameter(torch.randn(5, 6)), nn.Linear(6, 4)

    def forward(self, x):
        h = self.a(x)
        at = torch.bucketize(h.detach(), torch.tensor([-1.0, -0.3, 0.3, 1.0], dtype=h.dtype))
        return self.head(torch.tanh(h) * self.table.gather(0, at))


@register("unique rows", FAMILY, "tokens")
class Unique(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(6, 8), nn.Linear(8, 4)

    def forward(self, idx):
        values, inverse = torch.unique(idx, return_inverse=True)
        return self.head(torch.tanh(self.embed(values))[inverse].mean(1))


@register("a numpy function inside", FAMILY, "vectors")
class Numpy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        ranks = torch.from_numpy(h.detach().numpy().argsort(1).argsort(1)).to(h.dtype)
        return self.b(torch.tanh(h) * (1 + ranks / 8))
