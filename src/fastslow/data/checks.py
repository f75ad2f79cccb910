"""Checks that several data sets and samplers share."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from fastslow.errors import InputError, shown

_MOST = 2**63 - 1


def is_real(value: object) -> bool:
    """Whether a value is one real number, of Python or NumPy; `True` and a span of time are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.timedelta64)


def refuse_unless_whole(name: str, value: Any, least: int, most: int = _MOST) -> int:  # noqa: ANN401 - from users
    """Refuses what is no whole number from `least` to `most`; `True` is none.

    Returns:
        The number as Python's own, which does not overflow and can be written to JSON: keep that, for NumPy's are taken
        too.

    Raises:
        InputError: the message has the name, the value and the bound.
    """
    if not is_real(value) or not isinstance(value, numbers.Integral) or (number := int(value)) < least:
        raise InputError(f"{name} is {shown(value)}; give a whole number of at least {least}")
    if number > most:
        raise InputError(f"{name} is {shown(value)}; give a whole number of at most {most}")
    return number


def refuse_unless_positive(name: str, value: Any, unit: str = "") -> float:  # noqa: ANN401 - from users
    """Refuses what is no positive number that a float can hold; `True` is none. `unit` is what it is in, for messages.

    Returns:
        The number as a float of Python: keep that, for NumPy's are taken too.

    Raises:
        InputError: the message has the name and the value.
    """
    number = math.nan
    if is_real(value):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not 0 < number < math.inf:
        raise InputError(f"got {name}={shown(value)}; a positive number was expected{unit and ', ' + unit}")
    return number


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
