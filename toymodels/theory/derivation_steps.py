"""Derive the edges of one model from its definition, step by step: sentences with the equations that sympy returned.

Sentences hold their formulas between dollar signs, as a page of the site needs them; `Step.text` is the same for a terminal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import AnyModel, Model, OneParameter, OwnModel, TwoParameter, as_model
from toymodels.optimizers import SGD, HeavyBall, Optimizer, SignSGD, as_optimizer
from toymodels.own.loss import Loss as OwnLoss
from toymodels.theory.catalogue import predict, solve_closing_point
from toymodels.theory.losses import TheoryLoss, as_formulas, as_theory_loss, derive_curvature_at_minimum, derive_slope, residual_at_start
from toymodels.theory.plain_text import as_plain
from toymodels.theory.printing import as_latex
from toymodels.theory.symbols import letters


@dataclass(frozen=True)
class Step:
    """One step of a derivation.

    Attributes
    ----------
    sentence : in words, formulas in LaTeX between dollar signs.
    equation : a sympy equation or expression; None where the sentence is complete.
    """

    sentence: str
    equation: Any = None

    def latex(self) -> str:
        """Return the step as MyST markdown: the sentence, and the equation on a line of its own."""
        return self.sentence if self.equation is None else f"{self.sentence}\n\n$${as_latex(self.equation)}$$"

    def text(self) -> str:
        """Return the sentence with its formulas as plain text."""
        return as_plain(self.sentence)


def format_steps(model: str, loss: str, optimizer: str) -> str:
    """Return a derivation as MyST markdown; `model` is "two", or the depth of the one-parameter model."""
    chosen = TwoParameter() if model == "two" else OneParameter(int(model))
    return "\n\n".join(step.latex() for step in derive_steps(chosen, loss, optimizer))


def derive_steps(model: AnyModel, loss: str | TheoryLoss | OwnLoss = "mse", optimizer: str | Optimizer = "sgd") -> list[Step]:
    """Return the steps from the definitions to the exponents of the edges.

    Parameters
    ----------
    model, loss, optimizer : as in `predict`.

    Raises
    ------
    Misuse : an unknown model, loss or optimizer.
    """
    model, optimizer = as_model(model), as_optimizer(optimizer)
    if isinstance(model, OwnModel) or not model.is_standard or isinstance(loss, OwnLoss):
        return _own(*as_formulas(model, loss), optimizer)
    loss = as_theory_loss(loss)
    steps = _landscape_one(model, loss) if isinstance(model, OneParameter) else _landscape_two(loss)
    if isinstance(optimizer, SignSGD):
        steps += _signsgd(model)
    elif isinstance(optimizer, SGD | HeavyBall):
        steps += _flow(model, loss, optimizer)
        steps += _stability(model, loss, optimizer)
    else:
        steps += _adam(model)
    return steps + _edges(model, loss, optimizer)


def _equation(left: Any, value: Any) -> Any:
    """Return ``left = value`` as an unevaluated sympy equation; `left` is an expression, or the name of a letter."""
    import sympy

    return sympy.Eq(sympy.Symbol(left) if isinstance(left, str) else left, value, evaluate=False)


def _loss_steps(loss: Any) -> list[Step]:
    s = letters()
    weights = r", with $p_1 = 1/(1 + e^{-1})$ and $p_0 = 1 - p_1$" if isinstance(loss, CrossEntropy) else ""
    return [
        Step(f"The loss, as a function of the output $f$, is least at $f = 1${weights}.", _equation("l", loss.expression(s.f))),
        Step("Its curvature at the minimum:", _equation("h_l", derive_curvature_at_minimum(loss))),
        Step(r"The residual $r = -\ell'(f)$ at the start, $f = 0$:", _equation("r_0", residual_at_start(loss))),
    ]


def _landscape_one(model: OneParameter, loss: Any) -> list[Step]:
    from toymodels.theory.landscape import derive_hessian, derive_minimum, derive_sharpness_one, output_one

    s, depth = letters(), model.depth
    parts = derive_hessian(depth)
    return [
        Step("The model: one weight $w$, which starts at 1.", _equation("f", output_one(depth, s.w, s.gamma))),
        *_loss_steps(loss),
        Step("The minimum solves $f(w) = 1$ (eq. 5).", _equation("w_*", derive_minimum(depth))),
        Step(r"The Gauss-Newton part of the Hessian, $\ell''(f) f'^2$:", _equation("H_GN", parts.gauss_newton)),
        Step(r"The residual part, $\ell'(f) f''$, vanishes at the minimum with $\ell'(1) = 0$.", _equation("H_res", parts.residual)),
        Step(r"So the sharpness at the minimum is $h_\ell$ times the kernel there (eq. 6, at every $\gamma$).",
             _equation("lambda", derive_sharpness_one(depth, loss))),
    ]


def _landscape_two(loss: Any) -> list[Step]:
    from toymodels.theory.landscape import derive_flattest_minimum, derive_kernel_two, derive_sharpness_two

    s, model = letters(), TwoParameter()
    return [
        Step("The model: $u_1$ and $u_2$, which start at 1 and 0.", _equation("f", model.output(s.u1, s.u2, s.gamma))),
        *_loss_steps(loss),
        Step("The kernel (eq. 21):", _equation("K", model.kernel(s.u1, s.u2, s.gamma))),
        Step("Gradient flow conserves $u_1^2 - u_2^2 = 1$, so that along its path the kernel is a function of $f$.",
             _equation("K", derive_kernel_two(s.f))),
        Step(r"At a minimum, the Jacobian of the update has the eigenvalue $1 - \eta h_\ell K$. So the sharpness of the minimum that "
             "gradient flow reaches is", _equation("lambda", derive_sharpness_two(loss))),
        Step("The flattest of all minima is at $u_1 = u_2$. Its sharpness is", _equation("lambda_min", derive_flattest_minimum(loss)[1])),
    ]


def _flow(model: Model, loss: Any, optimizer: Optimizer) -> list[Step]:
    import sympy

    from toymodels.theory.flow import derive_collapse, derive_escape, derive_silent_period, derive_time_integral, derive_time_limits

    s = letters()
    lazy, rich = derive_time_limits(model, loss)
    constant = r"; $S_0$ is the integral of $1/r$ from 0 to $f_1$"
    steps = [
        Step(r"Gradient flow moves the output by $\dot f = \eta K(f) r(f)$. Let $f_1$ be the output at which the excess loss has fallen to "
             r"$\rho$. The time to reach it, times $\eta$, is", _equation("S", derive_time_integral(model))),
        Step("with the residual", _equation("r", sympy.simplify(-derive_slope(loss, s.f)))),
        Step(f"Lazy: the kernel stays what it is at the start{'' if isinstance(loss, MSE) else constant}.", _equation("S", lazy.eta)),
        Step(r"Rich: most of the time passes at $f$ of order $1/\gamma$, where the residual is still $r_0$.", _equation("S", rich.eta)),
    ]
    if isinstance(model, OneParameter) and model.depth >= 2:
        steps += [
            Step(r"There the weight escapes as (eq. 8, corrected; $a = \eta/\gamma$)", _equation("w", derive_escape(model.depth))),
            Step(r"after a silent period of $\tau = \eta t/\gamma$ equal to", _equation("tau", derive_silent_period(model.depth))),
            Step(r"Early rich trajectories collapse onto one curve in $\tau$: $\gamma$ drops out of",
                 _equation("dw/dtau", derive_collapse(model.depth, loss))),
        ]
    if not isinstance(optimizer, HeavyBall):
        return [*steps, Step(r"$T$ steps suffice at rates of at least $\eta_\mathrm{min} = S/T$.")]
    return [*steps, *_momentum(model, loss)]


def _momentum(model: Model, loss: Any) -> list[Step]:
    """Return the steps from gradient flow's time to heavy ball's eta_min."""
    import sympy

    from toymodels.theory.heavy_ball import derive_lag, derive_stretch

    s = letters()
    x = sympy.Function("Delta")
    recursion = _equation(x(s.t + 1), x(s.t) + s.beta * (x(s.t) - x(s.t - 1)) - sympy.Symbol("kappa") * sympy.Function("r")(1 - x(s.t)))
    return [
        Step(r"Heavy ball, lazy: $\Delta = 1 - f$ starts at 1 with $m = 0$, and with $\kappa = \eta K$ obeys", recursion),
        Step(r"Until $\Delta$ first vanishes each step is towards the minimum. So the least rate that trains is the $\kappa(T, \rho)$ at "
             r"which $f$ reaches $f_1$ in step $T$: $\eta_\mathrm{min} = \kappa/K$, exactly, at every $T$. It is solved by running the "
             "recursion; with squared error this is a power of a matrix."),
        Step(r"Beyond the lazy limit $\eta_\mathrm{min}$ grows as $S$. To first order in $1/(T (1 - \beta))$, momentum also runs ahead "
             "while the gradient falls, and lags behind while it grows, which multiplies the rate by", derive_stretch(model, loss)[0]),
        Step(r"It is predicted where the lag is below $T/10$. The lag is $(1 + \beta)/(2 (1 - \beta))$ times",
             _equation("Q", derive_lag(model))),
    ]


def _stability(model: Model, loss: Any, optimizer: Optimizer) -> list[Step]:
    import sympy

    from toymodels.theory.stability import derive_divergence_one, derive_edge_of_stability, derive_stability_factor

    s = letters()
    beta = s.beta if isinstance(optimizer, HeavyBall) else 0
    one = isinstance(model, OneParameter)
    steps = [
        Step(r"On a parabola of curvature $\lambda$ the optimizer loses stability at",
             _equation(s.eta * sympy.Symbol("lambda"), derive_stability_factor(beta))),
        Step("So the minimum is stable up to", _equation("eta_max" if one else "eta" if beta else "eta_crit",
                                                         derive_edge_of_stability(model, loss, beta))),
    ]
    if isinstance(optimizer, HeavyBall):
        return steps if one else [*steps, *_overshoot(loss, float(optimizer.beta))]
    if isinstance(model, OneParameter):
        divergence = derive_divergence_one(model.depth, loss)
        if divergence is None:
            return [*steps, Step(r"The edge of divergence has no closed form: it is fractal ($L > 2$), or does not exist.")]
        return [*steps, Step("Runs diverge from", _equation("eta_div", divergence))]
    if isinstance(loss, MSE):
        steps += _invariant()
    if isinstance(loss, CrossEntropy):
        steps += _catapult()
    return steps


def _overshoot(loss: Any, beta: float) -> list[Step]:
    """Return the step on heavy ball's transient overshoot with two parameters."""
    from toymodels.theory.heavy_ball import solve_overshoot_rate

    if not isinstance(loss, MSE):
        return [Step("Before that, the transient overshoot lowers the kernel of some runs: no edge is predicted.")]
    return [Step(r"Before that, the transient overshoot of the lazy recursion exceeds its start, $|\Delta| > 1$, and with it the loss. "
                 rf"There the catapult-free rates end: $\eta_\mathrm{{crit}} K = {solve_overshoot_rate(beta):.6g}$ where $\gamma$ is "
                 "small.")]


