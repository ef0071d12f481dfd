"""Pairs: tensors that carry a frozen value and a scaled difference through any operation of torch; knows no network.

Each room of rules registers itself by being imported here.
"""

from deepnets.pairs import attention, linear, normalization, otherwise, pointwise, products
from deepnets.pairs.value import Decided, Operand, Pair, Unsupported, lifted

__all__ = ["Decided", "Operand", "Pair", "Unsupported",
           "attention", "lifted", "linear", "normalization", "otherwise", "pointwise", "products"]
