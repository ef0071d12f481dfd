"""Derived expressions against finite differences, against simulated steps, and against each other."""

import os
import subprocess
import sys

import numpy as np
import pytest
import sympy

from toymodels import trajectory
from toymodels.losses import MSE, CrossEntropy
from toymodels.models import OneParameter, TwoParameter
from toymodels.theory import PseudoHuber, asymptotics, catapult_edges, ellipse, flow, landscape, letters, predict, stability
from toymodels.theory.derivation_steps import derive_steps
from toymodels.theory.losses import (
    derive_curvature_at_minimum,
    derive_slope,
    derive_tail_slopes,
    numeric_residual,
    residual_at_start,
    solve_target_outputs,
)

s = letters()
LOSSES = [MSE(), CrossEntropy()]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_a_losss_numbers_are_its_expressions(loss):
    f = np.random.default_rng(0).normal(0, 4, 200)
    for order, number in enumerate((loss.value, loss.slope, loss.curvature)):
        exact = sympy.lambdify(s.f, sympy.diff(loss.expression(s.f), s.f, order), "numpy")
        np.testing.assert_allclose(number(f), np.broadcast_to(exact(f), f.shape), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(numeric_residual(loss)(1 - f), -loss.slope(f), rtol=1e-11, atol=1e-15)


def test_what_the_theory_needs_of_a_loss():
    p0 = 1 / (1 + sympy.E)
    assert derive_curvature_at_minimum(MSE()) == residual_at_start(MSE()) == 1
    assert sympy.simplify(derive_curvature_at_minimum(CrossEntropy()) - p0 * (1 - p0)) == 0
    assert sympy.simplify(residual_at_start(CrossEntropy()) - (sympy.Rational(1, 2) - p0)) == 0
    assert [sympy.simplify(x) for x in derive_tail_slopes(CrossEntropy())] == [sympy.simplify(1 - p0), p0]
    assert derive_tail_slopes(MSE()) == (sympy.oo, sympy.oo)
    assert solve_target_outputs(MSE()) == (1 - sympy.sqrt(s.rho), 1 + sympy.sqrt(s.rho))
    f1, f2 = (x.subs(s.rho, sympy.Rational(1, 100)).evalf() for x in solve_target_outputs(CrossEntropy()))
    np.testing.assert_allclose(CrossEntropy().excess(np.array([float(f1), float(f2)])), 0.01, rtol=1e-12)


@pytest.mark.parametrize("name", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(1), OneParameter(2), OneParameter(5), TwoParameter()], ids=repr)
def test_the_simulators_steps_are_the_symbols(model, name):
    loss = {"mse": MSE(), "cross_entropy": CrossEntropy()}[name]
    symbols = [s.w] if model.name == "one" else [s.u1, s.u2]
    f = model.output(*symbols, s.gamma)
    after = [x - s.eta * derive_slope(loss, f) * g for x, g in zip(symbols, model.gradient(*symbols, s.gamma), strict=True)]
    step = sympy.lambdify([*symbols, s.gamma, s.eta], after, "numpy")
    random = np.random.default_rng(3)
    edge = predict(model, name)["eta_max" if model.name == "one" else "eta_crit"]
    for gamma in 10.0 ** random.uniform(-2, 2, 6):
        eta = float(edge(gamma)) * random.uniform(0.1, 0.9)
        run = trajectory(model, name, "sgd", gamma, eta, 30)
        states = np.array([run[str(x)].values.squeeze() for x in symbols])          # (parameter, step)
        np.testing.assert_allclose(np.array(step(*states[:, :-1], gamma, eta)), states[:, 1:], rtol=1e-9, atol=1e-12)
        kernel = np.broadcast_to(model.kernel(*states, gamma), states[0].shape)
        np.testing.assert_allclose(run["kernel"].values.squeeze(), kernel, rtol=1e-9)


