"""Diffusion as a rotation between image and noise: adding noise, the training target, DDIM steps, and guidance.

``z = cos(phi) x + sin(phi) e`` turns an image x (phi = 0) into normal noise e (phi = pi/2): the cosine schedule (Nichol & Dhariwal 2021).
The network learns ``v = cos(phi) e - sin(phi) x`` by its squared error (Salimans & Ho 2022); then ``x = cos(phi) z - sin(phi) v`` and
``e = sin(phi) z + cos(phi) v``. A step of DDIM (Song et al. 2021) turns z back by an angle, with x and e estimated before the step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from validation.arguments import whole

TURN = math.pi / 2


def add_noise(x: torch.Tensor, e: torch.Tensor, phi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the noised images z and the target v, both of the shape of x.

    Parameters
    ----------
    x, e : images and noise (batch, ...).
    phi : angles (batch,), from 0 (the image) to pi/2 (the noise).
    """
    phi = phi.reshape(-1, *[1] * (x.ndim - 1))
    c, s = phi.cos(), phi.sin()
    return c * x + s * e, c * e - s * x


def remove_noise(velocity: Callable[[torch.Tensor, float], torch.Tensor], z: torch.Tensor, steps: int,
             bounds: tuple[float, float] | None = None) -> torch.Tensor:
    """Return the images that noise is turned into by equal steps of DDIM; the result is deterministic.

    Parameters
    ----------
    velocity : (z, phi) -> v, of the shape of z.
    z : standard normal noise (batch, ...).
    steps : >= 1; each calls `velocity` once. The error is of first order in 1/steps.
    bounds : of the pixels; the estimated image is clipped to them, and the estimated noise changed to match.
    """
    angles = np.linspace(TURN, 0.0, whole("steps", steps) + 1).tolist()
    for now, then in pairwise(angles):
        c, s = math.cos(now), math.sin(now)
        v = velocity(z, now)
        x, e = c * z - s * v, s * z + c * v
        if bounds is not None:
            x = x.clamp(*bounds)
            e = (z - c * x) / s
        z = math.cos(then) * x + math.sin(then) * e
    return z


def guide(denoiser: Callable[..., torch.Tensor], y: torch.Tensor, of_any: int,
           guidance: float) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """Return (z, phi) -> v for images of the classes y, by classifier-free guidance (Ho & Salimans 2021): ``(1 + w) v(z, y) - w v(z)``.

    Parameters
    ----------
    denoiser : (z, phi, y) -> v.
    y : classes (batch,).
    of_any : the label of an unknown class.
    guidance : w >= 0; 0 is the learnt distribution, larger values draw nearer the middle of each class, in twice the time.
    """
    none = torch.full_like(y, of_any)

    def velocity(z: torch.Tensor, phi: float) -> torch.Tensor:
        angles = torch.full((len(z),), phi, dtype=z.dtype, device=z.device)
        v = denoiser(z, angles, y)
        return v if guidance == 0 else (1 + guidance) * v - guidance * denoiser(z, angles, none)

    return velocity
