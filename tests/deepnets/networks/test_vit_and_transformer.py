"""ViT and Transformer against torch's own encoder and attention written out head by head; causality and symmetries."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import Transformer, ViT
from deepnets.batched.stack import choose_stack
from deepnets.batched.state import zero_differences
from deepnets.losses import CrossEntropy
from tests.deepnets.networks.test_residual_networks import weights
from validation import Misuse


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def encoder(spec, w):
    """torch's own pre-norm encoder, the multipliers in its weights."""
    n, heads = spec.width, spec.heads
    branch = spec.blocks**-0.5 if spec.parametrization == "depth_mup" else 1
    layer = nn.TransformerEncoderLayer(n, heads, spec.mlp_ratio * n, 0.0, "gelu", batch_first=True, norm_first=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")       # it warns that it cannot nest tensors
        made = nn.TransformerEncoder(layer, spec.blocks, nn.LayerNorm(n))
    # torch divides logits by sqrt(d); here it is by d in muP, and by the temperature
    factor = ((n / heads) ** -0.5 if spec.parametrization in ("mup", "depth_mup") else 1) / spec.temperature
    with torch.no_grad():
        for i, block in enumerate(made.layers):
            own = {k.removeprefix(f"blocks.{i}."): v for k, v in w.items() if k.startswith(f"blocks.{i}.")}
            scale = torch.ones(3 * n)
            scale[:n] = factor
            block.self_attn.in_proj_weight.copy_(own["attention.qkv.weight"] * scale[:, None] / n**0.5)
            block.self_attn.in_proj_bias.copy_(own["attention.qkv.bias"] * scale)
            block.self_attn.out_proj.weight.copy_(own["attention.out.weight"] * branch / n**0.5)
            block.self_attn.out_proj.bias.copy_(own["attention.out.bias"] * branch)
            block.linear1.weight.copy_(own["first.weight"] / n**0.5)
            block.linear1.bias.copy_(own["first.bias"])
            block.linear2.weight.copy_(own["second.weight"] * branch / (spec.mlp_ratio * n) ** 0.5)
            block.linear2.bias.copy_(own["second.bias"] * branch)
            for ours, theirs in (("attention_norm", block.norm1), ("mlp_norm", block.norm2)):
                theirs.weight.copy_(own[f"{ours}.weight"])
                theirs.bias.copy_(own[f"{ours}.bias"])
        made.norm.weight.copy_(w["last_norm.weight"])
        made.norm.bias.copy_(w["last_norm.bias"])
    return made


@pytest.mark.parametrize(("parametrization", "readout"), [("mup", 1 / 12), ("depth_mup", 1 / 12), ("ntk", 12**-0.5)])
def test_vit_is_torchs_encoder(parametrization, readout):
    spec = ViT((2, 8, 12), 12, 3, blocks=2, heads=3, mlp_ratio=2, temperature=0.25, bias=True, parametrization=parametrization)
    assert spec.depth == 10
    module, w = weights(spec)
    x = torch.randn(4, 2, 8, 12)
    patches = F.conv2d(x, w["patches.weight"].reshape(12, 2, 4, 4) / 32**0.5, w["patches.bias"], stride=4)
    h = encoder(spec, w)(patches.flatten(2).transpose(1, 2) + w["positions"])
    assert h.shape == (4, 6, 12)
    expected = h.mean(1) @ w["readout.weight"].T * readout + w["readout.bias"]
    assert torch.allclose(module(x), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(module(x.flatten(1)), module(x))


def test_transformer_is_torchs_encoder():
    spec = Transformer(7, 5, 12, heads=2, temperature=0.25, bias=True)
    module, w = weights(spec)
    tokens = torch.randint(0, 7, (4, 5))
    h = w["embedding"][tokens] + w["positions"]
    h = encoder(spec, w)(h, mask=nn.Transformer.generate_square_subsequent_mask(5), is_causal=True)
    assert torch.allclose(module(tokens), h @ w["readout.weight"].T / 12 + w["readout.bias"], atol=1e-5, rtol=1e-4)


def test_transformer_is_causal():
    module = Transformer(7, 5, 12, heads=2, qk="layernorm").build(0)
    tokens = torch.randint(0, 7, (4, 5))
    whole = module(tokens)
    changed = tokens.clone()
    changed[:, 3] = (changed[:, 3] + 1) % 7
    assert torch.allclose(module(changed)[:, :3], whole[:, :3], atol=1e-6)
    assert not torch.allclose(module(changed)[:, 4], whole[:, 4], atol=1e-4)
    assert torch.allclose(module(tokens[:, :2]), whole[:, :2], atol=1e-6)


@pytest.mark.parametrize("qk", ["none", "norm", "layernorm"])
def test_attention_head_by_head(qk):
    spec = ViT((1, 4, 8), 6, 1, blocks=1, heads=2, patch=2, qk=qk, temperature=0.2)
    module, w = weights(spec)
    attention, x = module.blocks[0].attention, torch.randn(3, 8, 6)
    made = []
    for q, k, v, head in zip(*((x @ w["blocks.0.attention.qkv.weight"].T / 6**0.5).split(3, -1)[2 * i:2 * i + 2] for i in range(3)),
                             range(2), strict=True):
        if qk == "layernorm":
            q, k = ((t - t.mean(-1, keepdim=True)) / (t.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt() for t in (q, k))
            q, k = q * w["blocks.0.attention.query_norm.weight"][head], k * w["blocks.0.attention.key_norm.weight"][head]
        logits = torch.einsum("bid,bjd->bij", q, k) / 3
        if qk == "norm":
            logits = F.cosine_similarity(q[:, :, None], k[:, None], -1)
        made.append((logits / 0.2).softmax(-1) @ v)
    expected = torch.cat(made, -1) @ w["blocks.0.attention.out.weight"].T / 6**0.5
    assert torch.allclose(attention(x), expected, atol=1e-4 if qk == "norm" else 1e-5)      # a cosine has no eps


def test_without_norms_nothing_is_normalised():
    spec = ViT((1, 8, 8), 8, 2, norm="none")
    assert not any(r.role == "norm" for r in spec.scalings())
    module = spec.build(0)
    x = torch.randn(2, 1, 8, 8)
    seen = []
    module.readout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach().norm()))
    module(x), module(10 * x)
    assert seen[1] > 3 * seen[0]


def test_patches_are_permutation_invariant_without_positions():
    module = ViT((1, 4, 8), 8, 2, patch=4).build(0)
    x = torch.randn(3, 1, 4, 8)
    swapped = torch.cat([x[..., 4:], x[..., :4]], -1)
    assert not torch.allclose(module(swapped), module(x), atol=1e-4)
    with torch.no_grad():
        module.positions[1] = module.positions[0]
    assert torch.allclose(module(swapped), module(x), atol=1e-6)


def test_language_is_learned_in_a_stack():
    """Each token is followed by the next one; centred logits learn that at any gamma."""
    module = Transformer(5, 6, 32, heads=2).build(0)
    stack, u, gamma = choose_stack(module), zero_differences(module, 3), torch.tensor([1e-6, 1e-2, 1.0])
    x = torch.randint(0, 5, (16, 6), generator=torch.Generator().manual_seed(0))
    loss, losses = CrossEntropy(), []
    y = loss.target((x + 1) % 5, 5, torch.float32)
    for _ in range(40):
        value, gradient = stack.gradients(u, gamma, x, y, loss)
        losses.append(value)
        u = {n: d - 0.5 * 32 * gradient[n] for n, d in u.items()}
    assert torch.allclose(losses[0], torch.tensor(5.0).log())
    assert (losses[-1] < 0.15 * losses[0]).all()
    assert (stack.outputs(u, gamma, x).argmax(-1) == (x + 1) % 5).double().mean() > 0.95
    assert torch.allclose(losses[-1][0], losses[-1][1], rtol=0.1)       # the lazy limit


@pytest.mark.parametrize(("change", "named"), [
    ({"width": 10, "heads": 3}, "heads must divide width"), ({"patch": 3}, "patch must divide"), ({"qk": "l2"}, "qk"),
    ({"temperature": 0}, "temperature"), ({"temperature": True}, "temperature"), ({"temperature": (1, 2)}, "temperature"),
    ({"norm": "batch"}, "norm"), ({"blocks": 0}, "blocks"), ({"mlp_ratio": 0.5}, "mlp_ratio"), ({"in_shape": 3}, "in_shape"),
    ({"parametrization": "sp"}, "parametrization"), ({"bias": None}, "bias"), ({"nonlinearity": "swish"}, "nonlinearity")])
def test_vit_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        ViT(**{"in_shape": (1, 8, 8), "width": 8, "out_features": 2} | change)


@pytest.mark.parametrize(("change", "named"), [({"vocabulary": 0}, "vocabulary"), ({"context": 2.0}, "context"), ({"heads": 5}, "heads")])
def test_transformer_misuse(change, named):
    with pytest.raises(Misuse, match=named):
        Transformer(**{"vocabulary": 5, "context": 4, "width": 8} | change)


@pytest.mark.parametrize("tokens", [torch.zeros(2, 4), torch.zeros(2, 5, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)])
def test_inputs_that_are_not_tokens(tokens):
    with pytest.raises(Misuse, match="tokens"):
        Transformer(5, 4, 8).build(0)(tokens)
