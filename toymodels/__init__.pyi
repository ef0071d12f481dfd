"""The public names of `toymodels`, each with the module that defines it."""

from toymodels.losses import MSE as MSE
from toymodels.losses import CrossEntropy as CrossEntropy
from toymodels.models import OneParameter as OneParameter
from toymodels.models import TwoParameter as TwoParameter
from toymodels.modes import Modes as Modes
from toymodels.optimizers import SGD as SGD
from toymodels.optimizers import Adam as Adam
from toymodels.optimizers import HeavyBall as HeavyBall
from toymodels.optimizers import SignSGD as SignSGD
from toymodels.orbits import orbit as orbit
from toymodels.own.loss import Loss as Loss
from toymodels.own.model import Model as Model
from toymodels.period_changes import find_period_changes as find_period_changes
from toymodels.schedules import Constant as Constant
from toymodels.schedules import Factors as Factors
from toymodels.schedules import WarmupCosine as WarmupCosine
from toymodels.simulate import ToyExperiment as ToyExperiment
from toymodels.simulate import trajectory as trajectory
from toymodels.theory import gradient_flow_time as gradient_flow_time
from toymodels.theory import predict as predict
