"""List the predicted edges of a model, a loss and an optimizer, each as a formula in sympy and as a function of numbers.

An edge for which there is no theory is absent; where a formula does not hold, its value is NaN.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from toymodels.losses import MSE, CrossEntropy, as_loss
from toymodels.models import AnyModel, Model, OneParameter, OwnModel, TwoParameter, as_model
from toymodels.modes import Modes
from toymodels.optimizers import SGD, Adam, HeavyBall, Optimizer, SignSGD, as_optimizer, describe
from toymodels.own.loss import Loss as OwnLoss
from toymodels.schedules import CONSTANT, Constant, Schedule, as_schedule, total_factor
from toymodels.theory import adam, catapult_edges, curves, heavy_ball
from toymodels.theory.asymptotics import Branch, explicit_branch, solve_crossing
from toymodels.theory.edge import Closing, Curve, Edge
from toymodels.theory.linear_problem import LAZY_END
from toymodels.theory.losses import TheoryLoss, as_formulas, as_theory_loss, solve_target_outputs
from toymodels.theory.mode_edges import predict_modes
from toymodels.theory.moved_edges import predict_from_start
from toymodels.theory.own_edges import predict_own
from toymodels.theory.symbols import letters
from validation.arguments import between, whole

if TYPE_CHECKING:
    import sympy


def predict(model: AnyModel | Modes, loss: str | TheoryLoss | OwnLoss = "mse", optimizer: str | Optimizer = "sgd",
            schedule: str | Schedule | Sequence[float] = "constant", noise: float = 0.0,
            batch: int | None = None) -> Any:
    """Return the edges that the theory predicts, by their names.

    Parameters
    ----------
    model : OneParameter(depth), TwoParameter(), one's own, Model(output, start), or Modes(depth, strengths, curvatures).
    loss : "mse", "cross_entropy", one's own, Loss(expression, f, y), or anything hashable with a ``name`` and an ``expression(f)`` whose
        minimum is at f = 1.
    optimizer : "sgd", "signsgd", "momentum", "adam", or the package's own dataclass with its numbers.
    schedule : "constant", "warmup_cosine", one of `toymodels.schedules`, or an array of factors; with any but the first, eta_min alone is
        predicted: T is then the sum of the factors.
    noise, batch : label noise and batch size, as of `ToyExperiment`; eta_max is then where the mean excess of a long run is rho, or where
        almost every run ceases to converge.

    Returns
    -------
    A dict from "eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div" (those that exist, in this order) to `Edge`; with a model
    or a loss of one's own to `OwnEdge`, which has numbers in place of formulas.

    Raises
    ------
    Misuse : an unknown model, loss, optimizer or schedule.
    """
    optimizer, schedule = as_optimizer(optimizer), as_schedule(schedule)
    if isinstance(model, Modes):
        return predict_modes(model, loss, optimizer, schedule, noise, batch)
    model = as_model(model)
    if noise or batch is not None:
        from toymodels.theory.noise_edges import adapt_edges

        noise, batch = between("noise", noise, 0, np.inf) if noise else 0.0, None if batch is None else whole("batch", batch)
        plain = loss if isinstance(loss, OwnLoss) else as_theory_loss(loss)      # type: ignore[arg-type]
        return adapt_edges(predict(model, loss, optimizer, schedule), model, plain, optimizer, noise, batch)
    if not isinstance(model, OwnModel) and not model.is_standard:
        return predict_from_start(model, as_loss(loss), optimizer, schedule)      # type: ignore[arg-type]
    if isinstance(model, OwnModel) or isinstance(loss, OwnLoss):
        return predict_own(*as_formulas(model, loss), optimizer, schedule)
    loss = as_theory_loss(loss)
    constant = isinstance(schedule, Constant)
    if isinstance(optimizer, SignSGD):
        edges = _signsgd(model, loss) if constant else [_sign_minimum_edge(model, loss, schedule)]
    elif isinstance(optimizer, SGD):
        edges = _sgd(model, loss) if constant else [_minimum_edge(model, loss, schedule)]
    elif isinstance(optimizer, HeavyBall):
        beta = float(optimizer.beta)
        edges = _heavy_ball(model, loss, beta) if constant else [_scheduled_momentum_edge(model, loss, beta, schedule)]
    else:
        edges = [Edge("eta_min", "the linear problem", "Adam's invariance to the scale of the gradient",
                      partial(adam.eta_min, model=model, loss=loss, optimizer=optimizer, schedule=schedule),
                      partial(_adam, model, loss, optimizer, schedule), ("lazy",),
                      "predicted only for gamma <= 0.005; the other edges depend on the transient of the second moment")]
    order = ("eta_min", "eta_crit", "eta_settle", "eta_max", "eta_div")
    cache_key, depth = "", model.depth if isinstance(model, OneParameter) else 2
    if isinstance(loss, MSE | CrossEntropy):      # a loss of one's own may change under the same name
        # a schedule changes no exponent, since T does not
        cache_key = json.dumps([model.describe(), loss.name, describe(optimizer)], sort_keys=True)
    return {edge.name: replace(edge, cache_key=cache_key, depth=depth) for edge in sorted(edges, key=lambda e: order.index(e.name))}


def solve_closing_point(model: Model, loss: str | TheoryLoss, numbers: bool = True) -> sympy.Expr:
    """Return the gamma at which SGD's triangle of trainability closes, as sympy in T: eta_min's rich law meets eta_max's.

    ``(2 T (L - 2) r0/(L h_l))**(L/(L - 2))`` for one parameter and L >= 3 (``r0 = -l'(0)``; 1 for MSE); infinity otherwise.

    Parameters
    ----------
    model, loss : as in `predict`.
    numbers : whether r0 and h_l are numbers of the loss; if not, they stay letters.
    """
    import sympy

    edges: dict[str, Edge] = predict(model, loss)      # type: ignore[assignment]
    if not all(name in edges and "rich" in edges[name].regimes for name in ("eta_min", "eta_max")):
        return sympy.oo
    values = edges["eta_min"].curve.values | edges["eta_max"].curve.values if numbers else {}
    return solve_crossing(edges["eta_min"].scaling("rich"), edges["eta_max"].scaling("rich")).subs(values)


def _closing(model: Model, loss: Any, schedule: Schedule = CONSTANT) -> Closing | None:
    """Return the closing point of the triangle of trainability, None where it does not close."""
    if not isinstance(model, OneParameter) or model.depth < 3:
        return None
    return Closing(partial(curves.closing_point_one, depth=model.depth, loss=loss, schedule=schedule),
                   partial(_derive_closing, model, loss, schedule))


def _derive_closing(model: Model, loss: Any, schedule: Schedule) -> Any:
    return solve_closing_point(model, loss).subs(letters().T, _total(schedule))


@cache
def _total(schedule: Schedule) -> Any:
    """Return T as sympy, or the sum of a schedule's factors as a function of it."""
    from toymodels.theory.symbols import make_step_function

    s = letters()
    return s.T if isinstance(schedule, Constant) else make_step_function("N", "N", partial(total_factor, schedule))(s.T)


def _both(*branches: Branch) -> dict[str, list[Branch]]:
    """Return the same branches in both regimes."""
    return {"lazy": list(branches), "rich": list(branches)}


def _targets(loss: Any) -> dict[Any, Any]:
    """Return the values of the letters f1, f2, d1 = 1 - f1 and d2 = f2 - 1, functions of rho."""
    s = letters()
    f1, f2 = solve_target_outputs(loss)
    return {s.f1: f1, s.f2: f2, s.d1: 1 - f1, s.d2: f2 - 1}


def _numbers(loss: Any) -> dict[Any, Any]:
    """Return the value of the letter h = l''(1)."""
    from toymodels.theory.losses import derive_curvature_at_minimum

    return {letters().h: derive_curvature_at_minimum(loss)}


@cache
def _flow(model: Model, loss: Any, schedule: Schedule = CONSTANT) -> Curve:
    """Return eta_min = S/T in sympy."""
    from toymodels.theory.flow import derive_time, derive_time_integral

    rate = 1 / _total(schedule)
    branches, values = _flow_limits(model, loss, rate)
    return Curve(rate * derive_time(model, loss), branches, values, None if isinstance(loss, MSE) else rate * derive_time_integral(model))


def _flow_limits(model: Model, loss: Any, rate: Any) -> tuple[dict[str, list[Branch]], dict[Any, Any]]:
    """Return the branches of ``rate S`` by regime, and the values of their letters."""
    from toymodels.theory.flow import derive_linear_time, derive_time_limits
    from toymodels.theory.losses import residual_at_start

    s, values = letters(), _targets(loss)
    lazy, rich = (Branch(x.parameter, x.gamma, rate * x.eta, x.lazy, x.rich) for x in derive_time_limits(model, loss))
    if not isinstance(loss, MSE):
        values |= {s.r0: residual_at_start(loss), s.S0: derive_linear_time(loss).subs(values)}
    return {"lazy": [lazy], "rich": [rich]}, values


@cache
def _flow_with_momentum(model: Model, loss: Any, beta: float) -> Curve:
    """Return heavy ball's eta_min in sympy; its rich limit is that of T (1 - beta) -> infinity, where no lag is left."""
    import sympy

    from toymodels.theory.flow import derive_linear_time, derive_time, derive_time_integral

    s = letters()
    linear = derive_linear_time(loss) if isinstance(loss, MSE) else s.S0
    rate = heavy_ball.derive_least_rate(loss, beta) / linear
    branches, values = _flow_limits(model, loss, rate)
    stretch, lag = heavy_ball.derive_stretch(model, loss)
    inside = sympy.Or(lag <= s.T * sympy.nsimplify(heavy_ball.LAG), s.gamma <= sympy.nsimplify(LAZY_END))
    whole = sympy.Piecewise((rate * derive_time(model, loss) * stretch, inside), (sympy.nan, True))
    time = derive_time(model, loss) if isinstance(loss, MSE) else derive_time_integral(model)
    return Curve(whole, branches, values | _momentum(beta), rate * time * stretch)


@cache
def _formula(eta: Any, *args: Any) -> Curve:
    """Return the curve of the explicit expression in gamma that a function returns, for both regimes."""
    expression = eta(*args)
    return Curve(expression, _both(explicit_branch(expression)))


@cache
def _stability(model: Model, loss: Any, beta: float = 0.0) -> Curve:
    """Return ``2 (1 + beta)/(h_l K)`` in sympy."""
    from toymodels.theory.stability import derive_edge_of_stability

    expression = derive_edge_of_stability(model, loss, letters().beta if beta else 0)
    return Curve(expression, _both(explicit_branch(expression)), _numbers(loss) | _momentum(beta))


def _momentum(beta: float) -> dict[Any, Any]:
    """Return the value of the letter beta."""
    import sympy

    return {letters().beta: sympy.nsimplify(beta)}


def _below(inner: Any, limit: float, momentum: bool = False) -> Curve:
    """Return a curve cut to gamma < limit, or to gamma < limit (1 - beta)."""
    import sympy

    s = letters()
    curve, end = inner(), sympy.nsimplify(limit)
    if momentum:
        end = sympy.Mul(end, 1 - s.beta, evaluate=False)      # not multiplied out, for a reader
    cut = sympy.Piecewise((curve.expression, s.gamma < end), (sympy.nan, True))
    return Curve(cut, {"lazy": curve.branches["lazy"]}, curve.values)


def _minimum_edge(model: Model, loss: Any, schedule: Schedule = CONSTANT) -> Edge:
    return Edge("eta_min", "gradient flow, $S/T$" if isinstance(schedule, Constant) else r"gradient flow, $S/\sum_t c_t$",
                "section 4.1, uniformly in gamma", partial(curves.flow_edge, model=model, loss=loss, schedule=schedule),
                partial(_flow, model, loss, schedule), limits=_explain_sum(schedule),
                holds=(100, 1.0),      # gradient flow needs small steps, not a small rho
                closing=_closing(model, loss, schedule))


def _explain_sum(schedule: Schedule) -> str:
    """Return what N is in the formula of an edge under a schedule."""
    return "" if isinstance(schedule, Constant) else "N(T) is the sum of the schedule's factors; the rate is the one at a factor of 1"


def _sgd(model: Model, loss: Any) -> list[Edge]:
    return _sgd_one(model, loss) if isinstance(model, OneParameter) else _sgd_two(model, loss)


def _sgd_one(model: OneParameter, loss: Any) -> list[Edge]:
    """Return the edges of the one-parameter model: no catapults, so no eta_crit (the edge of stability is eta_max)."""
    from toymodels.theory.stability import derive_divergence_one

    edges = [
        _minimum_edge(model, loss),
        Edge("eta_max", r"stability, $2/\ell''(w_*)$", "eq. 7, with its prefactor",
             partial(curves.stability_edge_one, depth=model.depth, loss=loss), partial(_stability, model, loss),
             closing=_closing(model, loss)),
    ]
    derive = partial(_formula, derive_divergence_one, model.depth, loss)
    if isinstance(loss, MSE) and model.depth <= 2:
        # L = 1: where stability is lost; L = 2: at twice that
        edges.append(Edge("eta_div", "divergence", "exact", partial(curves.stability_edge_one, depth=model.depth, loss=loss,
                                                                     factor=2.0 * model.depth), derive))
    elif model.depth == 2 and _straight(loss):
        edges.append(Edge("eta_div", r"divergence, $\gamma/\ell'(\infty)$", "footnote 5, with its prefactor",
                          partial(curves.straight_divergence_edge, loss=loss), partial(_below, derive, 1.0), ("lazy",),
                          "predicted only for gamma < 1: beyond, a run need not reach the straight part of the loss"))
    return edges


def _straight(loss: Any) -> bool:
    """Return whether the loss is straight far above f = 1."""
    if isinstance(loss, MSE | CrossEntropy):
        return isinstance(loss, CrossEntropy)
    from toymodels.theory.losses import numeric_tail

    return bool(np.isfinite(numeric_tail(loss)))


def _signsgd(model: Model, loss: Any) -> list[Edge]:
    """Return SignSGD's edges; it never diverges."""
    return [
        _sign_minimum_edge(model, loss),
        Edge("eta_max", "the overshoot of one step", "Appendix F, with prefactor",
             partial(curves.signsgd_eta_max, model=model, loss=loss), partial(_sign_overshoot, model, loss),
             limits="a lower bound: below it every run ends inside rho, above it only runs in periodic windows of eta do"
                    + ("" if isinstance(model, OneParameter) else "; d is d2 or -d1, whichever gives the smaller eta"), bound=True),
    ]


def _sign_minimum_edge(model: Model, loss: Any, schedule: Schedule = CONSTANT) -> Edge:
    return Edge("eta_min", "the distance in $T$ steps", "Appendix F, with prefactor",
                partial(curves.signsgd_eta_min, model=model, loss=loss, schedule=schedule), partial(_sign_walk, model, loss, schedule),
                limits=_explain_sum(schedule))


@cache
def _sign_walk(model: Model, loss: Any, schedule: Schedule) -> Curve:
    from toymodels.theory.signsgd import derive_eta_min

    expression = derive_eta_min(model, _total(schedule), _first_factor(schedule))
    return Curve(expression, _both(explicit_branch(expression)), _targets(loss))


@cache
def _first_factor(schedule: Schedule) -> Any:
    """Return the factor of the first step as sympy."""
    from toymodels.theory.symbols import make_step_function

    if isinstance(schedule, Constant):
        return 1
    return make_step_function("c_0", "c_0", partial(_evaluate_first_factor, schedule))(letters().T)


def _evaluate_first_factor(schedule: Schedule, steps: int) -> float:
    return float(schedule.factors(steps)[0])


@cache
def _sign_overshoot(model: Model, loss: Any) -> Curve:
    from toymodels.theory.signsgd import derive_eta_max, derive_step_equation

    expression, branches = derive_eta_max(model, symmetric=isinstance(loss, MSE))
    formula = None if isinstance(model, OneParameter) else derive_step_equation()
    return Curve(expression, _both(*branches), _targets(loss), formula)


def _sgd_two(model: TwoParameter, loss: Any) -> list[Edge]:
    """Return the edges of the two-parameter model."""
    from toymodels.theory.ellipse import derive_divergence_two

    edges = [
        _minimum_edge(model, loss),
        Edge("eta_crit", r"stability of gradient flow's minimum, $2/(h_\ell K_*)$", "section 4.1 and Appendix D",
             partial(curves.stability_edge_two, loss=loss), partial(_stability, model, loss),
             limits="of gradient flow's minimum; between gamma = 0.03 and 30 catapults set in at higher eta, 41% higher at 1",
             unjudged=(0.03, 30.0)),
    ]
    if isinstance(loss, MSE):
        edges += [
            Edge("eta_max", r"$\min(\eta_\mathrm{div}, \gamma)$", "Appendix D, uniformly in gamma",
                 curves.convergence_edge_two, _convergence_two),
            Edge("eta_div", r"$\sqrt{1 + 4\gamma^2} - 1$", "exact, by the invariant", curves.divergence_edge_two,
                 partial(_formula, derive_divergence_two)),
        ]
    if isinstance(loss, CrossEntropy):
        edges += [
            Edge("eta_settle", r"settling, $t = (\gamma/\eta)^2 G$", "Appendix D.2, derived here", catapult_edges.settling_edge, _settling,
                 ("lazy",), "predicted only between 20 gamma^2 and the end of the catapults; elsewhere there is no such edge"),
            Edge("eta_max", r"$c^*\gamma$ (lazy), $\gamma/h_\ell$ (rich)", "Appendix D.2, derived here", catapult_edges.upper_edge,
                 _catapult_end, limits="not predicted between gamma = 0.02 and 0.3, where the prefactor jumps from 2.2 to 4.8"),
        ]
    return edges


def _adam(model: Model, loss: Any, optimizer: Adam, schedule: Schedule = CONSTANT) -> Curve:
    """Return Adam's lazy eta_min, ``kappa(T, rho) gamma/c``."""
    return _only_lazy(adam.derive_eta_min(model, loss, optimizer, schedule))


@cache
def _scheduled_momentum(model: Model, loss: Any, beta: float, schedule: Schedule) -> Curve:
    """Return heavy ball's lazy eta_min under a schedule, ``kappa(T, rho)/K(0)``."""
    from toymodels.theory.flow import derive_kernel_along_flow

    return _only_lazy(heavy_ball.derive_least_rate(loss, beta, schedule) / derive_kernel_along_flow(model, 0))


@cache
def _overshoot(beta: float) -> Curve:
    """Return heavy ball's lazy eta_crit of two parameters with MSE, ``kappa gamma**2/2``."""
    import sympy

    kappa = sympy.Symbol("kappa", positive=True)
    curve = _only_lazy(kappa * letters().gamma ** 2 / 2)
    return replace(curve, values={kappa: sympy.Float(heavy_ball.solve_overshoot_rate(beta))}, formula=kappa * letters().gamma ** 2 / 2)


def _only_lazy(eta: Any) -> Curve:
    """Return the curve of an expression in gamma, cut to the lazy regime."""
    import sympy

    gamma = letters().gamma
    whole = sympy.Piecewise((eta, gamma <= sympy.nsimplify(LAZY_END)), (sympy.nan, True))
    return Curve(whole, {"lazy": [explicit_branch(eta)]})


@cache
def _settling() -> Curve:
    edge = catapult_edges.derive_settling_edge()
    return Curve(edge, {"lazy": [catapult_edges.derive_settling_branch()]}, _numbers(CrossEntropy()), edge.args[0][0])


@cache
def _catapult_end() -> Curve:
    """Return c* gamma where lazy, gamma/h_l where rich (beyond it even the flattest minimum is unstable), NaN between."""
    import sympy

    from toymodels.theory.landscape import derive_flattest_minimum

    gamma = letters().gamma
    lazy, rich = catapult_edges.growth_balance_number() * gamma, sympy.simplify(2 / derive_flattest_minimum(CrossEntropy())[1])
    low, high = sympy.nsimplify(catapult_edges.LAZY_END), sympy.nsimplify(catapult_edges.RICH_START)
    whole = sympy.Piecewise((lazy, gamma <= low), (rich, gamma >= high), (sympy.nan, True))
    return Curve(whole, {"lazy": [explicit_branch(lazy)], "rich": [explicit_branch(rich)]}, _numbers(CrossEntropy()))


@cache
def _convergence_two() -> Curve:
    """Return ``min(eta_div, gamma)``: beyond gamma even the flattest minimum is unstable."""
    import sympy

    from toymodels.theory.ellipse import derive_divergence_two
    from toymodels.theory.landscape import derive_flattest_minimum

    parts = [derive_divergence_two(), 2 / derive_flattest_minimum(MSE())[1]]
    return Curve(sympy.Min(*parts), _both(*map(explicit_branch, parts)))


def _scheduled_momentum_edge(model: Model, loss: Any, beta: float, schedule: Schedule) -> Edge:
    return Edge("eta_min", "the linear problem", "derived here",
                partial(heavy_ball.scheduled_eta_min, model=model, loss=loss, beta=beta, schedule=schedule),
                partial(_scheduled_momentum, model, loss, beta, schedule), ("lazy",), "predicted only for gamma <= 0.005")


def _heavy_ball(model: Model, loss: Any, beta: float) -> list[Edge]:
    """Return heavy ball's edges: eta_min, and eta_max of one parameter with MSE where gamma is small.

    Elsewhere the loss of stability of the minimum is no edge. From gamma ~ 1 - beta on, the transient overshoot leaves the linear
    regime; a loss that is straight far out has stable cycles below the edge (0.73 to 0.86 of it); and with two parameters the transient
    overshoot raises the loss, so that the kernel falls before stability is lost. With MSE that is eta_crit.
    """
    edges = [Edge("eta_min", r"gradient flow with momentum, $\kappa S/S_0$", "derived here",
                  partial(heavy_ball.eta_min, model=model, loss=loss, beta=beta), partial(_flow_with_momentum, model, loss, beta),
                  limits="exact as gamma -> 0, where kappa(T, rho) is the least eta K that trains; beyond gamma = 0.005 good to 6%, "
                         "and predicted only where momentum's lag is below T/10",
                  holds=(100, 1.0), closing=_closing(model, loss))]      # SGD's: heavy ball's triangle closes later
    if isinstance(model, TwoParameter) and isinstance(loss, MSE):
        edges.append(Edge("eta_crit", r"transient overshoot, $\kappa/K$", "derived here", partial(heavy_ball.eta_crit, beta=beta),
                          partial(_overshoot, beta), ("lazy",),
                          "the transient overshoot exceeds the first loss there, before stability is lost at 2 (1 + beta)/(h_l K); "
                          "predicted only for gamma <= 0.005"))
    if isinstance(model, OneParameter) and isinstance(loss, MSE):
        label, source = r"stability, $2(1+\beta)/\ell''(w_*)$", "Polyak's bound for a quadratic"
        numeric = partial(curves.stability_edge_one, depth=model.depth, loss=loss, factor=2.0 * (1 + beta))
        derive = partial(_stability, model, loss, beta)
        if model.depth == 1:
            edges.append(Edge("eta_max", label, source, numeric, derive))
        else:
            share = 0.3
            edges.append(Edge("eta_max", label, source, partial(curves.cut_to_lazy, inner=numeric, below=share * (1 - beta)),
                              partial(_below, derive, share, momentum=True), ("lazy",),
                              "predicted only for gamma < 0.3 (1 - beta): beyond, the transient overshoot decides"))
    return edges
