"""assess(): the theory's own windows, what it leaves out, and a pipeline that never stops on an edge outside the grid."""

from fractions import Fraction

import numpy as np
import pytest

from validation import Misuse, Prediction, assess, assess_curves, box_counts, edges_from_brackets, fit


class Law(Prediction):
    """gamma**exponent, with a window."""

    name = "eta_max"

    def __init__(self, exponent=2, window=(0.0, 0.1), logarithm=False):
        self._exponent, self._window, self._logarithm = exponent, window, logarithm

    def __call__(self, gamma, steps=1000, rho=0.01):
        return np.asarray(gamma, dtype=float) ** self._exponent

    def exponent(self, regime):
        return Fraction(self._exponent)

    def logarithm(self, regime):
        return self._logarithm

    def window(self, regime, steps=1000, rho=0.01, tolerance=0.02):
        return self._window if regime == "lazy" else None


GAMMA = np.geomspace(1e-4, 1e4, 33)


def brackets(exponent, upper=True):
    eta = GAMMA**exponent
    return edges_from_brackets(GAMMA, eta * 0.99, eta * 1.01 if upper else np.full(33, np.nan)).assign_attrs(steps=500, rho=0.02)


def test_a_law_is_judged_in_its_window_alone():
    (found,) = assess(brackets(2), {"eta_max": Law()})
    assert (found.edge, found.regime, found.limit) == ("eta_max", "lazy", 2)
    assert found.fit.gamma.max() <= 0.1
    assert found.verdict.outcome == "SUPPORTED"
    assert (found.fit.steps, found.fit.rho) == (500, 0.02)
    (wrong,) = assess(brackets(1.5), {"eta_max": Law()})
    assert wrong.verdict.outcome == "CONTRADICTED"


def test_too_few_gammas_and_absent_edges_are_left_out():
    assert assess(brackets(2), {"eta_max": Law(window=(0.0, 2e-4))}) == []
    assert assess(brackets(2), {"eta_div": Law()}) == []
    assert assess(brackets(2), {"eta_max": Law(window=None)}) == []


def test_a_logarithm_is_compared_far_out():
    lazy, rich = assess(brackets(2), {"eta_max": Law(logarithm=True)})
    assert rich.fit.gamma.min() >= 1e3
    assert rich.limit is None
    assert "a logarithm multiplies the power law" in rich.note
    assert lazy.fit.gamma.max() <= 1e-3


def test_an_edge_outside_the_grid_everywhere_is_undecided_not_an_error():
    (found,) = assess(brackets(2, upper=False), {"eta_max": Law()})
    assert found.verdict.outcome == "UNDECIDED"
    assert "outside the grid" in found.verdict.sentence


def test_of_several_horizons_the_last_is_judged():
    import xarray as xr

    both = xr.concat([brackets(1.5), brackets(2)], xr.DataArray([100, 500], dims="horizon", name="horizon"), combine_attrs="drop")
    (found,) = assess(both.assign_attrs(steps=[100, 500], rho=0.02), {"eta_max": Law()})
    assert found.verdict.outcome == "SUPPORTED"
    assert found.fit.steps == 500


@pytest.mark.parametrize("exponent", [2, 1])
def test_a_prediction_s_window_is_found_from_its_local_exponent(exponent):
    class Bent(Law):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return np.asarray(gamma, dtype=float) ** 2 / (1 + np.asarray(gamma, dtype=float))

        def exponent(self, regime):
            return Fraction(exponent if regime == "lazy" else 1)

        window = Prediction.window

    lazy, rich = Bent(exponent).window("lazy"), Bent(exponent).window("rich")
    # d log eta/d log gamma = 2 - gamma/(1 + gamma): within 0.02 of 2 up to 1/49, of 1 from 49 on
    assert rich[0] == pytest.approx(49, rel=0.05)
    if exponent == 2:
        assert lazy[1] == pytest.approx(1 / 49, rel=0.05)
    else:
        assert lazy is None


def test_a_window_ends_with_its_prediction():
    class Cut(Law):
        def __call__(self, gamma, steps=1000, rho=0.01):
            gamma = np.asarray(gamma, dtype=float)
            return np.where((gamma > 1e-6) & (gamma < 700), gamma**2 / (1 + gamma), np.nan)

        def exponent(self, regime):
            return Fraction(2 if regime == "lazy" else 1)

        window = Prediction.window

    lazy, rich = Cut().window("lazy"), Cut().window("rich")
    assert lazy == pytest.approx((1e-6, 1 / 49), rel=0.05)
    assert rich == pytest.approx((49, 700), rel=0.05)
    assert rich[1] < 700


