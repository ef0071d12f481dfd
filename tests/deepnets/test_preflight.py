"""What is refused before training: networks whose outputs do not fit the task, tasks that give what cannot be learnt; rows and indices."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepnets import MLP, DeepExperiment, FellBack, Unsupported, tasks
from validation import Misuse

DIGITS, LINE = tasks.digits(), tasks.single_index(16, 2)
PLANE = np.array([1.0]), np.array([1.0, 2.0])


class Altered:
    """The digits, their inputs and targets as two functions have them."""

    in_shape, out_features, classes = (64,), 10, 10

    def __init__(self, x=lambda x: x, y=lambda y: y):
        self.x, self.y = x, y

    def batch(self, seed, step, size):
        x, y = DIGITS.batch(seed, step, size)
        return self.x(x), self.y(y)

    def held_out(self):
        x, y = DIGITS.held_out()
        return self.x(x), self.y(y)

    def describe(self):
        return {"name": "altered"}


def portrait(network=None, task=DIGITS, loss="mse", plane=PLANE, **more):
    network = MLP(64, 8, 2, 10) if network is None else network
    return DeepExperiment(network, task, loss, steps=12, batch_size=8, device="cpu", **more).measure(*plane)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("form", [lambda y: y.to(torch.uint8), lambda y: y.int(), lambda y: F.one_hot(y, 10).double(),
                                  lambda y: F.one_hot(y, 10).bool()])
def test_indices_of_any_type_and_rows_are_the_same_targets(loss, form):
    expected, found = portrait(loss=loss), portrait(task=Altered(y=form), loss=loss)
    np.testing.assert_allclose(found["final_excess"], expected["final_excess"], rtol=1e-5)
    assert found["final_accuracy"].equals(expected["final_accuracy"])


class Twice(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Clumsy(nn.Linear):
    """Pairs crash in it, as in any module that asks for what a tensor has and a pair has not; by itself it works."""

    def forward(self, x):
        y = super().forward(x)
        if not isinstance(y, torch.Tensor):
            raise TypeError("a tensor is wanted")
        return y


@pytest.mark.parametrize(("network", "task", "named"), [
    # a loss would broadcast (batch,) against (batch, 1), and train towards something else
    (lambda seed: nn.Sequential(nn.Linear(16, 1), nn.Flatten(0)), LINE, r"shape \(2, 1\).*not a tensor of shape \(2,\)"),
    (lambda seed: nn.Linear(64, 1), DIGITS, r"shape \(2, 10\).*not a tensor of shape \(2, 1\)"),
    (lambda seed: Twice(64, 10), DIGITS, "not a tuple"), (lambda seed: nn.Linear(30, 10), DIGITS, r"\(2, 64\).*64 and 30x10"),
    (lambda seed: nn.Identity(), DIGITS, "trainable"), (None, Altered(y=lambda y: F.one_hot(y, 10)), "floating dtype"),
    (None, Altered(y=lambda y: y[:, None]), r"targets are \(2, 1\)"), (None, Altered(x=lambda x: (x * 9).to(torch.uint8)), "uint8"),
    (None, Altered(x=lambda x: x[:, :30]), r"\(2, 30\)"), (None, Altered(x=lambda x: x.numpy()), "ndarray"),
    (None, Altered(y=lambda y: y[1:]), "as many targets"), (None, Altered(y=lambda y: y + 10), "0 to 9"),
    (None, Altered(y=lambda y: y * 1.0), "out_features=10"),
])
def test_refused_before_training(network, task, named):
    with pytest.raises(Misuse, match=named) as refused:
        portrait(network, task)
    assert not isinstance(refused.value, Unsupported)
    assert "\n" not in str(refused.value)


def test_a_crash_of_pairs_alone_is_no_fault_of_the_network():
    with pytest.raises(Unsupported, match="Clumsy: TypeError: a tensor is wanted"):
        portrait(lambda seed: Clumsy(64, 10), method="pairs")
    with pytest.warns(FellBack, match="Clumsy"):
        assert portrait(lambda seed: Clumsy(64, 10)).attrs["method"] == "copies"


@pytest.mark.parametrize(("gamma", "precision"), [(1e-50, "float32"), (1e-320, "float64"), (1e31, "float32")])
def test_gammas_that_the_arithmetic_does_not_have_are_refused(gamma, precision):
    with pytest.raises(Misuse, match="gamma must lie between"):
        portrait(plane=(np.array([gamma]), PLANE[1]), precision=precision)


def test_the_least_gamma_is_the_linearised_network():
    least, small = (portrait(plane=(np.array([g]), g**2 * PLANE[1]), precision="float64") for g in (1e-150, 1e-6))
    np.testing.assert_allclose(least["final_excess"].values, small["final_excess"].values, rtol=1e-4)
