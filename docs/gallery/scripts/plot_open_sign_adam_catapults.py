r"""
Open question: do SignSGD and Adam catapult?
============================================

The paper simulates both optimizers with one parameter, where nothing can catapult, and the two-parameter model under SGD alone. Under SGD a
catapult is a run whose loss rises above its start, by which the kernel falls, until the minimum is flat enough for the rate, and that then
lands: it converges. Does the two-parameter model do so under SignSGD and under Adam?

Ours: **SignSGD never lands. Adam lands, for as long as its second moment remembers the rise, and for another reason than SGD.**
"""

import numpy as np
from scipy.stats import binomtest

import toymodels
import validation
from gallery import Findings, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

found = Findings()
model = toymodels.TwoParameter()
draws = {"small": 4000, "paper": 100_000}[globals().get("scale", "small")]


def draw_runs(optimizer, loss, steps, gamma, ratio, n=draws, seed=0):
    """Return n runs, each at a gamma of its own and at a rate of its own in units of gamma, both drawn log-uniformly."""
    random = np.random.default_rng(seed)
    g = np.sort(10 ** random.uniform(*np.log10(gamma), n))
    eta = g * 10 ** random.uniform(*np.log10(ratio), n)
    return toymodels.ToyExperiment(model, loss, optimizer, steps=steps).measure(g, eta[:, None]).isel(eta=0)


def share(part, whole):
    """Return a share among independent draws and its exact 95% interval (Clopper and Pearson)."""
    k, n = int(part.sum()), int(whole.sum())
    return k / n, tuple(binomtest(k, n).proportion_ci())


# %%
# Both over the plane, at T = 1000. SignSGD oscillates wherever it does not converge. Adam converges after a rise, to the top of the plane
# where the loss is the squared error.

figure = figures.blank(12, 4.4)
figure.set_label("Two portraits: SignSGD oscillates above its band of converged runs, Adam converges again after catapults")
plane = validation.Plane.log(gamma=(1e-4, 1e4), eta=(1e-8, 1e4), per_decade=(20, 20))
for ax, optimizer in zip(figure.subplots(1, 2), ("signsgd", "adam"), strict=True):
    experiment = toymodels.ToyExperiment(model, "mse", optimizer)
    validation.plot_portrait(validation.sweep(experiment, plane), toymodels.predict(model, "mse", optimizer), ax=ax)
    ax.set_title({"signsgd": "SignSGD", "adam": "Adam"}[optimizer] + ", squared error")
figure.axes[0].get_legend().remove()

# %%
# **SignSGD.** Of the runs whose loss rose above its start, none converged, in draws over nine decades of gamma.

for loss in ("mse", "cross_entropy"):
    runs = draw_runs("signsgd", loss, 1000, (1e-5, 1e4), (0.1, 1e3))
    rose = runs.peak_excess.values > 1
    landed = rose & (runs.tail_excess.values <= 0.01)
    found.check_interval("SignSGD", f"share of risen runs that land, {loss}", *share(landed, rose), high=0.01)

# %%
# Its kernel does fall. Each time the output has passed its target at :math:`u_2 = \eta`, both parameters step back, and
# :math:`u_1` has lost a step: it goes down until :math:`2 u_1 \eta = \gamma`. From there on the run hops between :math:`f \approx 1` and
# :math:`f \approx 2`, for no flatness makes its steps shorter. So, while :math:`\eta^2 \ll \gamma`, the kernel ends at
# :math:`(\gamma/2\eta)^2` of its start, and the loss is back at its start on every other step.

ratio = np.geomspace(2, 10, 15)
gamma = np.geomspace(1e-4, 2e-4, 61)
fallen = toymodels.ToyExperiment(model, "mse", "signsgd", steps=30_000).measure(gamma, gamma[:, None] * ratio)
kernel = fallen.kernel_ratio.values * (1 + gamma[:, None] ** 2)
low, middle, high = np.quantile(kernel, [0.25, 0.5, 0.75], axis=0)
law = validation.fit(validation.edges_from_brackets(ratio, low, high, "kernel", axis="eta/gamma"), "kernel", window=(2, 10))
found.add_verdict("SignSGD", "exponent of the fallen kernel in eta/gamma", validation.judge(law, -2))
found.check("SignSGD", "fallen kernel over (gamma/2 eta)^2", middle * (2 * ratio) ** 2, 0.95, 1.05)
found.demand()

# %%
# **Adam.** Its first step is :math:`\eta` long, whatever the gradient: :math:`f = 2\eta/\gamma`, so the loss rises above its start exactly
# where :math:`\eta > \gamma`, and the lazy catapults begin there. Where the model is rich they begin at about half of
# :math:`\sqrt\gamma`, the exponents :math:`1` and :math:`1/L` that the paper gives Adam's upper edge.

adam = toymodels.ToyExperiment(model, "mse", "adam")
gammas = np.geomspace(1e-5, 1e5, 81)
crit = validation.trace(adam, gammas, "eta_crit", rtol=1e-3, eta=(1e-8, 1e4))
for regime, window, claim in (("lazy", (1e-5, 1e-2), 1), ("rich", (1e1, 1e5), 0.5)):
    found.add_verdict("Adam", f"exponent of eta_crit, {regime}", validation.judge(validation.fit(crit, "eta_crit", window=window), claim))
edge = crit["eta"].sel(edge="eta_crit")
lazy = (edge / edge.gamma).sel(gamma=slice(None, 0.01))
found.check_interval("Adam", "eta_crit over gamma, lazy", float(lazy.mean()), (float(lazy.min()), float(lazy.max())), 0.999, 1.002)

