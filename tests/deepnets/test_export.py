"""`Centered.export`: a plain torch loop on it gives the losses of an experiment at the same gamma and eta."""

import numpy as np
import pytest
import torch
from torch import nn

import deepnets
from deepnets import Centered, DeepExperiment, parameter_groups, tasks
from deepnets.network_factory import build_network
from validation import Misuse

STEPS, BATCH = 12, 16
SPEC = deepnets.MLP(64, 12, 3, 10)
OPTIMIZERS = {"sgd": torch.optim.SGD, "momentum": torch.optim.SGD, "nesterov": torch.optim.SGD, "adam": torch.optim.Adam,
              "adamw": torch.optim.AdamW}
ETA = {2: 0.02, 1: 3e-3}       # in units of gamma to the power


def own(seed):
    return nn.Sequential(nn.Linear(64, 12), nn.BatchNorm1d(12, track_running_stats=False), nn.Tanh(), nn.Linear(12, 10))


def train_outside(network, gamma, eta, optimizer, loss, spec=None, **export):
    """Train an exported network in a plain loop and return the losses before every step."""
    exported = Centered(network, gamma).export(**export)
    rule = OPTIMIZERS[optimizer](parameter_groups(exported, eta, optimizer, spec))
    task, losses = tasks.digits(), []
    for step in range(STEPS + 1):
        x, y = task.batch(0, step, BATCH)
        f = exported(x)
        value = (nn.functional.cross_entropy(f, y) if loss == "cross_entropy"
                 else 0.5 * (f - nn.functional.one_hot(y, 10)).square().mean())
        losses.append(value.item())
        rule.zero_grad()
        value.backward()
        rule.step()
    return np.array(losses)


def measure_here(network, gamma, eta, optimizer, loss):
    """Return the mean of the last ten losses of the same run in an experiment."""
    experiment = DeepExperiment(network, tasks.digits(), loss=loss, optimizer=optimizer, steps=STEPS, batch_size=BATCH, curves=STEPS,
                                precision="float64", device="cpu")
    return float(experiment.measure([gamma], [eta])["train_loss"].isel(step=-1).item())


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize(("gamma", "loss"), [(1e-3, "mse"), (3.0, "cross_entropy")])
def test_it_trains_outside_as_here(gamma, loss, optimizer):
    power = 2 if OPTIMIZERS[optimizer] is torch.optim.SGD else 1
    for network, module, spec, factor in ((own, build_network(own, 0), None, 10.0), (SPEC, SPEC.build(0), SPEC, 100.0)):
        eta = factor * ETA[power] * gamma**power
        outside = train_outside(module.double(), gamma, eta, optimizer, loss, spec)
        assert abs(outside[3:].mean() / outside[0] - 1) > 0.01      # the rates matter
        assert outside[3:].mean() == pytest.approx(measure_here(network, gamma, eta, optimizer, loss), rel=1e-9)


def test_epsilon_is_in_units_of_the_gradient_in_u():
    module = build_network(own, 0).double()
    gamma, eta = 1e-3, 3e-5
    exported = Centered(module, gamma).export()
    [group] = parameter_groups(exported, eta, "adam")
    assert group["eps"] == pytest.approx(1e-5)
    assert "lr=3e-05" in exported.recipe(eta, "adam")
    assert "eps=1e-05" in exported.recipe(eta, "adam")
    assert "torch.optim.SGD with lr=0.2, momentum=0.9, nesterov=True" in exported.recipe(0.2, "nesterov")


def test_it_goes_on_from_where_a_run_is_with_its_running_statistics_and_masks():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2)).double()
    centered = Centered(module, 0.7)
    with torch.no_grad():
        for u in centered.parameters():
            u.copy_(torch.randn_like(u))
    x = torch.randn(20, 6, dtype=torch.float64)
    centered(x)                          # which moves the running statistics
    exported = centered.export()
    for mode in (True, False):           # with the same dropout mask, and with running statistics
        torch.manual_seed(3)
        expected = centered.train(mode)(x)
        torch.manual_seed(3)
        torch.testing.assert_close(exported.train(mode)(x), expected)
    expected = centered.theta()
    for name, p in exported.network.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name].detach())
    assert not any(p.requires_grad for p in exported.initial.parameters())


def test_the_precision_follows_gamma_and_the_module_is_left_alone():
    module = nn.Linear(3, 2)
    before = module.weight.detach().clone()
    assert [next(Centered(module, g).export().parameters()).dtype for g in (1.0, 0.1, 0.01)] == [torch.float32] * 2 + [torch.float64]
    assert next(Centered(module, 0.01).export(torch.float32).parameters()).dtype == torch.float32
    assert Centered(module, 0.01).export()(torch.ones(1, 3)).dtype == torch.float64
    with torch.no_grad():
        next(Centered(module, 1.0).export().network.parameters()).add_(1)
    torch.testing.assert_close(module.weight.detach(), before)


def test_bad_arguments_are_refused():
    exported = Centered(nn.Linear(3, 2), 1.0).export()
    for sentence, call in {"gamma must be above zero": lambda: Centered(nn.Linear(3, 2), 0).export(),
                           "dtype must be": lambda: Centered(nn.Linear(3, 2), 1).export(torch.int64),
                           "eta must be": lambda: parameter_groups(exported, 0.0),
                           "not Linear": lambda: parameter_groups(nn.Linear(3, 2), 1.0),
                           "optimizer must be one of": lambda: parameter_groups(exported, 0.1, "lion"),
                           "parameters of MLP": lambda: parameter_groups(exported, 0.1, "sgd", SPEC),
                           "network must be the specification": lambda: parameter_groups(exported, 0.1, "sgd", nn.Linear(3, 2))}.items():
        with pytest.raises(Misuse, match=sentence):
            call()
