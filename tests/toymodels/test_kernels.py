"""The kernels against 50-digit arithmetic and against plain numpy."""

import warnings

import numpy as np
import pytest

from tests.halves import every_pair
from tests.toymodels.reference import outcomes_numpy, trajectory_mp
from toymodels import Adam, CrossEntropy, HeavyBall, OneParameter, ToyExperiment, TwoParameter, trajectory
from toymodels.arithmetic import exp, sigmoid
from toymodels.compilation import compile_kernel
from toymodels.simulate import tail_start

GAMMAS = [1e-10, 1e-5, 1e-2, 1.0, 1e3, 1e6]


def rate(model, L, loss, optimizer, gamma, share=0.7):
    """Return a rate at which this trains without chaos: a share of the edge."""
    h = 1.0 if loss == "mse" else float(CrossEntropy().curvature(np.float64(1.0)))
    if optimizer == "signsgd":
        return 0.0173 * ((1 + gamma) ** (1 / L) - 1 if gamma > 1e-6 else gamma / L)
    edge = 2 * gamma**2 / (h * L**2 * (1 + gamma) ** (2 - 2 / L)) if model == "one" else gamma**2 / (h * np.hypot(1, gamma))
    return share * edge


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("optimizer", ["sgd", "signsgd", "momentum"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("model", "L"), [("one", 1), ("one", 2), ("one", 5), ("two", 2)])
def test_trajectory_equals_fifty_digits(model, L, loss, optimizer, gamma):
    steps = 100
    eta = rate(model, L, loss, optimizer, gamma, share=0.1 if optimizer == "momentum" else 0.7)
    f = trajectory(OneParameter(L) if model == "one" else TwoParameter(), loss, optimizer, gamma, eta, steps)["f"].values
    exact = np.array([float(x) for x in trajectory_mp(model, L, loss, optimizer, gamma, eta, steps)])
    assert np.abs(f).max() > 1e-8          # the run leaves the origin
    np.testing.assert_array_less(np.abs(f - exact) / np.maximum(1, np.abs(exact)), 1e-9)


@pytest.mark.parametrize(("loss", "L", "gamma", "eta"), [
    ("mse", 2, 10.0, 8.1508), ("mse", 3, 2.0, 0.3884), ("mse", 4, 2.0, 0.2064),
    ("cross_entropy", 2, 10.0, 38.83), ("cross_entropy", 3, 10.0, 8.8125), ("cross_entropy", 4, 10.0, 4.0375)])
def test_a_weight_that_turns_negative_is_followed(loss, L, gamma, eta):
    run = trajectory(OneParameter(L), loss, "sgd", gamma, eta, 25)
    exact = np.array([float(x) for x in trajectory_mp("one", L, loss, "sgd", gamma, eta, 25)])
    assert (run["w"] < 0).any()
    assert np.abs(exact).max() < 1e6
    np.testing.assert_allclose(run["f"], exact, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("share", [1.5, 1.9])
def test_a_two_parameter_catapult_equals_fifty_digits(share):
    gamma = 1e-4
    eta = share * gamma**2 / np.hypot(1, gamma)
    run = trajectory(TwoParameter(), "mse", "sgd", gamma, eta, 150)
    exact = np.array([float(x) for x in trajectory_mp("two", 2, "mse", "sgd", gamma, eta, 150)])
    assert run["excess"].max() > 1e6        # a lazy catapult passes through losses of order gamma**-2, and comes back
    assert run["excess"][-1] < 1e-2
    np.testing.assert_array_less(np.abs(run["f"] - exact) / np.maximum(1, np.abs(exact)), 1e-7)


@pytest.mark.parametrize(("model", "L"), [(OneParameter(2), 2), (OneParameter(5), 5), (TwoParameter(), 2)])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("optimizer", ["sgd", "signsgd"])
def test_a_grid_equals_plain_numpy_where_it_is_not_chaotic(model, L, loss, optimizer):
    gamma, eta = np.geomspace(1e-2, 1e2, 9), np.geomspace(1e-7, 1e3, 141)
    portrait = ToyExperiment(model, loss, optimizer, steps=300).measure(gamma, eta)
    final, tail, peak = outcomes_numpy(L, isinstance(model, TwoParameter), loss, optimizer == "signsgd", gamma, eta, 300)
    calm = portrait["outcome"].isin([0, 1, 2, 3]).values & np.isfinite(final)
    assert calm.mean() > 0.2
    # statistics on the chaotic ones: as many of them diverge
    assert abs(np.isinf(final).mean() - (portrait["outcome"] == 6).values.mean()) < 5e-3
    for name, oracle in (("final_excess", final), ("tail_excess", tail), ("peak_excess", peak)):
        off = np.abs(portrait[name].values[calm] - oracle[calm]) / np.maximum(1, oracle[calm])
        # a run at the edge of a catapult or of a periodic window amplifies rounding; nearly all must agree to the last digits
        assert np.quantile(off, 0.985) < 1e-9, name


@pytest.mark.parametrize(("optimizer", "schedule", "model"), every_pair(
    ["sgd", "signsgd", "momentum", "adam", HeavyBall(0.5), Adam(0.5, 0.9, 0.0)], ["constant", "warmup_cosine"],
    [OneParameter(3), TwoParameter()]))
def test_a_portrait_and_a_trajectory_are_the_same_bits(model, optimizer, schedule):
    """Every pixel, chaotic ones too: lanes, refilling, parked cycles and scalar code give one and the same result."""
    steps = 333
    experiment = ToyExperiment(model, "cross_entropy", optimizer, steps, schedule)
    gamma, eta = np.array([1e-3, 0.5, 40.0]), np.geomspace(1e-8, 1e3, 157)
    portrait = experiment.measure(gamma, eta)
    for i, g in enumerate(gamma):
        for j in range(0, len(eta), 7):
            pixel = portrait.isel(gamma=i, eta=j)
            run = trajectory(model, "cross_entropy", optimizer, g, eta[j], steps, schedule)
            state = run["w"].values if "w" in run else np.maximum(abs(run["u1"].values), abs(run["u2"].values))
            bad = ~np.isfinite(run["f"].values) | (abs(state) > 1e30) | np.isnan(state)
            if bad.any():
                assert pixel["outcome"] == 6
                assert pixel["steps"] == np.argmax(bad)
                assert np.isinf(pixel["final_excess"])
                continue
            tail = run["excess"].values[tail_start(steps):]
            assert pixel["steps"] == steps
            np.testing.assert_allclose(pixel["final_excess"], tail[-1], rtol=1e-12, atol=1e-30)
            np.testing.assert_allclose(pixel["tail_excess"], tail.max(), rtol=1e-12, atol=1e-30)
            np.testing.assert_allclose(pixel["peak_excess"], run["excess"].max(), rtol=1e-12)


def test_cycles_that_are_skipped_end_in_the_right_phase():
    """MSE, L = 2, between s = 2 and s = 4: cycles of period 2, 4, ... and chaos; odd and even horizons."""
    gamma = np.array([1e-3])
    eta = np.linspace(2.05, 3.9, 200) * 0.25 * 2 * gamma**2 / 2
    for steps in (997, 1000, 1024):
        portrait = ToyExperiment(OneParameter(2), "mse", "sgd", steps).measure(gamma, eta)
        for j in range(0, 200, 9):
            run = trajectory(OneParameter(2), "mse", "sgd", gamma[0], eta[j], steps)
            assert portrait["final_excess"].values[0, j] == pytest.approx(float(run["excess"][-1]), rel=1e-12)
            assert portrait["tail_excess"].values[0, j] == pytest.approx(float(run["excess"][tail_start(steps):].max()), rel=1e-12)


def test_exp_is_accurate_and_never_overflows():
    x = np.concatenate([np.linspace(-700, 700, 4001), np.linspace(-1, 1, 1001)])
    ours = np.array([_exp(v) for v in x])
    np.testing.assert_allclose(ours, np.exp(x), rtol=2e-15)
    assert _sigmoid(-1e300) == pytest.approx(0.0, abs=1e-300)
    assert _sigmoid(1e300) == 1.0
    assert np.isnan(_sigmoid(np.nan))


def test_a_kernel_is_compiled_where_numba_finds_no_folder_for_its_cache(monkeypatch):
    """As in a read-only installation without a home folder."""
    from numba.core import caching

    for kind in (caching.CacheImpl, *caching.CacheImpl.__subclasses__()):
        monkeypatch.setattr(kind, "_locator_classes", [])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)      # once in a process
        assert compile_kernel(lambda x: x + 1.0)(1.0) == 2.0


def _compile_functions():
    from numba import njit

    return njit(lambda x: exp(x)), njit(lambda x: sigmoid(x))


_exp, _sigmoid = _compile_functions()
