"""Warp images by smooth random displacements."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def warp_images(x: torch.Tensor, source: np.random.Generator, displacement: float, points: int = 3) -> torch.Tensor:
    """Return images displaced by smooth random fields: normal displacements at a lattice of points, interpolated between them.

    Pixels from beyond the border are 0: the mean of centred pixels, the background of raw ones.

    Parameters
    ----------
    x : images (n, C, H, W), H = W.
    source : of the random numbers, whatever the device of x.
    displacement : pixels, the standard deviation at a point of the lattice.
    points : of the lattice along each axis, the corners of the image among them.
    """
    n, _, side, _ = x.shape
    coarse = source.normal(0.0, displacement, (n, 2, points, points)).astype(np.float32) * (2 / side)     # for grid_sample a side is 2
    field = F.interpolate(torch.from_numpy(coarse), (side, side), mode="bicubic", align_corners=True)
    rest = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), [n, 1, side, side], align_corners=False)
    grid = (rest + field.permute(0, 2, 3, 1)).to(x.device)
    return F.grid_sample(x, grid, mode="bilinear", align_corners=False)
