"""The theory of the toys, derived by sympy from their own lines: edges, times, exponents, misprints; knows no simulation.

sympy is imported when an expression or an exponent is asked for, not before.
"""

from toymodels.theory.catalogue import predict, solve_closing_point
from toymodels.theory.edge import Edge
from toymodels.theory.flow_time import gradient_flow_time
from toymodels.theory.losses import PseudoHuber
from toymodels.theory.symbols import letters

__all__ = ["Edge", "PseudoHuber", "gradient_flow_time", "letters", "predict", "solve_closing_point"]
