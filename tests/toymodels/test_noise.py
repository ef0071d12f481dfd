"""Label noise and batches: the draws, the training, and the edges derived for them."""

import numpy as np
import pytest
import sympy

from toymodels import HeavyBall, OneParameter, ToyExperiment, TwoParameter, predict, trajectory
from toymodels.losses import CrossEntropy
from toymodels.randomness import draw_batch_factors, draw_signs
from toymodels.simulate import tail_start
from toymodels.theory import letters, noise_edges
from toymodels.theory.absence import explain_absence
from validation import trace
from validation.arguments import Misuse
from validation.experiment import digest

LINEAR = OneParameter(1)


def test_draws_are_a_function_of_seed_and_step():
    for draw in (lambda seed, steps: draw_signs(seed, steps), lambda seed, steps: draw_batch_factors(seed, steps, 3)):
        np.testing.assert_array_equal(draw(7, 5000)[:100], draw(7, 100))
        assert (draw(7, 100) != draw(8, 100)).any()
    signs = draw_signs(0, 40_000)
    assert set(signs) == {-1.0, 1.0}
    assert abs(signs.mean()) < 0.02
    assert abs((signs[1:] * signs[:-1]).mean()) < 0.02
    for batch in (1, 4, 100):
        m = draw_batch_factors(0, 40_000, batch)
        assert m.mean() == pytest.approx(1, abs=5 * np.sqrt(2 / batch / m.size))
        assert m.var() == pytest.approx(2 / batch, rel=0.1)


def test_one_parameter_equals_a_plain_loop():
    steps, eta, sigma = 400, 0.3, 0.5
    xi, m = draw_signs(3, steps), draw_batch_factors(3, steps, 2)
    f = [0.0]
    for t in range(steps):
        f.append(f[-1] - eta * m[t] * (f[-1] - (1 + sigma * xi[t])))
    run = trajectory(LINEAR, "mse", "sgd", 1.0, eta, steps, noise=sigma, batch=2, seed=3)
    np.testing.assert_allclose(run["f"], f, atol=1e-13)
    assert_portrait_equals_run(ToyExperiment(LINEAR, "mse", "sgd", (200, steps), noise=sigma, batch=2, seed=3), 1.0, eta)


def test_momentum_with_two_parameters_and_cross_entropy_equals_a_plain_loop():
    steps, eta, gamma, sigma, beta = 300, 0.05, 0.5, 0.7, 0.5
    xi, m = draw_signs(0, steps), draw_batch_factors(0, steps, 5)
    u, v, p, q, f = 1.0, 0.0, 0.0, 0.0, [0.0]
    for t in range(steps):
        slope = m[t] * (1 / (1 + np.exp(-f[-1])) - 1 / (1 + np.exp(-(1 + sigma * xi[t]))))
        p, q = beta * p + slope * v / gamma, beta * q + slope * u / gamma
        u, v = u - eta * p, v - eta * q
        f.append(2 * u * v / gamma)
    experiment = ToyExperiment(TwoParameter(), "cross_entropy", HeavyBall(beta), steps, noise=sigma, batch=5)
    run = trajectory(experiment.model, experiment.loss, experiment.optimizer, gamma, eta, steps, noise=sigma, batch=5)
    np.testing.assert_allclose(run["f"], f, atol=1e-12)
    np.testing.assert_allclose(run["excess"], CrossEntropy().excess(np.array(f)), atol=1e-12)      # of the clean loss
    assert_portrait_equals_run(experiment, gamma, eta)


def assert_portrait_equals_run(experiment, gamma, eta):
    """The tail excess is the mean over the tail; final and peak excess are those of the run."""
    portrait = experiment.measure(np.array([gamma]), eta * np.array([0.1, 1.0, 1e4]))
    assert portrait.attrs["tail_is"] == "mean"
    for i, steps in enumerate(experiment.horizons):
        pixel = portrait.isel(gamma=0, eta=1)
        pixel = pixel.isel(horizon=i) if "horizon" in pixel.dims else pixel
        run = trajectory(experiment.model, experiment.loss, experiment.optimizer, gamma, eta, experiment.horizons[-1],
                         noise=experiment.noise, batch=experiment.batch, seed=experiment.seed)["excess"].values[:steps + 1]
        assert float(pixel["tail_excess"]) == pytest.approx(run[tail_start(steps):].mean(), rel=1e-12)
        assert float(pixel["final_excess"]) == pytest.approx(run[-1], rel=1e-12)
        assert float(pixel["peak_excess"]) == pytest.approx(run.max(), rel=1e-12)
    assert (portrait["outcome"].isel(eta=2) == 6).all()


def test_the_second_moment_by_enumeration():
    """Over both signs and three values of m of any weights, E x^2 after a step is the derived one."""
    a, sigma, x = 0.7, 0.4, -1.3
    weights = np.array([0.2, 0.5, 0.3])
    m = np.array([0.1, 0.9, 0.0])
    m[2] = (1 - weights[:2] @ m[:2]) / weights[2]
    exact = sum(w * 0.5 * (x - a * k * (x - sigma * s)) ** 2 for w, k in zip(weights, m, strict=True) for s in (-1, 1))
    derived = noise_edges.derive_second_moment()
    values = {"a": a, "M": weights @ m**2, "sigma": sigma, "E": x**2}
    assert float(derived.subs({s: values[s.name] for s in derived.free_symbols})) == pytest.approx(exact, rel=1e-12)


