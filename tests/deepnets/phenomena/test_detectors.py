"""Phenomena: each detector fires where it should and only there, in training and on synthetic curves; recorded runs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import deepnets
from deepnets import tasks
from deepnets.batched.stack import choose_stack
from deepnets.kernels import kernel_alignment, ntk
from deepnets.phenomena import (
    Kind,
    add_linearised_runs,
    catapult,
    collapse,
    lazy_consistency,
    measures,
    overshoot,
    sharpening,
    silent_alignment,
    stairs,
    watch,
)
from deepnets.training import train
from validation.arguments import Misuse

DIGITS = tasks.digits()


def experiment(network=None, task=None, **how):
    return deepnets.DeepExperiment(network or deepnets.MLP(64, 64, 3, 10), task or tasks.full_batch(DIGITS), device="cpu", **how)


def centred_digits():
    """Digits whose targets are one-hot rows less their mean, which is a tenth of the loss and learned before everything else."""
    x, y = DIGITS.batch(0, 0, 256)
    rows = torch.eye(10)[y]
    return tasks.full_batch(tasks.from_loader([(x, rows - rows.mean(0))], [(x, rows - rows.mean(0))]))


def doubtful():
    """Two classes, to which each sample belongs with probabilities 0.8 and 0.2: the optimal logits are finite."""
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
    p = 0.5 + 0.3 * torch.sign(x[:, :1]) * torch.tensor([1.0, -1.0])
    return tasks.full_batch(tasks.from_loader([(x, p)], [(x, p)], classes=2))


# ---------------------------------------------------------------- recorded runs

def test_watching_changes_no_run():
    e = experiment(deepnets.MLP(64, 16, 3, 10), DIGITS, steps=60, batch_size=16)
    gamma, eta = np.array([1e-3, 1.0, 1e-2, 1e2]), np.array([1e-5, 1e-1, 1e10, 10.0])      # the third diverges, and is dropped
    runs = watch(e, gamma, eta, at=(0, 1, 5, 30, 60), observe={"a": measures.alignment(), "k": measures.kernel_size()}, seed=3)
    module = e.theta_0(3)
    plain = train(module, choose_stack(module), e.recipe(module), gamma, eta, 3)
    np.testing.assert_array_equal(runs.loss, plain.losses)
    np.testing.assert_array_equal(runs.zero_output_loss, plain.zero_output_loss)
    assert np.isnan(runs.a.values[2:, 2]).all()
    assert np.isnan(runs.loss.values[-1, 2])
    assert np.isfinite(runs.a.values[:, [0, 1, 3]]).all()
    assert np.isfinite(runs.k.values[:, [0, 1, 3]]).all()
    alone = watch(e, gamma[3], eta[3], at=(60,), observe={"a": measures.alignment()}, seed=3)
    np.testing.assert_allclose(alone.a.values[0, 0], runs.a.values[-1, 3], rtol=1e-4)


def test_observables_may_have_dims_of_their_own_and_samples():
    e = experiment(deepnets.MLP(64, 8, 2, 10), DIGITS, steps=2, batch_size=4)
    x, y = DIGITS.held_out()
    runs = watch(e, [0.1, 1.0], 1e-3, at=(0, 2), observe={"f": lambda s: s.runs.outputs(s.x)}, samples=(x[:7], y[:7]))
    assert runs.f.shape == (2, 2, 7, 10)
    assert (runs.f.values[0] == 0).all()
    assert (runs.f.values[1] != 0).all()


def test_measures_against_the_explicit_kernel_and_activations():
    e = experiment(deepnets.MLP(64, 8, 3, 10), steps=1, batch_size=12, precision="float64")
    gamma, eta = 1e-6, 3e-13
    runs = watch(e, gamma, eta, at=(0,), observe={"s": measures.sharpness(), "k": measures.kernel_size(), "a": measures.alignment(),
                                                  "c": measures.alignment("frobenius", centred=True)})
    module, (x, y) = e.theta_0(0), DIGITS.batch(0, 0, 12)
    top = np.linalg.eigvalsh(ntk(deepnets.Centered(module, gamma), x).reshape(120, 120))[-1] / 120
    np.testing.assert_allclose(runs.k, top, rtol=1e-5)
    np.testing.assert_allclose(runs.s, 8 * eta / gamma**2 * top / 2, rtol=1e-4)       # N eta lambda/2; R ~ gamma is negligible here
    first, second = (layer.weight.detach() * layer.multiplier for layer in list(module.layers)[:2])
    h = torch.relu(torch.relu(x.double() @ first.T) @ second.T)
    np.testing.assert_allclose(runs.a, kernel_alignment(h @ h.T, y), rtol=1e-10)
    np.testing.assert_allclose(runs.c, kernel_alignment(h @ h.T, y, "frobenius", centred=True), rtol=1e-10)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"experiment": None}, "experiment"), ({"gamma": 0.0}, "gamma"), ({"gamma": [1.0, 2.0], "eta": [1.0, 2.0, 3.0]}, "gamma and eta"),
    ({"at": (0, 3)}, "at must"), ({"at": (1, 1)}, "at must"), ({"at": (0.5,)}, "at must"), ({"at": ()}, "at must"),
    ({"observe": {"loss": len}}, "observe"), ({"observe": [len]}, "observe"), ({"observe": {"n": lambda snapshot: 1.0}}, "observe"),
    ({"seed": -1}, "seed"), ({"samples": 3}, "task must return"),
    ({"experiment": experiment(steps=2, batch_size=2, optimizer="adam"), "observe": {"s": measures.sharpness()}}, "adam"),
])
def test_watch_refuses(wrong, named):
    given = {"experiment": experiment(steps=2, batch_size=2), "gamma": 1.0, "eta": 1.0, "at": (0,), "observe": {}}
    with pytest.raises(Misuse, match=named):
        watch(**given | wrong)


# ---------------------------------------------------------------- phenomena of trained networks

def test_catapult_above_the_critical_rate_and_none_below():
    """L = 3, gamma = 1e-2: eta_crit is where eta lambda/2 passes 1; the kernel falls until it is there again."""
    runs = watch(experiment(steps=300, batch_size=256), 1e-2, [6.3e-3, 8.9e-3], at=(0, 300),
                 observe={"s": measures.sharpness(), "k": measures.kernel_size()})
    below, above = (catapult(runs.loss[:, i], sharpness=runs.s[:, i], step=runs.step) for i in (0, 1))
    assert not below.fired
    assert below.peak == 1
    assert 0.8 < below.before < 1
    assert above.fired
    assert 50 < above.peak < 300
    assert 5 <= above.at <= 20
    assert above.final < 0.25
    assert 1.2 < above.before < 1.4
    assert 0.95 < above.after < 1.05
    assert 0.7 < float(runs.k[-1, 1] / runs.k[0, 1]) < 0.85


def test_no_catapult_in_the_rich_regime():
    runs = watch(experiment(steps=100, batch_size=256), 10.0, np.geomspace(1, 3e4, 12), at=(0,), observe={})
    assert not any(catapult(runs.loss[:, i]).fired for i in range(12))


@pytest.mark.parametrize(("depth", "low", "high"), [(2, 2.0, 3.2), (3, 3.0, 5.0)])
def test_silent_alignment_in_the_rich_regime_alone(depth, low, high):
    runs = watch(experiment(deepnets.MLP(64, 64, depth, 10), centred_digits(), steps=200, batch_size=256), [1e-2, 1e2], [3e-3, 600.0],
                 at=(*range(0, 60, 6), *range(60, 201, 20)), observe={"a": measures.alignment()})
    lazy, rich = (silent_alignment(runs.loss[:, i], runs.a[:, i], runs.step) for i in (0, 1))
    assert not lazy.fired
    assert abs(lazy.gained - 1) < 0.01
    assert abs(lazy.in_all - 1) < 0.02
    assert rich.fired
    assert low < rich.gained < high
    assert rich.gained < rich.in_all


def test_stairs_of_a_linear_network_and_one_drop_of_a_lazy_one():
    student = deepnets.MLP(4, 32, 3, 4, nonlinearity="linear")
    runs = watch(experiment(student, tasks.linear(samples=64), steps=2000, batch_size=64), [1e-1, 1e4], [1e-2, 1e3], at=(0,), observe={})
    lazy, rich = (stairs(runs.loss[:, i]) for i in (0, 1))
    assert rich.fired
    assert rich.count == 4
    s = np.array([1, 0.4, 0.16, 0.064])**2      # the remaining loss after each of the first three
    np.testing.assert_allclose(rich.factors[:3], [s[i:].sum() / s[i + 1:].sum() for i in range(3)], rtol=0.05)
    np.testing.assert_allclose(np.diff(np.log(rich.at)), np.log(2.5), atol=0.3)      # t ~ 1/s
    assert not lazy.fired
    assert lazy.count == 1


def test_progressive_sharpening_to_the_edge_in_the_rich_regime_alone():
    runs = watch(experiment(steps=500, batch_size=128), [1e-2, 1e2, 1e2], [3e-3, 200.0, 1000.0], at=range(0, 501, 50),
                 observe={"s": measures.sharpness()})
    lazy, slow, fast = (sharpening(runs.s[:, i], runs.step) for i in range(3))
    assert not lazy.fired
    assert abs(lazy.growth - 1) < 0.02
    assert fast.fired
    assert fast.at_edge
    assert 0.95 < fast.final < 1.1
    assert fast.first < 0.1
    assert slow.fired
    assert not slow.at_edge


def test_collapse_in_tau_is_the_rich_regimes():
    e = experiment(deepnets.MLP(64, 32, 3, 10), centred_digits(), steps=400, batch_size=256)
    rich, lazy = np.geomspace(1e2, 1e4, 4), np.geomspace(1e-4, 1e-2, 4)
    gamma, eta = np.r_[lazy, rich], np.r_[30 * lazy**2, 20 * rich**(2 / 3)]
    runs = watch(e, gamma, eta, at=(0,), observe={})
    found = collapse(runs.loss[:, 4:], rich, eta[4:])
    assert found.fired
    assert abs(found.fit.exponent - 1) < 0.05
    assert not collapse(runs.loss[:, :4], lazy, eta[:4]).fired
    squared = collapse(runs.loss[:, :4], lazy, eta[:4], claimed=2.0)
    assert squared.fired
    assert abs(squared.off) < 0.01


def test_lazy_consistency_linear_in_gamma():
    gamma = np.array([1e-6, 1e-4, 1e-3, 1e-2, 1.0])
    e = experiment(deepnets.MLP(64, 32, 3, 10, nonlinearity="tanh"), DIGITS, steps=60, batch_size=32, compile=False)
    runs = watch(e, gamma, 30 * gamma**2, at=(0,), observe={})
    lazy, all_of_them = lazy_consistency(runs.loss[:, :4], gamma[:4]), lazy_consistency(runs.loss, gamma)
    assert lazy.fired
    assert abs(lazy.exponent - 1) < 0.05
    assert 3e-5 < lazy.deviations[1] < 3e-4
    assert not all_of_them.fired
    assert all_of_them.until == 1e-2
    assert all_of_them.deviations[-1] > 0.1


def test_the_triangle_of_digits_is_linear_overshoot():
    e = experiment(deepnets.MLP(64, 32, 3, 10), DIGITS, loss="cross_entropy", steps=150, batch_size=64)
    runs = watch(e, *add_linearised_runs(1e-4, [1e-6, 2e-5]), at=(0, 150), observe={"k": measures.kernel_size()})
    k = (runs.k[-1] / runs.k[0]).values
    calm, peaked = (overshoot(runs.loss[:, i], runs.loss[:, 2 + i], k[i], runs.zero_output_loss) for i in (0, 1))
    assert calm.kind is Kind.NONE
    assert not calm.fired
    assert peaked.kind is Kind.LINEAR
    assert peaked.fired
    assert peaked.peak > 2
    assert 0.98 < peaked.kernel < 1.02
    np.testing.assert_allclose(k[2:], 1, atol=1e-3)       # the linearised networks' kernels stay


def test_the_triangle_of_doubtful_classes_is_a_kernel_catapult():
    task = doubtful()
    p = task.batch(0, 0, 32)[1].double()
    entropy = float(-(p * p.log()).sum(1).mean())
    e = experiment(deepnets.MLP(4, 64, 3, 2), task, loss="cross_entropy", steps=300, batch_size=32)
    runs = watch(e, *add_linearised_runs(1e-2, [5e-4, 5e-3]), at=(0, 300), observe={"k": measures.kernel_size()})
    k = (runs.k[-1] / runs.k[0]).values
    calm, thrown = (overshoot(runs.loss[:, i], runs.loss[:, 2 + i], k[i], runs.zero_output_loss, least=entropy) for i in (0, 1))
    assert calm.kind is Kind.NONE
    assert abs(calm.kernel - 1) < 0.1
    assert thrown.kind is Kind.KERNEL
    assert thrown.kernel < 0.8
    assert thrown.final < 0.5 < thrown.linear_final


# ---------------------------------------------------------------- synthetic curves

STEPS = np.arange(301)


@settings(max_examples=30, deadline=None)
@given(st.floats(-12, 12), st.floats(1.2, 50), st.integers(20, 250))
def test_the_unit_of_the_loss_does_not_matter(power, height, at):
    loss = np.exp(-STEPS / 100) * (1 + height * np.exp(-((STEPS - at) / 10)**2))
    for rest in (None, np.ones(301)):
        one = catapult(loss, rest, rho=0.9)
        other = catapult(10**power * loss, None if rest is None else 10**power * rest, rho=0.9)
        assert one.at == other.at
        assert one.fired == other.fired
        np.testing.assert_allclose([one.peak, one.final], [other.peak, other.final], rtol=1e-9)
    assert stairs(loss).count == stairs(10**power * loss).count


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 3), st.floats(-3, 1))
def test_planted_exponents_are_found(power, level):
    gamma = np.array([1e-6, 1e-3, 3e-3, 1e-2])
    loss = np.exp(-STEPS / 30)[:, None] + 10**level * np.sin(STEPS / 50)[:, None]**2 * np.r_[0, gamma[1:]**power]
    assert abs(lazy_consistency(loss, gamma).exponent - power) < 1e-3
    eta = gamma**power
    assert abs(collapse(np.exp(-0.05 * STEPS[:, None] * np.ones(4)), gamma, eta).fit.exponent - power) < 0.02


@pytest.mark.parametrize("drops", [1, 2, 3])
def test_planted_drops_are_counted(drops):
    t = np.arange(10001)
    loss = sum(0.1**i * np.exp(-(t / 10.0**(i + 1))**2) for i in range(drops)) + 1e-9
    found = stairs(loss)
    assert found.count == drops
    assert found.fired == (drops > 1)
    np.testing.assert_allclose(np.log10(found.at), np.arange(drops) + 1, atol=0.15)


def test_flat_loss_alignment_and_sharpness():
    flat = np.ones(50)
    assert stairs(flat).count == 0
    assert not stairs(flat).fired
    assert not catapult(flat).fired
    untrained = silent_alignment(flat, [1.0, 9.0], [0, 49])
    assert not untrained.fired
    assert np.isnan(untrained.until)
    assert untrained.in_all == 9
    assert not sharpening([0.1, 0.1], [0, 1]).fired


def test_alignment_after_the_fall_is_not_silent():
    loss, step = np.r_[np.ones(10), np.full(40, 0.2)], np.arange(50)
    early, late = (silent_alignment(loss, 1 + 2 * (step > t), step) for t in (5, 20))
    assert early.fired
    assert early.gained == 3
    assert not late.fired
    assert late.gained == 1
    assert late.in_all == 3
    assert early.until == pytest.approx(9.1)      # 10% of the fall from 1 to 0.2, between steps 9 and 10


def test_runs_that_diverge():
    loss = np.r_[np.ones(20), 5.0, np.nan, np.ones(9)]
    assert catapult(loss).final == np.inf
    assert not catapult(loss).fired
    gone = overshoot(np.r_[1.0, 4.0, 0.1], np.r_[1.0, 9.0, np.nan], kernel=0.5)
    assert gone.kind is Kind.KERNEL
    assert gone.linear_final == np.inf
    assert lazy_consistency(np.c_[np.ones(31), loss], [1e-6, 1.0]).deviations[0] == np.inf


@pytest.mark.parametrize(("linear", "kernel", "kind"), [
    ([1.0, 5.1, 0.1], 1.0, Kind.LINEAR), ([1.0, 5.1, 0.1], 0.5, Kind.UNDECIDED), ([1.0, 9.0, 9.0], 0.5, Kind.KERNEL),
    ([1.0, 9.0, 9.0], 1.0, Kind.UNDECIDED),
])
def test_kinds_of_peaks(linear, kernel, kind):
    found = overshoot([1.0, 5.0, 0.1], linear, kernel)
    assert found.fired
    assert found.kind is kind
    assert str(kind) in found.sentence


@pytest.mark.parametrize(("call", "named"), [
    (lambda: catapult([[1.0, 2.0]]), "loss"), (lambda: catapult([0.0, 1.0]), "loss"), (lambda: catapult([np.nan, 1.0]), "loss"),
    (lambda: catapult([1.0, 1.0], zero_output_loss=[1.0]), "zero_output_loss"), (lambda: catapult([1.0, 1.0], least=2.0), "least"),
    (lambda: catapult([1.0, 1.0], rho=1.0), "rho"), (lambda: catapult([1.0, 1.0], sharpness=[1.0, 1.0], step=[1, 2]), "step"),
    (lambda: silent_alignment([1.0, 1.0], [1.0, 1.0], [0, 0]), "step"),
    (lambda: silent_alignment([1.0, 1.0], [0.0, 1.0], [0, 1]), "alignment"),
    (lambda: sharpening([1.0, 1.0], [0, 1], least=1.0), "least"), (lambda: stairs([1.0, 1.0], floor=0.0), "floor"),
    (lambda: collapse(np.ones((3, 2)), [1.0, 2.0], [1.0]), "loss"), (lambda: collapse(np.ones(3), [1.0], [1.0]), "loss"),
    (lambda: lazy_consistency(np.ones((3, 1)), [1.0]), "loss"), (lambda: lazy_consistency(np.ones((3, 2)), [2.0, 1.0]), "gamma"),
    (lambda: overshoot([1.0, 1.0], [1.0, 1.0], kernel=0.0), "kernel"), (lambda: add_linearised_runs(1.0, 1.0, power=3), "power"),
])
def test_detectors_refuse(call, named):
    with pytest.raises(Misuse, match=named):
        call()
