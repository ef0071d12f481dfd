"""Every rule of difference propagation, operation by operation, against float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from deepnets.centered import Pair, Unsupported

GAMMAS = (1e-7, 1e-2, 3.0)


def pair(*shape, gamma, seed=0):
    g = torch.Generator().manual_seed(seed)
    return Pair(torch.randn(*shape, generator=g), torch.randn(*shape, generator=g), gamma)


def exact(f, pairs):
    """(f(v0 + gamma d) - f(v0))/gamma in float64, of the first output."""
    gamma = pairs[0].scale
    frozen = f(*(p.v0.double() for p in pairs))
    moved = f(*(p.v0.double() + gamma * p.d.double() for p in pairs))
    frozen, moved = ((t[0], t[-1]) if isinstance(t, tuple | list) else (t,) for t in (frozen, moved))
    return [(b - a) / gamma for a, b in zip(frozen, moved, strict=True)]


mask = torch.tensor([True, False, True, False])
plain = torch.linspace(-1, 1, 12).reshape(3, 4)


def in_place(x):
    y = x * 1
    y += 2
    y.mul_(3).sub_(1)
    y /= 2
    return y.relu_()


def written(x, y):
    z = x.clone()
    z[0] = y[1]
    z[:, 2] = 5
    return z


ONE = {
    "view": lambda x: x.view(4, 3).flatten().reshape(2, 6).t().unsqueeze(0).squeeze(0),
    "transpose": lambda x: x.T.mT.transpose(0, 1).permute(1, 0),
    "sums": lambda x: x.sum(0) + x.mean(0) + x.cumsum(0)[1],
    "getitem": lambda x: x[..., 1:3] + x[:, [0, 3]],
    "chunk": lambda x: x.chunk(2, dim=1),
    "iterate": lambda x: sum(row * i for i, row in enumerate(x)),
    "plain operands": lambda x: 2 - (x + plain.to(x.dtype)) / 3 + plain.to(x.dtype) * x - 1 / (x + 9) + (plain.to(x.dtype) - x),
    "alpha": lambda x: torch.add(x, x.flip(0), alpha=2) - torch.sub(plain.to(x.dtype), x, alpha=3),
    "broadcast": lambda x: x[:, :1] + torch.ones(2, 1, 4, dtype=x.dtype),
    "powers": lambda x: x**2 + x.square() + x.abs().sqrt(),
    "pad": lambda x: F.pad(x, (1, 1), value=3.0) + F.pad(x, (1, 1)),
    "masks": lambda x: x.masked_fill(mask, 7.0) + torch.where(mask, x, 2.0) + x.where(x > 0, -x),
    "relu": lambda x: F.relu(x) + x.relu() + torch.relu(x),
    "in place": in_place,
    "smooth": lambda x: F.gelu(x) + torch.tanh(x) * x.sigmoid() + F.silu(x) + F.softplus(x) + F.leaky_relu(x, 0.1) + F.elu(x),
    "softmax": lambda x: F.softmax(x, dim=-1) + x.log_softmax(0),
    "norms": lambda x: F.layer_norm(x, (4,)) + F.normalize(x, dim=1) + x / x.norm(dim=1, keepdim=True),
    "extremes": lambda x: x.max(dim=0).values + torch.topk(x, 2, dim=0).values[0] + x.amax(0),
    "casts": lambda x: x.double().to(x.dtype).type_as(x).contiguous().clone(),
    "einsum of one": lambda x: torch.einsum("ij->ji", x),
    "creation": lambda x: x * torch.ones_like(x) + x.new_zeros(4) + torch.full_like(x, 2.0) * x,
    "pools": lambda x: F.avg_pool1d(x[None], 2) + F.max_pool1d(x[None], 2) + F.adaptive_avg_pool1d(x[None], 2),
    "interpolate": lambda x: F.interpolate(x[None, None], scale_factor=2, mode="bilinear", align_corners=False),
    "logsumexp": lambda x: torch.logsumexp(x, 1) + F.cross_entropy(x, torch.tensor([0, 1, 2])),
}
TWO = {      # (3, 4) and (3, 4)
    "arithmetic": lambda x, y: x + y - x * y / (y * y + 3),
    "matmul": lambda x, y: x @ y.T + torch.matmul(x, y.mT) + torch.mm(x, y.t()) + x.matmul(y.T),
    "batched": lambda x, y: torch.bmm(x[None], y.T[None]) + torch.baddbmm(y.T[None, :3, :3], x[None], y.T[None], beta=2, alpha=3),
    "linear": lambda x, y: F.linear(x, y, y[:, 0]) + F.linear(plain.to(x.dtype), y) + F.linear(x, plain.to(x.dtype), y[:, 0]),
    "only the bias": lambda x, y: F.linear(plain.to(x.dtype), plain.to(x.dtype), y[:, 0]) + x[:, :3],
    "addmm": lambda x, y: torch.addmm(x[0, :3], x, y.T) + torch.addmm(plain.to(x.dtype)[0, :3], plain.to(x.dtype), y.T),
    "einsum": lambda x, y: torch.einsum("ij,kj->ik", x, y) + torch.einsum("ij,kj,kl->il", x, y, y)[:, :3],
    "outer": lambda x, y: torch.outer(x[0], y[1]) + torch.dot(x[0], y[0]),
    "conv1d": lambda x, y: F.conv1d(x[None], y[None, :, :2], y[0, :1], padding=1),
    "conv2d": lambda x, y: F.conv2d(x[None, None], y[None, None, :2, :2], y[0, :1]),
    "transposed": lambda x, y: F.conv_transpose2d(x[None, None], y[None, None], y[0, :1]),
    "decisions": lambda x, y: torch.where((x > 0) & ~(y > 1), x * y, y) * (x < y) + (x > y).to(x.dtype) * x[x.argmax(0), 0],
    "cat": lambda x, y: torch.cat([x, y, plain.to(x.dtype)], 1) + torch.stack([x, y, x], 1).flatten(1),
    "layer norm": lambda x, y: F.layer_norm(x, (4,), y[0], y[1]) + F.group_norm(x, 2, y[0], y[1]),
    "batch norm": lambda x, y: F.batch_norm(x, None, None, y[0], y[1], True),
    "attention": lambda x, y: F.scaled_dot_product_attention(x[None], y[None], y[None]),
    "causal": lambda x, y: F.scaled_dot_product_attention(x, y, x, is_causal=True, scale=0.3),
    "masked": lambda x, y: F.scaled_dot_product_attention(x, y, x, attn_mask=torch.tensor([[0.0, -math.inf, 1.0]]).to(x.dtype)),
    "boolean mask": lambda x, y: F.scaled_dot_product_attention(x, y, x, attn_mask=torch.tensor([[True, False, True]])),
    "setitem": written,
    "embedding": lambda x, y: F.embedding(torch.tensor([0, 2]), x) * y[1:],
    "minimum": lambda x, y: torch.minimum(x, y) + torch.lerp(x, y, 0.3) + torch.cdist(x, y).sum(),
    "loss": lambda x, y: F.mse_loss(x, y),
}


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_rule(name, gamma):
    f = ONE.get(name) or TWO[name]
    pairs = [pair(3, 4, gamma=gamma, seed=s) for s in range(1 if name in ONE else 2)]
    expected = exact(f, [Pair(p.v0.clone(), p.d.clone(), gamma) for p in pairs])
    found = f(*pairs)
    found = (found[0], found[-1]) if isinstance(found, tuple | list) else (found,)
    for a, b in zip(found, expected, strict=True):
        assert isinstance(a, Pair)
        assert a.shape == a.d.shape == b.shape
        assert (a.d.double() - b).abs().max() <= 2e-6 * (1 + b.abs().max()) + 4e-9 / gamma * (gamma < 1e-6)


def test_relu_at_gamma_zero_and_at_the_kink():
    v0, d = torch.tensor([-2.0, 0.0, 3.0, 1e-8]), torch.tensor([1.0, -1.0, -5.0, -1.0])
    assert torch.relu(Pair(v0, d, 0.0)).d.tolist() == [0, 0, -5, -1]
    crossed = torch.relu(Pair(v0, d, 1.0)).d
    assert torch.allclose(crossed, torch.relu(v0 + d) - torch.relu(v0))


@pytest.mark.parametrize("drop", [lambda x: F.dropout(x, 0.5), lambda x: F.dropout1d(x, 0.5), lambda x: torch.dropout(x, 0.5, True)])
def test_dropout_uses_one_mask_for_both_networks(drop):
    torch.manual_seed(0)
    x = Pair(torch.ones(20, 8), torch.full((20, 8), 3.0), 0.1)
    made = drop(x)
    assert torch.equal(made.d, 3 * made.v0)
    assert set(made.v0.unique().tolist()) == {0.0, 2.0}


def test_the_fallback_at_gamma_zero_is_the_derivative():
    x = pair(3, 4, gamma=0.0)
    assert torch.allclose(F.gelu(x).d.double(), exact(F.gelu, [Pair(x.v0, x.d, 1e-6)])[0], atol=1e-5)
    assert torch.allclose(torch.sin(x).d, torch.cos(x.v0) * x.d, atol=1e-6)


def test_masks_and_indices_of_both_networks_differ():
    x = Pair(torch.tensor([1.0, 2.0]), torch.tensor([5.0, 0.0]), 1.0)
    assert (x > 3).v0.tolist() == [False, False]
    assert (x > 3).moved.tolist() == [True, False]
    assert (int(x.argmax().v0), int(x.argmax().moved)) == (1, 0)
    assert (x * (x > 3)).d.tolist() == [6, 0]
    with pytest.raises(Unsupported, match="bool"):
        assert (x > 3).all()
    assert x.shape == (2,)
    assert x.dtype == torch.float32
    assert len(x) == x.size(0) == x.numel() == 2


@pytest.mark.parametrize(("f", "named"), [
    (lambda x: x.item(), "item"), (lambda x: float(x), "float"), (lambda x: bool(x), "bool"), (lambda x: x.numpy(), "numpy"),
    (torch.bernoulli, "bernoulli"), (lambda x: F.alpha_dropout(x, 0.5, True), "alpha_dropout"),
    (lambda x: torch.add(x, x, out=torch.zeros(1)), "out"), (lambda x: torch.zeros(2).__setitem__(0, x), r"x\[\.\.\.\] = y"),
    (lambda x: F.embedding(torch.tensor([0]), x, max_norm=1.0), "max_norm"),
])
def test_unsupported_operations_are_named(f, named):
    with pytest.raises(Unsupported, match=named):
        f(pair(1, 1, gamma=0.1))
