"""Follow the attractors of the toy models in numba: periods, bands, Lyapunov exponents and points, pixel by pixel.

The step is that of `kernels.compile_loops`. Beside each run goes a twin at a small distance, which is set back to that distance after
every step: the mean logarithm of its growth is the largest Lyapunov exponent (Benettin, Galgani, Giorgilli and Strelcyn 1980).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from toymodels.compilation import compile_kernel
from toymodels.kernels import BEYOND, count_moments, with_functions

DISTANCE = 1e-8       # of the twin, over the size of the state: the root of a float's precision
CLOSEST = 1e-16       # a twin that has come closer counts as this far
NEAR = 1e-6           # a state this near to an earlier one, over its size, counts as the same
DRIFT = 1e-3          # a run that moves on by less than this share of its way from the start is at a fixed point
LONGEST = 64          # the longest period that is recognised, and the most bands
TURNS = 16            # a run that turns back less often than in one of so many steps drifts, and has not settled
UNSETTLED, ESCAPED, CHAOTIC = -2, -1, 0

load_constants = step_lane = measure_lane = None      # the model's, which `with_functions` provides


@cache
def compile_orbits(name: str, functions: tuple[Any, ...], optimizer: int, parameters: int, start: float) -> Any:
    """Return the jitted ``follow(constants, rates, numbers, settle, length, period, bands, lyapunov, states, f)``.

    The arguments are those of `kernels.compile_loops`; `start` is of the first parameter, and with heavy ball `parameters` are followed by
    as many momenta. Of the returned function: `constants` (c,) of one gamma, `rates` (m,); `settle` steps are taken before `length` steps
    on which everything is measured. Written: `period` (m,), a number up to 64, 0 for chaos, -1 for a run that has diverged and -2 for one
    that has not settled; `bands` (m,), the number of separate stretches of the parameter, or of f where there are several, that a chaotic
    run visits in turn, else the period; `lyapunov` (m,), a step's mean logarithm; `states` (m, k, parameters) and `f` (m, k), the last k
    points, one period of them where there is one.
    """
    rows = parameters * (1 + count_moments(optimizer))

    def follow(constants, rates, numbers, settle, length, period, bands, lyapunov, states, f):
        c = load_constants(constants)
        beta = numbers[0]
        block = np.zeros((rows, 2))        # the run and its twin
        first, second = np.zeros(rows), np.zeros(rows)
        lowest, highest = np.empty(LONGEST), np.empty(LONGEST)
        for j in range(rates.shape[0]):
            e = rates[j]
            block[:, :] = 0.0
            block[0, 0] = start
            alive = True
            size = 0.0         # of the state, the largest of the last steps: it may pass near 0
            for t in range(settle):
                step_lane(block, 0, c, e, 1.0, 1.0, beta, 0.0, 0.0, 0.0, 1.0)
                largest = 0.0
                for a in range(rows):
                    largest = max(largest, abs(block[a, 0])) if block[a, 0] == block[a, 0] else np.inf
                if not largest < BEYOND:
                    alive = False
                    break
                if t >= settle - LONGEST:
                    size = max(size, largest)
            closeness = DISTANCE * size
            for a in range(rows):
                block[a, 1] = block[a, 0]
                first[a] = block[a, 0]
            block[0, 1] += closeness
            lowest[:], highest[:] = np.inf, -np.inf
            total, found, again, turns, before, rising = 0.0, 0, 0, 0, 0.0, False
            last = f.shape[1]
            for t in range(length):
                if not alive:
                    break
                for a in range(parameters):
                    if t >= length - last:
                        states[j, t - (length - last), a] = block[a, 0]
                place = block[0, 0]
                value = step_lane(block, 0, c, e, 1.0, 1.0, beta, 0.0, 0.0, 0.0, 1.0)
                step_lane(block, 1, c, e, 1.0, 1.0, beta, 0.0, 0.0, 0.0, 1.0)
                if t >= length - last:
                    f[j, t - (length - last)] = value
                # two weights may give one f
                place = place if parameters == 1 else value
                if t > 0:
                    turns += 1 if (place > before) != rising else 0
                    rising = place > before
                before = place
                k = t % LONGEST
                lowest[k], highest[k] = min(lowest[k], place), max(highest[k], place)
                apart, back, largest = 0.0, 0.0, 0.0
                for a in range(rows):
                    largest = max(largest, abs(block[a, 0])) if block[a, 0] == block[a, 0] else np.inf
                    d = block[a, 1] - block[a, 0]
                    apart += d * d
                    d = block[a, 0] - first[a]
                    back += d * d
                if not largest < BEYOND:
                    alive = False
                    break
                apart = np.sqrt(apart)
                total += np.log(max(apart, CLOSEST * size) / closeness)
                for a in range(rows):
                    block[a, 1] = block[a, 0] + (block[a, 1] - block[a, 0]) * (closeness / apart) if apart > 0.0 else block[a, 0]
                if not apart > 0.0:      # it has met the run, and would go with it for ever
                    block[0, 1] += closeness
                if found == 0 and t < LONGEST and np.sqrt(back) <= NEAR * size:
                    found = t + 1
                    for a in range(rows):
                        second[a] = block[a, 0]
                elif found > 0 and t + 1 == 2 * found:
                    # it must come back once more, no further off than before by much: a chaotic run may pass by a single time
                    back = 0.0
                    for a in range(rows):
                        d = block[a, 0] - second[a]
                        back += d * d
                    again = 1 if np.sqrt(back) <= NEAR * size else 0
            if not alive:
                period[j], bands[j], lyapunov[j] = ESCAPED, ESCAPED, np.nan
                f[j], states[j] = np.nan, np.nan
                continue
            lyapunov[j] = total / length
            way, drift = 0.0, 0.0
            for a in range(parameters):      # without momenta, which do not shrink with the rate
                d = first[a] - (start if a == 0 else 0.0)
                way += d * d
                d = block[a, 0] - first[a]
                drift += d * d
            if found > 0 and again == 1 and (found > 1 or drift <= DRIFT * DRIFT * way):
                period[j] = bands[j] = found
                for q in range(last - found):
                    f[j, q], states[j, q] = np.nan, np.nan
                continue
            period[j] = CHAOTIC if lyapunov[j] > 0.0 and TURNS * turns > length else UNSETTLED
            bands[j], count = 1, LONGEST
            while count > 1:
                # the run visits `count` classes of times in turn: are the stretches that they cover apart?
                separate = True
                for p in range(count):
                    for q in range(p):
                        low_p, high_p, low_q, high_q = np.inf, -np.inf, np.inf, -np.inf
                        for k in range(LONGEST // count):
                            low_p, high_p = min(low_p, lowest[p + k * count]), max(high_p, highest[p + k * count])
                            low_q, high_q = min(low_q, lowest[q + k * count]), max(high_q, highest[q + k * count])
                        separate = separate and (high_p < low_q or high_q < low_p)
                if separate:
                    bands[j] = count
                    break
                count //= 2

    return compile_kernel(with_functions(follow, functions, f"{name}.{optimizer}"))


@cache
def compile_steps(name: str, functions: tuple[Any, ...], optimizer: int, parameters: int) -> Any:
    """Return the jitted ``advance(constants, rate, numbers, states, steps)``, which takes steps of several states (n, rows) in place."""
    rows = parameters * (1 + count_moments(optimizer))

    def advance(constants, e, numbers, states, steps):
        c = load_constants(constants)
        block = np.zeros((rows, 1))
        for i in range(states.shape[0]):
            for a in range(rows):
                block[a, 0] = states[i, a]
            for _ in range(steps):
                step_lane(block, 0, c, e, 1.0, 1.0, numbers[0], 0.0, 0.0, 0.0, 1.0)
            for a in range(rows):
                states[i, a] = block[a, 0]

    return compile_kernel(with_functions(advance, functions, f"{name}.{optimizer}"))
