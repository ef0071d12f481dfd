"""List the paper's misprints: the printed form, the true form, and a check that the true form passes and the printed one fails.

A check takes either form. It starts from the formulas of the model or from a few steps of training, never from the true form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from toymodels.losses import MSE, P0, P1, CrossEntropy
from toymodels.models import OneParameter, TwoParameter
from toymodels.theory.flow_time import gradient_flow_time


@dataclass(frozen=True)
class Erratum:
    """One misprint.

    Attributes
    ----------
    where : the place in the paper.
    printed, true : the two forms, in LaTeX or words.
    why : the reason, in one or two sentences.
    wrong, right : the two forms as functions or numbers, for the check.
    check : form -> bool, whether the form passes.
    """

    where: str
    printed: str
    true: str
    why: str
    wrong: Any = field(repr=False)
    right: Any = field(repr=False)
    check: Callable[[Any], bool] = field(repr=False)

    def verify(self) -> bool:
        """Return whether the check passes the true form and fails the printed one."""
        return bool(self.check(self.right)) and not self.check(self.wrong)


def list_errata() -> list[Erratum]:
    """Return the misprints, in the order of the paper."""
    return [
        Erratum(r"below eq. 7", r"$\Delta = -\mathcal{L}'(w)$", r"$\Delta = -d\ell/d\tilde f = 1 - \tilde f$",
                r"The second half of the printed line, $1 - (w^L - 1)/\gamma$, is the residual; $\mathcal{L}'(w)$ carries another factor "
                r"$L w^{L-1}/\gamma$.",
                lambda w, gamma: -_loss_slope_in_w(w, gamma), lambda w, gamma: -MSE().slope(OneParameter(5).output(w, gamma)),
                _is_residual),
        Erratum(r"eq. 8, $L \ge 3$", r"$w(T) \approx (1 - L \eta T/\gamma)^{1/(L-2)}$",
                r"$w(T) \approx (1 - L(L-2)\, \eta T/\gamma)^{-1/(L-2)}$",
                r"Integrate $\dot w = (\eta L/\gamma) w^{L-1}$ from $w = 1$: the printed weight shrinks.",
                lambda depth, tau: (1 - depth * tau) ** (1 / (depth - 2)),
                lambda depth, tau: (1 - depth * (depth - 2) * tau) ** (-1 / (depth - 2)), _follows_the_escape),
        Erratum(r"eq. 9", r"$\dfrac{\log(e^{\tilde f} + 1)}{1 + e^{-1}} + \dfrac{\log(e^{-\tilde f} + 1)}{1 + e}$",
                r"$p_1 \log(1 + e^{-\tilde f}) + p_0 \log(1 + e^{\tilde f})$, $p_1 = 1/(1 + e^{-1})$",
                r"The weights are exchanged: the printed loss is least at $\tilde f = -1$, the text requires $\tilde f = 1$.",
                lambda f: P1 * np.logaddexp(0, f) + P0 * np.logaddexp(0, -f), CrossEntropy().value, _is_least_at_one),
        Erratum(r"sec. 4.2 and footnote 5, the constant step", r"$\delta w \sim (\eta^L/\gamma)\, \mathrm{sign}(w - 1)$",
                r"$\delta w = -(\eta L/\gamma)\, p_0$ for $\tilde f \gg 1$, $+(\eta L/\gamma)\, p_1$ for $\tilde f \ll 0$",
                r"The loss's slope is $p_0$ or $-p_1$ on its straight sides, and $d\tilde f/dw = L w^{L-1}/\gamma$ with $w \approx 1$.",
                lambda eta, gamma, depth: eta**depth / gamma, lambda eta, gamma, depth: eta * depth / gamma * P0, _is_the_step),
        Erratum(r"footnote 5, the step of $\tilde f$", r"$L^2/\gamma^2$", r"$\eta L^2/\gamma^2$ (times $p_0$ or $p_1$)",
                r"The step of $\tilde f$ is the step of $w$ times $L/\gamma$: it is proportional to $\eta$.",
                lambda eta, gamma, depth: depth**2 / gamma**2 * P0, lambda eta, gamma, depth: eta * depth**2 / gamma**2 * P0,
                _is_the_step_of_f),
        Erratum(r"eq. 20", r"$u' = u - \dfrac{1 - \tilde f}{\gamma}\, \mathrm{swap}(u)$",
                r"$u' = u + \eta\, \dfrac{1 - \tilde f}{\gamma}\, \mathrm{swap}(u)$",
                "The printed sign is that of ascent, and the learning rate is missing.",
                lambda u, eta, gamma: u - (1 - 2 * u[0] * u[1] / gamma) / gamma * u[::-1],
                lambda u, eta, gamma: u + eta * (1 - 2 * u[0] * u[1] / gamma) / gamma * u[::-1], _is_the_update),
        Erratum(r"eq. 22, first line", r"$\tilde f' - \tilde f = \eta \Delta K + (\eta^2/\gamma)\, \Delta^2 \tilde f$",
                r"$\tilde f' - \tilde f = \eta \Delta K + (\eta^2/\gamma^2)\, \Delta^2 \tilde f$",
                r"Multiply out $2 u_1' u_2'/\gamma$. At $\gamma = 1$ the two agree.",
                lambda f, kernel, eta, gamma: eta * (1 - f) * kernel + eta**2 / gamma * (1 - f) ** 2 * f,
                lambda f, kernel, eta, gamma: eta * (1 - f) * kernel + eta**2 / gamma**2 * (1 - f) ** 2 * f, _is_the_step_of_output),
        Erratum(r"below eq. 22", r"$K$ decreases as long as $\eta K \le 4$",
                r"$\eta K < -4 \tilde f/\Delta$; runs diverge exactly from $\eta = \sqrt{1 + 4\gamma^2} - 1$ on",
                r"$\eta K \le 4$ is the limit $\tilde f/\Delta \to -1$ of large $\tilde f$. At a small $\Delta > 0$, $\tilde f > 0$ "
                r"the kernel grows at any $\eta$.",
                lambda eta, kernel, f: eta * kernel <= 4, lambda eta, kernel, f: eta * kernel * (1 - f) ** 2 < -4 * f * (1 - f),
                _predicts_whether_the_kernel_falls),
        Erratum(r"captions of figs. 8, 9", r"$L = 2$, so $\eta_\mathrm{min} \sim \gamma$",
                r"$L = 2$, so $\eta_\mathrm{max} \sim \gamma^{2/L} = \gamma$; $\eta_\mathrm{min} \sim \gamma \log(\gamma)/T$",
                r"The edge that depends on $L$ is $\eta_\mathrm{max}$; at $L = 2$ the time to learn carries a logarithm, so that "
                r"$\eta_\mathrm{min}/\gamma$ has no limit.",
                lambda gamma: gamma, lambda gamma: gamma * np.log(gamma), _is_the_time_to_learn),
        Erratum("Appendix F.1",
                r"any smaller learning rate does not train; $\eta_\mathrm{min}$ and $\eta_\mathrm{max}$ are the same",
                r"$\eta_\mathrm{min} \propto 1/T$, $\eta_\mathrm{max}$ independent of $T$: equal exponents, a window of ratio $\sim T$",
                r"A step that is $T$ times smaller arrives after $T$ steps.",
                lambda steps: 1.0, lambda steps: float(steps), _is_the_window_of_signsgd),
    ]


def list_checked_errata() -> list[Erratum]:
    """Return the misprints after their checks.

    Raises
    ------
    ArithmeticError : a check does not distinguish the printed form from the true one.
    """
    found = list_errata()
    for item in found:
        if not item.verify():
            raise ArithmeticError(f"the check of the erratum {item.where!r} does not distinguish the printed form from the true one")
    return found


def render_page() -> str:
    """Return the errata, checked, as the page of the documentation, docs/errata.md."""
    lines = ["# Errata of the paper", "",
             "For each misprint: what the paper prints, and what is correct. Each has a check in `toymodels.theory.misprints` that the",
             "true form passes and the printed form fails; the tests run all of them, and compare this page with their list.",
             "`lazyrich predict --errata` prints the same list.", ""]
    for number, item in enumerate(list_checked_errata(), 1):
        lines += [f"## {number}. {item.where}", "", f"**Printed:** {item.printed}", "", f"**True:** {item.true}", "", item.why, ""]
    return "\n".join(lines)


def _loss_slope_in_w(w: float, gamma: float, depth: int = 5) -> float:
    """Return dL/dw by a central difference of the loss itself."""
    def value(x: float) -> float:
        return float(MSE().value(np.asarray(OneParameter(depth).output(x, gamma))))

    return (value(w + 1e-6) - value(w - 1e-6)) / 2e-6


def _is_residual(form: Callable[..., Any]) -> bool:
    """Return whether the form is ``1 - (w^5 - 1)/gamma``, the second half of the same line of the paper."""
    return all(abs(float(form(w, gamma)) - (1 - (w**5 - 1) / gamma)) < 1e-6 for w, gamma in ((1.1, 2.0), (1.3, 40.0)))


def _follows_the_escape(form: Callable[..., Any]) -> bool:
    """Return whether the form follows ten thousand small steps from w = 1 at gamma = 1e9, to 0.8 of the time of escape."""
    gamma, steps = 1e9, 10_000
    for depth in (3, 4, 5):
        model, tau = OneParameter(depth), 0.8 / (depth * (depth - 2))
        w, eta = 1.0, tau * gamma / steps
        for _ in range(steps):
            w -= eta * (model.output(w, gamma) - 1) * model.gradient(w, gamma)[0]
        if not abs(form(depth, tau) / w - 1) < 1e-2:
            return False
    return True


def _is_least_at_one(form: Callable[..., Any]) -> bool:
    """Return whether the loss is least at f = 1 on a fine grid."""
    f = np.linspace(-5, 5, 10_001)
    return abs(f[np.argmin(form(f))] - 1) < 1e-2


def _one_step(eta: float, gamma: float, depth: int) -> tuple[float, float]:
    """Return the size of the step of w and of f that SGD takes far above f = 1, while w is still near 1."""
    model, loss = OneParameter(depth), CrossEntropy()
    w = 1 + 60 * gamma / depth
    step = eta * float(loss.slope(np.asarray(model.output(w, gamma)))) * model.gradient(w, gamma)[0]
    return step, model.output(w, gamma) - model.output(w - step, gamma)


def _is_the_step(form: Callable[..., float]) -> bool:
    """Return whether the form is the step of w, to 1%, at two learning rates."""
    return all(abs(form(eta, 1e-6, 3) / _one_step(eta, 1e-6, 3)[0] - 1) < 0.01 for eta in (1e-10, 1e-9))


def _is_the_step_of_f(form: Callable[..., float]) -> bool:
    """Return whether the form is the step of f, to 1%, at two learning rates."""
    return all(abs(form(eta, 1e-6, 3) / _one_step(eta, 1e-6, 3)[1] - 1) < 0.01 for eta in (1e-10, 1e-9))


def _states() -> list[tuple[np.ndarray, float, float]]:
    """Return forty random states (u, eta, gamma) of the two-parameter model."""
    random = np.random.default_rng(22)
    return [(random.normal(size=2), float(eta), float(gamma)) for eta, gamma in random.uniform(0.2, 3.0, (40, 2))]


def _output(u: np.ndarray, gamma: float) -> float:
    return float(TwoParameter().output(u[0], u[1], gamma))


def _kernel(u: np.ndarray, gamma: float) -> float:
    return float(TwoParameter().kernel(u[0], u[1], gamma))


def _train(u: np.ndarray, eta: float, gamma: float) -> np.ndarray:
    """Return u after one step of SGD on the MSE, by the model's own formulas."""
    model = TwoParameter()
    slope = model.output(u[0], u[1], gamma) - 1
    return u - eta * slope * np.array(model.gradient(u[0], u[1], gamma))


