"""The order of precedence of outcomes: DESIGN's, and one function that applies it."""

import itertools

import numpy as np

from validation.outcome import PRECEDENCE, Outcome, choose_outcome


def test_the_order():
    assert [o.label for o in PRECEDENCE] == ["failed", "diverged", "dead", "catapulted", "converged", "untrained", "stuck", "oscillating",
                                             "partial"]


def test_the_first_that_holds_is_chosen_whatever_the_order_it_is_given_in():
    for first, second in itertools.combinations(PRECEDENCE, 2):
        yes, some = np.array([True, True, False]), np.array([True, False, False])
        for holds in ({first: some, second: yes}, {second: yes, first: some}):
            assert choose_outcome(holds).tolist() == [first, second, Outcome.PARTIAL]
