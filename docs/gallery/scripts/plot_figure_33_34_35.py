r"""
Figures 33, 34 and 35: sharpness over richness and time
=======================================================

The paper's further plots of the Hessian: an MLP under squared error (33), a CNN under cross-entropy, with the five largest eigenvalues
(34), and a residual network in Depth-:math:`\mu`\ P under cross-entropy (35). In each the sharpness at the end changes sharply from a lazy
to a rich power of :math:`\gamma`. Where :math:`\gamma` is large and training young, the paper could not measure it reliably.

The paper's networks learn CIFAR-5M, ours scikit-learn's digits; its residual network is a CNN, ours an MLP with four branches.
"""

import numpy as np

import deepnets
import validation
from deepnets import phenomena, tasks
from gallery import Findings, keep_slow, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
width, channels, residual, steps, seeds = {"small": (32, 8, 32, 600, 3), "paper": (512, 64, 256, 10_000, 3)}[scale]
found = Findings()
networks = {"33": (deepnets.MLP(64, width, 3, 10), "mse", 24),
            "34": (deepnets.CNN((1, 8, 8), channels, 10, convolutions=1), "cross_entropy", 1.5),
            "35": (deepnets.ResidualMLP(64, residual, 4, 10), "cross_entropy", 1.5)}
names = {"33": "MLP, squared error", "34": "CNN, cross-entropy", "35": "residual, cross-entropy"}

# %%
# The rate is the smaller of :math:`c\,\gamma^2`, c half of what is stable at the start, by the sharpness measured there, and of
# :math:`c\,\gamma^{2/L}`, L the number of weight tensors on the longest path (3, 3 and 6), c by the least final loss on a grid of four a
# decade. Eigenvalues are by Lanczos in float64, each with its residual.


@keep_slow
def stable(network, loss, seed, batch):
    """Return the rate over gamma^2 at which a lazy network is at the edge of stability."""
    experiment = deepnets.DeepExperiment(network, tasks.digits(), loss=loss, steps=1, batch_size=batch)
    return phenomena.watch(experiment, 1e-6, 1e-12, (0,), {"sharpness": phenomena.measures.sharpness()}, seed)


@keep_slow
def measure(network, loss, steps, seed, gamma, lazy, rich, at):
    """Return the five largest eigenvalues at the end, the largest of every second run on the way, and the first one's residual."""
    task = tasks.digits()
    experiment = deepnets.DeepExperiment(network, task, loss=loss, steps=steps, batch_size=32)
    gamma = np.asarray(gamma)
    eta = np.minimum(lazy * gamma**2, rich * gamma ** (2 / network.depth))

    def eigenvalues(snapshot):
        last = snapshot.step == at[-1]
        some = np.flatnonzero(last | (snapshot.which % 2 == 1))
        u, batch, k = {n: d[some] for n, d in snapshot.u.items()}, (snapshot.x, snapshot.y), 5 if last else 1
        spectrum = deepnets.spectra(snapshot.module, u, snapshot.gamma[some], batch, loss, k, precision="float64", tolerance=1e-3)
        values = np.full((len(snapshot.which), 6), np.nan)
        values[some, :k] = spectrum.eigenvalues.values / snapshot.gamma[some, None] ** 2
        values[some, 5] = spectrum.residuals.values[:, 0]
        return values

    return phenomena.watch(experiment, gamma, eta, at, {"eigenvalues": eigenvalues}, seed, samples=task.batch(10**6, 0, 64))


gammas = np.logspace(-3.5, 2, 12)
few = gammas[(gammas < 0.02) | (gammas > 3)]
times = np.unique(np.geomspace(1, steps, 6).astype(int)).tolist()
runs = {}
for number, (network, loss, rich) in networks.items():
    lazy = 0.5 / float(stable(network, loss, 0, 256).sharpness[0, 0])
    runs[number] = [measure(network, loss, steps, seed, (gammas if seed == 0 else few).tolist(), lazy, rich,
                         [0, *times] if seed == 0 else [steps]) for seed in range(seeds)]

