"""The gradient-flow time against quadrature at thirty digits, against small steps of the optimizer, and closed forms against panels."""

import mpmath as mp
import numpy as np
import pytest

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import OneParameter, TwoParameter
from toymodels.theory import PseudoHuber, gradient_flow_time
from toymodels.theory.flow_time import integrate_time
from toymodels.theory.losses import solve_excess_root
from validation.arguments import Misuse

MODELS = [OneParameter(1), OneParameter(2), OneParameter(3), OneParameter(6), TwoParameter()]
LOSSES = [MSE(), CrossEntropy(), PseudoHuber(0.5)]


def residual(loss, f):
    if loss.name == "mse":
        return 1 - f
    if loss.name == "cross_entropy":
        return 1 / (1 + mp.exp(-1)) - 1 / (1 + mp.exp(-f))
    return (1 - f) / mp.sqrt(1 + ((f - 1) / mp.mpf("0.5")) ** 2)


def reference(model, loss, gamma, f1):
    """The integral over f as it stands, at thirty digits, in the variable that spreads its start."""
    gamma = mp.mpf(gamma)
    one = model.name == "one"
    top = mp.log1p(gamma * f1) if one else mp.asinh(gamma * f1)

    def integrand(v):
        if one:
            return mp.exp(v * (mp.mpf(2) / model.depth - 1)) / residual(loss, mp.expm1(v) / gamma) * gamma / model.depth**2
        return gamma / 2 / residual(loss, mp.sinh(v) / gamma)

    near = [top - min(2, top) * mp.mpf(4) ** -k for k in range(12)]
    return mp.quad(integrand, mp.linspace(0, max(0, top - 2), int(top) + 2) + near + [top])


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_equals_quadrature_at_thirty_digits(model, loss):
    rho = 0.01
    with mp.workdps(30):
        f1 = 1 - mp.mpf(solve_excess_root(loss, rho))
        for gamma in (1e-12, 1.0, 1e4):
            ratio = gradient_flow_time(model, loss, gamma, rho) / reference(model, loss, gamma, f1)
            assert float(ratio) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("model", MODELS, ids=repr)
@pytest.mark.parametrize("rho", [1e-10, 0.01, 0.9])
def test_closed_forms_equal_panels(model, rho):
    gamma = np.logspace(-12, 12, 97)
    np.testing.assert_allclose(gradient_flow_time(model, "mse", gamma, rho), integrate_time(model, MSE(), gamma, rho), rtol=1e-12)


@pytest.mark.parametrize("name", ["mse", "cross_entropy"])
@pytest.mark.parametrize("model", [OneParameter(3), TwoParameter()], ids=repr)
def test_equals_tiny_steps_of_the_optimizer(model, name):
    from toymodels.losses import LOSSES as named

    loss, gamma, rho = named[name], 2.0, 0.05
    total = float(gradient_flow_time(model, name, gamma, rho))
    steps = 20000
    theta, path = [float(x) for x in np.atleast_1d(model.start)], []
    for _ in range(steps):
        slope = float(loss.slope(np.float64(model.output(*theta, gamma))))
        theta = [x - total / steps * slope * g for x, g in zip(theta, model.gradient(*theta, gamma), strict=True)]
        path.append(theta)
    assert float(loss.excess(np.float64(model.output(*path[-1], gamma)))) == pytest.approx(rho, rel=2e-3)


def test_excess_roots_are_roots():
    for rho in (1e-12, 1e-4, 0.01, 0.5):
        loss = CrossEntropy()
        for side in ("below", "above"):
            delta = solve_excess_root(loss, rho, side)
            assert (delta > 0) == (side == "below")
            if rho >= 1e-4:
                assert float(loss.excess(1 - delta)) == pytest.approx(rho, rel=1e-12)
        # near the minimum the excess is h_l Delta^2/2 over the first excess
        if rho == 1e-12:
            assert solve_excess_root(loss, rho) == pytest.approx(-solve_excess_root(loss, rho, "above"), rel=1e-5)


def test_shapes_and_misuse():
    assert gradient_flow_time(OneParameter(4), "mse", 1.0).shape == ()
    assert gradient_flow_time(TwoParameter(), "cross_entropy", np.ones((2, 3))).shape == (2, 3)
    assert gradient_flow_time(OneParameter(4), "cross_entropy", np.ones(0)).shape == (0,)
    for gamma in (0.0, -1.0, np.nan, np.inf, "1"):
        with pytest.raises(Misuse, match="gamma"):
            gradient_flow_time(OneParameter(4), "mse", gamma)
    for rho in (0, 1, -0.1, np.nan):
        with pytest.raises(Misuse, match="rho"):
            gradient_flow_time(OneParameter(4), "mse", 1.0, rho)
    with pytest.raises(Misuse, match="loss"):
        gradient_flow_time(OneParameter(4), "hinge", 1.0)
    with pytest.raises(Misuse, match="model"):
        gradient_flow_time("one", "mse", 1.0)
