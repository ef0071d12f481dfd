"""Models of public libraries in the zoo, built from configurations: no weights are loaded."""

from __future__ import annotations

import torch
from torch import nn

from tests.deepnets.zoo.entry import add, register

FAMILY = "libraries"


@register("einops functions", FAMILY, "images", library="einops")
class EinopsFunctions(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(16, 8), nn.Linear(8, 4)

    def forward(self, x):
        from einops import rearrange, reduce, repeat

        h = torch.tanh(self.embed(rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=4, q=4)))
        h = h + repeat(reduce(h, "b n d -> b d", "mean"), "b d -> b n d", n=4)
        return self.head(reduce(h, "b n d -> b d", "max"))


@register("einops einsum and pack", FAMILY, "sequences", library="einops")
class EinopsEinsum(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.head, self.token = nn.Linear(8, 24), nn.Linear(8, 4), nn.Parameter(torch.randn(8))

    def forward(self, x):
        from einops import einsum, pack, rearrange, repeat

        x, _ = pack([repeat(self.token, "d -> b d", b=len(x)), x], "b * d")
        q, k, v = rearrange(self.qkv(x), "b n (three h d) -> three b h n d", three=3, h=2)
        p = (einsum(q, k, "b h i d, b h j d -> b h i j") / 2).softmax(-1)
        return self.head(rearrange(einsum(p, v, "b h i j, b h j d -> b h i d"), "b h n d -> b n (h d)")[:, 0])


def einops_layers() -> nn.Module:
    from einops.layers.torch import Rearrange, Reduce

    return nn.Sequential(Rearrange("b c (h p) (w q) -> b (h w) (c p q)", p=4, q=4), nn.Linear(16, 8), nn.GELU(),
                         Reduce("b n d -> b d", "mean"), nn.Linear(8, 4))


add("einops layers", FAMILY, "images", einops_layers, library="einops")


class Logits(nn.Module):
    """A language model's logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, idx):
        return self.model(input_ids=idx).logits


SMALL = {"vocab_size": 6, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "use_cache": False}


def gpt2() -> nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    return Logits(GPT2LMHeadModel(GPT2Config(n_positions=12, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0,
                                             attn_pdrop=0.0, **SMALL)))


def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    return Logits(LlamaForCausalLM(LlamaConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=4,
                                               num_key_value_heads=2, **SMALL)))


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    return Logits(BertForSequenceClassification(BertConfig(
        hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, num_labels=4, max_position_embeddings=12,
        hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.0, **SMALL)))


def mixtral() -> nn.Module:
    from transformers import MixtralConfig, MixtralForCausalLM

    return Logits(MixtralForCausalLM(MixtralConfig(hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                                   num_key_value_heads=1, num_local_experts=3, num_experts_per_tok=2,
                                                   experts_implementation="eager", **SMALL)))


def mamba() -> nn.Module:
    from transformers import MambaConfig, MambaForCausalLM

    return Logits(MambaForCausalLM(MambaConfig(hidden_size=8, state_size=4, num_hidden_layers=1, time_step_rank=2, use_mambapy=False,
                                               **SMALL)))


class ImageLogits(Logits):
    def forward(self, x):
        return self.model(pixel_values=x).logits


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    return ImageLogits(ViTForImageClassification(ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=8, patch_size=4, num_channels=1,
        num_labels=4, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)))


add("transformers GPT-2", FAMILY, "next tokens", gpt2, library="transformers")
add("transformers Llama", FAMILY, "next tokens", llama, library="transformers")
add("transformers BERT", FAMILY, "tokens", bert, library="transformers")
add("transformers Mixtral", FAMILY, "next tokens", mixtral, library="transformers")
add("transformers Mamba", FAMILY, "next tokens", mamba, library="transformers")
add("transformers ViT", FAMILY, "images", vit, library="transformers")
