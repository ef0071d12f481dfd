"""derive_steps(): how the edges of one model follow from its definition, step by step, each step the value sympy returned.

A `Step` is a sentence and an equation; nothing here computes anything of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import Model, OneParameter, TwoParameter, as_model
from toymodels.optimizers import SGD, HeavyBall, SignSGD, as_optimizer
from toymodels.theory.catalogue import predict, solve_closing_point
from toymodels.theory.losses import as_theory_loss, derive_curvature_at_minimum, derive_slope, residual_at_start
from toymodels.theory.symbols import letters


@dataclass(frozen=True)
class Step:
    """One step of a derivation: `sentence`, and `equation`, a sympy expression (None where the sentence says it all)."""

    sentence: str
    equation: Any = None

    def latex(self) -> str:
        """Return the step as a line of MyST markdown with its equation in LaTeX."""
        import sympy

        return self.sentence if self.equation is None else f"{self.sentence}\n\n$${sympy.latex(self.equation)}$$"


def derive_steps(model: Model, loss: Any = "mse", optimizer: Any = "sgd") -> list[Step]:
    """Return the steps from the definitions to the edges' exponents.

    Parameters
    ----------
    model, loss, optimizer : as in `predict`.

    Raises
    ------
    Misuse : an unknown model, loss or optimizer.
    """
    model, loss, optimizer = as_model(model), as_theory_loss(loss), as_optimizer(optimizer)
    steps = _landscape_one(model, loss) if isinstance(model, OneParameter) else _landscape_two(loss)
    if isinstance(optimizer, SignSGD):
        steps += _signsgd(model)
    elif isinstance(optimizer, SGD | HeavyBall):
        steps += _flow(model, loss, optimizer)
        steps += _stability(model, loss, optimizer)
    else:
        steps += _adam(model)
    return steps + _edges(model, loss, optimizer)


def _equation(name: str, value: Any) -> Any:
    """Return ``name = value`` as an unevaluated sympy equation."""
    import sympy

    return sympy.Eq(sympy.Symbol(name), value, evaluate=False)


def _loss_steps(loss: Any) -> list[Step]:
    s = letters()
    return [
        Step("The loss, as a function of the output f; its least value is at f = 1.", _equation("l", loss.expression(s.f))),
        Step("Its curvature there, h_l, and its pull at the start, r_0 = -l'(0).", _equation("h_l", derive_curvature_at_minimum(loss))),
        Step("The pull at the start.", _equation("r_0", residual_at_start(loss))),
    ]


def _landscape_one(model: OneParameter, loss: Any) -> list[Step]:
    from toymodels.theory.landscape import derive_hessian, derive_minimum, derive_sharpness_one, output_one

    s, depth = letters(), model.depth
    star = derive_minimum(depth)
    parts = derive_hessian(depth, loss)
    residual = "Its residual part, l'(f) f'', carries l'(1) = 0 and vanishes at the minimum."
    return [
        Step("The model: one weight w, which starts at 1.", _equation("f", output_one(depth, s.w, s.gamma))),
        *_loss_steps(loss),
        Step("The minimum solves f(w) = 1 (eq. 5).", _equation("w_*", star)),
        Step("The Hessian's Gauss-Newton part, l''(f) f'^2.", _equation("H_GN", parts.gauss_newton)),
        Step(residual, _equation("H_res", parts.residual)),
        Step("So the sharpness at the minimum is h_l times the kernel there (eq. 6, at every gamma).",
             _equation("lambda", derive_sharpness_one(depth, loss))),
    ]


def _landscape_two(loss: Any) -> list[Step]:
    from toymodels.theory.landscape import derive_flattest_minimum, derive_kernel_two, derive_sharpness_two

    s, model = letters(), TwoParameter()
    return [
        Step("The model: u1 and u2, which start at 1 and 0.", _equation("f", model.output(s.u1, s.u2, s.gamma))),
        *_loss_steps(loss),
        Step("The kernel (eq. 21).", _equation("K", model.kernel(s.u1, s.u2, s.gamma))),
        Step("Gradient flow conserves u1^2 - u2^2 = 1, so on its way the kernel is a function of f.",
             _equation("K", derive_kernel_two(s.f))),
        Step("The update's Jacobian at a minimum has the eigenvalue 1 - eta h_l K: the sharpness of the one that flow reaches.",
             _equation("lambda", derive_sharpness_two(loss))),
        Step("The flattest minimum is at u1 = u2: no minimum is flatter than this.",
             _equation("lambda_min", derive_flattest_minimum(loss)[1])),
    ]


def _flow(model: Model, loss: Any, optimizer: Any) -> list[Step]:
    from toymodels.theory.flow import derive_collapse, derive_escape, derive_silent_period, derive_time_integral, derive_time_limits

    s = letters()
    lazy, rich = derive_time_limits(model, loss)
    steps = [
        Step("Gradient flow moves the output by df/dt = eta K(f) r(f), r = -l'(f); so the time to the output f_1, at which the "
             "excess is rho, times eta, is", _equation("S", derive_time_integral(model))),
        Step("with the pull", _equation("r", -derive_slope(loss, s.f))),
        Step("Lazy: the kernel stays what it was.", _equation("S", lazy.eta)),
        Step("Rich: the time is spent at f of order 1/gamma, where the pull is still r_0.", _equation("S", rich.eta)),
    ]
    if isinstance(model, OneParameter) and model.depth >= 2:
        steps += [
            Step("There the weight escapes as (eq. 8, corrected), a = eta/gamma,", _equation("w", derive_escape(model.depth))),
            Step("after a silent period of tau = eta t/gamma,", _equation("tau", derive_silent_period(model.depth))),
            Step("and early paths of all rich gammas are one curve in tau, for gamma is absent from",
                 _equation("dw/dtau", derive_collapse(model.depth, loss))),
        ]
    momentum = ": momentum multiplies the rate by 1/(1 - beta), after a delay" if optimizer.name == "momentum" else ""
    return [*steps, Step(f"T steps are enough from eta_min = S/T on{momentum}.")]


def _stability(model: Model, loss: Any, optimizer: Any) -> list[Step]:
    from toymodels.theory.stability import derive_divergence_one, derive_edge_of_stability, derive_invariant, derive_stability_factor

    s = letters()
    beta = s.beta if isinstance(optimizer, HeavyBall) else 0
    steps = [Step("On a parabola of curvature lambda the optimizer is stable while eta lambda is below",
                  _equation("eta lambda", derive_stability_factor(beta)))]
    one = isinstance(model, OneParameter)
    edge = "eta_max" if one else "eta_crit"
    steps.append(Step("So the minimum is stable up to", _equation(edge, derive_edge_of_stability(model, loss, beta))))
    if isinstance(optimizer, HeavyBall):
        return steps
    if isinstance(model, OneParameter):
        divergence = derive_divergence_one(model.depth, loss)
        said = "Runs diverge from" if divergence is not None else "No edge of divergence: it is fractal (L >= 3), or there is none."
        steps.append(Step(said, None if divergence is None else _equation("eta_div", divergence)))
        return steps
    if isinstance(loss, MSE):
        before, _, rest = derive_invariant()
        steps += [
            Step("In p, q = u1 +- u2 the quantity", _equation("I", before)),
            Step("obeys I' = I (1 - a^2 Delta + a^2 Delta^2), a = eta/gamma: the difference of the two sides, expanded, is",
                 _equation("I' - I (1 - a^2 Delta + a^2 Delta^2)", rest)),
            Step("The factor is positive for a < 2, so the sign of I at the start, p = q = 1, decides: runs diverge from eta_div on, and "
                 "converge up to the smaller of eta_div and gamma, the edge of the flattest minimum."),
        ]
    if isinstance(loss, CrossEntropy):
        steps += _catapult()
    return steps


def _catapult() -> list[Step]:
    from toymodels.theory.catapult_edges import derive_balance_condition, derive_settling_edge, growth_balance_number

    condition, theta = derive_balance_condition()
    return [
        Step("Far out the loss is straight. A run that jumps to and fro there spends the fraction theta of its time at f < 0, such that "
             "|p| and |q| grow alike, a = eta/gamma,", _equation("theta", theta)),
        Step("and their growth is zero at a = c*, a root of", condition),
        Step(f"which is c* = {float(growth_balance_number()):.10f}; below it the kernel shrinks, until a minimum is stable."),
        Step("With kappa = eta K the kernel decays as d kappa/dt = -a^2 kappa <r^2>, which takes t = G/a^2 steps, "
             "G = log(eta/gamma^2)/h_l + C(rho); a run must have settled when the tail begins, t = 0.9 T.",
             _equation("eta_settle", derive_settling_edge().args[0][0])),
    ]


def _signsgd(model: Model) -> list[Step]:
    from toymodels.theory.signsgd import derive_eta_max, derive_eta_min, derive_step_condition

    s = letters()
    steps = [Step("SignSGD walks in equal steps; T of them reach f_1 if eta is at least", _equation("eta_min", derive_eta_min(model)))]
    if isinstance(model, OneParameter):
        return [*steps, Step("At the end it steps to and fro across the minimum, and is surely inside rho (f between 1 - d_1 and 1 + d_2) "
                             "if one step from the minimum is.", _equation("eta_max", derive_eta_max(model, symmetric=False)[0]))]
    return [*steps, Step("At the end it steps to and fro across the minimum; one step upwards from it ends at 1 + d_2 where this vanishes "
                         "(downwards, 1 - d_1: -d_1 for d_2):", _equation("0", derive_step_condition(s.d2, 1)))]


def _adam(model: Model) -> list[Step]:
    from toymodels.theory.adam import initial_slope

    s = letters()
    return [
        Step("As gamma -> 0 the output is linear in the parameter that moves it, f = c (w - 1)/gamma, with",
             _equation("c", initial_slope(model))),
        Step("Adam is indifferent to the gradient's scale, so that a run depends on eta and gamma through kappa = c eta/gamma alone: its "
             "lazy edges are proportional to gamma, and what is left of eta_min is a number, the least kappa that trains.",
             _equation("kappa", initial_slope(model) * s.eta / s.gamma)),
        Step("The other edges are those of the second moment's transient, 1/(1 - beta2) steps long: none is predicted."),
    ]


def _edges(model: Model, loss: Any, optimizer: Any) -> list[Step]:
    """Return for every edge its limits: the power laws of Table 1 and Appendix F."""
    import sympy

    steps = []
    for name, edge in predict(model, loss, optimizer).items():
        for regime in edge.regimes:
            law = edge.scaling(regime).law(letters().gamma)
            tail = "gamma -> 0" if regime == "lazy" else "gamma -> infinity"
            steps.append(Step(f"{name} for {tail}: the local exponent tends to {edge.exponent(regime)}"
                              + (", with a logarithm." if edge.logarithm(regime) else "."), _equation(name, law)))
    closing = solve_closing_point(model, loss) if optimizer.name == "sgd" else sympy.oo
    if closing.is_finite is not False:
        steps.append(Step("The two rich laws meet at the closing point of the triangle of trainability.",
                          _equation("closing_point", closing)))
    return steps
