"""Steps of SGD with folded products against the stack's gradients, and the kernels and bytes of both, counted on tensors without data."""

import pytest
import torch

from deepnets import MLP, losses, precision
from deepnets.batched.folded_step import take_step
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.rectified_pairs import rectify_by_kernel, rectify_pairs
from deepnets.batched.state import zero_differences
from deepnets.work import count_work

GAMMA = [1e-6, 1e-2, 1.0, 30.0]


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def setting(network, dtype=torch.float64, centred=True, loss="mse"):
    """A stack, u of random numbers, and arguments of its gradients."""
    module, generator = network.build(0).to(dtype), torch.Generator().manual_seed(1)
    gamma = torch.tensor(GAMMA, dtype=dtype)
    for p in module.parameters():
        p += 0.1 * torch.randn(p.shape, generator=generator).to(dtype)
    u = {n: (torch.randn(d.shape, generator=generator) * 0.3).to(dtype) / gamma.clamp(min=1).reshape(-1, *[1] * (d.ndim - 1))
         for n, d in zero_differences(module, len(gamma)).items()}
    x, y, loss = torch.randn(9, 12, generator=generator).to(dtype), torch.randint(5, (9,), generator=generator), losses.as_loss(loss)
    return MLPStack(module, centred), u, (gamma, x, loss.target(y, 5, dtype), loss)


def norms(tensors):
    """The largest entry of each run, by name."""
    return {n: d.double().flatten(1).abs().amax(1) for n, d in tensors.items()}


def compare(stack, u, arguments, rectify):
    """The losses of both ways, and the largest error of each parameter's step in each run, in units of the largest entry of u and step.

    Each run's rate makes a step as large as u.
    """
    value, gradient = stack.gradients(u, *arguments)
    rate = (torch.stack([*norms(u).values()]).amax(0) / torch.stack([*norms(gradient).values()]).amax(0)).to(value.dtype)
    rates = {n: 1.0 + i / 3 for i, n in enumerate(u)}
    steps = {n: rates[n] * rate.double().reshape(-1, *[1] * (g.ndim - 1)) * g.double() for n, g in gradient.items()}
    moved = {n: d.clone() for n, d in u.items()}
    found = take_step(stack, moved, *arguments, rate, rates, rectify)
    off = norms({n: moved[n].double() - (u[n].double() - steps[n]) for n in u})
    return found, value, max(float((off[n] / (norms(u)[n] + norms(steps)[n])).max()) for n in u)


@pytest.mark.parametrize("rectify", [rectify_pairs, rectify_by_kernel])
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float64, 1e-15), (torch.float32, 1e-6)])
@pytest.mark.parametrize(("network", "centred", "loss"), [
    (MLP(12, 16, 2, 5), True, "mse"), (MLP(12, 16, 4, 5, bias=True), True, "cross_entropy"), (MLP(12, 16, 3, 5, bias=True), False, "mse"),
    (MLP(12, 16, 3, 5, nonlinearity="linear", parametrization="ntk"), True, "mse")], ids=["relu", "biases", "f/gamma", "linear"])
def test_a_step_is_that_of_the_stack_s_gradients(network, centred, loss, dtype, allowed, rectify):
    found, expected, off = compare(*setting(network, dtype, centred, loss), rectify)
    torch.testing.assert_close(found, expected, rtol=4 * allowed, atol=0)
    assert off < allowed


def test_rounded_operands_are_those_of_the_stack():
    """The slope is rounded with the rate in it: other last digits of bfloat16."""
    chosen = setting(MLP(12, 16, 3, 5), torch.float32)
    with precision.arithmetic("bf16", "cpu"):
        found, expected, off = compare(*chosen, rectify_pairs)
    torch.testing.assert_close(found, expected)
    assert 1e-6 < off < 2**-7


def test_kernels_and_bytes_of_a_step_of_the_plane():
    """Of 21 x 21 MLPs 784-512-512-10, batch 256, in float32. With the update of SGD, the stack starts 51 kernels and moves 19.1 GB. Of the
    12.5 passes over activations that a ReLU takes, the kernel saves 9.25."""
    module, runs = MLP(784, 512, 3, 10).build(0).to("meta"), 441
    stack, loss = MLPStack(module), losses.as_loss("mse")
    u = zero_differences(module, runs)
    x, y, gamma = (torch.empty(shape, device="meta") for shape in ((256, 784), (256, 10), (runs,)))

    def step():
        gradient = stack.gradients(u, gamma, x, y, loss)[1]
        for n, d in u.items():
            d.addcmul_(gradient.pop(n), gamma[:, None, None], value=-1)

    plain = count_work(step)
    folded, by_kernel = (count_work(lambda r=r: take_step(stack, u, gamma, x, y, loss, gamma, dict.fromkeys(u, 1.0), r))
                         for r in (rectify_pairs, rectify_by_kernel))
    assert (plain.kernels, plain.moved) == (51, pytest.approx(19.1e9, rel=0.01))
    assert folded.kernels <= 42
    assert folded.moved < 15.4e9
    assert by_kernel.kernels <= 28
    assert by_kernel.moved < 11.1e9
    assert plain.operations == pytest.approx(folded.operations, rel=1e-4)
    activations = 4 * runs * 256 * 512
    assert folded.moved - by_kernel.moved == pytest.approx(2 * 9.25 * activations, rel=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_of_rectified_pairs_is_the_plain_one(dtype, monkeypatch):
    """With Triton's interpreter, on a CPU."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    pytest.importorskip("triton", reason="the kernel needs Triton, which torch's wheels for CPUs do not bring")
    from deepnets.batched.pair_kernel import BLOCK, launch

    generator = torch.Generator().manual_seed(0)
    frozen = torch.randn(3, BLOCK // 2, generator=generator).to(dtype)      # a block and a half
    gamma = torch.tensor([1e-6, 1.0, 1e2], dtype=dtype)
    d = torch.randn(3, *frozen.shape, generator=generator).to(dtype) / gamma[:, None, None].clamp(max=1)
    d[1, 0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf])
    expected = rectify_pairs(d.clone(), frozen.clone(), gamma)
    found = d.clone(), torch.empty_like(d), torch.empty_like(d, dtype=torch.bool)
    launch(found[0], frozen, gamma, *found[1:])
    eps = torch.finfo(dtype).eps
    for a, b in zip(found[:2], expected[:2], strict=True):
        torch.testing.assert_close(a, b, rtol=4 * eps, atol=4 * eps, equal_nan=True)
    assert torch.equal(found[2], expected[2])
    assert 0.2 < float(expected[2].double().mean()) < 0.8
    assert (found[1][~found[2]].nan_to_num() == 0).all()
