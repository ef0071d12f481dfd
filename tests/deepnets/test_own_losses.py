"""Losses of torch and of one's own against plain training; their excess, description, and what is refused."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import deepnets
from deepnets import CNN, MLP, DeepExperiment, Unsupported, predict, tasks
from deepnets.losses import Loss, as_loss, from_torch
from deepnets.theory import explain_silence
from deepnets.training import train
from validation import Misuse, Plane, sweep

DIGITS = tasks.digits()
WEIGHT = torch.arange(1.0, 11)


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 10))


def experiment(loss, network=network, task=DIGITS, **more):
    settings = {"steps": 12, "batch_size": 16, "precision": "float64", "device": "cpu"} | more
    return DeepExperiment(network, task, loss, **settings)


def losses_of(loss, gamma, eta, **more):
    made = experiment(loss, **more)
    made.check()
    module = made.theta_0(0)
    recipe = made.recipe(module)
    return train(module, recipe.choose_stack(module), recipe, np.asarray(gamma, float), np.asarray(eta, float), 0).losses


def plain(loss, gamma, eta, network=network, task=DIGITS, steps=12):
    """The losses of one run in theta by torch: `loss(output, target)` is a number."""
    module, start = (getattr(network, "build", network)(0).double() for _ in range(2))
    found = []
    for t in range(steps + 1):
        x, y = task.batch(0, t, 16)
        x, y = x.double() if x.is_floating_point() else x, y.double() if y.is_floating_point() else y
        value = loss((module(x) - start(x).detach()) / gamma, y)
        found.append(value.item())
        module.zero_grad()
        value.backward()
        with torch.no_grad():
            for p in module.parameters():
                p -= eta * p.grad
    return np.array(found)


def rows(y):
    return F.one_hot(y, 10).double()


def weighted(f, y):
    return F.cross_entropy(f, y, WEIGHT.double(), label_smoothing=0.1, ignore_index=3)


def focal(f, y):
    """One loss for each sample."""
    p = f.softmax(-1).gather(-1, y[:, None])[:, 0]
    return -((1 - p) ** 2) * p.log()


def reads_a_number(f, y):
    return F.cross_entropy(f, y) * (2.0 if f.abs().max().item() > 1 else 1.0)


class Exponential(Loss):
    """A loss derived from the base, for a stack of runs."""

    name = "exponential"

    def value(self, f, y):
        return torch.exp(-f * (2 * F.one_hot(y, 10) - 1)).mean((-1, -2))


@dataclass
class Power(Loss):
    """A loss with a number of its own."""

    power: float = 4.0
    name: ClassVar[str] = "power"

    def value(self, f, y):
        return (f - F.one_hot(y, 10)).abs().pow(self.power).mean((-1, -2))


CASES = [
    (nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1, ignore_index=3), weighted, 0.3),
    (nn.BCEWithLogitsLoss(), lambda f, y: F.binary_cross_entropy_with_logits(f, rows(y)), 1.0),
    (nn.HuberLoss(delta=0.1), lambda f, y: F.huber_loss(f, rows(y), delta=0.1), 3.0),
    (nn.SmoothL1Loss(reduction="none"), lambda f, y: F.smooth_l1_loss(f, rows(y)), 3.0),
    (F.l1_loss, lambda f, y: F.l1_loss(f, rows(y)), 0.3),
    (focal, lambda f, y: focal(f, y).mean(), 0.3), (reads_a_number, reads_a_number, 0.3),
    (Exponential(), lambda f, y: torch.exp(-f * (2 * rows(y) - 1)).mean(), 0.3),
    (Power(3.0), lambda f, y: (f - rows(y)).abs().pow(3).mean(), 0.5),
    (dataclass(frozen=True)(type("Frozen", (Exponential,), {}))(), lambda f, y: torch.exp(-f * (2 * rows(y) - 1)).mean(), 0.3),
]


@pytest.mark.parametrize(("loss", "reference", "eta"), CASES, ids=lambda c: getattr(c, "__name__", type(c).__name__))
def test_a_stack_is_plain_training_on_the_loss(loss, reference, eta):
    gamma = [0.1, 1.0]
    rates = [eta * 1e-2, eta]
    found = losses_of(loss, gamma, rates)
    for i in range(2):
        expected = plain(reference, gamma[i], rates[i])
        assert np.ptp(expected) > 0.02 * expected[0]            # it did move
        np.testing.assert_allclose(found[:, i], expected, rtol=1e-8)


@pytest.mark.parametrize("loss", [reads_a_number, nn.HuberLoss(delta=0.1)])
def test_copies_train_on_the_loss_as_pairs_do(loss):
    pairs, copies = (losses_of(loss, [0.1, 1.0], [1e-2, 0.3], method=method) for method in ("pairs", "copies"))
    np.testing.assert_allclose(copies, pairs, rtol=1e-8)


@pytest.mark.parametrize("spec", [MLP(64, 8, 3, 10, parametrization="standard"), CNN((1, 8, 8), 4, 10, parametrization="standard")])
def test_a_specifications_stack_is_plain_training_on_the_loss(spec):
    expected = plain(lambda f, y: F.huber_loss(f, rows(y), delta=0.1), 0.5, 2.0, spec)
    np.testing.assert_allclose(losses_of(nn.HuberLoss(delta=0.1), [0.5], [2.0], network=spec)[:, 0], expected, rtol=1e-8)


def test_the_excess_is_measured_from_the_least_value():
    def above(f, y):
        return F.cross_entropy(f, y) + 5.0

    plane = np.array([1.0]), np.array([0.1, 0.5])
    expected = experiment("cross_entropy").measure(*plane)
    found = experiment(from_torch(above, least=5.0)).measure(*plane)
    for name in ("final_excess", "tail_excess", "peak_excess", "final_accuracy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6)
    assert (experiment(above).measure(*plane).final_excess > 0.7).all()
    with pytest.warns(UserWarning, match="fell to 5.*, below its least value, 6"):
        experiment(from_torch(lambda f, y: 1.5 * F.cross_entropy(f, y) + 5.0, least=6.0)).measure(np.array([1.0]), np.array([2.0, 3.0]))


class Tokens:
    """Sequences of three tokens, each its own target; some do not count."""

    in_shape, out_features, classes = (3,), 5, 5

    def __init__(self, ignored=-100):
        self.ignored = ignored

    def batch(self, seed, step, size):
        x = torch.randint(5, (size, 3), generator=torch.Generator().manual_seed(1000 * seed + step))
        return x, torch.where(x == 4, self.ignored, (x + 1) % 5)

    def held_out(self):
        return self.batch(9, 9, 70)

    def describe(self):
        return {"name": "tokens"}


def reads_tokens(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Embedding(5, 8), nn.ReLU(), nn.Linear(8, 5))


def test_targets_that_do_not_count_are_left_out_of_loss_and_accuracy():
    loss, task = nn.CrossEntropyLoss(), Tokens()
    found = losses_of(loss, [1.0], [0.5], network=reads_tokens, task=task)[:, 0]
    expected = plain(lambda f, y: F.cross_entropy(f.flatten(0, 1), y.flatten()), 1.0, 0.5, reads_tokens, task)
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    portrait = experiment(loss, reads_tokens, task, steps=200, curves=3).measure(np.array([1.0]), np.array([1.0]))
    assert float(portrait.final_accuracy.squeeze()) == 1.0
    assert float(portrait.held_out_loss[0, -1, 0, 0]) < 0.1
    with pytest.raises(Misuse, match=r"class indices from 0 to 4, but batch.* returned -100"):
        experiment("cross_entropy", reads_tokens, task).check()


class Labels:
    """Labels of each sample: whether each of the inputs is positive."""

    classes = None

    def __init__(self, form, labels):
        self.form, self.in_shape, self.out_features = form, (labels,), labels

    def batch(self, seed, step, size):
        x = torch.randn(size, self.out_features, generator=torch.Generator().manual_seed(1000 * seed + step))
        return x, self.form(x > 0)

    def held_out(self):
        return self.batch(9, 9, 70)

    def describe(self):
        return {"name": "labels"}


@pytest.mark.parametrize("form", [lambda y: y, lambda y: y.int(), lambda y: y.float()])
@pytest.mark.parametrize("labels", [1, 3])
def test_labels_as_booleans_whole_numbers_or_numbers(form, labels):
    task, one = Labels(form, labels), lambda seed: nn.Linear(labels, labels)
    excess = experiment(nn.BCEWithLogitsLoss(), one, task, steps=100).measure(np.array([1.0]), np.array([10.0])).final_excess
    assert float(excess.squeeze()) < 0.2


def test_descriptions_name_settings_and_behaviour():
    one, other, smooth = (experiment(made).describe()["loss"] for made in (focal, lambda f, y: 2 * focal(f, y),
                                                                            nn.CrossEntropyLoss(label_smoothing=0.1)))
    assert one["name"].endswith("focal")
    assert one["digest"] != other["digest"]
    assert smooth["label_smoothing"] == 0.1
    assert experiment(focal, precision="float32").describe()["loss"] == one
    assert experiment("mse").describe()["loss"] == "mse"
    assert experiment(Power(3.0)).describe()["loss"].items() >= {"name": "power", "power": 3.0, "least": 0.0}.items()


def test_nothing_is_written_for_a_loss_that_is_refused(tmp_path):
    for loss in (nn.CrossEntropyLoss(weight=WEIGHT[:3]), lambda f, y: f):
        with pytest.raises(Misuse, match="loss"):
            sweep(experiment(loss), Plane(np.array([0.1, 1.0]), np.array([0.1, 1.0])), store=tmp_path / "p.zarr")
    assert list(tmp_path.iterdir()) == []


def mse(f, y):
    return F.mse_loss(f, F.one_hot(y, 10).to(f.dtype)) / 2


def test_the_theory_claims_nothing_of_ones_own_loss():
    for loss in (mse, nn.CrossEntropyLoss(), experiment(mse).loss, experiment(mse).describe()["loss"]):
        assert predict(3, loss) == {}
        assert "does not cover the loss" in explain_silence(loss, "sgd")


class Mixes(Exponential):
    def value(self, f, y):
        return super().value(f, y) / super().value(f, y).sum()


class WrongSlope(Exponential):
    def slope(self, f, y):
        return 2 * super().slope(f, y)


class Named(Exponential):
    name = "mse"


@pytest.mark.parametrize(("make", "named"), [
    (lambda: "hinge", "loss must be one of 'mse', 'cross_entropy', a torch loss module"), (lambda: nn.HuberLoss, "loss must be one of"),
    (lambda: nn.TripletMarginLoss(), "TripletMarginLoss: it takes more than one output"), (lambda: nn.BCELoss(), "use BCEWithLogitsLoss"),
    (lambda: nn.Linear(10, 1), "no trainable parameters, and Linear has"), (lambda: from_torch(focal, least=float("nan")), "least must be"),
    (lambda: Named(), "name of its own, a str, not 'mse'"), (lambda: nn.CrossEntropyLoss(weight=WEIGHT[:3]), "must take outputs of shape"),
    (lambda: (lambda f, y: f), r"must be finite and above its least value, 0, for the zero output"),
    (lambda: from_torch(focal, least=9.0), "above its least value, 9, for the zero output, .* but is 1.86"),
    (lambda: (lambda f, y: f.detach().square().mean() + 1), "but raised RuntimeError"), (lambda: Mixes(), "treat each run .* by itself"),
    (lambda: WrongSlope(), "slope of the loss exponential must be the derivative"),
    (lambda: (lambda f, y: f.square().mean() * torch.rand(())), "keeps a state, or draws random numbers"),
    (lambda: (lambda f, y: float(f.square().mean())), "must return a tensor, one number or the loss of each sample, not a float"),
    (lambda: (lambda f, y: (f[:, :1] - f[:, :1].T).square() + 1), r"not \(2, 2\): targets .* may have been broadcast"),
    (lambda: (lambda f, y: (f - y).mean() + 1), r"\(2, 10\) and targets of shape \(2,\) of torch.int64, but raised"),
])
def test_bad_input_is_refused_in_a_sentence(make, named):
    with pytest.raises(Misuse, match=named) as refused:
        experiment(make()).check()
    assert "\n" not in str(refused.value)
    assert not isinstance(refused.value, Unsupported)


def test_targets_of_zero_may_come_first():
    experiment(nn.HuberLoss(), lambda seed: nn.Linear(3, 3), Labels(lambda y: y.float() * (len(y) > 2), 3)).check()


def test_outputs_that_would_be_broadcast_against_the_targets_are_refused():
    line = tasks.single_index(16, 2)
    with pytest.raises(Misuse, match=r"network must give a tensor of shape \(2, 1\)"):
        experiment(nn.MSELoss(), lambda seed: nn.Sequential(nn.Linear(16, 1), nn.Flatten(0)), line).check()


def test_a_loss_object_is_not_changed_and_serves_several_experiments():
    loss = deepnets.losses.from_torch(nn.CrossEntropyLoss())
    experiment(loss).check()
    assert loss.outputs is None
    assert as_loss(loss) is not loss
    assert losses_of(loss, [1.0], [0.5], network=reads_tokens, task=Tokens()).shape == (13, 1)
