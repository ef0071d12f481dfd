"""Networks whose deep copies are not networks of their own are refused by name; those that copies follow are not."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

import deepnets
from deepnets import DeepExperiment, tasks
from validation import Misuse

DIGITS = tasks.digits()


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 8), nn.Linear(8, 10), nn.Linear(8, 8)

    def act(self, h):
        return torch.tanh(self.c(torch.tanh(h)))

    def forward(self, x):
        return self.b(self.act(self.a(x)))


def check(network, **more):
    DeepExperiment(network, DIGITS, **{"steps": 2, "batch_size": 4, "device": "cpu"} | more).check()


def forward_of_the_original(seed):
    m = Two()
    f = m.forward
    m.forward = lambda x: 2 * f(x)
    return m


def variables_of_the_function(seed):
    a, b = nn.Linear(64, 8), nn.Linear(8, 10)

    class Composed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = a, b

        def forward(self, x):
            return b(torch.tanh(a(x)))
    return Composed()


class Lambda(Two):
    def __init__(self):
        super().__init__()
        self.f = lambda x: torch.tanh(self.a(x))

    def forward(self, x):
        return self.b(self.f(x))


class LambdaBeforeZero(Lambda):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.b.weight)


class Hidden(Two):
    def forward(self, x):
        return {"hidden": torch.tanh(self.a(x))}


def output_of_the_original(seed):
    m = Hidden()
    return deepnets.wrap(m, output=lambda o: m.b(o["hidden"]))


def hook_with_the_original(seed):
    m = Two()
    m.scale = nn.Parameter(torch.ones(8))
    m.a.register_forward_hook(lambda module, inputs, output: output * m.scale)
    return m


class ReadsItsMean(Two):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(8))
        self.read = lambda: self.mean

    def act(self, h):
        with torch.no_grad():
            self.mean.lerp_(h.mean(0), 0.5)
        return torch.tanh(h - self.read())


class RegistersLater(Lambda):
    """Its copies have a buffer more once they have been called."""

    def forward(self, x):
        if not hasattr(self, "seen"):
            self.register_buffer("seen", torch.zeros(()))
        return super().forward(x)


class RefusesOthers(Two):
    """Its lambda raises where the original's parameters are others than at first."""

    def __init__(self):
        super().__init__()
        first = self.a.weight.detach().clone()
        self.f = lambda: self.a if torch.equal(self.a.weight, first) else None

    def forward(self, x):
        return self.b(torch.tanh(self.f()(x)))


@pytest.mark.parametrize("method", ["auto", "copies"])
@pytest.mark.parametrize("network", [forward_of_the_original, variables_of_the_function, lambda s: Lambda(), lambda s: LambdaBeforeZero(),
                                     lambda s: RegistersLater(), lambda s: RefusesOthers(),
                                     output_of_the_original, hook_with_the_original, lambda s: ReadsItsMean()])
def test_copies_that_use_the_original_are_refused(network, method):
    with pytest.raises(Misuse, match="still use the module that the function built"):
        check(network, method=method)


class Itself(Two):
    def __deepcopy__(self, memo):
        return self


def test_a_module_that_is_its_own_copy_is_refused():
    with pytest.raises(Misuse, match=r"Itself share a.weight"):
        check(lambda s: Itself())


def shared_generator(seed):
    source = torch.Generator().manual_seed(seed)

    class Noisy(Two):
        def act(self, h):
            return h + torch.randn(h.shape, generator=source)
    return Noisy()


def test_copies_that_share_a_generator_are_refused():
    with pytest.raises(Misuse, match="copies of Noisy share a generator"):
        check(shared_generator)


class TiedByData(Two):
    def __init__(self):
        super().__init__()
        self.d = nn.Linear(8, 8)
        self.d.weight.data = self.c.weight.data

    def act(self, h):
        return self.d(self.c(h))


class KeepsData(Two):
    def __init__(self):
        super().__init__()
        self.w = self.wrapped(self.b.weight.data)

    def wrapped(self, w):
        return w

    def act(self, h):
        return h + torch.tanh(h) @ self.read().T @ self.read()

    def read(self):
        return self.w


class KeepsDataInAList(KeepsData):
    def wrapped(self, w):
        return [w]

    def read(self):
        return self.w[0]


@pytest.mark.parametrize(("network", "name"), [(TiedByData, "d.weight shares the memory of c.weight"),
                                               (KeepsData, "w shares the memory of b.weight"),
                                               (KeepsDataInAList, "w shares the memory of b.weight")])
def test_memory_shared_with_a_parameter_is_refused(network, name):
    with pytest.raises(Misuse, match=name):
        check(lambda s: network())


def test_hooks_on_accumulated_gradients_are_refused():
    def network(seed):
        m = Two()
        m.a.weight.register_post_accumulate_grad_hook(lambda p: p.grad.zero_())
        return m

    with pytest.raises(Misuse, match=r"no gradient hooks.*a.weight"):
        check(network)


class Late(Two):
    def __init__(self):
        super().__init__()
        self.n = 0
        self.b.requires_grad_(False)

    def forward(self, x):
        self.n += 1
        self.b.requires_grad_(self.n >= 4)
        return super().forward(x)


class Made(Two):
    def forward(self, x):
        if not hasattr(self, "g"):
            self.g = nn.Parameter(torch.ones(10))
        return super().forward(x) * self.g


def test_parameters_that_are_made_or_released_later_are_refused():
    made = DeepExperiment(lambda s: Late(), DIGITS, steps=4, batch_size=4, device="cpu", method="copies")
    with pytest.raises(Misuse, match=r"same trainable parameters.*b.bias, b.weight of Late"):
        made.measure([1.0], [0.1])
    with pytest.raises(Misuse, match=r"same trainable parameters.*g of Made"):
        check(lambda s: Made())


def test_a_function_without_an_argument_is_refused():
    with pytest.raises(Misuse, match="takes the seed"):
        check(lambda: Two())


def normalised(seed):
    m = Two()
    spectral_norm(m.c)      # it keeps c.weight, a tensor with the memory of c.weight_orig, until the first call
    return m


def pruned(seed):
    m = Two()
    prune.l1_unstructured(m.c, "weight", 0.5)
    return m


def parametrised(seed):
    m = Two()
    parametrizations.weight_norm(m.c)
    return m


class Columns(Two):
    """Two parameters in the columns of one tensor: their memory is interleaved, and does not overlap."""

    def __init__(self):
        super().__init__()
        both = torch.randn(8, 16)
        self.left, self.right = nn.Parameter(both[:, ::2]), nn.Parameter(both[:, 1::2])

    def act(self, h):
        return torch.tanh(h @ self.left) @ self.right


class TiedParameter(TiedByData):
    def __init__(self):
        super().__init__()
        self.d.weight = self.c.weight
        self.also = [self.c.weight]


@pytest.mark.parametrize("network", [normalised, pruned, parametrised, lambda s: Columns(), lambda s: TiedParameter()])
def test_what_copies_follow_is_trained(network):
    check(network, method="copies")


def test_the_module_of_the_function_stays_as_it_is():
    kept = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 10))
    before, state = copy.deepcopy(kept.state_dict()), (torch.get_rng_state(), np.random.get_state()[1].copy())      # noqa: NPY002
    check(lambda s: kept, method="copies")
    assert all(torch.equal(before[n], v) for n, v in kept.state_dict().items())
    assert torch.equal(state[0], torch.get_rng_state())
    assert (state[1] == np.random.get_state()[1]).all()      # noqa: NPY002
