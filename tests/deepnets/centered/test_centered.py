"""`Centered` against two float64 copies and the forward derivative: function, gradient, statistics, masks, transforms, errors."""

import copy
import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from deepnets import Centered, FellBack, Unsupported
from deepnets.centered.propagation import propagate_pairs
from tests.deepnets.oracle import NETWORKS, centred, distance, encoder, mlp, random_u, theta
from validation import Misuse

GAMMAS = (0.0, 1e-12, 1e-8, 1e-5, 1e-3, 1e-1, 1.0)


def place(centered, u):
    with torch.no_grad():
        for name, p in centered.coordinates().items():
            p.copy_(u[name])


def inputs(shape, n=6, seed=1):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def gradients(output, u):
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape).to(output)
    return dict(zip(u, torch.autograd.grad((output * weights).sum(), list(u.values())), strict=True))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", NETWORKS)
def test_function_and_gradient(name, gamma):
    module, shape = NETWORKS[name]()
    u, x = random_u(module), inputs(shape)
    centered = Centered(module, gamma, "pairs")
    place(centered, u)
    exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
    exact, output = centred(module, exact_u, gamma, x), centered(x)
    assert distance(output.detach(), exact.detach()) < 2e-6
    kinked = name == "resnet" and gamma >= 1e-5
    assert distance(gradients(output, centered.coordinates()), gradients(exact, exact_u)) < (2e-3 if kinked else 1e-6)


def test_pairs_are_more_accurate_than_subtraction_in_float32():
    module, shape = mlp()
    u, x = random_u(module), inputs(shape)
    for gamma, method, least, most in ((1e-5, "two_copy", 1e-4, 1), (1e-5, "float64", 0, 1e-6), (1e-5, "pairs", 0, 1e-6)):
        centered = Centered(module, gamma, method)
        place(centered, u)
        assert least <= distance(centered(x).detach(), centred(module, u, gamma, x)) < most


@pytest.mark.parametrize("name", NETWORKS)
def test_batched_equals_one_by_one(name):
    module, shape = NETWORKS[name]()
    for m in module.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.track_running_stats, m.num_batches_tracked, m.running_mean, m.running_var = False, None, None, None
    gammas, x, us = torch.tensor([0.0, 1e-8, 1e-3, 1.0]), inputs(shape), [random_u(module, seed) for seed in range(4)]
    stacked = {n: torch.stack([u[n] for u in us]) for n in us[0]}

    def loss(u, gamma):
        return (propagate_pairs(module, u, gamma, (x,))[0] - 1).square().mean()

    batched = vmap(grad(loss))(stacked, gammas)
    for i, u in enumerate(us):
        u = {n: d.requires_grad_() for n, d in u.items()}
        alone = torch.autograd.grad(loss(u, float(gammas[i])), list(u.values()))
        assert distance({n: g[i] for n, g in batched.items()}, dict(zip(u, alone, strict=True))) < 1e-5


def test_parameters_are_u_and_theta_follows():
    module, shape = mlp()
    before = copy.deepcopy(module.state_dict())
    centered = Centered(module, 0.5)
    assert [n for n, _ in centered.named_parameters()] == [f"u.{n}" for n, _ in module.named_parameters()]
    assert all((p == 0).all() for p in centered.parameters())
    optimizer = torch.optim.SGD(centered.parameters(), lr=0.3)
    x = inputs(shape)
    centered(x).sum().backward()
    optimizer.step()
    for name, p in module.named_parameters():
        assert torch.equal(p, before[name])          # the wrapped module is not touched
        assert torch.allclose(centered.theta()[name], p + 0.5 * centered.coordinates()[name])
        assert not torch.equal(centered.theta()[name], p)
    moved = {n: centered.theta()[n].double() for n in before}
    direct = (functional_call(copy.deepcopy(module).double(), moved, x.double()) - module.double()(x.double())) / 0.5
    assert distance(centered(x).detach(), direct.detach()) < 1e-5


