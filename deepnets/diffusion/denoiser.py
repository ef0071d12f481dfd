"""The denoiser: a small U-net that predicts v from a noised image, its noise level and its class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from validation.arguments import Misuse, whole

GROUPS = 8              # of the GroupNorms


class Denoiser(nn.Module):
    """``v(z, phi, y)`` at three resolutions, full, half and a quarter, with `width`, 2 `width` and 2 `width` channels.

    The angle phi of the noise and the class y set gains and shifts in each residual block. At initialization the output is 0.

    Parameters
    ----------
    side : of the images, a multiple of 4.
    width : channels at full resolution, a multiple of 8.
    classes : number of classes; the label `classes` itself means that the class is unknown.

    Raises
    ------
    Misuse : an argument that is not allowed; the message names it.
    """

    def __init__(self, side: int, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        for name, value, unit in (("side", side, 4), ("width", width, GROUPS)):
            if whole(name, value) % unit:
                raise Misuse(f"{name} must be a multiple of {unit}, not {value!r}")
        n, size = width, 4 * width
        self.side, self.width, self.classes = side, width, whole("classes", classes)
        self.angle = nn.Sequential(nn.Linear(n, size), nn.SiLU(), nn.Linear(size, size))
        self.label = nn.Embedding(classes + 1, size)
        self.first = nn.Conv2d(1, n, 3, padding=1)
        self.fine, self.middle = Block(n, n, size), Block(n, 2 * n, size)
        self.coarse = nn.ModuleList([Block(2 * n, 2 * n, size), Block(2 * n, 2 * n, size)])
        self.middle_again, self.fine_again = Block(4 * n, 2 * n, size), Block(3 * n, n, size)
        self.last_norm, self.last = nn.GroupNorm(GROUPS, n), _zero_weights(nn.Conv2d(n, 1, 3, padding=1))
        self.frequencies: torch.Tensor
        self.register_buffer("frequencies", torch.logspace(0, 2, n // 2), persistent=False)

    def forward(self, z: torch.Tensor, phi: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return v, (batch, 1, side, side).

        Parameters
        ----------
        z : noised images (batch, 1, side, side).
        phi : angles (batch,), from 0, the image, to pi/2, the noise.
        y : classes (batch,), from 0 to `classes`.
        """
        waves = phi[:, None] * self.frequencies
        condition = F.silu(self.angle(torch.cat([waves.sin(), waves.cos()], 1)) + self.label(y))
        fine = self.fine(self.first(z), condition)
        middle = self.middle(F.avg_pool2d(fine, 2), condition)
        h = F.avg_pool2d(middle, 2)
        for block in self.coarse:
            h = block(h, condition)
        h = self.middle_again(torch.cat([_double(h), middle], 1), condition)
        h = self.fine_again(torch.cat([_double(h), fine], 1), condition)
        return self.last(F.silu(self.last_norm(h)))


class Block(nn.Module):
    """``x + conv(silu((1 + a) norm(conv(silu(norm(x)))) + b))``, a and b linear in the condition (noise level and class)."""

    def __init__(self, channels: int, out: int, size: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(GROUPS, channels), nn.GroupNorm(GROUPS, out)])
        self.first, self.second = nn.Conv2d(channels, out, 3, padding=1), _zero_weights(nn.Conv2d(out, out, 3, padding=1))
        self.modulation = nn.Linear(size, 2 * out)
        self.skip = nn.Conv2d(channels, out, 1) if channels != out else nn.Identity()

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return (batch, out, height, width) of x (batch, channels, height, width) and the condition (batch, size)."""
        gain, shift = self.modulation(condition)[:, :, None, None].chunk(2, 1)
        h = self.norms[1](self.first(F.silu(self.norms[0](x))))
        return self.skip(x) + self.second(F.silu(h * (1 + gain) + shift))


def _zero_weights(layer: nn.Conv2d) -> nn.Conv2d:
    """Set a convolution to 0: a residual block is then the identity at initialization, and the denoiser 0."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _double(x: torch.Tensor) -> torch.Tensor:
    """Return x (batch, channels, height, width) at twice the resolution."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
