"""Precisions: rounded operands cost the same digits at every gamma and in both stacks; a device must support its precision."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from deepnets import MLP, DeepExperiment, tasks
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.state import zero_differences
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import MSE
from deepnets.precision import arithmetic, bmm, contracting, describe, operand
from tests.deepnets.oracle import cnn, encoder
from validation import Misuse, conform

GAMMAS = torch.logspace(-8, 4, 7, dtype=torch.float64)
SMALL = DeepExperiment(MLP(64, 16, 2, 10), tasks.digits(), steps=40, batch_size=16, device="cpu")


def function(made, module, precision, eta, x, y, steps):
    """The outputs of a stack after so many steps, one run for each of the gammas, in float64."""
    dtype = torch.float64 if precision == "float64" else torch.float32
    module = module.to(dtype)
    x, y, gamma = x.to(dtype), y.to(dtype), GAMMAS.to(dtype)
    stack, u, rate = made(module), zero_differences(module, len(gamma)), eta / GAMMAS.clamp(min=1) ** 1.5
    with torch.no_grad(), arithmetic(precision, "cpu"):
        for _ in range(steps):
            _, gradient = stack.gradients(u, gamma, x, y, MSE())
            u = {n: d - rate.to(dtype).reshape(-1, *[1] * (d.ndim - 1)) * gradient[n] for n, d in u.items()}
        return stack.outputs(u, gamma, x).double()


def mlp():
    """A ReLU MLP and the shape of its input."""
    return MLP(10, 64, 3, 4).build(0), (10,)


# the rates are those of a slow, stable descent: elsewhere every rounding grows; batch norms divide by what is rounded
@pytest.mark.parametrize(("stack", "made", "eta", "allowed"), [
    (MLPStack, mlp, 5.0, 5e-3), pytest.param(VectorisedStack, mlp, 5.0, 5e-3, marks=pytest.mark.slow),
    pytest.param(VectorisedStack, cnn, 0.01, 0.02, marks=pytest.mark.slow),
    pytest.param(VectorisedStack, encoder, 0.02, 0.01, marks=pytest.mark.slow)])
def test_rounded_operands_cost_the_same_at_every_gamma(stack, made, eta, allowed):
    module, shape = made()
    source = torch.Generator().manual_seed(3)
    x = torch.randn(8, *shape, generator=source)
    y = torch.randn(module(x).shape, generator=source)
    steps = 300 if stack is MLPStack else 80
    exact, narrow, single = (function(stack, module, p, eta, x, y, steps) for p in ("float64", "bf16", "float32"))
    size = exact.flatten(1).norm(dim=1)
    assert (size > 0.1 * y.norm()).any()                                # it has learned something
    off = {name: (found - exact).flatten(1).norm(dim=1) / size for name, found in (("bf16", narrow), ("float32", single))}
    assert (off["bf16"] < allowed).all(), off
    assert (off["bf16"] > 1e-4).all(), off                              # it is not float32
    assert (off["float32"] < 1e-4).all(), off


def test_both_stacks_round_alike():
    module, _ = mlp()
    source = torch.Generator().manual_seed(4)
    x, y = torch.randn(8, 10, generator=source), torch.randn(8, 4, generator=source)
    u, gamma = {n: torch.randn(d.shape, generator=source) for n, d in zero_differences(module, 7).items()}, GAMMAS.clamp(max=1).float()
    with torch.no_grad(), arithmetic("bf16", "cpu"):
        ours, other = MLPStack(module), VectorisedStack(module)
        assert torch.allclose(ours.outputs(u, gamma, x), other.outputs(u, gamma, x), rtol=1e-5, atol=1e-6)
        found, also = (stack.gradients(u, gamma, x, y, MSE())[1] for stack in (ours, other))
    # backward, one rounds W_0 + gamma u, the other its two terms
    assert max(float((found[n] - also[n]).norm() / also[n].norm()) for n in u) < 0.01


def test_operands_of_a_product_are_bfloat16_and_its_sum_is_not():
    a, b = torch.randn(2, 5, 300, requires_grad=True), torch.randn(2, 300, 4)
    coarse = [x.detach().bfloat16().float() for x in (a, b)]
    with arithmetic("bf16", "cpu"):
        product = contracting(torch.matmul)(a, b)
        assert torch.equal(bmm(operand(a), operand(b)), torch.bmm(*coarse))
    assert torch.allclose(product, torch.bmm(*coarse), rtol=1e-6, atol=1e-6)
    assert not torch.equal(product, product.bfloat16().float())
    back = torch.randn(2, 5, 4)
    gradient, = torch.autograd.grad(product, a, back)
    assert torch.allclose(gradient, torch.bmm(back.bfloat16().float(), coarse[1].mT), rtol=1e-5, atol=1e-5)
    assert operand(a) is a                                              # outside, nothing is rounded
    assert contracting(torch.matmul) is torch.matmul


def test_a_portrait_in_bf16():
    gamma, eta = np.array([1e-6, 1.0]), np.geomspace(1e-14, 1e2, 17)
    narrow, wide = (dataclasses.replace(SMALL, precision=p).measure(gamma, eta) for p in ("bf16", "float64"))
    calm = ((wide["peak_excess"] < 1.05) & (narrow["peak_excess"] < 1.05)).values
    assert calm.sum() > 15
    assert narrow["final_excess"].values[calm] == pytest.approx(wide["final_excess"].values[calm], rel=0.03)
    assert (narrow["final_excess"].values[calm] != wide["final_excess"].values[calm].astype(np.float32)).any()
    attrs = conform(narrow).attrs
    assert (attrs["precision"], attrs["dtype"], attrs["tf32"]) == ("bf16", "float32", 0)


def test_tf32_is_the_gpus():
    with pytest.raises(Misuse, match="precision 'tf32' needs a CUDA device, and this is 'cpu'"):
        dataclasses.replace(SMALL, precision="tf32")
    assert describe("tf32", "cuda") == {"precision": "tf32", "dtype": "float32", "tf32": 1}
    assert describe("auto", "cuda") == {"precision": "auto", "dtype": "float32", "tf32": 0}
    assert describe("float64", "cuda:1")["dtype"] == "float64"


def test_tensor_cores_are_set_for_the_time_of_training_and_back():
    # the switches exist without a GPU
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    for precision, products, convolutions in (("tf32", "high", True), ("bf16", "high", True), ("auto", "highest", False)):
        with arithmetic(precision, "cuda"):
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (products, convolutions)
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == before


def test_a_user_defined_module_in_bf16():
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 10))

    experiment = DeepExperiment(network, tasks.digits(), steps=20, batch_size=8, precision="bf16", device="cpu")
    gamma, eta = np.array([1e-6, 1.0]), np.array([[1e-13, 1e-12], [0.1, 1.0]])
    narrow, single = (dataclasses.replace(experiment, precision=p).measure(gamma, eta)["final_excess"].values for p in ("bf16", "float32"))
    assert narrow == pytest.approx(single, rel=0.01)
    assert (np.abs(narrow / single - 1) > 1e-6).all()      # float32 alone repeats to the last digits
