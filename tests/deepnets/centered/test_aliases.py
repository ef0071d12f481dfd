"""Writes into pairs: views, bases, masks, and what is refused: detached aliases, plain tensors, a network's own state."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import Centered, FellBack, Unsupported
from tests.deepnets.centered.test_rules import GAMMAS, exact, pair
from tests.deepnets.oracle import place, random_u


def half_masked(x):
    h = x * 1
    h[:, :2].mul_(0.0)
    return h


def clamped(x):
    h = x * 1
    h.view(-1).clamp_(-0.5, 0.5)
    return h


def read_through_a_view(x):
    h = x * 1
    row = h[1]
    h.mul_(2.0)
    return row + h[2]


def view_of_a_view(x):
    h = x * 1
    left = h[:, :2]
    left.t()[1] = x[:, 3]
    left += 1
    return h * left.sum()


def copied_into(x):
    h = x * 1
    h[1].copy_(x[0] * x[2])
    h[:, 3].zero_()
    h[0, :2].fill_(3.0)
    return h


def rectified_in_place(x):
    h = x * 1
    F.relu(h[:, 1:], inplace=True)
    return h


def reshaped_in_place(x):
    return (x * 1).unsqueeze_(0).squeeze_(0).t_() * 2


def masked(x):
    h = x * 1
    h[h < 0] = 0.25
    h[:, 1][h[:, 1] > 0.5] = 0.0
    return h


def untouched(x):
    # a sum has memory of its own
    h = x + 1.0
    h.mul_(0.0)
    return x * 2 + h


WRITES = {f.__name__: f for f in (half_masked, clamped, read_through_a_view, view_of_a_view, copied_into, rectified_in_place,
                                  reshaped_in_place, masked, untouched)}


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_that_of_plain_tensors(name, gamma):
    x = pair(3, 4, gamma=gamma)
    expected = exact(WRITES[name], [pair(3, 4, gamma=gamma)])[0]
    assert (WRITES[name](x).d.double() - expected).abs().max() <= 2e-6 * (1 + expected.abs().max()) + 4e-9 / gamma * (gamma < 1e-6)


@pytest.mark.parametrize("name", WRITES)
def test_a_write_has_the_gradient_of_plain_tensors(name):
    weights = torch.linspace(-1, 2, 12).reshape(3, 4)

    def slope(of):
        d = pair(3, 4, gamma=1.0).d.requires_grad_()
        out = of(d)
        return torch.autograd.grad((out * weights.reshape(-1)[:out.numel()].reshape(out.shape)).sum(), d)[0]

    x = pair(3, 4, gamma=1.0)
    found = slope(lambda d: WRITES[name](type(x)(x.v0, d, 1.0)).d)
    assert torch.allclose(found, slope(lambda d: WRITES[name](x.v0 + d)), atol=1e-5)


plain = torch.zeros(3, 4)


@pytest.mark.parametrize("write", [lambda x: (x * 1).detach().mul_(0), lambda x: (x * 1).data.clamp_(0), lambda x: plain.clone().add_(x),
                                   lambda x: plain.clone()[:, :2].__iadd__(x[:, :2]), lambda x: plain.clone().copy_(x),
                                   lambda x: plain.clone().__setitem__(x > 0, 1.0), lambda x: (x > 0).logical_not_(),
                                   lambda x: torch.add(x, 1, out=plain.clone()), lambda x: x[x > 0]])
def test_what_would_be_lost_is_refused(write):
    with pytest.raises(Unsupported):
        write(pair(3, 4, gamma=1.0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
        self.register_buffer("average", torch.zeros(4))
        self.calls = 0


class InView(Net):
    def forward(self, x):
        h = self.a(x)
        h[:, :2].mul_(0.5)
        h[h < 0] = 0.0
        return self.b(h)


class InBuffer(Net):
    def forward(self, x):
        self.average.data.copy_(x.std() * torch.ones(4))
        return self.b(self.a(x) - self.average)


class InNumber(Net):
    def forward(self, x):
        self.calls += 1
        return self.b(self.a(x)) / self.calls


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g


class InFunction(Net):
    def forward(self, x):
        return self.b(Doubled.apply(self.a(x)))


def evaluate(module, method, x):
    centered = Centered(module, 1e-2, method)
    place(centered, random_u(module))
    return centered(x).double()


def test_pairs_and_copies_agree_on_writes():
    torch.manual_seed(1)
    module, x = InView(), torch.linspace(-1, 1, 48).reshape(16, 3)
    found, expected = evaluate(module, "pairs", x), evaluate(module, "float64", x)
    assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize(("make", "named"), [(InBuffer, "average is a buffer"), (InNumber, "calls is a number"),
                                             (InFunction, "Doubled.apply is a custom autograd function")])
def test_a_state_or_a_gradient_of_its_own_is_refused_by_name(make, named):
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    with pytest.raises(Unsupported, match=named):
        evaluate(make(), "pairs", x)
    if make is not InFunction:      # two copies of `Centered` have one buffer of that name
        with pytest.raises(Unsupported, match=named):
            evaluate(make(), "float64", x)


def test_a_function_with_a_gradient_of_its_own_has_it_in_copies():
    with pytest.warns(FellBack, match=r"Doubled\.apply"):
        evaluate(InFunction(), "auto", torch.linspace(-1, 1, 12).reshape(4, 3))


def test_a_cast_inside_is_widened_in_the_copies():
    class Casts(Net):
        def forward(self, x):
            return self.b(torch.tanh(self.a(x).to(torch.float32)).half().float()) + torch.zeros(2, dtype=torch.float32)

    class Wide(Net):
        def forward(self, x):
            return self.b(torch.tanh(self.a(x)))

    x, (casting, wide) = torch.linspace(-1, 1, 12).reshape(4, 3), (Casts(), Wide())
    wide.load_state_dict(casting.state_dict())
    u, found = random_u(wide), []
    for module in (casting, wide):
        centered = Centered(module, 1e-6, "float64")
        place(centered, u)
        found.append(centered(x))
    assert torch.equal(*found)


def test_functions_of_einops_take_pairs():
    einops = pytest.importorskip("einops")

    class Folded(Net):
        def forward(self, x):
            h = einops.rearrange(self.a(x), "b (h w) -> b w h", h=2)
            return self.b(einops.repeat(einops.reduce(h, "b w h -> b h", "mean"), "b h -> b (h k)", k=2))

    module, x = Folded(), torch.linspace(-1, 1, 12).reshape(4, 3)
    found, expected = evaluate(module, "pairs", x), evaluate(module, "float64", x)
    assert (found - expected).norm() < 1e-5 * expected.norm()


def test_the_real_part_of_a_transform_takes_pairs():
    class Fourier(Net):
        def forward(self, x):
            h = torch.fft.fft(self.a(x))
            return self.b(h.real - h.imag + torch.view_as_real(h)[..., 0] + h.abs() + (h.conj() * h).real)

    module, x = Fourier(), torch.linspace(-1, 1, 12).reshape(4, 3)
    found, expected = evaluate(module, "pairs", x), evaluate(module, "float64", x)
    assert (found - expected).norm() < 1e-5 * expected.norm()
