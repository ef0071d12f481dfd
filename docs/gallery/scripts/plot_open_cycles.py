r"""
Open question: what lies between convergence and divergence?
============================================================

Above :math:`\eta_{\max}` a run of one parameter no longer settles, and up to :math:`\eta_{\rm div}` it does not diverge either. For depth
2 under squared error its update is a cubic map, :math:`x \leftarrow (1 + a) x - a x^3`, with :math:`x = w/\sqrt{1 + \gamma}` and
:math:`a = 2 \eta (1 + \gamma)/\gamma^2 = \eta/\eta_{\max}`, whose five phases Chen, Balasubramanian, Ghosal and Agrawalla described
(arXiv 2310.01687). So one ladder holds at every richness. What else is known stands on the page of :doc:`related work </related_work>`.

Ours: **the whole ladder moves with** :math:`\gamma` **as one. With other depths and losses the same cascade, with Feigenbaum's ratio,
begins at the predicted** :math:`\eta_{\max}`; **depth 3 under cross-entropy, at small** :math:`\gamma`, **leaves it again by period
halving.**
"""

import numpy as np

import toymodels
import validation
from gallery import Findings
from toymodels.orbit_diagram import draw_orbits
from validation.plotting import figures

found = Findings()
model = toymodels.OneParameter(2)

# %%
# The attractor at :math:`\gamma = 1`, and its largest Lyapunov exponent: where it is positive the run is chaotic. Period 2 begins at
# :math:`a = 1`, period 4 at :math:`\sqrt 5 - 1`; from 1.598 on the weight changes its sign; at 2 the attractor ends, with the exponent
# :math:`\ln 3` of the third Chebyshev polynomial.

unit = float(toymodels.predict(model)["eta_max"](np.array([1.0]))[0])
changes = toymodels.find_period_changes(model)
orbits = toymodels.orbit(model, eta=unit * np.linspace(0.9, 2.02, 900), settle=2000, length=2000, points=100)
figure = draw_orbits(orbits, changes, "w", unit)
figure.set_label("The weight on its attractor over the rate: one branch splits in two, four and eight, then bands of chaos; below, the "
                 "exponent")

# %%
# The same numbers at five values of gamma, six decades apart.

gammas = (1e-3, 1e-1, 1.0, 10.0, 1e3)
ladders = [toymodels.find_period_changes(model, gamma=g) for g in gammas]
units = [g**2 / (2 * (1 + g)) for g in gammas]
for period, claim in ((2, 1.0), (4, np.sqrt(5) - 1), (8, 1.2880318)):
    a = [float(ladder.eta.sel(period=period)) / one for ladder, one in zip(ladders, units, strict=True)]
    found.check_interval("cycles", f"a where period {period} begins, five gammas", float(np.mean(a)), (min(a), max(a)),
                         claim - 1e-6, claim + 1e-6)
ends = [float(ladder.accumulation) / one for ladder, one in zip(ladders, units, strict=True)]
found.check_interval("cycles", "a where the cascade ends, five gammas", float(np.mean(ends)), (min(ends), max(ends)), 1.3022, 1.3024)
last = [float(toymodels.orbit(model, gamma=g, eta=one * (2 - 1e-12), length=40_000, points=0).lyapunov)
        for g, one in zip(gammas, units, strict=True)]
found.check_interval("cycles", "Lyapunov exponent over ln 3 at a = 2", float(np.mean(last)) / np.log(3),
                     tuple(np.array([min(last), max(last)]) / np.log(3)), 0.99, 1.01)
found.demand()

# %%
# Periods over the plane, for both losses. For cross-entropy a lazy network has a wide triangle of cycles and chaos, up to
# :math:`\eta_{\rm div} \sim \gamma`; in it tongues of period 3 and of longer periods. Below the blue band runs have not settled yet.

gamma, eta = np.logspace(-3, 3, 121), np.logspace(-5, 3, 161)
figure = figures.blank(12, 4.6)
figure.set_label("Periods over richness and rate for two losses: a band of period 1, above it period 2 and chaos, then escape")
axes = figure.subplots(1, 2, sharey=True)
for ax, loss, title in zip(axes, ("mse", "cross_entropy"), ("squared error", "cross-entropy"), strict=True):
    plane = toymodels.orbit(model, loss, "sgd", gamma, eta, 1000, 500, 0)
    validation.plot_portrait(plane, {"eta_max": toymodels.predict(model, loss)["eta_max"]}, variable="period", ax=ax)
    ax.set_title(f"L = 2, {title}")
axes[1].set_ylabel("")
axes[0].get_legend().remove()

# %%
# Other depths and losses, at :math:`\gamma = 1`: distances between successive doublings shrink by a ratio that tends to Feigenbaum's
# 4.669; that of the last three changes up to period 32 is within a hundredth of it.

for depth, loss in ((2, "mse"), (3, "mse"), (5, "mse"), (2, "cross_entropy"), (5, "cross_entropy")):
    rates = toymodels.find_period_changes(toymodels.OneParameter(depth), loss, longest=32).eta.values
    ratio = (rates[-2] - rates[-3]) / (rates[-1] - rates[-2])
    found.check_interval("cycles", f"ratio of the last distances, L = {depth}, {loss}", ratio, (ratio, ratio), 4.669 * 0.99, 4.669 * 1.01)
found.demand()

# %%
# Not every cascade ends in chaos. For depth 3 under cross-entropy at :math:`\gamma = 0.1` period 4 goes back to period 2; chaos comes
# later, and ends where the run is parked at the saddle.

three = toymodels.OneParameter(3)
unit = float(toymodels.predict(three, "cross_entropy")["eta_max"](np.array([0.1]))[0])
changes = toymodels.find_period_changes(three, "cross_entropy", gamma=0.1)
orbits = toymodels.orbit(three, "cross_entropy", "sgd", 0.1, unit * np.linspace(0.9, 8, 900), 2000, 2000, 100)
figure = draw_orbits(orbits, changes, "w", unit)
figure.set_label("The weight on its attractor for depth 3, cross-entropy: two branches, briefly four, two again, chaos, and a line at zero")
periods = orbits.period.values
before_chaos = periods[:np.argmax(periods == 0)]
assert np.isnan(changes.eta.sel(period=8))
assert (before_chaos[np.argmax(before_chaos == 4):] == 2).any()
assert periods[-1] == 1

# %%
# The ladder, computed in your browser wherever you zoom:
#
# .. explorer:: periods
