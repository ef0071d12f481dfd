"""ToyExperiment and trajectory: every outcome, the far corners of the plane, bad input."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import validation
from tests.halves import every_pair
from toymodels import CrossEntropy, HeavyBall, OneParameter, ToyExperiment, TwoParameter, losses, optimizers, trajectory
from validation import Misuse, Outcome, Plane, conform


def outcome(model, loss, gamma, eta, optimizer="sgd", steps=1000, **more):
    portrait = ToyExperiment(model, loss, optimizer, steps, **more).measure(np.array([gamma]), np.array([eta]))
    return Outcome(portrait["outcome"].item())


@pytest.mark.parametrize(("expected", "model", "loss", "gamma", "eta", "optimizer"), [
    (Outcome.UNTRAINED, OneParameter(2), "mse", 1e-3, 1e-13, "sgd"),
    (Outcome.PARTIAL, OneParameter(2), "mse", 1e-3, 1e-10, "sgd"),
    (Outcome.CONVERGED, OneParameter(2), "mse", 1e-3, 1e-7, "sgd"),
    (Outcome.CONVERGED, OneParameter(5), "cross_entropy", 1e3, 0.5, "sgd"),
    (Outcome.CATAPULTED, TwoParameter(), "mse", 1e-3, 1.5e-6, "sgd"),
    (Outcome.CATAPULTED, TwoParameter(), "cross_entropy", 1e-3, 1e-3, "sgd"),
    (Outcome.OSCILLATING, OneParameter(2), "mse", 1e-3, 0.6e-6, "sgd"),
    (Outcome.OSCILLATING, OneParameter(3), "cross_entropy", 1e-3, 1e-5, "sgd"),
    (Outcome.OSCILLATING, OneParameter(3), "mse", 1e-3, 1.0, "signsgd"),
    (Outcome.STUCK, OneParameter(3), "mse", 2.0, 0.3884, "sgd"),
    (Outcome.DIVERGED, OneParameter(2), "mse", 1e-3, 1e-3, "sgd"),
    (Outcome.DIVERGED, OneParameter(2), "cross_entropy", 1e-2, 0.05, "sgd"),
    (Outcome.DIVERGED, TwoParameter(), "mse", 1e-3, 2.1e-6, "sgd"),
])
def test_every_outcome_occurs(expected, model, loss, gamma, eta, optimizer):
    steps = 30_000 if isinstance(model, TwoParameter) and loss == "cross_entropy" else 1000
    assert outcome(model, loss, gamma, eta, optimizer, steps) is expected


def test_a_cycle_between_zero_and_two_never_left_its_excess_of_one():
    # SignSGD, lazy: a step that takes f from 0 to 2 and back; the extremes of f alone do not distinguish it from a run through f = 1
    gamma = 1e-4
    eta = np.expm1(np.log1p(2 * gamma) / 2)
    assert outcome(OneParameter(2), "mse", gamma, eta, "signsgd") is Outcome.UNTRAINED
    assert outcome(OneParameter(2), "mse", gamma, 0.97 * eta, "signsgd") is Outcome.OSCILLATING


def test_a_transient_overshoot_with_cross_entropy_is_no_catapult():
    # around gamma = 1 the loss may first rise above its start although the kernel hardly moves
    gamma = 0.03
    eta = np.geomspace(0.3, 1.1, 60) * 5.09 * gamma**2
    portrait = ToyExperiment(TwoParameter(), "cross_entropy", steps=3000).measure(np.array([gamma]), eta)
    converged = portrait["outcome"] == Outcome.CONVERGED
    assert ((portrait["peak_excess"] > 1) & converged).any()
    assert (portrait["kernel_ratio"].where(converged).min() >= 0.9)


@pytest.mark.parametrize(("model", "loss", "optimizer"), every_pair(
    [OneParameter(1), OneParameter(5), OneParameter(12), TwoParameter()], ["mse", "cross_entropy"], ["sgd", "signsgd", "momentum", "adam"]))
def test_the_far_corners_of_the_plane_are_sound(model, loss, optimizer):
    """gamma and eta from 1e-12 to 1e12: no warning, consistent excesses, and the lazy and rich limits where they must be."""
    plane = Plane.log((1e-12, 1e12), (1e-26, 1e12), per_decade=1)
    portrait = conform(ToyExperiment(model, loss, optimizer, 200).measure(plane.gamma, plane.eta))
    bounded = portrait["outcome"] != Outcome.DIVERGED
    assert not (portrait["outcome"] == Outcome.UNRUN).any()
    for name in ("final_excess", "tail_excess", "peak_excess"):
        assert np.isfinite(portrait[name].where(bounded, 0)).all()
        assert np.isposinf(portrait[name].where(~bounded, np.inf)).all()
    assert (portrait["peak_excess"] >= 1).all()
    assert (portrait["tail_excess"] >= portrait["final_excess"]).all()
    assert (portrait["peak_excess"] >= portrait["tail_excess"]).all()
    # the same number of gamma**2/eta (SGD) trains at gamma = 1e-12 as at 1e-6: nothing is lost to rounding
    if optimizer in ("sgd", "momentum"):
        codes = [ToyExperiment(model, loss, optimizer, 200).measure(np.array([g]), g**2 * np.geomspace(1e-4, 1, 40))
                 for g in (1e-12, 1e-7)]
        calm = codes[0]["outcome"].isin([0, 1, 2]).values
        assert (codes[0]["outcome"] == Outcome.CONVERGED).any()
        assert (codes[0]["outcome"].values == codes[1]["outcome"].values)[calm].mean() > 0.95


@given(st.floats(-12, 12), st.floats(-20, 8), st.sampled_from([1, 2, 5]), st.sampled_from(["mse", "cross_entropy"]), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_splitting_a_plane_changes_nothing(log_gamma, log_eta, depth, loss, steps):
    """A pixel's result does not depend on its neighbours, nor on how many steps of it lie in which chunk."""
    experiment = ToyExperiment(OneParameter(depth), loss, "sgd", steps)
    gamma, eta = np.array([10.0**log_gamma]), 10.0 ** (log_eta + np.arange(150) / 40)
    whole = experiment.measure(gamma, eta)
    for j in (0, 77, 149):
        xr.testing.assert_identical(whole.isel(eta=[j]), experiment.measure(gamma, eta[j:j + 1]))