def test_saves_and_moves_as_a_module_does(tmp_path):
    module, shape = mlp()
    centered = Centered(module, 1e-4)
    place(centered, random_u(module))
    torch.save(centered.state_dict(), tmp_path / "u.pt")
    other = Centered(mlp(seed=7)[0], 1e-4)
    x = inputs(shape)
    assert not torch.allclose(other(x), centered(x))
    other.load_state_dict(torch.load(tmp_path / "u.pt", weights_only=True))
    assert torch.equal(other(x), centered(x))
    assert centered.double()(x.double()).dtype == torch.float64


def test_functional_call_under_transforms():
    module, shape = mlp(nn.Tanh)
    centered, x = Centered(module, 1e-6), inputs(shape)
    u = random_u(module)
    named = {f"u.{n}": d for n, d in u.items()}
    g = grad(lambda p: functional_call(centered, p, (x,)).square().sum())(named)
    exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
    exact = torch.autograd.grad(centred(module, exact_u, 1e-6, x).square().sum(), list(exact_u.values()))
    assert distance({n[2:]: t for n, t in g.items()}, dict(zip(u, exact, strict=True))) < 1e-6


def test_functional_call_with_running_statistics():
    module, shape = NETWORKS["cnn"]()
    centered, x = Centered(module, 1e-6), inputs(shape)
    us = [random_u(module, seed) for seed in range(2)]
    stacked = {f"u.{n}": torch.stack([u[n] for u in us]) for n in us[0]}
    g = vmap(grad(lambda p: functional_call(centered, p, (x,)).square().sum()))(stacked)
    for i, u in enumerate(us):
        exact_u = {n: d.double().requires_grad_() for n, d in u.items()}
        exact = torch.autograd.grad(centred(module, exact_u, 1e-6, x).square().sum(), list(exact_u.values()))
        assert distance({n[2:]: t[i] for n, t in g.items()}, dict(zip(u, exact, strict=True))) < 2e-6


@pytest.mark.parametrize("gamma", [0.0, 1e-6, 1e-2, 1.0])
@pytest.mark.parametrize("name", ["mlp", "encoder"])
def test_second_derivatives(name, gamma):
    # of the loss, along a direction: what the spectrum of the Hessian is made of
    module, shape = NETWORKS[name](nn.Tanh) if name == "mlp" else NETWORKS[name]()
    u, x, along = random_u(module), inputs(shape), random_u(module, 5)

    def product(f, u, along):
        u = {n: d.clone().requires_grad_() for n, d in u.items()}
        g = torch.autograd.grad((f(u) - 1).square().sum(), list(u.values()), create_graph=True)
        inner = sum((a * b).sum() for a, b in zip(g, along.values(), strict=True))
        return dict(zip(u, torch.autograd.grad(inner, list(u.values())), strict=True))

    found = product(lambda d: propagate_pairs(module, d, gamma, (x,))[0], u, along)
    # below 1e-5 the oracle's second derivative loses its digits, and that of the linearised network is within the tolerance
    near = 0.0 if gamma < 1e-5 else gamma
    exact = product(lambda d: centred(module, d, near, x), {n: d.double() for n, d in u.items()}, {n: d.double() for n, d in along.items()})
    assert distance(found, exact) < 1e-5


def test_bfloat16():
    module, shape = mlp(nn.Tanh)
    u, x = random_u(module), inputs(shape)
    centered = Centered(module.bfloat16(), 1e-8)
    place(centered, {n: d.bfloat16() for n, d in u.items()})
    assert centered.chosen == "pairs"
    assert distance(centered(x.bfloat16()).detach(), centred(module, {n: d.bfloat16() for n, d in u.items()}, 0.0, x.bfloat16())) < 0.02


def test_parametrized_weights():
    torch.manual_seed(0)
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 8)), nn.Tanh(), nn.Linear(8, 2))
    centered = Centered(module, 1e-3)
    u = random_u(module)
    x = inputs((4,))
    assert (centered(x) == 0).all()
    place(centered, u)
    assert centered.chosen == "pairs"
    assert distance(centered(x).detach(), centred_by_hand(module, u, 1e-3, x)) < 1e-6


