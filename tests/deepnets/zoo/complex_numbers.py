"""Modules of the zoo with complex numbers: parameters, activations, real and imaginary parts."""

from __future__ import annotations

import torch
from torch import nn

from tests.deepnets.zoo.entry import register

FAMILY = "complex numbers"
N = 24


@register("Fourier neural operator, complex parameters", FAMILY, "sequences")
class FourierOperator(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift, self.head = nn.Linear(8, 6), nn.Linear(6, 4)
        self.weights = nn.Parameter(torch.randn(6, 6, 3, dtype=torch.cfloat) / 6)
        self.skip = nn.Conv1d(6, 6, 1)

    def forward(self, x):
        h = self.lift(x).transpose(1, 2)
        modes = torch.fft.rfft(h)
        out = torch.zeros(len(x), 6, modes.shape[-1], dtype=torch.cfloat)
        out[:, :, :3] = torch.einsum("bix,iox->box", modes[:, :, :3], self.weights)
        h = nn.functional.gelu(torch.fft.irfft(out, n=h.shape[-1]) + self.skip(h))
        return self.head(h.mean(-1))


@register("FNet-like (fft, real)", FAMILY, "sequences")
class FNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norm, self.mlp, self.head = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        x = self.embed(x)
        x = self.norm(x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real / 8)
        return self.head((x + torch.tanh(self.mlp(x))).mean(1))


@register(".real and .imag of a complex layer", FAMILY, "vectors")
class RealAndImaginary(nn.Module):
    def __init__(self):
        super().__init__()
        self.re, self.im, self.head = nn.Linear(12, 6), nn.Linear(12, 6), nn.Linear(12, 4)

    def forward(self, x):
        z = torch.complex(self.re(x[:, :12]), self.im(x[:, 12:]))
        z = z * z.conj().roll(1, -1)
        return self.head(torch.cat([z.real, z.imag], -1))


@register("complex activation (modReLU)", FAMILY, "vectors")
class ModRelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(12, 8, dtype=torch.cfloat) / 4), nn.Parameter(0.1 * torch.ones(8))
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        z = torch.view_as_complex(x.reshape(-1, 12, 2).contiguous()) @ self.weight
        z = torch.polar(torch.relu(z.abs() + self.bias), z.angle())
        return self.head(torch.view_as_real(z).flatten(1))


@register("rotary by complex numbers", FAMILY, "next tokens")
class ComplexRotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.q, self.k, self.v, self.head = nn.Embedding(6, 8), *(nn.Linear(8, 8) for _ in range(3)), nn.Linear(8, 6)
        angles = torch.outer(torch.arange(12).float(), 1.0 / 100.0 ** (torch.arange(0, 8, 2).float() / 8))
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles))

    def forward(self, idx):
        x = self.embed(idx)
        freqs = self.freqs_cis[:x.shape[1]]
        q, k = (torch.view_as_real(torch.view_as_complex(w(x).float().reshape(*x.shape[:2], -1, 2)) * freqs).flatten(2).type_as(x)
                for w in (self.q, self.k))
        return self.head(nn.functional.scaled_dot_product_attention(q, k, self.v(x), is_causal=True))


@register("short-time Fourier transform", FAMILY, "vectors")
class Spectrogram(nn.Module):
    def __init__(self):
        super().__init__()
        self.filter, self.head = nn.Linear(N, N), nn.Linear(5 * 7, 4)
        self.register_buffer("window", torch.hann_window(8))

    def forward(self, x):
        z = torch.stft(self.filter(x), 8, 4, window=self.window, return_complex=True)
        return self.head(torch.log1p(z.abs().square()).flatten(1))
