"""Training images by index, each time as another hand might have drawn them; and their features in many passes."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fastslow.core.encoders import images_per_pass, in_passes
from fastslow.data.augment import affine, affine_amounts
from fastslow.methods.base import Method
from fastslow.protocol.features import embed, to_unit
from fastslow.training import distributed
from fastslow.training.interruption import Stop

#: Images changed at once where all of them are; the random numbers are drawn in pieces of this size.
_PIECE = 2000
#: Passes of the encoder between two looks at whether the user wants to stop.
_PASSES = 16


class Drawings:
    """Images to train on.

    Args:
        images: on the CPU.
        generator: of the changes.
        device: where the images are wanted.
    """

    def __init__(
        self, images: UInt8[Tensor, "images height width"], generator: torch.Generator, device: torch.device
    ) -> None:
        self.images, self.generator, self.device = images, generator, device

    def changed(self, indices: Int64[Tensor, "*batch"]) -> Float[Tensor, "drawings 1 height width"]:
        """Images in [0, 1] by index, one after another, each changed a little."""
        images = to_unit(self.images[indices.flatten()].to(self.device))
        # Drawn for all processes in each of them, so that their generators stay together.
        amounts = affine_amounts(len(images) * distributed.world_size(), self.generator)
        return affine(images, distributed.share(amounts))

    def all_changed(self, seed: int) -> UInt8[Tensor, "images height width"]:
        """Every image changed once, as bytes; the same for the same seed."""
        generator = torch.Generator(device="cpu").manual_seed(seed)
        changed = []
        for part in torch.split(self.images, _PIECE):
            seen = affine(to_unit(part), affine_amounts(len(part), generator))
            changed.append((seen[:, 0] * 255).round().to(torch.uint8))
        return torch.cat(changed)


def features_of(
    method: Method[Any], images: UInt8[Tensor, "images height width"], stop: Stop
) -> Float[Tensor, "images ..."]:
    """Many images as a method embeds them under frozen statistics, on its device.

    Raises:
        Abandoned: if the user wants to stop.
    """
    device = method.encoder.log_sharpness.device
    before = stop.watch("features", len(images))

    def some(part: Tensor) -> Tensor:
        before(len(part))
        return embed(method, part, device=device)

    return in_passes(some, images, _PASSES * images_per_pass(method.encoder))
