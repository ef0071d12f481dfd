"""Units of the kernels: differences and activations of a layer, and slopes back through them."""

from __future__ import annotations

import numpy as np

from deepnets.fused.compilation import part_of_kernel
from deepnets.fused.passes import bend, bend_pairs, gate, gate_pairs, keep_pairs, mask, rectify, rectify_pairs, scale, scale_by

LINEAR, RELU, TANH, GELU = range(4)
UNITS = {"linear": LINEAR, "relu": RELU, "tanh": TANH, "gelu": GELU}
ONE = np.float32(1)


def has_slopes(unit: int) -> bool:
    """Return whether the slopes of the units are stored: those of ReLU are seen from the activations."""
    return unit in (TANH, GELU)


@part_of_kernel
def activate_pairs(unit, d_at, z0_at, h_at, slopes_at, ld, rows, columns, numbers):
    """Replace d by the differences after the units; write moved activations, and slopes where they are stored.

    numbers: gamma, 1/gamma, and the multiplier of the activations.
    """
    if unit == RELU:
        rectify_pairs((d_at, z0_at, h_at), (ld, ld, ld), rows, columns, numbers)
    elif unit == TANH:
        bend_pairs((d_at, z0_at, h_at, slopes_at), (ld, ld, ld, ld), rows, columns, numbers)
    elif unit == GELU:
        gate_pairs((d_at, z0_at, h_at, slopes_at), (ld, ld, ld, ld), rows, columns, numbers)
    else:
        keep_pairs((d_at, z0_at, h_at), (ld, ld, ld), rows, columns, numbers)


@part_of_kernel
def activate(unit, h_at, z_at, ld, rows, columns):
    """Write the activations of values z."""
    if unit == RELU:
        rectify((h_at, z_at), (ld, ld), rows, columns, (ONE,))
    elif unit == TANH:
        bend((h_at, z_at), (ld, ld), rows, columns, (ONE,))
    elif unit == GELU:
        gate((h_at, z_at), (ld, ld), rows, columns, (ONE,))
    else:
        scale((h_at, z_at), (ld, ld), rows, columns, (ONE,))


@part_of_kernel
def pass_back(unit, at, h_at, slopes_at, ld, rows, columns):
    """Replace slopes after the units by those before."""
    if unit == RELU:
        mask((at, h_at), (ld, ld), rows, columns, (ONE,))
    elif unit != LINEAR:
        scale_by((at, at, slopes_at), (ld, ld, ld), rows, columns, (ONE,))
