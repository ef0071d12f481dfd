"""Random crops and flips of images, on any device; knows no data."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

PADDING = 4      # pixels


def cropped_and_flipped(x: torch.Tensor, source: np.random.Generator) -> torch.Tensor:
    """Return images (n, C, H, W), each moved by up to 4 pixels along either axis and mirrored left to right half of the time.

    The images are centred: what comes in from beyond the rim is the mean image's 0, and lowers the mean square accordingly. The random
    numbers are the source's, the same whatever the device of x.
    """
    n, channels, height, width = x.shape
    down, right = (torch.from_numpy(source.integers(0, 2 * PADDING + 1, (n, 1))) for _ in range(2))
    mirrored = torch.from_numpy(source.integers(0, 2, (n, 1)) == 1)
    rows, columns = torch.arange(height) + down, torch.arange(width) + right                    # (n, H), (n, W)
    columns = torch.where(mirrored, columns.flip(1), columns)
    at = (rows[:, :, None] * (width + 2 * PADDING) + columns[:, None, :]).reshape(n, 1, -1).to(x.device)
    return F.pad(x, (PADDING,) * 4).flatten(2).gather(2, at.expand(-1, channels, -1)).reshape(x.shape)
