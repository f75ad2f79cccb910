"""Small affine changes of an image: what another hand might have done to a drawing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def affine_amounts(num_images: int, generator: torch.Generator) -> Float[Tensor, "batch 6"]:
    """Standard normal amounts for `affine`, drawn on the CPU so that a seed gives the same ones for every device."""
    return torch.randn(num_images, 6, generator=generator, dtype=torch.float32, device="cpu")


def affine(
    images: Float[Tensor, "batch 1 height width"],
    amounts: Float[Tensor, "batch 6"],
    *,
    rotation: float = 0.12,
    scale: float = 0.10,
    shear: float = 0.12,
    shift: float = 0.06,
) -> Float[Tensor, "batch 1 height width"]:
    """Rotates, scales, shears and shifts each image, bilinearly; outside is 0.

    Args:
        images: grey images.
        amounts: how much of each change, in units of the following: angle, shear, scale of either axis, shift in
            either axis; shape (batch, 6).
        rotation: unit of the angle, radians.
        scale: unit of the logarithm of the scale of each axis.
        shear: unit of the shear.
        shift: unit of the shift, in half widths of the image.

    Returns:
        Changed images of the same shape.
    """
    amounts = amounts.to(images)
    angle, sheared = rotation * amounts[:, 0], shear * amounts[:, 1]
    scale_x, scale_y = torch.exp(scale * amounts[:, 2]), torch.exp(scale * amounts[:, 3])
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [
        torch.stack([cos * scale_x, cos * sheared - sin * scale_y, shift * amounts[:, 4]], dim=1),
        torch.stack([sin * scale_x, sin * sheared + cos * scale_y, shift * amounts[:, 5]], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)