def test_gammas_without_a_prediction_are_not_counted():
    class Half(Law):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return np.where(gamma < 3e-4, np.asarray(gamma, dtype=float) ** 2, np.nan)

    assert assess(brackets(2), {"eta_max": Half()}) == []      # 2 of the 13 gammas of the window


def test_whole_curves_with_their_prefactor():
    class Curve(Law):
        def __call__(self, gamma, steps=1000, rho=0.01):
            return np.asarray(gamma, dtype=float) ** 2

    (right,) = assess_curves(brackets(2), {"eta_max": Curve()})
    assert right.outcome == "SUPPORTED"
    assert right.interval[1] < 0.005
    (twice,) = assess_curves(brackets(2).assign(eta=2 * brackets(2)["eta"]), {"eta_max": Curve()})
    assert twice.outcome == "CONTRADICTED"
    assert twice.measured == pytest.approx(np.log10(2 * 0.99), abs=1e-3)
    Curve.claimed_within = 0.31      # its own, whatever the judge's
    (within,) = assess_curves(brackets(2).assign(eta=2 * brackets(2)["eta"]), {"eta_max": Curve()}, 0.01)
    assert (within.outcome, within.tolerance) == ("SUPPORTED", 0.31)


def test_an_unjudged_stretch_and_what_lies_beyond_the_closing_point_are_left_out():
    class Curve(Law):
        unjudged = (1e-2, 1e2)

        def closing_point(self, steps=1000, rho=0.01):
            return 3e3

    edges = brackets(2)
    wrong = (GAMMA > 0.05) & (GAMMA < 50) | (GAMMA > 1.1e3)
    edges["eta"] = edges["eta"] * np.where(wrong, 7.0, 1.0)[None, :, None]
    (found,) = assess_curves(edges, {"eta_max": Curve()})
    assert found.outcome == "SUPPORTED"
    # of 4 gammas a decade: up to 1e-2, and from 1e2 to a third of the closing point
    assert "covers 14 of 33 gammas with an edge" in found.sentence
    Curve.holds = (1000, 1.0)      # the edges are of 500 steps
    (found,) = assess_curves(edges, {"eta_max": Curve()})
    assert found.sentence.startswith("eta_max (covers 0 of 33 gammas with an edge): UNDECIDED: the whole curve is not judged at T = 500")
    Curve.unjudged, Curve.holds = None, (1, 1.0)
    (found,) = assess_curves(edges, {"eta_max": Curve()})
    assert found.outcome == "CONTRADICTED"


def test_a_bound_asks_only_that_nothing_lies_below_it():
    class Bound(Law):
        bound = True

    for factor, outcome in ((3.0, "SUPPORTED"), (1.0, "SUPPORTED"), (0.95, "UNDECIDED"), (0.5, "CONTRADICTED")):
        (found,) = assess_curves(brackets(2).assign(eta=factor * brackets(2)["eta"]), {"eta_max": Bound()})
        assert found.outcome == outcome, factor
        assert "covers all of 33 gammas with an edge" in found.sentence
        assert found.sentence.endswith(f": {outcome}") or "UNDECIDED within 0.05 decades: " in found.sentence


@pytest.mark.parametrize("wrong", [[1], {"eta_max": 3}, None, "eta_max"])
@pytest.mark.parametrize("judged", [assess, assess_curves])
def test_predictions_of_another_kind_are_refused(judged, wrong):
    with pytest.raises(Misuse, match="predictions must map names of edges to Predictions"):
        judged(brackets(2), wrong)


def test_seeds_and_flags_of_another_kind_are_refused():
    for seed in ([0, None], [0, "a"], [[0], [1]]):
        with pytest.raises(Misuse, match="seed"):
            edges_from_brackets([1.0, 2.0], [1.0, 1.0], [2.0, 2.0], seed=np.array(seed, dtype=object))
    for flag in ("deterministic", "shared"):
        with pytest.raises(Misuse, match=flag):
            fit(brackets(2), "eta_max", **{flag: "yes"})
    with pytest.raises(Misuse, match="one length"):
        box_counts([[True, False], [True]])
