r"""
Open question: where does training end under momentum?
======================================================

On a quadratic of curvature :math:`\lambda`, heavy ball is stable up to :math:`\eta\lambda = 2(1+\beta)` (Polyak 1964). The paper trains
without momentum. Is :math:`\eta_{\max} = 2(1+\beta)/\ell''(w_*)` then the edge of the toys, as :math:`2/\ell''(w_*)` is under SGD?

Ours: **where a model of one parameter is lazy, yes, within half a per cent. Where it is rich a transient overshoot ends training at lower
rates:** at :math:`\beta = 0.9` on average at less than half the rate of stability, with the same exponents. It is a transient, for a
warm-up takes it away. Two parameters do the same where rich; where lazy their catapults reach above stability.
"""

from itertools import pairwise

import numpy as np

import toymodels
import validation
from gallery import Findings, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

found = Findings()
betas = (0.0, 0.5, 0.9, 0.99)
models = {"one parameter, L = 2": toymodels.OneParameter(2), "one parameter, L = 5": toymodels.OneParameter(5),
          "two parameters": toymodels.TwoParameter()}
gamma = np.geomspace(1e-4, 1e4, {"small": 65, "paper": 257}[globals().get("scale", "small")])


def stability(model, beta, at=gamma):
    """Return the rate at which the minimum that gradient flow reaches loses its stability."""
    edges = toymodels.predict(model, "mse")
    return (1 + beta) * edges["eta_crit" if "eta_crit" in edges else "eta_max"](at)


def trace_heavy_ball(model, beta, edge, **more):
    """Return the edge under heavy ball."""
    return validation.trace(toymodels.ToyExperiment(model, "mse", toymodels.HeavyBall(beta), steps=10_000, **more), gamma, edge, rtol=1e-3)


# %%
# The traced edge over the rate of stability. Lazy, to the left, and with one parameter it is 1 at any momentum. Then it falls, by a step at
# first, and to a level of its own, which wobbles with :math:`\log\gamma` because the overshoot takes whole steps. With two parameters the
# lazy edge lies above stability, by catapults: twice as high under SGD, and hardly at all under strong momentum.

edges = {(name, beta): trace_heavy_ball(model, beta, ["eta_crit", "eta_max"]) for name, model in models.items() for beta in betas}
ratio = {key: e["eta"].sel(edge="eta_max").mean("bound").values / stability(models[key[0]], key[1]) for key, e in edges.items()}
figure = figures.blank(12.5, 4)
figure.set_label("Traced upper edge over the stability of heavy ball, over richness: one where lazy, falling where rich, more so at "
                 "larger momentum")
for ax, name in zip(figure.subplots(1, 3, sharey=True), models, strict=True):
    for beta, colour, mark in zip(betas, shades(4), "os^D", strict=True):
        ax.loglog(gamma, ratio[name, beta], f"{mark}-", color=colour, ms=2.5, lw=0.8, label=rf"$\beta = {beta:g}$")
    ax.axhline(1, color="0.4", lw=0.8, ls=":")
    ax.set(title=name, xlabel=r"$\gamma$", ylim=(0.04, 3))
    label_decades(ax, "x")
figure.axes[0].set_ylabel(r"$\eta_{\max}$ over the rate of stability")
figure.axes[0].legend(frameon=False, loc="lower left")

# %%
# Lazy: the prefactor :math:`2(1+\beta)`, over all :math:`\gamma < 0.3(1-\beta)`, from the least to the largest ratio.

for (name, beta), r in ratio.items():
    lazy = r[gamma < 0.3 * (1 - beta)]
    if beta and name.startswith("one"):
        found.check_interval("momentum", f"eta_max over stability, lazy, {name}, beta = {beta:g}", lazy.mean(), (lazy.min(), lazy.max()),
                             0.995, 1.005)
narrow = [ratio["two parameters", beta][gamma < 0.3 * (1 - beta)] for beta in betas]
for beta, lazy in zip(betas, narrow, strict=True):
    found.check_interval("momentum", f"eta_max over stability, lazy, two parameters, beta = {beta:g}", lazy.mean(),
                         (lazy.min(), lazy.max()),                         0.98, 2.01)
