"""Modules of the zoo that draw random numbers in the forward pass."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.deepnets.zoo.entry import add, register

FAMILY = "random draws"
N = 24


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def draw(self, h):
        raise NotImplementedError

    def forward(self, x):
        return self.b(self.draw(self.a(x)))


def between(layer: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(N, 8), layer, nn.Linear(8, 4))


add("nn.Dropout", FAMILY, "vectors", lambda: between(nn.Dropout(0.3)))
add("nn.Dropout2d", FAMILY, "images", lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.Dropout2d(0.3), nn.Tanh(), nn.AdaptiveAvgPool2d(1),
                                                           nn.Flatten(), nn.Linear(8, 4)))
add("nn.AlphaDropout", FAMILY, "vectors", lambda: between(nn.AlphaDropout(0.3)))
add("nn.RReLU", FAMILY, "vectors", lambda: between(nn.RReLU()))


@register("noise (randn_like)", FAMILY, "vectors")
class Noise(TwoLayers):
    def draw(self, h):
        return torch.tanh(h + 0.1 * torch.randn_like(h))


@register("noise (torch.randn)", FAMILY, "vectors")
class ShapedNoise(TwoLayers):
    def draw(self, h):
        return torch.tanh(h * (1 + 0.1 * torch.randn(h.shape, device=h.device, dtype=h.dtype)))


@register("noise in place (normal_)", FAMILY, "vectors")
class InPlaceNoise(TwoLayers):
    def draw(self, h):
        return torch.tanh(h + torch.empty_like(h).normal_(0, 0.1))


@register("reparametrized samples (VAE)", FAMILY, "vectors")
class Reparametrized(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.log_variance, self.head = nn.Linear(N, 6), nn.Linear(N, 6), nn.Linear(6, 4)

    def forward(self, x):
        deviation = torch.exp(0.5 * self.log_variance(x))
        return self.head(torch.tanh(self.mean(x) + torch.randn_like(deviation) * deviation))


@register("stochastic depth (rand, floor)", FAMILY, "vectors")
class StochasticDepth(TwoLayers):
    def draw(self, h):
        kept = torch.floor(0.8 + torch.rand((h.shape[0], 1), dtype=h.dtype, device=h.device))
        return h + torch.tanh(h) / 0.8 * kept


@register("Bernoulli units of their own probability", FAMILY, "vectors")
class Bernoulli(TwoLayers):
    def draw(self, h):
        p = torch.sigmoid(h)
        return p + (torch.bernoulli(p) - p).detach()


@register("Gumbel softmax, straight-through", FAMILY, "vectors")
class Gumbel(TwoLayers):
    def draw(self, h):
        return F.gumbel_softmax(h, tau=1.0, hard=True)
