"""Train a network at every gamma with the rate and the stopping time tuned, on endless or repeated data, and test it once.

A seed stands for all that may scatter: the initialization, the samples of training, validation and test, and their order. For each seed
and gamma the rate and the stopping time of least validation loss are chosen; only those runs are then made again and tested. Rates are
powers of two times the edge of that gamma, the largest rate at which a run of another seed stays bounded on endless data.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import xarray as xr

from deepnets import MLP, DeepExperiment, tasks
from deepnets.run_outcomes import choose_curve_steps
from deepnets.tasks.elastic_warps import warp_images
from deepnets.tasks.image_task import load_source
from deepnets.tasks.scikit_digits import load_in_random_order
from gallery.sparse_means import SparseMeans, TwoSided
from validation.arguments import Misuse

SEED_OF_EDGES = 1000
RATES = tuple(range(-4, 12))      # powers of two times gamma^2, or gamma^(2/L) where that is less: where edges are searched
BOUNDED = 1.05                    # the largest tail excess of a run below the edge
WARPS = {8: (0.5, 3), 28: (1.0, 5)}      # by the side of an image: displacement in pixels, and lattice, as in `deepnets.tasks`
PAIR = tuple[torch.Tensor, torch.Tensor]
NAMES = ("digits", "single index", "multi-index", "sparse means", "MNIST", "Fashion-MNIST")
SPARSE = SparseMeans()


@dataclass(frozen=True)
class Training:
    """How every run is trained.

    Attributes
    ----------
    width, depth : of the MLP; sparse means have a network of their own, of depth 2.
    steps, batch : T and B. Endless data are T B samples, each used once.
    samples : of repeated data.
    stops : stopping times that are tried, log-spaced up to T.
    """

    width: int = 128
    depth: int = 3
    steps: int = 1000
    batch: int = 32
    samples: int = 512
    stops: int = 13


def draw_data(name: str, seed: int, endless: bool, how: Training) -> tuple[PAIR, PAIR, PAIR]:
    """Return the samples of training, validation and test of a task and seed: inputs (n, D), and class indices (n,) or numbers (n, K)."""
    count = how.steps * how.batch if endless else how.samples
    if name == "sparse means":
        count = how.steps * SPARSE.samples if endless else SPARSE.samples
        return SPARSE.draw(seed, 0, count), SPARSE.draw(seed, 1, 512), SPARSE.draw(seed, 2, 64, noisy=False)
    if name in ("single index", "multi-index"):
        task: Any = tasks.single_index(16, 2) if name == "single index" else tasks.multi_index(16)
        return tuple(task.batch(seed, part, n) for part, n in enumerate((count, 512, 1024)))     # type: ignore[return-value]
    x, y = _load_images(name)
    test, validation = (600, 300) if name == "digits" else (1024, 512)
    source = np.random.default_rng([63, seed])
    order = torch.from_numpy(source.permutation(len(y)))
    pool = order[test + validation:]
    if not endless and len(pool) < count:
        raise Misuse(f"samples must be at most {len(pool)} of {name}, not {count}")
    if len(pool) < count:                                     # every sample is newly warped, and has an image in common with others
        pool = pool[torch.from_numpy(source.integers(0, len(pool), count))]
        shown = torch.cat([warp_images(x[at], source, *WARPS[x.shape[-1]]) for at in pool.split(1000)])
    else:
        pool = pool[:count]
        shown = x[pool]
    rest = [(x[at].flatten(1), y[at]) for at in (order[test:test + validation], order[:test])]
    return (shown.flatten(1), y[pool]), *rest      # type: ignore[return-value]


@lru_cache(maxsize=1)
def _load_images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return all images (n, 1, H, W) of a data set, centred and of unit mean square, and their labels."""
    if name == "digits":
        pixels, labels = (torch.from_numpy(part) for part in load_in_random_order())
        x = pixels - pixels.mean(0)
        return (x / x.square().mean().sqrt()).float().reshape(-1, 1, 8, 8), labels.long()
    if name not in NAMES[-2:]:
        raise Misuse(f"name must be one of {', '.join(NAMES)}, not {name!r}")
    task = tasks.mnist() if name == "MNIST" else tasks.fashion_mnist()
    source, scale = load_source(task.read, task.path)
    (x, y), (x_test, y_test) = source.training, source.test      # type: ignore[attr-defined]
    return scale(np.concatenate([x, x_test])), torch.from_numpy(np.concatenate([y, y_test]))


