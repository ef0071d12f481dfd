"""Networks on vectors in the zoo: activations, parametrizations, linear algebra, and unusual layers."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from tests.deepnets.zoo.entry import add, register

N = 24


def mlp(activation: nn.Module, hidden: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(N, 8), activation, nn.Linear(hidden, 8), copy.deepcopy(activation), nn.Linear(hidden, 4))


for _activation in (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.ELU, nn.SELU, nn.Softplus, nn.Hardswish, nn.Mish, nn.PReLU,
                    nn.Softsign, nn.Hardtanh, nn.LogSigmoid, nn.Tanhshrink, nn.Softshrink):
    add(f"nn.{_activation.__name__}", "activations", "vectors", lambda a=_activation: mlp(a()))
add("nn.GLU", "activations", "vectors", lambda: mlp(nn.GLU(), 4))
add("nn.Softmax and nn.LogSoftmax", "activations", "vectors", lambda: nn.Sequential(
    nn.Linear(N, 8), nn.Softmax(-1), nn.Linear(8, 8), nn.LogSoftmax(-1), nn.Linear(8, 4)))
add("nn.BatchNorm1d and nn.Dropout", "activations", "numbers", lambda: nn.Sequential(
    nn.Linear(N, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2)))
add("nn.RMSNorm", "activations", "numbers", lambda: nn.Sequential(nn.Linear(N, 8), nn.RMSNorm(8), nn.GELU("tanh"), nn.Linear(8, 2)))

PARAMETRIZED = "parametrizations"
add("weight_norm", PARAMETRIZED, "vectors", lambda: nn.Sequential(
    parametrizations.weight_norm(nn.Linear(N, 8)), nn.Tanh(), nn.Linear(8, 4)))
add("orthogonal", PARAMETRIZED, "vectors", lambda: nn.Sequential(nn.Linear(N, 8), parametrizations.orthogonal(nn.Linear(8, 8)), nn.Tanh(),
                                                                nn.Linear(8, 4)))
add("spectral_norm in evaluation", PARAMETRIZED, "vectors", lambda: nn.Sequential(
    parametrizations.spectral_norm(nn.Linear(N, 8)), nn.Tanh(), nn.Linear(8, 4)).eval())
add("spectral_norm in training", PARAMETRIZED, "vectors", lambda: nn.Sequential(
    parametrizations.spectral_norm(nn.Linear(N, 8)), nn.Tanh(), nn.Linear(8, 4)))


class Symmetric(nn.Module):
    def forward(self, w):
        return w.triu() + w.triu(1).transpose(-1, -2)


@register("a parametrization of one's own", PARAMETRIZED, "vectors")
class OwnParametrization(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(N, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        parametrize.register_parametrization(self.b, "weight", Symmetric())

    def forward(self, x):
        return self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))


@register("low-rank adapter, the rest frozen", PARAMETRIZED, "vectors")
class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.base, self.head = nn.Linear(N, 8).requires_grad_(False), nn.Linear(8, 4)
        self.down, self.up = nn.Parameter(torch.randn(2, N) / 5), nn.Parameter(0.1 * torch.randn(8, 2))

    def forward(self, x):
        return self.head(torch.relu(self.base(x) + F.linear(F.linear(x, self.down), self.up)))


@register("ParameterList and ParameterDict", PARAMETRIZED, "vectors")
class Lists(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights = nn.ParameterList(torch.randn(a, b) / math.sqrt(a) for a, b in ((N, 8), (8, 8)))
        self.more = nn.ParameterDict({"scale": torch.ones(8), "out": torch.randn(8, 4) / 3})

    def forward(self, x):
        for w in self.weights:
            x = torch.tanh(x @ w)
        return (x * self.more["scale"]) @ self.more["out"]


@register("hypernetwork (functional_call)", PARAMETRIZED, "vectors")
class Hyper(nn.Module):
    def __init__(self):
        super().__init__()
        self.code, self.make, self.target = nn.Parameter(torch.randn(4)), nn.Linear(4, N * 4), nn.Linear(N, 4)

    def forward(self, x):
        weight = self.make(torch.tanh(self.code)).view(4, N) / 4
        return torch.func.functional_call(self.target, {"weight": weight, "bias": self.target.bias}, (x,))


@register("a shared submodule", PARAMETRIZED, "vectors")
class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(N, 8), nn.Linear(8, 8), nn.Linear(8, 4)
        self.layers = nn.ModuleList([self.b, self.b])

    def forward(self, x):
        x = self.a(x)
        for layer in self.layers:
            x = x + torch.tanh(layer(x))
        return self.c(x)


ALGEBRA = "operations"


@register("nn.Bilinear", ALGEBRA, "vectors")
class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.Bilinear(12, 12, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.inner(*x.chunk(2, -1))))


@register("torch.where on activations", ALGEBRA, "vectors")
class Where(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        return self.b(torch.where(h > 0, h, 0.3 * torch.expm1(h)))


@register("real Fourier layer (rfft, irfft)", ALGEBRA, "vectors")
class RealFourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.a, self.b = nn.Parameter(torch.randn(13)), nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.b(torch.tanh(self.a(torch.fft.irfft(torch.fft.rfft(x) * self.scale, N))))


@register("message passing (scatter_add)", ALGEBRA, "sequences")
class Messages(nn.Module):
    def __init__(self):
        super().__init__()
        self.message, self.update, self.head = nn.Linear(16, 8), nn.Linear(16, 8), nn.Linear(8, 4)
        self.register_buffer("edges", torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 0, 2], [1, 2, 3, 4, 5, 6, 7, 0, 4, 6]]))

    def forward(self, x):
        source, target = self.edges
        m = torch.relu(self.message(torch.cat([x[:, source], x[:, target]], -1)))
        at = target[None, :, None].expand_as(m)
        gathered = torch.zeros(len(x), 8, 8, dtype=m.dtype).scatter_add(1, at, m)
        return self.head(torch.tanh(self.update(torch.cat([x, gathered], -1))).mean(1))


@register("graph attention (index_add, scatter softmax)", ALGEBRA, "sequences")
class GraphAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.score, self.head = nn.Linear(8, 8, bias=False), nn.Linear(16, 1), nn.Linear(8, 4)
        self.register_buffer("edges", torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7, 0, 2], [1, 2, 3, 4, 5, 6, 7, 0, 4, 6]]))

    def forward(self, x):
        s, t = self.edges
        h = self.lin(x)
        e = F.leaky_relu(self.score(torch.cat([h[:, s], h[:, t]], -1)), 0.2).exp()
        total = h.new_zeros(len(x), 8, 1).index_add(1, t, e)
        out = h.new_zeros(h.shape).index_add(1, t, h[:, s] * (e / (total[:, t] + 1e-9)))
        return self.head(F.elu(out).mean(1))


@register("linear system (solve)", ALGEBRA, "vectors")
class Solve(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.system, self.head = nn.Linear(N, 6), nn.Parameter(torch.eye(6) + 0.1 * torch.randn(6, 6)), nn.Linear(6, 4)

    def forward(self, x):
        return self.head(torch.tanh(torch.linalg.solve(self.system, self.a(x).unsqueeze(-1)).squeeze(-1)))


@register("matrix exponential", ALGEBRA, "vectors")
class MatrixExponential(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.generator, self.head = nn.Linear(N, 6), nn.Parameter(0.3 * torch.randn(6, 6)), nn.Linear(6, 4)

    def forward(self, x):
        return self.head(torch.tanh(self.a(x) @ torch.matrix_exp(self.generator - self.generator.T)))


@register("Gaussian log-density (cholesky)", ALGEBRA, "vectors")
class Cholesky(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.factor, self.means = nn.Linear(N, 3), nn.Parameter(torch.randn(4, 3, 3) / 3), nn.Parameter(torch.randn(4, 3))

    def forward(self, x):
        covariance = self.factor @ self.factor.mT + torch.eye(3)
        L = torch.linalg.cholesky(covariance)
        z = torch.linalg.solve_triangular(L, (self.a(x)[:, None] - self.means)[..., None], upper=False)
        return -0.5 * z.square().sum((-2, -1)) - L.diagonal(dim1=-2, dim2=-1).log().sum(-1)


@register("eigenvalues of a symmetric matrix", ALGEBRA, "vectors")
class Eigenvalues(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.head = nn.Linear(N, 16), nn.Linear(4, 4)

    def forward(self, x):
        m = self.a(x).view(-1, 4, 4)
        return self.head(torch.linalg.eigvalsh(m + m.mT))


@register("neural ODE (Runge-Kutta)", ALGEBRA, "vectors")
class Ode(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.field, self.head = nn.Linear(N, 6), nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 6)), nn.Linear(6, 4)

    def forward(self, x):
        h, dt = self.a(x), 0.5
        for _ in range(2):
            k1 = self.field(h)
            k2 = self.field(h + dt / 2 * k1)
            k3 = self.field(h + dt / 2 * k2)
            k4 = self.field(h + dt * k3)
            h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return self.head(h)


@register("fixed-point iteration", ALGEBRA, "vectors")
class FixedPoint(nn.Module):
    def __init__(self):
        super().__init__()
        self.inject, self.w, self.head = nn.Linear(N, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        z = torch.zeros_like(self.inject(x))
        for _ in range(8):
            z = torch.tanh(0.5 * self.w(z) + self.inject(x))
        return self.head(z)


@register("maxout and logsumexp", ALGEBRA, "vectors")
class Maxout(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 24), nn.Linear(8, 12)

    def forward(self, x):
        h = self.a(x).unflatten(-1, (8, 3)).max(-1).values
        return torch.logsumexp(self.b(h).unflatten(-1, (4, 3)), -1)


@register("radial basis functions (cdist)", ALGEBRA, "vectors")
class Radial(nn.Module):
    def __init__(self):
        super().__init__()
        self.centres, self.head = nn.Parameter(torch.randn(8, N)), nn.Linear(8, 4)

    def forward(self, x):
        return self.head(torch.exp(-torch.cdist(x, self.centres).square() / N))


@register("cosine classifier", ALGEBRA, "vectors")
class Cosine(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.w, self.scale = nn.Linear(N, 8), nn.Parameter(torch.randn(4, 8)), nn.Parameter(torch.tensor(3.0))

    def forward(self, x):
        return self.scale * F.linear(F.normalize(torch.tanh(self.a(x))), F.normalize(self.w))


@register("sinusoids (SIREN) on Fourier features", ALGEBRA, "numbers")
class Siren(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("B", torch.randn(N, 6) / 4)
        self.a, self.b = nn.Linear(12, 8), nn.Linear(8, 2)

    def forward(self, x):
        p = x @ self.B
        return self.b(torch.sin(3 * self.a(torch.cat([p.sin(), p.cos()], -1))))


@register("Kolmogorov-Arnold splines", ALGEBRA, "vectors")
class Splines(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.coefficients = nn.Linear(N, 6), nn.Parameter(0.3 * torch.randn(4, 6, 7))
        self.register_buffer("grid", torch.linspace(-1.5, 1.5, 7))

    def forward(self, x):
        basis = torch.relu(1 - (torch.tanh(self.a(x))[..., None] - self.grid).abs() * 2)
        return torch.einsum("bik,oik->bo", basis, self.coefficients)


@register("deep set with attention pooling", ALGEBRA, "sequences")
class DeepSet(nn.Module):
    def __init__(self):
        super().__init__()
        self.phi, self.score, self.rho = nn.Linear(8, 8), nn.Linear(8, 1), nn.Linear(24, 4)

    def forward(self, x):
        h = F.gelu(self.phi(x))
        w = self.score(h).softmax(1)
        return self.rho(torch.cat([(w * h).sum(1), h.amax(1), h.std(1)], -1))


@register("a dense mixture of experts", ALGEBRA, "vectors")
class DenseMixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(N, 6), nn.ReLU(), nn.Linear(6, 4)) for _ in range(3))
        self.gate = nn.Linear(N, 3)

    def forward(self, x):
        return (torch.stack([e(x) for e in self.experts], -1) * self.gate(x).softmax(-1)[:, None]).sum(-1)


@register("normalising flow (coupling layers)", ALGEBRA, "numbers")
class Coupling(nn.Module):
    def __init__(self):
        super().__init__()
        self.nets, self.head = nn.ModuleList(nn.Linear(12, 24) for _ in range(2)), nn.Linear(N + 1, 2)

    def forward(self, x):
        logdet = 0
        for net in self.nets:
            a, b = x.chunk(2, -1)
            s, t = net(a).chunk(2, -1)
            s = torch.tanh(s)
            x, logdet = torch.cat([b * s.exp() + t, a], -1), logdet + s.sum(-1, keepdim=True)
        return self.head(torch.cat([x, logdet], -1))


@register("x += y", ALGEBRA, "vectors")
class PlusEquals(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(N, 8), nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        out = self.b(h)
        out += h
        out *= 0.5
        return self.c(out)


@register("h[:, :4] *= 2", ALGEBRA, "vectors")
class AugmentedIndex(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        h = self.a(x)
        h[:, :4] *= 2
        return self.b(torch.tanh(h))
