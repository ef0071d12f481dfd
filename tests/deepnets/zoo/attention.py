"""Attention networks of the zoo: vision and language models as they are written by hand, and torch's own."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from tests.deepnets.zoo.entry import add, register

FAMILY = "attention"
VOCABULARY, WIDTH, CONTEXT = 6, 8, 12


@register("ViT", FAMILY, "images")
class ViT(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 8, 4, 4)
        self.token, self.place = nn.Parameter(0.02 * torch.randn(1, 1, 8)), nn.Parameter(0.02 * torch.randn(1, 5, 8))
        self.norm1, self.norm2, self.norm = nn.LayerNorm(8), nn.LayerNorm(8), nn.LayerNorm(8)
        self.qkv, self.out = nn.Linear(8, 24), nn.Linear(8, 8)
        self.mlp, self.head = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)), nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1) + self.place
        B, N, C = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(B, N, 3, 2, C // 2).permute(2, 0, 3, 1, 4).unbind(0)
        weights = (q * (C // 2) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(B, N, C))
        x = x + self.mlp(self.norm2(x))
        return self.head(self.norm(x)[:, 0])


@register("MLP-Mixer", FAMILY, "images")
class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches, self.norm1, self.norm2 = nn.Conv2d(1, 8, 2, 2), nn.LayerNorm(8), nn.LayerNorm(8)
        self.places, self.channels = (nn.Sequential(nn.Linear(n, 12), nn.GELU(), nn.Linear(12, n)) for n in (16, 8))
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).mT
        x = x + self.places(self.norm1(x).mT).mT
        x = x + self.channels(self.norm2(x))
        return self.head(x.mean(1))


@register("Swin-like, shifted windows", FAMILY, "images")
class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.norms = nn.Conv2d(1, 8, 2, 2), nn.ModuleList(nn.LayerNorm(8) for _ in range(2))
        self.qkv, self.out = (nn.ModuleList(nn.Linear(8, n) for _ in range(2)) for n in (24, 8))
        self.bias = nn.Parameter(0.1 * torch.randn(9, 2))
        at = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        apart = (at[:, :, None] - at[:, None]) + 1
        self.register_buffer("index", apart[0] * 3 + apart[1])
        self.head = nn.Linear(8, 4)

    def attend(self, x, i, shift):
        if shift:
            x = torch.roll(x, (-shift, -shift), (1, 2))
        B = x.shape[0]
        windows = x.view(B, 2, 2, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, 8)
        q, k, v = self.qkv[i](windows).reshape(-1, 4, 3, 2, 4).permute(2, 0, 3, 1, 4)
        weights = q @ k.transpose(-2, -1) / 2 + self.bias[self.index.view(-1)].view(4, 4, 2).permute(2, 0, 1).contiguous()[None]
        windows = self.out[i]((weights.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, 8))
        x = windows.view(B, 2, 2, 2, 2, 8).permute(0, 1, 3, 2, 4, 5).contiguous().view(B, 4, 4, 8)
        return torch.roll(x, (shift, shift), (1, 2)) if shift else x

    def forward(self, x):
        x = self.embed(x).permute(0, 2, 3, 1)
        for i, norm in enumerate(self.norms):
            x = x + self.attend(norm(x), i, i)
        return self.head(x.mean((1, 2)))


class CausalBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.c_attn, self.c_proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.register_buffer("mask", torch.tril(torch.ones(CONTEXT, CONTEXT)).view(1, 1, CONTEXT, CONTEXT))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = (t.view(B, T, 2, C // 2).transpose(1, 2) for t in self.c_attn(self.ln_1(x)).split(C, dim=2))
        weights = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        weights = F.softmax(weights.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf")), dim=-1)
        x = x + self.c_proj((weights @ v).transpose(1, 2).contiguous().view(B, T, C))
        h = self.up(self.ln_2(x))
        return x + self.down(0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * torch.pow(h, 3.0)))))


@register("GPT-2-like, tied embeddings", FAMILY, "next tokens")
class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks, self.ln_f = nn.ModuleList(CausalBlock() for _ in range(2)), nn.LayerNorm(WIDTH)
        self.lm_head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1], device=idx.device))
        for block in self.blocks:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class RMSNorm(nn.Module):
    """As the published language models write it: in float32, whatever the weights are."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        dtype = x.dtype
        x = x.to(torch.float32)
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(dtype)


