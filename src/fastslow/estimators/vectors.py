"""Feature vectors that users hand over, or that a model of theirs makes, as rows of 32 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.data.scale import refuse_masked, tensor_values
from fastslow.errors import InputError, shown_reason

#: The share of a column's spread that rounding may change.
_MOST_ROUNDED = 0.01
#: A spread of less than this share of the largest value is what 64 bits round themselves: the column is constant.
_NO_SPREAD = 1e-13


def as_vectors(examples: Any) -> Float[Tensor, "examples features"]:  # noqa: ANN401 - whatever users have
    """Feature vectors as a tensor.

    Raises:
        ValueError: if they are no rows of finite numbers; in the words that scikit-learn's checks look for.
    """
    if hasattr(examples, "toarray"):
        raise InputError("got sparse data; dense data is required: give X.toarray()")
    refuse_masked(examples, "examples")
    examples = tensor_values(examples, "examples") if isinstance(examples, Tensor) else examples
    try:
        array = np.asarray(examples)
        if array.dtype.kind in "USVTmM":
            raise InputError(
                f"got values of type {array.dtype}; dtype='numeric' is not compatible with arrays of bytes/strings or "
                "dates. Convert your data to numeric values explicitly instead."
            )
        if np.iscomplexobj(array):
            raise InputError("got numbers with an imaginary part. Complex data not supported: give real numbers")
        with np.errstate(over="ignore"):  # infinity is refused in words
            rows = np.array(array, dtype=np.float32, order="C", copy=None if array.flags.writeable else True)
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else InputError
        raise kind(f"the examples cannot be made an array of numbers: {shown_reason(error)}") from error
    if rows.ndim != 2:
        raise InputError(
            f"got an array of shape {rows.shape}. Expected 2D array, one row an example. Reshape your data, either by "
            "array.reshape(-1, 1) or array.reshape(1, -1)"
        )
    if 0 in rows.shape:
        raise InputError(
            f"got {rows.shape[0]} sample(s) (shape={rows.shape}) while a minimum of 1 is required: {rows.shape[1]} "
            f"feature(s) (shape={rows.shape}) while a minimum of 1 is required."
        )
    if not np.isfinite(rows).all():
        raise InputError("got NaN or infinity among the features (after rounding to 32 bits); give finite numbers")
    return torch.from_numpy(rows)


def refuse_rounded(examples: Any) -> None:  # noqa: ANN401 - as above
    """Refuses vectors of which 32 bits lose what tells them apart, as seconds since 1970 or metres on a map.

    Args:
        examples: that `as_vectors` takes.

    Raises:
        ValueError: if rounding changes a column by more than 1 % of its standard deviation; the message names it.
    """
    wide = tensor_values(examples, "examples") if isinstance(examples, Tensor) else np.asarray(examples)
    if wide.dtype.kind == "f" and wide.dtype.itemsize <= 4:
        return
    wide = np.asarray(wide, dtype=np.float64)
    largest, spread = np.abs(wide).max(0), wide.std(0)
    error = np.abs(wide - wide.astype(np.float32)).max(0)
    lost = np.flatnonzero((error > _MOST_ROUNDED * spread) & (spread > _NO_SPREAD * largest))
    if len(lost):
        column = int(lost[0])
        raise InputError(
            f"got vectors whose column {column} has values around {np.median(wide[:, column]):.10g} that spread by "
            f"{spread[column]:.3g}; they are kept in 32 bits, which round that away: subtract a typical value of each "
            "column first, or scale them (scikit-learn's StandardScaler)"
        )
