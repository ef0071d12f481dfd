"""Networks that hold what pairs do not take, of digits (batch, 64); a plain float64 loop of two copies as their oracle."""

import copy

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from deepnets import tasks
from deepnets.losses import as_loss

DIGITS = tasks.digits()


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(64, 12), nn.Linear(12, 10)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.r, self.o = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 10)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x.reshape(-1, 8, 8), torch.full((len(x),), 6), batch_first=True)
        return self.o(self.r(packed)[1][0][-1])


class Experts(nn.Module):
    """A sparse mixture: how many samples an expert has depends on the gate."""

    def __init__(self):
        super().__init__()
        self.gate, self.experts = nn.Linear(64, 3), nn.ModuleList(nn.Linear(64, 10) for _ in range(3))

    def forward(self, x):
        weight, chosen = self.gate(x).softmax(-1).topk(2, -1)
        out = torch.zeros(len(x), 10, dtype=x.dtype)
        for k, expert in enumerate(self.experts):
            row, which = (chosen == k).nonzero(as_tuple=True)
            if len(row):
                out.index_add_(0, row, weight[row, which, None] * expert(x[row]))
        return out


class OwnAverage(Plain):
    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(12))

    def forward(self, x):
        h = self.a(x)
        if self.training:
            self.average.mul_(0.9).add_(0.1 * h.mean(0).detach())
        return self.b(torch.tanh(h - self.average))


class OwnAverageByData(OwnAverage):
    def forward(self, x):
        h = self.a(x)
        self.average.data = 0.9 * self.average.data + 0.1 * h.mean(0).data
        return self.b(torch.tanh(h - self.average))


class KeptTensor(Plain):
    def __init__(self):
        super().__init__()
        self.average = torch.zeros(12)

    def forward(self, x):
        h = self.a(x)
        self.average = 0.9 * self.average + 0.1 * h.mean(0).detach()
        return self.b(torch.tanh(h - self.average))


class Counts(Plain):
    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1 + 1 / self.calls)


class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g / 2


class OwnGradient(Plain):
    def forward(self, x):
        return self.b(Halved.apply(self.a(x)))


class StraightThrough(Plain):
    def forward(self, x):
        h = self.a(x)
        h.data.clamp_(-0.3, 0.3)
        return self.b(h)


class Spectral(nn.Module):
    """A complex parameter in Fourier space."""

    def __init__(self):
        super().__init__()
        self.w, self.o = nn.Parameter(0.2 * torch.randn(33, dtype=torch.cfloat)), nn.Linear(64, 10)

    def forward(self, x):
        return self.o(torch.tanh(torch.fft.irfft(torch.fft.rfft(x) * self.w, n=64)))


class Checkpointed(Plain):
    def forward(self, x):
        return self.b(checkpoint(lambda z: torch.tanh(z), self.a(x), use_reentrant=True))


class Noisy(Plain):
    def forward(self, x):
        h = nn.functional.dropout(self.a(x), 0.2, self.training)
        return self.b(torch.tanh(h + 0.1 * torch.randn_like(h) if self.training else h))


class Views(Plain):
    """Writes into views, into what they are views of, and at a mask."""

    def forward(self, x):
        h = self.a(x)
        first = h[:, :4]
        h.mul_(2.0)
        columns = h.t()
        columns[3] = first[:, 0]
        h.view(-1).clamp_(-1.5, 1.5)
        first += 0.1
        h[h < -1] = 0.5
        return self.b(torch.tanh(h) * torch.cat([first, columns.t()[:, 4:]], 1))


class CastingNorm(Plain):
    """An RMS norm as published language models have it."""

    def forward(self, x):
        wide = self.a(x).to(torch.float32)
        return self.b((wide / (wide.float().square().mean(-1, keepdim=True) + 1e-6).sqrt()).to(x.dtype))


def spectrally_normed():
    module = Plain()
    nn.utils.parametrizations.spectral_norm(module.a)
    return module


def scripted():
    return nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(64, 12), nn.Tanh())), nn.Linear(12, 10))


NEED_COPIES = {m.__name__: m for m in (Recurrent, Experts, OwnAverage, OwnAverageByData, KeptTensor, Counts, OwnGradient, StraightThrough,
                                       Checkpointed, spectrally_normed, scripted)}
ALLOW_PAIRS = {m.__name__: m for m in (Plain, Spectral, Noisy, Views, CastingNorm)}


def build(make, seed=0):
    """The module of a seed."""
    torch.manual_seed(seed)
    return make()


def widened(module):
    """A float64 copy; it must not cast to float32 inside."""
    trained = [p.requires_grad for p in module.parameters()]
    with torch.no_grad():
        module = copy.deepcopy(module)._apply(lambda t: t.to(torch.complex128 if t.is_complex() else torch.float64
                                                             if t.is_floating_point() else t.dtype))
    for p, requires_grad in zip(module.parameters(), trained, strict=True):
        p.requires_grad_(requires_grad)
    if isinstance(module, KeptTensor):
        module.average = module.average.double()
    return module


def train_plainly(module, gamma, eta, loss="mse", steps=12, size=16, centred=True):
    """The losses before every step of (f - f_0)/gamma, or f/gamma, by gradient descent on theta."""
    frozen, moved, loss, losses = widened(module), widened(module), as_loss(loss), []
    for step in range(steps):
        x, y = DIGITS.batch(0, step, size)
        x, y = x.double(), loss.target(y, 10, torch.float64)
        torch.manual_seed(step)
        start = frozen(x.clone()).detach()
        torch.manual_seed(step)
        value = loss.value((moved(x.clone()) - (start if centred else 0)) / gamma, y)
        moved.zero_grad()
        value.backward()
        with torch.no_grad():
            for p in moved.parameters():
                if p.grad is not None:
                    p -= eta * p.grad
        losses.append(value.item())
    return np.array(losses)
