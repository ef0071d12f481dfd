"""Exponents known from elsewhere: box counts of fractals, Kepler's third law; oracles from outside our field for `fit` and `judge`."""

from fractions import Fraction

import numpy as np
import pytest

from validation import edges_from_brackets, fit, judge


def counted(points: np.ndarray, base: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return 1/box and the number of boxes of side base**-k that integer points in [0, base**levels)^d touch."""
    inverse, number = [], []
    for k in range(1, levels + 1):
        boxes = points // base ** (levels - k)
        inverse.append(float(base**k))
        number.append(len(np.unique(boxes, axis=0)))
    return np.array(inverse), np.array(number, dtype=float)


def self_similar(digits: list[tuple[int, ...]], base: int, levels: int) -> np.ndarray:
    """Return the points whose base-`base` digits all come from `digits`."""
    points = np.array([[0] * len(digits[0])])
    for _ in range(levels):
        points = (points[:, None] * base + np.array(digits)[None]).reshape(-1, len(digits[0]))
    return points


SETS = {
    "Cantor set": ([(0,), (2,)], 3, 12, np.log(2) / np.log(3)),
    "Sierpinski carpet": ([(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)], 3, 6, np.log(8) / np.log(3)),
    "Vicsek cross": ([(1, 0), (0, 1), (1, 1), (2, 1), (1, 2)], 3, 7, np.log(5) / np.log(3)),
    "a line": ([(0, 0), (1, 1)], 2, 12, 1.0),
    "a square": ([(0, 0), (0, 1), (1, 0), (1, 1)], 2, 8, 2.0),
}


@pytest.mark.parametrize("name", SETS)
def test_box_counting_dimensions(name):
    digits, base, levels, dimension = SETS[name]
    inverse, number = counted(self_similar(digits, base, levels), base, levels)
    # a count is a whole number: it is known to half a box, and the law must come out of the brackets
    law = fit(edges_from_brackets(inverse, number - 0.5, number + 0.5, "boxes"), "boxes", window=(inverse[0], inverse[-1]))
    assert law.interval[0] <= dimension <= law.interval[1]
    assert law.exponent == pytest.approx(dimension, abs=0.03)
    assert judge(law, dimension, tolerance=0.1).outcome == "SUPPORTED"
    assert judge(law, dimension + 0.4, tolerance=0.1).outcome == "CONTRADICTED"


def test_kepler_s_third_law():
    """Sidereal periods (days) and mean semi-major axes (J2000, astronomical units) of the planets: T ~ a^(3/2), to perturbations."""
    axis = np.array([0.38709893, 0.72333199, 1.00000011, 1.52366231, 5.20336301, 9.53707032, 19.19126393, 30.06896348])
    period = np.array([87.969, 224.701, 365.256, 686.980, 4332.589, 10759.22, 30685.4, 60189.0])
    edges = edges_from_brackets(axis, period * (1 - 2e-3), period * (1 + 2e-3), "period")
    law = fit(edges, "period", window=(axis[0], axis[-1]))
    assert law.exponent == pytest.approx(1.5, abs=1e-3)
    assert law.prefactor == pytest.approx(365.256, rel=3e-3)
    assert judge(law, Fraction(3, 2), tolerance=0.005).outcome == "SUPPORTED"
    assert judge(law, Fraction(4, 3), tolerance=0.05).outcome == "CONTRADICTED"
