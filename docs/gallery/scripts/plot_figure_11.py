r"""
Figure 11: SignSGD, one parameter, depth 5
==========================================

SignSGD moves each parameter by the same step. The paper claims one pair of exponents for both edges, :math:`\gamma` where lazy and
:math:`\gamma^{1/L}` where rich. Both edges have these exponents, but they are two edges, a factor of
about :math:`T` apart (see the errata). Nothing diverges.
"""

import numpy as np

import toymodels
import validation
from gallery import Findings
from validation.plotting import figures

found = Findings()
experiments = {"(a) squared error": toymodels.ToyExperiment(toymodels.OneParameter(depth=5), "mse", "signsgd"),
               "(b) cross-entropy": toymodels.ToyExperiment(toymodels.OneParameter(depth=5), "cross_entropy", "signsgd")}
plane = validation.Plane.log(gamma=(1e-5, 1e5), eta=(1e-10, 1e2), per_decade=(50, 40))

# %%

figure = figures.blank(11.5, 4.4)
figure.set_label("Two phase portraits over richness and rate: oscillation above the band of converged runs, and no divergence")
for ax, (title, experiment) in zip(figure.subplots(1, 2), experiments.items(), strict=True):
    portrait = validation.sweep(experiment, plane)
    assert not (portrait["outcome"] == validation.Outcome.DIVERGED).any()
    predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)
    validation.plot_portrait(portrait, predictions, ax=ax)
    ax.set_title(title)
figure.axes[0].get_legend().remove()

# %%
# Above the upper edge lie periodic windows of converged runs, which a coarse grid merges with the edge: the edges are traced at 200 rates
# a decade. The predicted upper edge is a lower bound of the measured one.

for title, experiment in experiments.items():
    predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)
    edges = validation.trace(experiment, np.geomspace(1e-5, 1e5, 41), list(predictions), per_decade=200)
    assessments = validation.assess(edges, predictions)
    for a in assessments:
        found.add_verdict(f"11{title[1]}", f"exponent of {a.edge}, {a.regime}", a.verdict)
    upper = edges["eta"].sel(edge="eta_max", bound="upper").values
    ratio = upper / predictions["eta_max"](edges["gamma"].values, experiment.steps, experiment.rho)
    found.check(f"11{title[1]}", "eta_max over its bound, least of all gammas", np.nanmin(ratio), 1 - 1e-6)
    print(f"eta_max over its bound: {np.nanmin(ratio):.3f} to {np.nanmax(ratio):.3f}")
found.demand()

# %%

figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments])
figure.set_label("The two measured edges over richness and their predicted curves, and the residuals in decades")

# %%
# The plane, computed in your browser wherever you zoom:
#
# .. explorer:: figure-11
