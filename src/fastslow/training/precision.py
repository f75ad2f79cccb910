"""Whether the encoder is quicker in bfloat16: processors with instructions for it gain, the others lose much."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch
from torch import Tensor

from fastslow.core.encoders import ImageEncoder

_IMAGES, _ROUNDS = 16, 2
#: Seconds after which one more round would not change the answer.
_ENOUGH = 0.3


def bfloat16_is_quicker(encoder: ImageEncoder) -> bool:
    """Times forward and backward passes of a copy of the encoder, in 32 bits and under autocast: under a second."""
    encoder = copy.deepcopy(encoder).train()
    size = encoder.image_size
    images = torch.zeros(_IMAGES, 1, size, size, device=encoder.log_sharpness.device)
    in_float32 = _seconds(encoder, images, enabled=False)
    return _seconds(encoder, images, enabled=True) < in_float32


def embedded(embed: Callable[[Tensor], Tensor], images: Tensor, *, bfloat16: bool) -> Tensor:
    """What an encoder or `Method.embed` makes of images, in 32 bits; bfloat16 inside where it is wanted."""
    device = images.device.type
    with torch.autocast(device, torch.bfloat16, enabled=bfloat16):
        features = embed(images)
    return features.to(torch.float32)


def _seconds(encoder: ImageEncoder, images: Tensor, *, enabled: bool) -> float:
    """The quickest of a few passes, after one to warm up."""
    times: list[float] = []
    while len(times) <= _ROUNDS and sum(times) < _ENOUGH:
        began = time.perf_counter()
        embedded(encoder, images, bfloat16=enabled).sum().backward()  # type: ignore[no-untyped-call]
        if images.device.type == "cuda":
            torch.cuda.synchronize(images.device)  # it only takes orders until then
        times.append(time.perf_counter() - began)
    return min(times[1:] or times)
