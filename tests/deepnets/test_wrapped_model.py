"""Batches that are dicts and tuples, models that return more than a tensor: wrapped, they train as the plain model does."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepnets
from deepnets import MLP, DeepExperiment, tasks
from validation import Misuse

GENERATOR = torch.Generator().manual_seed(0)
A, B = (torch.randn(90, n, generator=GENERATOR) for n in (3, 4))
Y = (A[:, 0] + B[:, 0] > 0).long()


class Two(nn.Module):
    """Takes two tensors, and returns them with the output in a dict."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.last = nn.Linear(3, 8), nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, a, b):
        return {"logits": self.last(torch.tanh(self.one(a) + self.two(b))), "a": a}


class Joint(Two):
    def forward(self, x):
        return super().forward(x[:, :3], x[:, 3:])["logits"]


def built(kind):
    torch.manual_seed(0)
    return kind()


def excess(network, task, **more):
    made = DeepExperiment(network, task, "cross_entropy", steps=20, batch_size=16, precision="float64", device="cpu", **more)
    portrait = made.measure(np.array([0.1, 1.0]), np.array([[1e-2], [1.0]]))
    assert np.isfinite(portrait.final_accuracy).all()
    return portrait.final_excess.values


JOINT = tasks.from_loader([(torch.cat([A, B], 1)[:60], Y[:60])], [(torch.cat([A, B], 1)[60:], Y[60:])])
BATCHES = {
    "dict": [({"a": A[s], "b": B[s]}, Y[s]) for s in (slice(60), slice(60, 90))],
    "tuple": [((A[s].numpy(), B[s].numpy()), Y[s].numpy()) for s in (slice(60), slice(60, 90))],
}


@pytest.mark.parametrize(("form", "inputs"), [
    ("dict", None), ("dict", ("b", "a")), ("dict", lambda batch: (batch["a"], batch["b"])), ("tuple", None), ("tuple", (0, 1)),
    ("tuple", ("a", "b")), ("tuple", lambda batch: {"a": batch[0], "b": batch[1]})])
def test_several_inputs_are_picked(form, inputs):
    task = tasks.from_loader(*([batch] for batch in BATCHES[form]))
    found = excess(lambda seed: deepnets.wrap(built(Two), inputs, output="logits"), task)
    np.testing.assert_allclose(found, excess(lambda seed: built(Joint), JOINT), rtol=1e-9)


def test_targets_are_picked_from_a_dict_and_a_longer_tuple():
    expected = tasks.from_loader(*([batch] for batch in BATCHES["dict"]))
    found = tasks.from_loader(*([{"labels": y, **x}] for x, y in BATCHES["dict"]), target="labels")
    assert found.describe() == expected.describe()
    longer = tasks.from_loader(*([(*x, y)] for x, y in BATCHES["tuple"]), target=-1)
    assert longer.describe() == tasks.from_loader(*([batch] for batch in BATCHES["tuple"])).describe()
    assert longer.describe() != expected.describe()
    single = tasks.from_loader(*([{"x": x["a"], "y": y}] for x, y in BATCHES["dict"]), target="y")
    assert torch.equal(single.held_out()[0], A[60:])


@dataclass
class Output:
    """What a public library's language model returns."""

    logits: torch.Tensor
    loss: torch.Tensor | None = None


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.attention, self.projection = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.second, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, h, mask):
        q, k, v = self.attention(self.norm(h)).chunk(3, -1)
        scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(mask, float("-inf"))
        h = h + self.projection(scores.softmax(-1) @ v)
        return h + self.down(F.gelu(self.up(self.second(h))))


class LanguageModel(nn.Module):
    """A GPT-2 in small, with tied embeddings."""

    def __init__(self, vocabulary=7, context=6, width=8):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.block, self.norm, self.head = Block(width), nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, input_ids, labels=None):
        length = input_ids.shape[1]
        mask = torch.ones(length, length, dtype=torch.bool).triu(1)
        h = self.tokens(input_ids) + self.positions(torch.arange(length))
        return Output(logits=self.head(self.norm(self.block(h, mask))))


def test_a_language_models_output_is_picked_and_padded_targets_do_not_count():
    tokens = torch.randint(7, (80, 6), generator=GENERATOR)
    labels = tokens.roll(1, 1).masked_fill(torch.arange(6) == 0, -100)      # the token before
    task = tasks.from_loader([{"input_ids": tokens[:60], "labels": labels[:60]}], [{"input_ids": tokens[60:], "labels": labels[60:]}],
                             target="labels", ignore_index=-100)
    made = DeepExperiment(lambda seed: deepnets.wrap(LanguageModel(), "input_ids", "logits"), task, nn.CrossEntropyLoss(), "adamw",
                          steps=60, batch_size=16, device="cpu")
    portrait = made.measure(np.array([1.0]), np.array([1e-6, 0.03]))
    assert portrait.final_excess.values[0, 0, 0] == pytest.approx(1, abs=0.01)
    assert portrait.final_excess.values[0, 0, 1] < 0.8


