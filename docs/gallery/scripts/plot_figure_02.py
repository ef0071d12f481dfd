r"""
Figure 2: online losses and final accuracies across richness
============================================================

(a) The paper claims that a rich network's online loss falls by a steeper power of time than a lazy one's, that the power stays the same
when :math:`\gamma` grows beyond some threshold, and that at very large :math:`\gamma` the loss begins with a long plateau. (b) Given time,
a larger :math:`\gamma` generalises as well as :math:`\gamma = 1` or better, with diminishing returns.

Its network is a CNN on CIFAR-5M, at the second largest rate that converges. Here a smaller CNN sees scikit-learn's digits, every sample
newly warped, for far fewer steps, at the best rate. Slopes are also measured of MLPs on MNIST and on data with a power law, where the
kernel predicts them.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import xarray as xr

import deepnets
import validation
from deepnets import phenomena
from deepnets.curvature.lanczos import quadrature
from deepnets.kernels.training_kernel import TrainingKernel
from gallery import Findings, keep, keep_slow, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
channels, batch_size, steps, seeds = {"small": (16, 16, 1200, 3), "paper": (64, 256, 20_000, 3)}[scale]
cnn = deepnets.CNN((1, 8, 8), channels, 10)
found = Findings()

# %%
# The line of the best rate is :math:`\eta = c\,\gamma^2` where lazy and :math:`c\,\gamma^{2/L}` where rich, :math:`L = 4`. Its two
# prefactors minimize the final loss at :math:`\gamma = 10^{-2}` and :math:`10`, on a seed that is not used again.


@keep_slow
def scan(network, steps, batch_size, factors):
    """Return the loss relative to the zero output's, averaged over the last twenty steps, by regime and prefactor."""
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(elastic=True), steps=steps, batch_size=batch_size)
    gamma, power = np.repeat([1e-2, 10.0], len(factors)), np.repeat([2, 2 / network.depth], len(factors))
    run = phenomena.watch(experiment, gamma, np.tile(factors, 2) * gamma**power, at=(0,), observe={}, seed=100)
    end = run.loss[-20:].mean("time") / run.zero_output_loss[-20:].mean("time")
    return xr.Dataset({"excess": (("regime", "factor"), end.values.reshape(2, -1))}, {"factor": factors})


factors = np.logspace(1, 2, 5)
end = scan(cnn, steps // 3, batch_size, factors.tolist()).excess
lazy, rich = (float(c) for c in factors[end.fillna(np.inf).argmin("factor").values])
print(f"c = {lazy:.3g} lazy, {rich:.3g} rich")

# %%


def accuracy(snapshot):
    """Return the share of held-out digits whose largest output is that of their class, (run,)."""
    return (snapshot.runs.outputs(snapshot.x).argmax(-1) == snapshot.y.argmax(-1)).double().mean(-1).numpy()


@keep_slow
def measure(network, steps, batch_size, gamma, lazy, rich, seeds):
    """Return losses relative to the zero output's, and accuracies, for every seed, step and gamma."""
    digits = deepnets.tasks.digits(elastic=True)
    experiment = deepnets.DeepExperiment(network, digits, steps=steps, batch_size=batch_size)
    gamma, at = np.asarray(gamma), [steps // 10, 3 * steps // 10, steps]
    eta = np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / network.depth))
    runs = [phenomena.watch(experiment, gamma, eta, at, {"accuracy": accuracy}, seed, digits.held_out()) for seed in range(seeds)]
    return xr.concat([run.assign(loss=run.loss / run.zero_output_loss) for run in runs], "seed")


gamma = np.logspace(-3, 3, 7)
run = measure(cnn, steps, batch_size, gamma.tolist(), lazy, rich, seeds)
loss = run.loss.transpose("seed", "run", "time").values[..., 1:]
t = 1 + np.arange(steps)

# %%
# Slopes over the last decade of time, fitted for each seed, with the interval over seeds. The values of the slopes are specific to these
# data, where warps add little variety; the claim is that they differ. The threshold is not visible yet: in so short a time a larger
# :math:`\gamma` is still catching up after its longer plateau, and its slope is steeper for that reason.

slopes = {g: [validation.fit_loss_slope(one, t, (steps / 10, steps)).exponent for one in loss[:, i]] for i, g in enumerate(gamma[:6])}
found.check("2a", "slope of the loss at gamma = 10 less that at 1e-3", np.subtract(slopes[10], slopes[1e-3]), high=-0.1)
found.check("2a", "slope of the loss at gamma = 1e-2 less that at 1e-3", np.subtract(slopes[1e-2], slopes[1e-3]), -0.05, 0.05)
found.check("2a", "slope of the loss at gamma = 100 less that at 10", np.subtract(slopes[100], slopes[10]), -0.1, 0.1)
assert found.rows[2].measured < 0

