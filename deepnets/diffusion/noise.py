"""Noise and its removal, as a rotation between image and noise: what is learnt, and the steps back; knows no network and no data.

``z = cos(phi) x + sin(phi) e`` turns an image x (phi = 0) into normal noise e (phi = pi/2): the cosine schedule (Nichol & Dhariwal 2021).
Learnt is ``v = cos(phi) e - sin(phi) x``, by its squared error (Salimans & Ho 2022); of it follow ``x = cos(phi) z - sin(phi) v`` and
``e = sin(phi) z + cos(phi) v``. A step of DDIM (Song et al. 2021) turns z back by an angle, x and e as they were seen before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch

from validation.arguments import whole

TURN = math.pi / 2


def noised(x: torch.Tensor, e: torch.Tensor, phi: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return z and v, of the shape of x.

    Parameters
    ----------
    x, e : images and noise (batch, ...).
    phi : angles (batch,).
    """
    phi = phi.reshape(-1, *[1] * (x.ndim - 1))
    c, s = phi.cos(), phi.sin()
    return c * x + s * e, c * e - s * x


def denoised(velocity: Callable[[torch.Tensor, float], torch.Tensor], z: torch.Tensor, steps: int,
             bounds: tuple[float, float] | None = None) -> torch.Tensor:
    """Return the images that noise comes from, in equal steps of DDIM; nothing in it is random.

    Parameters
    ----------
    velocity : (z, phi) -> v, of the shape of z.
    z : normal noise.
    steps : >= 1; each calls `velocity` once. The error is of first order in 1/steps.
    bounds : of the pixels; what is seen of an image beyond them is cut off, and the noise changed to match.
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


def guided(denoiser: Callable[..., torch.Tensor], y: torch.Tensor, of_any: int,
           guidance: float) -> Callable[[torch.Tensor, float], torch.Tensor]:
    """Return (z, phi) -> v for images of the classes y, without a classifier (Ho & Salimans 2021): ``(1 + w) v(z, y) - w v(z)``.

    Parameters
    ----------
    denoiser : (z, phi, y) -> v.
    y : classes (batch,).
    of_any : the label that stands for no class.
    guidance : w >= 0; 0 draws from what was learnt, and more from its middle. Other values than 0 cost twice the time.
    """
    none = torch.full_like(y, of_any)

    def velocity(z: torch.Tensor, phi: float) -> torch.Tensor:
        angles = torch.full((len(z),), phi, dtype=z.dtype, device=z.device)
        v = denoiser(z, angles, y)
        return v if guidance == 0 else (1 + guidance) * v - guidance * denoiser(z, angles, none)

    return velocity
