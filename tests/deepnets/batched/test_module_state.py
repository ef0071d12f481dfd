"""States that a network holds in containers, iterators, generators and objects: found by name, and each run's own."""

import copy
import random
from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import DeepExperiment, FellBack
from deepnets.batched.copies_stack import CopiesStack
from deepnets.module_state import find_change, find_difference, list_results, read_state
from tests.deepnets.batched.own_networks import DIGITS, Plain, build, train_plainly
from tests.deepnets.batched.test_copies_stack import ETA, GAMMA, experiment
from validation import Outcome


class Ticks:
    """An object with a counter, in a slot."""

    __slots__ = ("n",)

    def __init__(self):
        self.n = 0


class Stateful(Plain):
    """The hidden units are multiplied by a factor that the module's state gives."""

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)) * self.factor())


class CountsInList(Stateful):
    """Only calls in training are counted; the outputs change sign after five."""

    def __init__(self):
        super().__init__()
        self.calls = [0]

    def factor(self):
        self.calls[0] += self.training
        return 1.0 if self.calls[0] <= 5 else -1.0


class CountsInObject(Stateful):
    def __init__(self):
        super().__init__()
        self.ticks = Ticks()

    def factor(self):
        self.ticks.n += 1
        return 1.0 if self.ticks.n <= 5 else -1.0


class Decays(Stateful):
    def __init__(self):
        super().__init__()
        self.factors = [1.0]

    def factor(self):
        self.factors.append(0.9 * self.factors[-1])
        return self.factors[-1]


class Iterates(Stateful):
    def __init__(self):
        super().__init__()
        self.factors = iter([0.1 + 0.05 * n for n in range(60)])

    def factor(self):
        return next(self.factors)


class Draws(Stateful):
    def __init__(self):
        super().__init__()
        self.source = torch.Generator().manual_seed(3)

    def factor(self):
        return float(torch.rand((), generator=self.source, dtype=torch.float32))


class DrawsByNumpy(Stateful):
    def __init__(self):
        super().__init__()
        self.source = np.random.default_rng(3)

    def factor(self):
        return self.source.uniform()


class DrawsByPython(Stateful):
    def __init__(self):
        super().__init__()
        self.source = random.Random(3)

    def factor(self):
        return self.source.random()


class History(Plain):
    def __init__(self):
        super().__init__()
        self.means = deque(maxlen=4)

    def forward(self, x):
        h = torch.tanh(self.a(x))
        old = self.means[0] if len(self.means) == 4 else 0
        self.means.append(h.detach().mean(0))
        return self.b(h - old)


class Teacher(Plain):
    """A frozen part that follows a trained one as it is called."""

    def __init__(self):
        super().__init__()
        self.t = copy.deepcopy(self.a).requires_grad_(False)

    def forward(self, x):
        with torch.no_grad():
            for t, p in zip(self.t.parameters(), self.a.parameters(), strict=True):
                t.data.mul_(0.8).add_(0.2 * p.data)
        return self.b(torch.tanh(self.a(x)) + 0.5 * torch.tanh(self.t(x)))


class Fades(Stateful):
    """A frozen parameter that decays as the module is called."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1), requires_grad=False)

    def factor(self):
        self.scale.data.mul_(0.8)
        return self.scale


class LargeBatches(Plain):
    """A state that small batches do not move."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(12))

    def forward(self, x):
        h = self.a(x)
        if len(x) > 8:
            with torch.no_grad():
                self.mean.mul_(0.5).add_(0.5 * h.detach().mean(0))
        return self.b(torch.tanh(h - self.mean))


STATEFUL = {"CountsInList": (CountsInList, "calls"), "CountsInObject": (CountsInObject, "ticks"), "Decays": (Decays, "factors"),
            "Iterates": (Iterates, "factors"), "Draws": (Draws, "source"), "DrawsByNumpy": (DrawsByNumpy, "source"),
            "DrawsByPython": (DrawsByPython, "source"), "History": (History, "means"), "Teacher": (Teacher, ""), "Fades": (Fades, "scale"),
            "LargeBatches": (LargeBatches, "")}


@pytest.mark.parametrize("name", STATEFUL)
def test_a_state_is_trained_as_a_plain_loop_trains_it(name):
    make, state = STATEFUL[name]
    with pytest.warns(FellBack, match=state):
        portrait = DeepExperiment(lambda seed: make(), DIGITS, steps=12, batch_size=16, device="cpu", curves=5).measure(
            GAMMA[:2], ETA[:2, None])
    # train_loss is the mean over the last ten steps up to a point, and evaluations stand between
    losses = np.stack([train_plainly(build(make), g, e) for g, e in zip(GAMMA[:2], ETA[:2], strict=True)], 1)
    found = portrait.train_loss.values[0, :, :, 0]
    steps = [int(s) for s in portrait.step.values]
    expected = np.stack([losses[max(0, s - 9):s + 1].mean(0) for s in steps if s < 12])
    np.testing.assert_allclose(found[:len(expected)], expected, rtol=1e-6)


def test_runs_leave_no_state_to_the_next():
    eta = np.geomspace(0.01, 0.2, 33)
    made = experiment(CountsInList)
    with pytest.warns(FellBack):
        beside = made.measure(np.ones(1), eta)
    alone = made.measure(np.ones(1), eta[-1:])
    assert beside.final_excess[..., -1] == alone.final_excess[..., 0]


class WritesInputs(Plain):
    def forward(self, x):
        if not self.training:
            x.mul_(0.5)
        return super().forward(x)


@pytest.mark.parametrize("method", ["pairs", "copies"])
def test_held_out_inputs_stay(method):
    portrait = DeepExperiment(lambda seed: WritesInputs(), DIGITS, steps=6, batch_size=16, device="cpu", curves=6, method=method,
                              schedule=[1.0, 1.0, 0.0, 0.0, 0.0, 0.0]).measure(np.ones(1), np.ones(1))
    later = portrait.held_out_loss.values.ravel()[portrait.step.values >= 2]
    assert len(later) > 2
    assert (later == later[0]).all()
    assert portrait.outcome.item() != Outcome.FAILED


def test_a_state_is_read_by_value():
    module = Plain()
    module.kept = {"a": [1, float("nan")], "b": (torch.zeros(2), "x"), "c": {3, 4}}
    before = read_state(module)
    assert find_difference(before, read_state(copy.deepcopy(module))) is None
    module.kept["b"][0][1] = 1
    assert find_difference(before, read_state(module)) == "kept['b'][0]"
    module.kept["a"][0] = 2
    assert find_change(before, read_state(module)) == "kept['a'][0]"
    module.kept["d"] = [module.a(torch.ones(1, 64))]
    assert list_results(module) == module.kept["d"]
    assert find_difference(read_state(module, tensors=False), read_state(module)) is not None


def test_a_container_that_two_modules_hold_stays_one_in_copies():
    module = Plain()
    module.kept = module.a.kept = {"mean": torch.zeros(2), "means": deque([torch.ones(3)])}
    wide = CopiesStack(module).module
    assert wide.kept is wide.a.kept
    assert {wide.kept["mean"].dtype, wide.kept["means"][0].dtype} == {torch.float64}
    assert module.kept["mean"].dtype == torch.float32
