"""Curves: which steps, and means over ten of them, infinite from where a run diverged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepnets.run_outcomes import average_curve, choose_curve_steps, judge_runs
from validation import Outcome


@given(steps=st.integers(1, 10**6), count=st.integers(1, 60))
def test_curve_steps_are_log_spaced_from_one_to_the_last(steps, count):
    at = choose_curve_steps(steps, count)
    assert at[-1] == steps
    assert list(at) == sorted(set(at))
    assert len(at) <= count
    if count > 1:
        assert at[0] == 1
        exact = np.exp(np.log(steps) * np.arange(count) / (count - 1))
        assert np.abs(exact[:, None] - at).min(1).max() <= 0.5 + 1e-9 * steps          # each of them, rounded


@pytest.mark.parametrize(("steps", "count", "expected"), [
    (1000, 0, ()), (1000, 1, (1000,)), (1000, 4, (1, 10, 100, 1000)), (1, 5, (1,)), (3, 20, (1, 2, 3))])
def test_some_curve_steps(steps, count, expected):
    assert choose_curve_steps(steps, count) == expected


def test_a_curve_is_means_over_ten_losses():
    losses = np.random.default_rng(0).gamma(1.0, size=(41, 3))
    losses[17, 1] = np.nan
    losses[5, 2] = np.inf
    at = (1, 4, 9, 16, 17, 40)
    found = average_curve(losses, at)
    assert found[:, 0] == pytest.approx([losses[max(0, t - 9):t + 1, 0].mean() for t in at])
    assert found[0, 0] == pytest.approx((losses[0, 0] + losses[1, 0]) / 2)
    assert np.isfinite(found[:, 1]).tolist() == [True, True, True, True, False, False]      # though losses come back later on
    assert np.isfinite(found[:, 2]).tolist() == [True, True, False, False, False, False]
    assert np.isposinf(found[~np.isfinite(found)]).all()
    assert average_curve(losses, ()).shape == (0, 3)


@pytest.mark.parametrize(("loss", "dead", "outcome"), [
    ([1.0] * 20 + [np.nan] * 21, True, Outcome.DIVERGED),              # also dead
    ([1.0] * 20 + [0.1] * 21, True, Outcome.DEAD),                     # also converged
    ([1.0] * 10 + [2.0] * 10 + [0.1] * 21, False, Outcome.CATAPULTED), # also converged
    ([1.0] * 20 + [0.1] * 21, False, Outcome.CONVERGED),
    ([1.0] * 41, False, Outcome.UNTRAINED),                            # also partial
    ([1.0] * 10 + [0.6] * 21 + [0.9] * 10, False, Outcome.OSCILLATING),
    ([1.0] * 10 + [0.6] * 31, False, Outcome.PARTIAL),
])
def test_the_first_outcome_whose_definition_holds_is_the_runs(loss, dead, outcome):
    losses = np.array(loss)[:, None]
    assert judge_runs(losses, np.ones(len(losses)), np.array([dead]), 0.5)["outcome"].tolist() == [outcome]
