"""Losses on class indices are those on one-hot rows, and torch's own; slopes are torch's derivatives; in any dtype, with places or none."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, vmap

from deepnets.losses import CrossEntropy, as_loss

SHAPES = [(5,), (5, 7)]      # samples; samples of so many places


def drawn(shape, classes=6, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    f = 3 * torch.randn(4, *shape, classes, generator=generator, dtype=dtype)
    return f, torch.randint(classes, shape, generator=generator)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["mse", "cross_entropy"])
def test_indices_are_one_hot_rows_and_torchs_own(name, shape):
    f, y = drawn(shape)
    loss, rows = as_loss(name), F.one_hot(y, 6).double()
    indices = loss.target(y, 6, f.dtype)
    theirs = [F.cross_entropy(g.reshape(-1, 6), y.reshape(-1)) if name == "cross_entropy" else F.mse_loss(g, rows) / 2 for g in f]
    for target in (indices, loss.target(rows, 6, f.dtype)):
        assert loss.value(f, target).tolist() == pytest.approx([float(t) for t in theirs], rel=1e-12)
        # one run's derivative, through torch, and through vmap
        derivative = vmap(grad(lambda g, y=target: loss.value(g, y)))(f)
        torch.testing.assert_close(loss.slope(f, target), derivative, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("shape", SHAPES)
def test_narrow_numbers_lose_nothing_more(shape):
    f, y = drawn(shape, dtype=torch.float32)
    wide = CrossEntropy().value(f.double(), y)
    assert CrossEntropy().value(f, y).double().tolist() == pytest.approx(wide.tolist(), rel=1e-6)
    assert CrossEntropy().slope(f, y).dtype == torch.float32


def test_cross_entropy_is_finite_far_out():
    f = torch.tensor([[[1e20, 0.0]], [[0.0, 1e20]]])
    for y in (torch.tensor([[1.0, 0.0]]), torch.tensor([0])):
        assert CrossEntropy().value(f, y).tolist() == [0.0, pytest.approx(1e20)]
        assert CrossEntropy().slope(f, y)[1].tolist() == [[-1.0, 1.0]]
