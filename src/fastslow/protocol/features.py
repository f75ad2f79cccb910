"""Images to features, many at a time: what all measurements of accuracy begin with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fastslow.core.encoders import ConvEncoder, ImageEncoder, images_per_pass, in_passes
from fastslow.methods.base import Method

#: An accelerator takes as many of the processor's passes at once.
ACCELERATOR_PASSES = 25


def to_unit(images: UInt8[Tensor, "batch height width"]) -> Float[Tensor, "batch 1 height width"]:
    """Bytes to the range [0, 1], ink = 1, with a channel axis; float32."""
    return images.unsqueeze(1).to(torch.float32) / 255


@torch.no_grad()
def embed(
    encoder: ImageEncoder | ConvEncoder | Method[Any],
    images: UInt8[Tensor, "images height width"],
    *,
    device: torch.device | None = None,
    on_progress: Callable[[int], object] | None = None,
) -> Float[Tensor, "images ..."]:
    """Features of many images under frozen statistics, in passes of a size the machine likes.

    Args:
        encoder: an encoder, or a method, which may embed in its own way. Its training mode is put back afterwards.
        images: shape (images, height, width), uint8.
        device: where the encoder is; the CPU if None.
        on_progress: called with the number of images done so far.

    Returns:
        Shape (images, features), on the device.
    """
    call, convolutions = (encoder.embed, encoder.encoder) if isinstance(encoder, Method) else (encoder, encoder)
    were_training = [module for module in encoder.modules() if module.training]
    done = 0

    def features_of(part: Tensor) -> Tensor:
        nonlocal done
        features: Tensor = call(to_unit(part.to(device)))
        done += len(part)
        if on_progress is not None:
            on_progress(done)
        return features

    encoder.eval()
    passes = 1 if device is None or device.type == "cpu" else ACCELERATOR_PASSES
    try:
        return in_passes(features_of, images, passes * images_per_pass(convolutions))
    finally:
        for module in were_training:
            module.training = True
