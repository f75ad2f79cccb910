"""Small handwritten digits that come with scikit-learn: real handwriting without any download."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F

from fastslow.data.base import ClassImages
from fastslow.data.images.resize import refuse_too_large, resized
from fastslow.data.splits import Split, make_split
from fastslow.errors import InputError, shown

_LEVELS = 16  # the brightest ink in scikit-learn's copy
_BOX = 20 / 28  # the share of the edge that the digit takes, as in MNIST


def load_digits(image_size: int = 28) -> ClassImages:
    """The 1797 digits of `sklearn.datasets.load_digits` (E. Alpaydin and C. Kaynak, 1998, 8x8 pixels).

    They fill their 8x8 pixels to the border. Here they are scaled to 20 / 28 of the edge by bicubic interpolation,
    and set in the middle of blank paper, as MNIST's are: a model of Omniglot then reads them 7 points better.

    Args:
        image_size: edge of the images, pixels.

    Returns:
        Images (1797, image_size, image_size), ink 255; classes "0" to "9".

    Raises:
        InputError: see `refuse_too_large`.
    """
    from sklearn import datasets  # type: ignore[import-untyped]  # a second, which only those who use it pay

    bunch = datasets.load_digits()
    image_size = refuse_too_large(len(bunch.images), image_size)
    small = torch.from_numpy(np.round(bunch.images * (255 / _LEVELS)).astype(np.uint8))
    edge = max(1, round(_BOX * image_size))
    before = (image_size - edge) // 2
    after = image_size - edge - before
    images = F.pad(resized(small, edge), (before, after, before, after))
    return ClassImages(images, torch.from_numpy(bunch.target.astype(np.int64)), tuple(map(str, range(10))))


def digit_split(class_names: Sequence[str]) -> Split:
    """The ten digits as in the paper's section 5.1: 0 to 4 are for training, 5 to 9 for test, none for validation.

    Raises:
        InputError: if the classes are not "0" to "9".
    """
    if sorted(class_names) != list("0123456789"):
        raise InputError(f"got classes {shown(list(class_names))}; the digits 0 to 9 were expected")
    order = sorted(range(10), key=lambda i: class_names[i])
    return make_split("first-five-digits", class_names, train=order[:5], validation=(), test=order[5:])