# %%
# Accuracies on held-out digits, which are not warped, with the standard deviation over seeds. The final accuracy at :math:`\gamma = 100`
# exceeds that of a lazy network. At :math:`\gamma = 1000` the accuracy is far behind at first.

tall = run.accuracy.transpose("seed", "step", "run").values
found.check("2b", "last accuracy at gamma = 100 less that at 1e-3", tall[:, -1, 5] - tall[:, -1, 0], low=0)
found.check("2b", f"accuracy at gamma = 1000 less that at 1, after {steps // 10} steps", tall[:, 0, 6] - tall[:, 0, 3], high=-0.05)

# %%
# Given time: the same networks after five times as many steps, ten seeds, measured once (``lazyrich figure 2 --scale measured``). Networks
# of one seed share their initial weights and their batches, so that differences are paired. **Limits, set before the run:** as well or
# better is a loss of accuracy of at most 0.01, three of 297 digits; diminishing returns are a gain from 1 to 10 that is no smaller than
# that from 10 to 1000.


@keep
def measure_longer(network, steps, batch_size, gamma, rich, seeds):
    """Return the final accuracies on held-out digits, (seed, gamma)."""
    experiment = deepnets.DeepExperiment(network, deepnets.tasks.digits(elastic=True), steps=steps, batch_size=batch_size,
                                         seeds=tuple(range(seeds)), device="cpu")
    gamma = np.asarray(gamma)
    portrait = experiment.measure(gamma, rich * gamma[:, None] ** (2 / network.depth))
    return xr.Dataset({name: (("seed", "gamma"), portrait[name].values[..., 0]) for name in ("final_accuracy", "final_excess")},
                      {"gamma": gamma})


longer = measure_longer(cnn, 5 * steps, batch_size, [1.0, 10.0, 100.0, 1000.0], rich, 10)
for g in (10.0, 100.0, 1000.0):
    gain = (longer.final_accuracy.sel(gamma=g) - longer.final_accuracy.sel(gamma=1.0)).values
    found.check("2b", f"given time: last accuracy at gamma = {g:g} less that at 1", gain, low=-0.01)
first, then = (longer.final_accuracy.sel(gamma=g).values for g in (1.0, 1000.0))
middle = longer.final_accuracy.sel(gamma=10.0).values
found.check("2b", "given time: gain of accuracy from gamma = 1 to 10 less that from 10 to 1000", 2 * middle - first - then, low=0)
# Ten seeds decide neither: the intervals are as wide as the margin or wider.

bins = np.unique(np.geomspace(1, steps + 1, 45).astype(int))
centres = np.sqrt(bins[:-1] * (bins[1:] - 1))
figure = figures.blank(12.5, 4.6)
figure.set_label("Left, losses over steps: lazy slow, rich steep after a plateau. Right, accuracy over richness at three times")
left, right = figure.subplots(1, 2)
for i, (g, colour) in enumerate(zip(gamma, shades(len(gamma)), strict=True)):
    means = np.add.reduceat(loss[:, i].mean(0), bins[:-1] - 1) / np.diff(bins)
    left.loglog(centres, means, color=colour, ls=("-", "--")[i % 2], lw=1.5, label=rf"$10^{{{np.log10(g):.0f}}}$")