# %%
# The exponents at the end of training. The prediction of a rich power stands for the MLP and the CNN; for residual networks the paper gives
# none: there we only test whether the power changes, to one that is nearer to that of the longest path, :math:`-2/6`, than to the lazy
# :math:`-2`: the limit is the middle of both. Seeds differ in level, which is taken out before the fit. The MLP's powers are as
# predicted, the lazy one by construction, and the rich one excludes those of the neighbouring depths. Under cross-entropy the sharpness
# falls again as the loss goes to zero, and the powers scatter more: the lazy ones exclude half and twice the claim, the CNN's rich one does
# not exclude :math:`-1/2`, and none of them is decided with three seeds.


def normalize(run):
    """Return the largest eigenvalues at the end over their geometric mean."""
    size = run.eigenvalues.values[-1, :, 0]
    return size / np.exp(np.log(size).mean())


for number, of_seeds in runs.items():
    L = networks[number][0].depth
    for regime, window, claim in (("lazy", (1e-4, 0.02), -2), ("rich", (3, 200), -2 / L)):
        some = [run.isel(run=(run.gamma.values > window[0]) & (run.gamma.values < window[1])) for run in of_seeds]
        size = np.concatenate([normalize(run) for run in some])
        edges = validation.edges_from_brackets(np.tile(some[0].gamma, seeds), size * 0.99, size * 1.01, "sharpness",
                                               np.repeat(np.arange(seeds), some[0].sizes["run"]))
        law, what = validation.fit(edges, "sharpness", window=window), f"{names[number]}: sharpness at the end, {regime}"
        if number == "35" and regime == "rich":
            found.check_interval("35a", what, law.exponent, law.interval, low=-(2 + 2 / L) / 2)
        else:
            found.add_verdict(f"{number}a", what, validation.judge(law, claim), by_construction=regime == "lazy")

# %%

figure = figures.blank(12, 4.2)
figure.set_label("Largest eigenvalues at the end over richness for three networks: slope -2 where lazy, flatter where rich")
for ax, (number, of_seeds) in zip(figure.subplots(1, 3), runs.items(), strict=True):
    for i, colour in enumerate(shades(5)):
        ax.loglog(gammas, of_seeds[0].eigenvalues.values[-1, :, i], "o-" if i == 0 else "-", color=colour, ms=3.5, lw=1.1)
    top, power = of_seeds[0].eigenvalues.values[-1, :, 0], 2 / networks[number][0].depth
    ax.loglog(gammas[:5], 4 * top[0] * (gammas[:5] / gammas[0]) ** -2.0, "--", color="0.3")
    ax.annotate(r"$\gamma^{-2}$", (gammas[3], 6 * top[3]))
    if number != "35":
        ax.loglog(gammas[8:], 4 * top[8] * (gammas[8:] / gammas[8]) ** -power, "--", color="0.3")
        ax.annotate(rf"$\gamma^{{-2/{networks[number][0].depth}}}$", (gammas[9], 8 * top[9]))
    ax.set(title=f"Figure {number}a: {names[number]}", xlabel=r"richness $\gamma$", ylabel=r"$\lambda_1 \ldots \lambda_5$ at the end")
    label_decades(ax, "x", "y")
second = figures.blank(12, 4.2)
second.set_label("Largest eigenvalue over time for three networks: level or falling where lazy; where rich it grows by one to two orders")
for ax, (number, of_seeds) in zip(second.subplots(1, 3), runs.items(), strict=True):
    for i, colour in zip(range(1, len(gammas), 2), shades(6), strict=True):
        sharpness = of_seeds[0].eigenvalues.values[:, i, 0]
        ax.loglog(of_seeds[0].step + 1, sharpness, "o-", color=colour, ms=3, lw=1)
        ax.annotate(rf"$10^{{{np.log10(gammas[i]):.0f}}}$", (0.75, sharpness[0]), va="center", ha="right", color=colour)
    ax.set(title=f"Figure {number}b: {names[number]}", xlabel=r"step + 1; $\gamma$ beside the curves", ylabel=r"$\lambda_1$")
    ax.set_xlim(0.2, steps * 2)
    label_decades(ax, "x", "y")

