"""The theory of the toys and their simulation: numpy, numba, sympy; may import validation, never torch or deepnets.

``OneParameter`` and ``TwoParameter`` are the models, `ToyExperiment` trains them over a plane, `trajectory` once with every step
kept, `predict` derives their edges. numba and sympy are imported where they are first used.
"""

from toymodels.losses import MSE, CrossEntropy
from toymodels.models import OneParameter, TwoParameter
from toymodels.optimizers import SGD, Adam, HeavyBall, SignSGD
from toymodels.schedules import Constant, WarmupCosine
from toymodels.simulate import ToyExperiment, trajectory
from toymodels.theory import gradient_flow_time, predict

__all__ = [
    "MSE", "SGD", "Adam", "Constant", "CrossEntropy", "HeavyBall", "OneParameter", "SignSGD", "ToyExperiment", "TwoParameter",
    "WarmupCosine", "gradient_flow_time", "predict", "trajectory",
]
