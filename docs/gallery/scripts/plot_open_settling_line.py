r"""
Open question: where does the catapult triangle's dark corner end?
==================================================================

With two parameters and cross-entropy the paper's Figure 9 has a triangle of catapults where the model is lazy, and within it a corner in
which runs "would eventually converge given substantially more training iterations". The paper does not say where the corner ends.

Ours: a run settles in :math:`t = (\gamma/\eta)^2 G` steps, :math:`G = \ln(\eta/\gamma^2)/h_\ell + C(\rho)`, with the loss's curvature
:math:`h_\ell = \ell''(1)`. It has settled where the tail begins, at :math:`0.9\,T`, if its rate is at least

.. math:: \eta_{\rm settle} = \gamma \sqrt{G / (0.9\, T)}.

Nothing in it is fitted: :math:`C(\rho)` is an integral over the map's own averages. Below, the edge is traced and compared with it.
"""

import numpy as np

import toymodels
import validation
from gallery import Findings, shades
from toymodels.theory.catapult_edges import solve_growth_balance
from validation.plotting import figures
from validation.plotting.style import label_decades

found = Findings()
model = toymodels.TwoParameter()
predictions = toymodels.predict(model, "cross_entropy")
steps = {"small": (3000, 30_000, 300_000), "paper": (3000, 30_000, 300_000, 3_000_000)}[globals().get("scale", "small")]

# %%
# The corner at two lengths of training: ten times as many steps lower its upper edge by about the root of ten.

figure = figures.blank(12, 4.4)
figure.set_label("Two portraits of the catapult triangle: the unsettled corner, above the lower band, ends at the predicted settling line")
plane = validation.Plane.log(gamma=(1e-5, 1e-1), eta=(1e-9, 1), per_decade=(40, 30))
for ax, T in zip(figure.subplots(1, 2), (3000, 30_000), strict=True):
    portrait = validation.sweep(toymodels.ToyExperiment(model, "cross_entropy", steps=T), plane)
    validation.plot_portrait(portrait, {name: predictions[name] for name in ("eta_crit", "eta_settle", "eta_max")}, ax=ax)
    ax.set_title(f"T = {T}")
figure.axes[0].get_legend().remove()

# %%
# The line is traced at three lengths of training and two thresholds, wherever the formula speaks: above :math:`20\gamma^2`, below which the
# corner is closed, and below the triangle's end. Each whole curve is judged, level and shape, within 0.02 decades; what it is off by, at
# least and at most, is the interval.

gamma = np.geomspace(1e-6, 1e-2, 33)
traced = {}
for T in steps:
    for rho in (1e-2, 1e-4):
        experiment = toymodels.ToyExperiment(model, "cross_entropy", steps=T, rho=rho)
        at = gamma[np.isfinite(predictions["eta_settle"](gamma, T, rho))]
        edges = validation.trace(experiment, at, ["eta_settle", "eta_max"], rtol=1e-4, eta=(1e-13, 1))
        traced[T, rho] = edges
        verdict = validation.judge_curve(edges, "eta_settle", predictions["eta_settle"], tolerance=0.02)
        found.add_verdict("settling", f"eta_settle off its formula, decades, T = {T}, rho = {rho:g}", verdict)
        ratio = edges["eta"].sel(edge="eta_settle").mean("bound") / predictions["eta_settle"](at, T, rho)
        inner = ratio.values[np.isfinite(ratio) & (at < 0.2 * at.max())]     # well inside, where the law is not about to end
        found.check_interval("settling", f"eta_settle over its formula, T = {T}, rho = {rho:g}", inner.mean(), (inner.min(), inner.max()),
                             0.985, 1.015)
found.demand()

# %%
# With the length of training it falls as :math:`T^{-1/2}`, up to the logarithm: the exponent over T, against the formula's own over the
# same T (at :math:`\gamma = 10^{-4}`, :math:`\rho = 0.01`).

times = np.geomspace(3000, 100_000, 7).round().astype(int)
one = [validation.trace(toymodels.ToyExperiment(model, "cross_entropy", steps=int(T)), np.array([1e-4]), "eta_settle", rtol=1e-4,
                        eta=(1e-10, 1e-2))["eta"].values.ravel() for T in times]
law = validation.fit(validation.edges_from_brackets(times, *np.transpose(one), "eta_settle", axis="T"), "eta_settle", window=(3e3, 1e5))
own = np.polyfit(np.log(times), np.log([float(predictions["eta_settle"](1e-4, int(T))) for T in times]), 1)[0]
found.add_verdict("settling", "exponent of eta_settle over T", validation.judge(law, float(own), tolerance=0.02))

# %%
# The upper edge of the triangle is :math:`c^*\gamma`, :math:`c^* = 2.19967...` from the balance of growth on the two straight sides.

top = traced[steps[1], 1e-2]["eta"].sel(edge="eta_max").mean("bound") / traced[steps[1], 1e-2].gamma / solve_growth_balance()
found.check_interval("settling", "eta_max over c* gamma", float(top.mean()), (float(top.min()), float(top.max())), 0.98, 1.02)
found.demand()

# %%

figure = figures.blank(12, 4)
figure.set_label("Left, traced settling rates over gamma for several lengths of training lie on their predicted lines; right, their "
                 "departures are below two hundredths")
left, right = figure.subplots(1, 2)
for T, colour in zip(steps, shades(len(steps)), strict=True):
    for rho, mark, dash in ((1e-2, "o", "-"), (1e-4, "^", "--")):
        edges = traced[T, rho]
        at, eta = edges.gamma.values, edges["eta"].sel(edge="eta_settle").mean("bound").values
        line = predictions["eta_settle"](gamma, T, rho)
        left.loglog(gamma, line / gamma, dash, color=colour, lw=1)
        left.loglog(at, eta / at, mark, color=colour, ms=4, mfc="none", label=rf"T = {T}, $\rho$ = {rho:g}")
        right.semilogx(at, eta / predictions["eta_settle"](at, T, rho) - 1, mark, color=colour, ms=4, mfc="none")
left.axhline(solve_growth_balance(), color="0.4", lw=1, ls=":")
left.annotate(r"$c^*$", (2e-6, 0.8 * solve_growth_balance()), va="top")
left.set(xlabel=r"$\gamma$", ylabel=r"$\eta_{\rm settle}/\gamma$", title="traced, and the formula (lines)")
right.axhline(0, color="0.4", lw=1)
right.set(xlabel=r"$\gamma$", ylabel="traced over formula, less 1", title="departure")
for ax in (left, right):
    label_decades(ax, "x")
left.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small")
