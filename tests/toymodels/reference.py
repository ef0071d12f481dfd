"""Reference simulations of the toy models, as oracles for the kernels: mpmath with 50 digits, and plain numpy over whole grids."""

import mpmath
import numpy as np
from mpmath import mp, mpf


def trajectory_mp(model, L, loss, optimizer, gamma, eta, steps, digits=50, beta="0.9"):
    """Return f at every time 0..steps as mpmath numbers, from the paper's formulas as they stand."""
    with mpmath.workdps(digits):
        g, e, b = mpf(gamma), mpf(eta), mpf(beta)
        p1 = 1 / (1 + mp.exp(-1))

        def slope(f):
            return f - 1 if loss == "mse" else 1 / (1 + mp.exp(-f)) - p1

        theta = [mpf(1)] if model == "one" else [mpf(1), mpf(0)]
        memory = [mpf(0)] * len(theta)
        out = []
        for t in range(steps + 1):
            f = (theta[0] ** L - 1) / g if model == "one" else 2 * theta[0] * theta[1] / g
            out.append(f)
            if t == steps:
                break
            factors = [L * theta[0] ** (L - 1) / g] if model == "one" else [theta[1] / g, theta[0] / g]
            gradient = [slope(f) * x for x in factors]
            if optimizer == "signsgd":
                step = [mp.sign(x) for x in gradient]
            elif optimizer == "momentum":
                memory = [b * m + x for m, x in zip(memory, gradient, strict=True)]
                step = memory
            else:
                step = gradient
            theta = [x - e * s for x, s in zip(theta, step, strict=True)]
        return out


def outcomes_numpy(L, two, loss, sign, gamma, eta, steps, rho=0.01):
    """Return final, tail and peak excess of a whole grid, in plain numpy; infinity where it diverged."""
    g, e = np.meshgrid(gamma, eta, indexing="ij")
    p1 = 1 / (1 + np.exp(-1.0))

    def value(f):
        return (f - 1) ** 2 / 2 if loss == "mse" else np.logaddexp(0, f) - p1 * f

    least, first = value(np.float64(1)), value(np.float64(0))
    w, v = np.ones_like(g), np.zeros_like(g)
    dead = np.zeros(g.shape, bool)
    peak, tail = np.ones_like(g), np.zeros_like(g)
    with np.errstate(all="ignore"):
        for t in range(steps + 1):
            f = 2 * w * v / g if two else (w**L - 1) / g
            dead |= ~np.isfinite(f) | (np.maximum(abs(w), abs(v)) > 1e30)
            excess = (value(f) - least) / (first - least)
            peak = np.fmax(peak, excess)
            if t > steps - max(1, steps // 10):
                tail = np.fmax(tail, excess)
            slope = f - 1 if loss == "mse" else 1 / (1 + np.exp(-f)) - p1
            dw, dv = (slope * v / g, slope * w / g) if two else (slope * L * w ** (L - 1) / g, 0 * g)
            if sign:
                dw, dv = np.sign(dw), np.sign(dv)
            w, v = w - e * dw, v - e * dv
    for x in (excess, tail, peak):
        x[dead] = np.inf
    return excess, tail, peak