def rotate_half(x):
    x1, x2 = x[..., :x.shape[-1] // 2], x[..., x.shape[-1] // 2:]
    return torch.cat((-x2, x1), dim=-1)


@register("Llama-like, grouped queries, rotary", FAMILY, "next tokens")
class Llama(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(VOCABULARY, WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.norm1, self.norm2, self.norm = RMSNorm(WIDTH), RMSNorm(WIDTH), RMSNorm(WIDTH)
        self.q, self.k, self.v, self.o = (nn.Linear(WIDTH, n, bias=False) for n in (8, 4, 4, 8))
        self.gate, self.up, self.down = (nn.Linear(a, b, bias=False) for a, b in ((WIDTH, 16), (WIDTH, 16), (16, WIDTH)))
        self.register_buffer("inv_freq", 1.0 / 100.0 ** (torch.arange(0, 2, 2).float() / 2), persistent=False)

    def forward(self, idx):
        x = self.embed(idx)
        B, T, _ = x.shape
        angles = torch.outer(torch.arange(T).float(), self.inv_freq)
        cos, sin = torch.cat((angles, angles), -1).cos(), torch.cat((angles, angles), -1).sin()
        h = self.norm1(x)
        q, k, v = (w(h).view(B, T, -1, 2).transpose(1, 2) for w in (self.q, self.k, self.v))
        q, k = (t * cos + rotate_half(t) * sin for t in (q, k))
        k, v = (t[:, :, None].expand(B, 2, 2, T, 2).reshape(B, 4, T, 2) for t in (k, v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(B, T, -1))
        h = self.norm2(x)
        return self.head(self.norm(x + self.down(F.silu(self.gate(h)) * self.up(h))))


@register("BERT-like, padding mask", FAMILY, "tokens")
class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0), nn.Embedding(CONTEXT, WIDTH)
        self.norm, self.after = nn.LayerNorm(WIDTH, eps=1e-12), nn.LayerNorm(WIDTH, eps=1e-12)
        self.query, self.key, self.value, self.dense = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.pooler, self.head = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)

    def forward(self, ids):
        x = self.norm(self.words(ids) + self.places.weight)
        mask = (1.0 - (ids != 0)[:, None, None].to(x.dtype)) * torch.finfo(x.dtype).min
        q, k, v = (w(x).unflatten(-1, (2, -1)).transpose(1, 2) for w in (self.query, self.key, self.value))
        p = nn.functional.softmax(torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(q.size(-1)) + mask, dim=-1)
        x = self.after(x + self.dense(torch.matmul(p, v).transpose(1, 2).flatten(2)))
        return self.head(torch.tanh(self.pooler(x[:, 0])))


add("nn.TransformerEncoder", FAMILY, "sequences", lambda: nn.Sequential(
    nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True), 2, enable_nested_tensor=False), nn.Flatten(),
    nn.Linear(64, 4)))


def encoder_with_dropout() -> nn.Module:
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.1, "gelu", batch_first=True, norm_first=True)
    layer.self_attn.dropout = 0.0          # torch draws that mask in an order that depends on the layout of its factors in memory
    return nn.Sequential(layer, nn.Flatten(), nn.Linear(64, 4))


add("nn.TransformerEncoder with dropout", FAMILY, "sequences", encoder_with_dropout)


@register("nn.Transformer", FAMILY, "sequences")
class EncoderDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Transformer(8, 2, 1, 1, 12, 0.0, batch_first=True)
        self.start, self.head = nn.Parameter(torch.randn(1, 2, 8)), nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.inner(x, self.start.expand(len(x), -1, -1)).flatten(1))


@register("nn.MultiheadAttention, causal", FAMILY, "next tokens")
class Causal(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.attention, self.head = nn.Embedding(6, 8), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 6)

    def forward(self, idx):
        x = self.embed(idx)
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        return self.head(x + self.attention(x, x, x, attn_mask=mask, need_weights=False, is_causal=True)[0])


@register("linear attention (cumsum, einsum)", FAMILY, "next tokens")
class LinearAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.qkv, self.head = nn.Embedding(6, 8), nn.Linear(8, 24), nn.Linear(8, 6)

    def forward(self, idx):
        q, k, v = self.qkv(self.embed(idx)).chunk(3, -1)
        q, k = F.elu(q) + 1, F.elu(k) + 1
        memory = torch.cumsum(torch.einsum("btk,btv->btkv", k, v), 1)
        total = torch.einsum("btk,btk->bt", q, torch.cumsum(k, 1))
        return self.head(torch.einsum("btk,btkv->btv", q, memory) / total[..., None])


@register("Perceiver-like latents", FAMILY, "sequences")
class Perceiver(nn.Module):
    def __init__(self):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(3, 8))
        self.cross, self.head = nn.MultiheadAttention(8, 2, kdim=8, vdim=8, batch_first=True), nn.Linear(24, 4)

    def forward(self, x):
        latents = self.latents.unsqueeze(0).repeat(x.size(0), 1, 1)
        return self.head((latents + self.cross(latents, x, x)[0]).flatten(1))


@register("relative positions (ALiBi)", FAMILY, "next tokens")
class Alibi(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.qkv, self.head = nn.Embedding(6, 8), nn.Linear(8, 24, bias=False), nn.Linear(8, 6)

    def forward(self, idx):
        T = idx.shape[1]
        q, k, v = self.qkv(self.embed(idx)).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
        apart = torch.arange(T)[None, :] - torch.arange(T)[:, None]
        bias = (apart.float() * torch.tensor([0.5, 0.25])[:, None, None]).masked_fill(apart > 0, -torch.inf)
        return self.head(F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)).transpose(1, 2).flatten(2))


add("EmbeddingBag", FAMILY, "tokens", lambda: nn.Sequential(nn.EmbeddingBag(6, 8, mode="mean"), nn.Tanh(), nn.Linear(8, 4)))
