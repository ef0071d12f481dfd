"""Modules of the zoo with unusual inputs, outputs and dtypes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from deepnets import wrap
from tests.deepnets.zoo.entry import add, register

FAMILY = "interfaces and dtypes"
N = 24


@register("integer inputs as numbers", FAMILY, "tokens")
class Integers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(12, 8), nn.Linear(8, 4)

    def forward(self, idx):
        return self.b(torch.tanh(self.a(idx.float() / 6 - 0.5)))


@register("one-hot tokens", FAMILY, "tokens")
class OneHot(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12 * 6, 4)

    def forward(self, idx):
        return self.a(F.one_hot(idx, 6).float().flatten(1))


@register("RMS norm that casts to float32", FAMILY, "vectors")
class Casts(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.scale, self.b = nn.Linear(N, 8), nn.Parameter(torch.ones(8)), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        wide = h.to(torch.float32)
        h = self.scale * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(h.dtype)
        return self.b(F.silu(h))


@register("softmax in float32 (dtype=)", FAMILY, "sequences")
class SoftmaxDtype(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.head = *(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 4)

    def forward(self, x):
        p = F.softmax(self.q(x) @ self.k(x).mT / 3, dim=-1, dtype=torch.float32).to(x.dtype)
        return self.head((p @ self.v(x)).mean(1))


@register("a part in float64", FAMILY, "vectors")
class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x).double()
        return self.b(torch.tanh(h - h.logsumexp(-1, keepdim=True)).type_as(x))


@register("a dict as output", FAMILY, "vectors", refusal="dict")
class Dictionary(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        return {"logits": self.b(h), "hidden": h}


@register("a tuple as output", FAMILY, "vectors", refusal="tuple")
class Pair(Dictionary):
    def forward(self, x):
        return tuple(super().forward(x).values())


class SumOfBoth(Dictionary):
    def forward(self, left, right):
        return super().forward(torch.cat([left, right], -1))


add("a dict as output, two inputs, wrapped", FAMILY, "vectors", lambda: wrap(SumOfBoth(), inputs=lambda x: x.chunk(2, -1), output="logits"))


@register("options of the constructor in a dict of modules", FAMILY, "vectors")
class Options(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleDict({"in": nn.Linear(N, 8), "act": nn.SiLU(), "out": nn.Linear(8, 4)})

    def forward(self, x, order=("in", "act", "out")):
        for name in order:
            x = self.layers[name](x)
        return x


add("a layer without use", FAMILY, "vectors", lambda: _Unused())


class _Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.unused = nn.Linear(N, 8), nn.Linear(8, 4), nn.Linear(3, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))
