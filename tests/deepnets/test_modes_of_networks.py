"""A deep linear network whose product starts on the teacher's orthogonal factor has the loss of `toymodels.Modes`, step by step."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import deepnets
import toymodels
from deepnets import phenomena, tasks
from toymodels.theory.mode_stairs import find_stability

STRENGTHS = (1.3, 0.5)


def make_network(width, depth, matrix):
    """Return a function from a seed to orthogonal layers whose product is the orthogonal factor of the teacher's matrix."""
    left, _, right = np.linalg.svd(matrix)

    def network(seed):
        source = torch.Generator().manual_seed(seed)
        sizes = [len(matrix), *[width] * (depth - 1)]
        weights = [torch.linalg.qr(torch.randn(n, m, generator=source))[0] for m, n in pairwise(sizes)]
        product = weights[0]
        for w in weights[1:]:
            product = w @ product
        weights.append(torch.from_numpy(left @ right).float() @ product.T)
        layers = [torch.nn.Linear(w.shape[1], w.shape[0], bias=False) for w in weights]
        for layer, w in zip(layers, weights, strict=True):
            layer.weight.data.copy_(w)
        return torch.nn.Sequential(*layers)

    return network


@pytest.mark.parametrize(("depth", "gamma"), [(2, 0.1), (4, 30.0)])
def test_a_deep_linear_network_follows_its_modes(depth, gamma):
    task, steps = tasks.linear(STRENGTHS, samples=8), 60
    modes = toymodels.Modes(depth, STRENGTHS, (1 / 2,))       # the squared error is a mean over two outputs
    rate = 0.3 * float(find_stability(modes, gamma))
    toy = toymodels.trajectory(modes, gamma=gamma, eta=rate, steps=steps)
    # each of the L matrices moves by its own gradient; the toy's one weight feels all L
    network = make_network(16, depth, task.matrix())
    experiment = deepnets.DeepExperiment(network, tasks.full_batch(task), steps=steps, batch_size=8, device="cpu")
    loss = phenomena.watch(experiment, gamma, depth * rate, (0,), {}).loss.values[:, 0]
    np.testing.assert_allclose(loss / loss[0], toy.total, rtol=1e-3, atol=1e-5)
    assert toy.total[-1] < 0.2
