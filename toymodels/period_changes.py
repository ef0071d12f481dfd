"""The rates at which the period of a toy model's attractor doubles: where the multiplier of a cycle passes -1.

A cycle of p states is found by Newton's method from where runs end, and followed while the rate rises. Its multipliers are the eigenvalues
of the product of one step's derivatives along it, by central differences.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from toymodels import kernels, losses, models, optimizers
from toymodels.orbit_kernels import LONGEST, compile_steps
from toymodels.orbits import choose_map
from toymodels.own.loss import Loss as OwnLoss
from toymodels.simulate import ToyExperiment, compile_toy
from validation.arguments import Misuse, positive

FEIGENBAUM = 4.669201609102990      # the ratio of successive distances between doublings
STEP = 1e-5                         # of the central differences, over the size of the state
SETTLE = 20_000
TIGHT = 1e-13
TRIES = 6


def find_period_changes(model: models.AnyModel, loss: str | losses.Loss | OwnLoss = "mse", optimizer: str | optimizers.Optimizer = "sgd",
                        gamma: float = 1.0, longest: int = 16) -> xr.Dataset:
    """Return the rates at which runs of one parameter turn to periods 2, 4, 8, ... at one gamma.

    Parameters
    ----------
    model : of one parameter.
    loss, optimizer : as for `orbit`.
    gamma : one number above zero.
    longest : the last period, a power of 2 from 2 to 64.

    Returns
    -------
    Dataset over ``period`` (2, 4, ..., longest): ``eta``, where a cycle of half that period loses its stability, to about 1e-9 of itself,
    NaN where runs escape before.
    From period 8 on also ``accumulation``, a number: where the cascade ends if the distances go on shrinking by Feigenbaum's ratio
    (J. Stat. Phys. 19, 25, 1978); its error is about a hundredth of the last distance.

    Raises
    ------
    Misuse : naming the argument; a model of several parameters, whose minima are no points; a first change that is not predicted.
    """
    experiment = choose_map(model, loss, optimizer)
    if len(models.as_model(model).parameters) != 1:
        raise Misuse(f"model must have one parameter, not {len(model.parameters)}: the minima of several are not points")
    if np.ndim(gamma) != 0:
        raise Misuse(f"gamma must be one number above zero, not {gamma!r}")
    g = float(positive("gamma", gamma))
    if longest not in (2, 4, 8, 16, 32, LONGEST):
        raise Misuse(f"longest must be a power of 2 from 2 to {LONGEST}, not {longest!r}")
    first = predict_instability(experiment, g)
    if not (np.isfinite(first) and first > 0):      # it is proportional to gamma^2, which may have no double
        raise Misuse(f"gamma must be one at which the stability of the minimum is predicted, and at {g:g} it is not")
    cycles = Cycles(experiment, g)
    periods, rates = [2], [first]
    while periods[-1] < longest:
        period = periods[-1]
        # half a distance above its beginning a cycle is about as stable as it gets
        distance = 0.2 * first if len(rates) == 1 else (rates[-1] - rates[-2]) / FEIGENBAUM
        rates.append(cycles.find_loss_of_stability(period, rates[-1], distance))
        periods.append(2 * period)
    found = xr.Dataset({"eta": ("period", np.array(rates), {"long_name": "learning rate", "units": "1"})},
                       {"period": np.array(periods), "gamma": g})
    if len(rates) > 2:
        end = rates[-1] + (rates[-1] - rates[-2]) / (FEIGENBAUM - 1)
        found["accumulation"] = (), end, {"long_name": "end of the cascade", "units": "1"}
    return found


def predict_instability(experiment: ToyExperiment, gamma: float) -> float:
    """Return the rate above which the minimum that gradient flow reaches is unstable, NaN where it is not predicted.

    It is ``2/lambda`` for gradient descent and ``2 (1 + beta)/lambda`` for heavy ball (Polyak 1964).
    """
    from toymodels.theory import predict

    edges = predict(experiment.model, experiment.loss, "sgd")
    name = "eta_max" if len(experiment.model.parameters) == 1 else "eta_crit"
    beta = getattr(experiment.optimizer, "beta", 0.0)
    return (1 + beta) * float(edges[name](np.array([gamma]), 10**9, 0.01)[0]) if name in edges else float("nan")


class Cycles:
    """The cycles of one toy model at one gamma, over the rate."""

    def __init__(self, experiment: ToyExperiment, gamma: float) -> None:
        code = kernels.OPTIMIZER_CODE[experiment.optimizer.name]
        self.toy = compile_toy(experiment, code)
        self.gamma, self.code = gamma, code
        self.advance = compile_steps(self.toy.name, self.toy.functions, code, self.toy.parameters)
        self.numbers = np.array([getattr(experiment.optimizer, "beta", 0.0)])
        self.constants = self.toy.list_constants(np.array([gamma]))[0][0]
        self.size = self.toy.parameters * (1 + kernels.count_moments(code))
        self.scale = 1.0        # of a state
        self.state = np.zeros((1, self.size))      # on the cycle that is followed

    def step(self, states: np.ndarray, eta: float, steps: int = 1) -> np.ndarray:
        """Return states (n, size) after some steps."""
        states = states.copy()
        rate = float(self.toy.scale_rate(self.code, np.float64(self.gamma), np.float64(eta)))
        self.advance(self.constants, rate, self.numbers, states, steps)
        return states

    def settle(self, eta: float) -> np.ndarray:
        """Return where a run is after many steps (1, size), and take the largest of the states that follow for their scale."""
        start = np.zeros((1, self.size))
        start[0, 0] = self.toy.start
        state = self.step(start, eta, SETTLE)
        self.scale = max(np.abs(self.step(state, eta, t)).max() for t in range(LONGEST))
        return state

    def derivative(self, state: np.ndarray, eta: float, period: int) -> np.ndarray:
        """Return the derivative (size, size) of `period` steps at a state (1, size)."""
        product, h = np.eye(self.size), STEP * self.scale
        for _ in range(period):
            around = state + h * np.concatenate([np.eye(self.size), -np.eye(self.size)])
            ends = self.step(around, eta)
            product = ((ends[:self.size] - ends[self.size:]) / (2 * h)).T @ product
            state = self.step(state, eta)
        return product

    def polish(self, state: np.ndarray, eta: float, period: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the state (1, size) of the cycle nearby, by Newton's method, and the derivative along the cycle."""
        for _ in range(50):
            slope = self.derivative(state, eta, period)
            miss = self.step(state, eta, period) - state
            change = np.linalg.solve(slope - np.eye(self.size), -miss[0])
            state = state + change
            if not np.abs(change).max() > TIGHT * self.scale:
                break
        return state, self.derivative(state, eta, period)

    def find_loss_of_stability(self, period: int, low: float, distance: float) -> float:
        """Return the rate above `low` at which a cycle of this period, which begins there, has a multiplier of -1; NaN if there is none.

        The cycle is taken where runs settle on it, half of `distance` above its beginning, or nearer, and followed upwards; `distance` is
        about how far the rate sought is.
        """
        def beyond(eta: float) -> float:
            self.state, slope = self.polish(self.state, eta, period)
            # the characteristic polynomial at -1: for one state the multiplier plus 1
            return float(np.linalg.det(slope + np.eye(self.size)))

        for shorter in range(TRIES):
            eta = low + distance / 2**(1 + shorter)
            self.state = self.settle(eta)
            if np.isfinite(self.state).all() and (value := beyond(eta)) > 0:
                break
        else:        # runs escape right from the change of period on
            return np.nan
        while value > 0:
            before, eta = eta, eta + distance / 16
            if eta > low + 20 * distance:
                return np.nan
            value = beyond(eta)
        return float(brentq(beyond, before, eta, xtol=1e-13 * eta, rtol=1e-12))
