"""Feature vectors that users hand over, or that a model of theirs makes, as rows of 32 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.errors import InputError, shown_reason


def as_vectors(examples: Any) -> Float[Tensor, "examples features"]:  # noqa: ANN401 - whatever users have
    """Feature vectors as a tensor.

    Raises:
        ValueError: if they are no rows of finite numbers; in the words that scikit-learn's checks look for.
    """
    if hasattr(examples, "toarray"):
        raise InputError("got sparse data; dense data is required: give X.toarray()")
    if isinstance(examples, Tensor):
        examples = examples.detach().cpu().float().numpy()
    try:
        array = np.asarray(examples)
        if np.iscomplexobj(array):
            raise InputError("got numbers with an imaginary part. Complex data not supported: give real numbers")
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