# %%
# Which of those that rose land? At T = 1000, the memory :math:`1/(1-\beta_2)` of the second moment, all lazy ones. In contrast to SGD's,
# they land without having become flat: the rise leaves a large second moment behind, which divides the steps. The kernel of most
# lazy runs (gamma at most 0.001) hardly changes, and that of a rich run ends no lower than gradient flow's.

landing = {}
for name, optimizer, gamma, ratio in (("SGD, lazy", "sgd", (1e-5, 1e-3), None), ("Adam, lazy", "adam", (1e-5, 1e-3), (1.1, 10)),
                                      ("Adam, rich", "adam", (1e1, 1e3), None)):
    if ratio is None:       # SGD's catapults lie between gamma^2 and 2 gamma^2, Adam's rich ones above sqrt(gamma)
        random = np.random.default_rng(1)
        g = np.sort(10 ** random.uniform(*np.log10(gamma), draws))
        eta = g**2 * random.uniform(1.1, 1.9, draws) if optimizer == "sgd" else np.sqrt(g) * random.uniform(1, 3, draws)
        runs = toymodels.ToyExperiment(model, "mse", optimizer).measure(g, eta[:, None]).isel(eta=0)
    else:
        runs = draw_runs(optimizer, "mse", 1000, gamma, ratio)
    rose = runs.peak_excess.values > 1
    landing[name] = (rose & (runs.tail_excess.values <= 0.01), rose, runs.kernel_ratio.values)
landed, rose, _ = landing["Adam, lazy"]
found.check_interval("Adam", "share of risen runs that land, lazy, T = 1000", *share(landed, rose), 0.99)
for name, low, high in (("SGD, lazy", 0.9, np.inf), ("Adam, lazy", -np.inf, 0.5), ("Adam, rich", -np.inf, 0.5)):
    landed, _, kernel = landing[name]
    found.check_interval(name[:4].strip(","), f"share of landed runs whose kernel ended below 0.9 of gradient flow's, {name[-4:]}",
                         *share(landed & (kernel < 0.9), landed), low, high)

# %%
# They stay converged only as long as this memory lasts. Afterwards the gradients are small and so is the second moment: the steps grow
# until the minimum is unstable, and the loss rises again; under cross-entropy sooner. The share of risen runs that are converged at a
# time, over that time in units of the memory:

shares = {}
times = (0.3, 1, 3, 10, 30)
for beta2, loss, before, after in ((0.99, "mse", 2, 3), (0.999, "mse", 2, 3), (0.999, "cross_entropy", 0, 2)):
    runs = draw_runs(toymodels.Adam(0.9, beta2), loss, tuple(round(t / (1 - beta2)) for t in times), (1e-5, 1e-3), (1.1, 10), draws // 4)
    rows = [share((run.tail_excess <= 0.01) & (run.peak_excess > 1), run.peak_excess > 1) for _, run in runs.groupby("horizon")]
    for at, low, high in ((before, 0.6, np.inf), (after, -np.inf, 0.6)):
        found.check_interval("Adam", f"share landed at T = {times[at]}/(1 - beta2), beta2 = {beta2}, {loss}", *rows[at], low, high)
    shares[beta2, loss] = rows
found.demand()

# %%

figure = figures.blank(12, 3.8)
figure.set_label("Left, SignSGD's kernel falls as the rate squared; middle, Adam's onset follows gamma and its root; right, shares of "
                 "landed runs fall when the memory ends")
left, middle_ax, right = figure.subplots(1, 3)
span = np.geomspace(2, 10, 15)
left.loglog(span, middle, "o", color="0.15", ms=4, label="median of 61 gammas")
left.loglog(span, 1 / (2 * span) ** 2, "--", color="0.4", label=r"$(\gamma/2\eta)^2$")
left.set_xticks([2, 3, 5, 10], ["2", "3", "5", "10"])
left.set_yticks([0.003, 0.01, 0.03, 0.06], ["0.003", "0.01", "0.03", "0.06"])
left.minorticks_off()
left.set(xlabel=r"$\eta/\gamma$", ylabel="kernel over its start", title="SignSGD, risen runs")
middle_ax.loglog(gammas, edge.mean("bound"), "o", color="0.15", ms=3, label="traced")
middle_ax.loglog(gammas[gammas < 1], gammas[gammas < 1], "--", color="0.4", label=r"$\gamma$")
middle_ax.loglog(gammas[gammas > 1], 0.46 * gammas[gammas > 1] ** 0.5, "-.", color="0.4", label=r"$0.46\,\gamma^{1/2}$")
middle_ax.set(xlabel=r"$\gamma$", ylabel=r"$\eta_{\rm crit}$", title="Adam, T = 1000")
label_decades(middle_ax, "x", "y")
for ((beta2, loss), rows), colour, mark in zip(shares.items(), shades(3), "os^", strict=True):
    values, ends = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    right.errorbar(times, values, np.clip([values - ends[:, 0], ends[:, 1] - values], 0, 1), fmt=f"{mark}-", color=colour, ms=4, capsize=2,
                   label=rf"$\beta_2 = {beta2}$" + ", cross-entropy" * (loss != "mse"))
right.set(xscale="log", xlabel=r"$T\,(1-\beta_2)$", ylabel="share landed", title="Adam, lazy risen runs", ylim=(-0.03, 1.05))
for ax, place in ((left, "upper right"), (middle_ax, "upper left")):
    ax.legend(frameon=False, loc=place)
right.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.2), fontsize="small")
