"""Networks away from initialization, and an independent form of their functions by two float64 copies."""

import torch
from torch.func import functional_call

import deepnets

SPECIFICATIONS = {"mlp": deepnets.MLP(12, 9, 3, 3),
                  "cnn": deepnets.CNN((1, 4, 4), 4, 3),
                  "vit": deepnets.ViT((1, 4, 4), 4, 3, patch=2, blocks=1)}


def moved_network(name, gamma, seed=0, n=5):
    """A centred network in float64, a u as large as theta_0 allows, and inputs."""
    network = SPECIFICATIONS[name]
    module = network.build(seed).double().eval()
    generator = torch.Generator().manual_seed(seed + 1)
    size = 0.3 / max(1.0, gamma) ** 0.5          # at gamma = 1e4 theta moves 30 times as far as it is long
    u = {n: size * torch.randn(p.shape, generator=generator, dtype=torch.float64) for n, p in module.named_parameters()}
    return deepnets.Centered(module, gamma), u, torch.randn(n, network.in_features, generator=generator, dtype=torch.float64)


def two_copies(centered, x):
    """The function u -> (f(theta_0 + gamma u) - f(theta_0))/gamma, (n, K), by subtraction."""
    module, gamma = centered.module, centered.gamma
    start = {n: p.detach() for n, p in module.named_parameters()}

    def f(u):
        return (functional_call(module, {n: start[n] + gamma * u[n] for n in u}, (x,)) - functional_call(module, start, (x,))) / gamma
    return f


def jacobian(centered, u, x):
    """The explicit derivative, (n, K, parameters), parameter by parameter in the order of u."""
    parts = torch.func.jacrev(two_copies(centered, x))(u)
    return {n: parts[n].detach().flatten(2).numpy() for n in u}
