"""Centred networks ``f~ = (f(theta_0 + gamma u) - f(theta_0))/gamma``, computed without cancellation by propagating pairs.

A pair holds a frozen value v0 and a scaled difference d of a tensor ``v0 + gamma d``. Each torch operation on a pair follows a rule, found
by the operation's name:

- `rules_linear`: operations linear in their argument (views, sums, concatenation, padding, ...);
- `rules_bilinear`: products of two arguments (matmul, linear, convolutions, einsum, ...);
- `rules_nn`: ReLU, dropout, normalisation with running statistics, attention;
- `rules_fallback`: every other operation, evaluated twice in float64 and subtracted.

To add a rule, decorate a function in one of these modules with ``@register_rule("names of the operations")`` (`pair.register_rule`) and
test it in ``tests/deepnets/centered/test_rules.py``. Only operations for which float64 is too slow, or the fallback wrong, need one.
"""

from deepnets.centered import rules_bilinear, rules_fallback, rules_linear, rules_nn  # noqa: F401 - each registers its rules
from deepnets.centered.pair import Decision, Operand, Pair, Unsupported, as_pair

__all__ = ["Decision", "Operand", "Pair", "Unsupported", "as_pair"]
