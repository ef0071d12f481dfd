r"""
Figure 8: two parameters, squared error
=======================================

The paper claims that the two-parameter model trains below edges that go as :math:`\gamma^2` where it is lazy and as
:math:`\gamma` where it is rich, and that where it is lazy the upper part of the band is reached by catapults: runs whose loss
first rises above its start. (Its caption gives the lower edge an exponent that depends on depth; see the errata.)
"""

import toymodels
import validation
from gallery import Findings
from validation.plotting import figures

found = Findings()
experiment = toymodels.ToyExperiment(toymodels.TwoParameter(), loss="mse", steps=1000)
plane = validation.Plane.log(gamma=(1e-3, 1e3), eta=(1e-7, 1e5), per_decade=(60, 30))
portrait = validation.sweep(experiment, plane)
predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)

# %%
# The outcome of every run, and its largest loss in units of the loss at the start, which is far above 1 for a catapult.

figure = figures.blank(13, 4.8)
figure.set_label("Outcomes and largest loss over richness and learning rate; where lazy, a strip of catapults below divergence")
for ax, variable in zip(figure.subplots(1, 2), ("outcome", "peak_excess"), strict=True):
    validation.plot_portrait(portrait, predictions, variable, ax)

# %%
# The edges are bisected, and judged where the theory's own local exponents have settled. The predicted onset of catapults is
# that of gradient flow; discrete steps lower the kernel, and where gamma is near 1 the measured onset lies visibly higher.

edges = validation.trace(experiment, plane.gamma[::12], list(predictions))
assessments = validation.assess(edges, predictions)
for a in assessments:
    found.add_verdict("8", f"exponent of {a.edge}, {a.regime}", a.verdict)
limits = {(a.edge, a.regime): a.limit for a in assessments}
found.demand()
assert limits["eta_max", "lazy"] == limits["eta_crit", "lazy"] == 2
assert limits["eta_max", "rich"] == 1

# %%
# Divergence is sharp, and its place is known in closed form: the largest distance of a bracket from it, in decades.

verdict = validation.judge_curve(edges, "eta_div", predictions["eta_div"], tolerance=1e-6)
found.add_verdict("8", "eta_div off its formula, decades", verdict)
found.demand()
figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments])
figure.set_label("The measured edges over richness on their predicted curves, and the residuals, hundredths of a decade or less")

# %%
# The plane, computed in your browser wherever you zoom:
#
# .. explorer:: figure-8
