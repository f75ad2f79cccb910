"""The feature extractor f^E of Eq. 1 for images, and the projection that sets its features apart."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from fastslow.errors import InputError

#: Images in one pass where no batch statistics are in use: keeps every block of a pass under 32 MB, which the
#: C library would otherwise give back to the system and fault in again at each call.
IMAGES_PER_PASS = 80


class ConvBlock(nn.Module):
    """Convolution 3 x 3, batch norm, 2 x 2 max pooling, ReLU; then, if `residual`, one more at the small size.

    Pooling before the ReLU is the same function as after it (both are monotone) on a quarter of the numbers.

    Args:
        in_channels: channels in.
        out_channels: channels out, at half the height and width.
        residual: add a second convolution, x + ReLU(BN(conv(x))), after the pooling.
    """

    def __init__(self, in_channels: int, out_channels: int, *, residual: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(out_channels)
        self.residual_conv = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False) if residual else None
        self.residual_norm: nn.BatchNorm2d | nn.Identity | None = nn.BatchNorm2d(out_channels) if residual else None

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Tensor:
        """Shape (batch, out_channels, height // 2, width // 2)."""
        pooled = F.relu(F.max_pool2d(self.norm(self.conv(images)), 2))
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
    """

    def __init__(
        self, *, channels: Sequence[int] = (64, 64, 64), residual: Sequence[bool] = (), image_size: int = 28
    ) -> None:
        super().__init__()
        if image_size < 2 ** len(channels):
            raise InputError(
                f"{len(channels)} blocks halve images of {image_size} pixels to nothing; "
                f"use images of at least {2 ** len(channels)} pixels or fewer blocks"
            )
        residual = tuple(residual) or (False,) * len(channels)
        if len(residual) != len(channels):
            raise InputError(f"{len(channels)} blocks came with {len(residual)} residual flags; one flag a block")
        sizes = [1, *channels]
        self.image_size = image_size
        self.blocks = nn.Sequential(
            *(ConvBlock(sizes[b], sizes[b + 1], residual=residual[b]) for b in range(len(channels)))
        )
        self.num_features = channels[-1] * (image_size // 2 ** len(channels)) ** 2
        nn.Module.to(self, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch features"]:
        """Features of grey images in [0, 1], ink = 1.

        Args:
            images: shape (batch, 1, image_size, image_size).

        Returns:
            x_t, shape (batch, num_features).

        Raises:
            ValueError: if the images have another shape.
        """
        if images.shape[1:] != (1, self.image_size, self.image_size):
            raise InputError(
                f"images of shape {tuple(images.shape[1:])} came; this encoder takes "
                f"(1, {self.image_size}, {self.image_size}): grey, resized"
            )
        features: Tensor = self.blocks(images.contiguous(memory_format=torch.channels_last))
        return features.flatten(1)

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