assert all(more.mean() > less.mean() + 0.03 for more, less in pairwise(narrow))      # the more momentum, the fewer catapults

# %%
# Rich: the exponents of SGD, which exclude those of neighbouring depths. Only the edge of two parameters at :math:`\beta = 0.99` wobbles so
# much that four decades of gamma decide nothing. The levels are below stability; the interval is over gamma.

for (name, beta), r in ratio.items():
    if beta:
        theory = toymodels.predict(models[name], "mse")["eta_max"]
        law = validation.fit(edges[name, beta], "eta_max", window=(10, 1e4), curve=theory)
        limit = 2 / models[name].depth if name.startswith("one") else 1
        verdict = validation.judge(law, theory)
        found.add_verdict("momentum", f"exponent of eta_max, rich ({limit:g}), {name}, beta = {beta:g}", verdict)
        found.check("momentum", f"eta_max over stability, rich, {name}, beta = {beta:g}", r[gamma >= 10], 0, 1)
assert all(row.interval[1] < 0.5 for row in found.rows if "rich, " in row.what and "over stability" in row.what and "0.9" in row.what)

# %%
# A warm-up over half of the steps (and a cosine down to zero) shows that the overshoot ends training, not the minimum. The rate then
# reaches its full height at the minimum, and with one parameter the edge is never below stability.

warmup = toymodels.WarmupCosine(0.5)
warm = {(name, beta): trace_heavy_ball(models[name], beta, "eta_max", schedule=warmup)["eta"].mean("bound").values.ravel()
        / stability(models[name], beta) for name in models for beta in betas[2:] if name.startswith("one")}
for (name, beta), r in warm.items():
    found.check("momentum", f"least eta_max over stability after a warm-up, {name}, beta = {beta:g}", r.min(), 1)

# %%
# The overshoot raises the loss above its start long before anything is unstable. In the lazy regime this onset is that of a linear
# recursion, :math:`x_{t+1} = x_t + \beta(x_t - x_{t-1}) - s x_t`: the least :math:`s = \eta\lambda` at which some :math:`x_t = -1`.


def overshoot_onset(beta):
    """Return the least s, in units of the stable 2(1 + beta), at which the recursion from x = 1 with zero velocity falls below -1."""
    s = np.linspace(0, 2 * (1 + beta), 40_001)[1:]
    x, before, low = np.ones_like(s), np.ones_like(s), np.ones_like(s)
    for _ in range(200):
        x, before = x + beta * (x - before) - s * x, x
        low = np.minimum(low, x)
    return s[np.argmax(low < -1)] / (2 * (1 + beta))


for name in ("one parameter, L = 2", "one parameter, L = 5"):
    for beta in betas[1:]:
        onset = edges[name, beta]["eta"].sel(edge="eta_crit").mean("bound").values / stability(models[name], beta) / overshoot_onset(beta)
        lazy = onset[gamma < 0.03 * (1 - beta)]
        found.check_interval("momentum", f"onset of the overshoot above the start over its recursion, {name}, beta = {beta:g}", lazy.mean(),
                             (lazy.min(), lazy.max()), 0.98, 1.02)
found.demand(undecided=["exponent of eta_max, rich (1), two parameters, beta = 0.99"])

# %%

figure = figures.blank(9, 3.8)
figure.set_label("With a warm-up the edge of one parameter lies above stability at every richness, without one far below it where rich")
for ax, name in zip(figure.subplots(1, 2, sharey=True), list(models)[:2], strict=True):
    for beta, colour, mark in zip(betas[2:], shades(4)[2:], "^D", strict=True):
        ax.loglog(gamma, warm[name, beta], f"{mark}-", color=colour, ms=3, lw=0.8, label=rf"warm-up, $\beta = {beta:g}$")
        ax.loglog(gamma, ratio[name, beta], f"{mark}:", color=colour, ms=3, lw=0.8, mfc="white", label=rf"constant, $\beta = {beta:g}$")
    ax.axhline(1, color="0.4", lw=0.8, ls=":")
    ax.set(title=name, xlabel=r"$\gamma$")
    ax.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
    ax.minorticks_off()
    label_decades(ax, "x")
figure.axes[0].set_ylabel(r"$\eta_{\max}$ over the rate of stability")
figure.axes[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