def _invariant() -> list[Step]:
    """Return the steps from the invariant of the two-parameter MSE map to eta_div and eta_max."""
    import sympy

    from toymodels.theory import ellipse
    from toymodels.theory.landscape import derive_flattest_minimum

    s = letters()
    before, after, flattest = sympy.Symbol("I"), sympy.Symbol("I'"), derive_flattest_minimum(MSE())[1]
    p, q = ellipse.step_in_letters()
    divergence, start = ellipse.derive_divergence_two(), ellipse.derive_invariant_at_start()      # with the identities checked
    return [
        Step(r"Let $p = u_1 + u_2$, $q = u_1 - u_2$ and $a = \eta/\gamma$. With $\Delta = 1 - f$, which is",
             _equation(s.Delta, ellipse.residual_in_letters())),
        Step("a step of SGD takes $p$ to", _equation("p'", p)),
        Step("and $q$ to", _equation("q'", q)),
        Step("The quantity", _equation(before, ellipse.invariant_in_letters())),
        Step("is multiplied by the same step by a factor without $p$ and $q$: put the step into $I$ and expand.",
             _equation(after, before * ellipse.factor_in_letters())),
        Step(r"The factor is positive for $a < 2$, so $I$ keeps its sign. Without $\Delta$, the quantity is a quadratic form. So where it "
             "is negative, $(p, q)$ lies inside an ellipse, and the run stays there.", _equation(before, ellipse.ellipse_in_letters())),
        Step(r"Outside, runs diverge. The factor of $I$ is the mean of the factors of $p^2$ and $q^2$, with the weights $(2 - a)/4$ and "
             r"$(2 + a)/4$.", _equation(after, before * ellipse.mean_in_letters())),
        Step("A mean is at least the geometric mean, so that the following quantity never falls, and stays the same only where "
             r"$\Delta = 0$.",
             _equation("W", sympy.Abs(before) * sympy.Abs(s.p) ** (s.a / 2 - 1) * sympy.Abs(s.q) ** (-s.a / 2 - 1))),
        Step(r"A bounded run with $I > 0$ would therefore tend to minima, $\Delta = 0$, or to $p q = 0$. The minima have "
             r"$\eta K = 4 + 2 I > 4$ and repel it; at $p q = 0$ only two fixed points are bounded, near which $p$ or $q$ is "
             r"multiplied by $\pm 3$. So no run is bounded, except one that lands exactly on a minimum. "
             "This proves divergence for $a < 2$; for larger $a$ it is observed in every simulation."),
        Step(r"At the start, $p = q = \Delta = 1$:", _equation(before, start)),
        Step("This is zero at", _equation("eta_div", divergence)),
        Step(r"which lies at $a < 2$ for every $\gamma$. Bounded runs have $I < 0$, and for $a < 1$ they tend to minima with "
             r"$\eta K \leq 2$ by the same argument. Such minima exist for $\eta \lambda_\mathrm{min} < 2$, which is",
             sympy.Lt(s.eta, 2 / flattest)),
        Step(r"Runs converge up to the smaller of the two. It is $\eta_\mathrm{div}$ for $\gamma \leq 2/3$.",
             _equation("eta_max", sympy.Min(divergence, 2 / flattest))),
    ]


