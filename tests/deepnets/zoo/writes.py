"""Modules of the zoo that write: into views, masks, plain tensors and buffers of their own."""

from __future__ import annotations

import torch
from torch import nn

from tests.deepnets.zoo.entry import register

FAMILY = "writes"
N = 24


class TwoLayers(nn.Module):
    """Two linear layers; a subclass writes between them."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def write(self, h):
        raise NotImplementedError

    def forward(self, x):
        return self.b(self.write(self.a(x)))


@register("h[:, :4].mul_(2)", FAMILY, "vectors")
class View(TwoLayers):
    def write(self, h):
        h[:, :4].mul_(0.2)
        return torch.tanh(h)


@register("h.view(-1).clamp_()", FAMILY, "vectors")
class Flat(TwoLayers):
    def write(self, h):
        h.view(-1).clamp_(-0.3, 0.5)
        return h


@register("h[h < 0] = 0", FAMILY, "vectors")
class Mask(TwoLayers):
    def write(self, h):
        h[h < 0] = 0.0
        return h


@register("h[h < 0] *= 0.1", FAMILY, "vectors")
class LeakyMask(TwoLayers):
    def write(self, h):
        h[h < 0] *= 0.1
        return h


@register("masked_scatter_ and masked_fill_", FAMILY, "vectors")
class MaskedScatter(TwoLayers):
    def write(self, h):
        h = h.clone()
        h.masked_fill_(h > 0.8, 0.8)
        h.masked_scatter_(h < -0.5, torch.tanh(h)[h < -0.5])
        return h


@register("a unit of a transposed view", FAMILY, "vectors")
class Transposed(TwoLayers):
    def write(self, h):
        t = h.t()
        t[2] += t[3].detach()
        t.narrow(0, 4, 2).sigmoid_()
        return h


@register("a pair in an empty tensor", FAMILY, "vectors")
class Empty(TwoLayers):
    def write(self, h):
        out = torch.zeros(len(h), 8, dtype=h.dtype)
        out[:, :4] = torch.relu(h[:, 4:])
        out[:, 4:] = torch.tanh(h[:, :4])
        return out


@register("plain.add_(h)", FAMILY, "vectors")
class AddToPlain(TwoLayers):
    def write(self, h):
        total = torch.zeros(h.shape[0], 8, dtype=h.dtype, device=h.device)
        total.add_(h).add_(h.square(), alpha=0.1)
        return total


@register("index_add_, scatter_ and copy_", FAMILY, "vectors")
class IndexAdd(TwoLayers):
    def write(self, h):
        out = torch.zeros_like(h)
        out.index_add_(1, torch.tensor([1, 0, 3, 2, 5, 4, 7, 6]), torch.tanh(h))
        out.scatter_(1, torch.zeros(len(h), 1, dtype=torch.long), h[:, 2:3])
        out[:, 7].copy_(h[:, 0])
        return out


@register("buffer in place", FAMILY, "vectors")
class BufferInPlace(TwoLayers):
    def __init__(self):
        super().__init__()
        self.register_buffer("running", torch.zeros(8))

    def write(self, h):
        with torch.no_grad():
            self.running.mul_(0.7).add_(0.3 * h.mean(0))
        return torch.tanh(h - self.running)


@register("buffer through .data", FAMILY, "vectors")
class BufferThroughData(BufferInPlace):
    def write(self, h):
        self.running.data = 0.7 * self.running.data + 0.3 * h.data.mean(0)
        return torch.tanh(h - self.running)


@register("buffer by copy_", FAMILY, "vectors")
class BufferByCopy(BufferInPlace):
    def write(self, h):
        self.running.copy_(0.7 * self.running + 0.3 * h.detach().mean(0))
        return torch.tanh(h - self.running)


@register("buffer by assignment", FAMILY, "vectors")
class BufferByAssignment(BufferInPlace):
    def write(self, h):
        self.running = 0.7 * self.running + 0.3 * h.detach().mean(0)
        return torch.tanh(h - self.running)


@register("batch renormalisation with a counter", FAMILY, "vectors")
class Counter(BufferInPlace):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.tensor(0))

    def write(self, h):
        self.count += 1
        self.running += (h.detach().mean(0) - self.running) / self.count
        return torch.tanh(h - self.running)


@register("a memory that is no buffer", FAMILY, "vectors")
class Memory(TwoLayers):
    def __init__(self):
        super().__init__()
        self.last = None

    def write(self, h):
        out = torch.tanh(h if self.last is None else h + 0.5 * self.last)
        self.last = h.detach().mean(0)
        return out


@register("straight-through, detach", FAMILY, "vectors")
class StraightDetach(TwoLayers):
    def write(self, h):
        soft = torch.tanh(h)
        return soft + (torch.round(2 * soft) / 2 - soft).detach()


@register("straight-through, .data", FAMILY, "vectors")
class StraightData(TwoLayers):
    def write(self, h):
        out = torch.tanh(h)
        out.data = torch.round(2 * out.data) / 2
        return out


@register("straight-through, .data.copy_", FAMILY, "vectors")
class StraightCopy(TwoLayers):
    def write(self, h):
        out = torch.tanh(h)
        out.data.copy_(out.data.sign() * out.data.abs().mean())
        return out


@register("vector quantization (argmin, running codebook)", FAMILY, "vectors")
class Quantizer(TwoLayers):
    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.randn(6, 8))

    def write(self, h):
        at = torch.cdist(h.detach(), self.codes).argmin(1)
        chosen = self.codes[at]
        with torch.no_grad():
            self.codes.lerp_(self.codes.index_add(0, at, 0.1 * (h - chosen)), 0.5)
        return h + (chosen - h).detach() + 0.2 * h


@register("a weight clamped in the forward pass", FAMILY, "vectors", refusal="write into its parameters")
class ClampedWeight(TwoLayers):
    def write(self, h):
        with torch.no_grad():
            self.b.weight.clamp_(-0.2, 0.2)
        return torch.tanh(h)


@register("a weight clamped through .data", FAMILY, "vectors", refusal="write into its parameters")
class ClampedData(TwoLayers):
    def write(self, h):
        self.b.weight.data = self.b.weight.data / self.b.weight.data.norm(dim=1, keepdim=True).clamp(min=0.5)
        return torch.tanh(h)