for g, above in ((1e-3, 1.12), (10.0, 0.8)):
    power, at = np.mean(slopes[g]), np.array([steps / 10, steps])
    level = above * loss[:, int(np.argmin(abs(gamma - g))), steps // 3:].mean() * (at / (0.63 * steps)) ** power
    left.plot(at, level, color="0.2", lw=0.9, ls=(0, (2, 2)))
    left.annotate(rf"$t^{{{power:.2f}}}$", (1.08 * at[1], level[1]), va="center")
left.set(xlabel=r"steps $t$", ylabel=r"loss $\mathcal{L}/\mathcal{L}(0)$", title="(a)", xlim=(0.8, 3 * steps), ylim=(0.08, 1.3))
label_decades(left, "x")
left.legend(frameon=False, loc="lower left", title=r"$\gamma$", ncols=2)
for i, (colour, mark) in enumerate(zip(shades(3), "o^s", strict=True)):
    right.errorbar(gamma, tall[:, i].mean(0), tall[:, i].std(0, ddof=1), fmt=mark + "-", color=colour, capsize=2, lw=1.2,
                   label=f"{int(run.step[i])} steps")
right.set(xscale="log", xlabel=r"richness $\gamma$", ylabel="held-out accuracy", ylim=(0, 1), title="(b)")
label_decades(right, "x")
right.legend(frameon=False, loc="lower left")

# %%
# Slopes that a theory predicts, and on pictures. "The former slope", the lazy one, "can be predicted from kernel theory", the paper says,
# and "increasing :math:`\gamma` beyond some threshold does not appear to improve the scaling law". A power law needs data with a spectrum
# that is one: inputs of 64 normal numbers whose variances fall as :math:`k^{-4}`, of each of which the teacher returns a multiple, so that
# the mean squares of its 64 outputs fall as :math:`k^{-3/2}`. Gradient flow in a kernel with these eigenvalues has a loss
# :math:`\propto t^{-1/8}` as long as modes remain; the curve of the student's own kernel at initialization is computed for each seed. The
# students are MLPs of ReLUs, :math:`L = 3`, :math:`N = B = 64`; on the digits of MNIST, every one newly warped, MLPs of width 128,
# :math:`B = 32`. 10 000 steps, five seeds, measured once (``lazyrich figure 2 --scale measured``).
#
# **Limits, set before the runs.** A slope is fitted from five times the time at which the richest network has lost a tenth of its loss to
# the end: from 1000 steps on for the teacher, from 1500 on MNIST, with the drop times of a seed that is not used again. A
# :math:`\gamma` counts whose networks of every seed drop in a fifth of that. On the same seed, in a tenth of the steps, the slopes of
# lazy and rich students of the teacher differed by about 0.06: the tolerance is half of that, 0.03, for the kernel's prediction, for the
# difference of rich and lazy, and for the threshold. Beyond it, from :math:`\gamma = 10` on, slopes are no steeper by more than 0.03. On
# MNIST, where no such gap was measured before, it is 0.1, as above. The rates: a sixteenth (MNIST: a half) of the kernel's
# :math:`\eta_{\mathrm{crit}}` where lazy, :math:`3 \gamma^{2/3}` (MNIST: :math:`10 \gamma^{2/3}`) from :math:`\gamma = 1` on.


@dataclass(frozen=True)
class PowerLaw:
    """Normal inputs whose variances fall as k^-a, and a linear teacher whose outputs are multiples of each, of mean squares k^-2c."""

    a: float
    c: float
    dim: int
    classes: ClassVar[int | None] = None

    @property
    def in_shape(self):
        """Shape of an input."""
        return (self.dim,)

    @property
    def out_features(self):
        """The number of outputs."""
        return self.dim

    def _draw(self, key, size):
        k = np.arange(1, self.dim + 1.0)
        normal = np.random.default_rng(key).standard_normal((size, self.dim))
        x, y = (normal * scale / np.sqrt(np.mean(scale**2)) for scale in (k ** (-self.a / 2), k**-self.c))
        return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.float32))

    def batch(self, seed, step, size):
        """Return x and y, both (size, dim)."""
        return self._draw((1, seed, step), size)

    def held_out(self):
        """Return 1024 held-out samples."""
        return self._draw((2,), 1024)

    def describe(self):
        """Return the task as JSON."""
        return {"name": "power law", "a": self.a, "c": self.c, "dim": self.dim}


def predict_losses(experiment, samples, seed, level, times):
    """Return the loss over its first one after `times` steps of gradient descent in the kernel at initialization, eta = level gamma^2."""
    (x, y), module = samples, experiment.theta_0(seed)
    kernel = TrainingKernel(module, x, experiment.recipe(module).rates)
    rates, weights = quadrature(lambda v: kernel(v[0])[None] / y.numel(), y.reshape(1, -1), 200)
    return (1 - level * rates[0].clip(0)) ** (2 * times[:, None]) @ (weights[0] / weights[0].sum())