def _catapult() -> list[Step]:
    from toymodels.theory.catapult_edges import derive_balance_condition, derive_settling_edge, growth_balance_number

    condition, theta = derive_balance_condition()
    return [
        Step(r"Far from its minimum the loss is straight. A run that jumps between the two straight sides spends a fraction $\theta$ of "
             r"its time at $f < 0$, such that $p = u_1 + u_2$ and $q = u_1 - u_2$ grow alike; with $a = \eta/\gamma$,",
             _equation("theta", theta)),
        Step("Their common growth is zero at $a = c^*$, a root of", condition),
        Step(f"which is $c^* = {float(growth_balance_number()):.10f}$. Below it the kernel shrinks until a minimum is stable."),
        Step(r"The product $\kappa = \eta K$ decays as $d\kappa/dt = -a^2 \kappa \langle r^2 \rangle$. This takes $t = G/a^2$ steps, where "
             r"$G = \log(\eta/\gamma^2)/h_\ell + C(\rho)$. A run must have settled when the tail begins, at $t = 9T/10$:",
             _equation("eta_settle", derive_settling_edge().args[0][0])),
    ]


def _signsgd(model: Model) -> list[Step]:
    from toymodels.theory.signsgd import derive_eta_max, derive_eta_min, derive_step_condition

    s = letters()
    steps = [Step(r"SignSGD moves each parameter by $\eta$ a step. $T$ steps reach $f_1$ if $\eta$ is at least",
                  _equation("eta_min", derive_eta_min(model)))]
    if isinstance(model, OneParameter):
        return [*steps, Step(r"At the end it steps to and fro across the minimum. The excess stays below $\rho$, and $f$ between $1 - d_1$ "
                             r"and $1 + d_2$, if one step from the minimum does.",
                             _equation("eta_max", derive_eta_max(model, symmetric=False)[0]))]
    return [*steps, Step("At the end it steps to and fro across the minimum. One step upwards from it ends at $1 + d_2$ if this vanishes "
                         "(for one step downwards, to $1 - d_1$, put $-d_1$ for $d_2$):", _equation(derive_step_condition(s.d2, 1), 0))]


