"""Compile the smallest kernel and compare its product with numpy's: whether the machine has what the kernels need."""

from __future__ import annotations

import numpy as np

from deepnets.fused.compilation import compile_kernel
from deepnets.fused.products import multiply
from deepnets.fused.vectors import V


@compile_kernel
def _multiply_once(c, a, b, alpha):
    multiply(c.ctypes.data, c.shape[1], a.ctypes.data, a.shape[1], 1, b.ctypes.data, b.shape[1], c.shape[0], c.shape[1], a.shape[1], alpha,
             False)


def multiplies_rightly() -> bool:
    """Return whether the product of two matrices of small whole numbers is exact."""
    a = (np.arange(11 * 5, dtype=np.float32) % 7).reshape(11, 5)
    b = (np.arange(5 * 2 * V, dtype=np.float32) % 11).reshape(5, 2 * V)
    c = np.empty((11, 2 * V), np.float32)
    _multiply_once(c, a, b, np.float32(2))
    return bool((c == 2 * a @ b).all())
