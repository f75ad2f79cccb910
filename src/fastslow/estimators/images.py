"""What users hand over as images, as what an encoder takes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import Tensor

from fastslow.data.drawings import prepared_drawings
from fastslow.data.preparation import Ink


def prepared_images(
    images: ArrayLike | Tensor, *, size: int, ink: Ink, crop: bool
) -> Float[Tensor, "images 1 size size"]:
    """Images as grey values in [0, 1], each prepared by itself, see `data.preparation.prepare`; on the CPU.

    See `data.drawings.prepared_drawings`.
    """
    return torch.from_numpy(prepared_drawings(images, size=size, ink=ink, crop=crop)).unsqueeze(1)
