"""Draws the plane around a small network of torch's: its place, the crossing, brackets at three gammas, and the predicted lazy edges."""

import matplotlib.pyplot as plt
import torch

import deepnets
from deepnets.place.neighbourhood import survey_neighbourhood
from validation.plotting.place_plane import add_legend, draw_around


def network(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(64, 48), torch.nn.LayerNorm(48), torch.nn.GELU(), torch.nn.Linear(48, 10))


setting = {"task": deepnets.tasks.digits(), "batch_size": 32, "seeds": (0, 1), "device": "cpu"}
place = deepnets.where(network, eta=0.1, **setting)
around = survey_neighbourhood(place, network, steps=200, **setting)
assert len(around.brackets) == 3
assert set(around.levels) == {"eta_min", "eta_crit"}

figure = plt.figure(figsize=(5.0, 4.4), layout="constrained")
draw_around(figure.add_subplot(), around.brackets, around.crossing, around.interval, around.levels, around.lazy_below, around.given,
            around.eta)
add_legend(figure, 8)