def build_experiment(name: str, seed: int, shown: PAIR, held_out: PAIR, how: Training,
                     stops: Sequence[int] | None = None) -> DeepExperiment:
    """Return the experiment of one seed; with `stops`, runs are judged at each of them."""
    K = SPARSE.modes
    task = tasks.from_loader([shown], [held_out], classes=None if held_out[1].is_floating_point() else 10)
    network: Any = (lambda seed: TwoSided(K)) if name == "sparse means" else MLP(shown[0].shape[1], how.width, how.depth, task.out_features)
    return DeepExperiment(network, task, steps=how.steps if stops is None else stops, seeds=(seed,), device="auto", curves=how.stops,
                          batch_size=SPARSE.samples if name == "sparse means" else how.batch)


def find_edges(name: str, gamma: Sequence[float], how: Training) -> xr.Dataset:
    """Return `edge` and `gain` of each gamma, and `seconds`.

    The edge is the largest rate up to which all runs stay bounded, the gain 1 less the least final excess of any rate.
    """
    began, g = time.process_time(), np.asarray(gamma)
    shown, held_out, _ = draw_data(name, SEED_OF_EDGES, True, how)
    # the error of K numbers is a mean over all of them, which each of them alone decides: K times the rate
    level, power = (SPARSE.modes / 64, 1.0) if name == "sparse means" else (1.0, 2 / how.depth)
    eta = level * np.where(g < 1, g**2, g**power)[:, None] * 2.0 ** np.array(RATES)
    portrait = build_experiment(name, SEED_OF_EDGES, shown, held_out, how).measure(g, eta).isel(seed=0)
    bounded = np.logical_and.accumulate(portrait["tail_excess"].values <= BOUNDED, axis=1)
    last = bounded.sum(1) - 1
    if (last < 0).any() or (last == len(RATES) - 1).any():
        raise Misuse(f"no edge of {name} lies within the rates at gamma = {g[(last < 0) | (last == len(RATES) - 1)]}")
    return xr.Dataset({"edge": ("gamma", eta[np.arange(len(g)), last]),
                       "gain": ("gamma", 1 - portrait["final_excess"].min("eta").values),
                       "seconds": time.process_time() - began}, {"gamma": g})


def train_seed(name: str, seed: int, endless: bool, gamma: Sequence[float], edge: Sequence[float], powers: Sequence[int],
               how: Training) -> xr.Dataset:
    """Tune the rate and the stopping time of each gamma on validation data, and test.

    Returns
    -------
    Dataset : over gamma: `loss` and `accuracy` (NaN where there are no classes) on test data, the loss over that of the zero output;
        `validation_loss` and `train_loss`, over the same; `power` and `stop`, the rate and the step chosen; and `seconds` of CPU time.
    """
    began = time.process_time()
    g, stops = np.asarray(gamma), choose_curve_steps(how.steps, how.stops)
    shown, validation, test = draw_data(name, seed, endless, how)
    eta = np.asarray(edge)[:, None] * 2.0 ** np.asarray(powers)
    scan = build_experiment(name, seed, shown, validation, how).measure(g, eta).isel(seed=0)
    losses = scan["held_out_loss"].transpose("gamma", "eta", "step").values
    losses = np.where(np.isfinite(losses), losses, np.inf).reshape(len(g), -1)
    best, at = np.unravel_index(losses.argmin(1), (len(powers), len(stops)))
    i = np.arange(len(g))
    tested = build_experiment(name, seed, shown, test, how, stops).measure(g, eta[i, best][:, None]).isel(seed=0, eta=0)
    train = scan["train_loss"].transpose("gamma", "eta", "step").values[i, best, at]
    again = tested["train_loss"].transpose("gamma", "step").values[i, at]
    if not np.allclose(train, again, rtol=1e-3):
        raise RuntimeError(f"the runs that were tested are not those that were chosen: their losses are {again} and {train}")
    loss = tested["held_out_loss"].transpose("gamma", "step").values[i, at]
    accuracy = np.full(len(g), np.nan)
    if "final_accuracy" in tested:
        accuracy = tested["final_accuracy"].transpose("gamma", "horizon").values[i, at]
    return xr.Dataset({"loss": ("gamma", loss / _zero_output_loss(test)), "accuracy": ("gamma", accuracy),
                       "validation_loss": ("gamma", losses.min(1) / _zero_output_loss(validation)),
                       "train_loss": ("gamma", train / _zero_output_loss(shown)),
                       "power": ("gamma", np.asarray(powers)[best]), "stop": ("gamma", np.asarray(stops)[at]),
                       "seconds": time.process_time() - began}, {"gamma": g})


def _zero_output_loss(pair: PAIR) -> float:
    """Return the loss of the zero output, half the mean square of the targets; of classes, as one-hot rows of ten."""
    y = pair[1]
    return float(y.double().square().mean()) / 2 if y.is_floating_point() else 0.05
