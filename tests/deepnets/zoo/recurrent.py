"""Recurrent networks of the zoo: torch's modules and cells, and recurrences written as loops."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tests.deepnets.zoo.entry import add, register

FAMILY = "recurrent"


class LastState(nn.Module):
    def __init__(self, cell, width=8):
        super().__init__()
        self.cell, self.head = cell, nn.Linear(width, 4)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


add("LSTM", FAMILY, "sequences", lambda: LastState(nn.LSTM(8, 8, batch_first=True)))
add("GRU, two layers, both directions", FAMILY, "sequences", lambda: LastState(nn.GRU(8, 4, 2, batch_first=True, bidirectional=True)))
add("RNN", FAMILY, "sequences", lambda: LastState(nn.RNN(8, 8, batch_first=True)))
add("LSTM with projection", FAMILY, "sequences", lambda: LastState(nn.LSTM(8, 8, batch_first=True, proj_size=5), 5))


@register("LSTM cell", FAMILY, "sequences")
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = c = torch.zeros(len(x), 8, device=x.device, dtype=x.dtype)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.head(h)


@register("GRU cell", FAMILY, "sequences")
class GruCell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.GRUCell(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = None
        for part in x.unbind(1):
            h = self.cell(part, h)
        return self.head(h)


@register("packed sequences", FAMILY, "tokens")
class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(6, 6), nn.GRU(6, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, idx):
        lengths = (idx > 0).sum(1).clamp(min=3).cpu()
        packed = pack_padded_sequence(self.embed(idx), lengths, batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.head(out.sum(1) / 6)


@register("minimal gated unit, by hand", FAMILY, "sequences")
class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.forget, self.state, self.head = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            f = torch.sigmoid(self.forget(torch.cat([x[:, t], h], 1)))
            h = (1 - f) * h + f * torch.tanh(self.state(torch.cat([x[:, t], f * h], 1)))
        return self.head(h)


@register("state-space model, selective scan", FAMILY, "sequences")
class StateSpace(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.x_proj, self.head = nn.Linear(8, 8), nn.Linear(8, 8 + 2 * 3), nn.Linear(8, 4)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, 4).float().repeat(8, 1)))
        self.D = nn.Parameter(torch.ones(8))

    def forward(self, x):
        u = F.silu(self.inner(x))
        delta, B, C = self.x_proj(u).split([8, 3, 3], -1)
        delta, A = F.softplus(delta), -torch.exp(self.A_log)
        h, out = torch.zeros(len(x), 8, 3, dtype=x.dtype), []
        for t in range(x.shape[1]):
            h = torch.exp(delta[:, t, :, None] * A) * h + (delta[:, t] * u[:, t])[..., None] * B[:, t, None]
            out.append((h * C[:, t, None]).sum(-1) + self.D * u[:, t])
        return self.head(torch.stack(out, 1).mean(1))


@register("convolutional LSTM", FAMILY, "images")
class ConvLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.gates, self.head = nn.Conv2d(1 + 3, 12, 3, padding=1), nn.Linear(12, 4)

    def forward(self, x):
        h = c = torch.zeros(len(x), 3, 8, 8).to(x)
        for _ in range(3):
            i, f, o, g = self.gates(torch.cat([x, h], 1)).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(F.avg_pool2d(h, 4).flatten(1))


@register("long convolution (rfft)", FAMILY, "sequences")
class LongConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel, self.mix, self.head = nn.Parameter(0.3 * torch.randn(8, 8)), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        y = torch.fft.irfft(torch.fft.rfft(x, 16, 1) * torch.fft.rfft(self.kernel, 16, 0), 16, 1)[:, :8]
        return self.head(F.gelu(self.mix(y)).mean(1))
