"""The explorer's kernel, as it is in the page, compared with the simulator, with plain numpy and with closed forms."""

import numpy as np
import pytest

from toymodels import OneParameter, ToyExperiment, TwoParameter, orbit, trajectory
from toymodels.explorer.build import FOLDER, ZIG, build_kernel, find_zig
from toymodels.losses import LOSSES
from toymodels.randomness import draw_signs
from toymodels.simulate import tail_start

pytest.importorskip("wasmtime", reason="wasmtime runs the explorer's kernel: pip install wasmtime")

GAMMA, ETA = np.geomspace(1e-3, 1e3, 40), np.geomspace(1e-9, 1e5, 56)
STEPS = 240


@pytest.fixture(scope="module")
def kernel():
    from tests.toymodels.explorer.kernel import Kernel

    return Kernel()


def off_the_fringe(outcome):
    """Whether all eight neighbours of a pixel have its outcome."""
    padded = np.pad(outcome, 1, mode="edge")
    n, m = outcome.shape
    around = [padded[a:a + n, b:b + m] for a in range(3) for b in range(3)]
    return np.all([part == outcome for part in around], axis=0)


def agree(ours, theirs):
    """Whether outcomes agree on 99.9% of the pixels off the fringe, of which there are many."""
    calm = off_the_fringe(theirs)
    assert calm.mean() > 0.4
    assert (ours == theirs)[calm].mean() >= 0.999


def simulate_plainly(L, two, loss, optimizer, gamma, eta, steps, rho, beta=0.9):
    """Return the outcome, final, tail and peak excess of a plane and f at every step, in plain numpy, by the definitions."""
    g, e = np.meshgrid(gamma, eta, indexing="ij")
    loss = LOSSES[loss]
    u, v = np.full(g.shape, float(two)), np.zeros(g.shape)
    moments, died = [0 * g, 0 * g], np.zeros(g.shape, bool)
    outputs = []
    with np.errstate(all="ignore"):
        for _ in range(steps + 1):
            w = 1 + g * u
            powers = 1.0
            for _ in range(L - 1):
                powers = 1 + w * powers
            f = 2 * u * v / g if two else u * powers
            died |= ~np.isfinite(f) | ~(np.maximum(abs(u), abs(v)) <= 1e30 if two else abs(w) <= 1e30)
            outputs.append(f)
            slope = loss.slope(f)
            gradient = [slope * v / g, slope * u / g] if two else [slope * L * w ** (L - 1) / g, 0 * g]
            if optimizer == "momentum":
                gradient = moments = [beta * m + x for m, x in zip(moments, gradient, strict=True)]
            if optimizer == "signsgd":
                gradient = [np.sign(x) for x in gradient]
            scale = 1 if two else 1 / g
            u, v = u - e * scale * gradient[0], v - e * scale * gradient[1]
        f = np.array(outputs)
        excess = loss.excess(f)
        tail = excess[tail_start(steps):]
        worst, peak, band = tail.max(axis=0), excess.max(axis=0), min(rho, 0.05)
        before = excess[max(tail_start(steps) - 1, 0):-1]
        rose = (np.diff(np.concatenate([before[:1], tail]), axis=0) > 0).any(axis=0)
        end = u + e * scale * gradient[0], v + e * scale * gradient[1]
        ratio = ((end[0] ** 2 + end[1] ** 2) / np.hypot(1, g) if two else ((1 + g * end[0]) / (1 + g) ** (1 / L)) ** (2 * L - 2))
        lost = loss.value(f[tail_start(steps):])
        near_saddle = (abs(1 + g * end[0]) < 0.5) & (f[tail_start(steps):].max(axis=0) < 1)
        outcome = np.where(rose, 4, 1)
        outcome[(not two and L >= 3) & near_saddle & (np.ptp(lost, axis=0) < 1e-3 * lost.min(axis=0))] = 5
        outcome[(abs(excess - 1) <= band).all(axis=0)] = 0
        outcome[worst <= rho] = 2
        outcome[(worst <= rho) & (peak > 1) & ((loss.name == "mse") | (ratio < 0.9))] = 3
        outcome[died] = 6
    return outcome, excess[-1], worst, peak, f