def _adam(model: Model) -> list[Step]:
    from toymodels.theory.linear_problem import initial_slope

    s = letters()
    return [
        Step(r"As $\gamma \to 0$ the output is linear in the parameter that moves it, $f = c (w - 1)/\gamma$, with",
             _equation("c", initial_slope(model))),
        Step("Adam is invariant to the scale of the gradient, so a run depends on the rate and the richness through one number alone. Its "
             r"lazy edges are proportional to $\gamma$, and $\eta_\mathrm{min}$ follows from the least such number that trains.",
             _equation("kappa", initial_slope(model) * s.eta / s.gamma)),
        Step(r"The other edges depend on the transient of the second moment, $1/(1 - \beta_2)$ steps long: none is predicted."),
    ]


def _own(model: OwnModel, loss: OwnLoss, optimizer: Optimizer) -> list[Step]:
    """Return the steps of a model of one's own: time of gradient flow, stability, exponents."""
    import sympy

    from toymodels.own.differences import differentiate
    from toymodels.own.expressions import make_symbol
    from toymodels.theory.own_edges import explain_absence, predict_own

    s, f = letters(), loss.f
    start = dict(model.start)
    kernel = sympy.Add(*(sympy.diff(model.output, x) ** 2 for x in start))
    begin = ", ".join(f"${sympy.latex(x)} = {sympy.latex(v)}$" for x, v in start.items())
    factor = "2" if optimizer.name != "momentum" else r"2 (1 + \beta)"
    steps = [
        Step(f"The model starts at {begin}. An update is $\\theta_k \\to \\theta_k - \\eta \\ell'(f) \\partial f/\\partial \\theta_k$.",
             _equation("f", model.output)),
        Step(f"The loss, at $y = {model.target:g}$.", _equation("l", loss.formula)),
        Step("Its slope, which moves the parameters.", _equation("l'(f)", differentiate(loss.formula, f))),
        Step("The kernel is the square of the gradient; at the start it is", _equation("K", sympy.simplify(kernel.xreplace(start)))),
        Step(r"Gradient flow moves along the gradient, $d\theta/df = \nabla f/K$, whatever the loss. The time to the output $f_1$ at which "
             r"the excess loss has fallen to $\rho$, times $\eta$, is an integral over this path, and $\eta_\mathrm{min} = S/T$.",
             _equation("S", sympy.Integral(-1 / (sympy.Function("K")(f) * sympy.Function("l'")(f)), (f, make_symbol("f_0"), s.f1)))),
        Step(rf"The minimum that it reaches is stable up to ${factor}/(\ell''(f_*) K_*)$, with $K_*$ the kernel there."),
    ]
    for name, edge in predict_own(model, loss, optimizer).items():
        for regime in edge.regimes:
            limit = r"\gamma \to 0" if regime == "lazy" else r"\gamma \to \infty"
            kind = "by sympy" if edge.law(regime).error == 0 else "measured on the curve"
            steps.append(Step(rf"$\eta_\mathrm{{{name.partition('_')[2]}}}$ for ${limit}$: the local exponent tends to {edge.law(regime)} "
                              f"({kind}); the prefactor at $T = 1000$, $\\rho = 0.01$ is {edge.prefactor(regime):.6g}."))
    return steps + [Step(reason) for reason in explain_absence(model, loss, optimizer)]


def _edges(model: Model, loss: Any, optimizer: Optimizer) -> list[Step]:
    """Return for every edge its limits: the power laws of Table 1 and Appendix F."""
    import sympy

    steps = []
    for name, edge in predict(model, loss, optimizer).items():
        symbol = rf"\eta_\mathrm{{{name.partition('_')[2]}}}"
        for regime in edge.regimes:
            limit = r"\gamma \to 0" if regime == "lazy" else r"\gamma \to \infty"
            steps.append(Step(f"${symbol}$ for ${limit}$: the local exponent tends to {edge.exponent(regime)}"
                              + (", with a logarithm." if edge.logarithm(regime) else "."), _equation(name, edge.law(regime))))
    closing = solve_closing_point(model, loss, numbers=False) if optimizer.name == "sgd" else sympy.oo
    if closing.is_finite is not False:
        steps.append(Step("The two rich laws meet, and the triangle of trainability closes, at", _equation("gamma_close", closing)))
    return steps
