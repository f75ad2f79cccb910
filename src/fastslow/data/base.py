"""Images grouped by class: what every image data set of this library is turned into."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fastslow.checks import is_real
from fastslow.data.checks import as_labels
from fastslow.errors import InputError, shown

#: What the names of turned and mirrored classes end in.
_TURNED, _MIRROR = ("", "@90", "@180", "@270"), "@mirror"


@dataclasses.dataclass(frozen=True, init=False)
class ClassImages:
    """Grey images grouped by class, ink bright.

    Attributes:
        images: shape (num_images, height, width), uint8, 0 is paper and 255 is ink. NumPy arrays are taken too, here
            and for the labels, and kept as tensors.
        labels: shape (num_images,), int64 in [0, num_classes); the class of each image.
        class_names: one name per class, in the order of the labels.

    Raises:
        InputError: if these do not fit together or are of another kind.
    """

    images: UInt8[Tensor, "images height width"]
    labels: Int64[Tensor, " images"]
    class_names: tuple[str, ...]

    def __init__(
        self,
        images: Tensor | np.ndarray,
        labels: Tensor | np.ndarray | Sequence[int],
        class_names: Sequence[str],
    ) -> None:
        # The class is frozen, hence `object`.
        object.__setattr__(self, "images", _as_images(images))
        object.__setattr__(self, "labels", as_labels(labels).to(self.images.device))
        object.__setattr__(self, "class_names", _as_names(class_names))
        if len(self.images) != len(self.labels):
            raise InputError(f"got {len(self.images)} images and {len(self.labels)} labels; give one label per image")
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
            InputError: if a class is no whole number, out of range or given twice.
        """
        classes = _as_numbers(classes)
        if len(set(classes)) != len(classes) or not all(0 <= c < self.num_classes for c in classes):
            raise InputError(
                f"got classes {shown(classes)} to select; give different class numbers in [0, {self.num_classes})"
            )
        where = self.labels.device
        chosen = torch.tensor(classes, dtype=torch.int64, device=where)
        new_label = torch.full((self.num_classes,), -1, dtype=torch.int64, device=where)
        new_label[chosen] = torch.arange(len(classes), device=where)
        keep = new_label[self.labels] >= 0
        return ClassImages(self.images[keep], new_label[self.labels[keep]], tuple(self.class_names[c] for c in classes))

    def at_most(self, number: int, drawings: int) -> ClassImages:
        """About `number` of the images: classes from the first on, whole where they have no more than `drawings`.

        Args:
            number: of images that are wanted; where there are fewer, all are kept.
            drawings: of a class, the most that are kept while there are more classes than that leaves room for.
        """
        if len(self.labels) <= number:
            return self
        drawings = max(drawings, number // self.num_classes)
        place = torch.empty_like(self.labels)  # of each image within its class
        order = self.labels.argsort(stable=True)
        counts = self.labels.bincount(minlength=self.num_classes)
        place[order] = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[self.labels[order]]
        first = ClassImages(self.images[place < drawings], self.labels[place < drawings], self.class_names)
        return first.select(range(min(self.num_classes, max(1, number // drawings))))

    def with_rotations(self) -> ClassImages:
        """Four times the classes: each one again, turned by 90, 180 and 270 degrees."""
        turned = [torch.rot90(self.images, k, (1, 2)) for k in range(4)]
        labels = [self.labels + k * self.num_classes for k in range(4)]
        names = [name + _TURNED[k] for k in range(4) for name in self.class_names]
        return ClassImages(torch.cat(turned), torch.cat(labels), tuple(names))

    def with_mirrors(self) -> ClassImages:
        """Twice the classes: each one again, left and right exchanged."""
        names = (*self.class_names, *(name + _MIRROR for name in self.class_names))
        images = torch.cat([self.images, self.images.flip(2)])
        return ClassImages(images, torch.cat([self.labels, self.labels + self.num_classes]), names)


def upright_name(name: str) -> str:
    """The name that a class had before it was turned, or mirrored, or mirrored and then turned."""
    for ending in (*_TURNED[1:], _MIRROR):
        name = name.removesuffix(ending)
    return name


def _as_images(images: Tensor | np.ndarray) -> UInt8[Tensor, "images height width"]:
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        images = torch.from_numpy(np.array(images, order="C"))  # a copy: arrays may be read-only or run backwards
    if not isinstance(images, Tensor) or images.dtype != torch.uint8 or images.dim() != 3:
        form = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor | np.ndarray) else shown(images)
        raise InputError(f"got images {form}; bytes (uint8) of shape (images, height, width) were expected, ink 255")
    return images


def _as_numbers(classes: Any) -> list[int]:  # noqa: ANN401 - from users
    given = classes.tolist() if isinstance(classes, np.ndarray | Tensor) else classes
    numbers = list(given) if isinstance(given, Sequence) and not isinstance(given, str | bytes) else None
    if numbers is None or not all(is_real(c) and isinstance(c, Integral) for c in numbers):
        raise InputError(
            f"got classes {shown(classes)} to select; a list of class numbers was expected: of a mask, the places "
            "where it is true; of names, their places in class_names"
        )
    return [int(c) for c in numbers]


def _as_names(names: Any) -> tuple[str, ...]:  # noqa: ANN401 - from users
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise InputError(f"got class_names={shown(names)}; a list of one text per class was expected")
    return tuple(names)
