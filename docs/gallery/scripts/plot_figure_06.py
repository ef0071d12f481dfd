r"""
Figure 6: one parameter, depth 5
================================

The paper claims that the one-parameter model trains between two edges, both of which go as :math:`\gamma^2` where it is lazy,
:math:`\gamma \ll 1`, and that where it is rich, :math:`\gamma \gg 1`, the lower edge goes as :math:`\gamma` and the upper one as
:math:`\gamma^{2/L}`. Under cross-entropy, it claims, a lazy model above its upper edge does not diverge until :math:`\eta \sim \gamma`.
"""

import toymodels
import validation
from gallery import Findings
from validation.plotting import figures

found = Findings()
plane = validation.Plane.log(gamma=(1e-5, 1e5), eta=(1e-12, 1e3), per_decade=(51, 34))
experiments = {"(a) squared error": toymodels.ToyExperiment(toymodels.OneParameter(depth=5), loss="mse", steps=1000),
               "(b) cross-entropy": toymodels.ToyExperiment(toymodels.OneParameter(depth=5), loss="cross_entropy", steps=1000)}

# %%
# The outcome of every run, with the predicted edges; no line is fitted.

figure, portraits = figures.blank(11.5, 4.4), {}
figure.set_label("Two phase portraits over richness and learning rate, with a band of converged runs between the predicted edges")
for ax, (title, experiment) in zip(figure.subplots(1, 2), experiments.items(), strict=True):
    predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)
    portraits[title] = validation.sweep(experiment, plane)
    validation.plot_portrait(portraits[title], predictions, ax=ax)
    ax.set_title(title)
figure.axes[0].get_legend().remove()   # the right one serves both

# %%
# The edges are bisected at more gammas, power laws are fitted where the theory's own local exponent has settled, and each is
# judged against the predicted slope over the same gammas.

for title, experiment in experiments.items():
    predictions = toymodels.predict(experiment.model, experiment.loss, experiment.optimizer)
    edges = validation.trace(experiment, plane.gamma[::6], list(predictions))
    assessments = validation.assess(edges, predictions)
    for a in assessments:
        found.add_verdict(f"6{title[1]}", f"exponent of {a.edge}, {a.regime}", a.verdict)
    limits = {(a.edge, a.regime): a.limit for a in assessments}
    assert limits["eta_max", "lazy"] == limits["eta_min", "lazy"] == 2
    assert limits["eta_min", "rich"] == 1
    assert limits["eta_max", "rich"] * experiment.model.depth == 2

# %%
# Where the lazy model begins to diverge under cross-entropy is read from the portrait.

first = validation.fit(validation.locate(portraits["(b) cross-entropy"]), "eta_div", window=(1e-5, 1e-2))
found.add_verdict("6b", "exponent of the first rate that diverges, lazy", validation.judge(first, 1))
found.demand()

# %%
# Measured edges, fits and predictions for cross-entropy, with the residuals in decades.

figure = figures.plot_edges(edges, [a.fit for a in assessments], predictions, [a.verdict for a in assessments])
figure.set_label("The two measured edges over richness on their predicted curves, and the residuals, hundredths of a decade")

# %%
# The plane, computed in your browser wherever you zoom:
#
# .. explorer:: figure-6
