"""Colours for families of curves."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps


def shades(count: int) -> list[tuple[float, ...]]:
    """Return `count` colours from dark to light, distinct in grey and to the colour-blind, none too light for white paper."""
    return [tuple(colour) for colour in colormaps["viridis"](np.linspace(0, 0.88, count))]
