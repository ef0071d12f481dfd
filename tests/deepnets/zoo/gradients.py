"""Modules of the zoo that interfere with gradients: own autograd functions, checkpoints, transforms, hooks, scripts."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import jvp, vmap
from torch.utils.checkpoint import checkpoint

from tests.deepnets.zoo.entry import add, register

FAMILY = "gradients"
N = 24


class Sign(torch.autograd.Function):
    """The sign, with the gradient of the clipped identity."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * (x.abs() < 1)


class Cube(torch.autograd.Function):
    """A cube with a wrong gradient, as some estimators have."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0] ** 2


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return -ctx.strength * g, None


class TwoLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def between(self, h):
        raise NotImplementedError

    def forward(self, x):
        return self.b(self.between(self.a(x)))


@register("own autograd function (sign)", FAMILY, "vectors")
class Binary(TwoLayers):
    def between(self, h):
        return Sign.apply(h)


@register("own autograd function, another gradient", FAMILY, "vectors")
class Estimator(TwoLayers):
    def between(self, h):
        return Cube.apply(torch.tanh(h))


@register("gradient reversal", FAMILY, "vectors")
class Reversal(TwoLayers):
    def between(self, h):
        return torch.tanh(Reverse.apply(h, 0.3))


@register("tensor hook that scales a gradient", FAMILY, "vectors")
class Hook(TwoLayers):
    def between(self, h):
        if h.requires_grad:
            h.register_hook(lambda g: 0.3 * g)
        return torch.tanh(h)


def forward_hook() -> nn.Module:
    net = nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, 4))
    net[1].register_forward_hook(lambda module, given, output: output * 2 + given[0])
    return net


def backward_hook() -> nn.Module:
    net = nn.Sequential(nn.Linear(N, 8), nn.Tanh(), nn.Linear(8, 4))
    net[1].register_full_backward_hook(lambda module, gradient, of: (0.3 * gradient[0],))
    return net


add("forward hook", FAMILY, "vectors", forward_hook)
add("backward hook", FAMILY, "vectors", backward_hook)


@register("a part without gradient (no_grad)", FAMILY, "vectors")
class NoGrad(TwoLayers):
    def between(self, h):
        with torch.no_grad():
            scale = h.norm(dim=1, keepdim=True)
        return torch.tanh(h / scale)


@register("stopped gradient (detach)", FAMILY, "vectors")
class Stopped(TwoLayers):
    def between(self, h):
        return torch.tanh(h * torch.sigmoid(h).detach())


@register("checkpointing", FAMILY, "vectors")
class Checkpoint(TwoLayers):
    def between(self, h):
        return checkpoint(torch.tanh, h, use_reentrant=False)


@register("checkpointing, reentrant", FAMILY, "vectors")
class Reentrant(TwoLayers):
    def between(self, h):
        return checkpoint(torch.tanh, h, use_reentrant=True)


@register("vmap inside", FAMILY, "vectors")
class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.weights, self.b = nn.Parameter(torch.randn(3, 8, N) / 5), nn.Linear(8, 4)

    def forward(self, x):
        return self.b(vmap(lambda w: torch.tanh(x @ w.T))(self.weights).mean(0))


@register("jvp inside", FAMILY, "vectors")
class Tangent(TwoLayers):
    def between(self, h):
        return sum(jvp(torch.tanh, (h,), (torch.ones_like(h),)))


@register("autograd inside (gradient of an energy)", FAMILY, "vectors")
class Energy(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(N, 4)

    def forward(self, x):
        with torch.enable_grad():
            z = x.detach().clone().requires_grad_()
            energy = torch.nn.functional.softplus(self.a(z)).sum()
            (force,) = torch.autograd.grad(energy, z, create_graph=True)
        return self.b(x - force)


@register("one step of gradient descent inside (MAML)", FAMILY, "vectors")
class InnerStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        with torch.enable_grad():
            h = torch.tanh(self.a(x))
            loss = (self.b(h) - h[:, :4].detach()).square().mean()
            (g,) = torch.autograd.grad(loss, self.b.weight, create_graph=True)
        return torch.nn.functional.linear(h, self.b.weight - 0.5 * g, self.b.bias)


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(N, 8), nn.Linear(8, 4)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


# each a class of its own: torch optimizes a scripted class for the arguments of its first calls, and its instances share the result
add("torch.jit.script", FAMILY, "vectors", lambda: torch.jit.script(type("Plain", (Plain,), {})()))
add("torch.jit.trace", FAMILY, "vectors", lambda: torch.jit.trace(Plain(), torch.ones(2, N)))
add("lazy modules", FAMILY, "vectors", lambda: nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(4)), refusal="definite shape")