def test_a_deep_model_is_trained_in_blocks_of_less_steps(monkeypatch):
    """A step takes L multiplications; at L = 1000 a plane of what is one block at L = 5 is two hundred."""
    blocks = []
    monkeypatch.setattr("toymodels.simulate._Trainer.__call__", lambda self, plane, rows, columns, written: blocks.append((rows, columns)))
    gamma, eta = np.geomspace(1e-3, 1e3, 200), np.geomspace(1e-8, 1e3, 250)
    for depth, count in ((1, 1), (5, 1), (1000, 200)):
        blocks.clear()
        experiment = ToyExperiment(OneParameter(depth))
        experiment.measure(gamma, eta)
        assert len(blocks) == count
        assert experiment.estimate_time(50_000) == pytest.approx(count * ToyExperiment(OneParameter(5)).estimate_time(50_000))


def test_several_horizons_equal_several_experiments():
    gamma, eta = np.geomspace(1e-3, 1e3, 7), np.geomspace(1e-8, 1e3, 90)
    horizons = (7, 100, 105, 1000)
    many = ToyExperiment(OneParameter(3), "cross_entropy", "sgd", horizons).measure(gamma, eta)
    assert many["outcome"].dims == ("horizon", "gamma", "eta")
    for T in horizons:
        one = ToyExperiment(OneParameter(3), "cross_entropy", "sgd", T).measure(gamma, eta)
        for name in one.data_vars:
            np.testing.assert_array_equal(many[name].sel(horizon=T), one[name], err_msg=f"{name}, T = {T}")


def test_one_axis_per_gamma():
    gamma = np.array([0.1, 1.0])
    eta = np.array([[1e-4, 1e-3, 1e-2], [1e-2, 1e-1, 1.0]])
    experiment = ToyExperiment(OneParameter(2))
    portrait = experiment.measure(gamma, eta)
    for i in range(2):
        np.testing.assert_array_equal(portrait["final_excess"][i], experiment.measure(gamma[i:i + 1], eta[i])["final_excess"][0])
    np.testing.assert_array_equal(portrait["eta_value"], eta)


def test_trajectory_sharpness_is_the_slope_of_the_update():
    """The update's Jacobian is 1 - eta times the Hessian; by central differences of the update itself."""
    gamma, eta = 0.7, 0.05
    run = trajectory(TwoParameter(), "cross_entropy", "sgd", gamma, eta, 40).isel(step=17)
    u = np.array([run["u1"], run["u2"]], dtype=float)

    def gradient(u):
        return CrossEntropy().slope(2 * u[0] * u[1] / gamma) * u[::-1] / gamma

    h = 1e-6
    hessian = np.stack([(gradient(u + h * d) - gradient(u - h * d)) / (2 * h) for d in np.eye(2)])
    assert float(run["sharpness"]) == pytest.approx(np.linalg.eigvalsh(hessian).max(), rel=1e-6)
    one = trajectory(OneParameter(4), "mse", "sgd", gamma, 0.01, 40).isel(step=9)

    def slope(w):
        return ((w**4 - 1) / gamma - 1) * 4 * w**3 / gamma

    w = float(one["w"])
    assert float(one["sharpness"]) == pytest.approx((slope(w + h) - slope(w - h)) / (2 * h), rel=1e-6)
    assert float(one["kernel"]) == pytest.approx((4 * w**3 / gamma) ** 2, rel=1e-12)