def _is_the_update(form: Callable[..., np.ndarray]) -> bool:
    return all(np.allclose(form(u, eta, gamma), _train(u, eta, gamma), rtol=1e-12) for u, eta, gamma in _states())


def _is_the_step_of_output(form: Callable[..., float]) -> bool:
    for u, eta, gamma in _states():
        before, after = _output(u, gamma), _output(_train(u, eta, gamma), gamma)
        if not np.isclose(form(before, _kernel(u, gamma), eta, gamma), after - before, rtol=1e-9, atol=1e-12):
            return False
    return True


def _predicts_whether_the_kernel_falls(form: Callable[..., bool]) -> bool:
    return all(bool(form(eta, _kernel(u, gamma), _output(u, gamma)))
               == bool(_kernel(_train(u, eta, gamma), gamma) < _kernel(u, gamma)) for u, eta, gamma in _states())


def _is_the_time_to_learn(form: Callable[..., Any]) -> bool:
    """Return whether S(gamma)/form(gamma) converges: changes by less than 2% from gamma = 1e100 to 1e120."""
    ends = np.array([1e100, 1e120])
    ratio = gradient_flow_time(TwoParameter(), "mse", ends) / form(ends)
    return bool(abs(ratio[1] / ratio[0] - 1) < 0.02)


def _is_the_window_of_signsgd(form: Callable[[int], float]) -> bool:
    """Return whether the ratio of the largest to the least rate that trains grows with T as the form does.

    Both by running SignSGD at gamma = 100, L = 3, rho = 0.01: rates in steps of 2%, judged at the end.
    """
    gamma, depth, rho = 100.0, 3, 0.01
    ratios = []
    for steps in (300, 3000):
        eta = 10 ** np.arange(-5, 0.5, 0.0086)
        w, worst = np.ones_like(eta), np.zeros_like(eta)
        for t in range(steps):
            w = w - eta * np.sign((w**depth - 1) / gamma - 1)
            if t >= 0.9 * steps:
                worst = np.maximum(worst, ((w**depth - 1) / gamma - 1) ** 2)
        trained = eta[worst <= rho]
        ratios.append(trained.max() / trained.min())
    return bool(0.5 < (ratios[1] / ratios[0]) / (form(3000) / form(300)) < 2)
