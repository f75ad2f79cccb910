"""Where tasks get the features of training images from: made once, or anew at every step."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from fastslow.core.encoders import images_per_pass
from fastslow.methods.base import Method
from fastslow.training import distributed
from fastslow.training.drawings import Drawings, features_of
from fastslow.training.interruption import Stop


class CachedFeatures:
    """Features of every image as it is and once changed, made once; which of the two is drawn at each use.

    Args:
        method: embeds them; its encoder rests.
        images: on the CPU.
        generator: of which of the two.
        seed: of the changes.
        stop: by which the user stops the making.
    """

    def __init__(
        self,
        method: Method[Any],
        images: UInt8[Tensor, "images height width"],
        generator: torch.Generator,
        *,
        seed: int,
        stop: Stop,
    ) -> None:
        self.method, self.generator, self.seed, self.stop = method, generator, seed, stop
        self.drawings = Drawings(images, generator, method.encoder.log_sharpness.device)
        self.cache: Tensor | None = None

    def make(self) -> None:
        """Embeds all images twice.

        Raises:
            Abandoned: if the user wants to stop.
        """
        images = (self.drawings.images, self.drawings.all_changed(self.seed))
        self.cache = torch.stack([features_of(self.method, each, self.stop) for each in images])

    def take(self, indices: Int64[Tensor, "tasks examples"]) -> Float[Tensor, "share examples ..."]:
        """Features of this process's share of tasks, their images by index."""
        assert self.cache is not None
        view = torch.randint(len(self.cache), indices.shape, generator=self.generator, device="cpu")
        features: Tensor = self.cache[distributed.share(view), distributed.share(indices)]
        return features

    def drop(self) -> None:
        """Gives the memory back."""
        self.cache = None


class LiveFeatures:
    """Features of images changed anew, in the method's graph, under the statistics that the method trains with.

    Args:
        method: embeds them, and learns to.
        images: on the CPU.
        generator: of the changes.
    """

    def __init__(
        self, method: Method[Any], images: UInt8[Tensor, "images height width"], generator: torch.Generator
    ) -> None:
        self.method = method
        self.drawings = Drawings(images, generator, method.encoder.log_sharpness.device)

    def make(self) -> None:
        """Nothing to make beforehand."""

    def take(self, indices: Int64[Tensor, "tasks examples"]) -> Float[Tensor, "share examples ..."]:
        """See `CachedFeatures.take`."""
        images = self.drawings.changed(distributed.share(indices))
        whole = images.device.type != "cpu" or self.method.batch_statistics
        size = len(images) if whole else images_per_pass(self.method.encoder)
        features = torch.cat([self.method.embed(part) for part in torch.split(images, size)])
        return features.reshape(-1, indices.shape[1], *features.shape[1:])

    def drop(self) -> None:
        """Nothing is kept."""