@pytest.mark.parametrize("loss", [*LOSSES, PseudoHuber()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_hessian_and_its_parts(depth, loss):
    parts = landscape.derive_hessian(depth, loss)
    numbers = {s.w: 1.3, s.gamma: 0.7}
    assert float((parts.total - parts.gauss_newton - parts.residual).subs(numbers)) == pytest.approx(0, abs=1e-9)
    value = sympy.lambdify(s.w, loss.expression(landscape.output_one(depth, s.w, 0.7)), "mpmath")
    h = 1e-4
    second = (value(1.3 + h) - 2 * value(1.3) + value(1.3 - h)) / h**2
    assert float(parts.total.subs(numbers)) == pytest.approx(float(second), rel=1e-4)
    star = landscape.derive_minimum(depth)
    assert sympy.simplify(landscape.output_one(depth, star, s.gamma)) == 1
    assert sympy.simplify(landscape.derive_hessian(depth, loss, star).residual) == 0
    sharp = landscape.derive_sharpness_one(depth, loss).subs(s.h, derive_curvature_at_minimum(loss))
    assert float((landscape.derive_hessian(depth, loss, star).total / sharp).subs(s.gamma, 3.7)) == pytest.approx(1, rel=1e-12)


def test_general_depth():
    assert landscape.derive_minimum(s.L) == (1 + s.gamma) ** (1 / s.L)
    expected = s.L**2 * (1 + s.gamma) ** (2 - 2 / s.L) / s.gamma**2
    assert sympy.simplify(landscape.derive_sharpness_one(s.L, MSE()) / expected) == 1
    assert sympy.simplify(landscape.derive_sharpening(s.L) / (1 + s.gamma) ** (2 - 2 / s.L)) == 1
    assert sympy.simplify(stability.derive_edge_of_stability(s.L, MSE()) * expected / 2) == 1
    for depth in (2, 5):
        assert landscape.derive_sharpness_one(s.L, MSE()).subs(s.L, depth).equals(landscape.derive_sharpness_one(depth, MSE()))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_two_parameters_minima(loss):
    kernel = TwoParameter().kernel(s.u1, s.gamma / (2 * s.u1), s.gamma)
    after = [u - s.eta * derive_slope(loss, TwoParameter().output(s.u1, s.u2, s.gamma)) * g
             for u, g in zip((s.u1, s.u2), TwoParameter().gradient(s.u1, s.u2, s.gamma), strict=True)]
    jacobian = sympy.Matrix(after).jacobian([s.u1, s.u2]).subs(s.u2, s.gamma / (2 * s.u1)).applyfunc(sympy.simplify)
    values = {sympy.simplify(value): count for value, count in jacobian.eigenvals().items()}
    assert sum(values.values()) == 2
    bend = derive_curvature_at_minimum(loss)
    assert any(sympy.simplify(value - 1) == 0 for value in values)
    assert any(sympy.simplify(value - (1 - s.eta * bend * kernel)) == 0 for value in values)
    u1, flat = landscape.derive_flattest_minimum(loss)
    assert sympy.simplify(u1 - sympy.sqrt(s.gamma / 2)) == 0
    assert sympy.simplify(flat - 2 * landscape.curvature_letter(loss) / s.gamma) == 0


def test_the_invariant_is_an_identity():
    before, _, identity = ellipse.derive_invariant()
    assert identity == 0
    assert sympy.simplify(ellipse.derive_divergence_two() - (sympy.sqrt(1 + 4 * s.gamma**2) - 1)) == 0
    start = before.subs({s.p: 1, s.q: 1, s.eta: ellipse.derive_divergence_two()})
    assert sympy.simplify(start) == 0


def test_the_printed_derivation_of_eta_div_can_be_followed():
    """Each equation is taken from the steps as printed, and nothing else of the module is used."""
    printed = {}
    for step in derive_steps(TwoParameter(), "mse"):
        if isinstance(step.equation, sympy.Equality):
            printed.setdefault(str(step.equation.lhs), []).append(step.equation.rhs)
    (delta,), (p,), (q,) = (printed[name] for name in ("Delta", "p'", "q'"))
    invariant, form, start = printed["I"]
    model = TwoParameter()
    u1, u2 = (s.p + s.q) / 2, (s.p - s.q) / 2
    assert sympy.expand(delta - (1 - model.output(u1, u2, s.gamma))) == 0

    def in_p_and_q(expression):
        return expression.subs({s.Delta: delta, s.a: s.eta / s.gamma})

    step = {s.p: in_p_and_q(p), s.q: in_p_and_q(q)}
    gradient = [-delta * g for g in model.gradient(u1, u2, s.gamma)]
    assert sympy.expand(step[s.p] - s.p + s.eta * sum(gradient)) == 0
    assert sympy.expand(step[s.q] - s.q + s.eta * (gradient[0] - gradient[1])) == 0
    after = in_p_and_q(invariant).subs(step, simultaneous=True)
    for factor in printed["I'"]:
        assert sympy.expand(after - in_p_and_q(factor).subs("I", in_p_and_q(invariant))) == 0
    assert len(printed["I'"]) == 2
    assert sympy.expand(in_p_and_q(invariant - form)) == 0
    assert sympy.expand(in_p_and_q(form).subs({s.p: 1, s.q: 1}) - start) == 0
    divergence = printed["eta_div"][0]
    assert sympy.simplify(start.subs(s.eta, divergence)) == 0
    assert printed["eta_max"][0] == sympy.Min(divergence, s.gamma)


def test_the_ellipse_divides_runs_and_w_never_falls():
    """Random starts: outside all diverge, inside none; W of the printed step never falls."""
    random, count = np.random.default_rng(8), 2000
    a, gamma = random.uniform(0.01, 1.99, count), 10 ** random.uniform(-2, 2, count)
    scale = np.sqrt(2 * gamma / a)
    p, q = scale * random.uniform(0, 2.2, count), scale * random.uniform(0, 2.2, count)
    (w,) = (x.equation.rhs for x in derive_steps(TwoParameter(), "mse") if str(x.equation).startswith("Eq(W"))
    invariant = sympy.lambdify((s.p, s.q, s.a, s.gamma), ellipse.ellipse_in_letters().subs(s.eta, s.a * s.gamma))
    measure = sympy.lambdify((s.p, s.q, s.a, sympy.Symbol("I")), sympy.log(w))
    outside, last = invariant(p, q, a, gamma) > 0, -np.inf
    diverged = np.zeros(count, bool)
    for t in range(2000):
        diverged |= ~(p**2 + q**2 < 1e8 * scale**2)
        p, q = np.where(diverged, scale, p), np.where(diverged, scale, q)
        if t < 30:
            with np.errstate(all="ignore"):
                now = measure(p, q, a, invariant(p, q, a, gamma))
            assert np.all(diverged | (now - last > -1e-9 * (1 + abs(now))))
            last = np.where(diverged, -np.inf, now)
        step = a * (1 - (p**2 - q**2) / (2 * gamma))
        p, q = p * (1 + step), q * (1 - step)
    np.testing.assert_array_equal(diverged, outside)
    assert 200 < outside.sum() < 1800


@pytest.mark.parametrize("gamma", [1e-6, 0.1, 2 / 3, 5.0, 1e6])
def test_two_parameters_diverge_exactly_where_it_says(gamma):
    def diverges(eta):
        u1, u2 = 1.0, 0.0
        for _ in range(200_000):
            change = eta / gamma * (1 - 2 * u1 * u2 / gamma)
            u1, u2 = u1 + change * u2, u2 + change * u1
            if not abs(u1) + abs(u2) < 1e15 * max(1, gamma):
                return True
            if abs(change) < 1e-14:
                return False
        return False

    edge = float(predict(TwoParameter())["eta_div"](gamma))
    assert diverges(edge * (1 + 1e-5))
    assert not diverges(edge * (1 - 1e-5))


def test_l2_diverges_at_four():
    edge = stability.derive_divergence_one(2, MSE())
    assert sympy.simplify(edge * landscape.derive_sharpness_one(2, MSE())) == 4
    assert stability.derive_divergence_one(3, MSE()) is None
    assert stability.derive_divergence_one(1, CrossEntropy()) is None
    assert sympy.simplify(stability.derive_divergence_one(2, CrossEntropy()) - (1 + sympy.E) * s.gamma) == 0


@pytest.mark.parametrize("depth", [2, 3, 4, 6, 1000])
def test_the_escape_solves_its_equation(depth):
    w = flow.derive_escape(depth)
    assert sympy.simplify(w.subs(s.t, 0)) == 1
    ratio = sympy.diff(w, s.t) / (s.a * depth * w ** (depth - 1))
    assert float(ratio.subs({s.a: 0.01, s.t: 1.3})) == pytest.approx(1, rel=1e-12)
    if depth >= 3:
        assert flow.derive_silent_period(depth) == sympy.Rational(1, depth * (depth - 2))
    # collapse: the rich limit of dw/dtau has no gamma, and is that of the escape while the residual is 1
    assert flow.derive_collapse(depth, MSE()) == depth * s.w ** (depth - 1)


@pytest.mark.parametrize("model", [OneParameter(1), OneParameter(2), OneParameter(3), OneParameter(6), TwoParameter()], ids=repr)
def test_closed_times_solve_their_integral(model):
    closed = flow.derive_time(model, MSE())
    integrand = flow.derive_time_integral(model, MSE()).function
    (x,) = integrand.free_symbols - {s.gamma}
    for gamma in (0.3, 20):
        numbers = {s.gamma: sympy.Rational(str(gamma)), s.f1: sympy.Rational(7, 10)}
        slope_there = sympy.diff(closed, s.f1).subs(numbers).evalf(20)
        assert float(slope_there / integrand.subs({x: sympy.Rational(7, 10), **numbers}).evalf(20)) == pytest.approx(1, rel=1e-12)
        assert abs(float(closed.subs({**numbers, s.f1: 0}).evalf(20))) < 1e-15


def test_stability_of_heavy_ball():
    assert stability.derive_stability_factor(0) == 2
    assert sympy.simplify(stability.derive_stability_factor(s.beta) - 2 * (1 + s.beta)) == 0
    # the roots of z^2 - (1 + beta - product) z + beta lie in the disc below the edge, and not above
    for beta in (0.3, 0.9):
        for product, inside in ((2 * (1 + beta) - 1e-6, True), (2 * (1 + beta) + 1e-6, False), (0.1, True)):
            assert (np.abs(np.roots([1, -(1 + beta - product), beta])).max() < 1) == inside


def test_scalings_of_known_curves():
    gamma = s.gamma
    for eta, regime, expected in ((3 * gamma**2, "lazy", (2, 0, 3)), (gamma * sympy.log(1 + gamma), "rich", (1, 1, 1)),
                                  (gamma * sympy.sqrt(sympy.log(1 / gamma)), "lazy", (1, sympy.Rational(1, 2), 1)),
                                  (sympy.sqrt(1 + gamma) - 1, "lazy", (1, 0, sympy.Rational(1, 2)))):
        found = asymptotics.derive_scaling(asymptotics.explicit_branch(eta), regime)
        assert (found.exponent, found.log_power, found.prefactor) == expected
    with pytest.raises(ValueError, match="no power law"):
        asymptotics.derive_scaling(asymptotics.explicit_branch(sympy.exp(gamma)), "rich")


def test_growth_balance():
    a = catapult_edges.solve_growth_balance()
    assert a == pytest.approx(2.199612220069253, rel=1e-14)
    assert float(catapult_edges.growth_balance_number()) == pytest.approx(a, rel=1e-14)
    condition, theta = catapult_edges.derive_balance_condition()
    assert abs(float(condition.subs(s.a, catapult_edges.growth_balance_number()).evalf(30))) < 1e-12
    assert 0 < float(theta.subs(s.a, a)) < 1
    # by counting: far out, the mean growth of |p| and |q| under the rule itself changes sign at c*
    for factor, grows in ((0.97, False), (1.03, True)):
        log_p, log_q, t = 0.0, 0.3, 40_000
        p0 = 1 / (1 + np.e)
        for _ in range(t):
            below = log_p < log_q
            slope_there = (1 - p0) if below else -p0
            log_p += np.log(abs(1 + factor * a * slope_there))
            log_q += np.log(abs(1 - factor * a * slope_there))
        assert ((log_p + log_q) > 0) == grows


def test_the_settling_constant_has_the_same_bits_on_every_processor():
    program = "from toymodels.theory.catapult_edges import sum_chaos; print(*map(float.hex, sum_chaos()))"
    vectorized = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])      # numpy's functions have other last bits without them
    settings = [{}, {"NPY_DISABLE_CPU_FEATURES": " ".join(vectorized)}] if vectorized else [{}]
    printed = {subprocess.run([sys.executable, "-c", program], env=os.environ | changed, check=True, capture_output=True).stdout
               for changed in settings}
    assert len(printed) == 1