@pytest.mark.parametrize("method", ["pairs", "two_copy", "float64"])
def test_running_statistics_follow_both_networks(method):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    gamma, u = 0.3, random_u(module)
    centered = Centered(module, gamma, method)
    place(centered, u)
    copies = [copy.deepcopy(module).double() for _ in range(2)]
    with torch.no_grad():
        for n, p in copies[1].named_parameters():
            p += gamma * u[n].double()
    for seed in range(5):
        x = inputs((5,), seed=seed)
        centered(x)
        for f in copies:
            f(x.double())
    assert int(centered.module[1].num_batches_tracked) == 5
    centered.eval()
    x = inputs((5,), seed=9)
    before = copy.deepcopy(centered.state_dict())
    exact = (copies[1].eval()(x.double()) - copies[0].eval()(x.double())) / gamma
    assert distance(centered(x).detach(), exact.detach()) < 1e-5
    assert all(torch.equal(before[n], t) for n, t in centered.state_dict().items())     # evaluation changes no state


@pytest.mark.parametrize("method", ["pairs", "two_copy", "float64"])
def test_dropout_masks_are_shared(method):
    # with two masks the difference at a small gamma would be of order 1/gamma
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 64), nn.Dropout(0.5), nn.Linear(64, 2))
    centered = Centered(module, 1e-2, method)
    place(centered, random_u(module))
    x = inputs((5,))
    outputs = torch.stack([centered(x).detach() for _ in range(20)])
    assert outputs.abs().max() < 50
    assert outputs.std(0).min() > 1e-2           # and there are masks
    centered.eval()
    assert torch.equal(centered(x), centered(x))


def test_stock_attention_with_masks():
    torch.manual_seed(0)
    module = nn.MultiheadAttention(8, 2, batch_first=True)

    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, x):
            causal = nn.Transformer.generate_square_subsequent_mask(5).to(x.dtype)
            padding = torch.tensor([[False] * 5, [False] * 4 + [True]])
            out, weights = self.inner(x, x, x, attn_mask=causal, key_padding_mask=padding.to(x.dtype).masked_fill(padding, -math.inf))
            unmasked, _ = self.inner(x, x, x, need_weights=False)
            return torch.cat([out, unmasked, weights], dim=-1)

    x, gamma = inputs((5, 8), 2), 1e-6
    centered = Centered(Masked(), gamma, "pairs")
    u = random_u(centered.module)
    place(centered, u)
    assert distance(centered(x).detach(), centred(Masked(), u, gamma, x)) < 1e-6


@pytest.mark.parametrize(("made", "x"), [
    (lambda: nn.LSTM(4, 3, 2), inputs((3, 4), 5)),
    (lambda: nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 2), nn.Softmax(-1)), torch.arange(6).reshape(2, 3)),
    (lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0), 2, enable_nested_tensor=False), inputs((3, 4), 5)),
], ids=["lstm", "embedding", "stack"])
def test_further_stock_modules(made, x):
    torch.manual_seed(0)
    module = made()
    centered = Centered(module, 1e-7, "pairs")
    u = random_u(module)
    place(centered, u)
    output = centered(x)
    output = output[0] if isinstance(output, tuple) else output
    wide = copy.deepcopy(module).double()
    outputs = []
    for scale in (0, 1e-7):
        with torch.no_grad():
            for n, p in wide.named_parameters():
                p.copy_(theta(module)[n] + scale * u[n].double())
        out = wide(x.double() if x.is_floating_point() else x)
        outputs.append((out[0] if isinstance(out, tuple) else out).detach())
    assert output.abs().max() > 0
    if isinstance(module, nn.LSTM):      # the flat list of weights is restored
        assert all(a is b for a, b in zip(centered.module._flat_weights, centered.module.parameters(), strict=True))
    assert distance(output.detach(), (outputs[1] - outputs[0]) / 1e-7) < 1e-5


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True, dropout=0.0), nn.Linear(4, 8)

    def forward(self, x):
        h = self.outer(x)
        return self.inner(h, h.flip(1), tgt_mask=nn.Transformer.generate_square_subsequent_mask(h.shape[1]), tgt_is_causal=True)


