r"""
Toys of one's own: attention, weight normalization, biases, other losses
========================================================================

A model is an output in sympy, with the start of its parameters; a loss is a formula. lazyrich generates the training loop, and predicts
:math:`\eta_{\min}` and the edge of stability :math:`\eta_{\mathrm{crit}} = 2/(\ell'' K_*)` by numbers, uniformly in :math:`\gamma`. Here
are four models with squared error, and two losses with a model of the paper.

Ours: **the rich exponent of the edge counts how the kernel grows along the path of gradient flow.** Three different factors have that of
:math:`w^3`, 2/3; a bias leaves two layers theirs, 1. In attention and weight normalization one factor saturates, and the rich edge is as
steep as the lazy one, 2.
"""

import numpy as np
import sympy

import toymodels
import validation
from gallery import Findings
from validation.judging.assessment import assess
from validation.plotting import figures

found = Findings()
a, b, c, gamma, f, y = sympy.symbols("a b c gamma f y", real=True)
attention = toymodels.Model(output=c * sympy.exp(a * b) / (1 + sympy.exp(a * b)) / gamma, start={a: 1, b: 1, c: 0})
normalized = toymodels.Model(output=c * a / sympy.sqrt(a**2 + b**2) / gamma, start={a: 1, b: 1, c: 0})
product = toymodels.Model(output=a * b * c / gamma, start={a: 1, b: 0, c: 2})
biased = toymodels.Model(output=(a * b + c - 1) / gamma, start={a: 1, b: 1, c: 0})
huber = toymodels.Loss(sympy.Piecewise(((f - y) ** 2 / 2, abs(f - y) < 1), (abs(f - y) - sympy.Rational(1, 2), True)), f, y)
quartic = toymodels.Loss((f - y) ** 4, f, y)
toys = {"attention: softmax of a product": (attention, "mse"), "weight normalization": (normalized, "mse"),
        "three different factors": (product, "mse"), "two layers and a bias": (biased, "mse"),
        "$w^3$, Huber loss": (toymodels.OneParameter(3), huber), "$w^3$, quartic loss": (toymodels.OneParameter(3), quartic)}
points = {"small": 97, "paper": 385}[globals().get("scale", "small")]
experiments = {name: toymodels.ToyExperiment(*toy, steps=1000) for name, toy in toys.items()}
predictions = {name: toymodels.predict(*toy) for name, toy in toys.items()}
gammas = np.geomspace(1e-3, 1e3, 25)

# %%
# The portraits, with the predicted edges. With the quartic loss the minimum is flatter than any parabola: no rate makes it unstable, and
# its upper edge is measured alone.

figure = figures.blank(12.5, 7.6)
figure.set_label("Six portraits over richness and learning rate: a band of converged runs between the predicted edges, of slope 2 where "
                 "lazy, and of a slope of its own where rich")
plane = validation.Plane(np.geomspace(1e-3, 1e3, points), np.geomspace(1e-10, 1e5, points))
for ax, (name, experiment) in zip(figure.subplots(2, 3).ravel(), experiments.items(), strict=True):
    validation.plot_portrait(experiment.measure(plane.gamma, plane.eta), predictions[name], ax=ax)
    ax.set_title(name)

# %%
# The edges, traced, against the prediction: exponents in their windows. With several parameters catapults set in above
# :math:`\eta_{\mathrm{crit}}` between the lazy and the rich regime, and nothing is judged there.

edges = {name: validation.trace(experiment, gammas, list(predictions[name]), rtol=1e-4) for name, experiment in experiments.items()}
for name in toys:
    for assessment in assess(edges[name], predictions[name], None):
        found.add_verdict("own toys", f"exponent of {assessment.edge}, {assessment.regime}, {name}", assessment.verdict)

# %%
# The rich exponents, from the prediction alone.

for name, expected in zip(toys, (2, 2, 2 / 3, 1, 2 / 3), strict=False):
    law = predictions[name]["eta_crit"].law("rich")
    found.check_interval("own toys", f"predicted rich exponent of eta_crit, {name}", float(law.exponent),
                         (float(law.exponent) - law.error, float(law.exponent) + law.error), expected - 1e-4, expected + 1e-4)

# %%
# The quartic loss. Where lazy, the distance from the minimum is mapped to :math:`x - 4\eta K x^3`, which shrinks from :math:`x = 1` if
# :math:`\eta K < 1/2`: a number that depends on the start, not on the minimum.

upper = validation.trace(experiments["$w^3$, quartic loss"], np.geomspace(1e-6, 1e-4, 5), "eta_max", rtol=1e-5)["eta"]
times_kernel = (upper.sel(edge="eta_max").mean("bound") * 9 / upper["gamma"] ** 2).values
found.check_interval("own toys", "eta_max times the kernel, lazy, quartic loss", times_kernel.mean(),
                     (times_kernel.min(), times_kernel.max()), 0.495, 0.505)
found.demand()
