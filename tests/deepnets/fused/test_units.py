"""The units of the kernels against numbers of mpmath: differences to the last digits of float32, however small gamma is."""

import mpmath
import numpy as np
import pytest

from deepnets.fused.compilation import compile_kernel
from deepnets.fused.units import GELU, LINEAR, RELU, TANH, activate_pairs

FUNCTIONS = {
    LINEAR: (lambda x: x, lambda x: 1), RELU: (lambda x: max(x, 0), None), TANH: (mpmath.tanh, lambda x: 1 - mpmath.tanh(x) ** 2),
    GELU: (lambda x: x * mpmath.ncdf(x), lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x)),
}


@compile_kernel
def _run(unit, d, z, h, slopes, gamma, m):
    activate_pairs(unit, d.ctypes.data, z.ctypes.data, h.ctypes.data, slopes.ctypes.data, 16, len(d) // 16, 16,
                   (gamma, np.float32(1) / gamma, m))


@pytest.mark.parametrize("gamma", [1e-20, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("unit", FUNCTIONS)
def test_differences_activations_and_slopes(unit, gamma):
    rng = np.random.default_rng(unit)
    d, z = rng.normal(0, 2, 160).astype(np.float32), rng.normal(0, 2, 160).astype(np.float32)
    before, h, slopes, gamma = d.copy(), np.zeros_like(d), np.zeros_like(d), np.float32(gamma)
    _run(unit, d, z, h, slopes, gamma, np.float32(3))
    f, slope = FUNCTIONS[unit]
    with mpmath.workdps(60):
        for i, (x, start) in enumerate(zip(before, z, strict=True)):
            start, moved = mpmath.mpf(float(start)), mpmath.mpf(float(start)) + mpmath.mpf(float(gamma)) * mpmath.mpf(float(x))
            assert abs(d[i] - (f(moved) - f(start)) / float(gamma)) < 2e-6 * max(1, abs(x))
            assert abs(h[i] - 3 * f(moved)) < 2e-6 * max(1, abs(moved))
            if unit in (TANH, GELU):
                assert abs(slopes[i] - slope(moved)) < 2e-6


@pytest.mark.parametrize("unit", FUNCTIONS)
def test_what_is_not_a_number_stays_so(unit):
    d, z = np.full(16, np.nan, np.float32), np.zeros(16, np.float32)
    h, slopes = np.zeros_like(d), np.zeros_like(d)
    _run(unit, d, z, h, slopes, np.float32(1), np.float32(1))
    assert np.isnan(d).all()
