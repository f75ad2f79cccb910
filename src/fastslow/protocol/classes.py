"""The classes that a model is measured on: which give episodes, and which it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.data.base import upright_name
from fastslow.errors import InputError, shown

#: Name of the entry among a model's details.
ENTRY = "trained_on"
_DIGITS = 8


def class_digests(names: Iterable[str]) -> list[str]:
    """The first 8 hex digits of the SHA-256 of each class name: short enough for a model file."""
    return [hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS] for name in names]


def trained_on(data: str, split: str, class_names: Iterable[str]) -> dict[str, Any]:
    """What goes into a model's details as `ENTRY`.

    Args:
        data: name of the data.
        split: name of the split.
        class_names: of the classes trained on; for turned characters the name of the upright one.
    """
    return {"data": data, "split": split, "classes": sorted(class_digests(class_names))}


def classes_trained_on(details: Mapping[str, Any], class_names: Sequence[str]) -> list[int] | None:
    """Which of some classes a model was trained on, by their names.

    Names say nothing of which data they belong to, so that a copy of the data in a folder is found out as well; a
    class that only has the name of another is taken for it.

    Args:
        details: of the model.
        class_names: of the classes that it is to be measured on.

    Returns:
        Their indices, among them those of classes that were trained on turned or mirrored otherwise; None where the
        model does not say what it was trained on.

    Raises:
        ValueError: if what it says cannot be read.
    """
    entry = details.get(ENTRY)
    if entry is None:
        return None
    digests = entry.get("classes") if isinstance(entry, Mapping) else None
    if not isinstance(digests, list) or not all(isinstance(d, str) and len(d) == _DIGITS for d in digests):
        raise InputError(
            f"got {ENTRY}={shown(entry)} among the model's details; a list of classes, {_DIGITS} hex digits each, was "
            "expected: copy or train the model again"
        )
    seen = set(digests)
    as_named, upright = class_digests(class_names), class_digests(map(upright_name, class_names))
    return [index for index, digests in enumerate(zip(as_named, upright, strict=True)) if seen & set(digests)]


def usage(
    labels: Int64[Tensor, " images"], needed: int, num_classes: int = 0, groups: Tensor | None = None, n_way: int = 1
) -> dict[str, int]:
    """How many classes and images episodes are drawn from, and how many are left out for being too few.

    Args:
        labels: class of each image.
        needed: images that a class needs, support and queries.
        num_classes: classes there are, where some have no image at all; needed where there are groups.
        groups: the group of each class, where the classes of an episode are all of one; shape (num_classes,).
        n_way: classes that a group needs.

    Returns:
        "classes_used", "classes_left_out", "images_used", "images_left_out".
    """
    counts = torch.bincount(labels, minlength=num_classes)
    counts = counts if num_classes else counts[counts > 0]
    used = counts >= needed
    if groups is not None:
        used &= (groups[used].bincount(minlength=int(groups.max()) + 1) >= n_way)[groups]
    return {
        "classes_used": int(used.sum()), "classes_left_out": int((~used).sum()),
        "images_used": int(counts[used].sum()), "images_left_out": int(counts[~used].sum()),
    }  # fmt: skip
