"""Independent dense Hessians: of two float64 copies, by forward-over-reverse derivatives of torch."""

import copy
import warnings

import torch
from torch.func import functional_call, grad, jacfwd, jacrev
from torch.nn.functional import cross_entropy, one_hot


def value(f, y, loss):
    """The loss of outputs (B, K) and class indices (B,)."""
    return (f - one_hot(y, f.shape[-1])).square().mean() / 2 if loss == "mse" else cross_entropy(f, y)


def flat(u):
    """The entries of a dict of tensors, in its order."""
    return torch.cat([d.reshape(-1) for d in u.values()])


def outputs_of(module, u, gamma, x):
    """f~ as a function of flat parameters, of a float64 module; batch normalisation takes the batch's statistics."""
    module = copy.deepcopy(module)
    for m in module.modules():
        if hasattr(m, "num_batches_tracked"):
            m.track_running_stats, m.num_batches_tracked, m.running_mean, m.running_var = False, None, None, None
    start, sizes = {n: p.detach() for n, p in module.named_parameters()}, [d.numel() for d in u.values()]

    def f(p):
        pieces = {n: piece.reshape(d.shape) for (n, d), piece in zip(u.items(), p.split(sizes), strict=True)}
        moved = functional_call(module, {n: start[n] + gamma * pieces[n] for n in u}, (x,))
        return (moved - functional_call(module, start, (x,))) / gamma
    return f


def hessian(module, u, gamma, x, y, loss, part="hessian"):
    """H, G or R, (n, n)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")           # torch scripts its forward derivatives, and warns against scripting
        return _whole(module, u, gamma, x, y, loss, part)


def _whole(module, u, gamma, x, y, loss, part):
    f, p = outputs_of(module, u, gamma, x), flat(u)
    if part == "hessian":
        return jacfwd(grad(lambda q: value(f(q), y, loss)))(p)
    at = f(p).detach()
    if part == "residual":
        slope = grad(lambda z: value(z, y, loss))(at)
        return jacfwd(grad(lambda q: (slope * f(q)).sum()))(p)
    J = jacrev(f)(p).flatten(0, 1)
    curve = torch.func.hessian(lambda z: value(z.reshape(at.shape), y, loss))(at.reshape(-1))
    return J.T @ curve @ J
