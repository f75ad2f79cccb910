"""Checks that several data sets and samplers share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.checks import is_real, refuse_unless_positive, refuse_unless_whole
from fastslow.errors import InputError, shown

__all__ = ["as_labels", "is_real", "refuse_unless_positive", "refuse_unless_whole"]


def as_labels(labels: Tensor | np.ndarray | Sequence[int]) -> Int64[Tensor, " images"]:
    """Class numbers as an int64 tensor on the CPU.

    Args:
        labels: one whole number per image: a tensor or array of any integer type and byte order, or a list.

    Raises:
        InputError: if they are none, or not on one axis.
    """
    if isinstance(labels, Tensor):
        whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
        kind, axes = str(labels.dtype), labels.dim()
        values = labels.detach().cpu() if whole else None
    else:
        array = _as_array(labels)
        kind, axes = str(array.dtype), array.ndim
        values = torch.from_numpy(array.astype(np.int64)) if array.dtype.kind in "iu" else None
    if values is None or axes != 1:
        raise InputError(f"got labels of {kind} on {axes} axes; one whole number per image was expected, on one axis")
    return values.to(torch.int64)


def _as_array(labels: np.ndarray | Sequence[int]) -> np.ndarray:
    if isinstance(labels, np.ndarray):
        return labels
    if not isinstance(labels, list | tuple | range):
        raise InputError(
            f"got labels={shown(labels)}; a list, array or tensor of one whole number per image was expected"
        )
    strange = [label for label in labels if isinstance(label, bool) or not isinstance(label, int | np.integer)]
    if strange:
        raise InputError(f"the labels hold {shown(strange[0])}; one whole number per image was expected")
    try:
        return np.array(labels, dtype=np.int64)
    except OverflowError as error:
        raise InputError("the labels hold a number beyond 64 bits; classes are numbered 0, 1, 2, ...") from error
