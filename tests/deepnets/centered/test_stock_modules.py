"""`Centered` around torch's own modules, unusual parameters and hand-written idioms, against two float64 copies."""

import copy
import math

import pytest
import torch
from torch import nn

from deepnets import Centered
from tests.deepnets.oracle import centred, centred_by_hand, distance, inputs, mlp, place, random_u, theta


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


def test_bfloat16():
    module, shape = mlp(nn.Tanh)
    u, x = random_u(module), inputs(shape)
    centered = Centered(module.bfloat16(), 1e-8)
    place(centered, {n: d.bfloat16() for n, d in u.items()})
    assert centered.chosen == "pairs"
    assert distance(centered(x.bfloat16()).detach(), centred(module, {n: d.bfloat16() for n, d in u.items()}, 0.0, x.bfloat16())) < 0.02
