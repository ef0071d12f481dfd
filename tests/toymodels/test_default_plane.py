"""The plane of `lazyrich toy` where no rates are given: it holds the edges, predicted or not."""

import numpy as np
import pytest

from toymodels import HeavyBall, OneParameter, ToyExperiment, TwoParameter, predict
from toymodels.cli import choose_plane
from validation import trace


def test_beyond_the_closing_point_the_rates_reach_around_both_curves():
    plane = choose_plane(ToyExperiment(OneParameter(5)), (1e6, 1e8), None, 9)
    # eta_min ~ gamma/(15 T) and eta_max ~ 2 gamma**(2/5)/25
    assert plane.eta[0] < 0.1 * 2 / 25 * 1e6**0.4
    assert plane.eta[-1] > 10 * 1e8 / 15_000
    assert np.isnan(predict(OneParameter(5))["eta_min"](1e6))


@pytest.mark.parametrize("model", [OneParameter(2), TwoParameter()], ids=repr)
def test_heavy_balls_edges_lie_in_the_plane_where_none_is_predicted(model):
    experiment = ToyExperiment(model, "mse", HeavyBall(0.9), steps=300)
    plane = choose_plane(experiment, (1e3, 1e5), None, 9)
    assert np.isnan(predict(model, "mse", HeavyBall(0.9))["eta_min"](plane.gamma, 300)).all()
    edges = trace(experiment, plane.gamma[::4], ["eta_min", "eta_max"], rtol=1e-2)["eta"]
    assert plane.eta[0] < edges.sel(edge="eta_min").min()
    assert edges.sel(edge="eta_max").max() < plane.eta[-1]
