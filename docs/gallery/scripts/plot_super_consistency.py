r"""
Super-consistency: sharpness in time at every width and depth
=============================================================

Noci et al. (arXiv 2402.17457) claim that learning rates transfer under muP because the sharpness, the largest eigenvalue of the Hessian,
is the same in time at every width, under Depth-muP at every depth, and that neither holds under the NTK parametrization: there wider
networks learn features less, and their curvature grows less.

Here sharpness is :math:`S = N\eta\lambda/2`, so that :math:`S = 1` is the edge of stability, and its curves are :math:`s` decades apart:
the standard deviation over widths of :math:`\log_{10} S`, late in training, less the scatter of seeds
(`deepnets.phenomena.size_spread`). The interval is the jackknife's over seeds. Widths count as together where :math:`s \le 0.1`. How far
the best :math:`\eta` moves is measured by `deepnets.transfer_check`; `deepnets.phenomena.super_consistency` does both in one call.

The networks: an MLP of ReLUs, a ResNet without norms and a Vision Transformer on scikit-learn's digits, and a causal Transformer on the
bytes of an English text (a page of scikit-learn's documentation). All at :math:`\gamma = 1`, SGD. Under the NTK parametrization
:math:`\gamma` and :math:`\eta` are kept as they are at the smallest width, which in muP's units is the line
:math:`\gamma \propto N^{-1/2}`.
"""

from pathlib import Path

import numpy as np
import xarray as xr

import deepnets
from deepnets import phenomena
from gallery import Findings, cache_on_disk, keep, over_seeds, shades
from validation.plotting import figures
from validation.plotting.style import label_decades

scale = globals().get("scale", "small")
found = Findings()

# %%
# The MLP is trained while this page is built. The other networks take minutes: they were trained by ``lazyrich figure super-consistency
# --scale measured``, and their curves are kept in ``docs/data/kept``.
#
# Each row: architecture, widths, rate, steps, samples, seeds, parametrizations. The rates are a few times below the best one, at which
# every width is at the edge of stability and the curves cannot differ. The scans for the best rate have the same columns; they try 0.63 to
# 40 times the rate. The small scale leaves out the ResNet under NTK, and scans the rates of the MLP alone.

if scale == "small":
    rows = (("MLP", (16, 32, 64, 128), 8.0, 60, 32, 4, ("mup", "ntk")),
            ("ResNet", (4, 8, 16, 32), 10.0, 80, 32, 6, ("mup",)),
            ("ViT", (16, 32, 64, 128), 0.8, 80, 32, 6, ("mup", "ntk")),
            ("language model", (8, 16, 32), 0.04, 20, 8, 3, ("mup", "ntk")),
            ("language model, longer", (16, 32, 64, 128), 0.15, 80, 8, 3, ("mup", "ntk")))
    scans = rows[:1]
else:
    rows = (("MLP", (64, 128, 256, 512, 1024), 8.0, 1000, 128, 4, ("mup", "ntk")),
            ("ResNet", (16, 32, 64, 128), 10.0, 1000, 128, 3, ("mup", "ntk")),
            ("ViT", (64, 128, 256, 512), 0.5, 1000, 128, 3, ("mup", "ntk")),
            ("language model", (64, 128, 256, 512), 0.04, 1000, 64, 3, ("mup", "ntk")),
            ("language model, longer", (64, 128, 256, 512), 0.15, 1000, 64, 3, ("mup", "ntk")))
    scans = rows[:4]


def network(architecture, width, parametrization):
    """Return the specification."""
    if architecture == "MLP":
        return deepnets.MLP(64, width, 3, 10, parametrization=parametrization)
    if architecture == "ResNet":
        return deepnets.ResNet((1, 8, 8), width, 10, blocks=(1,), norm="none", parametrization=parametrization)
    if architecture == "ViT":
        return deepnets.ViT((1, 8, 8), width, 10, blocks=1, mlp_ratio=2, parametrization=parametrization)
    return deepnets.Transformer(256, 16, width, blocks=1, mlp_ratio=2, parametrization=parametrization)