def test_settling_constant_by_running_the_slow_system():
    # the reduced map (f, log kappa) at small eps = eta/gamma, from a large kernel to the cycle whose excess is rho
    loss, eps, rho = CrossEntropy(), 0.04, 0.01
    f = np.linspace(0.0, 0.5, 64)
    start = 400.0
    log_kappa, settled = np.full(64, np.log(2 * start)), np.zeros(64)
    last = np.full(64, 9.0)
    for t in range(1, 400_000):
        residual = -loss.slope(f)
        f = f + np.exp(log_kappa) * residual
        log_kappa -= eps**2 * residual**2
        excess = loss.excess(f)
        done = (np.maximum(excess, last) <= rho) & (np.exp(log_kappa) < 2.1 / catapult_edges.CURVATURE)
        settled[done & (settled == 0)] = t
        last = excess
        if (settled > 0).all():
            break
    measured = np.mean(settled) * eps**2 - np.log(start) / catapult_edges.CURVATURE
    assert measured == pytest.approx(catapult_edges.compute_settling_constant(rho), abs=0.3)


def test_derivations_name_every_edge():
    for model in (OneParameter(4), TwoParameter()):
        for loss in ("mse", "cross_entropy", PseudoHuber()):
            for optimizer in ("sgd", "signsgd", "momentum"):
                text = " ".join(step.text() for step in derive_steps(model, loss, optimizer))
                for name in predict(model, loss, optimizer):
                    assert f"{name} for gamma" in text