@pytest.mark.parametrize("optimizer", ["sgd", "signsgd", "momentum"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("depth", [*range(1, 13), "two"])
def test_outcomes_equal_plain_numpy(kernel, depth, loss, optimizer):
    two = depth == "two"
    L = 2 if two else depth
    gamma, eta = GAMMA[::2], ETA[::2]
    ours = kernel.train(L, two, loss, optimizer, gamma, eta, STEPS)
    outcome, *excesses, f = simulate_plainly(L, two, loss, optimizer, gamma, eta, STEPS, 0.01)
    agree(ours[0], outcome)
    calm = off_the_fringe(outcome) & (outcome <= 3)
    for mine, exact in zip(ours[1:], excesses, strict=True):
        off = abs(mine[calm] - exact[calm]) / np.maximum(1, exact[calm])
        assert np.quantile(off, 0.985) < 1e-9
    for code in (0, 1, 2):
        i, j = np.argwhere((outcome == code) & (excesses[2] <= 1.01))[0]      # no chaos, which amplifies the last bit
        f_of_run, *_ = kernel.record(L, two, loss, optimizer, gamma[i], eta[j], STEPS)
        np.testing.assert_allclose(f_of_run, f[:, i, j], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "signsgd"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(2), OneParameter(5), TwoParameter()], ids=["2", "5", "two"])
def test_outcomes_equal_the_simulators(kernel, model, loss, optimizer):
    two = isinstance(model, TwoParameter)
    portrait = ToyExperiment(model, loss, optimizer, STEPS).measure(GAMMA, ETA)
    ours = kernel.train(model.depth, two, loss, optimizer, GAMMA, ETA, STEPS)
    agree(ours[0], portrait["outcome"].values)
    calm = off_the_fringe(portrait["outcome"].values) & (portrait["outcome"].values <= 3)
    for mine, name in zip(ours[1:], ("final_excess", "tail_excess", "peak_excess"), strict=True):
        exact = portrait[name].values[calm]
        assert np.quantile(abs(mine[calm] - exact) / np.maximum(1, exact), 0.99) < 1e-9


@pytest.mark.parametrize("optimizer", ["sgd", "signsgd", "momentum"])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(1), OneParameter(5), TwoParameter()], ids=["1", "5", "two"])
def test_trajectories_equal_the_simulators_to_twelve_digits(kernel, model, loss, optimizer):
    two = isinstance(model, TwoParameter)
    for gamma in (1e-8, 0.7, 30.0):
        curvature = model.kernel(*([np.sqrt((np.hypot(1, gamma) + s) / 2) for s in (1, -1)] if two else
                                   [np.exp(np.log1p(gamma) / model.depth)]), gamma) * (1 if loss == "mse" else 0.19661193324148185)
        start = abs(np.expm1(np.log1p(gamma) / model.depth)) if not two else gamma
        eta = 0.013 * min(start, 1e3) if optimizer == "signsgd" else (0.2 if optimizer == "momentum" else 0.7) / curvature
        ours = kernel.record(model.depth, two, loss, optimizer, gamma, eta, 100)
        run = trajectory(model, loss, optimizer, gamma, eta, 100)
        assert run["f"].values.max() > 1e-3
        names = ("f", "loss", "excess", *(("u1", "u2") if two else ("u",)))
        for name, mine in zip(names, ours, strict=False):
            np.testing.assert_allclose(mine, run[name], rtol=1e-12, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(ours[5], run["sharpness"], rtol=1e-9, err_msg="sharpness")


def test_a_lazy_catapult_and_cycles_end_as_the_simulators(kernel):
    gamma = np.array([1e-4])
    eta = np.linspace(0.9, 2.2, 101) * 1e-8
    portrait = ToyExperiment(TwoParameter(), "mse", "sgd", 997).measure(gamma, eta)
    outcome, *_ = kernel.train(2, True, "mse", "sgd", gamma, eta, 997)
    assert (portrait["outcome"] == 3).sum() > 30
    agree(outcome, portrait["outcome"].values)
    # period 2 below s = sqrt(5): cycles that are skipped end in the right phase
    eta = np.linspace(2.02, 2.2, 60) * 1e-6 / 2
    for steps in (997, 1000):
        portrait = ToyExperiment(OneParameter(2), "mse", "sgd", steps).measure(np.array([1e-3]), eta / 2)
        _, final, *_ = kernel.train(2, False, "mse", "sgd", np.array([1e-3]), eta / 2, steps)
        np.testing.assert_allclose(final, portrait["final_excess"], rtol=1e-6)


def test_periods_and_exponents_equal_the_simulators(kernel):
    eta = np.linspace(1.5, 4.2, 150) / 8        # s = 8 eta at gamma = 1: period 1, 2, 4, ..., chaos, escape
    exact = orbit(OneParameter(2), "mse", "sgd", 1.0, eta, 2000, 256, 0)
    period, lyapunov = kernel.follow(2, False, "mse", "sgd", 1.0, eta, 2000, 256)
    assert {1, 2, 4, 0, -1} <= set(exact["period"].values)
    assert (period == exact["period"].values).mean() > 0.97
    regular = exact["period"].values > 0
    close = abs(lyapunov - exact["lyapunov"].values)[regular] < 1e-3 * np.maximum(1, abs(exact["lyapunov"].values[regular]))
    assert close.mean() > 0.95


@pytest.mark.parametrize(("two", "L"), [(False, 1), (False, 7), (True, 2)])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_the_exponent_at_a_minimum_is_the_logarithm_of_the_maps_slope(kernel, loss, two, L):
    curvature = LOSSES[loss].curvature(np.float64(1)) * (2 * np.sqrt(2) if two else L**2 * 2 ** (2 - 2 / L))
    s = np.array([0.3, 0.8, 1.6])
    period, lyapunov = kernel.follow(L, two, loss, "sgd", 1.0, s / curvature, 400, 200)
    assert (period == 1).all()
    # two parameters: along the curve of minima distances stay, so that the largest exponent is 0
    np.testing.assert_allclose(lyapunov, 0 if two else np.log(abs(1 - s)), atol=2e-2 if two else 1e-5)


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_a_run_that_has_hardly_moved_has_not_settled(kernel, two, optimizer):
    period, _ = kernel.follow(2, two, "mse", optimizer, 1.0, np.array([1e-14, 1e-10, 1e-7, 0.01]), 4000, 256)
    assert period.tolist() == [-2, -2, -2, 1]


def test_the_signs_of_label_noise_are_the_simulators_and_so_are_noisy_runs(kernel):
    np.testing.assert_array_equal(kernel.draw_signs(1003), draw_signs(0, 1003))
    signs, sigma, g, eta, beta = draw_signs(0, 60), 0.3, 0.5, 0.05, 0.5
    # MSE, one parameter, SGD; cross-entropy, two parameters, heavy ball; from the definition, the target is 1 plus or minus sigma
    outputs, x, m = np.empty((2, 61)), [np.array([1.0]), np.array([1.0, 0.0])], np.zeros(2)
    for t in range(61):
        outputs[:, t] = (x[0][0] ** 3 - 1) / g, 2 * x[1][0] * x[1][1] / g
        if t < 60:
            y = 1 + sigma * signs[t]
            x[0] = x[0] - eta * (outputs[0, t] - y) * 3 * x[0] ** 2 / g
            m = beta * m + (1 / (1 + np.exp(-outputs[1, t])) - 1 / (1 + np.exp(-y))) * x[1][::-1] / g
            x[1] = x[1] - eta * m
    for f, toy in zip(outputs, ((3, False, "mse", "sgd"), (2, True, "cross_entropy", "momentum")), strict=True):
        excess = LOSSES[toy[2]].excess(f)
        np.testing.assert_allclose(kernel.record(*toy, g, eta, 60, beta, sigma)[0], f, rtol=1e-10, atol=1e-12)
        _, final, tail, _ = kernel.train(*toy, np.array([g]), np.array([eta, 0.06]), 60, beta=beta, noise=sigma)
        np.testing.assert_allclose([tail[0, 0], final[0, 0]], [excess[-6:].mean(), excess[-1]], rtol=1e-9)


@pytest.mark.skipif(find_zig() != ZIG, reason=f"the compiler is not installed: pip install ziglang=={ZIG}")
def test_the_kernel_is_what_its_source_compiles_to():
    assert build_kernel() == (FOLDER / "kernel.wasm").read_bytes()
