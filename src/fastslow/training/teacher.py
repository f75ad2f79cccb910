"""What another encoder makes of the training images: an encoder in training can be drawn to it (distillation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.encoders import ImageEncoder, images_per_pass, in_passes
from fastslow.core.views import NUM_VIEWS, features_of_views, seen_from
from fastslow.data.base import ClassImages
from fastslow.errors import InputError, shown
from fastslow.protocol.features import to_unit
from fastslow.training.interruption import Stop

#: Weight of the loss that a teacher gives, from 0 to 1, beside that of the pairs, nats. Chosen on validation classes
#: among 1, which gains next to nothing, 4 and 16.
_WEIGHT = 16.0


class Teaching(NamedTuple):
    """An encoder to learn from, and what it sees.

    Attributes:
        encoder: under frozen statistics.
        images: the classes to train on, upright, of its size.
        mirrors: whether mirror images of them are trained on.
        sha256: of the file that the encoder is from.
    """

    encoder: ImageEncoder
    images: ClassImages
    mirrors: bool
    sha256: str


class Teacher:
    """Draws features in training to what another encoder makes of the same images, unchanged.

    Args:
        read: gives what there is to learn from; called at `begin`.
        stop: by which the user stops it.
        device: to embed on.

    Attributes:
        sha256: of the teacher that the run was begun with, if that is known.
    """

    def __init__(self, read: Callable[[], Teaching], stop: Stop, device: torch.device) -> None:
        self.read, self.stop, self.device = read, stop, device
        self.sha256: str | None = None
        self.features: Tensor | None = None

    def begin(self) -> None:
        """Embeds all images, which may take minutes.

        Raises:
            Abandoned: if the user wants to stop.
            ValueError: if there is no teacher, or another than the one that it was begun with.
        """
        teaching = self.read()
        if self.sha256 not in (None, teaching.sha256):
            raise InputError(
                f"got a teacher of SHA-256 {teaching.sha256[:8]}; this run was begun with one of "
                f"{shown(self.sha256)[1:9]}: put that in its place, or start another run"
            )
        self.features, self.sha256 = taught_features(teaching, self.stop, self.device), teaching.sha256

    def end(self) -> None:
        """Lets the features go."""
        self.features = None

    def loss(self, features: Float[Tensor, "batch features"], places: Int64[Tensor, " batch"]) -> Float[Tensor, ""]:
        """`unlikeness` to the teacher's features of images, times `_WEIGHT`.

        Args:
            features: of the images.
            places: of the images among those trained on.
        """
        assert self.features is not None, "begin was not called"
        return _WEIGHT * unlikeness(features, self.features[places].to(features))


def unlikeness(features: Float[Tensor, "batch features"], taught: Float[Tensor, "batch others"]) -> Float[Tensor, ""]:
    r"""How far two descriptions of the same images are from alike, but for shift, scale, turns and mirrors of either.

    .. math:: 1 - \frac{\lVert X^\top Y \rVert^2}{\lVert X^\top X \rVert \, \lVert Y^\top Y \rVert}

    for centred features X and Y: one minus linear centred kernel alignment (Kornblith et al., 2019), which compares all
    inner products among the images, and so needs no map from one to the other.

    Args:
        features: of a batch.
        taught: of the same images, of any number of features.

    Returns:
        From 0, alike, to 1.
    """
    ours, theirs = features - features.mean(0), taught - taught.mean(0)
    shared: Tensor = (ours.mT @ theirs).square().sum()
    size: Tensor = (ours.mT @ ours).norm() * (theirs.mT @ theirs).norm()
    return 1 - shared / size.clamp_min(torch.finfo(size.dtype).tiny)


@torch.no_grad()
def taught_features(teaching: Teaching, stop: Stop, device: torch.device) -> Float[Tensor, "images features"]:
    """Features of the images, of their mirror images where those are trained on, and of all of these turned.

    Each image is seen in eight passes, also where the encoder joins eight views.

    Args:
        teaching: encoder and images.
        stop: by which the user stops it.
        device: to embed on.

    Returns:
        On the CPU, in the order of `ClassImages.with_rotations`, after `with_mirrors` where `mirrors`.

    Raises:
        Abandoned: if the user wants to stop.
    """
    encoder = teaching.encoder.to(device)
    passes = max(1, images_per_pass(encoder) * encoder.num_views // NUM_VIEWS)
    mirrored = (0, NUM_VIEWS // 2) if teaching.mirrors else (0,)
    trained_on = [seen_from(mirror, turn) for turn in range(NUM_VIEWS // 2) for mirror in mirrored]

    before = stop.watch("teacher", len(teaching.images.images))

    def of_views(part: Tensor) -> Tensor:
        before(len(part))
        return features_of_views(encoder, to_unit(part.to(device)))[trained_on].transpose(0, 1).cpu()

    return in_passes(of_views, teaching.images.images, passes).transpose(0, 1).flatten(0, 1)
