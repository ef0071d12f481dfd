"""Centred networks: pairs carry a frozen value and a scaled difference through any operation of torch.

A module of rules registers them when it is imported here.
"""

from deepnets.centered import rules_bilinear, rules_fallback, rules_linear, rules_nn  # noqa: F401 - each registers its rules
from deepnets.centered.pair import Decided, Operand, Pair, Unsupported, lifted

__all__ = ["Decided", "Operand", "Pair", "Unsupported", "lifted"]
