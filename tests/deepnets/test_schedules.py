"""Factors of the learning rate: their formulas, arrays and functions of one's own, their descriptions, and what is refused."""

import numpy as np
import pytest

from deepnets import MLP, DeepExperiment, schedules, tasks
from validation import Misuse

DIGITS = tasks.digits()


def experiment(schedule, **more):
    return DeepExperiment(MLP(64, 8, 2, 10), DIGITS, schedule=schedule, **{"steps": 20, "batch_size": 8, "device": "cpu"} | more)


def excess(schedule, **more):
    return experiment(schedule, **more).measure(np.array([1.0]), np.array([0.3])).final_excess.values


def test_warm_up_stable_decay_rises_stays_and_falls():
    factors = schedules.WarmupStableDecay(0.1, 0.2).factors(20)
    np.testing.assert_allclose(factors, [0.5, *[1] * 16, 0.75, 0.5, 0.25])
    assert schedules.WarmupStableDecay(0.1, 0.2).factors(1) == [1.0]


def test_an_array_and_a_function_are_the_schedule_that_they_give():
    factors = schedules.WarmupCosine().factors(20)
    expected = excess("warmup_cosine")
    assert (excess("constant") != expected).all()
    for schedule in (factors, list(factors), lambda step, T: schedules.WarmupCosine().factors(T)[step]):
        np.testing.assert_array_equal(excess(schedule), expected)


def test_factors_are_described_by_a_digest():
    one, same, other = (experiment(f).describe()["schedule"] for f in (np.ones(20), [1.0] * 20, np.linspace(0, 1, 20)))
    assert one == same != other
    named = experiment(lambda step, T: 1.0).describe()["schedule"]
    assert named["digest"] == one["digest"]
    assert "lambda" in named["function"]
    assert schedules.describe(schedules.as_schedule("warmup_cosine"), 20) == {"name": "warmup_cosine", "warmup": 0.05}


class Slow(schedules.Constant):
    def factors(self, steps):
        return np.full(steps, 0.1)


@pytest.mark.parametrize(("schedule", "more", "named"), [
    (np.ones(19), {}, r"one factor for each of the 20 steps, not factors of shape \(19,\)"), ([-1.0] * 20, {}, "at least 0, not -1"),
    (lambda step, T: float("nan"), {}, "finite factors of at least 0, not nan"), (lambda step, T: "1", {}, "schedule must be numbers"),
    (lambda step: 1.0, {}, r"schedule must be a callable \(step, T\) -> factor, but .* raised TypeError"),
    ("linear", {}, "schedule must be one of 'constant'"), (Slow(), {}, "Slow, a subclass of Constant"),
    (3.0, {}, "schedule must be one of"),
    (np.ones(20), {"steps": (10, 20)}, "steps must be one number, such as 20, with the schedule 'own'"),
])
def test_misuse(schedule, more, named):
    with pytest.raises(Misuse, match=named):
        experiment(schedule, **more)


def test_misuse_of_the_shares():
    with pytest.raises(Misuse, match=r"decay must be a number between 0 and 0\.5"):
        schedules.WarmupStableDecay(0.5, 0.5)
