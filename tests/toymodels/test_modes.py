"""The modes of a deep linear network: against a plain matrix loop, one parameter, the flow's ODE, and traced edges."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from toymodels import Modes, OneParameter, ToyExperiment, orbit, predict, trajectory
from toymodels.cli import theory_of
from toymodels.theory.flow_time import gradient_flow_time, solve_flow_excess
from toymodels.theory.mode_stairs import find_plateaus, find_stability, find_stair_times, follow_flow, solve_training_time
from validation import Misuse, Outcome, Plane, assess, conform, locate, sweep, trace

THREE = Modes(3, (2.0, 0.7, 0.3), (1.0, 1.5, 0.5))


def train(modes, gamma, eta, steps):
    """f_k after every step, and the loss, by gradient descent in plain numpy on w."""
    s, curvatures, w, seen = np.array(modes.strengths), np.array(modes.curvatures), np.ones(len(modes.strengths)), []
    for _ in range(steps + 1):
        f = (w**modes.depth - 1) / gamma
        seen.append(f)
        w = w - eta * curvatures * (f - s) * modes.depth * w ** (modes.depth - 1) / gamma
    f = np.array(seen)
    return f, (curvatures * (f - s) ** 2).sum(-1) / 2


@pytest.mark.parametrize("gamma", [1e-2, 1.0, 1e2])
def test_a_run_is_that_of_a_plain_loop(gamma):
    eta = 0.4 * float(find_stability(THREE, gamma))
    f, loss = train(THREE, gamma, eta, 300)
    run = trajectory(THREE, gamma=gamma, eta=eta, steps=300)
    np.testing.assert_allclose(run.f, f, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run.loss, loss, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(run.total, loss / loss[0], rtol=1e-7, atol=1e-13)


def test_a_plane_is_its_runs():
    gamma, eta = np.geomspace(1e-2, 1e2, 5), np.geomspace(1e-7, 1e3, 41)
    portrait = ToyExperiment(THREE, steps=(50, 200)).measure(gamma, eta)
    assert portrait.sizes == {"horizon": 2, "gamma": 5, "eta": 41}
    last = portrait.outcome.isel(horizon=-1).values
    present = set(np.unique(last).tolist())
    assert present >= {Outcome.UNTRAINED, Outcome.PARTIAL, Outcome.CONVERGED, Outcome.OSCILLATING, Outcome.DIVERGED}
    for i, j in [ends for code in present for ends in np.argwhere(last == code)[[0, -1]]]:
        run = trajectory(THREE, gamma=gamma[i], eta=eta[j], steps=200)
        for h, T in enumerate((50, 200)):
            point = portrait.isel(horizon=h, gamma=i, eta=j)
            total = run.total.values[:T + 1]
            if point.outcome == Outcome.DIVERGED:
                assert not np.nanmax(np.abs(run.w.values[:T + 1])) < 1e30
                continue
            if point.outcome == Outcome.OSCILLATING:       # chaotic at the end
                continue
            tail = total[-(T // 10):]
            assert [float(point[name]) for name in ("final_excess", "tail_excess", "peak_excess")] == pytest.approx(
                [total[-1], tail.max(), total.max()], rel=1e-7, abs=1e-12)
            assert (point.outcome == Outcome.CONVERGED) == (tail.max() <= 0.01 and total.max() <= 1)


def test_one_mode_is_one_parameter():
    gamma, eta = np.geomspace(1e-2, 1e2, 7), np.geomspace(1e-6, 1e2, 60)
    one, mode = (ToyExperiment(model, steps=200).measure(gamma, eta) for model in (OneParameter(3), Modes(3, (1.0,))))
    np.testing.assert_array_equal(mode.outcome == Outcome.CONVERGED, one.outcome == Outcome.CONVERGED)
    np.testing.assert_array_equal(mode.outcome == Outcome.DIVERGED, one.outcome == Outcome.DIVERGED)
    calm = (one.outcome == Outcome.CONVERGED).values
    np.testing.assert_allclose(mode.kernel_ratio.values[calm], one.kernel_ratio.values[calm], rtol=1e-9)
    np.testing.assert_array_equal(mode.steps, one.steps)


# predicted

@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_the_flow_is_inverted(depth):
    gamma, excess = np.array([1e-6, 1e-2, 1.0, 1e2, 1e6])[:, None], np.array([0.999, 0.5, 1e-3, 1e-9])
    times = np.stack([gradient_flow_time(OneParameter(depth), "mse", gamma[:, 0], rho) for rho in excess], -1)
    np.testing.assert_allclose(solve_flow_excess(depth, gamma, times)[0], excess * np.ones((5, 1)), rtol=1e-10)


@pytest.mark.parametrize("gamma", [0.1, 30.0])
def test_the_flow_is_that_of_the_differential_equation(gamma):
    s, curvatures = np.array(THREE.strengths), np.array(THREE.curvatures)

    def slope(t, w):
        return -curvatures * ((w**3 - 1) / gamma - s) * 3 * w**2 / gamma

    times = np.geomspace(0.01, 3, 7) * float(solve_training_time(THREE, gamma, 0.1))
    w = solve_ivp(slope, (0, times[-1]), np.ones(3), t_eval=times, rtol=1e-11, atol=1e-13).y.T
    np.testing.assert_allclose(follow_flow(THREE, gamma, times), (1 - (w**3 - 1) / (gamma * s)) ** 2, rtol=1e-6, atol=1e-12)


# strengths and curvatures that nothing was developed with
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
@pytest.mark.parametrize("gamma", [1e-2, 1e3])
def test_stairs_come_when_predicted(depth, gamma):
    modes = Modes(depth, (3.1, 1.3, 0.45, 0.17), (0.8, 1.9, 0.6, 1.1))
    eta = (0.004 if gamma < 1 else 0.02) * float(find_stability(modes, gamma))      # a step is eta lambda_max of the flow's time
    times = find_stair_times(modes, gamma)
    steps = int(1.2 * times.max() / eta)
    run = trajectory(modes, gamma=gamma, eta=eta, steps=steps)
    for k, predicted in enumerate(times):
        half = np.interp(0.5 * modes.strengths[k], run.f.values[:, k], np.arange(steps + 1))
        assert half * eta == pytest.approx(predicted, rel=0.01)


def test_plateaus_are_flat_where_modes_are_far_apart():
    modes = Modes(4, (1.0, 0.03, 0.001))
    order, heights = find_plateaus(modes)
    assert order.tolist() == [0, 1, 2]
    times = find_stair_times(modes, 1e6)
    between = np.sqrt(times[:-1] * times[1:])
    assert follow_flow(modes, 1e6, between) @ modes.shares == pytest.approx(heights[:-1], rel=0.02)


def test_escapes_scale_with_strength_and_curvature():
    """The time of a rich stair goes as ``1/(lambda s)``, and with gamma as gamma to the first power."""
    times = np.array([[float(find_stair_times(Modes(3, (s,), (c,)), g)[0]) for g in (1e6, 1e7)] for s, c in ((1, 1), (2, 1), (1, 2))])
    slopes = np.log2(times[0, 0] / times[1:, 0]), np.log10(times[0, 1] / times[0, 0])
    assert slopes[0] == pytest.approx([1, 1], abs=0.02)
    assert slopes[1] == pytest.approx(1, abs=0.02)


def test_the_kernel_aligns_before_the_loss_falls():
    """When rich the mode that is learnt first carries the kernel by the time at which a tenth of its loss is gone."""
    modes = Modes(3, (1.0, 0.2))
    run = trajectory(modes, gamma=1e3, eta=0.01 * float(find_stability(modes, 1e3)), steps=60_000)
    early = run.isel(step=int(np.argmax(run.total.values < 0.9)))
    assert float(run.alignment[0]) < 0.75
    assert float(early.alignment) > 0.9


def test_rich_runs_collapse_in_tau():
    """At gamma >> 1 the excess depends on ``eta t/gamma`` alone."""
    tau = np.geomspace(0.01, 3, 9)
    curves = [follow_flow(THREE, g, tau * g) for g in (1e7, 1e8)]
    np.testing.assert_allclose(curves[0], curves[1], atol=0.01)


# judged

def test_edges_are_traced_and_judged():
    """The upper edge lies above the sharpest mode's stability until its cycle has an excess of rho: as one parameter's at rho/share."""
    experiment, edges = ToyExperiment(THREE, steps=2000), predict(THREE)
    gamma = np.concatenate([np.geomspace(1e-5, 1e-3, 5), np.geomspace(3, 30, 5)])
    traced = trace(experiment, gamma, list(edges), rtol=1e-4)
    lower, upper = (np.exp(np.log(traced["eta"].sel(edge=name)).mean("bound")).values for name in ("eta_min", "eta_max"))
    np.testing.assert_allclose(lower, edges["eta_min"](gamma, 2000, 0.01), rtol=0.001)
    predicted = edges["eta_max"](gamma, 2000, 0.01)
    assert (upper > 0.999 * predicted).all()
    assert (upper < 1.03 * predicted).all()
    sharpest = [int(np.argmax(np.array(THREE.curvatures) * (1 + g * np.array(THREE.strengths)) ** (4 / 3))) for g in gamma]
    for g, k, edge in zip(gamma[::3], sharpest[::3], upper[::3], strict=True):
        s, share = THREE.strengths[k], THREE.shares[k]
        alone = trace(ToyExperiment(OneParameter(3), steps=2000, rho=0.01 / share), [g * s], ["eta_max"], rtol=1e-4)["eta"]
        assert float(alone.mean()) / THREE.speeds[k] == pytest.approx(edge, rel=0.002)
    outcomes = {(a.edge, a.regime): a.verdict.outcome for a in assess(traced, edges)}
    assert outcomes["eta_max", "lazy"] == "SUPPORTED"
    assert "CONTRADICTED" not in set(outcomes.values())


def test_stored_and_swept(tmp_path):
    experiment = ToyExperiment(THREE, steps=100)
    assert ToyExperiment.of(experiment.describe()) == experiment
    plane = Plane(np.geomspace(0.1, 10, 4), np.geomspace(1e-4, 1, 12))
    portrait = sweep(experiment, plane, store=tmp_path / "p.zarr")
    assert locate(conform(portrait)).sizes["gamma"] == 4
    assert theory_of(experiment.describe()) == ("3 modes, L = 3, MSE, SGD, T = 100", predict(THREE))


@pytest.mark.parametrize(("arguments", "words"), [
    ((0, (1,)), "depth"), ((3, ()), "strengths must be from 1 to 64"), ((3, (1, -1)), "strengths must be finite and above zero"),
    ((3, (1, 2), (1, 2, 3)), "curvatures must be one number or as many as strengths, 2, not 3"),
    ((3, [[1]]), "strengths must be from 1 to 64")])
def test_misuse_is_refused(arguments, words):
    with pytest.raises(Misuse, match=words):
        Modes(*arguments)


@pytest.mark.parametrize("call", [
    lambda: ToyExperiment(THREE, "cross_entropy"), lambda: ToyExperiment(THREE, optimizer="adam"), lambda: ToyExperiment(THREE, noise=0.1),
    lambda: predict(THREE, "cross_entropy"), lambda: predict(THREE, "mse", "signsgd")])
def test_what_couples_the_modes_is_refused(call):
    with pytest.raises(Misuse, match="loss must be 'mse'"):
        call()


def test_what_needs_one_output_is_refused():
    for call in (lambda: orbit(THREE), lambda: gradient_flow_time(THREE, "mse", 1.0)):
        with pytest.raises(Misuse, match="model must"):
            call()
