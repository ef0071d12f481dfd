"""The denoiser: a small U-net that tells, of a noised image, which way the noise lies; knows no data and no training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from validation.arguments import Misuse, whole

GROUPS = 8              # of the GroupNorms


class Denoiser(nn.Module):
    """``v(z, phi, y)`` on three scales, the image's side, its half and its quarter, with `width`, 2 and 2 times `width` channels.

    The angle phi of the noise and the class y move gains and shifts within each residual block. It starts as the constant 0.

    Parameters
    ----------
    side : of the images, a multiple of 4.
    width : channels at full resolution, a multiple of 8.
    classes : of the labels; the label `classes` itself stands for "of any class".

    Raises
    ------
    Misuse : naming the argument, its value and what is allowed.
    """

    def __init__(self, side: int, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        for name, value, unit in (("side", side, 4), ("width", width, GROUPS)):
            if whole(name, value) % unit:
                raise Misuse(f"{name} must be a multiple of {unit}, not {value!r}")
        n, told = width, 4 * width
        self.side, self.width, self.classes = side, width, whole("classes", classes)
        self.angle = nn.Sequential(nn.Linear(n, told), nn.SiLU(), nn.Linear(told, told))
        self.label = nn.Embedding(classes + 1, told)
        self.first = nn.Conv2d(1, n, 3, padding=1)
        self.fine, self.middle = Block(n, n, told), Block(n, 2 * n, told)
        self.coarse = nn.ModuleList([Block(2 * n, 2 * n, told), Block(2 * n, 2 * n, told)])
        self.middle_again, self.fine_again = Block(4 * n, 2 * n, told), Block(3 * n, n, told)
        self.last_norm, self.last = nn.GroupNorm(GROUPS, n), _silent(nn.Conv2d(n, 1, 3, padding=1))
        self.frequencies: torch.Tensor
        self.register_buffer("frequencies", torch.logspace(0, 2, n // 2), persistent=False)

    def forward(self, z: torch.Tensor, phi: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return v, (batch, 1, side, side).

        Parameters
        ----------
        z : noised images (batch, 1, side, side).
        phi : angles (batch,), from 0, the image, to pi/2, the noise.
        y : classes (batch,), 0..classes.
        """
        waves = phi[:, None] * self.frequencies
        told = F.silu(self.angle(torch.cat([waves.sin(), waves.cos()], 1)) + self.label(y))
        fine = self.fine(self.first(z), told)
        middle = self.middle(F.avg_pool2d(fine, 2), told)
        h = F.avg_pool2d(middle, 2)
        for block in self.coarse:
            h = block(h, told)
        h = self.middle_again(torch.cat([_twice(h), middle], 1), told)
        h = self.fine_again(torch.cat([_twice(h), fine], 1), told)
        return self.last(F.silu(self.last_norm(h)))


class Block(nn.Module):
    """``x + conv(silu((1 + a) norm(conv(silu(norm(x)))) + b))``, a and b linear in what is told of noise and class."""

    def __init__(self, channels: int, out: int, told: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, out)])
        self.first, self.second = nn.Conv2d(channels, out, 3, padding=1), _silent(nn.Conv2d(out, out, 3, padding=1))
        self.told = nn.Linear(told, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """Return (batch, out, height, width) of (batch, channels, height, width) and (batch, told)."""
        gain, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        h = self.norms[1](self.first(F.silu(self.norms[0](x))))
        return self.skip(x) + self.second(F.silu(h * (1 + gain) + shift))


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Return a convolution that starts as 0: a residual block as the identity, the denoiser as nothing."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _twice(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