def test_trajectory_has_the_contract():
    run = trajectory(TwoParameter(), "mse", "sgd", 1.0, 0.1, 10)
    assert dict(run.sizes) == {"step": 11}
    assert {"f", "loss", "excess", "sharpness", "kernel", "u1", "u2"} <= set(run.data_vars)
    assert {"w", "f"} <= set(trajectory(OneParameter(1), "mse", "sgd", 1.0, 0.1, 10).data_vars)
    assert float(run["excess"][0]) == 1.0


@pytest.mark.parametrize(("call", "words"), [
    (lambda: OneParameter(0), "depth must be a whole number from 1 to 1000, not 0"),
    (lambda: OneParameter(10**30), "depth must be a whole number from 1 to 1000"),
    (lambda: OneParameter(2.0), "depth must be a whole number"),
    (lambda: OneParameter(True), "depth must be a whole number"),
    (lambda: ToyExperiment(OneParameter(2), loss="hinge"), "loss must be one of 'mse', 'cross_entropy', not 'hinge'"),
    (lambda: ToyExperiment(OneParameter(2), optimizer="lion"), "optimizer must be one of"),
    (lambda: ToyExperiment(OneParameter(2), schedule="step"), "schedule must be one of"),
    (lambda: ToyExperiment(OneParameter(2), steps=0), "steps must be a whole number"),
    (lambda: ToyExperiment(OneParameter(2), steps=[10, 10]), "steps must increase strictly"),
    (lambda: ToyExperiment(OneParameter(2), steps=[10.5, 20]), "steps must be a whole number"),
    (lambda: ToyExperiment(OneParameter(2), steps=[]), "steps must be"),
    (lambda: ToyExperiment(OneParameter(2), rho=1.0), "rho must be a number between 0 and 1"),
    (lambda: ToyExperiment("one"), "model must be"),
    (lambda: ToyExperiment(OneParameter), "model must be"),
    (lambda: HeavyBall(1.0), "beta must be a number between 0 and 1"),
    (lambda: trajectory(OneParameter(2), "mse", "sgd", -1.0, 0.1, 10), "gamma must be finite and above zero"),
    (lambda: trajectory(OneParameter(2), "mse", "sgd", 1.0, float("nan"), 10), "eta must be finite and above zero"),
    (lambda: trajectory(OneParameter(2), "mse", "sgd", [1.0], 0.1, 10), "gamma must be one number"),
    (lambda: ToyExperiment(OneParameter(2)).measure(np.array([2.0, 1.0]), np.array([1.0])), "gamma must increase strictly"),
    (lambda: ToyExperiment(OneParameter(2)).measure(np.array([]), np.array([1.0])), "gamma must hold at least one value"),
    (lambda: ToyExperiment.of({"witness": "toy"}), "description must be"),
])
def test_misuse_is_refused_in_one_sentence(call, words):
    with pytest.raises(Misuse, match="^" + __import__("re").escape(words)):
        call()


def test_a_description_leads_back_to_its_experiment():
    for experiment in (ToyExperiment(OneParameter(3), "cross_entropy", HeavyBall(0.5), (10, 20), "warmup_cosine", 0.2),
                       ToyExperiment(TwoParameter(), steps=7)):
        assert ToyExperiment.of(experiment.describe()) == experiment
    assert isinstance(experiment, validation.Experiment)


@dataclass(frozen=True)
class Deeper(OneParameter):
    def output(self, w, gamma):
        return (w ** (self.depth + 1) - 1) / gamma


class Quartic(losses.MSE):
    def value(self, f):
        return (f - 1.0) ** 4


class Halved(optimizers.SGD):
    pass


@pytest.mark.parametrize(("arguments", "named"), [
    ((Deeper(2),), "model .*Deeper.*subclass of OneParameter"), ((OneParameter(2), Quartic()), "loss .*Quartic.*subclass of MSE"),
    ((OneParameter(2), "mse", Halved()), "optimizer .*Halved.*subclass of SGD"),
])
@pytest.mark.parametrize("kind", [ToyExperiment, trajectory])
def test_subclasses_are_refused(kind, arguments, named):
    with pytest.raises(Misuse, match=named):
        kind(*arguments)