def test_the_derived_edges():
    a, second, sigma, rho = sympy.symbols("a M sigma rho", positive=True)
    assert sympy.simplify(noise_edges.derive_stationary_excess() - a * second * sigma**2 / (2 - a * second)) == 0
    assert sympy.simplify(noise_edges.derive_noise_edge() - 2 * rho / second / (rho + sigma**2)) == 0
    assert noise_edges.derive_mean_square_edge() == 2 / second
    assert [round(noise_edges.almost_sure_edge(b), 2) for b in (1, 4, 16)] == [2.42, 2.66, 2.30]
    assert [round(noise_edges.mean_square_edge(b), 3) for b in (1, 4, 16)] == [0.667, 1.333, 1.778]
    assert all(noise_edges.mean_square_edge(b) < noise_edges.almost_sure_edge(b) < 2.7 for b in range(1, 200))
    for batch in (1, 3, 64):      # by quadrature, and by a million draws
        edge = noise_edges.almost_sure_edge(batch)
        growth = np.log(np.abs(1 - edge * draw_batch_factors(1, 1_000_000, batch)))
        assert abs(growth.mean()) < 5 * growth.std() / 1000


@pytest.mark.parametrize(("noise", "batch"), [(0.1, None), (0.03, None), (0.0, 16), (0.0, 64)])
def test_traced_edges(noise, batch):
    experiment = ToyExperiment(LINEAR, "mse", steps=100_000, noise=noise, batch=batch)
    predicted = predict(LINEAR, "mse", noise=noise, batch=batch)["eta_max"](1.0)
    traced = trace(experiment, [1.0], "eta_max", rtol=1e-3, eta=(predicted / 2, predicted * 2))["eta"].mean()
    assert float(traced / predicted) == pytest.approx(1, abs=0.03)


def test_stationary_excess():
    for a, sigma in ((0.2, 0.3), (1.0, 0.1), (1.8, 0.03)):
        run = trajectory(LINEAR, "mse", "sgd", 1.0, a, 100_000, noise=sigma)["excess"].values[1000:]
        assert run.mean() == pytest.approx(a * sigma**2 / (2 - a), rel=0.03)


def test_predictions_have_formulas_and_reasons():
    s = letters()
    for noise, batch in ((0.3, None), (0.3, 4), (0.0, 4)):
        edge = predict(OneParameter(3), "mse", noise=noise, batch=batch)["eta_max"]
        number = edge.expression.subs({s.gamma: sympy.Rational(7, 10), s.rho: sympy.Rational(1, 100)})
        assert float(number) == pytest.approx(float(edge(0.7)), rel=1e-12)
        assert edge.exponent("rich") == sympy.Rational(2, 3)
    for model, loss, optimizer, noise, batch in ((TwoParameter(), "mse", "sgd", 0.1, None), (LINEAR, "cross_entropy", "sgd", 0.1, None),
                                                 (LINEAR, "mse", "adam", 0.0, 2)):
        assert "eta_max" not in predict(model, loss, optimizer, noise=noise, batch=batch)
        experiment = ToyExperiment(model, loss, optimizer, noise=noise, batch=batch)
        assert explain_absence(experiment.model, experiment.loss, experiment.optimizer, noise=noise, batch=batch)
    assert predict(LINEAR, "mse", "signsgd", batch=2)["eta_max"](1.0) == predict(LINEAR, "mse", "signsgd")["eta_max"](1.0)


def test_descriptions_grow_by_what_is_new_alone():
    plain = ToyExperiment(LINEAR)
    assert not {"noise", "batch", "seed"} & set(plain.describe())
    for options in ({"noise": 0.1}, {"batch": 3, "seed": 5}, {"noise": 0.1, "batch": 1}):
        experiment = ToyExperiment(LINEAR, **options)
        assert ToyExperiment.of(experiment.describe()) == experiment
        assert digest(experiment.describe()) != digest(plain.describe())
    assert digest(ToyExperiment(LINEAR, noise=0.1, seed=1).describe()) == digest(ToyExperiment(LINEAR, noise=0.1).describe())


@pytest.mark.parametrize(("options", "message"), [
    ({"noise": 10**400}, "noise must be 0 or a finite number"),
    ({"noise": -1.0}, "noise must be 0 or a finite number"), ({"noise": float("nan")}, "noise must be 0 or a finite number"),
    ({"batch": 0}, "batch must be a whole"), ({"batch": 2.5}, "batch must be a whole"), ({"seed": 1}, "seed must be 0"),
    ({"noise": 1.0, "seed": -1}, "seed must be a whole")])
def test_bad_settings_are_refused(options, message):
    with pytest.raises(Misuse, match=message):
        ToyExperiment(LINEAR, **options)
