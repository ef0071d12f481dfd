"""Draws a sweep of networks, judged: runs by outcome, brackets of the best rate, and the fitted law, of Adam in two parametrizations."""

from pathlib import Path

import matplotlib.pyplot as plt

import validation
from validation.plotting.run_points import draw_runs_and_laws

FILE = next(p / "docs" / "data" / "kept" / "width_sweep.csv" for p in Path(validation.__file__).parents if (p / "docs").is_dir())

runs = validation.read_runs(FILE, "width", "lr", "train_loss", "state", "seed", ["optimizer", "parametrization"])
adam = [judged for judged in validation.judge_runs(runs, claim=0) if "adam" in judged.group]
figure, axes = plt.subplots(1, 2, figsize=(8.0, 3.6), layout="constrained")
for ax, judged in zip(axes, adam, strict=True):
    draw_runs_and_laws(ax, judged)
    ax.set_title(judged.group, fontsize="medium")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize="small")