def training(architecture, steps, batch):
    """Return the task, and how it is trained on."""
    import sklearn

    words = architecture.startswith("language model")
    written = Path(sklearn.__file__).parent / "datasets" / "descr" / "twenty_newsgroups.rst"
    task = deepnets.tasks.text(str(written), context=16) if words else deepnets.tasks.digits()
    return task, {"steps": steps, "batch_size": batch, "loss": "cross_entropy" if words else "mse"}


def unit_of(parametrization, widths):
    """Return gamma**2 and eta of muP's 1 at the smallest width."""
    return widths[0] if parametrization == "ntk" else 1


def measure(architecture, parametrization, widths, eta, steps, batch, seeds):
    """Return sharpness (seed, width, step)."""
    task, how = training(architecture, steps, batch)
    unit, at, rows = unit_of(parametrization, widths), [0, steps // 2, 3 * steps // 4, steps], []
    experiments = [deepnets.DeepExperiment(network(architecture, n, parametrization), task, **how) for n in widths]
    for seed in range(seeds):
        runs = [phenomena.watch(experiment, unit**0.5, unit * eta, at, {"sharpness": phenomena.measures.sharpness()},
                                seed).sharpness.isel(run=0, drop=True) for experiment in experiments]
        rows.append(xr.concat(runs, "width"))
    return xr.Dataset({"sharpness": xr.concat(rows, "seed").transpose("seed", "width", "step")}, {"width": list(widths)})


@cache_on_disk
def scan(architecture, parametrization, widths, eta, steps, batch, seeds):
    """Return the best eta (seed, width), in muP's units at the smallest width."""
    task, how = training(architecture, steps, batch)
    unit = unit_of(parametrization, widths)
    check = deepnets.transfer_check(lambda n: network(architecture, n, parametrization), task, widths, unit**0.5,
                                    unit * eta * np.logspace(-0.2, 1.6, 13), seeds=tuple(range(seeds)), **how)
    return xr.Dataset({"best": (("seed", "width"), check.data["value"].values[0] / unit)}, {"width": list(widths)})


live, stored = cache_on_disk(measure), keep(measure)
runs = {(row[0], p): (live if row[0] == "MLP" else stored)(row[0], p, *row[1:6]) for row in rows for p in row[6]}
scanned = {(row[0], p): scan(row[0], p, *row[1:6]) for row in scans for p in row[6]}

# %%
# How far apart the curves are, and how far the best rate moves.

apart = {key: phenomena.size_spread(run.sharpness) for key, run in runs.items()}
for (name, parametrization), one in apart.items():
    label = "muP" if parametrization == "mup" else "NTK"
    found.check_interval("super-consistency", f"{name}, {label}: decades between widths", one.spread, one.interval,
                         **({"high": 0.1} if parametrization == "mup" else {"low": 0.1}))
for (name, parametrization), one in scanned.items():
    slopes = [np.polyfit(np.log2(one.width.values), np.log10(best), 1)[0] for best in one.best.values]
    found.check_interval("super-consistency", f"{name}, {'muP' if parametrization == 'mup' else 'NTK'}: best eta, decades a doubling",
                         *over_seeds(slopes), **({"low": -0.05, "high": 0.05} if parametrization == "mup" else {"low": 0.05}))

# %%
# Under muP the curves of the MLP, the ResNet and the ViT are together; those of the MLP and the ViT fan out under NTK. (For the ResNet and
# the ViT preliminary runs of 20 steps and three seeds decided nothing.) The language model's curves are together under muP and apart under
# NTK from the first step on: at a rate of 0.04 its curvature hardly changes in 20 steps. At 0.15 and over 80 steps it sharpens, the more
# the wider it is: under muP too its widths are more than a tenth of a decade apart, though the interval does not decide, and even further
# under NTK.
#
# Under NTK the best rate of the MLP moves; under muP it stays. Networks of the other architectures as small as these decide nothing under
# muP, with 80 steps and four to six seeds: their intervals reach beyond a twentieth of a decade a doubling.

assert all(apart[name, "mup"].spread < apart[name, "ntk"].spread for name, p in runs if p == "ntk")

# %%

figure = figures.blank(13, 3.7)
figure.set_label("Sharpness over steps for several widths and four architectures: curves under muP lie together, under NTK they fan out")
axes = figure.subplots(1, len(rows), sharey=True)
for ax, row in zip(axes, rows, strict=True):
    for parametrization, style in (("mup", "o-"), ("ntk", "s:")):
        if (row[0], parametrization) not in runs:
            continue
        run = runs[row[0], parametrization]
        for n, colour in zip(row[1], shades(len(row[1])), strict=True):
            ax.semilogy(run.step, 10 ** np.log10(run.sharpness.sel(width=n)).mean("seed"), style, color=colour, ms=3.5, lw=1.3)
    ax.set(title=f"{row[0]}\n$N = {row[1][0]}$ to ${row[1][-1]}$", xlabel="step $t$")
    ax.title.set_fontsize(10)
    label_decades(ax, "y")
axes[0].set_ylabel(r"$S = N\eta\lambda/2$")
for style, label in (("o-", "muP"), ("s:", "NTK")):
    axes[1].plot([], [], style, color="0.3", ms=3.5, lw=1.3, label=label)
axes[1].legend(frameon=False, loc="lower left", title="dark to light: $N$ grows")

# %%
# Depth: a residual MLP under Depth-muP, whose branches are scaled down by the root of their number, and under muP, which leaves them as
# they are; :math:`\gamma = 1`. Each is watched at a rate below the best of all of its depths. Depths count as together where
# :math:`s \le 0.2`.


@cache_on_disk
def in_depth(parametrization, width, blocks, eta, steps, batch, seeds):
    """Return sharpness (seed, blocks, step) of residual MLPs."""
    at, rows = [0, steps // 2, 3 * steps // 4, steps], []
    experiments = [deepnets.DeepExperiment(deepnets.ResidualMLP(64, width, n, 10, parametrization=parametrization),
                                           deepnets.tasks.digits(), steps=steps, batch_size=batch) for n in blocks]
    for seed in range(seeds):
        runs = [phenomena.watch(experiment, 1.0, eta, at, {"sharpness": phenomena.measures.sharpness()},
                                seed).sharpness.isel(run=0, drop=True) for experiment in experiments]
        rows.append(xr.concat(runs, "blocks"))
    return xr.Dataset({"sharpness": xr.concat(rows, "seed").transpose("seed", "blocks", "step")}, {"blocks": list(blocks)})


width, blocks, steps, batch = {"small": (24, (2, 3, 5, 8), 40, 32), "paper": (256, (2, 4, 8, 16), 1000, 128)}[scale]
deep = {p: in_depth(p, width, blocks, eta, steps, batch, 3) for p, eta in (("depth_mup", 6.0), ("mup", 0.6))}
spread = {p: phenomena.size_spread(run.sharpness, 0.2) for p, run in deep.items()}
for p, label, claim in (("depth_mup", "Depth-muP", {"high": 0.2}), ("mup", "muP", {"low": 0.2})):
    found.check_interval("super-consistency", f"residual MLP, {label}: decades between depths", spread[p].spread, spread[p].interval,
                         **claim)
assert spread["depth_mup"].spread < spread["mup"].interval[0]
found.demand(undecided=["language model, longer, muP"], stored=["ResNet", "ViT", "language model"])

# %%
# Under Depth-muP depths are closer together than under muP, where deeper networks are sharper from the start.

second = figures.blank(8, 3.4)
second.set_label("Sharpness over steps for several depths: under Depth-muP curves lie together, under muP deeper networks are sharper")
for ax, (p, title) in zip(second.subplots(1, 2, sharey=True), (("depth_mup", "Depth-muP"), ("mup", "muP")), strict=True):
    for n, colour in zip(blocks, shades(len(blocks)), strict=True):
        ax.semilogy(deep[p].step, 10 ** np.log10(deep[p].sharpness.sel(blocks=n)).mean("seed"), "o-", color=colour, ms=3.5, lw=1.3,
                    label=f"{n} blocks")
    ax.set(title=title, xlabel="step $t$")
    label_decades(ax, "y")
second.axes[0].set_ylabel(r"$S = N\eta\lambda/2$")
second.legend(*second.axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
