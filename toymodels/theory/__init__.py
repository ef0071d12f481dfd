"""The theory of the toy models, derived by sympy from their formulas: edges, times, exponents and the paper's misprints.

sympy is imported when an expression or an exponent is first needed.
"""

from toymodels.theory.catalogue import predict, solve_closing_point
from toymodels.theory.edge import Edge
from toymodels.theory.flow_time import gradient_flow_time
from toymodels.theory.losses import PseudoHuber
from toymodels.theory.symbols import letters

__all__ = ["Edge", "PseudoHuber", "gradient_flow_time", "letters", "predict", "solve_closing_point"]
