"""Sentences name the axis that was measured; a regime of gamma, and a Prediction, belong to gamma alone."""

import numpy as np
import pytest

from toymodels import OneParameter, predict
from validation import (
    Misuse,
    assess,
    compare,
    edges_from_brackets,
    fit,
    fit_broken,
    fit_horizons,
    fit_loss_slope,
    judge,
    judge_curve,
    judge_flat,
)
from validation.fitting.result import count_points
from validation.plotting.figures import plot_edges

X = np.logspace(1, 3, 9)
SCATTER = 10 ** np.random.default_rng(0).normal(0, 0.02, 9)


def widths(n=9):
    return edges_from_brackets(X[:n], 0.9 * (X**0.5 * SCATTER)[:n], 1.1 * (X**0.5 * SCATTER)[:n], "rate", axis="width")


def test_times_of_a_loss_are_bins_of_time():
    time = np.arange(1.0, 10001)
    law = fit_loss_slope(time**-0.5, time, (100, 10000))
    assert (law.axis, law.point) == ("time", "bin")
    assert law.sentence.startswith("loss, time 100 to 10000 (10 bins): exponent -0.5")
    verdict = judge(law, -0.5)
    assert verdict.sentence.startswith("loss, time 1")
    assert "(10 bins): predicted -1/2" in verdict.sentence
    assert verdict.regime is None
    noisy = fit_loss_slope(time**-0.5 * 10 ** np.random.default_rng(0).normal(0, 3, time.size), time, (100, 10000))
    assert "gamma" not in judge(noisy, -0.5).sentence + fit_loss_slope(time, time, (100, 200)).sentence
    assert "denser" not in judge(noisy, -0.5).sentence      # the bins are as many as the window is long


def test_edges_over_another_axis_say_it_everywhere():
    edges = widths()
    law = fit(edges, "rate", window=(1, 1e4))
    texts = [law.sentence, judge(law, 0.5).sentence, judge(law, 0.53, tolerance=0.05).sentence,
             judge_curve(edges, "rate", lambda x: x**0.5, 0.2).sentence, fit(widths(2), "rate", window=(1, 1e4)).sentence,
             fit(widths(3), "rate").sentence, fit_broken(widths(3), "rate").sentence,
             judge(fit(widths(3), "rate", window=(1, 1e4)), 0).sentence]
    assert law.sentence.startswith("rate, width 1 to 10000 (9 widths): exponent 0.5")
    assert not [s for s in texts if "gamma" in s or "width" not in s]
    assert "gamma" not in fit_broken(edges, "rate").sentence
    assert judge(law, 0.5).regime is None
    for wrong in (lambda: fit(edges, "rate", window=(1e5, 1e6)), lambda: compare(edges, edges.assign_coords(gamma=2 * X), "rate"),
                  lambda: fit(edges.where(edges.bound == "lower"), "rate")):
        with pytest.raises(Misuse, match=r"^(?!.*gamma).*widths"):
            wrong()
    top, bottom = plot_edges(edges, [law]).axes
    assert bottom.get_xlabel() == "width"
    assert "gamma" not in top.texts[0].get_text()


def test_gammas_stay_gammas():
    edges = edges_from_brackets(X, X, X)
    assert edges.attrs == {}
    law = fit(edges, "eta_max")
    assert law.sentence.startswith("eta_max, gamma 10 to 1000 (9 gammas)")
    assert judge(law, 1).regime == "rich"
    assert [count_points(1), count_points(7, "T"), count_points(6, "eta/gamma")] == ["1 gamma", "7 times", "6 values of eta/gamma"]


def test_horizons_are_times():
    edges = edges_from_brackets(X, 1 / X, 1 / X, "eta_min").rename(gamma="horizon").expand_dims(gamma=[0.1], axis=1)
    law = fit_horizons(edges, "eta_min", 0.1)
    assert law.axis == "T"
    assert law.sentence.startswith("eta_min, T 10 to 1000 (9 times): exponent -1")


def test_slopes_over_sizes_are_over_sizes():
    values = np.ones((3, 9)) * SCATTER
    assert "width 10 to 1000" in judge_flat(X, values, 0.05, "top").sentence
    assert judge_flat(X, values, 0.05, "top").regime is None


def test_a_prediction_is_refused_over_another_axis():
    edges, theory = widths(), predict(OneParameter(3))["eta_max"]
    law = fit(edges, "rate")
    for wrong in (lambda: judge(law, theory), lambda: fit(edges, "rate", curve=theory), lambda: judge_curve(edges, "rate", theory, 0.1),
                  lambda: assess(edges, {"rate": theory})):
        with pytest.raises(Misuse, match="Prediction is a function"):
            wrong()
    with pytest.raises(Misuse, match="axis must be a name"):
        edges_from_brackets(X, X, X, axis="")
