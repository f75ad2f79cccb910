"""Images grouped by class: what every image data set of this library is turned into."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fastslow.errors import InputError


@dataclasses.dataclass(frozen=True)
class ClassImages:
    """Grey images grouped by class, ink bright.

    Attributes:
        images: shape (num_images, height, width), uint8, 0 is paper and 255 is ink.
        labels: shape (num_images,), int64 in [0, num_classes); the class of each image.
        class_names: one name a class, in the order of the labels.
    """

    images: UInt8[Tensor, "images height width"]
    labels: Int64[Tensor, " images"]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise InputError(f"{len(self.images)} images came with {len(self.labels)} labels; give one label an image")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < self.num_classes:
            raise InputError(
                f"labels run from {int(self.labels.min())} to {int(self.labels.max())}, "
                f"but there are {self.num_classes} class names"
            )

    @property
    def num_classes(self) -> int:
        """Number of classes, empty ones included."""
        return len(self.class_names)

    def select(self, classes: Sequence[int]) -> ClassImages:
        """The given classes only, renumbered 0, 1, ... in the order given; images stay in their order.

        Raises:
            InputError: if a class is out of range or comes twice.
        """
        if len(set(classes)) != len(classes) or not all(0 <= c < self.num_classes for c in classes):
            raise InputError(f"{list(classes)} came to select; give different class numbers in [0, {self.num_classes})")
        new_label = torch.full((self.num_classes,), -1, dtype=torch.int64)
        new_label[torch.as_tensor(list(classes), dtype=torch.int64)] = torch.arange(len(classes))
        keep = new_label[self.labels] >= 0
        return ClassImages(self.images[keep], new_label[self.labels[keep]], tuple(self.class_names[c] for c in classes))

    def with_rotations(self) -> ClassImages:
        """Four times the classes: each one again, turned by 90, 180 and 270 degrees."""
        turned = [torch.rot90(self.images, k, (1, 2)) for k in range(4)]
        labels = [self.labels + k * self.num_classes for k in range(4)]
        names = [name if k == 0 else f"{name}@{90 * k}" for k in range(4) for name in self.class_names]
        return ClassImages(torch.cat(turned), torch.cat(labels), tuple(names))
