"""An oracle that shares nothing with the package: two float64 copies, and below gamma = 1e-6 the forward derivative; a short training."""

import copy
import warnings

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.losses import MSE


def theta(module):
    """The parameters of theta_0 in float64, by name."""
    return {n: p.detach().double() for n, p in module.named_parameters()}


def centred(module, u, gamma, x):
    """(f(theta_0 + gamma u) - f(theta_0))/gamma in float64, u by parameter name; differentiable in u."""
    wide = copy.deepcopy(module).double()
    for m in wide.modules():
        if hasattr(m, "num_batches_tracked"):
            m.num_batches_tracked = None          # a counter that torch.func must not touch
    start, u = theta(module), {n: d.double() for n, d in u.items()}
    x = x.double() if x.is_floating_point() else x

    def f(p):
        # fresh buffers: running statistics moved in the call are thrown away
        return functional_call(wide, {**p, **{n: b.clone() for n, b in wide.named_buffers()}}, (x,))

    # the fused attention has neither forward nor second derivatives
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        if gamma >= 1e-6:
            return (f({n: start[n] + gamma * u[n] for n in u}) - f({n: start[n] for n in u})) / gamma
        warnings.simplefilter("ignore")           # torch scripts its forward derivatives, and warns against scripting
        first = torch.func.jvp(f, ({n: start[n] for n in u},), (u,))[1]
        if gamma == 0:
            return first
        # the next term of the series: gamma/2 of the second derivative, by a central difference of the first
        h = 1e-4
        up = torch.func.jvp(f, ({n: start[n] + h * u[n].detach() for n in u},), (u,))[1]
        down = torch.func.jvp(f, ({n: start[n] - h * u[n].detach() for n in u},), (u,))[1]
    return first + gamma / 2 * ((up - down) / (2 * h)).detach()


def random_u(module, seed=0, size=0.3):
    """A u as large as `size` in every entry."""
    generator = torch.Generator().manual_seed(seed)
    return {n: size * torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in module.named_parameters()}


def moved_readout(spec, seed, x, y, optimizer, eta):
    """What the readout reads at theta_0, and after three steps at gamma = 1 with the specification's rates ("sgd" or "adam", of signs)."""
    module, seen = spec.build(seed), []
    module.readout.register_forward_pre_hook(lambda _, read: seen.append(read[0].detach()))
    module(x)
    stack, u = choose_stack(module), zero_differences(module, 1)
    for _ in range(3):
        gradient = stack.gradients(u, torch.ones(1), x, y, MSE())[1]
        for r in spec.scalings():
            g = gradient[r.name] if optimizer == "sgd" else gradient[r.name].sign()
            u[r.name] = u[r.name] - eta * getattr(r, optimizer) * g
    with torch.no_grad():
        for n, p in module.named_parameters():
            p += u[n][0]
    module(x)
    return seen[0], seen[-1]


def distance(a, b):
    """|a - b|/|b| over tensors or dicts of them."""
    if isinstance(a, dict):
        a, b = (torch.cat([t[n].reshape(-1).double() for n in b]) for t in (a, b))
    return float((a.double() - b.double()).norm() / b.double().norm())


def mlp(activation=nn.ReLU, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(12, 24), activation(), nn.Linear(24, 24), activation(), nn.Linear(24, 3)), (12,)


def cnn(activation=nn.Tanh, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), activation(), nn.MaxPool2d(2),
                         nn.Conv2d(6, 6, 3), nn.GroupNorm(2, 6), activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(6, 3)), (1, 8, 8)


class Block(nn.Module):
    """A residual block as ResNets have it, with in-place operations."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x
        return self.relu(out)


def resnet(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), Block(), Block(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 3)), (1, 8, 8)


class ViT(nn.Module):
    """Patches, a class token, a pre-norm block with hand-written attention, a read-out."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 12, 4, 4)
        self.token, self.place = nn.Parameter(torch.zeros(1, 1, 12)), nn.Parameter(0.1 * torch.randn(1, 5, 12))
        self.norm1, self.norm2, self.last = nn.LayerNorm(12), nn.LayerNorm(12), nn.LayerNorm(12)
        self.qkv, self.out = nn.Linear(12, 36), nn.Linear(12, 12)
        self.mlp = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.place
        q, k, v = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (t.unflatten(-1, (3, 4)).transpose(1, 2) for t in (q, k, v))
        attended = (q @ k.transpose(-2, -1) / 2).softmax(-1) @ v
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.last(x)[:, 0])


def vit(seed=0):
    torch.manual_seed(seed)
    return ViT(), (1, 8, 8)


def encoder(seed=0):
    torch.manual_seed(seed)
    return nn.TransformerEncoderLayer(12, 3, 24, dropout=0.0, activation="gelu", batch_first=True), (5, 12)


NETWORKS = {"mlp": mlp, "cnn": cnn, "resnet": resnet, "vit": vit, "encoder": encoder}


def inputs(shape, n=6, seed=1):
    """Random inputs (n, *shape)."""
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def place(centered, u):
    """Set the parameters u of a centred network."""
    with torch.no_grad():
        for name, p in centered.coordinates().items():
            p.copy_(u[name])


def centred_by_hand(module, u, gamma, x):
    """The difference of two float64 copies over gamma, for modules that `centred` does not take."""
    f = [copy.deepcopy(module).double() for _ in range(2)]
    with torch.no_grad():
        for n, p in f[1].named_parameters():
            p += gamma * u[n].double()
        return (f[1](x.double()) - f[0](x.double())) / gamma