@keep
def measure_slopes(data, width, steps, batch_size, gamma, part, rich, window, seeds):
    """Return slopes, drop times and mean losses over (seed, gamma), and for the teacher the slope and loss that the kernel predicts."""
    task = PowerLaw(4.0, 0.75, 64) if data == "power law" else deepnets.tasks.mnist(elastic=True)
    network = deepnets.MLP(int(np.prod(task.in_shape)), width, 3, task.out_features)
    experiment = deepnets.DeepExperiment(network, task, steps=steps, batch_size=batch_size, seeds=(100,), device="cpu")
    gamma, t = np.asarray(gamma), 1 + np.arange(steps)
    lazy = part * deepnets.levels(experiment)["eta_crit"].level(steps, 0.5)
    ends = np.unique(np.geomspace(1, steps + 1, 60).astype(int))
    middles = np.sqrt(ends[:-1] * (ends[1:] - 1.0))
    runs = []
    for seed in range(seeds):
        run = phenomena.watch(experiment, gamma, np.where(gamma < 1, lazy * gamma**2, rich * gamma ** (2 / 3)), (0,), {}, seed)
        loss = (run.loss / run.zero_output_loss).transpose("time", "run").values[1:]
        means = np.lib.stride_tricks.sliding_window_view(loss, 10, axis=0).mean(-1)
        found = {"slope": ("gamma", [validation.fit_loss_slope(one, t, tuple(window)).exponent for one in loss.T]),
                 "drop": ("gamma", np.where((means < 0.9).any(0), (means < 0.9).argmax(0) + 5.0, np.inf)),
                 "loss": (("time", "gamma"), np.add.reduceat(loss, ends[:-1] - 1)[:len(middles)] / np.diff(ends)[:, None])}
        if data == "power law":
            predicted = predict_losses(experiment, task.batch(seed, steps, 1024), seed, lazy, middles)
            inside = middles >= window[0]
            found |= {"predicted_loss": ("time", predicted),
                      "predicted_slope": np.polyfit(np.log(middles[inside]), np.log(predicted[inside]), 1)[0]}
        runs.append(xr.Dataset(found, {"gamma": gamma, "time": middles}))
    return xr.concat(runs, "seed").assign_attrs(lazy=lazy)


powers = {"power law": measure_slopes("power law", 64, 10_000, 64, [1e-3, 1e-2, 1.0, 10.0, 100.0, 1000.0], 1 / 16, 3.0, [1000, 10_000], 5),
          "MNIST": measure_slopes("MNIST", 128, 10_000, 32, [1e-3, 1e-2, 1.0, 10.0, 100.0, 1000.0], 1 / 2, 10.0, [1500, 10_000], 5)}
for data, within, latest in (("power law", 0.03, 200), ("MNIST", 0.1, 300)):
    each = powers[data]
    counts = [g for g in each.gamma.values if (each["drop"].sel(gamma=g) <= latest).all()]
    print(f"{data}: gammas that count: {', '.join(f'{g:g}' for g in counts)}; mean slopes "
          f"{', '.join(f'{m:.3f}' for m in each.slope.sel(gamma=counts).mean('seed').values)}")
    if data == "power law":
        found.check("2a", "power law: slope at gamma = 1e-3 less the kernel's prediction",
                    (each.slope.sel(gamma=1e-3) - each.predicted_slope).values, -within, within)
    found.check("2a", f"{data}: slope at gamma = 10 less that at 1e-3", (each.slope.sel(gamma=10) - each.slope.sel(gamma=1e-3)).values,
                high=-within)
    for g in (g for g in counts if g > 10):
        found.check("2a", f"{data}: slope at gamma = {g:g} less that at 10, claimed no steeper",
                    (each.slope.sel(gamma=g) - each.slope.sel(gamma=10)).values, low=-within)

# %%
# Kernel theory predicts the lazy slope, to 0.01. Rich networks fall by a steeper power, on the teacher's data and on MNIST, and from
# :math:`\gamma = 10` to :math:`10^3` the power of the teacher's students stays; at 100 seeds scatter too much to decide. On MNIST it stays
# within the tolerance, though it surely does get steeper, by 0.07 at :math:`10^3`: there the loss is still catching up after its plateau.

found.demand(undecided=["2a: slope of the loss at gamma = 100 less that at 10", "given time: last accuracy", "given time: gain of accuracy",
                        "power law: slope at gamma = 100 less that at 10"], stored=["given time", "power law", "MNIST"])

third = figures.blank(11, 4.2)
third.set_label("Losses over steps for a power-law teacher and MNIST: lazy ones fall by a small power, rich ones by one steeper power")
for ax, (data, each) in zip(third.subplots(1, 2), powers.items(), strict=True):
    for i, (g, colour) in enumerate(zip(each.gamma.values, shades(each.sizes["gamma"]), strict=True)):
        ax.loglog(each.time, each["loss"].isel(gamma=i).mean("seed"), color=colour, ls=("-", "--")[i % 2], lw=1.4,
                  label=rf"$10^{{{np.log10(g):.0f}}}$")
    if "predicted_loss" in each:
        ax.loglog(each.time, each.predicted_loss.mean("seed"), ":", color="0.1", lw=2, label="kernel")
    ax.axvspan({"power law": 1000, "MNIST": 1500}[data], 10_000, color="0.93", lw=0)
    ax.set(title={"power law": "teacher with a power law", "MNIST": "MNIST"}[data], xlabel=r"steps $t$", xlim=(1, 10_000))
    ax.legend(frameon=False, loc="lower left", title=r"$\gamma$", ncols=2)
third.axes[0].set_ylabel(r"loss $\mathcal{L}/\mathcal{L}(0)$")
for ax in third.axes:
    ax.set_ylim(0.08, 1.2)
    label_decades(ax, "y")