class Handwritten(nn.Module):
    """Common idioms: temperatures, masks, writes into slices, indices from maxima, nested outputs."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.temperature = nn.Linear(4, 6), nn.Parameter(torch.randn(6)), nn.Parameter(torch.tensor(1.5))

    def forward(self, x):
        h = self.a(x) * self.temperature.exp() + nn.functional.softplus(self.b)
        h = h / h.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        q = torch.tril(torch.einsum("bi,bj->bij", h, h)).reshape(len(x), -1)
        out = torch.cat([torch.sigmoid(q) * q, torch.zeros(len(x), 1)], 1)
        out[:, 0] = h[:, 0]
        normal = (out - out.mean(-1, keepdim=True)) * torch.rsqrt(out.var(-1, keepdim=True) + 1e-5)
        largest, at = normal.max(-1)
        return {"one": normal.logsumexp(-1) + largest + torch.gather(out, 1, at[:, None])[:, 0], "more": (h.unbind(-1)[0], q.amax(-1))}


STOCK = {
    "gru": (lambda: nn.GRU(4, 6, bidirectional=True), (3, 2, 4)), "cell": (lambda: nn.LSTMCell(4, 6), (3, 4)),
    "prelu": (lambda: nn.Sequential(nn.Linear(4, 4), nn.PReLU(), nn.CELU(), nn.Hardswish(), nn.Mish()), (3, 4)),
    "instance": (lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.InstanceNorm2d(3, affine=True),
                                       nn.ReLU6(), nn.Upsample(scale_factor=2), nn.LPPool2d(2, 2), nn.LocalResponseNorm(2)), (2, 1, 6, 6)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose2d(1, 4, 3, stride=2, output_padding=1), nn.Softplus(), nn.PixelShuffle(2)),
                   (2, 1, 4, 4)),
    "depthwise": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3, groups=4, padding="same", dilation=2),
                                        nn.BatchNorm2d(4, track_running_stats=False), nn.SiLU(), nn.AdaptiveMaxPool2d(2)), (3, 4, 6, 6)),
    "rms": (lambda: nn.Sequential(nn.Linear(4, 6), nn.RMSNorm(6), nn.GLU()), (3, 4)),
    "3d": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.BatchNorm3d(2), nn.GELU("tanh"), nn.AvgPool3d(2)), (2, 1, 5, 5, 5)),
    "evaluated": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1).eval(), (5, 2, 8)),
    "decoder": (Decoder, (2, 5, 4)), "handwritten": (Handwritten, (5, 4)),
}


@pytest.mark.parametrize("gamma", [1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("name", STOCK)
def test_stock_modules_equal_two_float64_copies(name, gamma):
    made, shape = STOCK[name]
    torch.manual_seed(0)
    # function and gradient; the tests of the self-check show that this number can be large
    assert Centered(made(), gamma, "pairs").discrepancy(torch.randn(*shape)) < 2e-6


def test_tied_and_frozen_parameters():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    module[2].weight = module[0].weight
    module[0].bias.requires_grad_(False)
    centered = Centered(module, 1e-3, "pairs")
    assert set(centered.coordinates()) == {"0.weight", "2.bias"}
    u = {n: d for n, d in random_u(module).items() if n in centered.coordinates()}
    place(centered, u)
    x = inputs((4,)).double()
    w, b = (theta(module)[n] for n in ("0.weight", "2.bias"))
    first = theta(module)["0.bias"]

    def f(s):
        moved = w + s * u["0.weight"].double()
        return torch.tanh(x @ moved.T + first) @ moved.T + b + s * u["2.bias"].double()

    assert distance(centered(x.float()).detach(), (f(1e-3) - f(0)) / 1e-3) < 1e-6


class Reads(nn.Module):
    """Scales by a number read from a tensor: a difference cannot be propagated through it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        h = self.layer(x)
        return h * h.square().mean().item()


class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sin()

    @staticmethod
    def backward(ctx, g):
        return g