# %%
# These numbers are reliable at the start and at large :math:`\gamma` too: the residual :math:`|Hv - \lambda v|` of the first eigenvector is
# reported with each of them. There the largest and the smallest eigenvalue have nearly the same modulus, and power iteration, as in
# PyHessian, cannot separate them.
#
# The reason is the split of eq. 3, :math:`H = G + R`. In u-units the Gauss-Newton part does not depend on :math:`\gamma`, and the residual
# part, whose eigenvalues come in pairs of either sign, goes as :math:`\gamma`. At the start this is so by construction, over twelve
# decades; it is measured at the end of training, where the network is lazy and :math:`\eta \propto \gamma^2`.


@keep_slow
def parts(network, loss, steps, seed, gamma):
    """Return G's and R's largest eigenvalues in u-units, and H's largest and smallest, after some steps at half the stable rate."""
    experiment = deepnets.DeepExperiment(network, tasks.digits(), loss=loss, steps=steps, batch_size=32)
    eta = 20 * np.asarray(gamma) ** 2 if steps > 1 else np.full(len(gamma), 1e-30)

    def largest(snapshot, part, which="largest"):
        return deepnets.spectra(snapshot.module, snapshot.u, snapshot.gamma, (snapshot.x, snapshot.y), loss, 1, part, which,
                                precision="float64", tolerance=1e-3).eigenvalues.values

    def eigenvalues(snapshot):
        return np.c_[largest(snapshot, "gauss_newton"), largest(snapshot, "residual"), largest(snapshot, "hessian", "both")]

    return phenomena.watch(experiment, gamma, eta, (steps if steps > 1 else 0,), {"eigenvalues": eigenvalues}, seed)


wide = np.logspace(-8, 4, 7)
small = np.logspace(-8, -2, 4)
network = networks["33"][0]
start = {loss: [parts(network, loss, 1, seed, wide.tolist()) for seed in range(seeds)] for loss in ("mse", "cross_entropy")}
end = {"mse": [parts(network, "mse", 100, seed, small.tolist()) for seed in range(seeds)]}
for number, loss, when, runs_at in (("33", "mse", "start", start), ("33", "mse", "end", end), ("34", "cross_entropy", "start", start)):
    for i, part, claim in ((0, "G", 0), (1, "R", 1)):
        size = np.concatenate([run.eigenvalues.values[0, :, i] for run in runs_at[loss]])
        edges = validation.edges_from_brackets(np.tile(runs_at[loss][0].gamma, seeds), size * 0.999, size * 1.001, part,
                                               np.repeat(np.arange(seeds), runs_at[loss][0].sizes["run"]))
        verdict = validation.judge(validation.fit(edges, part, window=(1e-9, 1e6)), claim)
        found.add_verdict(number, f"{part} in u-units, MLP, {loss}, {when}", verdict, by_construction=when == "start")
worst = float(max(of_seeds[0].eigenvalues[:, :, 5].max() for of_seeds in runs.values()))
found.check("33b", "largest residual over its eigenvalue, all snapshots of 33b, 34b, 35b", worst, high=2e-3)
signs = [float(run.eigenvalues[0, -1, 3] / run.eigenvalues[0, -1, 2]) for run in start["mse"]]
found.check("33b", "smallest over largest eigenvalue, start, gamma = 1e4", signs, -1.2, -0.8)
found.demand(identity=["MLP, squared error: sharpness at the end, lazy", "mse, start", "cross_entropy, start"],
             undecided=["CNN, cross-entropy: sharpness", "residual, cross-entropy: sharpness at the end, lazy"],
             stored=["34a", "35a"])

# %%

third = figures.blank(9, 4)
third.set_label("Largest eigenvalues of both parts in u-units over richness at the start: G is constant, R grows in proportion")
for ax, (loss, of_seeds) in zip(third.subplots(1, 2, sharey=True), start.items(), strict=True):
    for i, name, style, colour in ((0, "$G$", "s-", "C0"), (1, "$R$", "^-", "C1"), (2, "$H$", "o:", "0.2")):
        ax.loglog(wide, of_seeds[0].eigenvalues.values[0, :, i], style, color=colour, ms=4, lw=1.2, label=name)
    ax.set(title=loss.replace("mse", "squared error").replace("_", "-"), xlabel=r"$\gamma$")
    label_decades(ax, "x", "y")
    ax.legend(frameon=False)
third.axes[0].set_ylabel(r"largest eigenvalue in $u$-units, at the start")
