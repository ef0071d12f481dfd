"""A recorded step equals the step itself, whatever changes between steps; a step that cannot be recorded runs as it is, with a warning."""

import numpy as np
import pytest
import torch
from torch import nn

from deepnets.batched import graph
from deepnets.batched.graph import NotRecorded, RecordedFunction, as_compile
from deepnets.batched.vmap_stack import VectorisedStack
from deepnets.losses import as_loss
from deepnets.precision import arithmetic
from deepnets.training import train
from tests.deepnets.batched.test_vmap_stack import Pictures, made, recipe_of


class Counted:
    """x -> 2 a + r b with random r; counts its own calls."""

    def __init__(self):
        self.ran = 0

    def __call__(self, x):
        self.ran += 1
        return {"value": 2 * x["a"] + torch.rand(()) * x["b"]}


@pytest.mark.parametrize("first", [1, 3])
def test_the_record_is_the_function(monkeypatch, first):
    monkeypatch.setattr(graph, "RECORD_AFTER", first)
    counted = Counted()
    recorded = RecordedFunction(counted)
    for i in range(8):
        x = {"a": torch.full((3,), float(i)), "b": torch.tensor(float(i))}
        torch.manual_seed(i)
        found = recorded(x)["value"]
        torch.manual_seed(i)
        assert torch.equal(found, 2 * x["a"] + torch.rand(()) * x["b"])
    assert counted.ran == first + 2             # once more to be recorded, and once more to be compared with
    recorded({"a": torch.ones(4), "b": torch.ones(())})
    assert counted.ran > first + 2              # another shape needs another record


@pytest.mark.parametrize("function", [lambda x: x * int(x.sum() + 1), lambda x: x * float(np.asarray(x.detach())[0] + 1)])
def test_a_function_that_branches_on_its_values_is_not_recorded(monkeypatch, function):
    monkeypatch.setattr(graph, "RECORD_AFTER", 2)
    recorded = RecordedFunction(function)
    inputs = [torch.full((2,), float(i)) for i in range(5)]
    with pytest.warns(NotRecorded, match="operation by operation"):
        found = [recorded(x) for x in inputs]
    assert all(torch.equal(f, function(x)) for f, x in zip(found, inputs, strict=True))
    assert not recorded.recordable


def test_a_value_that_a_record_would_freeze_is_noticed(monkeypatch):
    monkeypatch.setattr(graph, "RECORD_AFTER", 2)
    steps = iter(range(1, 100))
    recorded = RecordedFunction(lambda x: x * next(steps))
    with pytest.warns(NotRecorded, match="depend on the values of its arguments"):
        found = [recorded(torch.ones(2)) for _ in range(4)]
    assert len({float(f[0]) for f in found}) == 4


def rounded():
    """A module whose products are rounded, in operations that torch differentiates by the package's own rules."""
    return read_out(32), Pictures((5,), 3)


def read_out(width):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, width), nn.GELU(), nn.Linear(width, 3))


@pytest.mark.parametrize(("make", "precision"), [(lambda: made("normed"), "float64"), (rounded, "bf16")])
def test_training_from_the_record_is_training(monkeypatch, make, precision):
    # with running statistics, dropout and a diverged run that is dropped
    monkeypatch.setattr(graph, "RECORD_AFTER", 10)
    module, task = make()
    gamma, eta = np.array([1e-6, 1e-3, 1e-2, 30.0]), np.array([2e-14, 1e30, 2e-6, 2.0])
    with arithmetic(precision, "cpu"):
        stacks = [VectorisedStack(module, how) for how in (False, "auto")]
        plain, from_record = (train(module, s, recipe_of(module, task, 45, curves=(45,)), gamma, eta, 0) for s in stacks)
    (recorded,) = stacks[1]._steps.values()
    assert [k[1][0][0][0] for k in recorded.records] == [4, 3]           # four runs, then the three that did not diverge
    allowed = 1e-9 if precision == "float64" else 1e-3
    assert from_record.losses == pytest.approx(plain.losses, rel=allowed, nan_ok=True)
    assert from_record.held_out == pytest.approx(plain.held_out, rel=allowed, nan_ok=True)
    assert np.isnan(plain.losses[-1]).tolist() == [False, True, False, False]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")        # torch's compiler uses what torch deprecates
def test_compiled_training_is_training():
    module, task = read_out(8), Pictures((5,), 3)
    gamma, eta = np.array([1e-6, 1e-2, 30.0]), np.array([2e-14, 2e-6, 2.0])
    stacks = [VectorisedStack(module, how) for how in (False, True)]
    plain, compiled = (train(module, s, recipe_of(module, task), gamma, eta, 0) for s in stacks)
    assert [hasattr(r, "_torchdynamo_orig_callable") or "Optimized" in type(r).__name__ for s in stacks[1]._steps.values()
            for r in s.records.values()] == [True]
    assert compiled.losses == pytest.approx(plain.losses, rel=1e-5)


def test_random_functions_are_not_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda record: pytest.fail("compiled"))
    recorded = RecordedFunction(lambda x: torch.nn.functional.dropout(x), True)
    for i in range(5):
        torch.manual_seed(i)
        found = recorded(torch.ones(50))
        torch.manual_seed(i)
        assert torch.equal(found, torch.nn.functional.dropout(torch.ones(50)))
    assert recorded.recordable


def test_training_continues_without_a_compiler_that_fails(monkeypatch):
    def refuse(function):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    stack = VectorisedStack(nn.Linear(3, 2), True)
    x, y, gamma = torch.randn(4, 3), torch.randn(4, 2), torch.ones(2)
    u = {"weight": torch.randn(2, 2, 3), "bias": torch.randn(2, 2)}
    with pytest.warns(NotRecorded, match="compiled.*no compiler"), torch.no_grad():
        values = [stack.gradients(u, gamma, x, y, as_loss("mse"))[0] for _ in range(5)]
    assert all(torch.equal(v, values[0]) for v in values)


@pytest.mark.parametrize(("expected", "pays"), [(None, False), (1100, False), (5000, True)])
def test_a_record_is_compiled_on_a_gpu_where_the_calls_left_take_so_long_that_it_pays(monkeypatch, expected, pays):
    """Ten calls took 0.5 s: of the 1000 or 4900 left, compiling saves half of 50 s or of 245 s, and takes 60 s."""
    clock = iter((7.0, 7.5))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(graph.time, "perf_counter", lambda: next(clock))
    recorded = RecordedFunction(torch.sin, "auto", expected)
    assert [recorded._pays("key", replayed, 100 + replayed) for replayed in range(14)] == [i == 10 and pays for i in range(14)]


@pytest.mark.parametrize("bad", ["yes", 1, None])
def test_misuse(bad):
    with pytest.raises(ValueError, match="compile must be True, False or 'auto'"):
        as_compile(bad)
