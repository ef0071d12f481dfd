r"""
Figure 7: samples of a generator
================================

The paper's networks learn from MNIST-1M, a million digits drawn from a diffusion model that was trained on MNIST; its figure shows one
of each class. It observes that "training accuracy on MNIST-1M meaningfully transfers to the original MNIST".

``lazyrich make-mnist1m`` makes such files, which takes too long for a page of this site. Here the same code draws 8 x 8 digits: a small
denoiser is trained for some seconds on 1500 digits of scikit-learn, and never sees the other 297.
"""

import numpy as np
import torch
import xarray as xr

import deepnets
from deepnets import diffusion
from deepnets.tasks.image_task import load_source
from gallery import Findings, keep
from validation.plotting.image_sheet import plot_sheet

scale = globals().get("scale", "small")
source, count = {"small": ("digits", 1000), "paper": ("mnist", 60_000)}[scale]
training = {"small": {"steps": 300, "batch_size": 64, "width": 16, "rate": 2e-3}, "paper": {}}[scale]
device = {"small": "cpu", "paper": "cuda"}[scale]
found = Findings()

# %%
# Three denoisers are trained, and equally many images of each class are drawn. Three MLPs of three layers judge them: one is trained on
# real digits and classifies the drawn ones; one is trained on drawn digits and classifies real ones that neither it nor the generator has
# seen; one is trained on real digits and classifies the same.


def originals(source):
    """Return the images to learn from."""
    return diffusion.from_digits() if source == "digits" else diffusion.from_idx()


def unseen(source):
    """Return real images (n, side, side), 0 to 255, that no generator has seen, and their labels."""
    from deepnets.tasks.scikit_digits import HELD_OUT, load_in_random_order

    if source == "digits":
        x, y = load_in_random_order()
        return x[-HELD_OUT:].reshape(-1, 8, 8) * (255 / 16), y[-HELD_OUT:]
    task = deepnets.tasks.mnist()
    x, y = load_source(task.read, task.path)[0].held_out()
    return x[:, 0], y


def accuracy(shown, held_out, seed, device):
    """Return the share of held-out images that an MLP classifies correctly after training on those shown; both (images, labels)."""
    parts = [[(torch.from_numpy(np.asarray(x, np.float32).reshape(len(x), -1) / 127.5 - 1), torch.from_numpy(y))]
             for x, y in (shown, held_out)]
    task = deepnets.tasks.from_loader(*parts)
    network = deepnets.MLP(task.in_shape[0], 64, 3, 10)
    experiment = deepnets.DeepExperiment(network, task, "cross_entropy", steps=400, batch_size=64, seeds=(seed,), device=device)
    return float(experiment.measure([1.0], [0.3]).final_accuracy.squeeze())


def nearest(x, real):
    """Return the distance of each image from the nearest real one."""
    x, real = (np.asarray(a, float).reshape(len(a), -1) for a in (x, real))
    squares = (x**2).sum(1)[:, None] + (real**2).sum(1) - 2 * x @ real.T
    return np.sqrt(np.maximum(squares.min(1), 0))


@keep
def generate(source, count, device, seeds, **training):
    """Return the first eighty of the drawn images, three accuracies, and distances from the nearest original, over seeds."""
    real, new, labels = originals(source), unseen(source), np.arange(count) % 10
    images, rows, near = [], [], []
    for seed in range(seeds):
        denoiser = diffusion.train(real, diffusion.Training(seed=seed, **training), device=device)
        x = diffusion.draw_images(denoiser, labels, diffusion.Drawing(steps=15, seed=seed), side=real.side)
        known, ours = (real.x, real.y), (x, labels)
        images.append(x[:80].astype(np.float32))
        rows.append([accuracy(known, ours, seed, device), accuracy(ours, new, seed, device), accuracy(known, new, seed, device)])
        near.append(nearest(x[:1000], real.x))
    return xr.Dataset({"x": (("seed", "image", "row", "column"), np.stack(images)), "accuracy": (("seed", "network"), rows),
                       "near": (("seed", "some"), near), "near_unseen": ("other", nearest(new[0], real.x))})


run, real = generate(source, count, device, 3, **training), originals(source)
rows, side = 8, real.side
columns = [run.x[0].values[label::10][:rows] for label in range(10)]
columns += [np.zeros((rows, side, side)), *(real.x[real.y == label][:rows] for label in range(10))]
figure = plot_sheet(np.stack(columns, 1), [*range(10), "", *range(10)],
                    "drawn                                                                           training digits")
figure.set_label("Eight drawn digits of each class on the left, eight real ones on the right: they resemble each other")

# %%
# A network that is trained on drawn digits classifies unseen real ones nearly as well as one that is trained on real digits: it loses some
# 6% of the accuracy. The drawn digits are not copies: they lie further from the nearest original than unseen digits do. They lie further
# because after some seconds of training the strokes are still rough.

named, learnt, usual = run.accuracy.values.T
found.check("7", "share of drawn digits that a network trained on real ones assigns to the requested class", named, low=0.85)
found.check("7", "accuracy on unseen real digits, trained on drawn over trained on real", learnt / usual, low=0.85)
near = run.near < run.near_unseen.quantile(0.01)
found.check("7", "share of drawn digits nearer to an original than 99 of 100 unseen ones are", near.mean("some").values, high=0.02)
found.demand()
assert (run.near.median("some") > run.near_unseen.median()).all()
