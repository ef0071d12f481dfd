"""A table of one's own, judged to be flat or not; the statistics are compared with scipy's in tests/deepnets/checks."""

import numpy as np
import pytest

from validation import Misuse, judge_flat

WIDTHS = [64, 128, 256, 512]


def values(slope, seeds=4):
    noise = np.random.default_rng(2).normal(0, 0.02, (seeds, 4))
    return 10 ** (slope * np.log10(WIDTHS) + noise)


def test_a_flat_quantity_is_supported_and_one_that_falls_is_contradicted():
    verdict = judge_flat(WIDTHS, values(0.0), quantity="layer 2", size="width")
    assert verdict.outcome == "SUPPORTED"
    assert verdict.sentence.startswith("layer 2, width 64 to 512 (4 seeds): slope ")
    assert judge_flat(WIDTHS, values(-0.5)).outcome == "CONTRADICTED"
    assert judge_flat(WIDTHS, values(-0.5), tolerance=1).outcome == "SUPPORTED"
    assert judge_flat(WIDTHS, values(0.0), off=0.2).outcome == "UNDECIDED"


@pytest.mark.parametrize(("given", "message"), [
    ((WIDTHS[:3], values(0)[:, :3]), "sizes must be at least 4"), ((WIDTHS[::-1], values(0)), "sizes must increase"),
    ((WIDTHS, values(0, 1)), "with two seeds or more"),
    ((WIDTHS, np.ones(4)), r"not \(4,\)"), ((WIDTHS, np.ones((2, 3))), r"not \(2, 3\)"), ((WIDTHS, values(0), 0), "tolerance"),
    ((WIDTHS, [["a"] * 4] * 2), "values must be numbers"), ((["a"] * 4, values(0)), "sizes must be numbers"),
])
def test_misuse_is_refused(given, message):
    with pytest.raises(Misuse, match=message):
        judge_flat(*given)


def test_offsets_of_another_shape_are_refused():
    with pytest.raises(Misuse, match="off must be broadcast"):
        judge_flat(WIDTHS, values(0), off=np.ones(3))
