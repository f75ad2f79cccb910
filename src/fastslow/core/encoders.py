"""The feature extractor f^E of Eq. 1 for images, and the projection that sets its features apart."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastslow.checks import refuse_unless_whole
from fastslow.core.fitting import refuse_other_type
from fastslow.errors import InputError

#: Bytes of the largest activation in one pass where no batch statistics are in use. It stays well under 32 MB: larger
#: pieces of memory the C library gives back to the system, and faults them in again at each call.
BYTES_PER_PASS = 16 * 2**20


#: How a block halves its images, see `ConvBlock`.
Halving = Literal["floor", "ceil", "stride"]


def halved(size: int, halving: Halving) -> int:
    """Height or width after one block, pixels."""
    return size // 2 if halving == "floor" else (size + 1) // 2


class ConvBlock(nn.Module):
    """Convolution 3 x 3, batch norm, 2 x 2 max pooling, ReLU; then, if `residual`, one more at the small size.

    Pooling before the ReLU is the same function as after it (both are monotone) on a quarter of the numbers.

    Args:
        in_channels: channels in.
        out_channels: channels out, at half the height and width.
        residual: add a second convolution, x + ReLU(BN(conv(x))), after the pooling.
        halving: "floor" leaves an odd last row and column out of the pooling, "ceil" pools them by themselves;
            "stride" has no pooling but every second place of the convolution, which is "ceil" in size.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, residual: bool = False, halving: Halving = "floor"
    ) -> None:
        super().__init__()
        self.halving = halving
        stride = 2 if halving == "stride" else 1
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(out_channels)
        self.residual_conv = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False) if residual else None
        self.residual_norm: nn.BatchNorm2d | nn.Identity | None = nn.BatchNorm2d(out_channels) if residual else None

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Shape (batch, out_channels, height / 2, width / 2), rounded as `halved` does."""
        normal = self.norm(self.conv(images))
        small = normal if self.halving == "stride" else F.max_pool2d(normal, 2, ceil_mode=self.halving == "ceil")
        pooled = F.relu(small)
        if self.residual_conv is None or self.residual_norm is None:
            return pooled
        return pooled + F.relu(self.residual_norm(self.residual_conv(pooled)))


class ConvEncoder(nn.Module):
    """Images to features (Eq. 1): one `ConvBlock` a size, then flattened.

    Three plain blocks of 64 are the paper's (Sec. 4.1). Convolutions run in channels-last order, 1.7 times quicker
    on CPU.

    Args:
        channels: output channels of each block.
        residual: for each block, whether it has a second, residual convolution.
        image_size: height and width of the images.
        halving: see `ConvBlock`; images of 28 pixels end at 3 x 3 by "floor" and at 4 x 4 otherwise.
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (64, 64, 64),
        residual: Sequence[bool] = (),
        image_size: int = 28,
        halving: Halving = "floor",
    ) -> None:
        super().__init__()
        image_size = refuse_unless_whole("image_size", image_size, 1)
        channels = [refuse_unless_whole(f"channels[{i}]", size, 1) for i, size in enumerate(channels)]
        if not channels:
            raise InputError("got no channels; an encoder has at least one block: give its output channels, as (64,)")
        if image_size < 2 ** len(channels):
            raise InputError(
                f"{len(channels)} blocks halve images of {image_size} pixels to nothing; "
                f"use images of at least {2 ** len(channels)} pixels or fewer blocks"
            )
        residual = tuple(residual) or (False,) * len(channels)
        if len(residual) != len(channels):
            raise InputError(f"got {len(channels)} blocks and {len(residual)} residual flags; give one flag per block")
        sizes = [1, *channels]
        self.image_size = image_size
        self.blocks = nn.Sequential(
            *(ConvBlock(sizes[b], sizes[b + 1], residual=residual[b], halving=halving) for b in range(len(channels)))
        )
        edge = image_size
        for _ in channels:
            edge = halved(edge, halving)
        self.num_features = channels[-1] * edge**2
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """Features of grey images in [0, 1], ink = 1.

        Args:
            images: shape (batch, 1, image_size, image_size).

        Returns:
            x_t, shape (batch, num_features).

        Raises:
            ValueError: if the images have another shape, or are no numbers of the weights' type.
        """
        self.refuse_other_images(images)
        features: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        return features.flatten(1)

    def refuse_other_images(self, images: Tensor) -> None:
        """The one check of what images are given.

        Raises:
            ValueError: if they are not of shape (batch, 1, image_size, image_size), or not of the weights' type.
        """
        if images.shape[1:] != (1, self.image_size, self.image_size):
            raise InputError(
                f"got images of shape {tuple(images.shape[1:])}; this encoder takes "
                f"(1, {self.image_size}, {self.image_size}): grey, resized"
            )
        block = self.blocks[0]
        assert isinstance(block, ConvBlock)
        refuse_other_type("images", images, block.conv.weight)

    def folded(self) -> ConvEncoder:
        """A copy for inference: each batch norm, statistics frozen, folded into its convolution.

        Equal to this encoder in evaluation mode up to rounding. Cannot be trained.
        """
        encoder = copy.deepcopy(self).eval().requires_grad_(False)
        for block in encoder.blocks:
            assert isinstance(block, ConvBlock)
            if isinstance(block.norm, nn.BatchNorm2d):
                block.conv, block.norm = fuse_conv_bn_eval(block.conv, block.norm), nn.Identity()
            if block.residual_conv is not None and isinstance(block.residual_norm, nn.BatchNorm2d):
                block.residual_conv = fuse_conv_bn_eval(block.residual_conv, block.residual_norm)
                block.residual_norm = nn.Identity()
        nn.Module.to(encoder, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return encoder


class Projection(nn.Module):
    """Features to the keys that controllers read: a linear map, then each feature centred and scaled.

    Centring is what sets apart the keys u_s of different classes (`docs/deviations.md`). Statistics are the
    batch's in training and frozen running averages otherwise.

    Args:
        num_features: features in.
        dim: features out.
    """

    def __init__(self, *, num_features: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, dim, bias=False)
        self.centre: nn.BatchNorm1d | nn.Identity = nn.BatchNorm1d(dim, affine=False)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch dim"]:
        """Shape (batch, dim), each feature of mean 0 and variance 1 over the training images."""
        projected: Tensor = self.centre(self.linear(features))
        return projected

    def folded(self) -> Projection:
        """A copy for inference with the centring folded into the linear map; equal in evaluation mode."""
        projection = copy.deepcopy(self).eval().requires_grad_(False)
        centre = projection.centre
        if isinstance(centre, nn.BatchNorm1d):
            assert centre.running_mean is not None
            assert centre.running_var is not None
            scale = torch.rsqrt(centre.running_var + centre.eps)
            projection.linear.weight.mul_(scale.unsqueeze(1))
            projection.linear.bias = nn.Parameter(-centre.running_mean * scale, requires_grad=False)
            projection.centre = nn.Identity()
        return projection


class ImageEncoder(nn.Module):
    """Images to the features that a memory reads: f^E of Eq. 1, then the projection if there is one.

    Args:
        encoder: the convolutions.
        projection: the projection, or None.

    Attributes:
        log_sharpness: logarithm of the scale at which its features are compared by distance; trained with it.
    """

    #: Passes of the convolutions for each image.
    num_views: ClassVar[int] = 1

    def __init__(self, encoder: ConvEncoder, projection: Projection | None) -> None:
        super().__init__()
        self.encoder, self.projection = encoder, projection
        self.log_sharpness = nn.Parameter(torch.tensor(-2.0))

    @property
    def num_features(self) -> int:
        """Features of the output."""
        return self.encoder.num_features if self.projection is None else self.projection.linear.out_features

    @property
    def image_size(self) -> int:
        """Height and width of the images, pixels."""
        return self.encoder.image_size

    def forward(self, images: Float[Tensor, "batch 1 height width"]) -> Float[Tensor, "batch features"]:
        """Images (batch, 1, height, width) in [0, 1] to features (batch, num_features)."""
        features: Tensor = self.encoder(images)
        return features if self.projection is None else self.projection(features)

    def folded(self) -> ImageEncoder:
        """A copy for inference with every batch norm folded; equal in evaluation mode up to rounding."""
        projection = None if self.projection is None else self.projection.folded()
        folded = ImageEncoder(self.encoder.folded(), projection).eval().requires_grad_(False)
        folded.log_sharpness = nn.Parameter(self.log_sharpness.detach().clone(), requires_grad=False)
        return folded


def build_encoder(
    *,
    channels: Sequence[int],
    residual: Sequence[bool],
    image_size: int,
    projection: int,
    halving: Halving = "floor",
) -> ImageEncoder:
    """Convolutions and, where `projection` is not 0, a projection to that many features.

    Weights are from torch's global generator. See `ConvEncoder` and `Projection` for the arguments.
    """
    encoder = ConvEncoder(channels=channels, residual=residual, image_size=image_size, halving=halving)
    if not projection:
        return ImageEncoder(encoder, None)
    return ImageEncoder(encoder, Projection(num_features=encoder.num_features, dim=projection))


def in_passes(call: Callable[[Tensor], Tensor], images: Tensor, size: int) -> Tensor:
    """What a function makes of many images, so many at a time, joined.

    All memory for it is taken in the first pass. Small results kept between large ones that are freed would leave
    holes, each too small for the next pass: gigabytes, after thousands of passes.

    Args:
        call: images, shape (images, ...), to as many rows; without a graph.
        images: shape (images, ...).
        size: images a pass.

    Returns:
        Shape (images, ...) of the rows.
    """
    first = call(images[:size])
    if len(images) <= size:
        return first
    joined = first.new_empty(len(images), *first.shape[1:])
    joined[:size] = first
    for start in range(size, len(images), size):
        joined[start : start + size] = call(images[start : start + size])
    return joined


def images_per_pass(encoder: ImageEncoder | ConvEncoder) -> int:
    """How many images to embed at once where each is embedded as if alone: what `BYTES_PER_PASS` hold, at least 1.

    By bytes rather than by number, so that large images and wide blocks are quick too.

    Args:
        encoder: what embeds them.

    Returns:
        83 for images of 28 pixels and 64 channels in 32 bits.
    """
    convolutions, views = (encoder.encoder, encoder.num_views) if isinstance(encoder, ImageEncoder) else (encoder, 1)
    size, largest = convolutions.image_size, 1
    for block in convolutions.blocks:
        assert isinstance(block, ConvBlock)
        # The convolution's own output, before pooling halves its height and width.
        edge = halved(size, block.halving) if block.halving == "stride" else size
        largest = max(largest, block.conv.out_channels * edge**2 * block.conv.weight.element_size())
        size = halved(size, block.halving)
    return max(1, BYTES_PER_PASS // (largest * views))