class WrongGradient(nn.Module):
    """A custom function with the right value and a wrong gradient."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        return Own.apply(self.layer(x))


@pytest.mark.parametrize(("made", "named"), [(Reads, "item"), (WrongGradient, "WrongGradient")])
def test_falls_back_with_a_warning(made, named):
    torch.manual_seed(0)
    module, x = made(), inputs((4,))
    centered = Centered(module, 1e-3)
    with pytest.warns(FellBack, match=named):
        centered(x)
    assert centered.chosen == "float64"
    u = random_u(module)
    place(centered, u)
    with warnings.catch_warnings():
        warnings.simplefilter("error")          # once
        assert distance(centered(x).detach(), centred_by_hand(module, u, 1e-3, x)) < 1e-6


def centred_by_hand(module, u, gamma, x):
    f = [copy.deepcopy(module).double() for _ in range(2)]
    with torch.no_grad():
        for n, p in f[1].named_parameters():
            p += gamma * u[n].double()
        return (f[1](x.double()) - f[0](x.double())) / gamma


def test_pairs_name_the_operation_they_do_not_support():
    centered = Centered(Reads(), 1e-3, "pairs")
    with pytest.raises(Unsupported, match=r"item.*float64"):
        centered(inputs((4,)))


def test_the_self_check_accepts_right_rules():
    for make in NETWORKS.values():
        module, shape = make()
        centered = Centered(module, 1e-6)
        centered(inputs(shape))                 # a warning would be an error here
        assert centered.chosen == "pairs"
    noisy = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    centered = Centered(noisy, 1e-6)
    centered(inputs((4,)))
    assert (centered.chosen, centered.training, centered.module.training) == ("pairs", True, True)


def test_the_self_check_can_fail(monkeypatch):
    from deepnets.centered import pair

    right = pair.RULES["relu"]
    monkeypatch.setitem(pair.RULES, "relu", lambda func, x, inplace=False: right(func, x) * 1.01)
    with pytest.warns(FellBack, match="relative error"):
        Centered(mlp()[0], 1e-3)(inputs((12,)))


def test_rounding_at_kinks_does_not_fail_the_self_check(monkeypatch):
    # in float32, rounding switches units near their kink, a per cent of a wide network's gradient; in float64 the rule passes
    from deepnets.centered import centered

    monkeypatch.setitem(centered.ALLOWED, torch.float32, 1e-12)
    centered = Centered(mlp()[0], 1e-3)
    centered(inputs((12,)))
    assert centered.chosen == "pairs"
    monkeypatch.setattr(Centered, "_right_in_double", lambda *_: False)
    with pytest.warns(FellBack, match="relative error"):
        Centered(mlp()[0], 1e-3)(inputs((12,)))


@pytest.mark.parametrize(("gamma", "dtype", "chosen"), [(0, torch.float32, "pairs"), (0.099, torch.float32, "pairs"),
                                                        (0.1, torch.float32, "two_copy"), (1e-7, torch.float64, "two_copy")])
def test_auto_chooses_by_gamma_and_precision(gamma, dtype, chosen):
    assert Centered(mlp()[0].to(dtype), gamma).chosen == chosen


@pytest.mark.parametrize(("arguments", "named"), [((nn.Linear(2, 1), -1.0), "gamma"), ((nn.Linear(2, 1), math.nan), "gamma"),
                                                  ((nn.Linear(2, 1), 1.0, "exact"), "method"), ((nn.ReLU(), 1.0), "module"),
                                                  ((F.relu, 1.0), "module"), ((nn.Linear(2, 1), 0, "two_copy"), "two_copy")])
def test_misuse(arguments, named):
    with pytest.raises(Misuse, match=named):
        Centered(*arguments)


def test_an_error_of_the_module_itself_is_raised_unchanged():
    centered = Centered(encoder()[0], 1e-6)
    with pytest.raises(AssertionError, match="was expecting embedding dimension of 12, but got 13"):
        centered(torch.randn(2, 5, 13))
    centered(torch.randn(2, 5, 12))
    assert centered.chosen == "pairs"
