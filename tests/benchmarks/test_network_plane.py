"""The benchmark of a plane runs, and counts the operations that it says it counts."""

import torch
from torch.utils.flop_counter import FlopCounterMode, bmm_flop

from deepnets import MLP
from deepnets.batched.mlp_stack import MLPStack
from deepnets.batched.state import zero_differences
from deepnets.losses import MSE
from tests.benchmarks.network_plane import main, operations


def test_a_tiny_plane(capsys):
    main(["--device", "cpu", "--tiny"])
    printed = capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("|")][2:]
    assert rows == ["float32", "bf16", "float64"]
    assert "nan" not in printed


def test_the_operations_are_those_of_the_products():
    network = MLP(30, 40, 4, 5)
    stack, u = MLPStack(network.build(0)), zero_differences(network.build(0), 6)
    in_place = {torch.ops.aten.baddbmm_: lambda c, a, b, **rest: bmm_flop(a, b)}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=in_place) as counted:
        stack.gradients(u, torch.ones(6), torch.randn(8, 30), torch.randn(8, 5), MSE())
    frozen = 2 * 8 * sum(s.shape[0] * s.shape[1] for s in network.scalings())      # the network at theta_0, once for all runs
    assert counted.get_total_flops() == operations(network, 8, 6) + frozen
