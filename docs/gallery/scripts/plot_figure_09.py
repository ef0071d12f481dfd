r"""
Figure 9: two parameters, cross-entropy
=======================================

The paper claims that where the model is lazy catapults reach far higher under cross-entropy, up to a rate that goes as :math:`\gamma`
instead of :math:`\gamma^2`: a triangle in the plane. Within it lies a smaller one, black in the paper's figure, of runs that would converge
in more steps. Beyond the paper the prefactor of the triangle's upper edge is predicted here, :math:`c^*\gamma`, and the rate at which the
corner ends.
"""

import toymodels
import validation
from gallery import Findings
from validation.plotting import figures

found = Findings()
experiment = toymodels.ToyExperiment(toymodels.TwoParameter(), loss="cross_entropy", steps=30000)
plane = validation.Plane.log(gamma=(1e-3, 1e3), eta=(1e-8, 1e5), per_decade=(40, 20))
portrait = validation.sweep(experiment, plane)
predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)

# %%
# The outcome of every run, and its largest loss in units of the loss at the start.

figure = figures.blank(13, 4.8)
figure.set_label("Outcomes and largest loss over richness and rate; where lazy, a triangle of catapults with an unsettled corner")
for ax, variable in zip(figure.subplots(1, 2), ("outcome", "peak_excess"), strict=True):
    validation.plot_portrait(portrait, predictions, variable, ax)

# %%
# Between the regimes the upper edge's prefactor jumps, and nothing is predicted. Elsewhere the edges are bisected and judged. The onset
# of catapults is the one that is left UNDECIDED: towards gamma = 0.02 no unsettled corner parts it from the catapults any more, and it lies
# up to a tenth above the stability of gradient flow's minimum, which tilts the fitted line.

edges = validation.trace(experiment, plane.gamma[::8], list(predictions))
assessments = validation.assess(edges, predictions)
for a in assessments:
    found.add_verdict("9", f"exponent of {a.edge}, {a.regime}", a.verdict)
limits = {(a.edge, a.regime): a.limit for a in assessments}
found.demand(undecided=["exponent of eta_crit, lazy"])
assert limits["eta_crit", "lazy"] == 2
assert limits["eta_max", "lazy"] == limits["eta_max", "rich"] == 1

# %%

figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments])
figure.set_label("The measured edges over richness on their predicted curves, and the residuals in decades")

# %%
# The plane, computed in your browser wherever you zoom:
#
# .. explorer:: figure-9