def test_a_refusal_names_the_models_line_and_not_the_wrappers():
    def network(seed):
        return nn.Sequential(deepnets.wrap(nn.LSTM(7, 4, batch_first=True), output=0), nn.Flatten(), nn.Linear(4, 2))

    x = torch.cat([A, B], 1)[:, None]
    task = tasks.from_loader([(x[:60], Y[:60])], [(x[60:], Y[60:])])
    with pytest.raises(deepnets.Unsupported, match=r"\(in LSTM\)"):
        excess(network, task, method="pairs")
    with pytest.warns(deepnets.FellBack):
        assert excess(network, task).min() < 0.9


def test_images_of_targets_with_the_classes_first():
    x = torch.randn(40, 1, 4, 4, generator=GENERATOR)
    y = (x[:, 0] > 0).long()

    def network(seed):
        torch.manual_seed(0)
        return deepnets.wrap(nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)), output=lambda f: f.movedim(1, -1))

    task = tasks.from_loader([(x[:30], y[:30])], [(x[30:], y[30:])])
    made = DeepExperiment(network, task, nn.CrossEntropyLoss(), steps=40, batch_size=8, device="cpu")
    assert float(made.measure(np.array([1.0]), np.array([3.0])).final_excess.squeeze()) < 0.5


def test_a_name_that_the_model_has_no_keyword_for_is_its_only_argument():
    wrapped = deepnets.wrap(nn.Linear(3, 2), inputs="a")
    for batch in (A, {"a": A}, {"a": A, "b": B}):
        torch.testing.assert_close(wrapped(batch), wrapped.model(A))


@pytest.mark.parametrize(("act", "named"), [
    (lambda: deepnets.wrap(lambda x: x), "model must be a torch.nn.Module"),
    (lambda: deepnets.wrap(Two(), inputs=()), "inputs must be None"),
    (lambda: deepnets.wrap(Two(), output=("a",)), "output must be None"),
    (lambda: excess(lambda seed: deepnets.wrap(Two(), ("a", "c"), "logits"), tasks.from_loader(*([b] for b in BATCHES["dict"]))),
     "inputs must be in the batch, which has 'a', 'b', not 'c'"),
    (lambda: excess(lambda seed: deepnets.wrap(Two(), output="logit"), tasks.from_loader(*([b] for b in BATCHES["dict"]))),
     "output must be in what the model returns, which has 'logits', 'a', not 'logit'"),
    (lambda: excess(lambda seed: deepnets.wrap(Two()), tasks.from_loader(*([b] for b in BATCHES["dict"]))),
     r"not a dict: deepnets.wrap\(model, output=...\) picks one"),
    (lambda: excess(lambda seed: nn.Linear(3, 2), tasks.from_loader(*([b] for b in BATCHES["dict"]))),
     r"fails on a dict of 'a': torch.float64 of shape \(2, 3\), 'b'"),
    (lambda: excess(MLP(7, 8, 2, 2), tasks.from_loader(*([b] for b in BATCHES["dict"]))), "inputs that are several tensors"),
    (lambda: tasks.from_loader([(A, Y), (A[:, :2], Y)], [(A, Y)]), "shown must give samples of one shape.* pad sequences of unequal"),
    (lambda: tasks.from_loader([(np.array([np.ones(2), np.ones(3)], object), Y[:2])], [(A, Y)]), "unequal lengths"),
    (lambda: tasks.from_loader([{"x": A}], [(A, Y)], target="labels"), "target must be a key or a position"),
    (lambda: tasks.from_loader([{"x": A, "b": B, "y": Y}], [(A, Y)]), "shown must give pairs .* target=... is the key"),
    (lambda: tasks.from_loader([(A, Y * 1j)], [(A, Y * 1j)]), "targets must be real numbers.* not torch.complex"),
    (lambda: excess(lambda seed: deepnets.wrap(nn.Linear(3, 2), inputs=3), tasks.from_loader([(A, Y)], [(A, Y)])),
     "inputs must be a position in the batch, which is one tensor, not 3"),
    (lambda: tasks.from_loader([(A, Y * 0)], [(A, Y * 0)], ignore_index=0), "ignore_index must leave some targets"),
])
def test_bad_input_is_refused_in_a_sentence(act, named):
    with pytest.raises(Misuse, match=named) as refused:
        act()
    assert "\n" not in str(refused.value)
