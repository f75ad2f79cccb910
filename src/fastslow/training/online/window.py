"""What a window has to be, and what the predictors see of its targets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fastslow.core.memory import MemoryState
from fastslow.errors import InputError


def check_window(inputs: Tensor, targets: Tensor, *, write_learns_fast: bool) -> None:
    """Refuses sizes that do not fit, and a window in which the write predictor has nothing to learn from."""
    if inputs.shape[:2] != targets.shape[:2] or not targets.numel():
        raise InputError(
            f"got inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)}; both must start (window, batch)"
        )
    if write_learns_fast and len(inputs) < 2:
        raise InputError(
            "got a window of 1, in which a write vector, which acts only on later steps, has no gradient for its "
            "predictor to learn from; use a window of 2 or more, or leave 'write' out of fast_controllers"
        )


def check_streams(state: MemoryState, batch_size: int) -> None:
    """Refuses a state carried from another number of streams."""
    if len(state.slots) != batch_size:
        raise InputError(
            f"the state is of {len(state.slots)} streams, the inputs of {batch_size}; "
            f"give the state that the window before returned, or make one by initial_state({batch_size})"
        )


def target_codes(targets: Tensor, num_outputs: int, dtype: torch.dtype) -> Tensor:
    """What predictors see: vectors as they are, class indices as one-hot, shape (window, batch, outputs).

    Raises:
        ValueError: if vectors are not finite, or labels not classes that the model has.
    """
    if targets.is_floating_point():
        if not bool(targets.isfinite().all()):
            raise InputError("got targets that are not finite; nothing was moved: leave those examples out")
        return targets
    if targets.dtype == torch.bool or targets.is_complex():
        raise InputError(f"got targets of {targets.dtype}; give class indices or vectors of floats")
    low, high = int(targets.min()), int(targets.max())
    if not 0 <= low <= high < num_outputs:
        raise InputError(f"labels run from {low} to {high}; this model has 0 to {num_outputs - 1}")
    return F.one_hot(targets.long(), num_outputs).to(dtype)
